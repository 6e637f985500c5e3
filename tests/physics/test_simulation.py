"""The MuJoCo model of a character on a clip's terrain is the real world's: its ground, its weights, its friction and its pull."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import roma
import torch
from easy_clips import FEET, HUMANOID, level, standing_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_arrays import rotation_distance
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.configuration.errors import UserError
from parc.exchange.mujoco_poses import poses_of
from parc.physics.reference import reference_of
from parc.physics.simulation import ASSISTANCE, CONTACT_MARGIN, ROOM, Simulation, simulation_of
from parc.terrain.heightfield import Heightfield
from synthetic_clips import random_clip

HALF = 0.1  # metres, half a box's edge
# A character has a joint: a little one, in the middle of the box.
BOX = f"""<mujoco><worldbody><body name="box"><freejoint/><geom type="box" size="{HALF} {HALF} {HALF}" mass="3"/>
<body name="dial"><joint name="dial" axis="0 0 1" stiffness="1" damping="1"/><geom size=".01" mass=".001"/></body></body>
</worldbody><actuator><motor joint="dial" gear="1"/></actuator></mujoco>"""
LAME = """<mujoco><worldbody><body name="trunk"><freejoint/><geom size=".1"/><body name="leg" pos="0 0 -.3">
<joint name="hip" type="{kind}" {gains}/><geom size=".1"/></body></body></worldbody><actuator>{actuators}</actuator></mujoco>"""


@pytest.fixture(scope="module")
def box(tmp_path_factory) -> CharacterFile:
    path = tmp_path_factory.mktemp("box") / "box.xml"
    path.write_text(BOX)
    return CharacterFile(str(path))


def boxed(
    box: CharacterFile, terrain: Heightfield, place: tuple[float, float], above: float, fps: float = 30.0
) -> Simulation:
    """Return the simulation of a box that hangs above the ground at a place (metres)."""
    point = torch.tensor(place)
    height = float(terrain.heights_at(point)) + HALF + above
    still = torch.tensor([0.0, 0.0, 0.0, 1.0])
    clip = MotionClip(
        "box", torch.tensor([[*place, height]] * 2), still.expand(2, 4), still.expand(2, 1, 4), torch.zeros(2, 2), fps,
        LoopMode.CLAMP, terrain,
    )  # fmt: skip
    return simulation_of(clip, box, (), ())


def started(simulation: Simulation, clip: MotionClip | None = None, **at: float) -> mujoco.MjData:
    data = mujoco.MjData(simulation.model)
    for place, value in at.items():
        data.qpos["xyz".index(place)] = value
    if clip is not None:
        data.qpos[:] = reference_of(simulation, clip).positions[0]
    mujoco.mj_forward(simulation.model, data)
    return data


def step(simulation: Simulation, data: mujoco.MjData, seconds: float) -> None:
    mujoco.mj_step(simulation.model, data, round(seconds / simulation.model.opt.timestep))


def humanoid_simulation(clip: MotionClip) -> Simulation:
    return simulation_of(clip, HUMANOID, ("head", "torso"), FEET)


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    cell=st.tuples(st.integers(0, 11), st.integers(0, 13)),
    within=st.tuples(st.floats(-0.08, 0.08), st.floats(-0.08, 0.08)),
)
def test_a_box_dropped_on_blocky_terrain_comes_to_rest_at_its_height(box, seed, cell, within):
    generator = torch.Generator().manual_seed(seed)
    heights = (4 * torch.rand(12, 14, generator=generator)).round() / 2 - 1
    terrain = Heightfield(heights, torch.tensor([-1.3, 2.1]), 0.4)
    place = [float(terrain.min_point[axis]) + 0.4 * cell[axis] + within[axis] for axis in range(2)]
    simulation = boxed(box, terrain, (place[0], place[1]), above=0.1)
    height = float(heights[cell]) + HALF
    data = started(simulation, x=place[0], y=place[1], z=height + 0.1)
    step(simulation, data, 1.5)
    # A contact begins so far above the ground.
    assert height - 0.001 < data.qpos[2] < height + CONTACT_MARGIN + 0.001
    np.testing.assert_allclose(data.qpos[:2], place, atol=0.003)
    assert np.abs(data.qvel).max() < 1e-3


@pytest.mark.parametrize("fps", [30.0, 50.0])
def test_what_lands_sinks_in_by_millimetres_and_does_not_bounce(box, fps):
    """At 1 m/s, wherever within a step it meets the ground."""
    simulation = boxed(box, level(), (0.1, 0.1), above=0.0, fps=fps)
    for above in np.linspace(0.02, 0.03, 6):
        data = started(simulation, x=0.1, y=0.1, z=HALF + above)
        data.qvel[2] = -1.0
        heights = []
        for _ in range(100):
            mujoco.mj_step(simulation.model, data)
            heights.append(data.qpos[2] - HALF)
        lowest = int(np.argmin(heights))
        assert heights[lowest] > -0.01
        assert max(heights[lowest:]) < CONTACT_MARGIN + 0.001


def test_what_falls_gains_9_81_metres_a_second_each_second(box):
    simulation = boxed(box, level(), (0.0, 0.0), above=5.0)
    data = started(simulation, z=5.0)
    step(simulation, data, 0.5)
    assert data.qvel[2] == pytest.approx(-9.81 * 0.5, rel=1e-6)
    assert data.qpos[2] == pytest.approx(5.0 - 9.81 / 2 * 0.5**2, abs=0.03)
    np.testing.assert_allclose(data.qvel[[0, 1, 3, 4, 5]], 0.0, atol=1e-9)


@pytest.mark.parametrize(("share", "slides"), [(0.9, False), (1.1, True)])
@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8)])
def test_a_box_stays_until_it_is_pushed_with_its_own_weight(box, share, slides, direction):
    """Friction is 1 in all directions. What pushes it is the assisting force, low enough for it not to tip."""
    simulation = boxed(box, level(0.5), (0.1, 0.1), above=0.0)
    data = started(simulation, x=0.1, y=0.1, z=0.5 + HALF)
    step(simulation, data, 0.3)
    before = data.qpos[:2].copy()
    along_x, along_y = share * simulation.weight * np.array(direction)
    data.ctrl[1:3] = along_x, along_y
    # At the middle of a cube it would tip it over just when it slides: so it pushes at the bottom.
    data.ctrl[4:6] = HALF * along_y, -HALF * along_x
    step(simulation, data, 0.5)
    moved = (data.qpos[:2] - before) @ direction
    free = (share - 1) * 9.81 / 2 * 0.5**2
    assert moved == pytest.approx(free, rel=0.5) if slides else abs(moved) < 0.01


def test_the_humanoid_weighs_what_its_file_says(humanoid):
    simulation = humanoid_simulation(standing_clip())
    of_file = mujoco.MjModel.from_xml_path(str(HUMANOID.path))
    for name in humanoid.body_names:
        ours, files = simulation.model.body(name), of_file.body(name)
        for quantity in ("mass", "inertia", "ipos"):
            np.testing.assert_allclose(getattr(ours, quantity), getattr(files, quantity), rtol=1e-5, atol=1e-8)
    assert simulation.weight == pytest.approx(50 * 9.81, rel=1e-3)
    for joint in range(1, of_file.njnt):
        name = of_file.joint(joint).name
        assert simulation.model.joint(name).armature == pytest.approx(of_file.joint(joint).armature)
        # Stiffness and damping are the control's, and are no springs beside it; the gear is the largest torque.
        number = simulation.model.actuator(name).id
        assert simulation.gains[0][number] == pytest.approx(of_file.jnt_stiffness[joint])
        assert simulation.gains[1][number] == pytest.approx(of_file.dof_damping[of_file.jnt_dofadr[joint]])
        assert simulation.model.jnt_stiffness[joint] == simulation.model.dof_damping[5 + joint] == 0
        gear = of_file.actuator(name).gear[0]
        np.testing.assert_allclose(simulation.model.actuator_forcerange[number], (-gear, gear))


def test_it_touches_the_ground_and_not_itself(humanoid):
    simulation = humanoid_simulation(standing_clip())
    data = started(simulation)
    model = simulation.model
    hinges = model.jnt_qposadr[1:]
    data.qpos[hinges] = 0.9 * model.jnt_range[1:, 1]  # limbs across each other
    data.qpos[2] = 3.0
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    data.qpos[2] = 0.1
    mujoco.mj_forward(model, data)
    assert data.ncon > 0
    assert all(0 in model.geom_bodyid[contact.geom] for contact in data.contact)


def test_the_text_gives_the_same_model_to_the_bit(humanoid):
    clip = standing_clip()
    simulation = humanoid_simulation(clip)
    again = mujoco.MjModel.from_xml_string(simulation.xml)
    ours, theirs = (started(simulation, clip) for _ in range(2))
    theirs.ctrl[:] = ours.ctrl[:] = 0.1
    for _ in range(60):
        mujoco.mj_step(simulation.model, ours)
        mujoco.mj_step(again, theirs)
    assert np.isfinite(ours.qpos).all()
    assert np.array_equal(ours.qpos, theirs.qpos) and np.array_equal(ours.qvel, theirs.qvel)
    assert humanoid_simulation(standing_clip()).xml == simulation.xml
    assert all(again.actuator(simulation.num_hinges + n).name == name for n, name in enumerate(ASSISTANCE))


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0, 120.0, 250.0])
def test_a_frame_has_a_whole_number_of_steps(fps):
    simulation = humanoid_simulation(replace(standing_clip(), fps=fps))
    assert simulation.model.opt.timestep * simulation.steps_per_frame == pytest.approx(1 / fps, rel=1e-6)
    assert 1 / simulation.model.opt.timestep == pytest.approx(max(240, fps), rel=0.25)


def turned(clip: MotionClip, humanoid, body: str, rotvecs: torch.Tensor) -> MotionClip:
    joint_rot = clip.joint_rot.clone()
    joint_rot[:, humanoid.body_index(body) - 1] = roma.rotvec_to_unitquat(rotvecs)
    return replace(clip, joint_rot=joint_rot)


def test_hinges_are_ordered_so_that_no_joint_comes_near_gimbal_lock(humanoid):
    clip = standing_clip()
    frames = clip.num_frames
    angles = torch.linspace(0.0, 1.55, frames)
    over = turned(clip, humanoid, "torso", torch.stack([0.1 * angles, angles, 0.2 * angles], dim=1))
    usual, exchanged = humanoid_simulation(clip), humanoid_simulation(over)
    joints = [f"abdomen_{axis}" for axis in "xyz"]
    order = [exchanged.model.joint(joint).name for joint in range(1, 4)]
    assert [usual.model.joint(joint).name for joint in range(1, 4)] == joints
    assert order != joints and sorted(order) == joints and order[1] != "abdomen_y"
    others = [usual.model.joint(joint).name for joint in range(4, usual.model.njnt)]
    assert [exchanged.model.joint(joint).name for joint in range(4, usual.model.njnt)] == others
    for name in joints:  # what belongs to a joint goes with it
        for quantity in ("axis", "armature", "stiffness"):
            np.testing.assert_array_equal(
                getattr(exchanged.model.joint(name), quantity), getattr(usual.model.joint(name), quantity)
            )
        assert exchanged.model.actuator(name).trnid[0] == exchanged.model.joint(name).id
        assert exchanged.model.actuator(name).biasprm[1] == usual.model.actuator(name).biasprm[1]
    assert exchanged.model.joint("abdomen_x").range == pytest.approx(usual.model.joint("abdomen_x").range, abs=1e-6)
    reference = reference_of(exchanged, over)
    at_frames = reference.positions[:: exchanged.steps_per_frame]
    for found, expected in zip(
        poses_of(exchanged.model, humanoid, at_frames)[1:], (over.root_rot, over.joint_rot), strict=True
    ):
        assert rotation_distance(found, expected).max() < 1e-5
    middle = at_frames[:, exchanged.model.joint(order[1]).qposadr[0]]
    assert np.abs(middle).max() < 1.0


def test_what_a_file_says_of_a_hinge_goes_with_it_to_another_place(tmp_path):
    hinges = "".join(
        f'<joint name="{axis}" axis="{" ".join("1" if axis == other else "0" for other in "xyz")}" ref="{ref}" '
        f'range="{ref - 100} {ref + 100}" armature=".0{ref}" stiffness="{ref}" damping="1"/>'
        for axis, ref in zip("xyz", (10, 20, 30), strict=True)
    )
    motors = "".join(f'<motor joint="{axis}" gear="9"/>' for axis in "zyx")
    path = tmp_path / "three.xml"
    path.write_text(
        '<mujoco><worldbody><body name="a"><freejoint/><geom size=".1"/><body name="b" pos="0 0 .3">'
        f'{hinges}<geom size=".1"/></body></body></worldbody><actuator>{motors}</actuator></mujoco>'
    )
    file = CharacterFile(str(path))
    clip = random_clip(file.read(), frames=20)
    over = replace(clip, joint_rot=roma.rotvec_to_unitquat(torch.linspace(0, 1.5, 20)[:, None, None] * torch.eye(3)[1]))
    usual, exchanged = (simulation_of(each, file, (), ()).model for each in (clip, over))
    assert [exchanged.joint(joint).name for joint in range(1, 4)] != list("xyz")
    for axis in "xyz":
        for quantity in ("axis", "armature", "range", "qpos0"):
            np.testing.assert_allclose(getattr(exchanged.joint(axis), quantity), getattr(usual.joint(axis), quantity))
        number = exchanged.joint(axis).id
        (driving,) = np.flatnonzero(exchanged.actuator_trnid[:, 0] == number)
        assert -exchanged.actuator_biasprm[driving, 1] == {"x": 10, "y": 20, "z": 30}[axis]


def test_joints_turn_as_far_as_the_clip_does_and_others_as_far_as_they_may(humanoid):
    clip = standing_clip()
    bent = turned(clip, humanoid, "left_shin", torch.tensor([[0.0, 3.1, 0.0]]).expand(clip.num_frames, 3))
    usual, widened = humanoid_simulation(clip).model, humanoid_simulation(bent).model
    # Files have six digits.
    assert widened.joint("left_knee").range[1] == pytest.approx(3.1 + ROOM, abs=1e-4)
    assert widened.joint("left_knee").range[0] == usual.joint("left_knee").range[0]
    for joint in range(1, usual.njnt):
        if usual.joint(joint).name != "left_knee":
            np.testing.assert_array_equal(widened.jnt_range[joint], usual.jnt_range[joint])


@pytest.mark.parametrize(
    ("kind", "gains", "actuators", "what"),
    [
        ("hinge", "", '<motor joint="hip" gear="100"/>', "actuator '' drives no joint to a position"),
        ("hinge", 'stiffness="300" damping="30"', "", "joint 'hip' cannot be driven"),
        ("hinge", 'stiffness="300"', '<position joint="hip"/><position joint="hip"/>', "joint 'hip' cannot be driven"),
        ("ball", 'stiffness="300"', '<motor joint="hip" gear="1 0 0"/>', "joint 'hip' cannot be driven"),
    ],
)
def test_a_joint_that_cannot_be_driven_is_refused_in_one_line(tmp_path, kind, gains, actuators, what):
    path = tmp_path / "lame.xml"
    path.write_text(LAME.format(kind=kind, gains=gains, actuators=actuators))
    file = CharacterFile(str(path))
    clip = random_clip(file.read(), frames=10)
    with pytest.raises(UserError, match=f"^character.char_file: {what}; physics needs hinges.*stiffness") as refusal:
        simulation_of(clip, file, (), ())
    assert "\n" not in str(refusal.value)


def test_a_hinge_goes_where_it_is_told(humanoid):
    """In free fall nothing but the control moves it."""
    clip = standing_clip()
    simulation = humanoid_simulation(clip)
    data = started(simulation, clip)
    data.qpos[2] = 9.0
    targets = data.qpos[simulation.driven + 1].copy()
    told = {"left_elbow": -1.2, "right_knee": 0.9, "abdomen_z": 0.5, "left_hip_x": 0.3}
    for name, angle in told.items():
        targets[simulation.model.actuator(name).id] = angle
    data.ctrl[: simulation.num_hinges] = targets
    step(simulation, data, 1.0)
    np.testing.assert_allclose(data.qpos[simulation.driven + 1], targets, atol=0.02)


def test_the_assisting_wrench_is_along_the_axes_of_the_world(humanoid):
    clip = standing_clip()
    simulation = humanoid_simulation(clip)
    data = started(simulation, clip)
    data.qpos[3:7] = np.array([0.5, 0.5, -0.5, 0.5])  # x y z w: (0.5, -0.5, 0.5, 0.5); every axis is another one's
    wrench = np.array([30.0, -20.0, 10.0, 3.0, 2.0, -1.0])
    data.ctrl[:] = [*data.qpos[simulation.driven + 1], *wrench]
    mujoco.mj_forward(simulation.model, data)
    rotation = data.xmat[1].reshape(3, 3)
    assert np.abs(rotation - np.eye(3)).max() > 0.9
    np.testing.assert_allclose(data.qfrc_actuator[:3], wrench[:3], atol=1e-9)
    np.testing.assert_allclose(rotation @ data.qfrc_actuator[3:6], wrench[3:], atol=1e-9)


def test_assistance_is_a_share_of_the_weight_and_nothing_where_none_is_allowed():
    simulation = humanoid_simulation(standing_clip())
    assert simulation.assistance_limits(0.0) == (0.0, 0.0)
    assert simulation.assistance_limits(0.1) == pytest.approx((0.1 * 50 * 9.81, 10.0), rel=1e-3)
    assert math.isclose(simulation.weight, simulation.model.body_subtreemass[1] * 9.81)
