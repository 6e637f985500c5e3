"""Terrain generators and path planners as their options make them."""

from typing import Any

import yaml

from parc.configuration.hydra_help import conf_folder
from parc.configuration.pieces import make
from parc.terrain.path_planner import PathPlanner
from parc.terrain.terrain_generator import TerrainGenerator

KINDS = {"terrain": TerrainGenerator, "path": PathPlanner}
RANDOM_TERRAINS = ("blocks", "boxes", "flights", "gaps", "paths", "stairs")


def settings_of(option: str) -> dict[str, Any]:
    settings = yaml.safe_load((conf_folder() / f"{option}.yaml").read_text())
    group = option.partition("/")[0]
    for built_on in settings.pop("defaults", []):
        settings = {**settings_of(f"{group}/{built_on}"), **settings}
    return settings


def piece(option: str, **changes: Any) -> Any:
    """Make the piece of an option, `group/name`, with other values at some keys (nested ones are merged)."""
    group = option.partition("/")[0]
    settings = settings_of(option)
    for key, value in changes.items():
        settings[key] = {**settings[key], **value} if isinstance(value, dict) and "_target_" not in value else value
    return make(settings, KINDS[group], group)
