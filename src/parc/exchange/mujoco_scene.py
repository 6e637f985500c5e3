"""Clips as MuJoCo scenes: the character on its terrain, and the positions of its joints."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float
from torch import Tensor

from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.exchange.mujoco_poses import qpos_of
from parc.terrain.heightfield import Heightfield
from parc.terrain.merged_boxes import merged_boxes

MARGIN = 1.5  # metres around the bodies, along either axis, in which the ground is all there
REACH = 10.0  # metres that the ground goes on beyond the map
FIRST_FRAME = "first frame"
_GREY = (0.55, 0.58, 0.62, 1.0)


def write_mujoco(folder: Path, clip: MotionClip, character: CharacterFile) -> list[Path]:
    """Write a scene and a motion in it: `NAME.npz` and `NAME.xml`, which opens in any MuJoCo viewer.

    The scene needs no other file, and has a key frame of the motion's first frame. The archive has `qpos` (frames, nq), `fps`,
    and the names of bodies (without the world) and joints, both in MuJoCo's order. MuJoCo writes six digits into a scene, so
    terrain 100 m from the origin is off by up to 0.5 mm; the archive's numbers are doubles.

    Raises:
        UserError: the ground takes too many boxes, or the character's hinges cannot stand for its joints.
    """
    bodies = character.read()
    body_pos, _ = bodies.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    spec = scene_spec(character, clip.terrain, body_pos[..., :2])
    spec.modelname = clip.name
    model = spec.compile()
    qpos = qpos_of(model, bodies, clip.root_pos, clip.root_rot, clip.joint_rot)
    spec.add_key(name=FIRST_FRAME, qpos=qpos[0])
    spec.compile()
    scene, motion = folder / f"{clip.name}.xml", folder / f"{clip.name}.npz"
    scene.write_text(spec.to_xml(), encoding="utf-8")
    np.savez(
        motion,
        qpos=qpos,
        fps=np.float64(clip.fps),
        body_names=np.array([model.body(body).name for body in range(1, model.nbody)]),
        joint_names=np.array([model.joint(joint).name for joint in range(model.njnt)]),
    )
    return [motion, scene]


def scene_spec(character: CharacterFile, terrain: Heightfield, points: Float[Tensor, "*batch 2"]) -> mujoco.MjSpec:
    """Return a scene of a character on terrain, to be changed or compiled.

    Its bodies are the character's, in order, after the world, whose boxes `terrain 0`, `terrain 1` ... are the ground. What else
    the character's file has in its world (a floor, lights, cameras), its materials and its key frames are left out.

    Joints that have both a stiffness and a motor are driven to positions: an actuator of the joint's name takes an angle
    (radians), and has the joint's stiffness and damping as its gains and the motor's gear as its largest torque, as trackers read
    such files, too. They are no passive springs then.

    Args:
        character: one that can be read.
        terrain: under it.
        points: x, y (world, metres) near which the ground has to be, such as those of bodies.

    Raises:
        UserError: the ground takes too many boxes.
    """
    spec = mujoco.MjSpec.from_file(str(character.path))
    _leave_the_character_alone(spec)
    _drive_to_positions(spec)
    root = spec.worldbody.first_body()
    if root.first_joint() is None:
        root.add_freejoint()
    boxes = merged_boxes(terrain, points, margin=MARGIN, reach=REACH)
    for number, (centre, half_size) in enumerate(zip(boxes.centres.tolist(), boxes.half_sizes.tolist(), strict=True)):
        spec.worldbody.add_geom(
            name=f"terrain {number}", type=mujoco.mjtGeom.mjGEOM_BOX, pos=centre, size=half_size, rgba=_GREY
        )
    spec.worldbody.add_light(
        name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=(0, 0, 20), dir=(0.3, 0.2, -1.0)
    )
    # Viewers look at the whole of a scene at first, which the ground would make as large as a hall.
    spec.stat.center = [*points.reshape(-1, 2).mean(0).tolist(), float(terrain.heights_at(points).mean())]
    spec.stat.extent = 3.0
    return spec


def _leave_the_character_alone(spec: mujoco.MjSpec) -> None:
    """Take out of a character's scene what is not the character, and what lies in files of its own."""
    for geom in spec.geoms:
        geom.material = ""
    world = spec.worldbody
    others = [*world.geoms, *world.sites, *world.lights, *world.cameras]
    for element in [*others, *spec.keys, *spec.materials, *spec.textures, *spec.meshes, *spec.hfields, *spec.skins]:
        spec.delete(element)
    spec.meshdir = spec.texturedir = ""


def _drive_to_positions(spec: mujoco.MjSpec) -> None:
    motors = {motor.target: motor for motor in spec.actuators if motor.trntype == mujoco.mjtTrn.mjTRN_JOINT}
    for joint in spec.joints:
        stiffness, damping = float(np.ravel(joint.stiffness)[0]), float(np.ravel(joint.damping)[0])
        if joint.name not in motors or stiffness <= 0:
            continue
        largest = float(motors[joint.name].gear[0])
        spec.delete(motors[joint.name])
        joint.stiffness, joint.damping = 0 * joint.stiffness, 0 * joint.damping
        spec.add_actuator(
            name=joint.name,
            target=joint.name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gainprm=_ten(stiffness),
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            biasprm=_ten(0.0, -stiffness, -damping),
            forcelimited=True,
            forcerange=(-largest, largest),
        )


def _ten(*values: float) -> list[float]:
    """Return an actuator's parameters, of which MuJoCo has ten."""
    return [*values, *[0.0] * (10 - len(values))]
