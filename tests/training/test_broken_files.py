"""Files of a run that were mutated, cut off or made to do harm: each loads or gives one line, within bounded memory.

Broken clips are in tests/anim/test_broken_clip_files.py; here they are among the rest where memory is bounded for real.
"""

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from training_runs import changed, train

from parc.anim import library_cache
from parc.configuration.errors import UserError
from parc.configuration.files import read_yaml
from parc.configuration.saved_config import read_saved_config
from parc.configuration.tensor_files import read_tensors, write_tensors
from parc.motion_generator.checkpoint import read_checkpoint, read_starting_point
from parc.motion_generator.features import read_statistics
from parc.stages.metrics import read_metrics
from parc.stages.resuming import resumed
from parc.stages.stage import read_run

KINDS = (
    "checkpoint",
    "final",
    "cache",
    "clip files",
    "stats",
    "config",
    "clip",
    "pickle",
    "metrics",
    "PARC checkpoint",
)


@pytest.fixture(scope="module")
def finished(tiny_config, tmp_path_factory):
    """A finished run of one epoch, and one of PARC's kind of clip and checkpoint beside it."""
    folder = tmp_path_factory.mktemp("finished")
    train(changed(tiny_config, folder=folder / "run", trainer__epochs=1, trainer__epochs_per_checkpoint=1))
    (folder / "clip.pkl").write_bytes(pickled_clip())
    weights = {"denoiser._embed_t.time_embed.0.weight": torch.zeros(4, 4)}
    torch.save(
        {"model": weights, "ema_model": weights,
         "extra": {"_mdm_features_mean": torch.zeros(15, 142), "_mdm_features_std": torch.ones(15, 142)}},
        folder / "parc.ckpt",
    )  # fmt: skip
    return folder


def pickled_clip() -> bytes:
    """Return a clip as PARC writes one."""
    frames = 20
    rotation = np.tile(np.array([0, 0, 0, 1], dtype=np.float32), (frames, 14, 1))
    motion = {
        "root_pos": np.zeros((frames, 3), dtype=np.float32), "root_rot": rotation[:, 0], "joint_rot": rotation,
        "body_contacts": np.zeros((frames, 15), dtype=np.float32), "fps": 30, "loop_mode": "CLAMP",
    }  # fmt: skip
    terrain = {
        "hf": np.zeros((6, 7), dtype=np.float32), "hf_maxmin": np.zeros((6, 7, 2), dtype=np.float32),
        "min_point": np.zeros(2, dtype=np.float32), "dx": np.float32(0.4),
    }  # fmt: skip
    return pickle.dumps({"motion_data": pickle.dumps(motion), "terrain_data": pickle.dumps(terrain), "misc_data": None})


