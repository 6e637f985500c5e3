"""Terrain from a file: a heightmap as a greyscale image, or as an array of numpy."""

import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib.format import open_memmap

from parc.configuration.errors import UserError
from parc.configuration.schema import FilePath
from parc.terrain.heightfield import Heightfield
from parc.terrain.terrain_generator import refuse_below, refuse_cell_size

MOST_CELLS = 2**24  # of a file: 4096 x 4096
MOST_HEIGHT = 1e5  # metres: more is a scale forgotten, and single precision knows no centimetres there
_IMAGE_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}
_GREYSCALES = ("L", "I", "F")  # Pillow's modes of one channel; those of 16 bits begin with I


class TerrainFile:
    """A part of a given terrain, drawn at random.

    Args:
        terrain_file: a heightmap. As a greyscale image (.png or .tif, 8, 16 or 32 bits) it is seen from above, x to the right
            and y upwards; as an array of numpy (.npy) its first axis runs along x and its second along y.
        cell_size: side of a cell (a pixel, or a number of the array), metres.
        height_scale: metres of one grey level, or of 1 in the array.
        cells_x: cells of a terrain along x; None for all that the file has.
        cells_y: cells of a terrain along y; None for all that the file has.

    Raises:
        UserError: a number is out of range.
    """

    def __init__(
        self, terrain_file: FilePath, cell_size: float, height_scale: float, cells_x: int | None, cells_y: int | None
    ) -> None:
        refuse_cell_size(cell_size)
        refuse_below(1, **{name: n for name, n in (("cells_x", cells_x), ("cells_y", cells_y)) if n is not None})
        if height_scale == 0:
            raise UserError("terrain.height_scale is 0.0, expected the metres of one grey level, or of 1 in an array")
        self.path = Path(terrain_file).expanduser()
        self.cell_size = cell_size
        self.height_scale = height_scale
        self.cells_x = cells_x
        self.cells_y = cells_y

    @cached_property
    def heights(self) -> Float[np.ndarray, "X Y"]:
        """Heights of all cells of the file, metres.

        Raises:
            UserError: there is no such file, or it is no heightmap; names it and what was expected.
        """
        with np.errstate(over="ignore"):  # what is too large for single precision is refused as too high
            heights = read_heightmap(self.path) * np.float32(self.height_scale)
        highest = float(np.abs(heights).max())
        if not highest <= MOST_HEIGHT:
            raise UserError(
                f"terrain.height_scale is {self.height_scale}, which makes {self.path} {highest:.3g} m high; expected heights "
                f"up to {MOST_HEIGHT:g} m"
            )
        return heights

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return a part of the terrain, where it lies in the whole: the centre of the file's cell (0, 0) is at x = y = 0."""
        heights = self.heights
        wanted = [self.cells_x or heights.shape[0], self.cells_y or heights.shape[1]]
        for name, wanted_cells, has in zip("xy", wanted, heights.shape, strict=True):
            if wanted_cells > has:
                raise UserError(
                    f"terrain.cells_{name} is {wanted_cells}, expected at most the {has} cells of {self.path}"
                )
        row, column = (int(random.integers(has - cells + 1)) for cells, has in zip(wanted, heights.shape, strict=True))
        part = heights[row : row + wanted[0], column : column + wanted[1]].copy()
        corner = torch.tensor([row * self.cell_size, column * self.cell_size])
        return Heightfield(torch.from_numpy(part), corner, self.cell_size)


def read_heightmap(path: Path) -> Float[np.ndarray, "X Y"]:
    """Read the numbers of a heightmap, the first axis along x. No code in the file is run; large ones are refused unread.

    Raises:
        UserError: there is no such file, or it is no heightmap; names it and what was expected.
    """
    suffixes = [".npy", *_IMAGE_FORMATS]
    if path.suffix.lower() not in suffixes:
        raise UserError(f"terrain.terrain_file {path}: expected a heightmap ({', '.join(suffixes)})")
    if not path.is_file():
        raise UserError(f"terrain.terrain_file {path}: there is no such file; give a heightmap ({', '.join(suffixes)})")
    values = (_read_array if path.suffix.lower() == ".npy" else _read_image)(path)
    if not np.isfinite(values).all():
        raise UserError(
            f"terrain.terrain_file {path}: holds numbers that are not finite, expected a height for every cell"
        )
    return values


def _read_array(path: Path) -> Float[np.ndarray, "X Y"]:
    try:
        values = open_memmap(path, mode="r")  # looks at the header only, and knows no pickles
    except Exception as error:  # headers are Python literals: whatever its parser raises on a broken one
        raise _unreadable(path, "an array of numbers (numpy's .npy)", error) from error
    if values.dtype.kind not in "iuf":
        raise UserError(f"terrain.terrain_file {path}: is an array of {values.dtype}, expected whole or real numbers")
    if values.ndim != 2:
        raise UserError(
            f"terrain.terrain_file {path}: has shape {list(values.shape)}, expected two axes, along x and y"
        )
    _refuse_size(path, values.shape)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        return np.array(values, dtype=np.float32)


def _read_image(path: Path) -> Float[np.ndarray, "X Y"]:
    from PIL import Image

    expected = f"a greyscale image ({_IMAGE_FORMATS[path.suffix.lower()]})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are refused below, and of odd metadata
            with Image.open(path, formats=[_IMAGE_FORMATS[path.suffix.lower()]]) as image:
                _refuse_size(path, (image.width, image.height))
                if image.mode not in _GREYSCALES and not image.mode.startswith("I;16"):
                    raise UserError(
                        f"terrain.terrain_file {path}: is an image of mode {image.mode}, expected {expected}; convert it"
                    )
                values = np.array(image, dtype=np.float32)
    except UserError:
        raise
    except Exception as error:  # whatever a decoder raises on a broken file
        raise _unreadable(path, expected, error) from error
    return np.ascontiguousarray(values[::-1].T)


def _refuse_size(path: Path, shape: tuple[int, ...]) -> None:
    cells = shape[0] * shape[1]
    if not 0 < cells <= MOST_CELLS:
        raise UserError(
            f"terrain.terrain_file {path}: has {shape[0]} x {shape[1]} cells, expected at least one and at most {MOST_CELLS}"
        )


def _unreadable(path: Path, expected: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:160]
    return UserError(f"terrain.terrain_file {path}: cannot be read ({reason}); expected {expected}")
