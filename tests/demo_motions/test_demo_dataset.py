import logging
import multiprocessing
import os

import pytest
import safetensors
import torch
from demo_clips import humanoid_and_surface

from parc.anim.clip_files import read_clip, write_clip
from parc.anim.dataset import ClipDataset
from parc.anim.ground_statistics import GroundStatistics
from parc.anim.mirror import mirror_clip
from parc.configuration.errors import UserError
from parc.demo_motions import dataset
from parc.demo_motions.dataset import DemoMotions
from parc.demo_motions.motion_classes import MOTION_CLASSES

CLASSES = len(MOTION_CLASSES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set that tests only look at."""
    folder = tmp_path_factory.mktemp("made")
    return folder, DemoMotions(2 * CLASSES + 1, seed=3, folder=str(folder)).entries()


def test_a_later_iteration_takes_the_clips_of_the_set_not_all_of_the_folder(made):
    folder, entries = made
    smaller = DemoMotions(CLASSES, seed=3, folder=str(folder))
    grown = ClipDataset(smaller.sources, **vars(smaller.limits), halved_classes=[]).entries()
    assert grown == smaller.entries()
    assert len(grown) < len(entries)


def contents(entries):
    """Names, metadata and every bit of the numbers; the order of the metadata in a file is the library's business."""
    found = {}
    for entry in entries:
        with safetensors.safe_open(entry.path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118
            found[entry.path.name] = (file.metadata(), tensors)
    return found


def test_as_many_clips_as_classes_cover_all_classes(tmp_path):
    wanted = DemoMotions(CLASSES, seed=0, folder=str(tmp_path))._wanted()
    assert {path.parent.name for path in wanted} == set(MOTION_CLASSES)
    assert len(wanted) == CLASSES


def test_the_set_covers_all_classes(made):
    _, entries = made
    assert {entry.motion_class for entry in entries} == set(MOTION_CLASSES)
    assert len(entries) == 2 * CLASSES + 1


@pytest.mark.parametrize("clips", [1, 2, CLASSES - 1, CLASSES + 2, 2 * CLASSES, 60, 61])
def test_any_number_of_clips_is_planned_half_of_them_mirrored(tmp_path, clips):
    wanted = DemoMotions(clips, seed=0, folder=str(tmp_path))._wanted()
    mirrored = sum(mirror for _, mirror in wanted.values())
    assert len(wanted) == clips
    if clips >= 2 * CLASSES:
        assert mirrored == clips // 2


def test_a_larger_set_holds_the_smaller_one_bit_for_bit(made, tmp_path):
    _, entries = made
    small = contents(DemoMotions(4, seed=3, folder=str(tmp_path / "small")).entries())
    assert small.items() <= contents(entries).items()


def test_the_seed_decides_everything(made, tmp_path):
    _, entries = made
    again = DemoMotions(2, seed=3, folder=str(tmp_path / "again")).entries()
    other = DemoMotions(2, seed=4, folder=str(tmp_path / "other")).entries()
    assert contents(again).items() <= contents(entries).items()
    for name, content in contents(other).items():
        assert content != contents(again)[name]


def test_clips_are_read_back_as_any_others_and_mirror_images_are_mirror_images(made):
    folder, entries = made
    character, _ = humanoid_and_surface()
    walked = ClipDataset(str(folder), 15, 1001, 1001, []).entries()
    assert [(entry.path, entry.motion_class) for entry in walked] == [
        (entry.path, entry.motion_class) for entry in entries
    ]
    names = {entry.path.stem: entry.path for entry in entries}
    originals = [name for name in names if f"{name}_mirrored" in names]
    assert len(originals) == CLASSES
    for name in originals[:3]:
        original, mirrored = (read_clip(names[n], character) for n in (name, f"{name}_mirrored"))
        assert torch.equal(mirror_clip(original, character).joint_rot, mirrored.joint_rot)
        assert original.height_bounds is not None
        assert mirrored.name == f"{name}_mirrored"


def test_a_set_that_is_there_is_not_made_again(made, caplog, monkeypatch):
    folder, entries = made
    before = {entry.path: entry.path.stat().st_mtime_ns for entry in entries}
    monkeypatch.setattr(dataset, "make_clip", None)  # calling it would fail
    with caplog.at_level(logging.INFO):
        again = DemoMotions(2 * CLASSES + 1, seed=3, folder=str(folder)).entries()
    assert again == entries
    assert {entry.path: entry.path.stat().st_mtime_ns for entry in again} == before
    assert not caplog.records


def test_only_missing_and_broken_clips_are_made_and_come_out_the_same(tmp_path, caplog):
    motions = DemoMotions(4, seed=1, folder=str(tmp_path))
    entries = motions.entries()
    whole = contents(entries)
    entries[0].path.unlink()
    entries[1].path.write_bytes(entries[1].path.read_bytes()[:-100])
    caplog.clear()  # a training before in this process has turned messages on
    with caplog.at_level(logging.INFO):
        assert contents(motions.entries()) == whole
    assert len(caplog.records) == 1
    assert "made 2 demo motions" in caplog.text


def test_another_seed_replaces_the_clips_of_the_folder(tmp_path):
    DemoMotions(3, seed=1, folder=str(tmp_path)).entries()
    entries = DemoMotions(2, seed=2, folder=str(tmp_path)).entries()
    assert sorted(tmp_path.rglob("*.safetensors")) == [entry.path for entry in entries]
    fresh = DemoMotions(2, seed=2, folder=str(tmp_path / "fresh")).entries()
    assert contents(entries) == contents(fresh)


def test_another_version_of_the_generator_makes_the_clips_anew(tmp_path, monkeypatch, caplog):
    DemoMotions(1, seed=1, folder=str(tmp_path)).entries()
    monkeypatch.setattr(dataset, "generator_version", lambda: "another")
    with caplog.at_level(logging.INFO):
        DemoMotions(1, seed=1, folder=str(tmp_path)).entries()
    assert "made 1 demo motions" in caplog.text


@pytest.mark.parametrize(
    "name", ["walking/mine.safetensors", "walking_00000.safetensors", "walking/walking_00000.safetensors"]
)
def test_a_folder_with_other_clips_is_refused_and_left_alone(made, tmp_path, name):
    _, entries = made
    character, _ = humanoid_and_surface()
    path = tmp_path / name
    write_clip(path, read_clip(entries[0].path, character))
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"no demo motion .*choose another"):
        DemoMotions(1, seed=0, folder=str(tmp_path)).entries()
    assert path.read_bytes() == before
    assert not list(tmp_path.rglob("*.json"))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        DemoMotions(1, seed=0, folder=str(tmp_path / "file" / "folder")).entries()


@pytest.mark.parametrize(
    ("setting", "value"), [("clips", 0), ("seed", -1), ("min_num_frames", 1), ("max_terrain_dim_x", 0)]
)
def test_settings_out_of_range_are_refused_by_name(setting, value):
    settings = {"clips": 1, "seed": 0, "folder": "somewhere"} | {setting: value}
    with pytest.raises(UserError, match=f"dataset.{setting} is {value}"):
        DemoMotions(**settings)


def test_the_constructor_touches_no_files(tmp_path):
    DemoMotions(5, seed=0, folder=str(tmp_path / "not made"))
    assert not list(tmp_path.iterdir())


def test_environment_variables_in_the_folder_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_PLACE", str(tmp_path))
    (entry,) = DemoMotions(1, seed=0, folder="$SOME_PLACE/set").entries()
    assert entry.path.is_relative_to(tmp_path / "set")


def entries_in_a_process(folder):
    return [os.fspath(entry.path) for entry in DemoMotions(4, seed=5, folder=folder).entries()]


@pytest.mark.slow
def test_processes_that_start_together_make_one_set(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(entries_in_a_process, [str(tmp_path)] * 2)
    assert first == second
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    assert not list(tmp_path.rglob("*.part"))


def test_the_ground_changes_in_many_windows(made):
    _, entries = made
    character, _ = humanoid_and_surface()
    ground = GroundStatistics()
    for entry in entries:
        ground.add(read_clip(entry.path, character), entry.motion_class)
    assert ground.share_changing() > 0.35  # of few clips; of the demo's 160 it is half (python -m parc.dataset)
