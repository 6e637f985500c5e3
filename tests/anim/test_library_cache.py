"""The prepared data: made once, used again while nothing has changed, made anew when anything has."""

import dataclasses
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from parc.anim.character import Character
from parc.anim.clip_files import write_clip
from parc.anim.dataset import ClipDataset, ClipEntry, ClipLimits
from parc.anim.library_cache import PreparedClips, open_prepared_clips
from parc.anim.motion_library import library_of, library_tensors
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from synthetic_clips import preprocessed, random_clip

LIMITS = ClipLimits(15, 1001, 1001)
WINDOW = 14 / 30


@pytest.fixture
def clips(humanoid, tmp_path) -> Path:
    root = tmp_path / "clips"
    for number, (kind, frames) in enumerate([("run", 20), ("walk", 30), ("walk", 40)]):
        write_clip(root / kind / f"clip{number}.safetensors", random_clip(humanoid, number, frames=frames))
    return root


def entries_of(root: Path) -> list[ClipEntry]:
    return ClipDataset(str(root), 15, 1001, 1001, []).entries()


def opened(root: Path, humanoid: Character, limits: ClipLimits = LIMITS, window: float = WINDOW) -> PreparedClips:
    return open_prepared_clips(root.parent / "cache.safetensors", entries_of(root), limits, humanoid, window)


def stamp(root: Path) -> tuple[int, int]:
    """What changes when the cache is written again: it is a new file."""
    status = (root.parent / "cache.safetensors").stat()
    return status.st_ino, status.st_mtime_ns


def test_prepared_clips_are_the_clips(clips, humanoid):
    prepared = opened(clips, humanoid)
    assert prepared.names == ["clip0", "clip1", "clip2"]
    assert prepared.classes == ["run", "walk", "walk"]
    assert prepared.excluded == []
    expected = library_of(
        preprocessed(humanoid, [random_clip(humanoid, n, frames=f) for n, f in enumerate([20, 30, 40])]),
        [1.5, 1.5 * 3 / 7, 1.5 * 4 / 7],
    )
    for name, tensor in library_tensors(prepared.library).items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, library_tensors(expected)[name], atol=1e-6, rtol=1e-6)
        else:
            assert torch.equal(tensor, library_tensors(expected)[name]), name


def test_an_unchanged_dataset_is_not_read_again(clips, humanoid):
    first = opened(clips, humanoid)
    before = stamp(clips)
    # The clips are rubbish now, of the same size and time: reading or hashing any of them would show.
    for path in clips.rglob("*.safetensors"):
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = opened(clips, humanoid)
    assert stamp(clips) == before
    for name, tensor in library_tensors(first.library).items():
        assert torch.equal(library_tensors(again.library)[name], tensor)


def test_clips_whose_time_alone_has_changed_are_not_prepared_again(clips, humanoid):
    opened(clips, humanoid)
    before = stamp(clips)
    for path in clips.rglob("*.safetensors"):
        os.utime(path, ns=(1, 1))
    opened(clips, humanoid)
    assert stamp(clips) == before


def test_clips_whose_time_alone_has_changed_are_hashed_once_more_and_not_at_every_start(clips, humanoid):
    opened(clips, humanoid)
    for path in clips.rglob("*.safetensors"):
        os.utime(path, ns=(1, 1))
    opened(clips, humanoid)
    for path in clips.rglob("*.safetensors"):  # rubbish of the same size and time: hashing any of them would show
        path.write_bytes(b"x" * path.stat().st_size)
        os.utime(path, ns=(1, 1))
    before = stamp(clips)
    opened(clips, humanoid)
    assert stamp(clips) == before


def test_clips_moved_to_another_folder_are_not_prepared_again(clips, humanoid, tmp_path):
    opened(clips, humanoid)
    before = stamp(clips)
    shutil.move(clips, tmp_path / "elsewhere")
    opened(tmp_path / "elsewhere", humanoid)
    assert stamp(clips) == before


