"""Captured climbs: takes are found in wheels and folders, become clips on their boxes, and broken files are refused."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from captured_bodies import landmarks_of

from parc.anim.rotations import rotate_xy
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.demo_motions.generator import make_clip
from parc.demo_motions.motion_classes import MOTION_CLASSES
from parc.exchange.captured_climbs import (
    FPS_OF_TAKES,
    JOINTS,
    LANDMARK_JOINTS,
    MOST_BOXES,
    climb_takes,
    read_climb,
    read_positions,
)
from parc.exchange.cutting import LONGEST, SHORTEST, cut_where_standing

TAKE = "pack/demo_data/climb/mocap_climb_seq_7"
POSITIONS = f"{TAKE}/mocap_climb_seq_7_joint_positions_f0-99.npy"


def as_npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def as_obj(corners: torch.Tensor) -> str:
    return "# a box\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in corners.tolist()) + "f 1 2 3\n"


CUBE = as_obj(torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3))


def write_take(folder: Path, positions: bytes, *boxes: str) -> Path:
    """Write a folder that looks like the package."""
    file = folder / POSITIONS
    file.parent.mkdir(parents=True)
    file.write_bytes(positions)
    for number, box in enumerate(boxes):
        path = folder / TAKE / "box_models" / f"box{number}.obj"
        path.parent.mkdir(exist_ok=True)
        path.write_text(box)
    return folder


def zipped(folder: Path, wheel: Path) -> Path:
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    return wheel


@pytest.fixture(scope="module")
def walk(humanoid):
    """A demo motion on blocks."""
    return make_clip(0, list(MOTION_CLASSES).index("blocks"), humanoid, surface_points(humanoid))


TURN = 0.3  # radians by which the captured world is turned against the cells


def as_captured(humanoid, walk, floor: float) -> bytes:
    """Return a clip as it would be captured: its landmarks in a turned world whose floor is at 0, at the rate of takes."""
    frames = np.arange(walk.num_frames)
    at = np.arange(0, walk.num_frames - 1 + 1e-6, walk.fps / FPS_OF_TAKES)
    positions = np.zeros((len(at), JOINTS, 3), np.float32)
    for name, places in landmarks_of(humanoid, walk).items():
        turned = torch.cat([rotate_xy(places[:, :2], torch.tensor(TURN)), places[:, 2:] - floor], dim=1)
        for axis in range(3):
            positions[:, LANDMARK_JOINTS[name], axis] = np.interp(at, frames, turned[:, axis].numpy())
    return as_npy(positions)


def boxes_around(humanoid, walk) -> tuple[list[str], float]:
    """Return a clip's ground around its feet as boxes in the turned world, and the height of the lowest of it."""
    terrain = walk.terrain
    body_pos, _ = humanoid.forward_kinematics(walk.root_pos, walk.root_rot, walk.joint_rot)
    feet = body_pos[:, [humanoid.body_index("left_foot"), humanoid.body_index("right_foot")], :2].flatten(0, 1)
    centres = terrain.min_point + terrain.cell_size * torch.cartesian_prod(*map(torch.arange, terrain.heights.shape))
    near = torch.cdist(centres, feet).amin(1) < 0.5
    tops = terrain.heights.flatten()[near]
    floor, half, boxes = float(tops.min()), terrain.cell_size / 2, []
    unit = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    for centre, top in zip(centres[near], (tops - floor).tolist(), strict=True):
        if top > 0.01:
            around = rotate_xy(centre + half * unit[:, :2], torch.tensor(TURN))
            boxes.append(as_obj(torch.cat([around, top / 2 * (unit[:, 2:] + 1)], dim=1)))
    return boxes, floor


def test_a_take_becomes_clips_on_its_boxes(tmp_path, humanoid, walk):
    boxes, floor = boxes_around(humanoid, walk)
    assert 1 < len(boxes) <= MOST_BOXES
    folder = write_take(tmp_path / "unpacked", as_captured(humanoid, walk, floor), *boxes)
    (take,) = climb_takes(folder)
    assert take.name == "mocap_climb_seq_7"
    imported = read_climb(take, humanoid)
    assert abs(sum(each.clip.seconds for each in imported) / 2 - walk.seconds) < 0.1
    for original, mirrored in zip(imported[::2], imported[1::2], strict=True):
        assert original.clip.name.startswith("mocap_climb_seq_7_")
        assert mirrored.clip.name == f"{original.clip.name}_mirrored"
        assert (original.clip.fps, original.motion_class) == (30, "blocks")
        assert original.measures["joint error (cm)"] < 1.5
        assert original.measures["standing foot error (cm)"] < 1.5
        assert original.measures["deepest (cm)"] < 2
        assert original.measures["edges off (cm)"] < 4
        assert original.measures["tops off (cm)"] < 1
    (of_wheel,) = climb_takes(zipped(folder, tmp_path / "pack.whl"))
    torch.testing.assert_close(read_positions(of_wheel)["head"], read_positions(take)["head"])


