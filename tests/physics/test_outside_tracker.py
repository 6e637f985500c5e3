"""Trackers of other people's: given clips, returning clips; what becomes of those, and of a run whose tracker fails."""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from pages import REPOSITORY, steps_of
from parc.anim.clip_files import read_clip, write_clip
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.configuration.errors import Interrupted, UserError
from parc.demo_motions.generator import make_clip
from parc.physics.correction import Correction, Status
from parc.physics.corrector import Circumstances, Task
from parc.physics.outside_tracker import OutsideTracker
from parc.stages.stopping import StopRequest

HUMANOID = CharacterFile("humanoid.xml")
WALKING = 1  # the number of a demo clip that walks
FEET = ["right_foot", "left_foot"]

# What it makes of a clip is said by the clip's name.
TRACKER = """
import os, sys, time
from pathlib import Path

import safetensors
from safetensors.numpy import save_file

motions, results, mode = sys.argv[1:4]
Path("given.txt").write_text(" ".join(sorted(path.name for path in Path(motions).iterdir())))
print("tracking", os.getpid(), flush=True)
if mode == "sleep":
    Path("pid.txt").write_text(str(os.getpid()))
    os.system("sleep 600")
for path in sorted(Path(motions).glob("*.safetensors")):
    kind, place = path.stem, Path(results, path.name)
    with safetensors.safe_open(path, "numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    arrays["root_pos"] = arrays["root_pos"] + [0.6 if kind == "far" else 0.02, 0, 0]
    arrays["contacts"] = 1 - arrays["contacts"]
    arrays["hf"] = arrays["hf"] + 5
    count = {"part": 30, "bit": 10, "longer": 40}.get(kind, len(arrays["root_pos"]))
    for name in ("root_pos", "root_rot", "joint_rot", "contacts"):
        arrays[name] = arrays[name].repeat(2, axis=0)[:count].copy() if kind == "longer" else arrays[name][:count].copy()
    arrays.pop("hf_maxmin", None)
    if kind == "faster":
        metadata["fps"] = "50.0"
    if kind == "dropped" or mode == "nothing":
        continue
    save_file({name: array.astype("float32") for name, array in arrays.items()}, place, metadata)
    if kind == "broken":
        place.write_bytes(place.read_bytes()[:1000])
    if mode == "crash" and kind == "broken":
        print("out of memory")
        sys.exit(3)
"""
STAND_INS = ["{motions}", "{results}"]


@cache
def walk() -> MotionClip:
    humanoid = HUMANOID.read()
    clip = make_clip(0, WALKING, humanoid, surface_points(humanoid))
    return replace(
        clip.with_frames(clip.frames.each(lambda values: values[40:76])),
        path_nodes=torch.tensor([[0.0, 0, 0], [1.0, 0, 0]]),
    )


def task(folder: Path, name: str) -> Task:
    path = folder / "walking" / f"{name}.safetensors"
    write_clip(path, replace(walk(), name=name))
    return Task(name, path, "walking")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracker.py").write_text(TRACKER)
    (tmp_path / "run").mkdir()
    return tmp_path


def tracker(mode: str = "well", **changes) -> OutsideTracker:
    settings = {"format": "clips", "standing": FEET, "least_part": 0.5, "timeout": None} | changes
    return OutsideTracker([sys.executable, "tracker.py", *STAND_INS, mode], **settings)


def corrections(corrector: OutsideTracker, tasks: list[Task], run: Path):
    return corrector.corrections(tasks, Circumstances(HUMANOID, 7, 2, run))


def became(corrector: OutsideTracker, tasks: list[Task], run: Path):
    return {task.name: correction for task, correction in corrections(corrector, tasks, run)}


