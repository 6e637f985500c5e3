"""The error on held-out clips: its units, what changes nothing in it, and what it shows of terrain and target."""

import dataclasses
import math

import pytest
import torch

from paper_settings import AUGMENTATION, GRID, paper_sampler
from parc.anim.motion_library import library_of
from parc.anim.surface_points import surface_points
from parc.configuration.pieces import recipe
from parc.motion_generator import heldout_error
from parc.motion_generator.canonical_frame import RelativeZStyle, to_canonical, to_world
from parc.motion_generator.denoiser import Denoiser
from parc.motion_generator.features import FeatureStatistics, Motion, RotationType
from parc.motion_generator.heldout_error import HeldoutError
from parc.motion_generator.mdm import MDM, ConditionChances
from parc.terrain.heightfield import Heightfield
from synthetic_clips import preprocessed, random_clip

DENOISER = {
    "_target_": "parc.motion_generator.mdm_transformer.MDMTransformer",
    **dict.fromkeys(("d_model", "d_hid", "mlp_width", "target_mlp_width"), 16),
    "num_heads": 2,
    "num_layers": 1,
    "dropout": 0.5,
}


def make_model(humanoid, timesteps: int = 21, dropped: float = 0.0) -> MDM:
    torch.manual_seed(0)
    chances = ConditionChances(dropped, dropped, dropped, 0.5)
    statistics = FeatureStatistics(torch.zeros(15, 91), torch.full((15, 91), 0.3))
    return MDM(
        recipe(DENOISER, Denoiser, "model.denoiser"), timesteps, RotationType.DEFAULT, chances, character=humanoid,
        statistics=statistics, num_frames=15, num_previous=2, heightmap=GRID,
    )  # fmt: skip


def make_sampler(humanoid, clips, names: list[str], heldout: list[bool] | None = None, **settings):
    sampler = paper_sampler(**settings)
    library = library_of(preprocessed(humanoid, clips), [1.0] * len(clips))
    sampler.use_library(library, names, [""] * len(clips), heldout or [True] * len(clips))
    return sampler


@pytest.fixture(scope="module")
def clips(humanoid):
    return [random_clip(humanoid, number, frames=60, cells=(12, 14)) for number in range(3)]


def measured(humanoid, sampler, change) -> dict[str, float]:
    """Measure a model whose prediction is what a function makes of the conditions, the true motion and the draws."""
    model = make_model(humanoid)
    model.predict = change
    return HeldoutError(sampler, model).measure(model, model.denoiser)


def on_level_ground(clip):
    return dataclasses.replace(clip, terrain=Heightfield(torch.zeros(20, 20), torch.zeros(2), 0.4))


def moved(true, by) -> Motion:
    return dataclasses.replace(true, root_pos=true.root_pos + torch.as_tensor(by))


def test_the_truth_has_no_error_and_known_errors_have_their_size(humanoid, clips):
    sampler = make_sampler(humanoid, clips, ["a", "b", "c"])
    truth = measured(humanoid, sampler, lambda windows, true, draws: true)
    for name in ("body_position", "root_position", "joint_angle", "contacts"):
        assert truth[name] == pytest.approx(0, abs=2e-3), name  # angles of equal quaternions are rounded
    aside = measured(humanoid, sampler, lambda windows, true, draws: moved(true, [0.3, 0.4, 0.0]))
    assert aside["root_position"] == pytest.approx(0.5) and aside["body_position"] == pytest.approx(0.5, rel=1e-5)
    assert aside["timestep_8/root_position"] == pytest.approx(0.5)
    assert aside["sliding"] == pytest.approx(truth["sliding"], rel=1e-4)

    def drift(windows, true, draws):
        return moved(true, torch.arange(15)[:, None] / 30 * torch.tensor([0.0, 0.0, 7.0]))

    # What only rises does not slide.
    assert measured(humanoid, sampler, drift)["sliding"] == pytest.approx(truth["sliding"], rel=1e-4)
    unsure = measured(humanoid, sampler, lambda w, true, d: dataclasses.replace(true, contacts=true.contacts - 0.3))
    assert unsure["contacts"] == pytest.approx(0.3)

    turned = torch.tensor([0.0, 0.0, math.sin(0.1), math.cos(0.1)])  # 0.2 radians

    def turn_joints(windows, true, draws):
        return dataclasses.replace(true, joint_rot=turned.expand_as(true.joint_rot))

    still = [
        dataclasses.replace(clip, joint_rot=torch.tensor([0.0, 0, 0, 1]).expand_as(clip.joint_rot)) for clip in clips
    ]
    turned_figures = measured(humanoid, make_sampler(humanoid, still, ["a", "b", "c"]), turn_joints)
    assert turned_figures["joint_angle"] == pytest.approx(0.2, rel=1e-3)


