"""Clip files that were cut off, mutated or made to do harm: each loads or gives one line, and nothing ever runs."""

import builtins
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from golden_arrays import ALL_CLIPS
from parc.anim.clip_files import read_clip, write_clip
from parc.configuration.errors import UserError
from synthetic_clips import random_clip


def read_or_refuse(path, humanoid) -> str | None:
    """Return the one line with which a file is refused, or None where it loads. Any other exception is a failure."""
    try:
        clip = read_clip(path, humanoid)
    except UserError as error:
        message = str(error)
        assert "\n" not in message
        assert str(path) in message
        assert len(message) < 600
        return message
    assert torch.isfinite(clip.root_pos).all()
    return None


def parc_pickle(**changes) -> bytes:
    """Return a clip as PARC writes one, some of its fields changed or, where they are None, left out."""
    frames = 20
    unit = np.tile(np.array([0, 0, 0, 1], dtype=np.float32), (frames, 1))
    motion = {
        "root_pos": np.zeros((frames, 3), dtype=np.float32),
        "root_rot": unit,
        "joint_rot": np.tile(unit[:, None], (1, 14, 1)),
        "body_contacts": np.zeros((frames, 15), dtype=np.float32),
        "fps": 30,
        "loop_mode": "CLAMP",
    }
    terrain = {
        "hf": np.zeros((6, 7), dtype=np.float32),
        "hf_maxmin": np.zeros((6, 7, 2), dtype=np.float32),
        "min_point": np.zeros(2, dtype=np.float32),
        "dx": np.float32(0.4),
    }
    misc = {"hf_mask_inds": [np.zeros((3, 2), dtype=np.int64)] * frames, "path_nodes": np.zeros((4, 3))}
    protocol = changes.pop("protocol", 4)
    for key, value in changes.items():
        for part in (motion, terrain, misc):
            if key in part:
                part[key] = value
    parts = {"motion_data": motion, "terrain_data": terrain, "misc_data": misc}
    for name, part in parts.items():
        if name in changes:
            parts[name] = changes[name]
        else:
            parts[name] = pickle.dumps({key: value for key, value in part.items() if value is not None}, protocol)
    return pickle.dumps({name: part for name, part in parts.items() if part != "left out"}, protocol)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_clip_of_any_protocol_is_read(tmp_path, humanoid, protocol):
    path = tmp_path / "clip.pkl"
    path.write_bytes(parc_pickle(protocol=protocol))
    clip = read_clip(path, humanoid)
    assert clip.num_frames == 20
    assert clip.joint_rot[:, :, 3].min() == 1
    assert clip.path_nodes.shape == (4, 3)
    assert clip.terrain.cell_size == pytest.approx(0.4)


def test_numpys_older_module_names_are_read(tmp_path, humanoid):
    path = tmp_path / "clip.pkl"
    data = parc_pickle(protocol=2)
    for new, old in [(b"numpy._core.multiarray", b"numpy.core.multiarray")]:
        assert new in data or old in data
    # Inner pickles are bytes in the outer one, whose lengths must stay as they are: they are pickled anew.
    outer = pickle.loads(data)
    outer = {key: value.replace(b"numpy._core.multiarray", b"numpy.core.multiarray") for key, value in outer.items()}
    path.write_bytes(pickle.dumps(outer))
    assert read_or_refuse(path, humanoid) is None


def test_misc_data_may_be_missing(tmp_path, humanoid):
    path = tmp_path / "clip.pkl"
    for misc in (None, "left out"):
        path.write_bytes(parc_pickle(misc_data=misc))
        assert read_clip(path, humanoid).path_nodes is None


UNREADABLE_MISC_DATA = {
    "no bytes": 3,
    "no pickle": b"rubbish",
    "no array": pickle.dumps({"path_nodes": "x"}),
    "an array of objects": pickle.dumps({"path_nodes": np.zeros((4, 3)), "others": np.array([None, "a"])}),
}


@pytest.mark.parametrize("name", UNREADABLE_MISC_DATA)
def test_misc_data_that_cannot_be_read_is_skipped_with_one_line(tmp_path, humanoid, caplog, name):
    path = tmp_path / "clip.pkl"
    path.write_bytes(parc_pickle(misc_data=UNREADABLE_MISC_DATA[name]))
    with caplog.at_level("INFO"):
        assert read_clip(path, humanoid).path_nodes is None
    (message,) = caplog.messages
    assert message.startswith(f"{path}: misc_data") and "skipped" in message and "\n" not in message