def is_alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_what_a_tracker_returns_is_measured_and_what_it_does_not_return_whole_has_failed(here):
    names = ["good", "dropped", "broken", "far", "part", "bit", "longer", "faster"]
    tasks = [task(here, name) for name in names]
    found = became(tracker(), tasks, here / "run")
    assert sorted(found) == sorted(names)
    said = {name: (each.status.value, each.reason) for name, each in found.items()}
    assert said["good"] == ("physical", "")
    assert said["part"] == ("physical", "the tracker returned 30 of 36 frames")
    assert said["bit"] == ("failed", "the tracker returned 10 of 36 frames")
    assert said["dropped"] == ("failed", "the tracker returned nothing for it")
    assert said["longer"] == ("failed", "the tracker returned 40 frames, expected at most 36")
    assert said["faster"] == ("failed", "the tracker returned 50 frames a second, expected 30")
    assert said["far"] == ("failed", "root off (m) is 0.60, expected less than 0.3")
    assert said["broken"][0] == "failed" and "broken.safetensors cannot be taken: not a whole" in said["broken"][1]
    good = found["good"]
    assert good.measures["root off (m)"] == pytest.approx(0.02, abs=1e-6)
    assert good.whole_with == 0 and found["part"].whole_with is None
    assert good.cpu_seconds > 0 and good.clip_seconds == pytest.approx(36 / 30)
    assert not list((here / "run").iterdir()), "the folders of the tracker are gone"


def test_frames_and_contacts_are_the_trackers_and_everything_else_the_clips(here):
    given = task(here, "part")
    clip = read_clip(given.path, HUMANOID.read())
    made = became(tracker(), [given], here / "run")["part"].clip
    assert torch.allclose(made.root_pos, clip.root_pos[:30] + torch.tensor([0.02, 0, 0]), atol=1e-6)
    assert torch.equal(made.contacts, 1 - clip.contacts[:30])
    assert torch.equal(made.terrain.heights, clip.terrain.heights)
    assert torch.equal(made.path_nodes, clip.path_nodes)
    assert made.unrefined.same_as(clip.frames.each(lambda values: values[:30]))


def test_a_motion_that_nothing_can_follow_is_not_given(here):
    good, flying = task(here, "good"), task(here, "flying")
    clip = read_clip(flying.path, HUMANOID.read())
    write_clip(flying.path, replace(clip, root_pos=clip.root_pos + torch.tensor([0, 0, 3.0])))
    found = became(tracker(), [good, flying], here / "run")
    assert Path("given.txt").read_text() == "good.safetensors"
    assert found["flying"].status is Status.FAILED and "nothing comes near the ground" in found["flying"].reason


def test_a_clip_that_cannot_be_read_keeps_no_other_from_the_tracker(here):
    tasks = [task(here, name) for name in ("a_good", "bad", "good")]
    tasks[1].path.write_bytes(b"nothing")
    found: list[tuple[Task, Correction]] = []
    with pytest.raises(UserError, match=r"bad\.safetensors: not a whole .*; all others are done, and kept$"):
        for each in corrections(tracker(), tasks, here / "run"):
            found.append(each)
    assert Path("given.txt").read_text() == "a_good.safetensors good.safetensors"
    assert [each.name for each, correction in found if correction.status is Status.PHYSICAL] == ["a_good", "good"]


@pytest.mark.parametrize(
    ("to", "files"),
    [
        ("parc", "a.pkl motions.yaml"),
        ("mujoco", "a.npz a.xml"),
        ("mimickit", "a.pkl a_env.yaml motions.yaml"),
    ],
)
def test_a_tracker_is_given_the_format_that_it_reads(here, to, files):
    with pytest.raises(UserError):  # it returns nothing of these
        became(tracker(format=to), [task(here, "a")], here / "run")
    given = [name for name in Path("given.txt").read_text().split() if "_box_" not in name]
    assert given == files.split()


def test_parcs_pickles_are_taken_and_others_are_not_loaded(here):
    copy = ["sh", "-c", 'cp "$1"/*.pkl "$2"', "sh", *STAND_INS]
    taken = OutsideTracker(copy, "parc", FEET, 0.5, None)
    assert became(taken, [task(here, "a")], here / "run")["a"].status is Status.PHYSICAL
    program = "cos\nsystem\n(S'touch ran'\ntR."
    write = f'printf "%s" "{program}" > "$2"/a.pkl'
    bad = OutsideTracker(["sh", "-c", write, "sh", *STAND_INS], "clips", FEET, 0.5, None)
    found = became(bad, [task(here, "a")], here / "run")["a"]
    assert found.status is Status.FAILED and "could run code" in found.reason and not Path("ran").exists()


