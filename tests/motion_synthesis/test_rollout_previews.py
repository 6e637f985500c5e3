"""Previews show the same paths and noise for every model, one motion each, as they come out of the rollout."""

import dataclasses

import pytest
import torch
from PIL import Image

from parc.configuration.errors import UserError
from parc.configuration.trusted import trust
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_synthesis.previews import RolloutPreview
from parc.terrain.path_planner import NoPathError
from parc.terrain.random_terrains import Flat
from parc.terrain.waypoints import Waypoints
from straight_walks import ROLLOUT
from walker import walker

trust(["walker"])
WAY = Waypoints([[1.0, 1.0], [3.0, 2.0]])
PREVIEW = RolloutPreview(
    every_checkpoints=1, paths=2, seed=0, max_terrains=1, path=WAY, rollout=dataclasses.replace(ROLLOUT, max_seconds=2.5),
    terrains={"low": Flat(12, 10, 0.4, 0.0), "high": Flat(12, 10, 0.4, 1.0)},
)  # fmt: skip


@pytest.fixture
def model(humanoid):
    return walker(humanoid, RelativeZStyle.RELATIVE_TO_ROOT_FLOOR)


def test_motions_are_those_of_each_kind_of_terrain_and_say_whether_they_arrived(model):
    clips = PREVIEW.motions(model)
    assert [clip.name for clip in clips] == [f"{kind} {n}, arrived" for kind in ("low", "high") for n in range(2)]
    assert [float(clip.terrain.heights.max()) for clip in clips] == [0, 0, 1, 1]
    for clip in clips:
        assert clip.path_nodes is not None and torch.linalg.norm(clip.root_pos[0, :2] - torch.tensor([1.0, 1.0])) < 0.2
    far = dataclasses.replace(PREVIEW, path=Waypoints([[0.0, 0.0], [4.4, 3.6]]))
    late = far.motions(model)[0]
    assert late.name == "low 0, did not arrive" and late.seconds == pytest.approx(2.5, abs=0.1)


def test_the_same_again_for_the_same_model_and_other_noise_with_another_seed(model):
    model.mdm.denoiser.sway = 1e-2
    first, again = PREVIEW.motions(model), PREVIEW.motions(model)
    other = dataclasses.replace(PREVIEW, seed=1).motions(model)
    for clip, same, different in zip(first, again, other, strict=True):
        assert torch.equal(clip.root_pos, same.root_pos)
        assert not torch.equal(clip.root_pos[:5], different.root_pos[:5])
    assert not torch.equal(first[0].root_pos[:5], first[1].root_pos[:5]), "no two paths share their noise"


def test_several_candidates_follow_the_same_path(model):
    model.mdm.denoiser.sway = 1e-2
    several = dataclasses.replace(PREVIEW, rollout=dataclasses.replace(PREVIEW.rollout, candidates=2))
    clips = several.motions(model)
    first, second = clips[0].path_nodes, clips[1].path_nodes
    assert len(clips) == 8 and first is not None and second is not None and torch.equal(first, second)
    assert not torch.equal(clips[0].root_pos[:5], clips[1].root_pos[:5])
    torch.testing.assert_close(clips[2].root_pos[:5], PREVIEW.motions(model)[1].root_pos[:5], atol=1e-5, rtol=0)


def test_the_picture_is_small_and_as_long_as_the_longest_motion(model, tmp_path):
    few = dataclasses.replace(PREVIEW, paths=1)
    few.draw(model, "epoch 7", tmp_path / "previews" / "epoch_000007.gif")
    with Image.open(tmp_path / "previews" / "epoch_000007.gif") as picture:
        assert picture.width == 640 and 240 < picture.height < 300
        longest = max(clip.seconds for clip in few.motions(model))
        assert 0 <= picture.n_frames / 10 - longest < 0.3, "ten frames a second"


def test_what_cannot_be_rolled_out_is_one_line(model, tmp_path):
    class Nowhere:
        def plan(self, terrain, random):
            return None

    with pytest.raises(NoPathError):
        dataclasses.replace(PREVIEW, path=Nowhere()).draw(model, "epoch 1", tmp_path / "epoch_000001.gif")
    handless = dataclasses.replace(PREVIEW, rollout=dataclasses.replace(ROLLOUT, feet=["hoof"]))
    with pytest.raises(UserError, match=r"rollout\.feet"):
        handless.draw(model, "epoch 1", tmp_path / "epoch_000001.gif")
    assert not list(tmp_path.iterdir())
