"""The metrics of an evaluation: what they are called, and their units. How they are measured stands in `measuring`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number that is measured of every motion, or of every path.

    Attributes:
        label: for people.
        unit: of its values.
    """

    label: str
    unit: str

    @property
    def heading(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})"


MOTION_METRICS = {
    "finished": Metric("reached the end of the path", "%"),
    "accepted": Metric("accepted by parc.generate", "%"),
    "clean": Metric("reached it cleanly: not lifted, not deep", "%"),
    "fwd": Metric("FWD: root to last node, at the end", "m"),
    "tpl": Metric("TPL: penetration, summed", "m"),
    "tcl": Metric("TCL: labels off the ground, summed", "m"),
    "penetration_per_frame": Metric("penetration a frame", "m"),
    "penetration_per_point": Metric("penetration a frame and surface point", "mm"),
    "contact_per_frame": Metric("labels off the ground a frame", "mm"),
    "hjf": Metric("%HJF: frames with a jerk", "%"),
    "hjf_bodies": Metric("%HJF as published: bodies over frames", "%"),
    "slide": Metric("foot slide in contact", "cm/s"),
    "floating": Metric("frames with a labelled foot in the air", "%"),
    "hovering": Metric("frames hovering: in the air, not falling", "%"),
    "deep": Metric("frames over 1 cm deep", "%"),
    "deepest": Metric("deepest penetration", "cm"),
    "label_precision": Metric("labelled feet that touch", "%"),
    "label_recall": Metric("standing feet that are labelled", "%"),
    "fastest_body": Metric("fastest body", "m/s"),
    "root_step": Metric("largest step of the root in a frame", "cm"),
    "length": Metric("length of a motion", "s"),
}
PATH_METRICS = {"diversity": Metric("spread of a path's candidates", "m")}
METRICS = MOTION_METRICS | PATH_METRICS
