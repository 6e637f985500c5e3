"""A network of one's own is a class and an option file: it trains, resumes and generates as the paper's does."""

from pathlib import Path

import pytest
import torch
from training_runs import assert_same_result

from command_line import QUICK, write_clips
from parc.configuration import trusted
from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.trained_model import load_trained_model

OPTION = """# Mine: three layers
_target_: perceptron.Perceptron
width: 32 # of its hidden layers
"""
MINE = ["--config-dir", "mine", *QUICK, "model/denoiser=perceptron"]


@pytest.fixture
def own(shell, humanoid) -> None:
    write_clips(shell.folder / "clips", humanoid)
    folder = shell.folder / "mine" / "model" / "denoiser"
    folder.mkdir(parents=True)
    (folder / "perceptron.yaml").write_text(OPTION)


def test_it_trains_and_resumes_exactly(shell, own):
    for epochs, folder in ((1, "stopped"), (2, "stopped"), (2, "undisturbed")):
        answer = shell.train(*MINE, f"output_dir={folder}", f"trainer.epochs={epochs}", "trainer.ema_start_step=1")
        assert answer.code == 0, answer.err
    assert_same_result(Path("stopped"), Path("undisturbed"))
    trained = read_checkpoint(Path("undisturbed/final_model.ckpt"))
    assert trained.config["model"]["denoiser"] == {"_target_": "perceptron.Perceptron", "width": 32}
    assert set(trained.model) > {"heightmap_layer.weight", "layers.0.weight"}


def test_it_generates_from_its_checkpoint(shell, own, monkeypatch):
    assert shell.train(*MINE, "output_dir=run").code == 0
    monkeypatch.setattr(trusted, "_trusted", {"parc"})  # as in a process of its own
    with pytest.raises(UserError, match="'perceptron' is of a package that a file names"):
        load_trained_model(Path("run"))
    model = load_trained_model(Path("run"), packages=["perceptron"]).mdm
    yes = torch.ones(3, dtype=torch.bool)
    asked = Conditions(torch.zeros(3, 31, 31), torch.zeros(3, 2), torch.zeros(3, 2, 91), yes, yes, yes, yes)
    motion = model.generate(
        asked, [torch.Generator().manual_seed(n) for n in range(3)], [20, 10, 0], guidance_scale=0.65
    )
    assert motion.root_pos.shape == (3, 15, 3)
    assert torch.isfinite(motion.joint_pos).all()


def test_it_takes_heightmaps_that_the_papers_convolutions_do_not(shell, own):
    coarse = ["sampler.heightmap.spacing=0.5", "output_dir=coarse"]
    assert "convolutions" in shell.train(*QUICK, *coarse).err
    assert shell.train(*MINE, *coarse).code == 0


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("model.denoiser.width=wide", "is 'wide', expected a whole number"),
        ("+model.denoiser.depth=3", "there is no such key"),
    ],
)
def test_its_settings_are_checked_like_any_others(shell, own, override, complaint):
    key = override.lstrip("+").partition("=")[0]
    assert shell.train(*MINE, override).err.startswith(f"error: {key} (override {override}): {complaint}")
