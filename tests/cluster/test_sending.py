"""Sending jobs once, each known to a file, whoever else sends and whatever interrupts; asked of a SLURM that is not real."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import parc.pipeline
from command_line import TINY
from parc.cluster.chain import run_chain
from parc.configuration.errors import EXIT_KEYBOARD, UserError

ON_SLURM = ["hydra/launcher=slurm", "hydra.launcher.wait=false", "hydra.launcher.cpus_per_task=1"]
SWEEP = ["-m", *TINY, *ON_SLURM, "seed=1,2", "output_dir=sweep"]
ONE = ["-m", *TINY, *ON_SLURM, "output_dir=one"]
CHAIN = [*TINY, *ON_SLURM, "data_dir=data"]
NUMBERED = 'echo "Submitted batch job $(wc -l < "$0.calls")"'
# A terminal sends it to all processes of its session: to the program, and to the command that started it.
CTRL_C = "kill -INT $PPID; kill -INT $$; sleep 0.1"


@pytest.fixture
def cluster(fake_slurm, shell, monkeypatch):
    """A SLURM whose jobs are numbered from 1, of which `train -m` and `run_chain` may make use."""
    # Shells let what they start in the background ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    fake_slurm.answers("sbatch", first=NUMBERED)
    fake_slurm.answers("scancel")
    monkeypatch.setattr(sys, "argv", [parc.pipeline.__file__])
    yield fake_slurm
    signal.signal(signal.SIGINT, before)


def job_ids(sweep: str) -> list[str]:
    return [job["job_id"] for job in json.loads(Path(sweep, "sweep.json").read_text())]


def test_the_same_command_twice_at_once_sends_once(cluster, shell):
    again = shlex.join([sys.executable, "-m", "parc.train", *SWEEP])
    # While sbatch takes its time over the first, the second is given.
    once = f"test -e again || {{ touch again; {again} > said 2>&1; echo $? >> said; }}"
    cluster.answers("sbatch", first=f"{once}; {NUMBERED}")
    answer = shell.train(*SWEEP)
    assert answer.code == 0, answer.err
    said, code = Path("said").read_text().splitlines()
    assert code == "1"
    assert said.startswith(f"error: {shell.folder}/sweep: another command is sending or running jobs of this folder")
    assert len(cluster.calls("sbatch")) == 1
    assert job_ids("sweep") == ["1_0", "1_1"]


def test_ctrl_c_while_jobs_are_sent_leaves_none_that_no_file_knows(cluster, shell):
    cluster.answers("sbatch", first=f"{CTRL_C}; {NUMBERED}")
    answer = shell.train(*SWEEP)
    assert answer.code == EXIT_KEYBOARD
    assert job_ids("sweep") == ["1_0", "1_1"]
    assert "to cancel them: scancel 1\n" in answer.out


def test_ctrl_c_while_a_chain_is_sent_cancels_all_of_it(cluster):
    cluster.answers("sbatch", first=f'test -e "$0.before" && {{ {CTRL_C}; }}; touch "$0.before"; {NUMBERED}')
    with pytest.raises(KeyboardInterrupt):
        run_chain(["iterations=[iter1,iter2,iter3]", *CHAIN])
    assert cluster.calls("scancel") == ["1 2"]
    assert not Path("data/chains/iter1-iter2-iter3/sweep.json").exists()


def test_jobs_of_a_chain_that_could_not_be_cancelled_stay_known(cluster):
    cluster.answers("sbatch", first=f'test -e "$0.before" && exit 1; touch "$0.before"; {NUMBERED}')
    cluster.answers("scancel", error="Unable to contact slurm controller", code=1)
    with pytest.raises(UserError, match="sbatch refused the jobs"):
        run_chain(["iterations=[iter1,iter2]", *CHAIN])
    assert job_ids("data/chains/iter1-iter2") == ["1"]


def test_jobs_that_cannot_be_recorded_are_cancelled(cluster, shell, monkeypatch):
    def full(*_):
        raise UserError("sweep.json: no space left on the disk")

    monkeypatch.setattr("parc.cluster.slurm.write_sweep", full)
    answer = shell.train(*SWEEP)
    assert answer.code == 1
    assert answer.err == "error: sweep.json: no space left on the disk; the jobs were cancelled\n"
    assert cluster.calls("scancel") == ["1"]


@pytest.mark.parametrize(
    "command",
    [
        lambda shell: run_chain(["iterations=[iter1,iter2,iter3]", *CHAIN]),
        lambda shell: run_chain(["iterations=[iter2]", *CHAIN, "iteration.previous_run=elsewhere"]),
        lambda shell: failing(shell.train("-m", *CHAIN, "iteration=iter1")),
        lambda shell: failing(shell.train("-m", *TINY, "data_dir=data", "iteration=iter1")),
    ],
    ids=["a longer chain", "a part of it", "a run of it", "a run of it, here"],
)
def test_a_run_that_has_a_job_gets_no_second_one(cluster, shell, command):
    run_chain(["iterations=[iter1,iter2]", *CHAIN])
    cluster.answers("squeue", "1|RUNNING\n2|PENDING\n")
    with pytest.raises(UserError) as refused:
        command(shell)
    said = str(refused.value)
    assert f"{shell.folder}/data/chains/iter1-iter2: jobs of this sweep are still on the cluster (" in said
    assert "\n" not in said
    assert len(cluster.calls("sbatch")) == 2
    assert not Path("data/iter1").exists()


def failing(answer) -> None:
    assert answer.code == 1
    raise UserError(answer.err.strip())


def test_another_chain_beside_it_is_sent(cluster):
    run_chain(["iterations=[iter1,iter2]", *CHAIN])
    cluster.answers("squeue", "1|RUNNING\n2|PENDING\n")
    run_chain(["iterations=[iter1,iter2]", *CHAIN[:-1], "data_dir=more"])
    assert len(cluster.calls("sbatch")) == 4
    cluster.answers("squeue", "1|COMPLETED\n2|COMPLETING\n")
    run_chain(["iterations=[iter1,iter2,iter3]", *CHAIN])
    assert len(cluster.calls("sbatch")) == 7


def test_nothing_is_sent_while_it_is_not_known_whether_it_was_sent_before(cluster, shell):
    assert shell.train(*SWEEP).code == 0
    cluster.answers("squeue", error="slurm_load_jobs error: Unable to contact slurm controller", code=1)
    answer = shell.train(*SWEEP)
    assert (answer.code, len(cluster.calls("sbatch"))) == (1, 1)
    assert "squeue does not answer" in answer.err


def test_a_run_that_waits_for_its_turn_is_not_deleted(cluster, shell):
    """Its record would go with it, and the job be sent a second time."""
    assert shell.train(*ONE).code == 0
    Path("one/mdm_config.yaml").touch()
    cluster.answers("squeue", "1|PENDING\n")
    answer = shell.train(*ONE, "overwrite=true")
    assert answer.code == 1
    assert "jobs of this sweep are still on the cluster (1)" in answer.err
    assert Path("one/mdm_config.yaml").is_file() and job_ids("one") == ["1"]
    assert len(cluster.calls("sbatch")) == 1


def test_a_sweep_that_runs_here_is_not_run_twice(shell):
    from parc.cluster.sweep_lock import sweep_lock

    with sweep_lock(shell.folder / "sweep"):
        answer = shell.train("-m", *TINY, "seed=1,2", "output_dir=sweep")
    assert answer.code == 1
    assert answer.err.startswith(f"error: {shell.folder}/sweep: another command is sending or running")
    assert shell.files() == []


def test_what_is_refused_leaves_nothing_behind(cluster, shell):
    cluster.answers("sbatch", error="sbatch: error: invalid partition specified: nowhere", code=1)
    answer = shell.train(*SWEEP)
    assert answer.code == 1
    assert "invalid partition specified: nowhere" in answer.err
    with pytest.raises(UserError, match="invalid partition"):
        run_chain(["iterations=[iter1,iter2]", *CHAIN])
    assert [name for name in shell.files() if not name.startswith("bin")] == []


@pytest.mark.parametrize("name", ["50%", "runs%j", "%A_%a"])
def test_a_folder_whose_name_slurm_would_expand_is_refused(cluster, shell, name):
    answer = shell.train(*SWEEP[:-1], f"output_dir='{name}'")
    assert answer.code == 1
    assert f"/{name}: SLURM reads % in a path as a pattern" in answer.err and answer.err.count("\n") == 1
    assert cluster.calls("sbatch") == []
    assert not Path(name).exists()


def test_commands_that_are_printed_can_be_typed_as_they_are(cluster, shell):
    folder = f"{shell.folder}/my sweep"
    answer = shell.train(*SWEEP[:-1], "output_dir='my sweep'")
    assert f"later: python -m parc.sweep '{folder}'\n" in answer.out
    cluster.answers("squeue", "1_0|RUNNING\n")
    answer = shell.train(*SWEEP[:-1], "output_dir='my sweep'")
    assert f"`python -m parc.sweep '{folder}' --wait`" in answer.err


def test_swept_values_are_no_markup(cluster, shell):
    values = ["[/a]", "[/a,/b]", "[walk]"]
    swept = f"dataset.motion_lib_file={','.join(values)}"
    answer = shell.train("-m", *TINY, *ON_SLURM, swept, "output_dir=sweep")
    assert (answer.code, answer.err) == (0, "")
    for value in values:
        assert f"dataset.motion_lib_file={value}" in answer.out


def test_a_chain_is_started_by_launchers_of_parc_only(shell, monkeypatch):
    monkeypatch.setattr(sys, "argv", [parc.pipeline.__file__])
    with pytest.raises(UserError, match="iter1: hydra/launcher=basic: cannot start the jobs of parc"):
        run_chain(["iterations=[iter1]", *TINY, "hydra/launcher=basic"])
    assert shell.files() == []


def test_a_sweep_that_is_told_to_hang_up_by_a_terminal_under_nohup_runs_on(tmp_path):
    code = (
        "import os, signal; from parc.cluster.local import _signals_passed_on; "
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with _signals_passed_on([]) as seen: os.kill(os.getpid(), signal.SIGHUP)\nprint(seen)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert said.stdout == "[]\n", said.stderr
