"""Runs and configs of older versions go on, serve as previous runs and load, wherever their folder is now."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from parc.cluster.following import conclude
from parc.cluster.job import run_described
from parc.configuration.errors import UserError
from parc.configuration.older_configs import VERSION, up_to_date
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.trained_model import load_trained_model
from parc.stages.metrics import read_metrics

KEPT = Path(__file__).parents[1] / "runs_of_version_1"
RUN = "moved/iter1/p1_train_gen"
# As it was begun, by the names that its settings have now.
COMMAND = [
    "dataset=clips", "logger=off", "device=cpu", "threads=1", "data_dir=moved", "trainer.batch_size=4",
    "trainer.iters_per_epoch=4", "trainer.epochs_per_checkpoint=2", "trainer.ema_start_step=5", "trainer.learning_rate=0.001",
    *(f"model.denoiser.{name}=8" for name in ("d_model", "d_hid", "mlp_width", "target_mlp_width")),
    "model.denoiser.num_heads=2", "model.denoiser.num_layers=1",
]  # fmt: skip


@pytest.fixture
def moved(shell) -> Path:
    """The run, in another data folder than the one that it was trained in."""
    shutil.copytree(KEPT / "data", shell.folder / "moved")
    return shell.folder / RUN


def test_a_run_of_version_1_goes_on_as_if_it_had_not_been_stopped(shell, moved):
    answer = shell.train(*COMMAND, "dataset.motion_lib_file=moved/clips", "trainer.epochs=4")
    assert (answer.code, answer.err) == (0, "")
    rows = read_metrics(moved / "metrics.jsonl")
    undisturbed = [json.loads(line) for line in (KEPT / "metrics_of_four_epochs.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 8, 12, 16]
    for row, expected in zip(rows, undisturbed, strict=True):
        numbers = {name: value for name, value in expected.items() if name != "samples_per_second"}
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=1e-3)
    config = yaml.safe_load((moved / "mdm_config.yaml").read_text())
    assert config["version"] == VERSION
    assert config["dataset"]["motion_lib_file"] == str(shell.folder / "moved/clips")


def test_another_config_is_still_refused(shell, moved):
    answer = shell.train(
        *COMMAND, "dataset.motion_lib_file=moved/clips", "trainer.epochs=4", "trainer.learning_rate=0.002"
    )
    assert answer.err.startswith(
        f"error: {moved} was started with another config (trainer.learning_rate: 0.001 -> 0.002); give"
    )


def test_a_run_of_version_1_serves_as_the_previous_one_on_its_clips_where_they_are_now(shell, moved):
    short = [each for each in COMMAND if not each.startswith("dataset")]
    answer = shell.train(*short, "iteration=iter2", "trainer.epochs=1", "iteration.new_motions=null")
    assert (answer.code, answer.err) == (0, "")
    config = yaml.safe_load(Path("moved/iter2/p1_train_gen/mdm_config.yaml").read_text())
    assert config["dataset"]["clips"]["motion_lib_file"] == [str(shell.folder / "moved/clips")]


@pytest.mark.parametrize("name", ["", "final_model.ckpt"])
def test_a_model_of_version_1_loads_and_generates(name):
    trained = load_trained_model(KEPT / "data/iter1/p1_train_gen" / name)
    assert (trained.num_frames, trained.num_previous, trained.fps) == (15, 2, 30)
    yes = torch.ones(2, dtype=torch.bool)
    features = trained.mdm.features.num_features
    asked = Conditions(
        torch.zeros(2, *trained.heightmap.shape), torch.zeros(2, 2), torch.zeros(2, 2, features), *[yes] * 4
    )
    motion = trained.mdm.generate(asked, [torch.Generator().manual_seed(n) for n in range(2)], [20, 10, 0])
    assert torch.isfinite(motion.root_pos).all()


def test_later_iterations_of_version_1_are_taken_to_have_found_their_clips():
    old = yaml.safe_load((KEPT / "data/iter1/p1_train_gen/mdm_config.yaml").read_text())
    old["iteration"] |= {"previous_run": "/runs/iter1", "new_motions": "/made"}
    old["dataset"]["motion_lib_file"] = ["/clips", "/made"]
    dataset = up_to_date(old, "here")["dataset"]
    assert dataset["_target_"] == "parc.training.grown_dataset.GrownDataset"
    assert (dataset["previous_run"], dataset["new_motions"]) == ("/runs/iter1", "/made")
    assert dataset["clips"]["motion_lib_file"] == ["/clips", "/made"]
    assert old["dataset"]["motion_lib_file"] == ["/clips", "/made"], "what was read stays as it was"


def test_timesteps_that_version_3_listed_are_counted():
    listed = {"ddim_timesteps": [20, 10, 0], "candidates": 2}
    new = up_to_date({"version": 3, "rollout": listed, "preview": {"rollout": listed}}, "here")
    assert new["rollout"] == new["preview"]["rollout"] == {"denoising_steps": 3, "candidates": 2}


def test_a_job_that_version_1_sent_is_done_when_it_comes_to_its_turn(shell, moved):
    config = yaml.safe_load((KEPT / "data/iter1/p1_train_gen/mdm_config.yaml").read_text())
    config["data_dir"], config["output_dir"] = str(shell.folder / "moved"), str(moved)
    config["dataset"]["motion_lib_file"] = str(shell.folder / "moved/clips")
    config["trainer"]["epochs"] = 3
    run_described({"config": config, "command": "python -m parc.train ..."})
    assert [row["step"] for row in read_metrics(moved / "metrics.jsonl")] == [4, 8, 12]


def test_the_table_of_a_sweep_of_version_1_still_shows_its_losses(shell, moved, capfd):
    job = {"overrides": ["seed=0"], "folder": str(moved), "log": "", "epochs": 2, "job_id": None, "state": "finished"}
    (shell.folder / "moved" / "sweep.json").write_text(json.dumps([job]))
    conclude(Path("moved"))
    last = read_metrics(moved / "metrics.jsonl")[-1]["train/loss"]
    assert Path("moved/sweep.csv").read_text().splitlines() == [
        "job,overrides,state,done,total,unit,training loss,folder",
        f"0,seed=0,finished,2,2,epochs,{last},{moved}",
    ]


@pytest.mark.parametrize("version", [0, VERSION + 1, "two", None])
def test_a_config_of_a_version_to_come_is_one_line(version):
    with pytest.raises(UserError, match=f"^there: version is {version!r}, expected 1 to {VERSION}"):
        up_to_date({"version": version}, "there")