def replace_a_clip(clips, humanoid):
    write_clip(clips / "run" / "clip0.safetensors", random_clip(humanoid, seed=99, frames=20))


def add_a_clip(clips, humanoid):
    write_clip(clips / "run" / "clip9.safetensors", random_clip(humanoid, seed=9))


CHANGES = {
    "a clip of other content": replace_a_clip,
    "a clip more": add_a_clip,
    "a clip less": lambda clips, _: (clips / "walk" / "clip1.safetensors").unlink(),
    "another name": lambda clips, _: (clips / "walk" / "clip1.safetensors").rename(clips / "walk" / "x.safetensors"),
    "another class": lambda clips, _: (clips / "walk").rename(clips / "stroll"),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_changed_clips_are_prepared_again(clips, humanoid, change):
    first = opened(clips, humanoid)
    before = stamp(clips)
    CHANGES[change](clips, humanoid)
    again = opened(clips, humanoid)
    assert stamp(clips) != before
    entries = entries_of(clips)
    assert again.names == [entry.path.stem for entry in entries]
    assert again.classes == [entry.motion_class for entry in entries]
    if change == "a clip of other content":
        assert not torch.equal(again.library.root_pos, first.library.root_pos)


def test_content_changed_at_the_same_size_is_noticed_by_its_time(clips, humanoid):
    first = opened(clips, humanoid)
    path = clips / "run" / "clip0.safetensors"
    size = path.stat().st_size
    replace_a_clip(clips, humanoid)
    assert path.stat().st_size == size
    assert not torch.equal(opened(clips, humanoid).library.root_pos, first.library.root_pos)


def test_other_weights_are_prepared_again(clips, humanoid, tmp_path):
    path = tmp_path / "cache.safetensors"
    one, two = ([dataclasses.replace(e, weight=w) for e in entries_of(clips)] for w in (1.0, 2.0))
    assert open_prepared_clips(path, one, LIMITS, humanoid, WINDOW).library.weights.tolist() == [1.0] * 3
    assert open_prepared_clips(path, two, LIMITS, humanoid, WINDOW).library.weights.tolist() == [2.0] * 3


def test_other_limits_and_windows_are_prepared_again(clips, humanoid):
    assert len(opened(clips, humanoid).names) == 3
    assert opened(clips, humanoid, ClipLimits(35, 1001, 1001)).names == ["clip2"]
    assert len(opened(clips, humanoid, ClipLimits(15, 20, 24)).names) == 3
    assert opened(clips, humanoid, window=0.8).names == ["clip1", "clip2"]


def test_another_character_is_prepared_again(clips, humanoid):
    opened(clips, humanoid)
    before = stamp(clips)
    *others, foot = humanoid.bodies
    bigger = dataclasses.replace(foot.geoms[0], size=(0.4, 0.4, 0.4))
    opened(clips, Character((*others, dataclasses.replace(foot, geoms=(bigger,)))))
    assert stamp(clips) != before


def test_short_and_large_clips_are_left_out_with_one_line_that_counts_them(clips, humanoid, caplog):
    for number, options in enumerate([{"frames": 14}, {"frames": 5}, {"cells": (40, 4)}, {"frames": 20, "fps": 60.0}]):
        write_clip(clips / "odd" / f"odd{number}.safetensors", random_clip(humanoid, number, **options))
    with caplog.at_level("INFO", logger="parc"):
        prepared = opened(clips, humanoid, ClipLimits(15, 30, 30))
    assert prepared.names == ["clip0", "clip1", "clip2"]
    assert [name for name, _ in prepared.excluded] == ["odd0", "odd1", "odd2", "odd3"]
    (line,) = [message for message in caplog.messages if "left out" in message]
    assert "left out 4 of 7 clips" in line
    assert "2 with fewer than 15 frames" in line
    assert "training window" in line
    assert "terrain" in line


def test_a_dataset_of_which_nothing_is_left_is_refused_and_leaves_no_cache(clips, humanoid, tmp_path):
    with pytest.raises(UserError, match="all 3 clips are left out"):
        opened(clips, humanoid, ClipLimits(100, 9, 9))
    assert not (tmp_path / "cache.safetensors").exists()


def test_a_broken_clip_is_refused_by_name_and_leaves_the_old_cache(clips, humanoid):
    opened(clips, humanoid)
    before = stamp(clips)
    (clips / "run" / "clip0.safetensors").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"clip0\.safetensors"):
        opened(clips, humanoid)
    assert stamp(clips) == before