def fuzz(finished: Path, few_clips: Path, seed: int, count: int) -> dict[str, list[int]]:
    """Fuzz in a process of its own, with bounded memory and time; return how many loaded and were refused, by kind."""
    script = Path(__file__).with_name("fuzz_files.py")
    run = subprocess.run(
        [sys.executable, script, finished, few_clips, str(seed), str(count)],
        capture_output=True, text=True, timeout=60 + count,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(script.parents[1]), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_hundreds_of_mutated_files_load_or_give_one_line(finished, few_clips):
    counts = fuzz(finished, few_clips, seed=0, count=40)
    assert set(counts) == set(KINDS)
    assert all(loaded + refused == 40 for loaded, refused in counts.values())
    assert all(refused > 5 for kind, (_, refused) in counts.items() if kind != "metrics"), counts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_thousands_of_mutated_files_load_or_give_one_line(finished, few_clips, seed):
    counts = fuzz(finished, few_clips, seed=seed, count=400)
    assert all(loaded + refused == 400 for loaded, refused in counts.values())


DEEP = "[" * 100_000
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{this}: &{this} [{', '.join([f'*{before}'] * 9)}]\n" for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)
ODD_YAML = [
    DEEP, "{a: " * 100_000, LAUGHS, "- " * 200_000, "a: 2020-13-45", "a: !!int ''", "a: !!timestamp x", "a: !!bool x",
    "!!python/object/apply:os.system ['touch it_ran']", "a: " + "9" * 10_000, "a: !!float x", "{[1]: 2}", "a: *nothing",
    "? {a: b}\n: c", "\x00", "a: &x [*x]", "{1: 2}", "{null: 2}", "[]", "text", "", "a: {2: 3}", "%YAML 9.9\n--- a", "\ufffe",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_YAML, ids=range(len(ODD_YAML)))
def test_odd_yaml_is_refused_in_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mdm_config.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read_saved_config(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["statistics", "manifest"])
def test_odd_yaml_is_refused_by_all_who_read_yaml(tmp_path, reader):
    """In a process of its own: what is wrong exhausts memory or stack."""
    path = tmp_path / "file.yaml"
    read = {
        "statistics": "from parc.motion_generator.features import read_statistics as read; rest = (15, 142)",
        "manifest": "from parc.anim.dataset import read_manifest as read; rest = ()",
    }[reader]
    script = (
        "import resource; from pathlib import Path; from parc.configuration.errors import UserError\n"
        f"{read}\nresource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        f"try: read(Path({str(path)!r}), *rest)\nexcept UserError: print('refused')\n"
    )
    laughs = LAUGHS.replace("i: &i", "mean: &i") + "std: [1]\nmotions: *i\n"
    for text in (laughs, "mean: " + DEEP, "mean: [" + "9" * 400 + "]\nstd: [1]", "motions: 2020-13-45"):
        path.write_text(text)
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        assert run.stdout.strip() == "refused", run.stderr[-500:]


def test_plain_yaml_is_read(tmp_path):
    content = {"a": [1, 2.5, "x", None, True], "b": {"c": []}, "e": 1e-5}
    assert read_yaml(tmp_path, yaml.safe_dump(content)) == content


def test_a_damaged_config_of_a_run_is_one_line(finished, tiny_config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "mdm_config.yaml").write_text(LAUGHS)
    with pytest.raises(UserError, match="aliases are not read"):
        train(changed(tiny_config, folder=folder))


def test_configs_are_compared_whatever_they_hold(finished, tiny_config):
    with pytest.raises(UserError, match="was started with another config"):
        resumed(read_run(tiny_config).settings, {"model": [1, {"a": None}], "trainer": None})


def test_damaged_prepared_data_is_made_again(finished, tiny_config, tmp_path, caplog):
    config = changed(tiny_config, folder=tmp_path / "run", trainer__epochs=1)
    train(config)
    (cache,) = (tmp_path / "prepared").glob("*.safetensors")
    whole, (old_description, old_tensors) = cache.read_bytes(), read_tensors(cache, library_cache.CACHE_FORMAT)
    old_tensors = {name: tensor.clone() for name, tensor in old_tensors.items()}  # these are the file itself
    for damage in (whole[: len(whole) // 2], whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:], b"", b"x" * 1000):
        cache.write_bytes(damage)
        caplog.clear()
        with caplog.at_level("INFO"):
            config["trainer"]["epochs"] += 1  # or else the run is finished
            train(config)
        assert caplog.text.count("the clips are prepared again") == 1
        description, tensors = read_tensors(cache, library_cache.CACHE_FORMAT)
        assert description == old_description
        assert all(torch.equal(tensor, old_tensors[name]) for name, tensor in tensors.items())


def test_prepared_data_that_points_outside_itself_is_made_again(finished, tmp_path):
    """Its digest is right: somebody made it so."""
    path = tmp_path / "cache.safetensors"
    (cache,) = (finished / "prepared").glob("*.safetensors")
    description, tensors = read_tensors(cache, library_cache.CACHE_FORMAT)
    key = description["key"]
    changes = {
        "num_frames": lambda values: values + 2**40,
        "first_frame": lambda values: values - 1,
        "touched_cells": lambda values: values + 10**6,
        "touched_offsets": lambda values: values.flip(0),
        "terrain_shape": lambda values: values * 1000,
        "heights": lambda values: values[:10],
        "root_rot": lambda values: values[:, :3].double(),
        "fps": lambda values: values[:1],
        "weights": lambda values: values[:, None].expand(-1, 4),
        "wraps": lambda values: values.double(),
    }
    for name, change in changes.items():
        write_tensors(path, library_cache.CACHE_FORMAT, description, tensors | {name: change(tensors[name])})
        assert library_cache.load_prepared(path, key) is None, name
    for other in ({"names": [1, 2, 3]}, {"digests": ["00000000"]}):
        write_tensors(path, library_cache.CACHE_FORMAT, description | other, tensors)
        assert library_cache.load_prepared(path, key) is None
    write_tensors(path, library_cache.CACHE_FORMAT, description, tensors)
    assert library_cache.load_prepared(path, key) is not None


@pytest.mark.parametrize("text", ["[" * 5000, "{}", "[]", "3", '{"step": 1e400, "epoch": 1}', "\xff\xfe", "nul\x00"])
def test_odd_rows_of_metrics_are_left_out(tmp_path, text):
    path = tmp_path / "metrics.jsonl"
    good = '{"step": 4, "epoch": 1}'
    path.write_bytes(good.encode() + b"\n" + text.encode("latin-1") + b"\n")
    assert read_metrics(path) == [json.loads(good)]


class Runs:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_checkpoint_that_runs_something_is_refused_and_runs_nothing(tmp_path):
    target = tmp_path / "it_ran"
    for harm in ({"model": Runs(f"touch {target}")}, Runs(f"touch {target}")):
        torch.save(harm, tmp_path / "evil.ckpt")
        with pytest.raises(UserError, match=r"evil\.ckpt"):
            read_starting_point(tmp_path / "evil.ckpt")
        with pytest.raises(UserError, match=r"evil\.ckpt"):
            read_checkpoint(tmp_path / "evil.ckpt")
    assert not target.exists()


@pytest.mark.parametrize(("beginning", "said"), [(b"", "no 'parc checkpoint 1'"), (b"PK\3\4", "not one of PARC's")])
def test_files_far_too_large_are_refused_unread(tmp_path, beginning, said):
    path = tmp_path / "huge"
    path.write_bytes(beginning)
    os.truncate(path, 2**31)  # zeros that no disk holds
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=said):
            read_starting_point(path)
        with pytest.raises(UserError, match="2,048 MiB, expected at most 32 MiB"):
            read_statistics(path, 15, 7)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
