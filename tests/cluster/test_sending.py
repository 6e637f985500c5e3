"""Sending jobs once, each known to a file, whoever else sends and whatever interrupts; asked of a SLURM that is not real."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from recorded_sweeps import record

import parc.pipeline
from command_line import TINY
from hydra_plugins.parc_local_launcher import LocalLauncher
from hydra_plugins.parc_slurm_launcher import SlurmLauncher
from parc.cluster import local
from parc.cluster.chain import run_chain
from parc.cluster.slurm_settings import SlurmSettings
from parc.cluster.sweep_lock import sweep_lock
from parc.cluster.sweep_plan import Sweep, job_of
from parc.configuration.errors import EXIT_INTERRUPTED, EXIT_KEYBOARD, UserError
from parc.stages.settings import Length, RunSettings, read_settings
from parc.stages.stage import Run, Stage

ON_SLURM = ["hydra/launcher=slurm", "hydra.launcher.wait=false", "hydra.launcher.cpus_per_task=1"]
NUMBERED = 'echo "Submitted batch job $(wc -l < "$0.calls")"'
# A terminal sends it to all processes of its session: to the program, and to the command that started it.
CTRL_C = "kill -INT $PPID; kill -INT $$; sleep 0.1"
SETTINGS = asdict(
    SlurmSettings(
        partition=None, account=None, qos=None, timeout_min=60, nodes=1, tasks_per_node=1, gpus_per_node=None,
        cpus_per_task=1, mem_gb=1.0, constraint=None, array_parallelism=2, setup=[], dependency=None, max_num_timeout=1,
        signal_delay_s=60, additional_parameters=None, wait=False,
    )
)  # fmt: skip


class IdleSettings(RunSettings):
    length = property(lambda _: Length(1, "naps"))


IDLE = Stage("idle", IdleSettings, "idle.yaml", "rest", lambda _: None, lambda _: None, lambda _: False)


@pytest.fixture
def cluster(fake_slurm, tmp_path, monkeypatch):
    """A SLURM whose jobs are numbered from 1."""
    monkeypatch.chdir(tmp_path)
    # Shells let what they start in the background ignore Ctrl-C, and nohup that a terminal is closed.
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    fake_slurm.answers("sbatch", first=NUMBERED)
    fake_slurm.answers("scancel")
    yield fake_slurm
    for number, handler in before.items():
        signal.signal(number, handler)


def sweep_of(folder: str, *names: str, overrides: list[str] | None = None) -> Sweep:
    """Return a sweep, or a chain, of runs of these names in the folder `data`."""
    configs = [{"data_dir": "data", "output_dir": f"data/{name}"} for name in names]
    runs = [Run(IDLE, read_settings(IdleSettings, config, IDLE.verb)) for config in configs]
    return Sweep(Path(folder).absolute(), None, [job_of(run, overrides or []) for run in runs], runs)


def send(sweep: Sweep) -> None:
    SlurmLauncher().launch_sweep(sweep, SETTINGS)


def chain_of(*names: str) -> Sweep:
    return sweep_of(f"data/chains/{'-'.join(names)}", *names)


def send_chain(chain: Sweep) -> None:
    SlurmLauncher().launch_chain(chain, [SETTINGS] * len(chain.runs))


def job_ids(sweep: Sweep) -> list[str]:
    return [job["job_id"] for job in json.loads((sweep.folder / "sweep.json").read_text())]


def refusal(command) -> str:
    with pytest.raises(UserError) as refused:
        command()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_same_command_twice_at_once_sends_once(cluster, tmp_path):
    cluster.answers(
        "sbatch", first=f"touch busy; for _ in {{1..500}}; do test -e go && break; sleep 0.02; done; {NUMBERED}"
    )
    said = []

    def give_it_again() -> None:
        try:
            until = time.monotonic() + 20
            while not Path("busy").exists() and time.monotonic() < until:
                time.sleep(0.01)
            said.append(refusal(lambda: send(sweep_of("data", "a", "b"))))
        finally:
            Path("go").touch()

    second = threading.Thread(target=give_it_again)
    second.start()
    first = sweep_of("data", "a", "b")
    send(first)
    second.join()
    assert [line.partition(";")[0] for line in said] == [
        f"{tmp_path}/data: another command is sending or running jobs of this folder"
    ]
    assert len(cluster.calls("sbatch")) == 1
    assert job_ids(first) == ["1_0", "1_1"]


def test_ctrl_c_while_jobs_are_sent_leaves_none_that_no_file_knows(cluster, shell):
    cluster.answers("sbatch", first=f"{CTRL_C}; {NUMBERED}")
    answer = shell.train("-m", *TINY, *ON_SLURM, "seed=1,2", "output_dir=sweep")
    assert answer.code == EXIT_KEYBOARD
    assert [job["job_id"] for job in json.loads(Path("sweep/sweep.json").read_text())] == ["1_0", "1_1"]
    assert "to cancel them: scancel 1\n" in answer.out


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_stop_signal_while_a_chain_is_sent_cancels_all_of_it(cluster, name):
    stop = CTRL_C.replace("INT", name)
    cluster.answers("sbatch", first=f'test -e "$0.before" && {{ {stop}; }}; touch "$0.before"; {NUMBERED}')
    chain = chain_of("iter1", "iter2", "iter3")
    with pytest.raises(KeyboardInterrupt):
        send_chain(chain)
    assert cluster.calls("scancel") == ["1 2"]
    assert not (chain.folder / "sweep.json").exists()


def test_jobs_of_a_chain_that_could_not_be_cancelled_stay_known(cluster):
    cluster.answers("sbatch", first=f'test -e "$0.before" && exit 1; touch "$0.before"; {NUMBERED}')
    cluster.answers("scancel", error="Unable to contact slurm controller", code=1)
    chain = chain_of("iter1", "iter2")
    assert "sbatch refused the jobs" in refusal(lambda: send_chain(chain))
    assert job_ids(chain) == ["1"]


def test_a_chain_that_is_not_sent_whole_leaves_the_record_of_the_one_before(cluster):
    chain = chain_of("iter1", "iter2")
    send_chain(chain)
    cluster.answers("sbatch", code=1)
    refusal(lambda: send_chain(chain_of("iter1", "iter2")))
    assert job_ids(chain) == ["1", "2"]


def test_jobs_that_cannot_be_recorded_are_cancelled(cluster, monkeypatch):
    def full(*_: object) -> None:
        raise UserError("sweep.json: no space left on the disk")

    monkeypatch.setattr("parc.cluster.slurm.write_sweep", full)
    said = refusal(lambda: send(sweep_of("data", "a", "b")))
    assert said == "sweep.json: no space left on the disk; the jobs were cancelled"
    assert cluster.calls("scancel") == ["1"]


@pytest.mark.parametrize(
    "command",
    [
        lambda: send_chain(chain_of("iter1", "iter2", "iter3")),
        lambda: send_chain(chain_of("iter2")),
        lambda: send(sweep_of("data/iter1", "iter1")),
        lambda: LocalLauncher().launch_sweep(sweep_of("data/iter1", "iter1"), {}),
    ],
    ids=["a longer chain", "a part of it", "a run of it", "a run of it, here"],
)
def test_a_run_that_has_a_job_gets_no_second_one(cluster, tmp_path, command):
    send_chain(chain_of("iter1", "iter2"))
    cluster.answers("squeue", "1|RUNNING\n2|PENDING\n")
    assert f"{tmp_path}/data/chains/iter1-iter2: jobs of this sweep are still on the cluster (" in refusal(command)
    assert len(cluster.calls("sbatch")) == 2
    assert not Path("data/iter1").exists()


def test_a_longer_chain_than_the_one_that_runs_is_refused(cluster, shell, monkeypatch):
    monkeypatch.setattr(sys, "argv", [parc.pipeline.__file__])
    send_chain(sweep_of("data/chains/iter1-iter2", "iter1/p1_train_gen", "iter2/p1_train_gen"))
    cluster.answers("squeue", "1|COMPLETED\n2|PENDING\n")
    said = refusal(
        lambda: run_chain(["iterations=[iter1,iter2,iter3]", "~stages.generate", "~stages.correct", *TINY, *ON_SLURM])
    )
    assert "data/chains/iter1-iter2: jobs of this sweep are still on the cluster (2)" in said
    assert len(cluster.calls("sbatch")) == 2


def test_what_shares_no_run_with_it_is_sent_and_so_is_what_has_ended(cluster):
    send_chain(chain_of("iter1", "iter2"))
    cluster.answers("squeue", "1|RUNNING\n2|PENDING\n")
    send_chain(chain_of("other1", "other2"))
    assert len(cluster.calls("sbatch")) == 4
    cluster.answers("squeue", "1|COMPLETED\n2|COMPLETING\n")
    send_chain(chain_of("iter1", "iter2", "iter3"))
    assert len(cluster.calls("sbatch")) == 7


def test_a_sweep_json_of_another_program_is_let_alone(cluster):
    Path("sweep.json").write_text("method: bayes")
    send(sweep_of("data", "a"))
    assert len(cluster.calls("sbatch")) == 1


def test_nothing_is_sent_while_it_is_not_known_whether_it_was_sent_before(cluster):
    send(sweep_of("data", "a", "b"))
    cluster.answers("squeue", error="slurm_load_jobs error: Unable to contact slurm controller", code=1)
    assert "squeue does not answer" in refusal(lambda: send(sweep_of("data", "a", "b")))
    assert len(cluster.calls("sbatch")) == 1


def test_a_run_that_waits_for_its_turn_is_not_deleted(cluster, shell):
    """Its record would go with it, and the job be sent a second time."""
    record(Path("one"), "7")
    Path("one/mdm_config.yaml").touch()
    cluster.answers("squeue", "7|PENDING\n")
    answer = shell.train("-m", *TINY, *ON_SLURM, "output_dir=one", "overwrite=true")
    assert answer.code == 1
    assert "jobs of this sweep are still on the cluster (7)" in answer.err
    assert Path("one/mdm_config.yaml").is_file() and Path("one/sweep.json").is_file()
    assert cluster.calls("sbatch") == []


def test_a_sweep_that_runs_here_is_not_run_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sweep_lock(tmp_path / "data"):
        said = refusal(lambda: LocalLauncher().launch_sweep(sweep_of("data", "a", "b"), {}))
    assert said.startswith(f"{tmp_path}/data: another command is sending or running jobs of this folder")
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_leaves_nothing_behind(cluster):
    cluster.answers("sbatch", error="sbatch: error: invalid partition specified: nowhere", code=1)
    assert "invalid partition specified: nowhere" in refusal(lambda: send(sweep_of("data", "a", "b")))
    assert "invalid partition specified: nowhere" in refusal(lambda: send_chain(chain_of("iter1", "iter2")))
    assert not Path("data").exists()


@pytest.mark.parametrize("name", ["50%", "runs%j", "%A_%a", "back\\slash"])
def test_a_folder_whose_name_slurm_would_expand_is_refused(cluster, tmp_path, name):
    assert f"{tmp_path}/{name}: SLURM reads % in a path as a pattern" in refusal(lambda: send(sweep_of(name, "a")))
    assert cluster.calls("sbatch") == []
    assert not Path(name).exists()


def test_what_is_printed_can_be_typed_and_what_was_typed_is_printed(cluster, tmp_path, capfd):
    values = ["dataset.motion_lib_file=[/a]", "x=[/a,/b]", "y=[walk]", "z=:smile:"]
    sweep = sweep_of("my data", "[/a][walk]", overrides=values)
    send(sweep)
    said = capfd.readouterr().out
    assert f"later: python -m parc.sweep '{tmp_path}/my data'\n" in said
    for words in (*values, f"{tmp_path}/data/[/a][walk]"):
        assert words in said
    cluster.answers("squeue", "1|RUNNING\n")
    assert f"`python -m parc.sweep '{tmp_path}/my data' --wait`" in refusal(lambda: send(sweep))


def test_a_chain_is_started_by_launchers_of_parc_only(shell, monkeypatch):
    monkeypatch.setattr(sys, "argv", [parc.pipeline.__file__])
    said = refusal(lambda: run_chain(["iterations=[iter1]", *TINY, "hydra/launcher=basic"]))
    assert said.startswith("iter1: hydra/launcher=basic: cannot start the jobs of parc")
    assert shell.files() == []


def test_a_sweep_under_nohup_outlives_its_terminal(tmp_path):
    code = (
        "import os, signal; from parc.cluster.local import _signals_passed_on\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with _signals_passed_on([]) as seen: os.kill(os.getpid(), signal.SIGHUP)\n"
        "print(seen)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert said.stdout == "[]\n", said.stderr


def test_a_local_sweep_that_is_stopped_before_its_first_job_starts_none(cluster, monkeypatch):
    def stopped_meanwhile(runs) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(local, "delete_runs", stopped_meanwhile)
    monkeypatch.setattr(local, "_run_job", lambda *_: pytest.fail("a job was started"))
    with pytest.raises(SystemExit) as left:
        local.run_jobs(sweep_of("data", "a", "b"))
    assert left.value.code == EXIT_INTERRUPTED
    assert [job["state"] for job in json.loads(Path("data/sweep.json").read_text())] == ["waiting", "waiting"]
