"""The tables of docs/correcting.md say what is in the runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.corrected import by_clip, by_measure
from parc.physics.corrected import Corrected, CorrectedClip
from parc.physics.correction import Status

REPOSITORY = Path(__file__).parents[2]


def clip(status: Status, *, seconds: float = 4.0, assistance: float = 0.0, smoothness: float = 1.0) -> CorrectedClip:
    measures = {
        "bodies off (m)": 0.03,
        "smoothness": smoothness,
        "slide (m/s)": 0.1,
        "slide of the clip (m/s)": 0.2,
        "deep (%)": 0.0,
        "deep of the clip (%)": 2.0,
    }
    return CorrectedClip(
        digest="",
        motion_class="walking",
        clip_seconds=4.0,
        files=[],
        status=status,
        is_data=status is Status.PHYSICAL,
        reason="",
        seconds=seconds,
        first_frame=0,
        assistance=assistance,
        whole_with=assistance if seconds == 4.0 and status is not Status.FAILED else None,
        steps_simulated=400_000,
        cpu_seconds=20.0 if status is Status.PHYSICAL else 100.0,
        measures=measures,
    )


RUN = {
    "whole": clip(Status.PHYSICAL),
    "in_part": clip(Status.PHYSICAL, seconds=2.5, smoothness=1.4),
    "helped_little": clip(Status.ASSISTED, assistance=0.05, smoothness=9.0),
    "helped_much": clip(Status.ASSISTED, assistance=0.5, smoothness=9.0),
    "failed": clip(Status.FAILED, seconds=1.0, smoothness=9.0),
}


def test_successes_with_and_without_help_are_counted_apart_and_only_physical_motions_measured():
    lines = dict(by_measure([list(RUN.values())]))
    assert lines["motions"] == "5"
    assert lines["followed from beginning to end without help"] == "1 (20%)"
    assert lines["at least half of it without help"] == "2 (40%)"
    assert lines["from beginning to end with at most 0.1 of body weight"] == "2 (40%)"
    assert (lines["CPU seconds a second of motion, median"], lines["the same, mean"]) == ("25.0", "17.0")
    assert lines["physics steps a second of motion, median (thousands)"] == "100"
    assert lines["bodies off the motion's, mean (cm)"] == "3"
    assert lines["smoothness, median"] == "1.20"
    assert lines["feet that touch the ground slide, m/s (in the motions)"] == "0.1 (0.2)"


def test_each_clip_has_a_line_that_says_what_became_of_it_in_each_run():
    lines = by_clip([RUN, {"failed": clip(Status.PHYSICAL)}])
    assert ["in_part", "physical for 2.5 of 4.0 s", ""] in lines
    assert ["helped_little", "assisted, 0.05 of body weight", ""] in lines
    assert ["failed", "failed", "physical"] in lines


@pytest.mark.slow
def test_runs_are_read_from_their_folders_and_other_folders_refused(tmp_path):
    Corrected(RUN).write(tmp_path)

    def said(folder: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "benchmarks.corrected", str(folder)]
        return subprocess.run(command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True)

    shown = said(tmp_path)
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[:3] == [
        f"|  | {tmp_path} | all |",
        "| --- | --- | --- |",
        "| motions | 5 | 5 |",
    ]
    refused = said(tmp_path / "elsewhere")
    assert refused.returncode != 0
    assert refused.stderr.startswith("error:") and "expected the folder of a run of parc.correct" in refused.stderr
