"""A character that is driven to positions on a clip's terrain, as a MuJoCo model that can be written out and replayed."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

import copy
import itertools
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from parc.anim.character import Character, JointType
from parc.anim.flight import GRAVITY
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.exchange.mujoco_poses import hinge_angles, qpos_of
from parc.exchange.mujoco_scene import scene_spec
from parc.terrain.heightfield import Heightfield

# About: each frame has a whole number of them. At 120, feet are over 1 cm deep in one frame of eight, and slide twice as fast.
STEPS_A_SECOND = 240
FRICTION = (1.0, 0.005, 0.0001)  # sliding; turning and rolling, metres
# As stiff as steps bear: MuJoCo makes it two steps where it is less, and must, as what is stiffer throws off what lands, faster
# than it came.
CONTACT_SECONDS = 0.008
CONTACT_IMPEDANCE = (0.95, 0.99, 0.001, 0.5, 2.0)
FRICTION_STIFFNESS = 5.0  # of what holds feet in place, against what holds them up
CONTACT_MARGIN = 0.005  # metres above the ground from which on it begins to push
LARGEST_MIDDLE_ANGLE = 1.0  # rad that the second of three hinges may turn before another order of axes is looked for
ROOM = np.radians(5)  # that a joint has beyond the motion, where this leaves the joint's range
LARGEST_ASSISTING_TORQUE = 100.0  # Nm at an assistance of 1, where the force is the character's weight
_OF_A_HINGE = ("name", "axis", "ref", "range", "limited", "armature", "frictionloss")  # beside its gains
_WHAT_IS_DRIVEN = (
    "physics needs hinges, each with a stiffness, a damping and a motor whose gear is its largest torque (Nm), as in "
    "humanoid.xml"
)
ASSISTANCE = tuple(f"assisting_{kind}_{axis}" for kind in ("force", "torque") for axis in "xyz")


@dataclass(frozen=True)
class Simulation:
    """A character on a clip's terrain, ready to be simulated.

    The model's actuators are one a hinge, which take angles (radians), and then `ASSISTANCE`: a force (N) on the root and a
    torque (Nm), along the axes of the world.

    Attributes:
        xml: MJCF text; the model is what MuJoCo makes of it, to the last bit.
        character: whose bodies are the model's, after the world.
        steps_per_frame: of the clip.
        tracked: names of the bodies whose places are sensors.
        standing: names of the bodies whose velocities are sensors: those that stand on the ground.
    """

    xml: str
    character: Character
    steps_per_frame: int
    tracked: tuple[str, ...]
    standing: tuple[str, ...]

    @cached_property
    def model(self) -> mujoco.MjModel:
        """The model."""
        return mujoco.MjModel.from_xml_string(self.xml)

    @property
    def num_hinges(self) -> int:
        """How many hinges are driven."""
        return self.model.nu - len(ASSISTANCE)

    @property
    def gains(self) -> tuple[Float[np.ndarray, " hinges"], Float[np.ndarray, " hinges"]]:
        """Stiffness (Nm/rad) and damping (Nm s/rad) of each hinge's control."""
        bias = self.model.actuator_biasprm[: self.num_hinges]
        return -bias[:, 1], -bias[:, 2]

    @property
    def driven(self) -> Int[np.ndarray, " hinges"]:
        """The velocity (in `qvel`) of what each hinge's control drives; its position is one further on: the root has 7, and 6."""
        return self.model.jnt_dofadr[self.model.actuator_trnid[: self.num_hinges, 0]]

    @property
    def weight(self) -> float:
        """Of the character, N."""
        return float(self.model.body_subtreemass[1]) * GRAVITY

    def assistance_limits(self, share: float) -> tuple[float, float]:
        """Return the largest assisting force (N) and torque (Nm) at an assistance, a share of the character's weight."""
        return share * self.weight, share * LARGEST_ASSISTING_TORQUE


def simulation_of(
    clip: MotionClip, character: CharacterFile, tracked: tuple[str, ...], standing: tuple[str, ...]
) -> Simulation:
    """Return the simulation of a clip's character on the clip's terrain.

    Args:
        clip: which says where the ground has to be, how far joints turn, and in which order three hinges are best.
        character: of the clip; every hinge has a stiffness, a damping and a motor.
        tracked: bodies whose places are sensors.
        standing: bodies that stand on the ground.

    Raises:
        UserError: a joint cannot be driven, three hinges are not at right angles, or the ground takes too many boxes.
    """
    bodies = character.read()
    body_pos, _ = bodies.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    spec = scene_spec(character, clip.terrain, body_pos[..., :2])
    spec.modelname = clip.name
    _order_hinges(spec, bodies, clip)
    model = spec.compile()
    _refuse_undriven_joints(model)
    _widen_ranges(spec, model, qpos_of(model, bodies, clip.root_pos, clip.root_rot, clip.joint_rot))
    _add_contacts(spec)
    _add_assistance(spec)
    _add_sensors(spec, bodies, tracked, standing)
    steps_per_frame = max(1, round(STEPS_A_SECOND / clip.fps))
    spec.option.timestep = 1 / (clip.fps * steps_per_frame)
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.gravity = (0.0, 0.0, -GRAVITY)
    spec.option.iterations = 20
    # MuJoCo's pyramids have less friction between two axes than along one, and what stands on them creeps.
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = FRICTION_STIFFNESS
    # What blows up is seen to have, instead of going on from the pose of the file.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    spec.compile()
    return Simulation(spec.to_xml(), bodies, steps_per_frame, tracked, standing)


