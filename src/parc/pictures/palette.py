"""Colours that people with any kind of colour vision can tell apart (Okabe and Ito, 2008)."""

import numpy as np
from jaxtyping import Float

CONTACT = "#D55E00"
EARLY_POSE, LATE_POSE = "#7CC4EE", "#14508F"  # poses darken from the first to the last
MOVING_POSE = "#3D8AC9"  # of moving pictures, where time is told by time
ROOT_PATH = "#1A1A1A"
PATH_NODES = "#009E73"  # the path that a motion was asked to follow
TARGET = "#CC79A7"  # the node that it is on its way to
LOW_GROUND, HIGH_GROUND = "#A9B0B3", "#FBF0D9"
PIT = "#5B5F66"
TEXT, FAINT_TEXT = "#1F2328", "#6A737D"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")


def rgb(colour: str) -> Float[np.ndarray, " 3"]:
    """Return red, green and blue, 0..1, of a colour '#RRGGBB'."""
    return np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def rgb_bytes(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0..255, of a colour '#RRGGBB'."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def blend(start: str, end: str, shares: Float[np.ndarray, " items"]) -> Float[np.ndarray, "items 3"]:
    """Go the shares 0..1 of the way from one colour to another."""
    return rgb(start) + shares[:, None] * (rgb(end) - rgb(start))
