"""DeepMimic's motions: their poses are ours, their ground is level, and broken files are refused."""

import json
import math
from pathlib import Path

import pytest
import roma
import torch

from parc.anim.motion_clip import LoopMode
from parc.configuration.errors import UserError
from parc.exchange.deepmimic import deepmimic_takes, read_deepmimic

# DeepMimic's humanoid, y up, x forward, z to the right, arms hanging: parent, offset, first column of its rotation (None: fixed).
SKELETON = {
    "pelvis": (None, (0, 0, 0), 4),
    "torso": ("pelvis", (0, 0.236151, 0), 8),
    "head": ("torso", (0, 0.223894, 0), 12),
    "right_thigh": ("pelvis", (0, 0, 0.084887), 16),
    "right_shin": ("right_thigh", (0, -0.421546, 0), 20),
    "right_foot": ("right_shin", (0, -0.40987, 0), 21),
    "right_upper_arm": ("torso", (-0.02405, 0.2435, 0.18311), 25),
    "right_lower_arm": ("right_upper_arm", (0, -0.274788, 0), 29),
    "right_hand": ("right_lower_arm", (0, -0.258947, 0), None),
    "left_thigh": ("pelvis", (0, 0, -0.084887), 30),
    "left_shin": ("left_thigh", (0, -0.421546, 0), 34),
    "left_foot": ("left_shin", (0, -0.40987, 0), 35),
    "left_upper_arm": ("torso", (-0.02405, 0.2435, -0.18311), 39),
    "left_lower_arm": ("left_upper_arm", (0, -0.274788, 0), 43),
    "left_hand": ("left_lower_arm", (0, -0.258947, 0), None),
}


def random_rows(seed: int, count: int) -> list[list[float]]:
    """Return rows of poses that turn a little from one to the next."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros(count, 44)
    rows[:, 0] = 0.02 + 0.03 * torch.rand(count, generator=generator)
    rows[:, 1:4] = torch.tensor([0.0, 0.9, 0.0]) + 0.02 * torch.randn(count, 3, generator=generator).cumsum(0)
    for _, _, column in SKELETON.values():
        if column in (20, 34):
            rows[:, column] = -1.5 * torch.rand(count, generator=generator)
        elif column in (29, 43):
            rows[:, column] = 1.5 * torch.rand(count, generator=generator)
        elif column is not None:
            turns = roma.rotvec_to_unitquat(0.5 * torch.randn(count, 3, generator=generator))
            rows[:, column : column + 4] = roma.quat_xyzw_to_wxyz(turns)
    return rows.tolist()


def places_of(row: list[float]) -> dict[str, torch.Tensor]:
    """Return the places of the bodies of DeepMimic's own skeleton, turned to z up."""
    places, rotations = {}, {}
    for name, (parent, offset, column) in SKELETON.items():
        if column is None:
            local = torch.eye(3)
        elif name.endswith(("shin", "lower_arm")):  # hinges about z
            local = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, row[column]]))
        else:
            w, x, y, z = row[column : column + 4]
            local = roma.unitquat_to_rotmat(torch.tensor([x, y, z, w]))
        if parent is None:
            places[name], rotations[name] = torch.tensor(row[1:4]), local
        else:
            places[name] = places[parent] + rotations[parent] @ torch.tensor(offset, dtype=torch.float32)
            rotations[name] = rotations[parent] @ local
    return {name: torch.stack([place[0], -place[2], place[1]]) for name, place in places.items()}


def write(path: Path, rows: list, loop: str = "none") -> Path:
    path.write_text(json.dumps({"Loop": loop, "Frames": rows}))
    return path


def test_bodies_are_where_those_of_its_own_skeleton_are(tmp_path, humanoid):
    rows = random_rows(0, 30)
    imported, _ = read_deepmimic(write(tmp_path / "humanoid3d_dance.txt", rows), humanoid)
    clip = imported.clip
    assert (clip.name, imported.motion_class, clip.fps, clip.loop_mode) == (
        "humanoid3d_dance",
        "dance",
        30,
        LoopMode.CLAMP,
    )
    duration = sum(row[0] for row in rows[:-1])
    assert clip.num_frames == round(duration * 30) + 1
    body_pos, _ = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    for frame, row in ((0, rows[0]), (-1, rows[-1])):
        places = places_of(row)
        for name, place in places.items():
            ours = body_pos[frame, humanoid.body_index(name)] - body_pos[frame, 0]
            torch.testing.assert_close(
                ours, place - places["pelvis"], atol=1e-4, rtol=0, msg=f"{name} in frame {frame}"
            )
    assert (clip.terrain.heights == 0).all()