def test_long_takes_are_cut_where_somebody_stands(humanoid):
    """Two walks of 6 s with a second of standing between them, and a squat in the middle of each."""
    seconds = torch.arange(13 * 30) / 30
    walking = ((seconds < 6) | (seconds > 7)).float()
    x = (walking * 1.0 / 30).cumsum(0)
    down = 0.5 * torch.exp(-((seconds - 3) ** 2) / 0.1)
    hip, ankle = torch.zeros(len(seconds), 3), torch.zeros(len(seconds), 3)
    hip[:, 0], ankle[:, 0], hip[:, 2] = x, x, 0.9 - down
    positions = {"left_hip": hip, "right_hip": hip, "left_ankle": ankle, "right_ankle": ankle}
    first, second = cut_where_standing(positions, 30.0)
    assert (first.start, second.stop) == (0, len(seconds))
    assert first.stop - 1 == second.start
    assert 6.0 <= second.start / 30 <= 7.0
    short = {name: places[:150] for name, places in positions.items()}
    assert cut_where_standing(short, 30.0) == [slice(0, 150)]
    assert SHORTEST < 6 < LONGEST


class Evil:
    def __reduce__(self):
        return (print, ("code has run",))


HEADER_OF_A_TERABYTE = as_npy(np.zeros((2, JOINTS, 3), np.float32)).replace(b"(2, 53, 3), }", b"(9999999, 53, 3), }", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an array of numpy"),
        (b"\x93NUMPY", "not an array of numpy"),
        (as_npy(np.zeros((9, JOINTS, 2), np.float32)), "expected numbers in the shape"),
        (as_npy(np.zeros((9, JOINTS, 3), np.int32)), "expected numbers in the shape"),
        (as_npy(np.array([[[Evil()] * 3] * JOINTS] * 2, dtype=object)), "expected numbers in the shape"),
        (as_npy(np.zeros((9, JOINTS, 3), np.float32))[:-4], "is it whole"),
        (HEADER_OF_A_TERABYTE, "is it whole"),
        (as_npy(np.full((9, JOINTS, 3), np.nan, np.float32)), "not within"),
        (as_npy(np.full((9, JOINTS, 3), 1e30, np.float32)), "not within"),
    ],
)
def test_what_are_no_positions_is_refused(tmp_path, capsys, content, message):
    (take,) = climb_takes(write_take(tmp_path, content, CUBE))
    with pytest.raises(UserError, match=message) as error:
        read_positions(take)
    assert POSITIONS in str(error.value)
    assert "\n" not in str(error.value)
    assert "code has run" not in capsys.readouterr().out


def test_takes_without_boxes_and_broken_wheels_are_refused(tmp_path, humanoid):
    """A take without boxes is listed, and refused when it is read, so that it stops no others."""
    (take,) = climb_takes(write_take(tmp_path / "bare", b""))
    with pytest.raises(UserError, match="0 OBJ files in box_models beside"):
        read_climb(take, humanoid)
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="not a whole wheel"):
        climb_takes(broken)
    with pytest.raises(UserError, match="no such wheel"):
        climb_takes(tmp_path / "none.whl")
    (tmp_path / "empty").mkdir()
    assert climb_takes(tmp_path / "empty") == []


def test_the_packages_own_climb(humanoid):
    downloads = Path(os.environ.get("PARC_DOWNLOADS", ""))
    wheels = sorted(downloads.glob("holosoma_retargeting-*.whl")) if os.environ.get("PARC_DOWNLOADS") else []
    if not wheels:
        pytest.skip("set PARC_DOWNLOADS to a folder with the wheel of holosoma-retargeting")
    takes = climb_takes(wheels[0])
    assert [take.name for take in takes] == [f"mocap_climb_seq_{number}" for number in range(5)]
    imported = read_climb(takes[1], humanoid)
    assert {each.motion_class for each in imported} == {"climbing"}
    for each in imported:
        assert SHORTEST <= each.clip.seconds <= LONGEST + 0.1
        assert each.measures["joint error (cm)"] < 6
        assert each.measures["slide (cm/s)"] < 4
        assert each.measures["deepest (cm)"] < 6
        assert each.measures["edges off (cm)"] < 10
