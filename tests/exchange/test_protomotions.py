"""What we write for ProtoMotions, read as its format says, without our code."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from arm_character import THREE_HINGES, arm, hinges
from hypothesis import given, settings
from hypothesis import strategies as st
from mujoco_kinematics import body_poses, positions_of_dofs
from scipy.spatial.transform import Rotation

from parc.anim.clip_files import read_clip
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.exchange.protomotions import write_protomotions
from synthetic_clips import random_clip

HUMANOID = CharacterFile("humanoid.xml")


def read(folder, clip):
    """Return the motion, its terrain, and the way from its world into the clip's."""
    terrain_file, motion_file = write_protomotions(folder, clip, HUMANOID)
    assert [terrain_file.name, motion_file.name] == [f"{clip.name}_terrain.pt", f"{clip.name}.motion"]
    motion, terrain = (torch.load(path, weights_only=True) for path in (motion_file, terrain_file))
    return motion, terrain, torch.cat([terrain["origin"], torch.zeros(1, dtype=torch.float64)])


def integrated(start, velocities, fps):
    """Follow angular velocities in the world from a rotation on, frame by frame."""
    rotations = [Rotation.from_quat(start)]
    for velocity in velocities:
        rotations.append(Rotation.from_rotvec(velocity / fps) * rotations[-1])
    return rotations


@pytest.mark.parametrize("name", ["TEASER_TERRAIN", "civilization", "dec2024_teaser_717_1_modified_opt",
                                  "dec2024_teaser_717_1_opt_dm", "sfu"])  # fmt: skip
def test_a_real_clip_has_our_bodies_in_all_that_is_said_of_them(clips_folder, humanoid, tmp_path, name):
    clip = read_clip(clips_folder / f"{name}.pkl", humanoid)
    motion, terrain, origin = read(tmp_path, clip)
    assert motion["fps"] == clip.fps
    assert type(motion["fps"]) is int
    expected_pos, _ = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    body_pos, body_rot = motion["rigid_body_pos"].double() + origin, motion["rigid_body_rot"]
    torch.testing.assert_close(body_pos.float(), expected_pos, atol=1e-5, rtol=0)
    # DOFs alone, and rotations against parents alone, put the bodies there, too.
    root = np.concatenate([body_pos[:, 0], Rotation.from_quat(body_rot[:, 0].numpy()).as_rotvec()], axis=1)
    by_dofs, _ = body_poses(*positions_of_dofs(np.concatenate([root, motion["dof_pos"]], axis=1)))
    torch.testing.assert_close(by_dofs, expected_pos, atol=1e-5, rtol=0)
    placed = [(body_pos[:, 0].numpy(), Rotation.from_quat(motion["local_rigid_body_rot"][:, 0].numpy()))]
    for body in range(1, humanoid.num_bodies):
        above, turn = placed[humanoid.parents[body]]
        local = Rotation.from_quat(motion["local_rigid_body_rot"][:, body].numpy())
        placed.append((above + turn.apply(humanoid.offsets[body].numpy()), turn * local))
    for body, (position, rotation) in enumerate(placed):
        np.testing.assert_allclose(position, expected_pos[:, body].numpy(), atol=1e-5)
        assert (rotation.inv() * Rotation.from_quat(body_rot[:, body].numpy())).magnitude().max() < 1e-5
    assert torch.equal(motion["rigid_body_contacts"], clip.contacts > 0.5)
    # The ground below the bodies, by its samples.
    samples = torch.round(motion["rigid_body_pos"][..., :2] / 0.1).long()
    heights = 0.005 * terrain["height_field_raw"][samples[..., 0], samples[..., 1]]
    edges = (expected_pos[..., :2] - clip.terrain.min_point) / clip.terrain.cell_size
    clear = ((edges - edges.floor() - 0.5).abs() > 1e-3).all(-1)
    expected = clip.terrain.heights_at(expected_pos[..., :2])
    torch.testing.assert_close(heights[clear], expected[clear], atol=0.0025 + 1e-5, rtol=0)