def test_stand_ins_stand_for_what_the_run_has(here):
    words = ["{motions}", "{results}", "--of={character}:{seed}:{threads}", "{0}{}"]
    say = OutsideTracker(
        ["sh", "-c", 'cp "$1"/* "$2"; printf "%s\n" "$@" > said.txt', "sh", *words], "clips", FEET, 0.5, None
    )
    became(say, [task(here, "a")], here / "run")
    motions, results, rest, other = Path("said.txt").read_text().split("\n")[:4]
    assert Path(motions).is_absolute() and Path(motions).parent == Path(results).parent
    assert Path(motions).parents[1] == here / "run" / "ignore", "where datasets do not look"
    assert rest == f"--of={HUMANOID.path}:7:2" and other == "{0}{}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": ["a", "{motions}"]}, "corrector.command does not say {results}, expected"),
        ({"command": ["a", "{motion}", "{results}"]}, "{motion} stands for nothing; did you mean 'motions'?"),
        ({"format": "mimikit"}, "corrector.format is 'mimikit', expected one of clips, "),
        ({"least_part": 0.0}, "corrector.least_part is 0.0, expected a share"),
        ({"timeout": 0.0}, "corrector.timeout is 0.0, expected more than 0 seconds"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    settings = {"command": ["a", *STAND_INS], "format": "clips", "standing": FEET, "least_part": 0.5, "timeout": None}
    with pytest.raises(UserError) as refused:
        OutsideTracker(**(settings | changes))
    assert message in str(refused.value)


def test_a_tracker_that_returns_nothing_at_all_is_an_error_and_no_clip_is_done(here):
    with pytest.raises(UserError, match=r"ended well, and returned none of 1 clips; .*where it left nothing"):
        became(tracker("nothing"), [task(here, "good")], here / "run")


def test_of_a_tracker_that_fails_whole_clips_are_kept_and_the_error_says_what_it_said(here):
    tasks = [task(here, name) for name in ("a", "broken", "later")]
    found = {}
    with pytest.raises(UserError) as failed:
        for each, correction in corrections(tracker("crash"), tasks, here / "run"):
            found[each.name] = correction.status
    assert found == {"a": Status.PHYSICAL}
    assert "failed with exit code 3; it returned 1 of 3 clips whole" in str(failed.value)
    assert str(failed.value).endswith("/ out of memory") and "\n" not in str(failed.value)


def test_a_tracker_is_stopped_when_its_time_is_over(here):
    began = time.monotonic()
    with pytest.raises(UserError, match=r"was stopped after 1 s \(corrector.timeout\); it returned 0 of 1 clips"):
        became(tracker("sleep", timeout=1.0), [task(here, "good")], here / "run")
    assert time.monotonic() - began < 5
    assert not is_alive(int(Path("pid.txt").read_text()))


def test_a_signal_ends_the_tracker_with_all_that_it_started(here):
    def press() -> None:
        while not Path("pid.txt").exists() or not Path("pid.txt").read_text():
            time.sleep(0.02)
        time.sleep(0.2)  # for it to start a process of its own
        os.kill(os.getpid(), signal.SIGTERM)

    tasks = [task(here, "good")]
    presser = threading.Thread(target=press)
    presser.start()
    with StopRequest() as stop, pytest.raises(Interrupted), stop.at_once("to go on"):
        became(tracker("sleep"), tasks, here / "run")
    presser.join()
    group = int(Path("pid.txt").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(map(is_alive, processes_of(group))):
        time.sleep(0.02)
    assert not any(map(is_alive, processes_of(group)))
    assert not list((here / "run").iterdir())


def processes_of(group: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def arguments(mode: str) -> list[str]:
    words = ",".join(f'"{word}"' for word in (sys.executable, "tracker.py", *STAND_INS, mode))
    return ["corrector=command", f"corrector.command=[{words}]", "motions=clips", "output_dir=run", "threads=1"]


def test_the_same_command_gives_the_tracker_what_is_left(shell):
    Path("tracker.py").write_text(
        TRACKER.replace('kind == "broken"', 'kind == "b"', 1).replace('== "broken":', '== "b":')
    )
    for name in ("a", "b", "c"):
        task(Path("clips"), name)
    stopped = shell.run("correct", *arguments("crash"))
    assert stopped.code == 1 and stopped.err.startswith("error: corrector.command"), stopped
    assert Path("given.txt").read_text() == "a.safetensors b.safetensors c.safetensors"
    Path("tracker.py").write_text(TRACKER)  # mended
    again = shell.run("correct", *arguments("crash"))
    assert again.code == 0, again
    assert Path("given.txt").read_text() == "b.safetensors c.safetensors"
    clips = json.loads(Path("run/corrected.json").read_text())["clips"]
    assert {name: clip["status"] for name, clip in clips.items()} == dict.fromkeys("abc", "physical")
    assert len(list(Path("run/walking").iterdir())) == 6, "with their mirror images"
    assert "tracker: out of memory" in Path("run/correct.log").read_text()
    assert not Path("run/ignore").exists()
    Path("given.txt").unlink()
    assert shell.run("correct", *arguments("crash")).code == 0 and not Path("given.txt").exists()


def test_a_program_that_is_not_there_is_refused_before_anything_happens(shell):
    task(Path("clips"), "a")
    answer = shell.run(
        "correct", "corrector=command", 'corrector.command=[no_such,"{motions}","{results}"]', "motions=clips"
    )
    assert answer.code == 1
    assert answer.err.startswith("error: corrector.command") and "there is no program 'no_such' here" in answer.err
    assert not Path("data").exists()


def test_a_config_of_somebody_elses_runs_no_program_unless_the_user_names_it(shell):
    Path("tracker.py").write_text(TRACKER)
    task(Path("clips"), "a")
    assert shell.run("correct", *arguments("well")).code == 0
    Path("given.txt").unlink()
    theirs = ["--config", "run/correct_config.yaml", "output_dir=mine"]
    refused = shell.run("correct", *theirs)
    assert refused.code == 1 and "corrector.command" in refused.err and "a program that a file names" in refused.err
    assert not Path("given.txt").exists()
    assert shell.run("correct", *theirs, arguments("well")[1]).code == 0 and Path("given.txt").exists()


# Stand-ins for MimicKit and for what docs/correcting.md leaves to its reader: the "policy" does what its motion does.
RUN = """
import sys
from pathlib import Path

import yaml

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
config = yaml.safe_load(Path(arguments["--env_config"]).read_text())
assert config["base"] and all(Path(each["file"]).is_file() for each in config["objects"])
out = Path(arguments["--out_dir"])
out.mkdir()
(out / "model.pt").write_bytes(Path(config["motion_file"]).read_bytes())
"""
RECORD = """
import pickle, sys

import numpy as np

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with open(arguments["--model_file"], "rb") as file:
    motion = pickle.load(file)
contacts = np.ones((len(motion["frames"]), 15))
np.savez(arguments["--output"], frames=np.array(motion["frames"]), contacts=contacts, fps=motion["fps"])
"""


def test_the_pages_program_for_mimickit_turns_what_was_recorded_into_clips(here, monkeypatch):
    (program,) = [
        step for step in steps_of(REPOSITORY / "docs" / "correcting.md") if step.name == "mimickit_tracker.py"
    ]
    files = {
        "mimickit_tracker.py": program.text,
        "MimicKit/mimickit/run.py": RUN,
        "MimicKit/record.py": RECORD,
        "MimicKit/data/envs/vault_humanoid_env.yaml": "base: true\n",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    command = ["python", "mimickit_tracker.py", str(here / "MimicKit"), *STAND_INS]
    corrector = OutsideTracker(command, "mimickit", FEET, 0.5, None)
    found = became(corrector, [task(here, "a"), task(here, "b")], here / "run")
    for name in "ab":
        assert found[name].status is Status.PHYSICAL, found[name]
        assert found[name].measures["bodies off at worst (m)"] < 1e-5
        assert torch.all(found[name].clip.contacts == 1)
        assert torch.equal(found[name].clip.terrain.heights, walk().terrain.heights)
