"""Windows, heightmaps and targets against those of the published code, fed with its masks and its random numbers."""

import pytest
import torch

from golden_arrays import golden_library, read_golden, rotation_distance
from paper_settings import GRID, paper_sampler
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.feature_statistics import compute_statistics
from parc.motion_generator.features import MotionFeatures, RotationType
from parc.motion_generator.local_heightmap import local_heightmaps_with_bounds
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    WindowDraws,
    direction_to,
)

# The published slerp gives the plain midpoint of frames that are nearly equal, up to 1e-3 radians off: canonical headings
# inherit that, and with them everything turned by them, positions up to 2 m away among it.
SLERP_FAULT = 1e-3
STYLES = [(RelativeZStyle.RELATIVE_TO_ROOT, "root_"), (RelativeZStyle.RELATIVE_TO_ROOT_FLOOR, "floor_")]


@pytest.fixture(scope="module")
def library(clips_folder, golden_folder, humanoid):
    return golden_library(clips_folder, golden_folder, humanoid)


@pytest.fixture(scope="module")
def samples(golden_folder):
    return read_golden(golden_folder, "samples")


def draws_of(samples) -> WindowDraws:
    none = torch.zeros(len(samples["motion_ids"]))
    share = samples["future_u"].float()
    return WindowDraws(
        samples["motion_ids"].long(), samples["start_times"].float(), share, none[:, None].expand(-1, 3), none, {}, {}
    )


@pytest.mark.parametrize(("style", "prefix"), STYLES)
def test_windows_are_the_golden_ones(library, samples, humanoid, style, prefix):
    golden = {key: samples[prefix + key] for key in ("root_pos", "root_rot", "joint_pos", "joint_rot", "contacts")}
    if style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR:
        # The published z is relative to the root though the heightmap is relative to the floor; ours agree.
        shift = samples["canon_root_pos"][:, 2]
        golden["root_pos"][:, :, 2] += shift[:, None]
        golden["joint_pos"][..., 2] += shift[:, None, None]
    windows = paper_sampler(library, style=style).windows(draws_of(samples))
    motion = MotionFeatures(humanoid, RotationType.DEFAULT).posed(windows.frames)
    for name in ("root_pos", "joint_pos"):
        difference = (getattr(motion, name) - golden[name]).norm(dim=-1)
        reach = golden[name][..., :2].norm(dim=-1)
        assert (difference <= 3e-5 + SLERP_FAULT * (reach + 1 * (name == "joint_pos"))).all(), name
        assert difference.median() < 2e-5
    for name in ("root_rot", "joint_rot"):
        distance = rotation_distance(getattr(windows.frames, name), golden[name])
        assert distance.max() < SLERP_FAULT
        assert distance.median() < 3e-5
    torch.testing.assert_close(windows.frames.contacts, golden["contacts"], rtol=1e-4, atol=1e-6)
    on_floor = style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR
    heights = samples["canon_root_pos"][:, 2] - samples["floor_center_h"] if on_floor else torch.zeros(24)
    torch.testing.assert_close(windows.frames.root_pos[:, 1, 2], heights, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("style", "prefix"), STYLES)
def test_local_heightmaps_with_bounds_are_the_golden_ones(library, samples, style, prefix):
    torch.testing.assert_close(GRID.points(), samples["local_grid_xy"], rtol=1e-6, atol=1e-6)
    # Points within a thousandth of a cell of a border may fall on either side of it.
    certain = samples["hf_cell_margin"] >= 1e-3
    assert certain.float().mean() > 0.98
    windows = paper_sampler(library, style=style).windows(draws_of(samples))
    difference = (windows.heightmap - samples[f"{prefix}hfs"]).abs()
    assert difference[certain].max() < 2e-6


@pytest.mark.parametrize(("style", "prefix"), STYLES)
def test_bounds_of_touched_cells_are_the_golden_ones_and_free_cells_are_relative(library, samples, style, prefix):
    sampler = paper_sampler(library, style=style)
    draws = draws_of(samples)
    world = library.frames_at(draws.clips, draws.starts[:, None] + sampler.window_times)
    origin, turn = sampler.canonical_frames(draws.clips, world.root_pos, world.root_rot)
    last = draws.starts + sampler.window_seconds
    heightmap, bounds = local_heightmaps_with_bounds(library, GRID, draws.clips, draws.starts, last, origin, turn)
    certain = samples["hf_cell_margin"] >= 1e-3
    assert (heightmap - samples[f"{prefix}hfs_unclamped"]).abs()[certain].max() < 2e-6
    golden = samples[f"{prefix}hf_maxmins"]
    # The published free bounds are +-6 in the world, which the shift to the root's or floor's height moves.
    on_floor = style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR
    shift = samples["floor_center_h"] if on_floor else samples["canon_root_pos"][:, 2]
    published_free = torch.tensor([6.0, -6.0]) - shift[:, None, None, None]
    free = ((golden - published_free).abs() < 1e-4).all(-1)
    assert 0 < int((~free & certain).sum()) < 0.2 * free.numel()
    # Ours are +-6 relative to the map's own zero.
    assert (bounds[free & certain] == torch.tensor([6.0, -6.0])).all()
    assert (bounds - golden).abs()[~free & certain].max() < 5e-6


def test_target_directions_are_the_golden_ones(library, samples):
    windows = paper_sampler(library).windows(draws_of(samples))
    torch.testing.assert_close(windows.target_direction, samples["target_dir"], rtol=1e-4, atol=SLERP_FAULT / 10)


def test_target_directions_of_synthetic_targets_are_the_golden_ones(samples):
    heading = samples["synthetic_heading"].float()
    ours = direction_to(samples["synthetic_pos"][:, :2].float(), heading, *samples["target_eps"].tolist())
    # The published code never counts a negative heading as turning.
    fault = (heading <= -0.5) & (samples["synthetic_pos"][:, :2].norm(dim=-1) < 0.1)
    assert fault.sum() > 5
    torch.testing.assert_close(ours[~fault], samples["synthetic_dir"][~fault], rtol=1e-4, atol=1e-6)
    facing = torch.stack([torch.cos(heading), torch.sin(heading)], -1)
    torch.testing.assert_close(ours[fault], facing[fault], rtol=1e-6, atol=1e-6)
    assert (samples["synthetic_dir"][fault] == 0).all()


def test_statistics_over_all_windows_are_the_golden_ones_with_the_last_included(library, humanoid, golden_folder):
    golden = read_golden(golden_folder, "stats")
    sampler = paper_sampler(library)
    clips, _ = sampler.all_starts(sampler.training_clips)
    # Start frames 0 to n - 15: one more a clip than published.
    assert torch.equal(torch.bincount(clips), golden["num_sequences_per_clip"].long() + 1)
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    statistics = compute_statistics(sampler, features)
    # Angles of nearly equal frames: see SLERP_FAULT. The spread of features that hardly move shows it most.
    torch.testing.assert_close(statistics.mean, golden["mean_inclusive"], rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(statistics.std, golden["std_inclusive"], rtol=4e-4, atol=1e-6)
    assert ((statistics.std / golden["std_inclusive"] - 1).abs() < 1e-4).float().mean() > 0.99
    # It is the inclusive ones that ours are, not the ones without the last windows.
    assert (statistics.mean - golden["mean"]).abs().max() > 1e-3
    assert (statistics.mean[:, -15:] == 0).all()
    assert (statistics.std[:, -15:] == 1).all()
    assert statistics.std.min() >= 1e-5
