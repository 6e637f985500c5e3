from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generated_clips import making
from parc.anim.character import Character
from parc.anim.mirror import mirror_bodies, mirror_clip, mirror_rotations, mirrored_name, without_mirror_images
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from synthetic_clips import random_clip, random_rotations

FLIP = torch.tensor([1.0, -1.0, 1.0])


def test_every_body_goes_where_the_other_sides_mirror_image_was(humanoid):
    clip = random_clip(humanoid, seed=1)
    mirrored = mirror_clip(clip, humanoid)
    before, _ = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    after, _ = humanoid.forward_kinematics(mirrored.root_pos, mirrored.root_rot, mirrored.joint_rot)
    torch.testing.assert_close(after, (before * FLIP)[:, mirror_bodies(humanoid)], atol=1e-5, rtol=0)
    assert mirrored.name == "clip_mirrored"


def test_surface_points_are_mirrored_as_a_set(humanoid):
    clip = random_clip(humanoid, seed=2, frames=3)
    mirrored = mirror_clip(clip, humanoid)
    surface = surface_points(humanoid)
    before, after = (
        surface.placed(*humanoid.forward_kinematics(c.root_pos, c.root_rot, c.joint_rot)) for c in (clip, mirrored)
    )
    # Capsules have their four points at 0, 90, 180 and 270 degrees: those of tilted ones are turned in the mirror.
    distance = torch.cdist(after, before * FLIP).amin(-1)
    assert (distance < 1e-4).float().mean() > 0.8
    assert distance.max() < 0.04


def test_the_ground_below_a_mirrored_point_is_the_ground_below_the_point(humanoid):
    clip = random_clip(humanoid, seed=3)
    mirrored = mirror_clip(clip, humanoid)
    points = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 12 - 2
    expected = clip.terrain.heights_at(points)
    assert (mirrored.terrain.heights_at(points * FLIP[:2]) == expected).float().mean() > 0.99


def test_labels_bounds_and_path_follow(humanoid):
    clip = random_clip(humanoid, seed=4)
    bounds = torch.rand(*clip.terrain.heights.shape, 2)
    clip = replace(clip, height_bounds=bounds, path_nodes=torch.rand(7, 3))
    mirrored = mirror_clip(clip, humanoid)
    left, right = humanoid.body_index("left_foot"), humanoid.body_index("right_foot")
    assert torch.equal(mirrored.contacts[:, left], clip.contacts[:, right])
    assert torch.equal(mirrored.contacts[:, 0], clip.contacts[:, 0])
    assert torch.equal(mirrored.height_bounds, bounds.flip(1))
    assert torch.equal(mirrored.path_nodes, clip.path_nodes * FLIP)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    name=st.sampled_from(["clip", "clip_mirrored", "_mirrored", "mirrored_clip"]),
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    nodes=st.integers(0, 5),
)
def test_mirroring_twice_gives_the_clip_back(humanoid, seed, name, cells, nodes):
    clip = random_clip(humanoid, seed, name=name, cells=cells, frames=4)
    clip = replace(
        clip, height_bounds=torch.rand(*cells, 2), path_nodes=torch.rand(nodes, 3), made=making(),
        unrefined=random_clip(humanoid, seed + 1, frames=4).frames,
    )  # fmt: skip
    once = mirror_clip(clip, humanoid)
    twice = mirror_clip(once, humanoid)
    for field in ("root_pos", "root_rot", "joint_rot", "contacts", "height_bounds", "path_nodes"):
        assert torch.equal(getattr(twice, field), getattr(clip, field)), field
    assert twice.unrefined is not None and twice.unrefined.same_as(clip.unrefined)
    assert once.unrefined is not None and not once.unrefined.same_as(clip.unrefined)
    assert torch.equal(twice.terrain.heights, clip.terrain.heights)
    torch.testing.assert_close(twice.terrain.min_point, clip.terrain.min_point, atol=1e-5, rtol=0)
    assert (twice.name, twice.made, twice.fps, twice.loop_mode) == (clip.name, clip.made, clip.fps, clip.loop_mode)
    assert once.name != clip.name and once.made != clip.made


def test_the_mirrored_name_is_the_name_with_an_ending_or_without_it():
    assert [mirrored_name(name) for name in ("walk_3", "walk_3_mirrored")] == ["walk_3_mirrored", "walk_3"]


def test_mirror_images_are_left_out_where_their_originals_are():
    names = ["a/x", "a/x_mirrored", "b/x_mirrored", "a/y_mirrored", "a/z"]
    assert without_mirror_images(names, str) == ["a/x", "b/x_mirrored", "a/y_mirrored", "a/z"]


def test_dofs_of_the_other_side_change_the_signs_of_x_and_z(humanoid):
    clip = random_clip(humanoid, seed=6)
    dofs, mirrored = (humanoid.dofs_from_rotations(c.joint_rot) for c in (clip, mirror_clip(clip, humanoid)))
    left, right = (humanoid.first_dofs[humanoid.body_index(f"{side}_thigh")] for side in ("left", "right"))
    signs = torch.tensor([-1.0, 1.0, -1.0])
    torch.testing.assert_close(mirrored[:, left : left + 3], dofs[:, right : right + 3] * signs, atol=1e-5, rtol=0)
    knee, elbow = (humanoid.body_index(f"right_{name}") for name in ("shin", "lower_arm"))
    for body, sign in ((knee, 1), (elbow, -1)):
        other = mirror_bodies(humanoid)[body]
        ours, theirs = humanoid.first_dofs[body], humanoid.first_dofs[other]
        torch.testing.assert_close(mirrored[:, theirs], sign * dofs[:, ours], atol=1e-5, rtol=0)


def test_frames_before_refinement_are_mirrored_as_those_after_it_are(humanoid):
    clip, before = random_clip(humanoid, seed=7), random_clip(humanoid, seed=8)
    mirrored = mirror_clip(replace(clip, unrefined=before.frames), humanoid)
    assert mirrored.unrefined is not None and mirrored.unrefined.same_as(mirror_clip(before, humanoid).frames)
    assert mirror_clip(clip, humanoid).unrefined is None


def test_mirrored_rotations_turn_mirrored_vectors(humanoid):
    import roma

    generator = torch.Generator().manual_seed(0)
    rotations = random_rotations(generator, 50)
    vectors = torch.randn(50, 3, generator=generator)
    torch.testing.assert_close(
        roma.quat_action(mirror_rotations(rotations), vectors * FLIP),
        roma.quat_action(rotations, vectors) * FLIP,
        atol=1e-5,
        rtol=0,
    )


def test_a_character_with_one_arm_has_no_mirror_image(humanoid):
    bodies = tuple(replace(body, name="only_hand") if body.name == "left_hand" else body for body in humanoid.bodies)
    with pytest.raises(UserError, match="no 'left_hand'"):
        mirror_bodies(Character(bodies))


def test_a_character_with_a_longer_leg_has_no_mirror_image(humanoid):
    bodies = tuple(
        replace(body, offset=(0.0, 0.0, -0.5)) if body.name == "left_foot" else body for body in humanoid.bodies
    )
    with pytest.raises(UserError, match="not the mirror image"):
        mirror_bodies(Character(bodies))
