"""Settings that are a mapping from names to pieces: made, checked and marked like pieces that stand alone."""

from dataclasses import dataclass

import pytest

from parc.configuration.errors import SettingsError
from parc.configuration.marks import leaves, with_paths
from parc.configuration.pieces import checked_arguments
from parc.terrain.random_terrains import Flat
from parc.terrain.terrain_file import TerrainFile
from parc.terrain.terrain_generator import TerrainGenerator

FLAT = {"_target_": "parc.terrain.random_terrains.Flat", "cells_x": 4, "cells_y": 5, "cell_size": 0.4, "height": 0.0}
FILE = {
    "_target_": "parc.terrain.terrain_file.TerrainFile", "terrain_file": "heights.npy", "cell_size": 0.4, "height_scale": 1.0,
    "cells_x": 4, "cells_y": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Several:
    terrains: dict[str, TerrainGenerator]


def test_each_value_is_made():
    made = checked_arguments(Several, {"terrains": {"level": FLAT, "own": FILE}}, "")["terrains"]
    assert list(made) == ["level", "own"]
    assert isinstance(made["level"], Flat) and isinstance(made["own"], TerrainFile)
    assert checked_arguments(Several, {"terrains": {}}, "") == {"terrains": {}}


@pytest.mark.parametrize(
    ("terrains", "said"),
    [
        ({"level": FLAT | {"cells_x": "many"}}, r"terrains\.level\.cells_x: is 'many', expected a whole number"),
        ({"level": FLAT | {"cell": 3}}, r"terrains\.level\.cell: there is no such key"),
        ({"level": 3}, r"terrains\.level: is 3, expected the settings of a TerrainGenerator"),
        ([FLAT], r"terrains: is .*, expected a mapping from names, each to "),
    ],
)
def test_what_is_wrong_in_one_is_named(terrains, said):
    with pytest.raises(SettingsError, match=said):
        checked_arguments(Several, {"terrains": terrains}, "")


def test_marks_are_read_in_each():
    settings = {"terrains": {"level": FLAT, "own": FILE}}
    found = leaves(Several, settings)
    assert {"terrains.level.cells_y", "terrains.own.terrain_file"} <= found.keys()
    changed = with_paths(Several, settings, lambda path: f"/there/{path}")
    assert changed["terrains"]["own"]["terrain_file"] == "/there/heights.npy"
    assert changed["terrains"]["level"] == FLAT
