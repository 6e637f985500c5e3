"""Clips of the set for tests, made once a session."""

from functools import cache

from parc.anim.character import Character
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import BodyPoints, surface_points
from parc.demo_motions.generator import class_of, make_clip
from parc.demo_motions.motion_classes import MOTION_CLASSES


@cache
def humanoid_and_surface() -> tuple[Character, BodyPoints]:
    character = CharacterFile("humanoid.xml").read()
    return character, surface_points(character)


@cache
def clip_of_seed(seed: int) -> MotionClip:
    """One clip a seed; classes take turns."""
    return make_clip(seed, seed, *humanoid_and_surface())


def seeds_of_class(motion_class: str, count: int) -> list[int]:
    return [seed for seed in range(len(MOTION_CLASSES) * count) if class_of(seed) == motion_class]
