"""Every option of the groups `terrain` and `path` is in form, has the paper's numbers, and mistakes in it are one line."""

import numpy as np
import pytest
import torch
from terrain_pieces import KINDS, piece

from parc.configuration import trusted
from parc.configuration.errors import UserError
from parc.configuration.hydra_help import conf_folder, options_of
from parc.configuration.pieces import make
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_planner import PathPlanner, PlannedPath, terrain_with_path
from parc.terrain.terrain_generator import TerrainGenerator

OPTIONS = [option for option in options_of([conf_folder()]) if option.partition("/")[0] in KINDS]
NEEDED = {"terrain/file": {"terrain_file": "terrain.png"}, "path/waypoints": {"points": [[1, 1], [5.0, 3.0]]}}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_makes_its_piece_and_reads_no_file(option):
    made = piece(option, **NEEDED.get(option, {}))
    assert isinstance(made, KINDS[option.partition("/")[0]])


def test_the_options_are_those_that_are_promised():
    assert OPTIONS == [
        "path/shortest", "path/waypoints",
        "terrain/blocks", "terrain/boxes", "terrain/file", "terrain/flat", "terrain/flights", "terrain/gaps",
        "terrain/paths", "terrain/stairs",
    ]  # fmt: skip


def test_no_two_terrains_name_their_motions_alike():
    """Motions are named after the class of what makes their terrain: those of two runs can be one dataset."""
    terrains = [option for option in OPTIONS if option.startswith("terrain/")]
    classes = {type(piece(option, **NEEDED.get(option, {}))).__name__ for option in terrains}
    assert len(classes) == len(terrains) == 8


def test_the_paths_have_the_papers_numbers():
    shortest = piece("path/shortest")
    assert (shortest.min_distance, shortest.draws, shortest.max_cost, shortest.pad_cells) == (5.0, 10, 1000.0, 4)
    assert vars(shortest.moves) == {"max_climb": 2.1, "max_jump": 3.0, "max_jump_down": 1.0, "max_jump_up": 0.5}
    costs = {"distance": 1.0, "rise": 0.15, "random": 0.5, "bumpiness": 0.0, "max_bumpiness": 0.2, "bumpiness_cells": 4}
    assert vars(shortest.costs) == costs


MISTAKES = [
    ("terrain/flat", {"cells_x": 0}, "terrain.cells_x is 0, expected at least 1"),
    ("terrain/flat", {"cells_x": 2.5}, "terrain.cells_x: is 2.5, expected a whole number"),
    ("terrain/flat", {"cell_size": 0.0}, "terrain.cell_size is 0.0, expected metres from 0.001 to 1000"),
    ("terrain/flat", {"height": float("nan")}, "terrain.height: is nan, expected a finite number"),
    ("terrain/flat", {"hight": 1.0}, "terrain.hight: there is no such key; did you mean 'height'?"),
    ("terrain/boxes", {"boxes": -1}, "terrain.boxes is -1, expected at least 0"),
    ("terrain/boxes", {"max_side": 4.0}, "terrain.max_side is 4.0, expected at least min_side (5.0)"),
    ("terrain/boxes", {"min_height": 3.0}, "terrain.max_height is 2.0, expected at least min_height (3.0)"),
    ("terrain/paths", {"width": 0}, "terrain.width is 0, expected at least 1"),
    ("terrain/paths", {"turn": -0.1}, "terrain.turn is -0.1, expected at least 0"),
    ("terrain/stairs", {"flights": -2}, "terrain.flights is -2, expected at least 0"),
    ("terrain/stairs", {"max_width": 1.0}, "terrain.max_width is 1.0, expected at least min_width (2.0)"),
    ("terrain/flights", {"min_steps": 0}, "terrain.min_steps is 0, expected at least 1"),
    ("terrain/flights", {"max_landing": 0}, "terrain.max_landing is 0, expected at least min_landing (1)"),
    ("terrain/gaps", {"min_width": 0}, "terrain.min_width is 0, expected at least 1"),
    ("terrain/gaps", {"max_depth": 0.5}, "terrain.max_depth is 0.5, expected at least min_depth (1.0)"),
    ("terrain/file", {}, "terrain.terrain_file: has no value yet; give it one"),
    ("terrain/file", {"terrain_file": "a.png", "height_scale": 0.0}, "terrain.height_scale is 0.0, expected the metres"),
    ("terrain/file", {"terrain_file": "a.png", "cells_y": 0}, "terrain.cells_y is 0, expected at least 1"),
    ("path/shortest", {"pad_cells": 3}, "path.pad_cells is 3, expected an even number of cells, or 0"),
    ("path/shortest", {"draws": 0}, "path.draws is 0, expected at least 1"),
    ("path/shortest", {"max_border_cells": 0}, "path.max_border_cells is 0, expected at least min_border_cells (1)"),
    ("path/shortest", {"moves": {"max_jump": -1.0}}, "path.moves.max_jump is -1.0, expected metres, 0 or more"),
    ("path/shortest", {"moves": {"max_jmp": 1.0}}, "path.moves.max_jmp: there is no such key; did you mean 'max_jump'?"),
    ("path/shortest", {"costs": {"distance": 0.0}}, "path.costs.distance is 0.0, expected a number above 0"),
    ("path/shortest", {"costs": {"random": -0.5}}, "path.costs.random is -0.5, expected 0 or more"),
    ("path/waypoints", {}, "path.points: has no value yet; give it one"),
    ("path/waypoints", {"points": [[1.0, 1.0]]}, "path.points has 1, expected two or more points [x, y], in metres"),
    ("path/waypoints", {"points": [[1.0, 1.0], [2.0]]}, "path.points: [2.0] is no point, expected [x, y], in metres"),
    ("path/waypoints", {"points": [[1.0, 1.0], [1.0, float("inf")]]}, "path.points: [1.0, inf] is no point"),
    ("path/waypoints", {"points": [[1.0, 1.0], [1.0, 1.0]]}, "path.points: [1.0, 1.0] comes twice in a row"),
    ("path/waypoints", {"points": "1,1"}, "path.points: is '1,1', expected a list, each a list, each a number"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "changes", "line"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_key_and_what_was_expected(option, changes, line):
    with pytest.raises(UserError) as caught:
        piece(option, **changes)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


class Slope:
    """A terrain of one's own."""

    def __init__(self, rise: float) -> None:
        self.rise = rise

    def generate(self, random: np.random.Generator) -> Heightfield:
        return Heightfield(self.rise * torch.arange(6.0)[:, None].expand(6, 5), torch.zeros(2), 0.5)


class Diagonal:
    """A path of one's own."""

    def plan(self, terrain: Heightfield, random: np.random.Generator) -> PlannedPath | None:
        return PlannedPath(terrain, torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.2]]))


def test_a_terrain_and_a_path_of_ones_own_are_a_class_and_an_option(monkeypatch):
    monkeypatch.setattr(trusted, "_trusted", {"parc", __name__})  # as a command that names it does
    terrains = make({"_target_": f"{__name__}.Slope", "rise": 0.1}, TerrainGenerator, "terrain")
    planner = make({"_target_": f"{__name__}.Diagonal"}, PathPlanner, "path")
    path = terrain_with_path(terrains, planner, np.random.default_rng(0), max_terrains=1)
    assert path.terrain.heights[5, 0] == pytest.approx(0.5)
    assert path.length == pytest.approx(2**0.5)
    with pytest.raises(UserError, match="is no PathPlanner; expected a class of that kind"):
        make({"_target_": f"{__name__}.Slope", "rise": 0.1}, PathPlanner, "path")