@pytest.mark.parametrize("kind", ["rubbish", "empty", "cut off", "of another format", "of no description"])
def test_a_broken_cache_is_made_again(clips, humanoid, tmp_path, kind):
    first = opened(clips, humanoid)
    path = tmp_path / "cache.safetensors"
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["description"])
    assert description["names"] == first.names
    path.unlink()  # the library is mapped into memory: its file is not to be written into
    path.write_bytes(
        {
            "rubbish": b"rubbish" * 100,
            "empty": b"",
            "cut off": data[:-1],
            "of another format": data.replace(b"parc motion library 1", b"parc motion library 0"),
            "of no description": data[: 8 + header].replace(b'"description"', b'"descriptiom"') + data[8 + header :],
        }[kind]
    )
    again = opened(clips, humanoid)
    assert torch.equal(again.library.root_pos, first.library.root_pos)
    assert path.read_bytes()[-1000:] == data[-1000:]


def test_a_missing_clip_is_refused_by_name(clips, humanoid, tmp_path):
    entries = entries_of(clips)
    (clips / "run" / "clip0.safetensors").unlink()
    with pytest.raises(UserError, match=r"clip0\.safetensors: the clip cannot be read"):
        open_prepared_clips(tmp_path / "cache.safetensors", entries, LIMITS, humanoid, WINDOW)


def test_preparing_leaves_the_clips_as_they_are(clips, humanoid):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in clips.rglob("*") if path.is_file()}
    opened(clips, humanoid)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in clips.rglob("*") if path.is_file()} == before
    assert len(surface_points(humanoid).points) == 304


def _open_in_process(root: Path, barrier, results) -> None:
    from parc.anim.mjcf import CharacterFile

    torch.set_num_threads(1)
    humanoid = CharacterFile("humanoid.xml").read()
    barrier.wait()
    prepared = opened(root, humanoid)
    results.put((stamp(root), float(prepared.library.root_pos.double().sum())))


def test_processes_that_open_at_once_make_the_data_once(clips, humanoid):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_open_in_process, args=(clips, barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    seen = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    # Written twice, it would be another file for the later one.
    assert len(set(seen)) == 1
    assert seen[0][0] == stamp(clips)


def _open_many_times(root: Path, cache: Path, results) -> None:
    from parc.anim.mjcf import CharacterFile

    torch.set_num_threads(1)
    humanoid, entries = CharacterFile("humanoid.xml").read(), entries_of(root)
    wrong = 0
    for _ in range(40):
        prepared = open_prepared_clips(cache, entries, LIMITS, humanoid, WINDOW)
        wrong += prepared.names != [entry.path.stem for entry in entries]
    results.put(wrong)


def test_runs_of_other_clips_that_share_a_cache_never_get_each_others(humanoid, tmp_path):
    for name in ("one", "other"):
        write_clip(tmp_path / name / "walk" / f"{name}.safetensors", random_clip(humanoid, frames=20, cells=(6, 6)))
    context = multiprocessing.get_context("fork")
    results, cache = context.Queue(), tmp_path / "cache.safetensors"
    processes = [
        context.Process(target=_open_many_times, args=(tmp_path / name, cache, results))
        for name in ("one", "other", "one", "other")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert [results.get(timeout=10) for _ in processes] == [0, 0, 0, 0]