def test_frames_of_any_duration_are_read_at_their_times(tmp_path, humanoid):
    rows = random_rows(1, 4)
    for row, duration in zip(rows, (0.1, 0.3, 0.2, 0.0), strict=True):
        row[0], row[1] = duration, 0.0
    for row, x in zip(rows, (0.0, 0.1, 0.4, 0.6), strict=True):  # 1 m/s
        row[1] = x
    imported, _ = read_deepmimic(write(tmp_path / "humanoid3d_a.txt", rows), humanoid)
    torch.testing.assert_close(imported.clip.root_pos[:, 0], torch.arange(19) / 30, atol=1e-5, rtol=0)


def test_standing_feet_are_on_the_ground_and_in_contact(tmp_path, humanoid):
    still = [
        0.1,
        0,
        0.95,
        0,
        *[1, 0, 0, 0] * 4,
        0,
        1,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        *[1, 0, 0, 0],
        0,
        1,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
    ]
    imported, _ = read_deepmimic(write(tmp_path / "humanoid3d_stand.txt", [still] * 20), humanoid)
    assert float(imported.clip.root_pos[0, 2]) == pytest.approx(0.421546 + 0.40987 + 0.05, abs=1e-4)
    labels = imported.clip.contacts.mean(0)
    for index, name in enumerate(humanoid.body_names):
        assert float(labels[index]) == (1.0 if name.endswith("foot") else 0.0)
    assert imported.measures["slide (cm/s)"] < 0.01


@pytest.mark.parametrize(("turned", "loop_mode"), [(0.05, LoopMode.WRAP), (0.3, LoopMode.CLAMP)])
def test_only_what_ends_where_it_began_goes_on(tmp_path, humanoid, turned, loop_mode):
    rows = random_rows(2, 10)
    rows[-1] = [0.0, 1.0, *rows[0][2:]]
    rows[-1][20] -= turned
    imported, _ = read_deepmimic(write(tmp_path / "humanoid3d_walk.txt", rows, "wrap"), humanoid)
    assert imported.clip.loop_mode is loop_mode
    imported, _ = read_deepmimic(write(tmp_path / "humanoid3d_once.txt", rows), humanoid)
    assert imported.clip.loop_mode is LoopMode.CLAMP


def changed(row: int, column: int, value: object) -> list[list[float]]:
    rows: list = random_rows(3, 5)
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no list 'Frames'"),
        (json.dumps({"Frames": random_rows(0, 1)}), "1 rows"),
        (json.dumps({"Loop": "often", "Frames": random_rows(0, 3)}), "'often'"),
        (json.dumps({"Frames": [[0.0] * 20] * 3}), "row 0 of Frames has 20 numbers, expected the 44 of humanoid3d"),
        (json.dumps({"Frames": changed(2, 5, math.nan)}), "row 2 of Frames holds what is no number"),
        (json.dumps({"Frames": changed(2, 5, "1")}), "row 2 of Frames holds what is no number"),
        (json.dumps({"Frames": changed(1, 0, 0.0)}), "row 1 of Frames lasts 0.0 s"),
        (json.dumps({"Frames": changed(1, 0, 999.0) + changed(1, 0, 999.0) * 4}), "expected at most 3600 s"),
        (json.dumps({"Frames": [[*row[:8], 0, 0, 0, 0, *row[12:]] for row in random_rows(0, 3)]}), "length 0.00"),
    ],
)
def test_what_is_no_motion_is_refused(tmp_path, humanoid, text, message):
    path = tmp_path / "humanoid3d_bad.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_deepmimic(path, humanoid)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_only_the_humanoids_motions_are_listed(tmp_path):
    for name in ("humanoid3d_walk.txt", "laikago_walk.txt", "notes.txt"):
        (tmp_path / name).write_text("{}")
    assert [take.name for take in deepmimic_takes(tmp_path)] == ["humanoid3d_walk"]
