"""The prepared data: each set of clips made once, in a folder that all share, and used again while nothing has changed."""

import dataclasses
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from parc.anim import library_cache
from parc.anim.character import Character
from parc.anim.clip_files import read_clip, write_clip
from parc.anim.dataset import ClipDataset, ClipEntry, ClipLimits
from parc.anim.file_digests import file_digests, read_known_files
from parc.anim.library_cache import CHECKSUM_LENGTH, PreparedClips, open_prepared_clips
from parc.anim.motion_library import library_of, library_tensors
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.files import locked
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
    return open_prepared_clips(root.parent / "prepared", entries_of(root), limits, humanoid, window)


def made(folder: Path) -> dict[str, tuple[int, int]]:
    """What a folder holds prepared; a set that is made again is a new file."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (folder / "prepared").glob("*.safetensors")
    }


def only_set(folder: Path) -> Path:
    (path,) = (folder / "prepared").glob("*.safetensors")
    return path


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
    before = made(clips.parent)
    # The clips are rubbish now, of the same size and time: reading or hashing any of them would show.
    for path in clips.rglob("*.safetensors"):
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = opened(clips, humanoid)
    assert made(clips.parent) == before
    for name, tensor in library_tensors(first.library).items():
        assert torch.equal(library_tensors(again.library)[name], tensor)


def test_clips_whose_time_alone_has_changed_are_not_prepared_again(clips, humanoid):
    opened(clips, humanoid)
    before = made(clips.parent)
    for path in clips.rglob("*.safetensors"):
        os.utime(path, ns=(1, 1))
    opened(clips, humanoid)
    assert made(clips.parent) == before


def test_clips_whose_time_alone_has_changed_are_hashed_once_more_and_not_at_every_start(clips, humanoid):
    opened(clips, humanoid)
    for path in clips.rglob("*.safetensors"):
        os.utime(path, ns=(1, 1))
    opened(clips, humanoid)
    for path in clips.rglob("*.safetensors"):  # rubbish of the same size and time: hashing any of them would show
        path.write_bytes(b"x" * path.stat().st_size)
        os.utime(path, ns=(1, 1))
    before = made(clips.parent)
    opened(clips, humanoid)
    assert made(clips.parent) == before


def test_clips_moved_to_another_folder_are_not_prepared_again(clips, humanoid, tmp_path):
    opened(clips, humanoid)
    before = made(clips.parent)
    shutil.move(clips, tmp_path / "elsewhere")
    opened(tmp_path / "elsewhere", humanoid)
    assert made(clips.parent) == before


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
    before = made(clips.parent)
    CHANGES[change](clips, humanoid)
    again = opened(clips, humanoid)
    assert before.items() < made(clips.parent).items()  # beside what there was: other runs may want that
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
    path = tmp_path / "prepared"
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
    before = made(clips.parent)
    *others, foot = humanoid.bodies
    bigger = dataclasses.replace(foot.geoms[0], size=(0.4, 0.4, 0.4))
    opened(clips, Character((*others, dataclasses.replace(foot, geoms=(bigger,)))))
    assert before.items() < made(clips.parent).items()


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
    assert made(tmp_path) == {}


def test_a_broken_clip_is_refused_by_name_and_leaves_what_is_there(clips, humanoid):
    opened(clips, humanoid)
    before = made(clips.parent)
    (clips / "run" / "clip0.safetensors").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"clip0\.safetensors"):
        opened(clips, humanoid)
    assert made(clips.parent) == before


@pytest.mark.parametrize("kind", ["rubbish", "empty", "cut off", "of another format", "of no description"])
def test_a_broken_set_is_made_again(clips, humanoid, tmp_path, kind):
    first = opened(clips, humanoid)
    path = only_set(tmp_path)
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
            "of another format": data.replace(b"parc motion library 2", b"parc motion library 1"),
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
        open_prepared_clips(tmp_path / "prepared", entries, LIMITS, humanoid, WINDOW)


def test_preparing_leaves_the_clips_as_they_are(clips, humanoid):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in clips.rglob("*") if path.is_file()}
    opened(clips, humanoid)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in clips.rglob("*") if path.is_file()} == before
    assert len(surface_points(humanoid).points) == 304


def test_a_clip_that_changes_while_it_is_read_is_refused_and_nothing_is_kept_of_it(clips, humanoid, monkeypatch):
    """Other runs would find it under a key that is not its own."""

    def read_and_replace(path, character):
        clip = read_clip(path, character)
        replace_a_clip(clips, humanoid)
        return clip

    with monkeypatch.context() as patch:
        patch.setattr(library_cache, "read_clip", read_and_replace)
        with pytest.raises(UserError, match=r"clip0\.safetensors: the clip changed while it was read"):
            opened(clips, humanoid)
    assert made(clips.parent) == {}
    assert opened(clips, humanoid).names == ["clip0", "clip1", "clip2"]


def test_digests_are_those_of_all_that_training_reads_of_a_clip(clips, humanoid):
    first = opened(clips, humanoid).digests
    # As they have always been: checkpoints hold them. (The clips' own last bits are those of roma 1.5's rotations.)
    kept = {name: digest[:CHECKSUM_LENGTH] for name, digest in first.items()}
    assert kept == {"clip0": "55102e0a", "clip1": "7a21a53e", "clip2": "1a7da1e7"}
    assert opened(clips, humanoid).digests == first
    replace_a_clip(clips, humanoid)
    again = opened(clips, humanoid).digests
    assert [name for name in first if first[name] != again[name]] == ["clip0"]


def test_a_removed_folder_is_made_again(clips, humanoid, tmp_path):
    first = opened(clips, humanoid)
    shutil.rmtree(tmp_path / "prepared")
    assert torch.equal(opened(clips, humanoid).library.root_pos, first.library.root_pos)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_read_only_folder_serves_what_it_holds_and_is_named_for_what_it_does_not(clips, humanoid, tmp_path):
    opened(clips, humanoid)
    (tmp_path / "prepared" / "clip_files.json").unlink()  # not even what is known of the clips can be written
    before = made(tmp_path)
    bind = ["mount", "--bind", tmp_path / "prepared", tmp_path / "prepared"]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", tmp_path / "prepared"], check=True)
        assert opened(clips, humanoid).names == ["clip0", "clip1", "clip2"]
        with pytest.raises(
            UserError, match=r"sampler_save_folder .*prepared: cannot be written \(Read-only file system\)"
        ):
            opened(clips, humanoid, window=0.8)
    finally:
        subprocess.run(["umount", "-l", tmp_path / "prepared"], check=True)
    assert made(tmp_path) == before


def test_what_killed_writers_left_is_taken_away_and_nothing_else(clips, humanoid, tmp_path):
    folder = tmp_path / "prepared"
    dead, live = (folder / f".{digit * 16}.safetensors.x1y2.part" for digit in "ab")
    record = folder / ".clip_files.json.x1y2.part"
    others = [folder / "thesis", folder / ".thesis.part", folder / f".{'a' * 16}.thesis.x1y2.part"]
    for each in (dead, live, record, *others):
        each.mkdir(parents=True)
        (each / "half").write_bytes(b"half of a file")
    with locked(folder / f".{'b' * 16}.lock"):
        opened(clips, humanoid)
    assert [each.exists() for each in (dead, live, record, *others)] == [False, True, False, True, True, True]


def test_what_is_known_of_files_is_kept_when_others_are_added_or_it_is_damaged(clips, humanoid, tmp_path):
    record = tmp_path / "prepared" / "clip_files.json"
    write_clip(tmp_path / "more" / "walk" / "more.safetensors", random_clip(humanoid, 7, frames=20))
    opened(clips, humanoid)
    opened(tmp_path / "more", humanoid)
    assert {Path(name).stem for name in read_known_files(record)} == {"clip0", "clip1", "clip2", "more"}
    record.write_text("rubbish")
    opened(clips, humanoid)
    assert len(read_known_files(record)) == 3


def _remember_many(record: Path, paths: list[Path]) -> None:
    for path in paths:
        file_digests(record, [path])


def test_processes_that_write_what_they_know_of_files_at_once_lose_nothing(tmp_path):
    groups = [[tmp_path / f"{group}{number}" for number in range(15)] for group in "abc"]
    for path in itertools.chain(*groups):
        path.write_text(path.name)
    record = tmp_path / "record.json"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_remember_many, args=(record, group)) for group in groups]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    known = read_known_files(record)
    assert {Path(name) for name in known} == {path.resolve() for path in itertools.chain(*groups)}


def _open_in_process(root: Path, barrier, results) -> None:
    from parc.anim.mjcf import CharacterFile

    torch.set_num_threads(1)
    humanoid = CharacterFile("humanoid.xml").read()
    barrier.wait()
    prepared = opened(root, humanoid)
    results.put((made(root.parent), float(prepared.library.root_pos.double().sum())))


def test_processes_that_open_at_once_make_the_data_once(clips, humanoid):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_open_in_process, args=(clips, barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    first, *others = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    # Written twice, it would be another file for the later one.
    assert others == [first, first]
    assert first[0] == made(clips.parent)


def test_who_wants_a_set_that_another_makes_says_so_and_waits_and_who_wants_another_set_does_not(
    clips, humanoid, tmp_path, caplog
):
    opened(clips, humanoid)
    path = only_set(tmp_path)
    data = path.read_bytes()
    path.unlink()
    with caplog.at_level("INFO", logger="parc"), ThreadPoolExecutor(1) as thread:
        with locked(path.with_name(f".{path.stem}.lock")):
            waiting = thread.submit(opened, clips, humanoid)
            until = time.monotonic() + 60
            while "waiting for another process, which prepares the same clips" not in caplog.text:
                assert time.monotonic() < until
                time.sleep(0.01)
            assert opened(clips, humanoid, window=0.8).names == ["clip1", "clip2"]
            assert not waiting.done()
            path.write_bytes(data)
            before = made(tmp_path)
        assert waiting.result(60).names == ["clip0", "clip1", "clip2"]
    assert made(tmp_path) == before


def _open_many_times(root: Path, window: float, results) -> None:
    from parc.anim.mjcf import CharacterFile

    torch.set_num_threads(1)
    humanoid, entries = CharacterFile("humanoid.xml").read(), entries_of(root)
    wrong = 0
    for _ in range(20):
        prepared = open_prepared_clips(root.parent / "prepared", entries, LIMITS, humanoid, window)
        wrong += prepared.names != [entry.path.stem for entry in entries]
    results.put(wrong)


def test_runs_of_other_clips_never_get_each_others_and_each_set_is_made_once(humanoid, tmp_path):
    for name in ("one", "other"):
        write_clip(tmp_path / name / "walk" / f"{name}.safetensors", random_clip(humanoid, frames=20, cells=(6, 6)))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=_open_many_times, args=(tmp_path / name, WINDOW, results))
        for name in ("one", "other", "one", "other")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert [results.get(timeout=10) for _ in processes] == [0, 0, 0, 0]
    assert len(made(tmp_path)) == 2
