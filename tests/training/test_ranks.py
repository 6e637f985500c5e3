"""Several processes train like one, only the first writes, and one that dies takes the others with it."""

import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import yaml
from training_runs import TrainingProcess, changed, composed, rows_of, train

from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT, newest_checkpoint
from parc.training import ranks
from parc.training.device import find_device

ALIKE = {"model__denoiser__dropout": 0.0, "trainer__batch_size": 8}


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def start_ranks(stack: ExitStack, config, folder: Path, count: int = 2) -> list[TrainingProcess]:
    """Start the ranks as SLURM does: each finds its place in its environment."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [
        stack.enter_context(
            TrainingProcess(config, folder / f"log {rank}", RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        )
        for rank in range(count)
    ]


def run_ranks(config, folder: Path, count: int = 2) -> list[str]:
    with ExitStack() as stack:
        started = start_ranks(stack, config, folder, count)
        assert [rank.wait() for rank in started] == [0] * count, "\n".join(rank.said() for rank in started)
        return [rank.said() for rank in started]


def assert_alike(folder: Path, other: Path) -> None:
    rows, other_rows = rows_of(folder), rows_of(other)
    assert len(rows) == len(other_rows)
    for row, other_row in zip(rows, other_rows, strict=True):
        for key in row.keys() - {"samples_per_second"}:
            assert row[key] == pytest.approx(other_row[key], rel=1e-4), key
    weights, other_weights = (read_checkpoint(each / FINAL_CHECKPOINT).ema for each in (folder, other))
    for name, weight in weights.items():
        torch.testing.assert_close(weight, other_weights[name], rtol=1e-3, atol=1e-4)


def test_two_processes_train_like_one_and_only_the_first_writes(tiny_config, tmp_path):
    config = changed(tiny_config, **ALIKE)
    train(changed(config, folder=tmp_path / "one"))
    said = run_ranks(changed(config, folder=tmp_path / "two"), tmp_path)
    assert_alike(tmp_path / "one", tmp_path / "two")
    assert "trained:" in said[0]
    assert said[1] == ""
    logs = [(tmp_path / name / "train.log").read_text() for name in ("one", "two")]
    assert [log.count("prepared 3 clips") for log in logs] == [1, 0]  # once for all processes of both


@pytest.mark.slow
def test_a_resume_may_change_the_number_of_processes(tiny_config, tmp_path):
    config = changed(tiny_config, **ALIKE)
    train(changed(config, folder=tmp_path / "one", trainer__epochs=4))
    config = changed(config, folder=tmp_path / "changing")
    run_ranks(changed(config, trainer__epochs=1), tmp_path)
    train(changed(config, trainer__epochs=2))
    run_ranks(changed(config, trainer__epochs=4), tmp_path)
    assert_alike(tmp_path / "one", tmp_path / "changing")


@pytest.mark.slow
def test_processes_wait_for_one_that_is_slow_to_read_its_clips(tiny_config, tmp_path):
    config = changed(tiny_config, folder=tmp_path / "run", dataset___target_="slow_to_read.SlowToRead")
    run_ranks(config, tmp_path)


@pytest.mark.slow
def test_processes_wait_for_the_first_that_is_slow_to_write_a_checkpoint(tiny_config, tmp_path):
    slow = {"trainer___target_": "slow_to_write.SlowToWrite", "trainer__epochs_per_checkpoint": 1}
    said = run_ranks(changed(tiny_config, folder=tmp_path / "run", **slow), tmp_path)
    assert "writing slowly" in said[0] and "trained:" in said[0]


@pytest.mark.slow
def test_the_first_takes_the_others_down_when_it_dies_in_a_slow_write(tiny_config, tmp_path):
    slow = {"trainer___target_": "slow_to_write.SlowToWrite", "trainer__epochs_per_checkpoint": 1}
    with ExitStack() as stack:
        started = start_ranks(stack, changed(tiny_config, folder=tmp_path / "run", **slow), tmp_path)
        started[0].wait_until(lambda: "writing slowly" in started[0].said(), "the write")
        time.sleep(1)
        started[0].process.kill()
        assert started[1].wait(60) == 1
    assert "error: rank 1 of 2 has lost another rank" in started[1].said()


@pytest.mark.slow
def test_two_of_32_train_like_one_of_64_with_the_paper_model(few_clips, tmp_path):
    config = composed(
        f"dataset.motion_lib_file={few_clips}", "model=mdm", "model.denoiser.d_model=256", "model.denoiser.num_heads=8",
        "model.denoiser.d_hid=256", "model.denoiser.num_layers=4", "model.denoiser.mlp_width=256",
        "model.denoiser.target_mlp_width=512", "model.denoiser.dropout=0.0",
        "trainer.batch_size=64", "trainer.epochs=3", "trainer.iters_per_epoch=2", "trainer.learning_rate=1e-4",
    )  # fmt: skip
    train(changed(config, folder=tmp_path / "one"))
    run_ranks(changed(config, folder=tmp_path / "two"), tmp_path)
    assert_alike(tmp_path / "one", tmp_path / "two")


def test_withheld_conditions_leave_no_weight_without_a_gradient(tiny_config, tmp_path):
    """Processes wait for every weight's gradient: none may depend on what the batch happens to hold."""
    always = {"heightmap_dropped": 1.0, "target_dropped": 1.0, "previous_dropped": 1.0, "previous_clean": 0.0}
    config = changed(tiny_config, trainer__batch_size=2, trainer__epochs=1, model__conditions=always)
    run_ranks(changed(config, folder=tmp_path / "run"), tmp_path)


