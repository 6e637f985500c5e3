"""Records of sweeps, and runs that say that they are finished, as commands leave them behind."""

import json
from pathlib import Path
from typing import Any

from parc.stages.progress import Progress, write_progress


def record(sweep: Path, *job_ids: str | None, **what: Any) -> list[Path]:
    """Write the record of a sweep of ten epochs a job; return the folders of its jobs."""
    runs = [sweep / f"run_{number}" for number in range(len(job_ids))]
    for run in runs:
        run.mkdir(parents=True)
    jobs = [
        {
            "overrides": [f"seed={number}"],
            "folder": str(run),
            "log": str(run / "job.log"),
            "total": 10,
            "unit": "epochs",
        }
        | {"job_id": job_id, "state": None}
        | what
        for number, (job_id, run) in enumerate(zip(job_ids, runs, strict=True))
    ]
    (sweep / "sweep.json").write_text(json.dumps(jobs))
    return runs


def finish(run: Path, total: int = 10) -> None:
    """Let a run's own files say that it is finished."""
    write_progress(run, Progress(total, total, "epochs", {"training loss": 0.5}, finished=True))