def test_velocities_lead_from_frame_to_frame(humanoid, tmp_path):
    clip = random_clip(humanoid, 3, frames=25)
    motion, _, _ = read(tmp_path, clip)
    steps = {name: motion[name][:-1].double().numpy() / clip.fps for name in ("rigid_body_vel", "dof_vel")}
    followed = motion["rigid_body_pos"][0].numpy() + np.concatenate(
        [np.zeros((1, 15, 3)), steps["rigid_body_vel"].cumsum(0)]
    )
    np.testing.assert_allclose(followed, motion["rigid_body_pos"], atol=1e-5)
    for body in range(humanoid.num_bodies):
        quaternions = motion["rigid_body_rot"][:, body].numpy()
        velocities = motion["rigid_body_ang_vel"][:-1, body].numpy()
        rotations = integrated(quaternions[0], velocities, clip.fps)
        for frame, rotation in enumerate(rotations):
            assert (rotation.inv() * Rotation.from_quat(quaternions[frame])).magnitude() < 1e-4
    # Joints turn in their own frames: hinges by their angle, the torso's rotation by an exponential map.
    knee = humanoid.first_dofs[humanoid.body_index("right_shin")]
    np.testing.assert_allclose(steps["dof_vel"][:, knee], motion["dof_pos"][:, knee].diff(), atol=1e-5)
    torso = Rotation.from_rotvec(motion["dof_pos"][:, :3].numpy())
    turned = torso[:-1] * Rotation.from_rotvec(steps["dof_vel"][:, :3])
    assert (turned.inv() * torso[1:]).magnitude().max() < 1e-5
    for name in ("rigid_body_vel", "rigid_body_ang_vel", "dof_vel"):
        assert torch.equal(motion[name][-1], motion[name][-2])


def test_rotations_against_parents_have_the_turn_of_bodies_at_rest(tmp_path):
    file = arm(tmp_path, hinges(THREE_HINGES[0]))
    clip = random_clip(file.read(), frames=6)
    _, motion_file = write_protomotions(tmp_path, clip, file)
    motion = torch.load(motion_file, weights_only=True)
    world, local = (motion[name].numpy() for name in ("rigid_body_rot", "local_rigid_body_rot"))
    for body in (1, 2):
        turned = Rotation.from_quat(world[:, body - 1]) * Rotation.from_quat(local[:, body])
        assert (turned.inv() * Rotation.from_quat(world[:, body])).magnitude().max() < 1e-5


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32), cell_size=st.sampled_from([0.1, 0.4, 0.7]))
def test_every_cell_near_the_motion_is_its_samples_and_beside_the_map_its_border_goes_on(
    humanoid, tmp_path_factory, seed, cell_size
):
    clip = random_clip(humanoid, seed, frames=5, cells=(9, 7), cell_size=cell_size)
    generator = torch.Generator().manual_seed(seed)
    clip = replace(clip, terrain=replace(clip.terrain, min_point=torch.randn(2, generator=generator)))
    motion, terrain, origin = read(tmp_path_factory.mktemp("motion"), clip)
    field = terrain["height_field_raw"]
    assert field.dtype == torch.int16
    root = motion["rigid_body_pos"][0, 0, :2]
    assert (root > 5.0).all()
    assert (root + 5.0 < 0.1 * (torch.tensor(field.shape) - 1)).all()
    places = root + torch.rand(300, 2, generator=generator) * 10 - 5
    in_the_world = places + origin[:2].float()
    edges = (in_the_world - clip.terrain.min_point) / cell_size
    clear = ((edges - edges.floor() - 0.5).abs() > 2e-3).all(-1)
    samples = torch.round(places / 0.1).long()
    heights = 0.005 * field[samples[:, 0], samples[:, 1]]
    expected = clip.terrain.heights_at(in_the_world)
    torch.testing.assert_close(heights[clear], expected[clear], atol=0.0025 + 1e-5, rtol=0)


@pytest.mark.parametrize(
    ("scale", "far", "complaint"),
    [
        (1.0, 1e6, "goes over ground of .* expected at most"),
        (1000.0, 0.0, "the ground goes from .* expected heights within 164 m"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(humanoid, tmp_path, scale, far, complaint):
    clip = random_clip(humanoid)
    clip.root_pos[-1, :2] += far
    clip = replace(clip, terrain=replace(clip.terrain, heights=scale * clip.terrain.heights))
    with pytest.raises(UserError, match=complaint) as refusal:
        write_protomotions(tmp_path, clip, HUMANOID)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())