def test_a_batch_that_cannot_be_shared_is_one_line(config, tmp_path):
    with TrainingProcess(
        changed(config, trainer__batch_size=7), tmp_path / "log", RANK="0", WORLD_SIZE="2", LOCAL_RANK="0"
    ) as training:
        assert training.wait() == 1
    assert training.said().splitlines() == [
        "error: trainer.batch_size is 7, which 2 processes cannot share; expected a multiple"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [[1], [0], [0, 1]])
def test_a_signal_to_any_process_stops_all_at_one_step_with_the_state_saved(config, tmp_path, signalled):
    config = changed(config, trainer__epochs=5000, trainer__epochs_per_checkpoint=5000)
    with ExitStack() as stack:
        started = start_ranks(stack, config, tmp_path)
        started[0].wait_for_rows(2)
        for number in signalled:
            started[number].send(signal.SIGTERM)
        assert [rank.wait() for rank in started] == [75, 75]
        said = [rank.said().splitlines()[-1] for rank in started]
    step = newest_checkpoint(tmp_path / "run")[1].state["step"]
    assert all(f"after step {step}, everything is saved" in line for line in said)


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_process_takes_the_others_down_with_one_line(config, tmp_path, dead):
    config = changed(config, trainer__epochs=5000, trainer__epochs_per_checkpoint=1)
    with ExitStack() as stack:
        started = start_ranks(stack, config, tmp_path)
        started[0].wait_for_rows(3)
        started[dead].process.kill()
        assert started[1 - dead].wait(60) == 1
        said = started[1 - dead].said()
    assert "Traceback" not in said
    assert f"error: rank {1 - dead} of 2 has lost another rank" in said
    assert newest_checkpoint(tmp_path / "run")[1].state["epoch"] >= 2


@pytest.mark.slow
def test_processes_that_see_different_checkpoints_are_told(tiny_config, tmp_path):
    """As on machines that do not share a disk."""
    config = changed(tiny_config, folder=tmp_path / "run")
    train(changed(config, trainer__epochs=1))
    with ExitStack() as stack:
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        first = stack.enter_context(TrainingProcess(config, tmp_path / "log 0", RANK="0", **shared))
        elsewhere = changed(config, folder=tmp_path / "elsewhere")
        second = stack.enter_context(TrainingProcess(elsewhere, tmp_path / "log 1", RANK="1", **shared))
        assert [first.wait(), second.wait()] == [1, 1]
    assert "rank 1 resumes from step 0, rank 0 from step 4" in second.said()


