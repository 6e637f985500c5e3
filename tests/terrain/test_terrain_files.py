"""Terrain from heightmaps: where each number goes, random parts, and files that are broken or made to do harm."""

import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from terrain_pieces import piece

from parc.configuration.errors import UserError

HEIGHTS = np.arange(12.0).reshape(3, 4)  # of 3 cells along x and 4 along y


def read(path, **changes):
    """Return the whole terrain of a file."""
    settings = {"terrain_file": str(path), "cells_x": None, "cells_y": None} | changes
    return piece("terrain/file", **settings).generate(np.random.default_rng(0))


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "u1", "i2", ">f4", "<u8"])
def test_an_array_is_read_with_its_first_axis_along_x(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.asfortranarray(HEIGHTS.astype(dtype)))
    terrain = read(tmp_path / "a.npy", height_scale=0.5, cell_size=0.25)
    assert torch.equal(terrain.heights, torch.from_numpy(HEIGHTS / 2).float())
    assert terrain.min_point.tolist() == [0.0, 0.0] and terrain.cell_size == 0.25


@pytest.mark.parametrize(
    ("dtype", "suffix"), [("u1", "png"), ("u2", "png"), ("u1", "tif"), ("u2", "tif"), ("f4", "tiff")]
)
def test_an_image_is_seen_from_above_x_to_the_right_and_y_upwards(tmp_path, dtype, suffix):
    greys = np.zeros((2, 3), dtype=dtype)  # of 2 rows from the top, 3 pixels each
    greys[0, 2], greys[1, 0] = 250, 7  # the upper right, the lower left
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(greys).save(path)
    terrain = read(path, height_scale=0.01)
    assert terrain.heights.shape == (3, 2)
    assert terrain.heights[0, 0] == pytest.approx(0.07)
    assert terrain.heights[2, 1] == pytest.approx(2.5)
    assert (terrain.heights != 0).sum() == 2


def test_parts_are_drawn_at_random_and_lie_where_they_do_in_the_whole(tmp_path):
    whole = np.random.default_rng(0).normal(size=(9, 12)).astype("f4")
    np.save(tmp_path / "a.npy", whole)
    generator = piece("terrain/file", terrain_file=str(tmp_path / "a.npy"), cells_x=4, cells_y=10)
    corners = set()
    for seed in range(200):
        part = generator.generate(np.random.default_rng(seed))
        row, column = (part.min_point / 0.4).round().int().tolist()
        assert torch.equal(part.heights, torch.from_numpy(whole[row : row + 4, column : column + 10]))
        corners.add((row, column))
    assert corners == {(row, column) for row in range(6) for column in range(3)}


def test_a_part_that_is_changed_leaves_the_next_one_as_it_was(tmp_path):
    np.save(tmp_path / "a.npy", HEIGHTS)
    generator = piece("terrain/file", terrain_file=str(tmp_path / "a.npy"), cells_x=3, cells_y=4)
    generator.generate(np.random.default_rng(0)).heights.fill_(9)
    assert torch.equal(generator.generate(np.random.default_rng(0)).heights, torch.from_numpy(HEIGHTS).float())


def refusal(path, **changes):
    with pytest.raises(UserError) as caught:
        read(path, **changes)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400
    return line


def png(width: int, height: int) -> bytes:
    """Return a PNG that only says how large it is."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def npy(header: str, content: bytes = b"") -> bytes:
    """Return an .npy file with a header of one's own."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def saved(array, **settings) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **settings)
    return stream.getvalue()


