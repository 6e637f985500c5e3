"""A clip as GLB: independent readers find every body where our forward kinematics has it, at every key."""

from collections import Counter

import numpy as np
import pygltflib
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from parc.anim.clip_files import read_clip
from parc.anim.mjcf import CharacterFile
from parc.exchange.glb import write_glb
from synthetic_clips import random_clip

CHARACTER = CharacterFile("humanoid.xml")


def keys_of(file, accessor):
    description = file.accessors[accessor]
    view = file.bufferViews[description.bufferView]
    assert description.componentType == pygltflib.FLOAT
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[description.type]
    data = file.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    values = np.frombuffer(data, dtype="<f4").reshape(-1, width)
    assert len(values) == description.count
    assert values.min(axis=0) == pytest.approx(description.min) and values.max(axis=0) == pytest.approx(description.max)
    return values


def world_positions(file):
    """Return the positions of all nodes at all keys, by name, from the file alone (glTF 2.0, sections 3.5.3 and 3.11)."""
    (animation,) = file.animations
    moved, count = {}, len(keys_of(file, animation.samplers[0].input))
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        assert sampler.interpolation == "LINEAR"
        moved[channel.target.node, channel.target.path] = keys_of(file, sampler.output)
    placed = {}

    def visit(number, above):
        node = file.nodes[number]
        if node.matrix is not None:
            assert node.rotation is None and node.translation is None
            local = np.tile(np.array(node.matrix).reshape(4, 4).T, (count, 1, 1))
        else:
            local = np.tile(np.eye(4), (count, 1, 1))
            local[:, :3, :3] = Rotation.from_quat(
                moved.get((number, "rotation"), node.rotation or [0, 0, 0, 1])
            ).as_matrix()
            local[:, :3, 3] = moved.get((number, "translation"), node.translation or [0, 0, 0])
        placed[node.name] = above @ local
        for child in node.children or []:
            visit(child, placed[node.name])

    for root in file.scenes[file.scene].nodes:
        visit(root, np.tile(np.eye(4), (count, 1, 1)))
    return {name: matrices[:, :3, 3] for name, matrices in placed.items()}


def in_gltf_axes(positions):
    return np.asarray(positions)[..., [1, 2, 0]]  # x left, y up, z forward


@pytest.fixture(scope="module")
def clip(humanoid):
    return random_clip(humanoid, seed=5, fps=24.0)


@pytest.fixture(scope="module")
def path(clip, tmp_path_factory):
    (path,) = write_glb(tmp_path_factory.mktemp("glb"), clip, CHARACTER)
    return path


@pytest.fixture(scope="module")
def file(path):
    return pygltflib.GLTF2().load(str(path))


def test_every_body_is_where_we_have_it_at_every_key(clip, file, humanoid):
    ours = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)[0]
    placed = world_positions(file)
    for number, name in enumerate(humanoid.body_names):
        assert np.abs(placed[name] - in_gltf_axes(ours[:, number])).max() < 1e-5, name


def test_there_is_a_key_a_frame(clip, file):
    times = keys_of(file, file.animations[0].samplers[0].input)[:, 0]
    assert times == pytest.approx(np.arange(clip.num_frames) / 24, abs=1e-6)
    assert file.animations[0].name == clip.name


def test_from_a_key_to_the_next_quaternions_take_the_short_way(clips_folder, tmp_path, humanoid):
    clip = read_clip(clips_folder / "dec2024_teaser_717_1_opt_dm.pkl", humanoid)
    file = pygltflib.GLTF2().load(str(write_glb(tmp_path, clip, CHARACTER)[0]))
    for sampler in file.animations[0].samplers[1:]:
        keys = keys_of(file, sampler.output)
        if keys.shape[1] == 4:
            assert ((keys[1:] * keys[:-1]).sum(axis=1) > 0).all()
    ours = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)[0]
    placed = world_positions(file)
    assert max(
        np.abs(placed[name] - in_gltf_axes(ours[:, number])).max() for number, name in enumerate(humanoid.body_names)
    ) < 1e-4  # fmt: skip


def test_a_reader_without_animations_shows_the_first_frame_on_the_terrain(clip, path, humanoid):
    scene = trimesh.load_scene(path)
    ours = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)[0][0]
    for number, name in enumerate(humanoid.body_names):
        matrix, mesh = scene.graph.get(name)
        assert mesh is None
        assert np.abs(matrix[:3, 3] - in_gltf_axes(ours[number])).max() < 1e-5
    matrix, mesh = scene.graph.get("terrain")
    assert scene.geometry[mesh].copy().apply_transform(matrix).bounds[1, 1] == pytest.approx(
        float(clip.terrain.heights.max()), abs=1e-5
    )


def test_shapes_are_those_of_the_character(path, humanoid):
    scene = trimesh.load_scene(path)
    bodies = {body.name: body for body in humanoid.bodies}
    for name, body in bodies.items():
        for number, geom in enumerate(body.geoms, 1):
            matrix, mesh = scene.graph.get(f"{name} shape {number}", name)
            assert matrix[:3, 3] == pytest.approx(geom.centre, abs=1e-6)
            assert matrix[:3, :3] == pytest.approx(Rotation.from_quat(geom.rotation).as_matrix(), abs=1e-6)
            expected = geom.size if geom.kind == "box" else [geom.size[0], geom.size[0], sum(geom.size)]
            assert scene.geometry[mesh].bounds == pytest.approx(np.array([np.negative(expected), expected]), rel=0.02)


def test_shapes_of_one_size_share_a_mesh_that_has_normals(file):
    used = Counter(node.mesh for node in file.nodes if node.mesh is not None)
    assert len(used) == len(file.meshes) < used.total()
    names = Counter(mesh.name for mesh in file.meshes)
    assert names.most_common(1)[0][1] == 1
    for mesh in file.meshes:
        (primitive,) = mesh.primitives
        assert primitive.attributes.NORMAL is not None and primitive.indices is not None
    assert sorted(material.name for material in file.materials) == ["body", "ground"]
