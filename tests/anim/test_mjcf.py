import numpy as np
import pytest
import torch

from parc.anim.character import JointType
from parc.anim.mjcf import SHIPPED_CHARACTERS, CharacterFile, read_mjcf
from parc.configuration.errors import UserError

# MuJoCo warns of parallel hinges, which some of these characters have on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:Inertia matrix")

BALL = '<geom type="sphere" size=".1"/>'
HINGE = '<joint axis="0 1 0" range="-10 20"/>'


def write_character(tmp_path, arm: str, extra: str = "", root_joint: str = "<freejoint/>"):
    path = tmp_path / "robot.xml"
    path.write_text(
        f'<mujoco><compiler angle="degree"/>{extra}<worldbody><body name="base">{root_joint}{BALL}'
        f'<body name="arm" pos="1 2 3">{arm}</body></body></worldbody></mujoco>'
    )
    return path


def one_line_error(path) -> str:
    with pytest.raises(UserError) as caught:
        read_mjcf(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "expected" in message or "give" in message
    return message


def test_a_material_that_is_not_defined_is_ignored(tmp_path):
    """As PARC's own humanoid.xml has it."""
    path = write_character(tmp_path, f'{HINGE}<geom type="sphere" size=".1" material="grid"/>')
    character = read_mjcf(path)
    assert character.body_names == ["base", "arm"]
    assert character.bodies[1].joint is JointType.HINGE
    torch.testing.assert_close(character.offsets[1], torch.tensor([1.0, 2.0, 3.0]))


def test_the_shipped_humanoid_with_an_undefined_material_is_the_same_character(tmp_path, humanoid):
    text = (SHIPPED_CHARACTERS / "humanoid.xml").read_text()
    path = tmp_path / "humanoid.xml"
    path.write_text(text.replace("<geom ", '<geom material="grid" '))
    assert read_mjcf(path).bodies == humanoid.bodies


def test_a_defined_material_is_ignored_too(tmp_path):
    extra = '<asset><material name="grid" rgba="1 0 0 1"/></asset>'
    path = write_character(tmp_path, f'{HINGE}<geom type="sphere" size=".1" material="grid"/>', extra)
    assert read_mjcf(path).num_dofs == 1


def test_a_bare_name_is_a_shipped_character_and_a_path_is_a_file(tmp_path, humanoid):
    assert CharacterFile("humanoid.xml").path == SHIPPED_CHARACTERS / "humanoid.xml"
    assert "humanoid.xml" in one_line_error(tmp_path / "humanoid.xml")


@pytest.mark.parametrize(
    "joints",
    [
        HINGE * 2,
        HINGE * 4,
        '<joint type="slide"/>',
        f'{HINGE}<joint type="slide"/>',
        HINGE.replace("/>", ' pos="0 0 -.5"/>'),
    ],
)
def test_joints_that_cannot_be_read_name_the_body(tmp_path, joints):
    assert "'arm'" in one_line_error(write_character(tmp_path, joints + BALL))


@pytest.mark.parametrize(
    "geom",
    [
        '<geom type="cylinder" size=".1 .2"/>',
        '<geom type="ellipsoid" size=".1 .2 .3"/>',
        BALL + '<geom type="cylinder" fromto="0 0 0 0 0 1" size=".1"/>',
    ],
)
def test_geoms_that_have_no_points_name_the_body_and_the_kind(tmp_path, geom):
    message = one_line_error(write_character(tmp_path, HINGE + geom))
    assert "'arm'" in message
    assert "cylinder" in message or "ellipsoid" in message


def test_a_root_with_a_hinge_names_the_body(tmp_path):
    assert "'base'" in one_line_error(write_character(tmp_path, HINGE + BALL, root_joint=HINGE))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<mujoco><worldbody><body>",
        "<mujoco/>",
        "<html/>",
        f"<mujoco><worldbody><body>{BALL}</body><body>{BALL}</body></worldbody></mujoco>",
        '<mujoco><worldbody><body><freejoint/><geom type="mesh" mesh="none"/></body></worldbody></mujoco>',
        "<mujoco><worldbody><body><freejoint/></body></worldbody></mujoco>",
        '<mujoco><include file="missing.xml"/></mujoco>',
    ],
)
def test_a_file_that_is_no_character_gives_one_line(tmp_path, text):
    path = tmp_path / "broken.xml"
    path.write_text(text)
    one_line_error(path)


def test_a_file_of_random_bytes_or_a_folder_gives_one_line(tmp_path):
    path = tmp_path / "bytes.xml"
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    one_line_error(path)
    one_line_error(tmp_path)


def test_a_ball_is_a_spherical_joint(tmp_path):
    character = read_mjcf(write_character(tmp_path, f'<joint type="ball" range="0 90"/>{BALL}'))
    assert character.bodies[1].joint is JointType.SPHERICAL
    torch.testing.assert_close(character.dof_upper, torch.full((3,), torch.pi / 2))


def test_a_rotation_at_rest_is_part_of_forward_kinematics(tmp_path):
    import mujoco

    path = tmp_path / "arm.xml"
    path.write_text(
        f'<mujoco><worldbody><body name="base"><freejoint/>{BALL}<body name="arm" pos="0 0 1" euler="30 40 50">{HINGE}'
        f'{BALL}<body name="hand" pos="1 0 0" quat=".5 .5 -.5 .5">{HINGE}{BALL}</body></body></body></worldbody></mujoco>'
    )
    character = read_mjcf(path)
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    data.qpos[:] = [1, 2, 3, 0.5, 0.5, -0.5, 0.5, 0.7, -1.1]
    mujoco.mj_kinematics(model, data)
    joint_rot = character.rotations_from_dofs(torch.tensor([0.7, -1.1]))
    root = torch.tensor([1.0, 2, 3]), torch.tensor([0.5, -0.5, 0.5, 0.5])
    body_pos, _ = character.forward_kinematics(*root, joint_rot)
    np.testing.assert_allclose(body_pos.numpy(), data.xpos[1:], atol=1e-6)


def test_a_character_that_cannot_move_its_bodies_gives_one_line(tmp_path):
    assert "joint" in one_line_error(write_character(tmp_path, BALL))