class Harm:
    """What a pickle may do when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def image(array, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


GREYS = np.arange(64, dtype="u1").reshape(8, 8)
BROKEN = {
    "empty.npy": (b"", "cannot be read ("),
    "empty.png": (b"", "cannot be read ("),
    "text.npy": (b"hello", "cannot be read ("),
    "text.png": (b"hello", "cannot be read ("),
    "jpeg.png": (image(GREYS, "JPEG"), "cannot be read ("),
    "cut.npy": (saved(HEIGHTS)[:-9], "cannot be read ("),
    "cut.png": (image(np.random.default_rng(0).integers(0, 255, (90, 90)).astype("u1"), "PNG")[:-900], "cannot be read ("),
    "cut.tif": (image(GREYS, "TIFF")[:-40], "cannot be read ("),
    "huge.png": (png(12_000, 12_000), "expected at least one and at most 16777216"),
    "large.png": (png(5000, 5000), "has 5000 x 5000 cells, expected at least one and at most 16777216"),
    "no_rows.png": (png(5, 0), "cannot be read ("),
    "huge.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999, 9999999)}"), "cannot be read ("),
    "overflow.npy": (npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**19}, {10**19})}}"), "cannot be read ("),
    "negative.npy": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 4)}", bytes(96)), "cannot be read ("),
    "nested.npy": (npy("(" * 5000), "cannot be read ("),
    "long_header.npy": (npy("{'descr': '<f8', 'x': '" + "x" * 30_000 + "'}"), "cannot be read ("),
    "objects.npy": (saved(np.array([[Harm()]], dtype=object), allow_pickle=True), "cannot be read ("),
    "pickle.npy": (pickle.dumps(Harm()), "cannot be read ("),
    "archive.npy": (b"PK\x03\x04" + bytes(90), "cannot be read ("),
    "text_array.npy": (saved(np.array([["a", "b"]])), "is an array of <U1, expected whole or real numbers"),
    "complex.npy": (saved(HEIGHTS.astype(complex)), "is an array of complex128, expected whole or real numbers"),
    "truth.npy": (saved(HEIGHTS > 3), "is an array of bool, expected whole or real numbers"),
    "fields.npy": (saved(np.zeros((2, 2), dtype=[("a", "f4")])), "expected whole or real numbers"),
    "one_axis.npy": (saved(np.arange(4.0)), "has shape [4], expected two axes, along x and y"),
    "three_axes.npy": (saved(np.zeros((2, 2, 3))), "has shape [2, 2, 3], expected two axes, along x and y"),
    "no_cells.npy": (saved(np.zeros((0, 4))), "expected at least one and at most 16777216"),
    "nan.npy": (saved(np.where(HEIGHTS == 5, np.nan, HEIGHTS)), "holds numbers that are not finite"),
    "too_large.npy": (saved(HEIGHTS * 1e300), "holds numbers that are not finite"),
    "too_high.npy": (saved(HEIGHTS * 1e30), "terrain.height_scale is 1.0, which makes "),
    "nan.tif": (image(np.full((3, 3), np.nan, "f4"), "TIFF"), "holds numbers that are not finite"),
    "colour.png": (image(np.zeros((4, 4, 3), "u1"), "PNG"), "is an image of mode RGB, expected a greyscale image (PNG)"),
    "transparent.png": (image(np.zeros((4, 4, 2), "u1"), "PNG"), "is an image of mode LA, expected a greyscale image (PNG)"),
    "bitmap.png": (image(np.eye(8, dtype=bool), "PNG"), "is an image of mode 1, expected a greyscale image (PNG)"),
    "heights.npz": (b"", "expected a heightmap (.npy, .png, .tif, .tiff)"),
    "heights": (b"", "expected a heightmap (.npy, .png, .tif, .tiff)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, complaint = BROKEN[name]
    Path(name).write_bytes(content)
    line = refusal(tmp_path / name)
    assert complaint in line and str(tmp_path / name) in line
    assert not Path("harm").exists(), "code in a file was run"


def test_a_file_that_is_not_there_or_is_none_is_one_line(tmp_path):
    assert "there is no such file; give a heightmap" in refusal(tmp_path / "a.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")  # reading one would wait for ever
    assert "there is no such file" in refusal(tmp_path / "folder.png")
    assert "there is no such file" in refusal(tmp_path / "pipe.npy")


def test_a_part_larger_than_the_file_is_one_line_that_names_the_key(tmp_path):
    np.save(tmp_path / "a.npy", HEIGHTS)
    assert refusal(tmp_path / "a.npy", cells_x=4) == (
        f"terrain.cells_x is 4, expected at most the 3 cells of {tmp_path / 'a.npy'}"
    )
    assert refusal(tmp_path / "a.npy", cells_y=5).startswith("terrain.cells_y is 5, expected at most the 4 cells of ")


def test_a_sparse_file_of_gigabytes_is_refused_unread(tmp_path):
    content = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (20000, 20000)}")
    with (tmp_path / "a.npy").open("wb") as stream:
        stream.write(content)
        stream.truncate(len(content) + 20_000**2 * 8)
    assert "has 20000 x 20000 cells" in refusal(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", ["npy", "png", "tif"])
def test_files_with_flipped_bits_are_read_or_refused_in_one_line(tmp_path, kind):
    content = saved(HEIGHTS) if kind == "npy" else image(GREYS, {"png": "PNG", "tif": "TIFF"}[kind])
    random, refused = np.random.default_rng(0), 0
    for _ in range(120):
        broken = bytearray(content)
        for _ in range(random.integers(1, 4)):
            broken[random.integers(len(broken))] ^= 1 << random.integers(8)
        (tmp_path / f"a.{kind}").write_bytes(broken)
        try:
            assert torch.isfinite(read(tmp_path / f"a.{kind}").heights).all()
        except UserError as error:
            refused += "\n" not in str(error)
    assert refused > 10
