"""What a reader of other people's data returns."""

from dataclasses import dataclass

from parc.anim.motion_clip import MotionClip


@dataclass(frozen=True)
class ImportedClip:
    """A clip made from other people's data.

    Attributes:
        clip: ours, on its terrain.
        motion_class: the folder that it belongs into; empty where its place is that of its source.
        measures: how far it is off its source, and how clean it is, by name with unit, such as "joint error (cm)"; empty where
            nothing was fitted.
    """

    clip: MotionClip
    motion_class: str
    measures: dict[str, float]
