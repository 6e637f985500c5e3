"""What we write for MimicKit, read as its format says, without our code."""

import io
import pickle

import mujoco
import numpy as np
import pytest
import torch
import yaml
from mujoco_kinematics import body_poses, positions_of_dofs

from golden_arrays import rotation_distance
from parc.anim.clip_files import read_clip
from parc.anim.dataset import ClipEntry
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import LoopMode
from parc.exchange.mimickit import write_mimickit, write_mimickit_dataset
from synthetic_clips import random_clip

HUMANOID = CharacterFile("humanoid.xml")


class NothingImported(pickle.Unpickler):
    def find_class(self, module_name, global_name):
        raise AssertionError(f"the pickle imports {module_name}.{global_name}")


def read_motion(path):
    return NothingImported(io.BytesIO(path.read_bytes())).load()


def boxes_of(config, folder, place):
    """Return the corners of the boxes that a config places, from their own files."""
    low, high = [], []
    for placed in config["objects"]:
        assert placed["rot"] == [0, 0, 0, 1]
        assert placed["file"].startswith(f"{place}/")
        model = mujoco.MjModel.from_xml_path(str(folder / placed["file"].removeprefix(f"{place}/")))
        assert (model.nbody, model.ngeom, model.nv) == (2, 1, 0)  # one fixed box
        assert model.geom_type[0] == mujoco.mjtGeom.mjGEOM_BOX
        assert not model.geom_pos.any() and not model.body_pos.any()
        low.append(np.array(placed["pos"]) - model.geom_size[0])
        high.append(np.array(placed["pos"]) + model.geom_size[0])
    return torch.tensor(np.array(low)), torch.tensor(np.array(high))


@pytest.mark.parametrize("name", ["TEASER_TERRAIN", "civilization", "dec2024_teaser_717_1_modified_opt",
                                  "dec2024_teaser_717_1_opt_dm", "sfu"])  # fmt: skip
def test_a_real_clip_has_our_body_positions_and_our_ground(clips_folder, humanoid, tmp_path, name):
    clip = read_clip(clips_folder / f"{name}.pkl", humanoid)
    files = write_mimickit(tmp_path, clip, HUMANOID)
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert files[-1].name == f"{name}.pkl"
    motion = read_motion(files[-1])
    assert set(motion) == {"loop_mode", "fps", "frames"}
    assert (type(motion["loop_mode"]), motion["loop_mode"], motion["fps"]) == (int, 0, clip.fps)
    assert {len(row) for row in motion["frames"]} == {6 + 28}
    body_pos, body_rot = body_poses(*positions_of_dofs(np.array(motion["frames"])))
    expected_pos, expected_rot = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    torch.testing.assert_close(body_pos, expected_pos, atol=1e-5, rtol=0)
    assert rotation_distance(body_rot, expected_rot).max() < 1e-5
    config = yaml.safe_load((tmp_path / f"{name}_env.yaml").read_text())
    assert config["env_name"] == "static_objects"
    assert config["motion_file"] == f"data/parc/{name}.pkl"
    low, high = boxes_of(config, tmp_path, "data/parc")
    offsets = torch.rand(4, *body_pos.shape[:2], 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    places = (body_pos[..., :2] + offsets * 1.4).reshape(-1, 2)
    cells = (places - clip.terrain.min_point) / clip.terrain.cell_size
    places = places[((cells - cells.floor() - 0.5).abs() > 1e-3).all(-1)]
    inside = ((places[:, None] > low[:, :2]) & (places[:, None] < high[:, :2])).all(-1)
    tops = torch.where(inside, high[:, 2], -torch.inf).amax(-1).float()
    torch.testing.assert_close(tops, clip.terrain.heights_at(places), atol=1e-4, rtol=0)


def test_a_loop_is_one_and_files_are_named_as_they_are_found(humanoid, tmp_path):
    clip = random_clip(humanoid, frames=5, cells=(4, 4), loop_mode=LoopMode.WRAP, name="round and round")
    write_mimickit(tmp_path, clip, HUMANOID, "/home/me/walks")
    assert read_motion(tmp_path / "round and round.pkl")["loop_mode"] == 1
    config = yaml.safe_load((tmp_path / "round and round_env.yaml").read_text())
    assert config["motion_file"] == "/home/me/walks/round and round.pkl"
    assert all((tmp_path / each["file"].removeprefix("/home/me/walks/")).is_file() for each in config["objects"])


def test_a_dataset_lists_motions_with_their_weights(tmp_path):
    motions = [ClipEntry(tmp_path / "walks" / "a.pkl", "walks", 2.5), ClipEntry(tmp_path / "b.pkl", "", 1.0)]
    write_mimickit_dataset(tmp_path / "motions.yaml", motions)
    assert yaml.safe_load((tmp_path / "motions.yaml").read_text()) == {
        "motions": [{"file": "data/parc/walks/a.pkl", "weight": 2.5}, {"file": "data/parc/b.pkl", "weight": 1.0}]
    }
