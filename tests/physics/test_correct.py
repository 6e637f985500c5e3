"""The whole stage on short clips: what it makes and says, that it goes on, and what it refuses."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

import json
import re
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from easy_clips import FEET, HUMANOID, corrector_settings, easy_corrector, easy_overrides, standing_clip, stepping_clip

from parc.anim.clip_files import read_clip, write_clip
from parc.anim.dataset import ClipDataset
from parc.anim.mirror import mirror_clip
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.exchange.mujoco_poses import poses_of
from parc.physics import sampled_corrector
from parc.physics.correct import digest_of
from parc.physics.following import Pass
from parc.stages.progress import read_progress

CONTENT = ("*.safetensors", "*.npz", "*.xml")


@pytest.fixture
def clips(shell):
    """A folder with clips of two classes, one of them with its mirror image."""
    return shell.folder / "data/iter1/p2_kin_gen"


def write(clip: MotionClip, folder: Path, name: str = "") -> Path:
    path = folder / f"{name or clip.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, replace(clip, name=path.stem))
    return path


@pytest.fixture
def correct(shell, clips, caplog, monkeypatch):
    """Run `python -m parc.correct`, each clip in this process: starting another takes longer than the clip."""
    caplog.set_level("INFO", "parc")
    write(standing_clip(0), clips / "standing")
    write(standing_clip(1), clips / "standing")
    monkeypatch.setattr(
        sampled_corrector, "results_of", lambda function, items, processes: ((item, function(item)) for item in items)
    )
    return lambda *arguments: shell.run("correct", *easy_overrides(), *arguments)


@pytest.fixture
def folder(shell):
    return shell.folder / "data/iter1/p4_phys_record"


def contents(folder: Path) -> dict[str, bytes]:
    """Return all clips, recordings and scenes of a run, by their paths in its folder."""
    files = [path for pattern in CONTENT for path in folder.rglob(pattern)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


def record_of(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "corrected.json").read_text())["clips"]


def hovering() -> MotionClip:
    clip = standing_clip(2, seconds=1.6)
    return replace(clip, root_pos=clip.root_pos + torch.tensor([0.0, 0.0, 2.0]))


def swept_aside(seconds: float) -> MotionClip:
    """A clip that stands, is 1.5 m aside within an eighth of a second, from its 8th frame on, and stands there."""
    clip = standing_clip(3, seconds=seconds)
    shift = torch.zeros(clip.num_frames, 3)
    shift[8:, 1] = 1.5 * (torch.arange(clip.num_frames - 8) / 4).clamp(max=1)
    return replace(clip, root_pos=clip.root_pos + shift)


def test_what_it_makes_is_simulated_and_can_be_repeated_without_us(correct, clips, folder, humanoid, caplog):
    write(stepping_clip(), clips / "walking")
    write(mirror_clip(replace(standing_clip(0)), humanoid), clips / "standing")  # made again from the original
    answer = correct("save_scene=true")
    assert answer.code == 0, answer.err
    names = {"standing_0": "standing", "standing_1": "standing", "stepping_0": "walking"}
    made = [f"{motion_class}/{name}_physical" for name, motion_class in names.items()]
    assert sorted(contents(folder)) == sorted(
        [f"{path}{mirrored}.safetensors" for path in made for mirrored in ("", "_mirrored")]
        + [f"simulations/{name}{ending}" for name in names for ending in (".npz", ".xml")]
    )
    assert {entry.motion_class for entry in ClipDataset(str(folder), 10, 1001, 1001, []).entries()} == {
        "standing",
        "walking",
    }
    for name, motion_class in names.items():
        source = read_clip(clips / motion_class / f"{name}.safetensors", humanoid)
        made = read_clip(folder / motion_class / f"{name}_physical.safetensors", humanoid)
        check_clip(made, source, folder / "simulations", humanoid)
        mirrored = read_clip(folder / motion_class / f"{name}_physical_mirrored.safetensors", humanoid)
        torch.testing.assert_close(mirrored.root_pos, mirror_clip(made, humanoid).root_pos)
        assert mirrored.unrefined is not None
        known = record_of(folder)[name]
        assert (known["status"], known["reason"], known["first_frame"], known["assistance"]) == ("physical", "", 0, 0)
        assert known["seconds"] == known["clip_seconds"] == pytest.approx(source.seconds)
        assert known["measures"]["root off (m)"] < 0.3 and known["whole_with"] == 0
    progress = read_progress(folder)
    assert progress and (progress.done, progress.total, progress.unit, progress.finished) == (3, 3, "motions", True)
    assert progress.figures["physical (%)"] == 100
    assert "corrected: 3 physical; 2 s of motions" in caplog.text


def check_clip(made: MotionClip, source: MotionClip, simulations: Path, humanoid) -> None:
    """Its frames are states of the recording, which plain MuJoCo comes to again; its contacts are those of the simulation."""
    model = mujoco.MjModel.from_xml_path(str(simulations / f"{source.name}.xml"))
    with np.load(simulations / f"{source.name}.npz", allow_pickle=False) as archive:
        qpos, qvel, ctrl, every = (archive[name] for name in ("qpos", "qvel", "ctrl", "steps_per_frame"))
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = qpos[0], qvel[0]
    touches = np.zeros((len(qpos), humanoid.num_bodies))
    for step, command in enumerate(ctrl):
        data.ctrl[:] = command
        mujoco.mj_step(model, data)
        near = data.contact.geom[np.asarray(data.contact.efc_address) >= 0]
        touches[step, model.geom_bodyid[near].max(axis=1) - 1] = 1
        assert np.abs(data.qpos - qpos[step + 1]).max() < 1e-6
        assert np.abs(data.qvel - qvel[step + 1]).max() < 1e-4
    assert not ctrl[:, -6:].any(), "unaided"
    frames = slice(None, None, int(every))
    assert len(qpos) == (source.num_frames - 1) * every + 1
    root_pos, root_rot, joint_rot = poses_of(model, humanoid, qpos[frames])
    for values, expected in ((made.root_pos, root_pos), (made.root_rot, root_rot), (made.joint_rot, joint_rot)):
        torch.testing.assert_close(values, expected, atol=1e-6, rtol=0)
    assert made.unrefined is not None
    for field, values in vars(source.frames).items():
        torch.testing.assert_close(getattr(made.unrefined, field), values, atol=1e-6, rtol=0)
    assert made.num_frames == source.num_frames and torch.equal(made.terrain.heights, source.terrain.heights)
    assert ((made.contacts == 0) | (made.contacts == 1)).all()
    feet = [humanoid.body_index(name) for name in FEET]
    others = [body for body in range(humanoid.num_bodies) if body not in feet]
    assert not made.contacts[:, others].any()
    inner = slice(int(every), -int(every), int(every))
    always = np.array([touches[max(0, s - every) : s + every + 1].min(0) for s in range(*inner.indices(len(touches)))])
    never = np.array([touches[max(0, s - every) : s + every + 1].max(0) for s in range(*inner.indices(len(touches)))])
    labels = made.contacts[1:-1].numpy()[: len(always)]
    assert (labels[always == 1] == 1).all() and (labels[never == 0] == 0).all()
    assert labels[:, feet].mean() > 0.5


def test_shards_correct_together_what_one_run_corrects_and_other_seeds_something_else(correct, folder, shell, clips):
    assert correct().code == 0
    for shard in range(2):
        assert correct("num_shards=2", f"shard={shard}", f"output_dir=parts/{shard}").code == 0
    parts = [contents(shell.folder / f"parts/{shard}") for shard in range(2)]
    ours = contents(folder)
    assert parts[0] | parts[1] == ours and not parts[0].keys() & parts[1].keys() and all(parts)
    alone = clips / "standing/standing_1.safetensors"
    assert correct("seed=1", f"motions={alone}", "output_dir=other").code == 0
    other = contents(shell.folder / "other")
    assert len(other) == 3 and all(ours[path] != content for path, content in other.items())


def test_a_shard_without_clips_is_finished(correct, folder, caplog):
    assert correct("num_shards=3", "shard=2").code == 0
    assert "corrected: no motions" in caplog.text and record_of(folder) == {}
    caplog.clear()
    assert correct("num_shards=3", "shard=2").code == 0 and "nothing left to do" in caplog.text


def test_what_is_done_is_kept_and_a_changed_clip_corrected_again(correct, folder, clips, caplog):
    assert correct().code == 0
    before = contents(folder)
    assert not [path for path in before if path.endswith(".xml")]
    caplog.clear()
    answer = correct()
    assert answer.code == 0 and "nothing left to do" in caplog.text
    assert contents(folder) == before
    (folder / "standing/standing_1_physical.safetensors").unlink()
    write(hovering(), clips / "standing", "standing_0")
    assert correct().code == 0
    of_changed = {path for path in before if "standing_0" in path}
    assert len(of_changed) == 3, "what was made of it goes, and what was lost is made again"
    assert contents(folder) == {path: content for path, content in before.items() if path not in of_changed}
    assert record_of(folder)["standing_0"]["status"] == "failed" and record_of(folder)["standing_0"]["files"] == []


def test_data_of_a_clip_that_could_not_be_read_for_a_while_goes_when_it_fails(correct, folder, clips):
    assert correct().code == 0
    (clips / "standing/standing_0.safetensors").write_bytes(b"nothing")
    write(standing_clip(4), clips / "standing", "standing_1")
    assert correct().code != 0, "one is refused, the other corrected again"
    write(hovering(), clips / "standing", "standing_0")
    assert correct().code == 0
    assert record_of(folder)["standing_0"]["status"] == "failed"
    assert not [path for path in contents(folder) if "standing_0" in path]


def test_data_of_a_clip_that_moves_to_another_class_moves_with_it(correct, folder, clips):
    assert correct().code == 0
    before = contents(folder)
    (clips / "resting").mkdir()
    (clips / "standing/standing_0.safetensors").rename(clips / "resting/standing_0.safetensors")
    assert correct().code == 0
    moved = {path.replace("standing/standing_0", "resting/standing_0"): content for path, content in before.items()}
    assert contents(folder) == moved


def test_scenes_are_made_of_recordings_when_they_are_asked_for(correct, folder, shell, caplog):
    assert correct().code == 0
    before = contents(folder)
    assert not [path for path in before if path.endswith(".xml")]
    assert correct("save_scene=true").code == 0
    scenes = {path: content for path, content in contents(folder).items() if path.endswith(".xml")}
    assert sorted(scenes) == ["simulations/standing_0.xml", "simulations/standing_1.xml"]
    assert contents(folder) == before | scenes, "nothing is corrected again"
    assert correct("save_scene=true", "output_dir=at_once").code == 0
    assert contents(shell.folder / "at_once") == contents(folder)
    for path, content in scenes.items():
        with np.load((folder / path).with_suffix(".npz"), allow_pickle=False) as archive:
            assert str(archive["xml"]).encode() == content
    caplog.clear()
    assert correct("save_scene=true").code == 0 and "nothing left to do" in caplog.text


def test_a_recording_that_is_broken_is_named_where_its_scene_is_asked_for(correct, folder):
    assert correct().code == 0
    (folder / "simulations/standing_0.npz").write_bytes(b"nothing")
    answer = correct("save_scene=true")
    assert answer.code != 0 and answer.err.strip().count("\n") == 0
    assert "standing_0.npz: no scene can be made of this simulation (" in answer.err
    (folder / "simulations/standing_0.npz").unlink()
    assert correct("save_scene=true").code == 0


def test_a_hopeless_clip_fails_at_once_with_its_frame_and_is_no_data(correct, folder, clips, caplog):
    write(hovering(), clips / "flying")
    assert correct().code == 0
    known = record_of(folder)["standing_2"]
    assert known["status"] == "failed" and known["reason"].startswith("frames 0 to ")
    assert (known["steps_simulated"], known["files"], known["seconds"]) == (0, [], 0)
    assert not (folder / "flying").exists()
    assert "failed, frames 0 to" in caplog.text and "2 physical, 1 failed" in caplog.text


def test_what_falls_is_kept_apart_with_its_frame(correct, folder, clips, humanoid):
    write(swept_aside(0.8), clips / "falling")
    assert correct("corrector.most_steps=1", "corrector.least_part=1").code == 0
    known = record_of(folder)["standing_3"]
    assert known["status"] == "failed"
    frame = int(known["reason"].removeprefix("frame ").split()[0])
    assert 0 < frame < 20 and "m off without assistance" in known["reason"]
    assert not (folder / "falling").exists()
    kept = [path for path in known["files"] if path.endswith("_failed.safetensors")]
    assert len(kept) == 1 and read_clip(folder / kept[0], humanoid).num_frames == frame + 1
    assert not any("failed" in str(entry.path) for entry in ClipDataset(str(folder), 5, 1001, 1001, []).entries())


@pytest.mark.slow
def test_where_the_beginning_cannot_be_followed_the_rest_is_data_from_when_that_is_over(
    correct, folder, clips, humanoid
):
    source = swept_aside(2.4)
    write(source, clips / "swept")
    assert correct().code == 0
    known = record_of(folder)["standing_3"]
    first = known["first_frame"]
    assert known["status"] == "physical" and known["reason"].startswith(f"followed from frame {first} (")
    assert 6 + 18 <= first <= 12 + 18, "0.6 s after the frame in which it fails"
    assert known["seconds"] == pytest.approx((source.num_frames - first) / source.fps)
    made = read_clip(folder / "swept/standing_3_physical.safetensors", humanoid)
    assert made.unrefined is not None
    torch.testing.assert_close(made.unrefined.root_pos, source.root_pos[first:])
    assert (made.root_pos - source.root_pos[first:]).norm(dim=-1).max() < 0.3


def test_where_nothing_becomes_physical_it_says_why_in_one_line(correct, folder, clips):
    for path in (clips / "standing").iterdir():
        path.unlink()
    write(hovering(), clips / "flying")
    answer = correct()
    assert answer.code != 0 and answer.err.strip().count("\n") == 0
    assert "none of 1 became physical (the first: frames 0 to" in answer.err
    assert correct().err == answer.err, "the same command says the same"


def test_overwriting_deletes_what_it_made_and_nothing_else(correct, folder, caplog):
    assert correct("save_scene=true").code == 0
    mine = [folder / "standing/mine.safetensors", folder / "simulations/notes.txt", folder / "notes.txt"]
    for path in mine:
        path.write_text("mine")
    answer = correct("seed=1", "overwrite=true")
    assert answer.code == 0, answer.err
    assert all(path.read_text() == "mine" for path in mine)
    assert sorted(contents(folder)) == sorted(
        ["standing/mine.safetensors", "simulations/standing_0.npz", "simulations/standing_1.npz"]
        + [f"standing/standing_{n}_physical{mirrored}.safetensors" for n in (0, 1) for mirrored in ("", "_mirrored")]
    )
    assert "left what such a run does not write" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["motions=nowhere"], "nowhere: there is no such file or folder"),
        (["seed=-1"], "is -1, expected 0 or more"),
        (["num_shards=0"], "is 0, expected at least 1"),
        (["num_shards=2", "shard=2"], "is 2, expected 0 to 1: one of the 2 of num_shards"),
        (["most_assistance=-0.1"], "is -0.1, expected 0 or more"),
        (["corrector.tracked=[left_hoof]"], " names 'left_hoof', which is no body of the character"),
        (["corrector.standing=[left_foof]"], "did you mean 'left_foot'?"),
        (["corrector.standing=[]"], " is empty, expected at least one body"),
        (["corrector.tracked=[head,torso,head]"], " names 'head' twice, expected each body once"),
        (["corrector=nope"], "corrector=nope: there is no such option"),
        (["character.char_file=nobody.xml"], "nobody.xml: there is no such file"),
        (["threads=0"], "threads"),
        (["output_dir=data/iter1/p2_kin_gen/physical"], "p2_kin_gen, where what is made would be corrected again"),
        (
            ["+corrector.sampling.less_noise.nek=0.1"],
            "): no hinge of the character has this word in its name; they are abdomen_x, ",
        ),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(correct, shell, arguments, message):
    before = shell.files()
    answer = correct(*arguments)
    assert answer.code != 0 and message in answer.err, answer.err
    assert answer.err.strip().count("\n") == 0 and "Traceback" not in answer.err
    assert shell.files() == before


@pytest.mark.parametrize("output_dir", ["data/iter1/p2_kin_gen", "data"])
def test_motions_in_the_folder_of_the_run_are_refused_before_any_is_overwritten(correct, shell, clips, output_dir):
    write(standing_clip(), clips / "standing", "standing_0_physical")
    before = contents(shell.folder)
    answer = correct("motions=data/iter1/p2_kin_gen/standing", f"output_dir={output_dir}", "overwrite=true")
    assert answer.code != 0 and answer.err.strip().count("\n") == 0
    assert f"{output_dir}, among what will be made; give another folder" in answer.err
    assert contents(shell.folder) == before


@pytest.mark.parametrize("motion_class", ["../elsewhere", "/elsewhere", "a/b", "..", "ignore", "simulations"])
def test_a_class_that_is_no_folder_of_data_is_refused(correct, shell, clips, motion_class):
    (clips / "some.yaml").write_text(f"motions: [{{file: standing/standing_0.safetensors, class: {motion_class}}}]")
    before = shell.files()
    answer = correct("motions=data/iter1/p2_kin_gen/some.yaml")
    assert answer.code != 0 and answer.err.strip().count("\n") == 0
    assert "standing_0.safetensors: its class is '" in answer.err and "give it another class" in answer.err
    assert shell.files() == before


def test_a_name_that_leaves_no_room_for_endings_is_refused_before_anything_is_made(correct, clips, shell):
    write(standing_clip(), clips / "standing", "n" * 201)
    before = shell.files()
    answer = correct()
    assert "its name is 201 bytes long, expected at most 200" in answer.err and answer.err.strip().count("\n") == 0
    assert answer.code != 0 and shell.files() == before
    (clips / f"standing/{'n' * 201}.safetensors").unlink()
    path = write(standing_clip(), clips / "standing", "n" * 200)
    assert correct(f"motions={path}").code == 0


def test_a_broken_clip_among_others_is_named_at_the_end_and_stops_none(correct, folder, clips, caplog):
    for name in ("a_broken", "z_broken"):
        (clips / f"standing/{name}.safetensors").write_bytes(b"nothing")
    answer = correct()
    assert answer.code != 0 and answer.err.strip().count("\n") == 0
    assert "a_broken.safetensors: not a whole safetensors file" in answer.err
    assert answer.err.strip().endswith(
        "; of other clips, 1 cannot be corrected either, see the log; all others are done, and kept"
    )
    assert "z_broken.safetensors: not a whole" in (folder / "correct.log").read_text()
    assert sorted(record_of(folder)) == ["standing_0", "standing_1"]
    before = contents(folder)
    assert correct().code != 0 and contents(folder) == before, "it is no finished run"
    for name in ("a_broken", "z_broken"):
        (clips / f"standing/{name}.safetensors").unlink()
    assert correct().code == 0 and contents(folder) == before


def test_a_clip_that_changes_while_it_is_corrected_is_corrected_again(correct, folder, clips, monkeypatch):
    def changing(function, items, _):
        for item in items:
            result = function(item)
            write(standing_clip(5), clips / "standing", "standing_1")
            yield item, result

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(sampled_corrector, "results_of", changing)
        assert correct().code == 0
    before = record_of(folder)
    assert correct().code == 0
    changed = {name for name, known in record_of(folder).items() if known != before[name]}
    assert changed <= {"standing_1"} and record_of(folder)["standing_1"]["digest"] == digest_of(
        clips / "standing/standing_1.safetensors"
    )


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        ('stiffness="[^"]*"', "", "drives no joint to a position; physics needs hinges, each with a stiffness"),
        ('<motor[^>]*joint="right_knee"[^>]*>', "", "joint 'right_knee' cannot be driven"),
    ],
)
def test_a_character_that_cannot_be_simulated_is_refused_once(correct, shell, pattern, replacement, message):
    (shell.folder / "lame.xml").write_text(re.sub(pattern, replacement, Path(HUMANOID.path).read_text()))
    before = shell.files()
    answer = correct("character.char_file=lame.xml")
    assert answer.code != 0 and message in answer.err, answer.err
    assert answer.err.strip().count("\n") == 0 and "Traceback" not in answer.err
    assert shell.files() == before


def test_of_a_clip_of_two_frames_that_cannot_be_followed_no_part_is(correct, folder, clips, monkeypatch):
    clip = standing_clip()
    path = write(clip.with_frames(clip.frames.each(lambda values: values[:2])), clips / "short", "short")
    monkeypatch.setattr(Pass, "_fallen", lambda *_: "it stumbled")
    answer = correct(f"motions={path}")
    assert "none of 1 became physical (the first: frame 0 (0.0 s): it stumbled without assistance)" in answer.err
    assert record_of(folder)["short"]["status"] == "failed"


def test_a_broken_clip_or_record_is_named(correct, folder, clips):
    (clips / "standing/a_broken.safetensors").write_bytes(b"nothing")
    answer = correct("motions=data/iter1/p2_kin_gen/standing/a_broken.safetensors")
    assert answer.code != 0 and "a_broken.safetensors: " in answer.err and answer.err.strip().count("\n") == 0
    (folder / "corrected.json").write_text('{"clips": 3}')
    answer = correct("motions=data/iter1/p2_kin_gen/standing/a_broken.safetensors")
    assert answer.code != 0 and "corrected.json: broken" in answer.err and answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {"root": -1.0}}, r"corrector.weights.root is -1.0, expected 0 or more"),
        ({"control_weights": {"offset": -1.0}}, r"corrector.control_weights.offset is -1.0, expected 0 or more"),
        ({"sampling": {"noise": 0.0}}, r"corrector.sampling.noise is 0.0, expected more than 0"),
        ({"sampling": {"knot_seconds": 0.0}}, r"corrector.sampling.knot_seconds is 0.0, expected more than 0"),
        ({"sampling": {"less_noise": {"neck": 2.0}}}, r"less_noise.neck is 2.0, expected a share in 0..1"),
        ({"least_part": 0.0}, r"corrector.least_part is 0.0, expected a share in 0..1"),
        ({"most_steps": 0}, r"corrector.most_steps is 0, expected at least 1"),
        ({"attempts": {}}, r"corrector.attempts is empty, expected at least one"),
    ],
)
def test_a_corrector_says_which_number_is_out_of_range(changes, message):
    settings = corrector_settings()
    changes = {
        key: settings[key] | value if isinstance(value, dict) and value else value for key, value in changes.items()
    }
    with pytest.raises(UserError, match=message):
        easy_corrector(**changes)
