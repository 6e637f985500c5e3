"""The whole stage with a walker for a model: what it finds, that it goes on, and what it refuses."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from standing import clip_of, standing

from command_line import write_clips
from parc.anim.clip_files import read_clip, write_clip
from parc.evaluation import motions
from parc.evaluation.arguments import as_overrides
from parc.stages.progress import read_progress
from walker import write_walker

QUICK = [
    "model_packages=[walker]", "device=cpu", "threads=1", "logger=off", "preset.paths=3", "preset.bootstrap_draws=50",
    "rollout.candidates=2", "paths_at_once=2", "path.min_distance=2.0", "~terrains.paths", "~terrains.boxes",
    "terrains.flat.cells_x=10", "terrains.flat.cells_y=10", "terrains.stairs.cells_x=10", "terrains.stairs.cells_y=10",
    "rollout.ground_guidance=null",  # the walker's feet are below the ground wherever it is
]  # fmt: skip
CLIPS = ["device=cpu", "threads=1", "logger=off", "preset.bootstrap_draws=50"]


@pytest.fixture
def evaluate(shell, humanoid, caplog):
    """Run `python -m parc.evaluate` in an empty folder that holds the checkpoint of a walker that sways."""
    caplog.set_level("INFO", "parc")
    write_walker(shell.folder / "walker.ckpt", humanoid, sway=1e-3)

    def run(*arguments: str, quick: list[str] = QUICK):
        return shell.run("evaluate", *as_overrides([*quick, *arguments]))

    return run


@pytest.fixture
def folder(shell) -> Path:
    return shell.folder / "evaluation/quick_walker"


def found(folder: Path) -> dict:
    """Return what an evaluation found, but for its speed."""
    result = json.loads((folder / "evaluation.json").read_text())
    assert (result.pop("speed") is not None) == result["is_model"]
    return result


def test_it_measures_prints_draws_and_saves_motions(evaluate, folder, humanoid, caplog):
    answer = evaluate("walker.ckpt")
    assert answer.code == 0, answer.err
    result = found(folder)
    assert list(result["kinds"]) == ["flat", "stairs"] and result["paths"] == 6 and result["reference"] is None
    flat, both = result["kinds"]["flat"], result["all"]
    assert flat["finished"]["mean"] == 100 and flat["finished"]["count"] == 6
    # It walks straight to its target at 1.5 metres/s, and ends within half a metre of it.
    assert flat["fwd"]["mean"] < 0.6 and flat["fastest_body"]["mean"] > 1.5
    for name, figure in both.items():
        assert figure["low"] <= figure["mean"] + 1e-9 and figure["mean"] <= figure["high"] + 1e-9, name
        assert f"{result['metrics'][name]['label']} ({result['metrics'][name]['unit']})" in answer.out
    mean = (flat["fwd"]["mean"] + result["kinds"]["stairs"]["fwd"]["mean"]) / 2
    assert both["fwd"]["mean"] == pytest.approx(mean)
    assert (folder / "evaluation.png").stat().st_size > 10_000
    assert "the training clips are left out (there is no mdm_config.yaml beside" in caplog.text
    for kind in ("flat", "stairs"):
        saved = sorted((folder / "motions" / kind).iterdir())
        assert [path.stem for path in saved] == [f"quick_{kind}_seed0_{number:06d}" for number in range(3)]
        clip = read_clip(saved[1], humanoid)
        assert clip.path_nodes is not None and clip.made is not None
        assert clip.made.number == 1 and clip.made.model_digest == result["digest"]
    progress = read_progress(folder)
    assert progress and (progress.done, progress.total, progress.unit, progress.finished) == (6, 6, "paths", True)
    assert progress.figures["FWD (m)"] == pytest.approx(both["fwd"]["mean"])
    assert evaluate("walker.ckpt").code == 0 and "nothing left to do" in caplog.text


@pytest.mark.slow
def test_two_models_meet_the_same_terrains_and_paths(evaluate, shell, folder, humanoid):
    write_walker(shell.folder / "other.ckpt", humanoid, sway=0.3)
    assert evaluate("walker.ckpt", "rollout.guidance_scale=0.1").code == 0
    assert evaluate("other.ckpt", "rollout.candidates=1").code == 0
    other = folder.with_name("quick_other")
    for path in sorted((folder / "motions").rglob("*.safetensors")):
        one = read_clip(path, humanoid)
        two = read_clip(other / path.relative_to(folder), humanoid)
        assert one.path_nodes is not None and two.path_nodes is not None
        torch.testing.assert_close(one.path_nodes, two.path_nodes, rtol=0, atol=0)
        torch.testing.assert_close(one.terrain.heights, two.terrain.heights, rtol=0, atol=0)
        assert not torch.equal(one.root_pos[:20], two.root_pos[:20])
    assert found(folder)["all"]["fwd"] != found(other)["all"]["fwd"]


@pytest.mark.slow
def test_a_path_is_the_same_whatever_other_kinds_there_are(evaluate, folder, humanoid, shell):
    assert evaluate("walker.ckpt").code == 0
    assert evaluate("walker.ckpt", "output_dir=alone", quick=[*QUICK, "~terrains.flat", "preset.paths=1"]).code == 0
    name = "motions/stairs/quick_stairs_seed0_000000.safetensors"
    one, two = read_clip(folder / name, humanoid), read_clip(shell.folder / "alone" / name, humanoid)
    torch.testing.assert_close(one.terrain.heights, two.terrain.heights, rtol=0, atol=0)
    torch.testing.assert_close(one.root_pos[:9], two.root_pos[:9], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_signal_keeps_what_is_measured_and_the_same_command_gives_the_same_result(
    evaluate, folder, shell, monkeypatch
):
    assert evaluate("walker.ckpt", "output_dir=undisturbed").code == 0
    measured, calls = motions.measured, []

    def signalled(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return measured(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(motions, "measured", signalled)
        answer = evaluate("walker.ckpt")
    assert answer.code != 0 and "stopped by SIGTERM with 2 paths measured" in answer.err
    lines = folder / "measured.jsonl"
    lines.write_bytes(lines.read_bytes() + b'{"kind": "flat", "numb')  # as a process leaves it that is killed
    assert not (folder / "evaluation.json").exists()
    assert evaluate("walker.ckpt").code == 0
    assert found(folder) == found(shell.folder / "undisturbed")
    assert len(lines.read_text().splitlines()) == 1 + 6


def test_clips_are_evaluated_too_and_those_without_a_path_have_no_way(evaluate, shell, humanoid):
    clips = shell.folder / "clips"
    write_clip(clips / "good/stands.safetensors", clip_of(standing(humanoid), last_node=[0.0, 0.0, 0.0]))
    write_clip(clips / "sunk/sinks.safetensors", clip_of(standing(humanoid, above=-0.05), last_node=[1.0, 0.0, 0.0]))
    write_clip(clips / "sunk/wanders.safetensors", clip_of(standing(humanoid)))
    answer = evaluate("clips", quick=CLIPS)
    assert answer.code == 0, answer.err
    result = found(clips / "evaluation/quick")
    assert list(result["kinds"]) == ["good", "sunk"] and result["reference"] is None and result["paths"] == 3
    assert result["all"]["deepest"]["mean"] == pytest.approx(5 / 3, abs=0.01)
    assert result["kinds"]["sunk"]["deep"]["mean"] == 50 and result["kinds"]["sunk"]["fwd"]["mean"] == pytest.approx(1)
    assert result["all"]["fwd"]["count"] == 2 and result["all"]["finished"]["mean"] == 50
    assert "diversity" not in result["all"] and "- " in answer.out
    progress = read_progress(clips / "evaluation/quick")
    assert progress and (progress.done, progress.total, progress.finished) == (1, 1, True)
    assert evaluate("clips/good/stands.safetensors", quick=CLIPS).code == 0
    assert found(clips / "good/evaluation/quick_stands")["paths"] == 1


def test_clips_that_have_changed_are_refused(evaluate, shell, humanoid, caplog):
    write_clip(shell.folder / "clips/one.safetensors", clip_of(standing(humanoid)))
    assert evaluate("clips", quick=CLIPS).code == 0
    write_clip(shell.folder / "clips/one.safetensors", clip_of(standing(humanoid, above=-0.05)))
    answer = evaluate("clips", quick=CLIPS)
    assert answer.code != 0 and "something else was evaluated here" in answer.err
    assert evaluate("clips", "overwrite=true", quick=CLIPS).code == 0


@pytest.mark.slow
def test_a_model_is_compared_with_the_clips_that_its_run_trained_on(evaluate, shell, humanoid, caplog):
    run = shell.folder / "run"
    write_clips(shell.folder / "clips", humanoid, count=5)
    write_walker(run / "checkpoints/model_epoch_3.ckpt", humanoid, sway=1e-3)
    dataset = {"_target_": "parc.anim.dataset.ClipDataset", "motion_lib_file": str(shell.folder / "clips")}
    limits = {"min_num_frames": 15, "max_terrain_dim_x": 100, "max_terrain_dim_y": 100, "halved_classes": []}
    (run / "mdm_config.yaml").write_text(
        json.dumps({"version": 2, "stage": "parc.training.stage.TRAIN", "dataset": dataset | limits})
    )
    quick = [*QUICK, "preset.paths=1", "preset.reference_clips=3", "~terrains.stairs"]
    answer = evaluate("run", quick=quick)
    assert answer.code == 0, answer.err
    result = found(run / "evaluation/quick")
    assert result["reference_clips"] == 3 and result["reference"]["length"]["count"] == 3
    assert "training clips" in answer.out and result["of"].endswith("model_epoch_3.ckpt")
    again = evaluate("run", "reference=clips/clip_4.safetensors", "output_dir=other", quick=quick)
    assert again.code == 0 and found(shell.folder / "other")["reference_clips"] == 1
    for path in (shell.folder / "clips").glob("*.safetensors"):
        path.unlink()
    caplog.clear()
    assert evaluate("run", "output_dir=without", quick=quick).code == 0
    assert found(shell.folder / "without")["reference"] is None and "training clips are left out" in caplog.text


@pytest.mark.slow
def test_a_model_that_was_trained_on_is_refused_in_the_same_folder(evaluate, shell, humanoid):
    assert evaluate("walker.ckpt").code == 0
    write_walker(shell.folder / "walker.ckpt", humanoid, sway=0.2)
    answer = evaluate("walker.ckpt")
    assert answer.code != 0 and "something else was evaluated here" in answer.err and answer.err.count("\n") == 1
    answer = evaluate("walker.ckpt", "overwrite=true", "seed=1")
    assert answer.code == 0
    saved = {path.name for path in (shell.folder / "evaluation/quick_walker/motions/flat").iterdir()}
    assert saved == {f"quick_flat_seed1_{number:06d}.safetensors" for number in range(3)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nowhere"],
            "of (override of=nowhere) {here}/nowhere: there is no such file or folder; expected the folder of a",
        ),
        (["empty"], "of (override of=empty) {here}/empty: the folder holds neither checkpoints nor clips"),
        (["walker.ckpt", "rollout.feet=[left_hoof]"], "has no body 'left_hoof'; did you mean 'left_foot'?"),
        (["walker.ckpt", "preset=nope"], "preset=nope: there is no such option"),
        (["walker.ckpt", "preset.paths=0"], "preset.paths (override preset.paths=0) is 0, expected at least 1"),
        (
            ["walker.ckpt", "reference=nowhere"],
            "reference (override reference=nowhere) {here}/nowhere: there is no such file or folder",
        ),
        (["walker.ckpt", "terrains.flat.cells=4"], "terrains.flat.cells"),
        (["walker.ckpt", "+terrains.more=3"], "is 3, expected the settings of a TerrainGenerator"),
        (["walker.ckpt", "model_packages=[]"], "model_packages=[PACKAGE]"),
        (["of.yaml"], "of (override of=of.yaml) {here}/of.yaml: there is no such file"),
        (["--preset"], "--preset: expected a name"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(evaluate, shell, arguments, message):
    (shell.folder / "empty").mkdir()
    before = shell.files()
    try:
        answer = evaluate(*arguments)
        code, said = answer.code, answer.err
    except Exception as error:  # of the command line itself, which `run_verb` takes along
        code, said = 1, f"{error}\n"
    assert code != 0 and message.format(here=shell.folder) in said, said
    assert said.strip().count("\n") == 0 and "Traceback" not in said
    assert shell.files() == before