def torchrun(config, folder: Path, count: int = 2) -> subprocess.Popen:
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count),
        "-m", "parc.train", "--config", str(folder / "config.yaml"),
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_rows(process: subprocess.Popen, folder: Path, count: int) -> None:
    until = time.monotonic() + 120
    path = folder / "metrics.jsonl"
    while not path.is_file() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < until
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)


@pytest.mark.slow
def test_torchrun_trains_stops_and_names_a_process_that_died(config, tmp_path):
    config = changed(config, trainer__epochs=5000, trainer__epochs_per_checkpoint=2)
    job = torchrun(config, tmp_path)
    wait_for_rows(job, tmp_path / "run", 3)
    job.send_signal(signal.SIGTERM)
    said, _ = job.communicate(timeout=60)
    assert job.returncode != 0
    assert said.count("everything is saved") == 2, said
    assert f"to resume: torchrun --nproc-per-node 2 -m parc.train --config {tmp_path}/config.yaml" in said
    step = newest_checkpoint(tmp_path / "run")[1].state["step"]

    job = torchrun(config, tmp_path)
    wait_for_rows(job, tmp_path / "run", step // 4 + 3)
    children = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True, check=True).stdout.split()
    places = {int(pid): Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in children}
    second = next(pid for pid, environment in places.items() if b"RANK=1" in environment)
    began = time.monotonic()
    os.kill(second, signal.SIGKILL)
    said, _ = job.communicate(timeout=60)
    assert time.monotonic() - began < 60
    assert job.returncode == 1
    assert "rank      : 1" in said
    assert "Signal 9 (SIGKILL)" in said

    assert newest_checkpoint(tmp_path / "run")[1].state["step"] > step


def test_one_process_needs_no_meeting(config, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    train(changed(config, trainer__epochs=1))


def test_others_that_never_come_are_one_line(monkeypatch):
    monkeypatch.setattr(ranks, "MEETING", datetime.timedelta(seconds=1))
    port = free_port()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", port)
    with pytest.raises(UserError, match=f"rank 0 of 2 cannot meet the others at 127.0.0.1:{port}") as missed:
        ranks.find_others(ranks.Ranks(0, 2))
    assert "\n" not in str(missed.value)


def test_errors_that_are_no_lost_connections_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), ranks.naming_lost_ranks(ranks.Ranks(0, 2)):
        raise RuntimeError("shape mismatch")
    with (
        pytest.raises(UserError, match="rank 1 of 2 has lost another rank"),
        ranks.naming_lost_ranks(ranks.Ranks(1, 2)),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:1")


@pytest.fixture
def gpus(monkeypatch):
    """Let this process see some GPUs, by their names."""

    def see(*names: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
        monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
        properties = [SimpleNamespace(uuid=name) for name in names]
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties[device.index])

    return see


@pytest.mark.parametrize(("seen", "local_rank", "number"), [(1, 0, 0), (1, 3, 0), (2, 3, 1), (4, 3, 3), (8, 3, 3)])
def test_a_process_takes_the_gpu_of_its_turn_among_those_that_it_sees(gpus, seen, local_rank, number):
    gpus(*map(str, range(seen)))
    for name in ("auto", "cuda"):
        assert find_device(name, ranks.Ranks(local_rank, 4, local_rank)) == torch.device("cuda", number)


def test_two_processes_on_one_gpu_are_told(gpus):
    gpus("0aef")
    store = dist.HashStore()
    for rank in (1, 0, 2):
        store.set(f"parc/ready/{rank}", "" if rank else "GPU 0aef of here")
    store.set("parc/ready/2", f"GPU 0aef of {socket.gethostname()}")
    with pytest.raises(
        UserError, match=f"ranks 1 and 2 would both compute on GPU 0aef of {socket.gethostname()}; expected"
    ):
        ranks.await_others(ranks.Ranks(1, 3, 0, store), torch.device("cuda", 0))
