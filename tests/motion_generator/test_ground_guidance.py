"""Guidance by the ground: what it moves, where to, and what it leaves alone."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.motion_generator.features import FeatureStatistics, Motion, MotionFeatures, RotationType
from parc.motion_generator.ground_guidance import BEYOND, FARTHEST_HELD, ON_GROUND, GroundAround, GroundGuidance
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.terrain.heightfield import on_one_grid
from parc.terrain.signed_distance import signed_distance_below_ground

GRID = HeightmapGrid(min_x=-1.0, max_x=1.0, min_y=-1.0, max_y=1.0, spacing=0.1)
FRAMES, PREVIOUS = 9, 2
GOES_ON = torch.tensor([True])
GUIDANCE = GroundGuidance(steps=6, share=0.5, smoothing=2, tolerance=0.01, sideways=1.0, reach=0.3)
# One step by itself, as far as the formula says.
ONE_STEP = GroundGuidance(steps=1, share=0.7, smoothing=0, tolerance=0.01, sideways=1.5, reach=0.3)


def ground_around(humanoid, rotation_type=RotationType.DEFAULT) -> GroundAround:
    features = MotionFeatures(humanoid, rotation_type)
    generator = torch.Generator().manual_seed(1)
    size = (FRAMES, features.num_features)
    statistics = FeatureStatistics(
        0.1 * torch.randn(size, generator=generator), 0.2 + 0.3 * torch.rand(size, generator=generator)
    )
    return GroundAround(features, statistics, surface_points(humanoid), GRID, PREVIOUS)


def features_of(ground: GroundAround, motion: Motion) -> torch.Tensor:
    return ground.statistics.standardise(ground.features.encode(motion))


def posed(ground: GroundAround, over: float, bent: float = 0.0) -> tuple[torch.Tensor, Motion]:
    """Return a motion that stands still, arms and legs bent a little at random, its lowest point `over` metres over 0."""
    character = ground.features.character
    generator = torch.Generator().manual_seed(2)
    dofs = bent * torch.randn(1, 1, character.num_dofs, generator=generator).expand(1, FRAMES, -1)
    rotations = character.rotations_from_dofs(dofs)
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(1, FRAMES, 4)
    body_pos, body_rot = character.forward_kinematics(torch.zeros(1, FRAMES, 3), upright, rotations)
    lowest = ground.surface.placed(body_pos, body_rot)[..., 2].min()
    root = torch.zeros(1, FRAMES, 3)
    root[..., 2] = over - lowest
    motion = Motion(root, upright, body_pos[..., 1:, :] + root[..., None, :], rotations, torch.zeros(1, FRAMES, 15))
    return features_of(ground, motion), motion


def points_of(ground: GroundAround, features: torch.Tensor) -> torch.Tensor:
    motion = ground.features.decode(ground.statistics.unstandardise(features))
    placed = ground.features.character.forward_kinematics(motion.root_pos, motion.root_rot, motion.joint_rot)
    return ground.surface.placed(*placed)


def level(height: float = 0.0) -> torch.Tensor:
    return torch.full((1, *GRID.shape), height)


def step_up(height: float, at: float) -> torch.Tensor:
    """Return ground that is `height` metres high from x = `at` on."""
    return height * (GRID.points()[..., 0] > at).float()[None]


def edge_of(heightmap: torch.Tensor) -> float:
    """Return where a step or a wall begins, x: half a spacing before its first point."""
    return float(GRID.points()[..., 0][heightmap[0] > 0].min()) - GRID.spacing / 2


def wall_ahead_of(x: float) -> torch.Tensor:
    """Return ground with a wall of 2 m that begins at x or soon after."""
    return 2.0 * (GRID.points()[..., 0] - GRID.spacing / 2 > x).float()[None]


@pytest.mark.parametrize("over", [0.0, 0.3])
def test_a_motion_over_the_ground_stays_as_it_is(humanoid, over):
    ground = ground_around(humanoid)
    features, _ = posed(ground, over + 1e-4)
    assert torch.equal(ground.guided(GUIDANCE, features, level(), GOES_ON), features)


def test_what_is_tolerated_stays_as_it_is(humanoid):
    ground = ground_around(humanoid)
    features, _ = posed(ground, over=-0.03)
    tolerant = dataclasses.replace(GUIDANCE, tolerance=0.04)
    assert torch.equal(ground.guided(tolerant, features, level(), GOES_ON), features)
    assert not torch.equal(ground.guided(GUIDANCE, features, level(), GOES_ON), features)


@pytest.mark.parametrize("rotation_type", RotationType)
@settings(max_examples=5, deadline=None)
@given(depth=st.floats(0.02, 0.3), height=st.floats(-0.5, 0.5), bent=st.floats(0.0, 0.4))
def test_it_ends_within_its_tolerance_and_previous_states_stay(humanoid, rotation_type, depth, height, bent):
    ground = ground_around(humanoid, rotation_type)
    features, _ = posed(ground, over=height - depth, bent=bent)
    thorough = dataclasses.replace(GUIDANCE, steps=30, share=1.0)
    moved = ground.guided(thorough, features, level(height), GOES_ON)
    assert torch.equal(moved[:, :PREVIOUS], features[:, :PREVIOUS])
    deepest = (height - points_of(ground, moved)[:, PREVIOUS:, :, 2]).max()
    assert deepest <= thorough.tolerance + 1e-4


@pytest.mark.parametrize("rotation_type", RotationType)
def test_a_step_is_the_share_of_the_way_down_the_gradient_of_the_depths(humanoid, rotation_type):
    """Worked out here point by point, where the code goes through bodies."""
    ground = ground_around(humanoid, rotation_type)
    features, _ = posed(ground, over=-0.12, bent=0.3)
    heightmap = step_up(1.0, at=0.05)  # out of which the way is sideways, and out of the ground before it up
    wanted = features.clone().requires_grad_()
    stretched = points_of(ground, wanted) * torch.tensor([ONE_STEP.sideways, ONE_STEP.sideways, 1.0])
    low = ONE_STEP.sideways * torch.tensor([GRID.min_x, GRID.min_y])
    terrain = on_one_grid(heightmap, low, GRID.spacing * ONE_STEP.sideways)
    depths = signed_distance_below_ground(stretched.flatten(1, 2), terrain, torch.zeros(1, dtype=torch.long))
    energy = 0.5 * depths.unflatten(1, (FRAMES, -1)).square().sum(-1)
    (gradient,) = torch.autograd.grad(energy.sum(), wanted)
    length = ONE_STEP.share * 2 * energy / gradient.square().sum(-1)
    expected = features - (gradient * length[..., None])
    expected[:, :PREVIOUS] = features[:, :PREVIOUS]
    torch.testing.assert_close(
        ground.guided(ONE_STEP, features, heightmap, GOES_ON), expected.detach(), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize(("sideways", "goes_up"), [(1.0, False), (4.0, True)])
def test_a_foot_beside_the_edge_of_a_step_goes_up_where_air_beside_it_counts_as_far(humanoid, sideways, goes_up):
    ground = ground_around(humanoid)
    features, motion = posed(ground, over=0.0)
    foot = humanoid.body_index("left_foot")
    front = points_of(ground, features)[0, -1, ground.surface.bodies == foot, 0].max()
    heightmap = step_up(0.1, at=0.0)
    motion.root_pos[..., 0] += edge_of(heightmap) + 0.05 - front  # 5 cm of the foot are in a step of 10 cm
    features = features_of(ground, motion)
    guidance = dataclasses.replace(GUIDANCE, sideways=sideways)
    moved = points_of(ground, ground.guided(guidance, features, heightmap, GOES_ON)) - points_of(ground, features)
    ahead, _, up = moved[0, -1, ground.surface.bodies == foot].mean(0)
    assert (up > 2 * abs(ahead)) if goes_up else (-ahead > 2 * abs(up))


def labelled(ground: GroundAround, motion: Motion, *names: str) -> torch.Tensor:
    """Return the features of a motion with some bodies labelled in every frame."""
    for name in names:
        motion.contacts[..., ground.features.character.body_index(name)] = 1.0
    return features_of(ground, motion)


def test_labelled_feet_come_down_onto_the_ground_and_stay_where_they_are_along_it(humanoid):
    ground = ground_around(humanoid)
    _, motion = posed(ground, over=0.12, bent=0.2)
    features = labelled(ground, motion, "left_foot")
    thorough = dataclasses.replace(GUIDANCE, steps=60)
    before, after = (
        points_of(ground, each)[0, PREVIOUS:]
        for each in (features, ground.guided(thorough, features, level(), GOES_ON))
    )
    foot = ground.surface.bodies == humanoid.body_index("left_foot")
    assert before[:, foot, 2].amin() > 0.12
    assert after[:, foot, 2].amin(-1).max() < ON_GROUND + thorough.tolerance + 1e-4
    assert after[..., 2].amin() > -0.03  # the other foot is in the way of this one
    slipped = (after[:, foot, :2].mean(1) - before[:, foot, :2].mean(1)).norm(dim=-1)
    assert slipped.max() < 0.01


def sliding(motion: Motion, step: float) -> Motion:
    """Return a motion that moves ahead as a whole, by a step (metres) a frame."""
    way = F.pad(step * torch.arange(FRAMES)[None, :, None], (0, 2))
    return dataclasses.replace(motion, root_pos=motion.root_pos + way, joint_pos=motion.joint_pos + way[:, :, None])


def middles_of(ground: GroundAround, features: torch.Tensor, body: str) -> torch.Tensor:
    own = ground.surface.bodies == ground.features.character.body_index(body)
    return points_of(ground, features)[:, :, own, :2].mean(2)


def test_a_foot_is_held_where_it_stands_each_time_that_it_does(humanoid):
    """In the previous states where it goes on from them, as the first motion does and the second does not, else on average."""
    ground = ground_around(humanoid)
    motion = sliding(posed(ground, over=-0.03, bent=0.2)[1], 0.015)
    first, second = slice(0, 5), slice(7, 9)
    motion.contacts[:, first, humanoid.body_index("left_foot")] = 1.0
    motion.contacts[:, second, humanoid.body_index("left_foot")] = 1.0
    features = features_of(ground, motion).repeat(2, 1, 1)
    thorough = dataclasses.replace(GUIDANCE, steps=60, tolerance=0.0, smoothing=0)
    moved = ground.guided(thorough, features, level().repeat(2, 1, 1), torch.tensor([True, False]))
    before, after = (middles_of(ground, each, "left_foot") for each in (features, moved))
    stands = [before[0, PREVIOUS - 1], before[1, first].mean(0)]
    assert (after[0, PREVIOUS:5] - stands[0]).norm(dim=-1).max() < 0.006
    assert (after[1, first] - stands[1]).norm(dim=-1).max() < 0.006
    assert (after[:, second] - before[0, second].mean(0)).norm(dim=-1).max() < 0.006


def test_a_label_that_stays_on_while_a_foot_goes_far_holds_it_back_a_little(humanoid):
    ground = ground_around(humanoid)
    features = labelled(ground, sliding(posed(ground, over=-0.03)[1], 0.1), "left_foot")
    moved = ground.guided(dataclasses.replace(GUIDANCE, steps=60, tolerance=0.0), features, level(), GOES_ON)
    before, after = (middles_of(ground, each, "left_foot") for each in (features, moved))
    assert 0.02 < (after - before).norm(dim=-1).max() < FARTHEST_HELD + 0.01


def test_what_is_labelled_high_in_the_air_is_not_held(humanoid):
    ground = ground_around(humanoid)
    motion = sliding(posed(ground, over=-0.03)[1], 0.02)
    features = features_of(ground, motion)
    with_label = labelled(ground, motion, "left_hand")
    moved, with_label = (ground.guided(GUIDANCE, each, level(), GOES_ON) for each in (features, with_label))
    torch.testing.assert_close(points_of(ground, with_label), points_of(ground, moved), atol=1e-5, rtol=0)


def test_feet_without_a_label_or_out_of_reach_stay_in_the_air(humanoid):
    ground = ground_around(humanoid)
    features, motion = posed(ground, over=0.12)
    assert torch.equal(ground.guided(GUIDANCE, features, level(), GOES_ON), features)
    features = labelled(ground, motion, "left_foot", "right_foot")
    for reach, is_moved in ((0.0, False), (0.1, False), (0.2, True)):
        moved = ground.guided(dataclasses.replace(GUIDANCE, reach=reach), features, level(), GOES_ON)
        assert torch.equal(moved, features) is not is_moved


def test_a_step_onto_the_ground_is_down_the_gradient_of_the_height_of_the_lowest_point(humanoid):
    ground = ground_around(humanoid)
    _, motion = posed(ground, over=0.1, bent=0.3)
    features = labelled(ground, motion, "right_foot")
    wanted = features.clone().requires_grad_()
    foot = points_of(ground, wanted)[:, :, ground.surface.bodies == humanoid.body_index("right_foot"), 2]
    energy = 0.5 * (foot.amin(-1) - ON_GROUND).square()
    (gradient,) = torch.autograd.grad(energy.sum(), wanted)
    length = ONE_STEP.share * 2 * energy / gradient.square().sum(-1)
    expected = features - gradient * length[..., None]
    expected[:, :PREVIOUS] = features[:, :PREVIOUS]
    torch.testing.assert_close(
        ground.guided(ONE_STEP, features, level(), GOES_ON), expected.detach(), atol=2e-5, rtol=0
    )


def test_a_step_is_spread_over_the_frames_around(humanoid):
    ground = ground_around(humanoid)
    features, motion = posed(ground, over=0.05)
    motion.root_pos[:, 5, 2] -= 0.15
    features = features_of(ground, motion)
    change = ground.guided(dataclasses.replace(GUIDANCE, steps=1), features, level(), GOES_ON) - features
    moved = change.abs().amax(-1)[0] > 0
    assert moved.tolist() == [False, False, False, True, True, True, True, True, False]
    # Weights fall along a line: 1, 2, 3, 2, 1 of 9.
    torch.testing.assert_close(change[0, 3], change[0, 5] / 3, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(change[0, 6], change[0, 5] * 2 / 3, atol=1e-6, rtol=1e-4)


def test_a_share_of_each_step_is_made_again_with_the_next(humanoid):
    ground = ground_around(humanoid)
    features, _ = posed(ground, over=-0.12, bent=0.3)
    first = ground.guided(ONE_STEP, features, level(), GOES_ON)
    second = ground.guided(ONE_STEP, first, level(), GOES_ON)
    twice = dataclasses.replace(ONE_STEP, steps=2, momentum=0.4)
    expected = second + 0.4 * (first - features)
    torch.testing.assert_close(ground.guided(twice, features, level(), GOES_ON), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kept", [4, 6, FRAMES])
def test_frames_well_after_those_kept_stay_as_they_are(humanoid, kept):
    ground = ground_around(humanoid)
    features, _ = posed(ground, over=-0.12)
    change = ground.guided(GUIDANCE, features, level(), GOES_ON, kept) - features
    moved = change.abs().amax(-1)[0] > 0
    assert moved.tolist() == [PREVIOUS <= frame < kept + BEYOND for frame in range(FRAMES)]


def test_a_motion_leaves_its_previous_states_softly(humanoid):
    """They stay in the ground; the frames that follow come out of it little by little."""
    ground = ground_around(humanoid)
    size = ground.statistics.mean.shape
    ground.statistics = FeatureStatistics(torch.zeros(size), torch.full(size, 0.3))  # all frames alike
    features, _ = posed(ground, over=-0.1)
    moved = ground.guided(dataclasses.replace(GUIDANCE, steps=1), features, level(), GOES_ON)
    rise = (points_of(ground, moved) - points_of(ground, features))[0, :, :, 2].mean(-1)
    # Of the weights 1, 2, 3, 2, 1 of 9, the first frame has those of itself and of the two after it.
    torch.testing.assert_close(
        rise[PREVIOUS : PREVIOUS + 3] / rise[-1], torch.tensor([6.0, 8, 9]) / 9, atol=0.03, rtol=0
    )


def test_a_motion_that_begins_is_moved_from_its_first_frame_on(humanoid):
    ground = ground_around(humanoid)
    features, _ = posed(ground, over=-0.1)
    thorough = dataclasses.replace(GUIDANCE, steps=30, share=1.0)
    moved = ground.guided(thorough, features, level(), ~GOES_ON)
    assert points_of(ground, moved)[..., 2].amin() > -thorough.tolerance - 1e-4


@pytest.mark.parametrize("way", [(0.6, 0.0), (-0.9, 0.0), (0.0, 0.9), (3.0, -3.0)])
def test_beside_the_heightmap_the_ground_goes_on_as_at_its_border(humanoid, way):
    ground = ground_around(humanoid)
    _, motion = posed(ground, over=0.001)
    motion.root_pos[..., :2] += torch.tensor(way)
    features = features_of(ground, motion)
    assert torch.equal(ground.guided(GUIDANCE, features, level(), GOES_ON), features)
    sunk = ground.guided(GUIDANCE, features, level(0.1), GOES_ON) - features
    assert sunk[0, -1].abs().max() > 0


def test_what_touches_a_wall_may_be_labelled_without_coming_down(humanoid):
    ground = ground_around(humanoid)
    _, motion = posed(ground, over=0.2)
    features = labelled(ground, motion, "left_foot")
    foot = ground.surface.bodies == humanoid.body_index("left_foot")
    toes = float(points_of(ground, features)[0, 0, foot, 0].max())
    wall = wall_ahead_of(toes)
    motion.root_pos[..., 0] += edge_of(wall) - 0.01 - toes  # the toes are a centimetre from it
    features = features_of(ground, motion)
    assert torch.equal(ground.guided(GUIDANCE, features, wall, GOES_ON), features)
    assert not torch.equal(ground.guided(GUIDANCE, features, level(), GOES_ON), features)


def test_a_labelled_foot_in_a_wall_comes_out_as_one_without_a_label_does(humanoid):
    ground = ground_around(humanoid)
    _, motion = posed(ground, over=0.0)
    bare = features_of(ground, motion)
    feet = (ground.surface.bodies == humanoid.body_index("left_foot")) | (
        ground.surface.bodies == humanoid.body_index("right_foot")
    )
    toes = float(points_of(ground, bare)[0, 0, feet, 0].max())
    wall = wall_ahead_of(toes)
    motion.root_pos[..., 0] += edge_of(wall) + 0.06 - toes
    thorough = dataclasses.replace(GUIDANCE, steps=30)
    depths = {}
    for names in ((), ("left_foot", "right_foot")):
        moved = ground.guided(thorough, labelled(ground, motion, *names), wall, GOES_ON)
        depths[len(names)] = float(points_of(ground, moved)[0, -1, feet, 0].max()) - edge_of(wall)
    assert depths[0] < GUIDANCE.tolerance and depths[2] < GUIDANCE.tolerance


def test_each_motion_of_a_batch_is_moved_as_if_it_were_alone(humanoid):
    ground = ground_around(humanoid)
    alone = [posed(ground, over)[0] for over in (0.1, -0.05, -0.2)]
    heightmaps = torch.cat([level(), level(0.02), step_up(0.2, 0.0)])
    together = ground.guided(GUIDANCE, torch.cat(alone), heightmaps, GOES_ON.expand(3))
    for number, features in enumerate(alone):
        moved = ground.guided(GUIDANCE, features, heightmaps[number : number + 1], GOES_ON)
        torch.testing.assert_close(together[number : number + 1], moved, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"share": 0.0}, "share is 0.0, expected a share above 0, up to 1"),
        ({"share": 1.5}, "share is 1.5, expected a share above 0, up to 1"),
        ({"momentum": 1.0}, "momentum is 1.0, expected a share from 0, below 1"),
        ({"momentum": -0.1}, "momentum is -0.1, expected a share from 0, below 1"),
        ({"smoothing": -1}, "smoothing is -1, expected at least 0"),
        ({"tolerance": -0.1}, "tolerance is -0.1, expected at least 0"),
        ({"reach": -0.1}, "reach is -0.1, expected at least 0"),
        ({"sideways": 0.5}, "sideways is 0.5, expected at least 1"),
        ({"sideways": float("nan")}, "sideways is nan, expected at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(mistake, message):
    with pytest.raises(UserError, match=rf"rollout\.ground_guidance\.{message}"):
        dataclasses.replace(GUIDANCE, **mistake)
