"""A character's shapes in the viewer are those of its file, wherever its bodies are."""

import numpy as np
import roma
import torch
import trimesh

from parc.anim.surface_points import surface_points
from parc.studio.body_meshes import copies_of, unit_meshes
from synthetic_clips import random_clip

TOLERANCE = 0.02  # of the radius: meshes have flat faces


def surface_of(character, clip, frame):
    """All meshes of a frame, in the world."""
    body_pos, body_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    parts = []
    for name, copies in copies_of(character).items():
        mesh = unit_meshes()[name]
        positions, rotations = copies.placed(body_pos, body_rot)
        for copy, scale in enumerate(copies.scales):
            turn = roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(rotations[frame, copy])).numpy()
            vertices = mesh.vertices * scale.numpy() @ turn.T + positions[frame, copy].numpy()
            parts.append(trimesh.Trimesh(vertices, mesh.faces, process=False))
    mesh = trimesh.util.concatenate(parts)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def test_every_point_of_the_characters_surface_is_on_a_mesh(humanoid):
    clip = random_clip(humanoid, frames=4)
    surface = surface_points(humanoid)
    body_pos, body_rot = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    points = surface.placed(body_pos, body_rot)[3].numpy()
    vertices = np.asarray(surface_of(humanoid, clip, 3).sample(40_000, seed=1))
    distances = np.linalg.norm(points[:, None] - vertices[None], axis=-1).min(1)
    assert distances.max() < 0.03


def test_meshes_are_as_large_as_the_shapes(humanoid):
    clip = random_clip(humanoid, frames=2)
    still = torch.tensor([0.0, 0.0, 0.0, 1.0])
    upright = clip.with_frames(
        clip.frames.each(lambda values: still.expand_as(values) if values.shape[-1] == 4 else torch.zeros_like(values))
    )
    mesh = surface_of(humanoid, upright, 0)
    (bottom, top) = mesh.bounds[:, 2]
    # From the soles of the shipped humanoid to the top of its head.
    assert abs(bottom + 0.421546 + 0.40987 + 0.0225 + 0.0275) < 1e-3
    assert 0.6 < top < 0.8
    left, right = mesh.bounds[:, 1]
    assert abs(left + right) < 2e-3


def test_few_nodes_hold_all_shapes(humanoid):
    copies = copies_of(humanoid)
    assert set(copies) <= set(unit_meshes())
    geoms = [geom for body in humanoid.bodies for geom in body.geoms]
    capsules = sum(geom.kind == "capsule" for geom in geoms)
    assert sum(len(each.bodies) for each in copies.values()) == len(geoms) + 2 * capsules
