"""Calling `python -m parc.train` (or another verb) in this process, as a person would: arguments in, exit code and lines out."""

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

import parc.train
from parc.anim.clip_files import write_clip
from parc.configuration import trusted
from parc.configuration.errors import exit_with_one_line
from parc.stages.command import run_command_line
from synthetic_clips import random_clip

TINY_MODEL = [
    "model.denoiser.d_model=16", "model.denoiser.num_heads=2", "model.denoiser.d_hid=16", "model.denoiser.num_layers=1",
    "model.denoiser.mlp_width=16", "model.denoiser.target_mlp_width=16",
]  # fmt: skip
QUICK = [
    "dataset=clips", "dataset.motion_lib_file=clips", "logger=off", "device=cpu", "threads=1", "trainer.batch_size=2",
    "trainer.epochs=1", "trainer.iters_per_epoch=1", "trainer.epochs_per_checkpoint=1",
]  # fmt: skip
TINY = [*QUICK, *TINY_MODEL]
# For `parc.generate` with a model that has learnt nothing: a motion has finished as soon as a window is there, and is accepted.
ANYTHING_GOES = [
    "paths_at_once=1", "rollout.candidates=2", "rollout.new_frames=13", "rollout.finish_distance=100",
    "selection.max_contact=1e9", "selection.max_penetration=1e9", "selection.max_loss=1e9", "selection.max_body_speed=null",
    "selection.max_root_step=null", "selection.max_seconds_in_air=null", "tidying.hesitation=null",
]  # fmt: skip


@dataclass
class Answer:
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str


class CommandLine:
    """A shell in an empty folder."""

    def __init__(self, folder: Path, monkeypatch, capfd) -> None:
        self.folder, self.capfd, self.monkeypatch = folder, capfd, monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.delenv("DATA_DIR", raising=False)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # set by the command, and set back after the test
        monkeypatch.setattr(sys, "argv", [])

    def train(self, *arguments: str) -> Answer:
        """Run `python -m parc.train`. An error that is no user's mistake comes out as it is."""
        return self.run("train", *arguments)

    def run(self, verb: str, *arguments: str) -> Answer:
        """Run the verb of a stage, likewise."""
        sys.argv = [str(Path(parc.train.__file__).with_name(f"{verb}.py")), *arguments]
        self.as_in_a_process_of_its_own()
        self.capfd.readouterr()
        code = 0
        try:
            exit_with_one_line(lambda: run_command_line(verb, list(arguments)))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        finally:
            GlobalHydra.instance().clear()
        sys.stdout.flush()
        out, err = self.capfd.readouterr()
        return Answer(code, out, err)

    def as_in_a_process_of_its_own(self) -> None:
        logging.getLogger("parc").setLevel(logging.INFO)
        self.monkeypatch.setattr(trusted, "_trusted", {"parc"})

    def files(self) -> list[str]:
        """Return all that lies in the folder."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


def write_clips(folder: Path, character, count: int = 2, first: int = 0) -> Path:
    for number in range(first, first + count):
        name = f"clip_{number}"
        write_clip(folder / f"{name}.safetensors", random_clip(character, number, name=name, cells=(12, 14)))
    return folder


def subprocess_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("DATA_DIR", "HYDRA_FULL_ERROR")}
