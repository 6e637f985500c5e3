"""Each class shows what its name says, and a new class is one function."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from demo_clips import clip_of_seed, humanoid_and_surface, seeds_of_class

from parc.anim.rotations import heading
from parc.demo_motions import generator, motion_classes
from parc.demo_motions.motion_classes import MOTION_CLASSES
from parc.demo_motions.promises import broken_promise, measure

CLIPS_A_CLASS = 2


def clips_of(motion_class):
    return [clip_of_seed(seed) for seed in seeds_of_class(motion_class, CLIPS_A_CLASS)]


def speeds(clip):
    return clip.root_pos.diff(dim=0)[:, :2].norm(dim=-1) * clip.fps


def frames_in_the_air(clip):
    character, _ = humanoid_and_surface()
    feet = [character.body_index(name) for name in ("left_foot", "right_foot")]
    return (clip.contacts[:, feet] < 0.3).all(dim=1)


def ground(clip):
    return clip.terrain.heights_at(clip.root_pos[:, :2])


def standing_heights(clip):
    """Heights of the ground under feet in contact."""
    character, _ = humanoid_and_surface()
    positions, _ = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    feet = [character.body_index(name) for name in ("left_foot", "right_foot")]
    return positions[:, feet, 2][clip.contacts[:, feet] > 0.999] - 0.05


def test_the_classes_asked_for_are_there():
    assert {"standing", "walking", "running", "turning", "stairs", "blocks", "jumping"} <= set(MOTION_CLASSES)


@pytest.mark.parametrize("name", sorted(set(MOTION_CLASSES) - {"standing", "turning"}))
def test_who_has_somewhere_to_go_sets_off_at_once(name):
    for clip in clips_of(name):
        way = clip.root_pos[: round(0.6 * clip.fps)] - clip.root_pos[0]
        assert way[:, :2].norm(dim=-1).max() > 0.04


def test_standing_stays_and_moves_a_little():
    for clip in clips_of("standing"):
        assert (clip.root_pos - clip.root_pos[0]).norm(dim=-1).max() < 0.7
        assert clip.joint_rot.std(dim=0).max() > 1e-3


def test_walking_never_leaves_the_ground():
    for clip in clips_of("walking"):
        assert not frames_in_the_air(clip).any()
        assert 0.6 < speeds(clip).max() < 2.2


def test_running_flies_at_every_step_and_falls_with_gravity():
    falls = []
    for clip in clips_of("running"):
        assert speeds(clip).max() > 2.2
        air = frames_in_the_air(clip)
        assert air.float().mean() > 0.04
        fall = clip.root_pos[:, 2].diff(n=2) * clip.fps**2
        # The middle of each flight: all three frames of a second difference in the air. Short flights have none.
        falls.append(fall[air[:-2] & air[1:-1] & air[2:]])
    assert (torch.cat(falls) < -4).float().mean() > 0.9  # no number where no flight was long enough


def test_turning_turns_by_at_least_45_degrees():
    for clip in clips_of("turning"):
        turned = np.unwrap(heading(clip.root_rot).numpy())
        assert np.ptp(turned) > np.pi / 4


def test_stairs_climb_or_descend_step_by_step():
    for clip in clips_of("stairs"):
        levels = np.unique(np.round(standing_heights(clip).numpy(), 2))
        assert np.ptp(levels) > 0.2
        assert 0.1 < np.diff(levels).max() < 0.45


def test_blocks_go_up_and_down_by_at_most_40_cm():
    tops = [np.ptp(standing_heights(clip).numpy()) for clip in clips_of("blocks")]
    assert all(0.14 < top < 0.82 for top in tops)


def test_jumping_flies_over_a_gap():
    for clip in clips_of("jumping"):
        air = frames_in_the_air(clip)
        assert air.any()
        depth = standing_heights(clip).min() - ground(clip)
        assert depth[air].max() > 0.4


def test_both_directions_of_stairs_occur():
    flights = [MOTION_CLASSES["stairs"](np.random.default_rng(seed)).footsteps for seed in range(12)]
    rises = [steps[-1].z - steps[0].z for steps in flights]
    assert min(rises) < -0.2
    assert max(rises) > 0.2


def test_who_jumps_up_from_standing_does_so_with_both_feet_and_who_jumps_over_a_gap_with_one():
    def share_from_both_feet(name):
        plans = [MOTION_CLASSES[name](np.random.default_rng(seed)) for seed in range(20)]
        both = [any(a.land == b.land > 0 for a, b in pairwise(plan.footsteps)) for plan in plans]
        return sum(both) / len(both)

    assert 0.1 < share_from_both_feet("standing") < 0.7
    assert share_from_both_feet("jumping") == 0


def test_the_example_of_the_docstring_is_a_class_of_motion(monkeypatch):
    lines = motion_classes.__doc__.splitlines()
    start = next(number for number, line in enumerate(lines) if "@motion_class(" in line)
    example = "\n".join(line[4:] for line in lines[start:] if re.match(r" {4}|$", line)).split("\n\n")[0]
    monkeypatch.setattr(motion_classes, "MOTION_CLASSES", {})
    exec(example, dict(vars(motion_classes)))
    made = motion_classes.MOTION_CLASSES or MOTION_CLASSES
    plan = made.pop("marching")
    monkeypatch.setattr(generator, "MOTION_CLASSES", {"marching": plan})
    character, surface = humanoid_and_surface()
    clip = generator.make_clip(0, 0, character, surface)
    assert clip.name == "marching_00000"
    assert broken_promise(measure(clip, character, surface)) is None
    assert (clip.root_pos[-1] - clip.root_pos[0]).norm() == pytest.approx(4.0, abs=0.3)


def test_a_class_that_cannot_be_carried_out_says_why(monkeypatch):
    def impossible(random):
        raise generator.InfeasibleError("too hard")

    monkeypatch.setattr(generator, "MOTION_CLASSES", {"impossible": impossible})
    with pytest.raises(RuntimeError, match="too hard"):
        generator.make_clip(0, 0, *humanoid_and_surface())


def test_clips_of_a_class_differ():
    first, second = clips_of("walking")[:2]
    assert first.root_pos.shape != second.root_pos.shape or not torch.equal(first.root_pos, second.root_pos)
