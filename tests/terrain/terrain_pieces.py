"""Terrain generators and path planners as their options make them."""

from functools import cache
from typing import Any

from parc.configuration.composing import pieces_of_option
from parc.configuration.pieces import make
from parc.terrain.path_planner import PathPlanner
from parc.terrain.terrain_generator import TerrainGenerator

KINDS = {"terrain": TerrainGenerator, "path": PathPlanner}
RANDOM_TERRAINS = ("blocks", "boxes", "flights", "gaps", "paths", "stairs")


@cache
def settings_of(option: str) -> dict[str, Any]:
    group, _, name = option.partition("/")
    return pieces_of_option("generate", [f"{group}={name}"], [group])[group]


def piece(option: str, **changes: Any) -> Any:
    """Make the piece of an option, `group/name`, with other values at some keys (nested ones are merged)."""
    group = option.partition("/")[0]
    settings = dict(settings_of(option))
    for key, value in changes.items():
        settings[key] = {**settings[key], **value} if isinstance(value, dict) and "_target_" not in value else value
    return make(settings, KINDS[group], group)