def test_sliding_is_the_speed_of_bodies_that_should_hold_still(humanoid, clips):
    clip = clips[0]
    labels = torch.zeros_like(clip.contacts)
    labels[:, 3] = 1.0
    still = dataclasses.replace(
        clip, contacts=labels, root_pos=clip.root_pos[:1].expand_as(clip.root_pos),
        root_rot=clip.root_rot[:1].expand_as(clip.root_rot), joint_rot=clip.joint_rot[:1].expand_as(clip.joint_rot),
    )  # fmt: skip

    def slide(windows, true, draws):
        return moved(true, torch.arange(15)[:, None] / 30 * torch.tensor([0.3, 0.4, 0.0]))

    sampler = make_sampler(humanoid, [still], ["a"])
    assert measured(humanoid, sampler, slide)["sliding"] == pytest.approx(0.5, rel=1e-3)
    free = make_sampler(humanoid, [dataclasses.replace(still, contacts=0 * labels)], ["a"])
    assert "sliding" not in measured(humanoid, free, slide)


@pytest.mark.parametrize("style", list(RelativeZStyle))
def test_penetration_is_the_depth_below_the_clips_own_ground(humanoid, clips, style):
    flat = Heightfield(torch.full((30, 30), 0.7), torch.tensor([-3.0, -3.0]), 0.4)
    points = surface_points(humanoid).placed(
        *humanoid.forward_kinematics(clips[0].root_pos, clips[0].root_rot, clips[0].joint_rot)
    )
    standing = clips[0].root_pos - torch.stack([0 * points[:, 0, 0]] * 2 + [points[..., 2].amin(1) - 0.7], dim=-1)
    clip = dataclasses.replace(clips[0], root_pos=standing, terrain=flat)
    sampler = make_sampler(humanoid, [clip], ["a"], style=style)
    assert measured(humanoid, sampler, lambda w, true, d: true)["penetration"] < 0.02  # between two frames of the clip
    sunk = measured(humanoid, sampler, lambda w, true, d: moved(true, [0.0, 0.0, -0.3]))
    assert sunk["penetration"] == pytest.approx(0.3, abs=0.02)
    assert measured(humanoid, sampler, lambda w, true, d: moved(true, [0.0, 0.0, 0.3]))["penetration"] == 0


def test_points_come_back_to_the_world():
    points, origin, turn = torch.randn(4, 6, 3), torch.randn(4, 3), torch.randn(4)
    torch.testing.assert_close(to_world(to_canonical(points, origin, turn), origin, turn), points)


def test_sensitivities_are_the_error_with_other_conditions_over_that_with_the_own(humanoid, clips):
    sampler = make_sampler(humanoid, clips, ["a", "b", "c"])

    def blind(windows, true, draws):
        return moved(true, [0.1, 0.0, 0.0])

    blind_figures = measured(humanoid, sampler, blind)
    assert blind_figures["terrain_sensitivity"] == pytest.approx(1) and blind_figures[
        "target_sensitivity"
    ] == pytest.approx(1)
    assert blind_figures["timestep_20/terrain_sensitivity"] == pytest.approx(1)

    seen = []

    def remember(windows, true, draws):
        seen.append(windows)
        wrong_map = (windows.heightmap - seen[0].heightmap).abs().mean((1, 2)) > 0
        wrong_target = (windows.target_direction - seen[0].target_direction).abs().sum(1) > 0
        size = torch.where(wrong_map, 0.4, torch.where(wrong_target, 0.2, 0.1))
        return moved(true, size[:, None, None] * torch.tensor([1.0, 0, 0]))

    figures = measured(humanoid, sampler, remember)
    assert figures["terrain_sensitivity"] == pytest.approx(4, rel=1e-3)
    assert figures["target_sensitivity"] == pytest.approx(2, rel=1e-3)
    own, other_map, other_target = seen[:3]
    assert torch.equal(other_map.target_direction, own.target_direction)
    assert torch.equal(other_target.heightmap, own.heightmap)
    dot = (other_target.target_direction * own.target_direction).sum(1)
    cross = own.target_direction[:, 0] * other_target.target_direction[:, 1]
    cross = cross - own.target_direction[:, 1] * other_target.target_direction[:, 0]
    assert torch.allclose(dot, torch.zeros_like(dot), atol=1e-6) and torch.allclose(cross, torch.ones_like(cross))
    # Another heightmap is that of the window of the same clip which differs most.
    first = own.heightmap[:8]
    differences = (first[:, None] - first).abs().mean((2, 3))
    assert torch.equal(other_map.heightmap[:8], first[differences.argmax(1)])


