"""What no forces can make is told from the clip, with its frame and the reason; what they can is not."""

from dataclasses import replace

import pytest
import torch
from easy_clips import standing_clip, stepping_clip

from parc.anim.clip_files import read_clip
from parc.anim.motion_clip import MotionClip
from parc.physics.hopeless import OFF, why_hopeless

FPS = 30.0


def moved(clip: MotionClip, shift: torch.Tensor) -> MotionClip:
    return replace(clip, root_pos=clip.root_pos + shift)


def raised(heights: torch.Tensor) -> MotionClip:
    """Return a clip of someone who stands, so high above the ground in each frame."""
    clip = standing_clip(seconds=1.6)
    return moved(clip, torch.stack([0 * heights, 0 * heights, heights], dim=1))


def test_what_hovers_is_hopeless(humanoid):
    heights = torch.full((standing_clip(seconds=1.6).num_frames,), 2.0)
    last = len(heights) - 1
    why = why_hopeless(raised(heights), humanoid)
    assert why.startswith(f"frames 0 to {last}: nothing comes near the ground for {last / FPS:.1f} s")
    rising = 2.0 * ((torch.arange(last + 1) - 10) / 6).clamp(0, 1)
    first = int((rising > OFF).nonzero()[0])
    assert why_hopeless(raised(rising), humanoid).startswith(f"frames {first} to {last}: nothing comes near")


def test_what_floats_near_the_ground_can_stand_on_it(humanoid):
    assert why_hopeless(raised(torch.full((standing_clip(seconds=1.6).num_frames,), 0.25)), humanoid) == ""


def test_what_is_thrown_is_not_hopeless_unless_it_falls_too_fast(humanoid):
    def thrown(gravity):
        seconds = (torch.arange(standing_clip(seconds=1.6).num_frames) - 8).clamp(min=0) / FPS
        return raised((gravity * 0.6 * seconds - gravity / 2 * seconds**2).clamp(min=0))  # lands after 1.2 s

    assert why_hopeless(thrown(9.81), humanoid) == ""
    assert "nothing comes near the ground" in why_hopeless(thrown(20.0), humanoid)


@pytest.mark.parametrize("frame", [0, 17])
def test_what_is_deep_in_the_ground_is_hopeless(humanoid, frame):
    heights = torch.zeros(standing_clip(seconds=1.6).num_frames)
    heights[frame:] = -2.0
    clip = raised(heights)
    slowly = replace(clip, fps=5.0)  # so that it does not come there faster than anything can
    assert why_hopeless(slowly, humanoid).startswith(f"frame {frame}: a body is 2.0")
    assert "m in the ground, over 0.5" in why_hopeless(slowly, humanoid)
    assert why_hopeless(raised(heights / 10), humanoid) == "", "20 cm are not too deep to be lifted"


def test_what_teleports_is_hopeless(humanoid):
    clip = stepping_clip()
    shift = torch.zeros(clip.num_frames, 3)
    shift[12:, 0] = 1.0
    assert why_hopeless(moved(clip, shift), humanoid) == "frame 11: the root moves at 30 m/s to the next one, over 15"
    assert why_hopeless(moved(clip, shift / 10), humanoid) == ""


@pytest.mark.parametrize("name", ["TEASER_TERRAIN", "civilization", "dec2024_teaser_717_1_modified_opt",
                                  "dec2024_teaser_717_1_opt_dm", "sfu"])  # fmt: skip
def test_real_clips_are_not_hopeless(clips_folder, humanoid, name):
    assert why_hopeless(read_clip(clips_folder / f"{name}.pkl", humanoid), humanoid) == ""
