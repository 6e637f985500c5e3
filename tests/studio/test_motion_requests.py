"""Asking for motions to places: whoever is asked goes there, over the way that was asked for."""

import dataclasses

import pytest
import torch

from parc.configuration.errors import UserError
from parc.configuration.trusted import trust
from parc.studio.motion_requests import MotionRequest, answered, default_pieces, with_sampling
from parc.terrain.heightfield import Heightfield
from straight_walks import ROLLOUT
from walker import walker

trust(["walker"])
LEVEL = Heightfield(torch.zeros(40, 40), torch.tensor([-8.0, -8.0]), 0.4)


@pytest.fixture(scope="module")
def model(humanoid):
    return walker(humanoid)


@pytest.fixture(scope="module")
def pieces():
    return dataclasses.replace(default_pieces(), rollout=ROLLOUT)


def asked(places, so_far=None, terrain=LEVEL, straight=True):
    return MotionRequest(terrain, torch.tensor(places), so_far, straight, seed=0, step=0)


def test_the_motion_begins_at_the_first_place_and_ends_near_the_last(model, pieces):
    (only,) = answered(asked([[0.0, 0.0], [3.0, 1.0]]), model, pieces, "walk")
    assert torch.linalg.norm(only.version.clip.root_pos[0, :2]) < 0.1
    assert torch.linalg.norm(only.version.clip.root_pos[-1, :2] - torch.tensor([3.0, 1.0])) < 0.6
    assert "arrives" in only.description
    assert only.version.clip.path_nodes is not None
    torch.testing.assert_close(only.version.clip.path_nodes[-1, :2], torch.tensor([3.0, 1.0]))


def test_a_motion_goes_on_from_where_it_is(model, pieces):
    (first,) = answered(asked([[0.0, 0.0], [3.0, 0.0]]), model, pieces, "walk")
    end = first.version.clip.root_pos[-1, :2].tolist()
    (second,) = answered(asked([end, [3.0, 3.0]], first.version.clip.frames), model, pieces, "walk")
    kept = first.version.clip.num_frames
    torch.testing.assert_close(second.version.clip.root_pos[:kept], first.version.clip.root_pos)
    assert torch.linalg.norm(second.version.clip.root_pos[-1, :2] - torch.tensor([3.0, 3.0])) < 0.6


def test_a_planned_way_goes_around_what_is_too_high(model, pieces):
    heights = torch.zeros(40, 40)
    heights[20:24, 10:30] = 3.0  # a wall across the straight way
    wall = Heightfield(heights, LEVEL.min_point, 0.4)
    planned = asked([[-2.0, 0.0], [3.0, 0.0]], terrain=wall, straight=False).planned(pieces)
    assert planned.nodes[:, 1].abs().max() > 3.5
    assert asked([[-2.0, 0.0], [3.0, 0.0]], terrain=wall).planned(pieces).nodes[:, 2].max() == 3.0


def test_a_place_beside_the_terrain_is_refused(model, pieces):
    with pytest.raises(UserError, match="beside the terrain"):
        answered(asked([[0.0, 0.0], [30.0, 0.0]]), model, pieces, "walk")


def test_sampling_is_as_asked_for(model, pieces):
    changed = with_sampling(pieces, 3, 0.25, 2)
    assert (changed.rollout.guidance_scale, changed.rollout.denoising_steps) == (0.25, 2)
    assert len(answered(asked([[0.0, 0.0], [2.0, 0.0]]), model, changed, "walk")) == 3