NONE = np.zeros((0, 3), dtype=np.float32)
BAD_FIELDS = [
    ("root_pos", None), ("root_pos", NONE), ("root_pos", [[0, 0, 0]] * 20), ("root_pos", np.full((20, 3), np.nan)),
    ("root_pos", np.zeros((20, 3), dtype=object)), ("root_pos", np.full((20, 3), "a")), ("root_rot", np.zeros((20, 4))),
    ("joint_rot", np.zeros((20, 13, 4))), ("body_contacts", np.full((20, 15), 2.0)), ("body_contacts", None),
    ("fps", None), ("fps", 0), ("fps", -30), ("fps", float("nan")), ("fps", "30"), ("fps", 10**400), ("fps", True),
    ("loop_mode", None), ("loop_mode", "loop"), ("loop_mode", 1), ("hf", None), ("hf", np.zeros((0, 5))),
    ("hf", np.full((6, 7), np.inf)), ("hf_maxmin", np.zeros((7, 6, 2))), ("hf_maxmin", "x"), ("min_point", np.zeros(3)),
    ("dx", 0.0), ("dx", None), ("dx", np.zeros(2)), ("motion_data", None), ("motion_data", "left out"),
    ("motion_data", "text"), ("motion_data", pickle.dumps([1])), ("motion_data", b""), ("terrain_data", None),
    ("terrain_data", b"\x80\x04"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS, ids=[f"{n}-{f}" for n, (f, _) in enumerate(BAD_FIELDS)])
def test_a_bad_field_of_a_pickled_clip_is_named_with_what_was_expected(tmp_path, humanoid, field, value):
    path = tmp_path / "clip.pkl"
    path.write_bytes(parc_pickle(**{field: value}))
    message = read_or_refuse(path, humanoid)
    assert message is not None
    assert "expected" in message
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "OU"):  # those are refused while still unnamed
        assert field.removeprefix("body_") in message


@pytest.mark.parametrize("kind", ["ours", "PARC's"])
def test_a_file_cut_off_anywhere_gives_one_line(tmp_path, humanoid, clips_folder, kind):
    path = tmp_path / ("clip.safetensors" if kind == "ours" else "clip.pkl")
    if kind == "ours":
        write_clip(path, random_clip(humanoid, frames=20, cells=(4, 5)))
    else:
        path.write_bytes((clips_folder / "sfu.pkl").read_bytes())
    whole = path.read_bytes()
    for length in {*range(40), *np.random.default_rng(0).integers(0, len(whole), 110).tolist(), len(whole) - 1}:
        path.write_bytes(whole[:length])
        assert read_or_refuse(path, humanoid) is not None, length


def mutated(whole: bytes, random: np.random.Generator, where: int) -> bytes:
    """Return the bytes with a few of the first `where` changed, inserted, taken out or repeated."""
    data = bytearray(whole)
    for _ in range(random.integers(1, 6)):
        place = int(random.integers(0, min(where, len(data))))
        kind = random.integers(0, 4)
        if kind == 0:
            data[place] = int(random.integers(0, 256))
        elif kind == 1:
            data[place] ^= 1 << int(random.integers(0, 8))
        elif kind == 2:
            del data[place : place + int(random.integers(1, 5))]
        else:
            data[place:place] = data[place : place + int(random.integers(1, 9))]
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["ours", "PARC's", "inside PARC's"])
def test_hundreds_of_mutated_files_load_or_give_one_line(tmp_path, humanoid, kind, seed):
    random = np.random.default_rng(seed)
    path = tmp_path / ("clip.safetensors" if kind == "ours" else "clip.pkl")
    if kind == "ours":
        write_clip(path, random_clip(humanoid, frames=20, cells=(4, 5)))
    whole = path.read_bytes() if kind == "ours" else parc_pickle(protocol=2 + seed)
    parts = pickle.loads(whole) if kind == "inside PARC's" else {}
    refused = 0
    for _ in range(60):
        if parts:
            name = list(parts)[int(random.integers(0, 3))]
            data = pickle.dumps(parts | {name: mutated(parts[name], random, where=500)})
        else:
            data = mutated(whole, random, where=900)
        path.write_bytes(data)
        refused += read_or_refuse(path, humanoid) is not None
    assert refused > 15  # the mutations do reach what matters


