"""A clip written as PARC's pickle is the same clip when it is read again, and holds what PARC's code looks for."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from golden_arrays import ALL_CLIPS
from parc.anim.clip_files import read_clip
from parc.anim.dataset import ClipEntry, read_manifest
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import surface_points
from parc.exchange.parc_clip import write_parc, write_parc_dataset
from synthetic_clips import random_clip

HUMANOID = CharacterFile("humanoid.xml")


def assert_same_clip(first: MotionClip, second: MotionClip) -> None:
    for name in ("root_pos", "root_rot", "joint_rot", "contacts", "height_bounds"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert torch.equal(first.terrain.heights, second.terrain.heights)
    assert torch.equal(first.terrain.min_point, second.terrain.min_point)
    assert (first.name, first.fps, first.loop_mode) == (second.name, second.fps, second.loop_mode)
    assert first.terrain.cell_size == second.terrain.cell_size
    assert (first.path_nodes is None) == (second.path_nodes is None)
    assert first.path_nodes is None or second.path_nodes is None or torch.equal(first.path_nodes, second.path_nodes)


def parts_of(path) -> dict:
    """Return what is in a file that was written here a moment ago, as PARC's code reads it."""
    return {name: pickle.loads(part) for name, part in pickle.loads(path.read_bytes()).items()}


@pytest.mark.parametrize("name", ALL_CLIPS)
def test_parcs_own_clips_are_the_same_when_they_are_written_again(name, humanoid, clips_folder, tmp_path):
    clip = read_clip(clips_folder / f"{name}.pkl", humanoid)
    (path,) = write_parc(tmp_path, clip, HUMANOID)
    assert path == tmp_path / f"{name}.pkl"
    assert_same_clip(read_clip(path, humanoid), clip)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    frames=st.integers(2, 40),
    fps=st.floats(0.5, 1000) | st.sampled_from([30.0, 120.0]),
    loop_mode=st.sampled_from(LoopMode),
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    cell_size=st.floats(0.01, 2),
    bounds=st.booleans(),
    nodes=st.one_of(st.none(), st.integers(0, 5)),
)
def test_any_clip_is_the_same_when_it_is_read_again(
    humanoid, tmp_path, seed, frames, fps, loop_mode, cells, cell_size, bounds, nodes
):
    clip = random_clip(humanoid, seed, frames=frames, fps=fps, loop_mode=loop_mode, cells=cells, cell_size=cell_size)
    clip = dataclasses.replace(
        clip,
        height_bounds=torch.randn(*cells, 2) if bounds else None,
        path_nodes=None if nodes is None else torch.randn(nodes, 3),
    )
    (path,) = write_parc(tmp_path, clip, HUMANOID)
    computed = preprocess_clip(clip, humanoid, surface_points(humanoid)).height_bounds
    expected = clip if bounds else dataclasses.replace(clip, height_bounds=computed)
    assert_same_clip(read_clip(path, humanoid), expected)


def test_the_file_holds_the_names_and_kinds_that_parc_has(humanoid, tmp_path):
    clip = dataclasses.replace(random_clip(humanoid, frames=12), path_nodes=torch.randn(4, 3))
    parts = parts_of(write_parc(tmp_path, clip, HUMANOID)[0])
    motion, terrain, misc = (parts[name] for name in ("motion_data", "terrain_data", "misc_data"))
    assert list(motion) == ["root_pos", "root_rot", "joint_rot", "body_contacts", "fps", "loop_mode"]
    assert (motion["fps"], type(motion["fps"]), motion["loop_mode"]) == (30, int, "CLAMP")
    assert list(terrain) == ["hf", "hf_maxmin", "min_point", "dx"]
    arrays = [motion[name] for name in ("root_pos", "root_rot", "joint_rot", "body_contacts")]
    arrays += [terrain[name] for name in ("hf", "hf_maxmin", "min_point")] + [misc["path_nodes"]]
    assert all(type(each) is np.ndarray and each.dtype == np.float32 for each in arrays)
    touched = preprocess_clip(clip, humanoid, surface_points(humanoid)).touched
    assert len(misc["hf_mask_inds"]) == 12
    for frame, cells in enumerate(misc["hf_mask_inds"]):
        first, last = touched.offsets[frame : frame + 2].tolist()
        assert cells.shape == (last - first, 2) and last > first
        assert np.array_equal(cells, touched.cells[first:last].numpy())


def test_a_dataset_names_its_clips_and_their_weights_and_nothing_else(humanoid, tmp_path):
    entries = []
    for number, weight in enumerate((0.25, 3.0)):
        clip = random_clip(humanoid, number, name=f"clip_{number}", cells=(3, 3))
        entries.append(ClipEntry(write_parc(tmp_path, clip, HUMANOID)[0], "walking", weight))
    path = tmp_path / "motions.yaml"
    write_parc_dataset(path, entries)
    assert yaml.safe_load(path.read_text()) == {
        "motions": [{"file": "clip_0.pkl", "weight": 0.25}, {"file": "clip_1.pkl", "weight": 3.0}]
    }
    assert [(each.path.resolve(), each.weight) for each in read_manifest(path)] == [
        (each.path.resolve(), each.weight) for each in entries
    ]
