"""The private SLURM that the tests of this folder share. All of them are slow."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTBED = Path(__file__).parents[2] / "launch" / "testbed"


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


def _testbed(command: str, *arguments, **options) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(TESTBED), command, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="session")
def testbed():
    """Run `python launch/testbed COMMAND ARGUMENTS`."""
    return _testbed


@dataclass(frozen=True)
class SlurmCluster:
    """The running cluster. SLURM's own commands and submitit find it by SLURM_CONF."""

    state_dir: Path

    def wait_until(self, happened: Callable[[], object], what: str, seconds: float = 90) -> None:
        """Wait for something that a healthy cluster does soon; the limit is only for one that does not."""
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                queue = subprocess.run(["squeue", "--long"], capture_output=True, text=True, check=False).stdout
                pytest.fail(f"waited {seconds:.0f} s in vain: {what}\n{queue}")
            time.sleep(0.2)

    def submit(self, *sbatch_arguments) -> str:
        """Send a job and return its id."""
        line = ["sbatch", "--parsable", *map(str, sbatch_arguments)]
        sent = subprocess.run(line, capture_output=True, text=True, check=False)
        assert sent.returncode == 0, sent.stderr
        return sent.stdout.strip()

    def states(self, job_id: str) -> dict[str, str]:
        """Accounting's state of a job, or of each task of an array: {"7_0": "FAILED", ...}.

        It may be seconds behind. An array is one row without its index at first, and that row has the state of its last
        task.
        """
        line = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State", f"--jobs={job_id}"]
        rows = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split("\n")
        return {job: state.split()[0] for job, state in (row.split("|") for row in rows if row)}

    def wait_for(self, job_id: str, state: str) -> None:
        """Wait until accounting gives a job (not an array) this state."""
        self.wait_until(lambda: self.states(job_id) == {job_id: state}, f"job {job_id} {state}")

    def node_of(self, job_id: str) -> str:
        """Nodes of a running job."""
        return subprocess.run(["squeue", "-h", "-j", job_id, "-o", "%N"], capture_output=True, text=True).stdout.strip()

    def kill_node(self, node: str) -> None:
        """Kill a node with all that runs there, and tell SLURM, which would take half a minute to find out."""
        assert _testbed("kill-node", self.state_dir, node).returncode == 0
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed"], check=True)

    def revive_node(self, node: str) -> None:
        """Bring a killed node back."""
        revived = _testbed("revive-node", self.state_dir, node)
        assert revived.returncode == 0, revived.stderr


def _why_not() -> str | None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root can start the test cluster"
    if shutil.which("slurmctld") is None:
        packages = " ".join((TESTBED / "packages.txt").read_text().split())
        return f"SLURM is not installed: apt-get install --no-install-recommends {packages}"
    return None


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory):
    """Start two nodes once, point SLURM_CONF at them for the session, and stop them however it ends."""
    if reason := _why_not():
        if os.environ.get("PARC_REQUIRE_SLURM") == "1":
            pytest.fail(f"{reason} (PARC_REQUIRE_SLURM=1)", pytrace=False)
        pytest.skip(f"{reason} (PARC_REQUIRE_SLURM=1 makes this a failure)")
    state_dir = tmp_path_factory.mktemp("slurm")
    interrupted_by_term = signal.signal(signal.SIGTERM, signal.default_int_handler)  # CI ends what takes too long so
    try:
        started = _testbed("start", state_dir)
        if started.returncode != 0:
            pytest.fail(started.stderr, pytrace=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(state_dir / "slurm.conf"))
            yield SlurmCluster(state_dir)
    finally:
        _testbed("stop", state_dir)
        signal.signal(signal.SIGTERM, interrupted_by_term)