def _order_hinges(spec: mujoco.MjSpec, character: Character, clip: MotionClip) -> None:
    """Let three hinges turn in an order in which the second stays far from a right angle: there the other two are one."""
    for index, body in enumerate(character.bodies):
        joints = spec.body(body.name).joints
        if body.joint is not JointType.SPHERICAL or len(joints) != 3:
            continue
        axes = np.array([joint.axis for joint in joints])
        rotation = Rotation.from_quat(clip.joint_rot[:, index - 1].double().numpy())
        largest = {
            order: float(np.abs(hinge_angles(rotation, axes[list(order)])[:, 1]).max())
            for order in itertools.permutations(range(3))
        }
        order = min(largest, key=lambda each: largest[each])
        if largest[0, 1, 2] > LARGEST_MIDDLE_ANGLE and order != (0, 1, 2):
            _exchange(spec, joints, order)


def _exchange(spec: mujoco.MjSpec, joints: list[mujoco.MjsJoint], order: tuple[int, ...]) -> None:
    kept = [{name: copy.copy(getattr(joint, name)) for name in _OF_A_HINGE} for joint in joints]
    for place, joint in enumerate(joints):
        joint.name = f"joint {place} that is exchanged"  # no two may share a name meanwhile
    for joint, place in zip(joints, order, strict=True):
        for name, value in kept[place].items():
            setattr(joint, name, value)


def driven_hinges(character: CharacterFile) -> list[str]:
    """Return the names of what drives a character's hinges, on whatever ground.

    Raises:
        UserError: a joint cannot be driven.
    """
    level, middle = Heightfield(torch.zeros(1, 1), torch.zeros(2), 1.0), torch.zeros(1, 2)
    model = scene_spec(character, level, middle).compile()
    _refuse_undriven_joints(model)
    return [model.actuator(number).name for number in range(model.nu)]


def _refuse_undriven_joints(model: mujoco.MjModel) -> None:
    to_positions = (model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT) & (model.actuator_biasprm[:, 1] < 0)
    for actuator in np.flatnonzero(~to_positions):
        raise UserError(
            f"character.char_file: actuator '{model.actuator(actuator).name}' drives no joint to a position; {_WHAT_IS_DRIVEN}"
        )
    driven = model.actuator_trnid[:, 0].tolist()
    for joint in range(model.njnt):
        kind = model.jnt_type[joint]
        is_driven = kind == mujoco.mjtJoint.mjJNT_HINGE and driven.count(joint) == 1
        if kind != mujoco.mjtJoint.mjJNT_FREE and not is_driven:
            raise UserError(
                f"character.char_file: joint '{model.joint(joint).name}' cannot be driven; {_WHAT_IS_DRIVEN}"
            )


def _widen_ranges(spec: mujoco.MjSpec, model: mujoco.MjModel, qpos: Float[np.ndarray, "frames nq"]) -> None:
    """Let joints turn as far as the motion does. MjSpec takes ranges in the unit of its file."""
    unit = np.degrees(1.0) if spec.compiler.degree else 1.0
    for joint in spec.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            continue  # it may have no name
        number = model.joint(joint.name).id
        if model.jnt_limited[number]:
            angles = qpos[:, model.jnt_qposadr[number]]
            low, high = model.jnt_range[number]
            joint.range = (unit * min(low, angles.min() - ROOM), unit * max(high, angles.max() + ROOM))


def _add_contacts(spec: mujoco.MjSpec) -> None:
    """Let the character touch the ground, and neither itself nor what else there may be."""
    ground = {geom.name for geom in spec.worldbody.geoms}
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = (0, 1) if geom.name in ground else (1, 0)
        geom.condim, geom.friction = 3, FRICTION
        geom.solref, geom.solimp = (CONTACT_SECONDS, 1.0), CONTACT_IMPEDANCE
        geom.margin = CONTACT_MARGIN if geom.name in ground else 0.0  # those of both are added


def _add_assistance(spec: mujoco.MjSpec) -> None:
    root = spec.worldbody.first_body().first_joint()
    root.name = root.name or "root"
    for axis, name in enumerate(ASSISTANCE):
        gear = np.zeros(6)
        gear[axis] = 1
        spec.add_actuator(name=name, target=root.name, trntype=mujoco.mjtTrn.mjTRN_JOINTINPARENT, gear=gear)


def _add_sensors(
    spec: mujoco.MjSpec, character: Character, tracked: tuple[str, ...], standing: tuple[str, ...]
) -> None:
    kind, body = mujoco.mjtSensor, mujoco.mjtObj.mjOBJ_XBODY
    for name in tracked:
        spec.add_sensor(name=f"place of {name}", type=kind.mjSENS_FRAMEPOS, objtype=body, objname=name)
    root = character.body_names[0]
    for name, quantity in (("centre of mass", kind.mjSENS_SUBTREECOM), ("its velocity", kind.mjSENS_SUBTREELINVEL)):
        spec.add_sensor(name=name, type=quantity, objtype=mujoco.mjtObj.mjOBJ_BODY, objname=root)
    middle = mujoco.mjtObj.mjOBJ_BODY  # the frame of the inertia, in the middle
    for name in standing:
        spec.add_sensor(name=f"velocity of {name}", type=kind.mjSENS_FRAMELINVEL, objtype=middle, objname=name)
