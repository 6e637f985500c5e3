"""Every promise that the set makes, measured here by means of its own, on clips of many seeds."""

import numpy as np
import pytest
import torch
from demo_clips import clip_of_seed, humanoid_and_surface
from scipy.spatial.transform import Rotation

from parc.anim.mirror import mirror_clip
from parc.anim.preprocessing import preprocess_clip
from parc.demo_motions.promises import broken_promise, measure

FAST_SEEDS = 21
SEEDS = [
    seed if seed < FAST_SEEDS else pytest.param(seed, marks=pytest.mark.slow) for seed in range(100)
]  # each one clip; classes take turns
FEET = ("left_foot", "right_foot")


@pytest.fixture(params=SEEDS)
def clip(request):
    return clip_of_seed(request.param)


@pytest.fixture
def bodies(clip):
    """Positions (frames, bodies, 3) and rotation matrices of every body."""
    character, _ = humanoid_and_surface()
    positions, rotations = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    matrices = Rotation.from_quat(rotations.reshape(-1, 4).numpy()).as_matrix().reshape(*rotations.shape[:2], 3, 3)
    return positions.double().numpy(), matrices


def ground_below(clip, points):
    """Height of the nearest cell, by hand."""
    terrain = clip.terrain
    cells = np.rint((points[..., :2] - terrain.min_point.numpy()) / terrain.cell_size).astype(int)
    rows, columns = (np.clip(cells[..., axis], 0, terrain.heights.shape[axis] - 1) for axis in (0, 1))
    return terrain.heights.numpy()[rows, columns]


def sole(bodies, foot):
    """The four corners of the sole and the centre of the foot's box."""
    corners = np.array([[x, y, -0.05] for x in (-0.0435, 0.1335) for y in (-0.045, 0.045)] + [[0.045, 0, -0.0225]])
    positions, matrices = bodies
    placed = positions[:, foot, None] + corners @ matrices[:, foot].transpose(0, 2, 1)
    return placed[:, :4], placed[:, 4]


def test_joint_dofs_stay_within_the_limits_of_the_character_file(clip):
    character, _ = humanoid_and_surface()
    dofs = character.dofs_from_rotations(clip.joint_rot)
    assert (dofs >= character.dof_lower).all()
    assert (dofs <= character.dof_upper).all()


def test_no_foot_or_hand_is_more_than_2_cm_below_ground_and_no_body_much(clip):
    character, surface = humanoid_and_surface()
    points = surface.placed(*character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)).numpy()
    depth = (ground_below(clip, points) - points[..., 2]).max(axis=0)
    for body, name in enumerate(character.body_names):
        allowed = 0.02 if name.endswith(("foot", "hand")) else 0.06
        assert depth[surface.bodies.numpy() == body].max() < allowed, name


def test_a_foot_in_contact_stays_where_it_is(clip, bodies):
    character, _ = humanoid_and_surface()
    for foot in map(character.body_index, FEET):
        standing = clip.contacts[:, foot].numpy() > 0.9
        _, centre = sole(bodies, foot)
        runs = np.split(np.arange(len(standing)), np.flatnonzero(np.diff(standing)) + 1)
        for run in runs:
            if standing[run[0]]:
                places = centre[run, :2]
                travelled = np.linalg.norm(places[:, None] - places[None], axis=-1).max()
                assert travelled < 0.02


def test_a_foot_in_full_contact_lies_flat_on_the_ground(clip, bodies):
    character, _ = humanoid_and_surface()
    for foot in map(character.body_index, FEET):
        corners, _ = sole(bodies, foot)
        gap = np.abs(corners[..., 2] - ground_below(clip, corners))
        standing = clip.contacts[:, foot].numpy() > 0.999
        assert standing.any()
        assert gap[standing].max() < 2e-3


def test_a_foot_without_contact_is_in_the_air(clip, bodies):
    character, _ = humanoid_and_surface()
    for foot in map(character.body_index, FEET):
        corners, _ = sole(bodies, foot)
        # Not right after leaving or before landing, where a sole is as near to the ground as it can be.
        away = clip.contacts[:, foot].numpy() == 0
        away = away & np.roll(away, 3) & np.roll(away, -3)
        highest = (corners[..., 2] - ground_below(clip, corners)).max(axis=1)
        assert not away.any() or highest[away].min() > 0.01


def test_fewer_than_half_a_percent_of_frames_are_jerky(clip, bodies):
    positions, _ = bodies
    jerk = np.linalg.norm(np.diff(positions, n=3, axis=0), axis=-1) * 30.0**3
    assert (jerk > 11666).any(axis=1).mean() < 0.005


def test_only_feet_touch_and_both_stand_at_both_ends(clip):
    character, _ = humanoid_and_surface()
    feet = [character.body_index(name) for name in FEET]
    others = [body for body in range(character.num_bodies) if body not in feet]
    assert (clip.contacts[:, others] == 0).all()
    assert (clip.contacts[[0, -1]][:, feet] == 1).all()
    assert clip.contacts.min() >= 0
    assert clip.contacts.max() <= 1


def test_knees_and_elbows_bend_one_way_and_legs_are_never_locked(clip):
    character, _ = humanoid_and_surface()
    dofs = character.dofs_from_rotations(clip.joint_rot)
    for name in ("left_shin", "right_shin"):
        assert dofs[:, character.first_dofs[character.body_index(name)]].min() > 0.05
    assert dofs[:, character.first_dofs[character.body_index("right_lower_arm")]].min() > 0.05
    assert dofs[:, character.first_dofs[character.body_index("left_lower_arm")]].max() < -0.05


def test_motions_start_and_stop_softly(clip):
    speed = clip.root_pos.diff(dim=0).norm(dim=-1) * clip.fps
    assert speed[0] < 0.15
    assert speed[-1] < 0.15
    assert speed.diff().abs().max() * clip.fps < 40  # metres a square second: four times gravity, at take-off


def test_clips_last_3_to_8_seconds_at_30_hertz_on_cells_of_40_cm(clip):
    assert clip.fps == 30
    assert 3 <= clip.seconds <= 8
    assert clip.terrain.cell_size == 0.4


def test_the_whole_body_stays_over_the_terrain(clip, bodies):
    positions, _ = bodies
    lowest = clip.terrain.min_point.numpy() - 0.2
    highest = lowest + 0.4 * np.array(clip.terrain.heights.shape)
    assert (positions[..., :2] > lowest + 1).all()
    assert (positions[..., :2] < highest - 1).all()


def test_mirror_images_keep_every_promise_too(clip):
    character, surface = humanoid_and_surface()
    assert broken_promise(measure(mirror_clip(clip, character), character, surface)) is None


def test_height_bounds_are_those_of_preprocessing_in_the_mirror_too(clip):
    character, surface = humanoid_and_surface()
    assert torch.equal(clip.height_bounds, preprocess_clip(clip, character, surface).height_bounds)
    mirrored = mirror_clip(clip, character)
    again = preprocess_clip(mirrored, character, surface).height_bounds
    # A point on the very border of two cells may round the other way in the mirror.
    assert ((again - mirrored.height_bounds).abs() < 1e-4).float().mean() > 0.99
