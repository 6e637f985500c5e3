"""What README.md and docs/ tell a reader to do, in order: files to write, Python to run, commands to paste into a shell."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest

from command_line import ANYTHING_GOES
from taken_as_physical import TAKEN_AS_PHYSICAL

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
PAGES = [README, *sorted((REPOSITORY / "docs").glob("*.md"))]

# Trainings of the pages take minutes to days; the same ones take seconds with these added.
SHORT = "trainer.epochs=2 trainer.iters_per_epoch=5 trainer.batch_size=4 trainer.warmup_steps=0 device=cpu threads=1 logger=off"
# Evaluations take a minute or more.
FEW = (
    "preset.paths=2 preset.reference_clips=4 rollout.candidates=2 rollout.max_seconds=1 device=cpu threads=1 logger=off"
)
# What such a model makes is no motion that physics can follow: corrected are a third of a second of a walk and of stairs.
SHORT_CLIPS = "motions=short_clips threads=1"
# What such a model makes is accepted.
ANYTHING = " ".join([*ANYTHING_GOES, "num_motions=4", "device=cpu", "threads=1"])
# So is it by what stands in for physics, where a round corrects it.
PHYSICAL = f"{TAKEN_AS_PHYSICAL} threads=1"
STANDS_IN = f"PYTHONPATH={REPOSITORY / 'tests'}"  # where it is found
# The studio stays until it is interrupted, as by Ctrl+C; it says so when it is there.
BRIEFLY = "timeout --foreground --preserve-status --signal=INT 30"
ADDED = (("train|pipeline", SHORT), ("generate|pipeline", ANYTHING), ("evaluate", FEW), ("correct", SHORT_CLIPS))
FEW_CLIPS = "dataset.clips=20"  # of the demo's: the fewest of which some are held out
_FENCED = re.compile(r"^```(python|yaml|bash)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(python -m parc\.\w+ [^`\n]+)`")
_FILE_NAME = re.compile(r"# ([\w/]+\.(?:py|yaml))\n")


@dataclass(frozen=True)
class Step:
    """A file that a page shows (its first line is a comment with its name), a program in Python, or a command."""

    kind: str  # file, python or command
    text: str
    name: str = ""

    @property
    def needs_slurm(self) -> bool:
        return self.kind == "command" and bool(re.search(r"launcher=(slurm|lab)|data/slurm", self.text))


def steps_of(page: Path) -> Iterator[Step]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(f"{_FENCED.pattern}|{_INLINE.pattern}", text, _FENCED.flags):
        language, block, inline = found.groups()
        if inline:
            yield Step("command", inline)
        elif named := _FILE_NAME.match(block):
            yield Step("file", block, named[1])
        elif language == "python":
            yield Step("python", block)
        else:
            assert language == "bash", f"{page}: a block of YAML begins with a comment that names its file"
            yield from (Step("command", line) for line in _lines(block))


def _lines(block: str) -> list[str]:
    lines = (line.split("  #")[0].strip() for line in block.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


@dataclass
class Reader:
    """Somebody in a folder like a checkout who does what pages say, each thing once, and trains and generates for seconds."""

    folder: Path
    replaced: dict[str, str] = field(default_factory=dict)
    done: set[Step] = field(default_factory=set)

    def __post_init__(self) -> None:
        (self.folder / "tests").symlink_to(REPOSITORY / "tests")
        # Enough for every page: what make demo makes, and a manifest of its clips.
        self.do(Step("command", "python -m parc.train experiment=demo"))
        self.do(
            Step("command", "python -m parc.generate model_path=data/demo output_dir=data/generated terrain=flights")
        )
        self.do(Step("command", "python -m parc.dataset data/demo_motions --output motions.yaml"))
        _write_short_clips(self.folder / "short_clips")

    def do(self, step: Step) -> None:
        if step in self.done or step.text.startswith("make "):  # CI runs make demo and make test themselves
            return
        text = step.text
        for word, other in self.replaced.items():
            text = text.replace(word, other)
        if step.kind == "file":
            path = self.folder / step.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif step.kind == "python":
            self._run_python(text)
        else:
            runs = not re.search(r"--help|--cfg|--config |run_verb", text)
            for verbs, added in ADDED:
                if runs and re.search(rf"parc\.({verbs})\b", step.text):
                    text = f"{text} {added}"
            if runs and "parc.pipeline" in text and "~stages.correct" not in text:
                text = f"{STANDS_IN} {text} {PHYSICAL}"
            if "parc.view" in text and "--html" not in text:
                text = f"{BRIEFLY} {text} --no-browser"
            own_clips = re.search(r"experiment=(demo|small)", text) and "dataset=" not in text
            text = f"{text} {FEW_CLIPS}" if own_clips else text
            self._run(text.replace("PYTHONPATH=", "PYTHONPATH=$PYTHONPATH:"))
        self.done.add(step)

    def _run_python(self, text: str) -> None:
        from parc.demo_motions.motion_classes import MOTION_CLASSES

        with pytest.MonkeyPatch.context() as patch, mock.patch.dict(MOTION_CLASSES):
            patch.chdir(self.folder)
            exec(compile(text, "a page", "exec"), {"__name__": "__main__"})

    def _run(self, text: str) -> None:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment.pop("DATA_DIR", None)
        environment.setdefault("PYTHONPATH", "")
        ran = subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=600
        )
        said = f"{text}\n{ran.stdout}{ran.stderr}"
        assert "Traceback" not in said, said
        assert ran.returncode == 0, said


def _write_short_clips(folder: Path) -> None:
    from parc.anim.clip_files import write_clip
    from parc.anim.mjcf import CharacterFile
    from parc.anim.surface_points import surface_points
    from parc.demo_motions.generator import class_of, make_clip
    from parc.demo_motions.motion_classes import MOTION_CLASSES

    humanoid = CharacterFile("humanoid.xml").read()
    for motion_class in ("walking", "stairs"):
        number = list(MOTION_CLASSES).index(motion_class)
        clip = make_clip(0, number, humanoid, surface_points(humanoid))
        beginning = clip.with_frames(clip.frames.each(lambda values: values[:10]))
        write_clip(folder / class_of(number) / f"{clip.name}.safetensors", beginning)
