"""Clips as GLB (binary glTF 2.0): skeleton, shapes, terrain and motion in one file for Blender and for browsers."""

from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
import trimesh
from jaxtyping import Float
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from parc.anim.character import Character, Geom
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.exchange.terrain_mesh import terrain_mesh
from parc.exchange.y_up import Y_UP_ROTATION
from parc.pictures.palette import LOW_GROUND, MOVING_POSE, rgb_bytes

WORLD = "z up"  # name of the node that turns our axes into those of glTF
SEGMENTS = 24  # of a circle around a capsule
FLOAT = 5126  # glTF's number for 32-bit floats


def write_glb(folder: Path, clip: MotionClip, character: CharacterFile) -> list[Path]:
    """Write a clip as NAME.glb: metres and seconds, y up and facing z.

    Every body is a node, within its parent's, whose rotation (and the root's place) an animation named after the clip moves,
    with a key a frame; shapes of one size share a mesh. Where nothing plays, the first frame is shown. Contact labels, and what
    happens beyond the clip's end, have no place in the format.

    Returns:
        the file.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / f"{clip.name}.glb"
    path.write_bytes(_glb(clip, character.read()))
    return [path]


def _glb(clip: MotionClip, character: Character) -> bytes:
    scene = trimesh.Scene(base_frame="scene")
    scene.graph.update(frame_from="scene", frame_to=WORLD)
    ground = terrain_mesh(clip.terrain)
    ground.visual = _material("ground", LOW_GROUND)
    scene.add_geometry(ground, node_name="terrain", geom_name="terrain", parent_node_name=WORLD)
    nodes = _body_nodes(character)
    for body, node in zip(character.bodies, nodes, strict=True):
        scene.graph.update(frame_from=nodes[body.parent] if body.parent >= 0 else WORLD, frame_to=node)
        for number, geom in enumerate(body.geoms, 1):
            _add_shape(scene, node, f"{node} shape {number}", geom)
    turned = _local_rotations(clip, character)

    # Trimesh writes neither animations nor nodes that one can move: it gives every node a matrix.
    def add_motion(buffers: dict[Any, bytes], tree: dict[str, Any]) -> None:
        placed = {node["name"]: (number, node) for number, node in enumerate(tree["nodes"])}
        placed[WORLD][1]["rotation"] = list(Y_UP_ROTATION)
        times = _accessor(tree, buffers, "times", np.arange(clip.num_frames) / clip.fps)
        animation: dict[str, Any] = {"name": clip.name, "samplers": [], "channels": []}
        for body, name in enumerate(nodes):
            number, node = placed[name]
            places = clip.root_pos if body == 0 else torch.tensor(character.bodies[body].offset)[None]
            moved = {"rotation": turned[:, body]} | ({"translation": places.numpy()} if body == 0 else {})
            node.update(translation=places[0].tolist(), rotation=turned[0, body].tolist())
            for path, keys in moved.items():
                output = _accessor(tree, buffers, f"{path} {body}", keys)
                animation["channels"].append(
                    {"sampler": len(animation["samplers"]), "target": {"node": number, "path": path}}
                )
                animation["samplers"].append({"input": times, "output": output, "interpolation": "LINEAR"})
        tree["animations"] = [animation]

    return export_glb(scene, include_normals=True, buffer_postprocessor=add_motion)


def _body_nodes(character: Character) -> list[str]:
    """Return a name for each body's node; numbers tell apart those that would share one with another node."""
    taken = {WORLD, "scene", "terrain"}
    names = []
    for number, body in enumerate(character.bodies):
        names.append(f"{body.name} {number}" if body.name in taken else body.name)
        taken.add(names[-1])
    return names


def _local_rotations(clip: MotionClip, character: Character) -> Float[np.ndarray, "frames bodies 4"]:
    """Return the rotation of each body against its parent, (x, y, z, w), the root's in the world.

    Of q and -q each frame has the one that is nearer to that of the frame before, as viewers that mix keys number by number
    need it.
    """
    turned = roma.quat_product(character.rest_rotations[1:].expand_as(clip.joint_rot), clip.joint_rot)
    rotations = torch.cat([clip.root_rot[:, None], turned], dim=1).double()
    rotations = rotations / rotations.norm(dim=-1, keepdim=True)
    opposed = (rotations[1:] * rotations[:-1]).sum(-1) < 0
    signs = torch.where(torch.cat([torch.zeros_like(opposed[:1]), opposed]).cumsum(0) % 2 == 1, -1.0, 1.0)
    return (rotations * signs[..., None]).float().numpy()


def _accessor(tree: dict[str, Any], buffers: dict[Any, bytes], name: str, values: np.ndarray) -> int:
    """Add numbers to the file, a value a row; returns their number in glTF's list of accessors."""
    values = np.ascontiguousarray(values, dtype="<f4")
    buffers[name] = values.tobytes()
    columns = values.reshape(len(values), -1)
    tree["accessors"][name] = {
        "bufferView": len(buffers) - 1,
        "componentType": FLOAT,
        "count": len(values),
        "type": "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}",
        "min": columns.min(axis=0).tolist(),
        "max": columns.max(axis=0).tolist(),
    }
    return len(tree["accessors"]) - 1


def _add_shape(scene: trimesh.Scene, body_node: str, node: str, geom: Geom) -> None:
    mesh_name = f"{geom.kind} {' x '.join(f'{size:.6g}' for size in geom.size)}"
    if mesh_name not in scene.geometry:
        mesh = _shape(geom)
        mesh.visual = _material("body", MOVING_POSE)
        scene.geometry[mesh_name] = mesh
    place = np.eye(4)
    place[:3, :3] = roma.unitquat_to_rotmat(torch.tensor(geom.rotation, dtype=torch.float64)).numpy()
    place[:3, 3] = geom.centre
    scene.graph.update(frame_from=body_node, frame_to=node, matrix=place, geometry=mesh_name)


def _shape(geom: Geom) -> trimesh.Trimesh:
    if geom.kind == "sphere":
        return trimesh.creation.icosphere(subdivisions=3, radius=geom.size[0])
    if geom.kind == "capsule":
        radius, half_length = geom.size
        capsule = trimesh.creation.capsule(height=2 * half_length, radius=radius, count=[SEGMENTS, SEGMENTS])
        return capsule.apply_translation(-capsule.bounds.mean(axis=0))
    box = trimesh.creation.box(extents=[2 * half for half in geom.size])
    box.unmerge_vertices()  # so that each face has normals of its own, and edges are sharp
    return box


def _material(name: str, colour: str) -> TextureVisuals:
    material = PBRMaterial(
        name=name, baseColorFactor=[*rgb_bytes(colour), 255], metallicFactor=0.0, roughnessFactor=0.9
    )
    return TextureVisuals(material=material)