def test_a_model_that_follows_half_of_raised_ground_has_that_response(humanoid, clips):
    sampler = make_sampler(humanoid, [on_level_ground(clips[0])], ["a"], style=RelativeZStyle.RELATIVE_TO_ROOT_FLOOR)

    def half_way_up(windows, true, draws):
        return moved(true, 0.5 * windows.heightmap[:, :1, :1] * torch.tensor([0.0, 0.0, 1.0]))

    assert measured(humanoid, sampler, half_way_up)["ground_response"] == pytest.approx(0.5, rel=1e-3)
    assert measured(humanoid, sampler, lambda w, true, d: true)["ground_response"] == 0


def test_level_ground_shows_no_terrain_sensitivity(humanoid, clips):
    level = make_sampler(humanoid, [on_level_ground(clips[0])], ["a"], style=RelativeZStyle.RELATIVE_TO_ROOT_FLOOR)
    assert "terrain_sensitivity" not in measured(humanoid, level, lambda w, true, d: true)


def figures_of(humanoid, sampler, model: MDM) -> dict[str, float]:
    return HeldoutError(sampler, model).measure(model, model.denoiser)


def test_how_a_run_trains_changes_nothing_in_the_measure(humanoid, clips):
    plain = figures_of(humanoid, make_sampler(humanoid, clips, ["a", "b", "c"]), make_model(humanoid))
    augmented = make_sampler(
        humanoid, clips, ["a", "b", "c"], augmentation=AUGMENTATION, angle_noise=0.3, pos_noise=0.3
    )
    assert figures_of(humanoid, augmented, make_model(humanoid, dropped=0.9)) == plain
    assert plain["body_position"] > 0.05
    torch.manual_seed(99)  # nothing is left to chance
    assert figures_of(humanoid, augmented, make_model(humanoid)) == plain


def test_other_clips_change_nothing_in_what_a_clip_is_measured_on(humanoid, clips):
    def alone(names, chosen, heldout):
        sampler = make_sampler(humanoid, chosen, names, heldout)
        return HeldoutError(sampler, make_model(humanoid)).parts[0]

    one = alone(["a"], clips[:1], [True])
    among = alone(["z", "a", "b"], [clips[2], clips[0], clips[1]], [True, True, False])
    assert len(one.noise) == 8 and len(among.noise) == 16
    assert torch.equal(one.noise, among.noise[8:]) and not torch.equal(one.noise, among.noise[:8])
    torch.testing.assert_close(one.windows.frames.root_pos, among.windows.frames.root_pos[8:])
    assert torch.equal(one.windows.heightmap, among.windows.heightmap[8:])
    assert torch.equal(one.other_heightmaps, among.other_heightmaps[8:])


def test_windows_reach_from_a_clips_first_frame_to_its_last(humanoid, clips):
    (part,) = HeldoutError(make_sampler(humanoid, clips[:1], ["a"]), make_model(humanoid)).parts
    assert part.windows.starts[0] == 0 and part.windows.starts[-1] == pytest.approx(59 / 30 - 14 / 30)


def test_models_with_other_numbers_of_timesteps_are_measured_at_the_same_noise(humanoid, clips):
    sampler = make_sampler(humanoid, clips[:1], ["a"])
    shares = []
    for timesteps in (8, 21, 50):
        model = make_model(humanoid, timesteps)
        measure = HeldoutError(sampler, model)
        shares.append([timestep / (timesteps - 1) for timestep in measure.timesteps])
    for share in shares:
        assert share == pytest.approx([0.1, 0.4, 1.0], abs=0.05)


def test_many_clips_are_measured_on_a_part_of_them_and_in_parts(humanoid, clips, monkeypatch):
    names = [f"clip {number}" for number in range(3)]
    sampler = make_sampler(humanoid, clips, names)
    whole = figures_of(humanoid, sampler, make_model(humanoid))
    monkeypatch.setattr(heldout_error, "CLIPS_AT_ONCE", 2)
    in_parts = figures_of(humanoid, sampler, make_model(humanoid))
    assert in_parts == pytest.approx(whole, rel=1e-4)
    monkeypatch.setattr(heldout_error, "MOST_CLIPS", 2)
    parts = HeldoutError(sampler, make_model(humanoid)).parts
    assert sum(len(part.noise) for part in parts) == 16


def test_without_held_out_clips_nothing_is_measured(humanoid, clips):
    sampler = make_sampler(humanoid, clips, ["a", "b", "c"], [False] * 3)
    assert figures_of(humanoid, sampler, make_model(humanoid)) == {}
