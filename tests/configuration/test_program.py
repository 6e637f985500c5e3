"""Standard streams that are closed, full, or read by nobody; terminals with few letters; what is no text: in real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import subprocess_environment

HELP = [
    (f"parc.{verb}", "--help")
    for verb in ("train", "generate", "correct", "evaluate", "dataset", "picture", "sweep", "pipeline")
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with a sweep and a run, whose names have other letters."""
    folder = tmp_path_factory.mktemp("workplace")
    sweep, run = folder / "sweep", folder / "run"
    sweep.mkdir()
    run.mkdir()
    job = {"overrides": ["x=größer"], "folder": str(folder / "größer"), "log": "job.log", "total": 9, "unit": "epochs"}
    (sweep / "sweep.json").write_text(json.dumps([job | {"state": "finished"}]))
    (run / "metrics.jsonl").write_text('{"step": 5, "train/loss": 1.0}\n')
    return folder


def start(arguments, folder: Path, before: str = "", after: str = "", **environment: str) -> subprocess.Popen[bytes]:
    """Start a program from a shell, with redirections before and pipes after it."""
    script = f'{before} "$@" {after}; exit ${{PIPESTATUS[0]}}'
    command = ["bash", "-c", script, "bash", sys.executable, "-m", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=subprocess_environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def answers(commands, folder: Path, **how: str) -> list[tuple[int, str, str]]:
    """Run commands beside one another; return the exit code, output and errors of each."""
    processes = [start(command, folder, **how) for command in commands]
    said = [process.communicate() for process in processes]
    return [
        (process.returncode, out.decode(), err.decode()) for process, (out, err) in zip(processes, said, strict=True)
    ]


def test_who_reads_no_further_stops_nothing_and_hears_no_complaint(workplace):
    shown = [HELP[0], ("parc.sweep", "sweep"), ("parc.picture", "run")]
    for code, _, err in answers(shown, workplace, after="| (exec <&-; sleep 1)"):
        assert (code, err) == (0, "")
    assert (workplace / "run.png").is_file()


def test_an_output_that_takes_nothing_is_one_line_of_every_verb(workplace):
    for code, _, err in answers(HELP, workplace, after="> /dev/full"):
        assert err == "error: standard output: No space left on device; what was said is lost\n"
        assert code == 1


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_good_as_nothing(workplace, closed):
    table = workplace / "sweep" / "sweep.csv"
    table.unlink(missing_ok=True)
    for answer in answers([HELP[0], HELP[1], ("parc.sweep", "sweep")], workplace, after=closed):
        assert answer == (0, "", "")
    assert table.read_text().startswith("job,overrides,state")


def test_an_error_that_cannot_be_said_is_still_an_exit_code(workplace):
    for redirected in ("2>&-", "2>/dev/full"):
        (code, out, _), (code_of_argparse, _, _) = answers(
            [("parc.sweep", "nowhere"), ("parc.picture",)], workplace, after=redirected
        )
        assert (code, out, code_of_argparse) == (1, "", 2)


def test_letters_that_a_terminal_does_not_have_are_written_out(workplace):
    table, missing = answers(
        [("parc.sweep", "sweep"), ("parc.sweep", "größer")], workplace, PYTHONIOENCODING="ascii", LC_ALL="C"
    )
    assert (table[0], table[2]) == (0, "")
    assert r"x=gr\xf6\xdfer" in table[1]
    assert missing[0] == 1
    assert missing[2].startswith(r"error: gr\xf6\xdfer: there is no sweep.json")


def test_names_that_are_no_text_are_refused_in_one_line(workplace):
    name = os.fsdecode(b"caf\xe9")
    commands = [("parc.train", f"output_dir={name}"), ("parc.train", "--config", name), ("parc.dataset", name)]
    for command, answer in zip(commands, answers(commands, workplace), strict=True):
        shown = command[-1].replace(name, r"caf\udce9")
        assert answer == (1, "", f"error: {shown}: this name is not UTF-8 text; rename the file or folder\n")


def test_a_message_is_one_line_whatever_names_are_in_it(workplace):
    ((code, out, err),) = answers([("parc.sweep", "no\nwhere\x1b")], workplace)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(r"error: no\nwhere\x1b: there is no sweep.json")