@pytest.mark.parametrize("dtype", ["F64", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F4", "I8", "BOOL", "U16", "C64", "X99"])
def test_tensors_of_any_kind_load_or_give_one_line(tmp_path, humanoid, dtype):
    path = tmp_path / "clip.safetensors"
    write_clip(path, random_clip(humanoid, frames=20, cells=(4, 5)))
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["root_pos"]["dtype"] = dtype
    bits = {"F64": 64, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F4": 4, "I8": 8, "BOOL": 8, "U16": 16}
    first, last = header["root_pos"]["data_offsets"]
    header["root_pos"]["shape"] = [(last - first) * 8 // bits.get(dtype, 64) // 3, 3]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert read_or_refuse(path, humanoid) is not None  # of other shapes at the least


class Runs:
    """Pickles into a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def harmful(target) -> dict:
    command = f"touch {target}"
    return {
        "os.system": Runs(os.system, command),
        "eval": Runs(builtins.eval, f"__import__('os').system({command!r})"),
        "exec": Runs(builtins.exec, f"import os; os.system({command!r})"),
        "subprocess": Runs(subprocess.Popen, command.split()),
        "getattr": Runs(builtins.getattr, "", "upper"),
        "open": Runs(builtins.open, str(target), "w"),
        "numpy.load": Runs(np.load, str(target)),
        "class": Runs(type, "Name", (), {}),
        "object array": np.array([Runs(os.system, command)], dtype=object),
        "torch tensor": torch.zeros(3),
    }


@pytest.mark.parametrize("name", list(harmful("nowhere")))
@pytest.mark.parametrize("place", ["whole file", "outer dict", "motion_data", "inside motion_data", "terrain_data"])
def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path, humanoid, name, place):
    target = tmp_path / "it ran".replace(" ", "_")
    harm = harmful(target)[name]
    good = pickle.loads(parc_pickle())
    motion = pickle.loads(good["motion_data"])
    data = {
        "whole file": harm,
        "outer dict": good | {"extra": harm},
        "motion_data": good | {"motion_data": pickle.dumps(harm)},
        "inside motion_data": good | {"motion_data": pickle.dumps(motion | {"extra": [[harm]]})},
        "terrain_data": good | {"terrain_data": pickle.dumps({"hf": harm})},
    }[place]
    path = tmp_path / "clip.pkl"
    path.write_bytes(pickle.dumps(data))
    assert read_or_refuse(path, humanoid) is not None
    assert not target.exists()


@pytest.mark.parametrize("name", ["os.system", "eval", "torch tensor"])
def test_misc_data_that_runs_something_is_skipped_by_name_and_runs_nothing(tmp_path, humanoid, caplog, name):
    target = tmp_path / "it_ran"
    path = tmp_path / "clip.pkl"
    path.write_bytes(parc_pickle(misc_data=pickle.dumps({"path_nodes": harmful(target)[name]})))
    with caplog.at_level("INFO"):
        assert read_clip(path, humanoid).path_nodes is None
    assert not target.exists()
    assert len(caplog.messages) == 1
    assert "skipped" in caplog.messages[0]
    assert {"os.system": "system", "eval": "eval", "torch tensor": "torch"}[name] in caplog.messages[0]


def test_a_pickle_cannot_ask_for_memory_that_it_does_not_bring(tmp_path, humanoid):
    path = tmp_path / "clip.pkl"
    bombs = [
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x",  # BINBYTES8 of a terabyte
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # LONG_BINPUT far beyond the memo
        b"\x80\x02N" + b"p2000000000\n.",
        b"(" * 100_000 + b".",
    ]
    for bomb in bombs:
        path.write_bytes(bomb)
        assert read_or_refuse(path, humanoid) is not None


@pytest.mark.parametrize("name", ALL_CLIPS)
def test_parcs_own_clips_load(humanoid, clips_folder, name):
    assert read_or_refuse(clips_folder / f"{name}.pkl", humanoid) is None


def test_reading_a_pickled_clip_imports_nothing_that_it_names(tmp_path):
    """A name is refused before its module would be imported: importing runs code, too."""
    module = tmp_path / "harmful_module.py"
    module.write_text(f"open({str(tmp_path / 'it_ran')!r}, 'w')\nclass Thing: pass\n")
    (tmp_path / "clip.pkl").write_bytes(b"\x80\x02charmful_module\nThing\n.")
    script = (
        "import sys; from pathlib import Path; from parc.anim.mjcf import CharacterFile\n"
        "from parc.anim.clip_files import read_clip\n"
        "try: read_clip(Path('clip.pkl'), CharacterFile('humanoid.xml').read())\n"
        "except Exception as error: print(type(error).__name__, 'harmful_module' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.split() == ["UserError", "False"]
    assert not (tmp_path / "it_ran").exists()
