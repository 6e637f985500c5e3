"""The benchmark measures what it says, and says what misses its target."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import fast_denoiser
from benchmarks.__main__ import PARTS, measure
from benchmarks.measurements import MEASUREMENTS
from benchmarks.rows import Row, table, timed_row
from benchmarks.timing import Durations, measure_in_turns
from parc.configuration.errors import UserError

REPOSITORY = Path(__file__).parents[2]


def test_ratios_are_of_durations_of_the_same_turn():
    """A machine that gets slower from turn to turn changes no ratio."""
    ours, yardstick = Durations([1.0, 2.0, 4.0]), Durations([2.0, 4.0, 8.0])
    row = timed_row("ours", ours, yardstick, parc=1.2, target=0.6)
    assert (row.median, row.yardsticks, row.unit) == (2000.0, 0.5, "ms")
    assert row.quartiles == (1500.0, 3000.0)


def test_actions_are_measured_in_turns_after_a_warm_up():
    calls = []
    actions = {"a": lambda: calls.append("a"), "b": lambda: (calls.append("b"), time.sleep(0.01))}
    measured = measure_in_turns(actions, 3, torch.device("cpu"))
    assert calls == ["a", "b"] * 4
    assert [len(each.seconds) for each in measured.values()] == [3, 3]
    assert min(measured["b"].seconds) >= 0.01


def test_the_table_marks_what_misses_its_target():
    lines = table(
        [
            Row("fast", 5.0, (4.0, 6.0), "ms", 0.5, 1.2, 0.6),
            Row("slow", 5.0, (4.0, 6.0), "ms", 0.7, 1.2, 0.6),
            Row("large", 300.0, None, "MB", None, 3500.0, 200.0),
            Row("new", 1.0, None, "s"),
        ]
    ).splitlines()[2:]
    assert lines == [
        "| fast | 5 ms | 4 to 6 | 0.5 | 0.6 | 1.2 |",
        "| slow | 5 ms | 4 to 6 | 0.7 | 0.6 * | 1.2 |",
        "| large | 300 MB |  |  | 200 * | 3500 |",
        "| new | 1 s |  |  |  |  |",
    ]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"parts": ["smapler"]}, "smapler: there is no such part, expected .*did you mean 'sampler'"),
        ({"turns": 1}, "--turns is 1, expected at least 2"),
        ({"clips": 0}, "--clips is 0, expected at least 1"),
        ({"device": "cuda:99"}, "device is cuda:99, but this machine has"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_measured(mistake, message, tmp_path):
    options = {"parts": [], "turns": 2, "clips": 10, "device": "cpu", "output": tmp_path / "figures.json"} | mistake
    with pytest.raises(UserError, match=message):
        measure(argparse.Namespace(**options))
    assert list(tmp_path.iterdir()) == []


def test_every_part_has_a_measurement():
    assert [*MEASUREMENTS, "scale"] == PARTS


@pytest.mark.slow
def test_learning_is_timed_until_the_held_out_error_is_low_enough(tmp_path, monkeypatch):
    few = ["experiment=demo", "dataset.clips=40"]
    monkeypatch.setattr(fast_denoiser, "LEARNT", 0.2)
    minutes, learnt = fast_denoiser.learn(tmp_path, torch.device("cpu"), few)
    assert minutes > 0
    fast_denoiser.many_candidates(learnt, threads=1, guided=True)()
    monkeypatch.setattr(fast_denoiser, "LEARNT", 0.0)
    monkeypatch.setattr(fast_denoiser, "MOST_STEPS", 50)
    with pytest.raises(UserError, match=r"above 0\.0 m after 50 steps of experiment=demo"):
        fast_denoiser.learn(tmp_path, torch.device("cpu"), few)


@pytest.mark.slow
def test_the_whole_benchmark_runs(tmp_path):
    parts = [part for part in PARTS if part != "learning"]  # which takes minutes
    line = [sys.executable, "-m", "benchmarks", *parts, "--turns", "2", "--clips", "60", "--device", "cpu"]
    done = subprocess.run(
        [*line, "--output", "figures.json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=900,  # bf16 is emulated on older processors
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    rows = {row["what"]: row for row in figures["rows"]}
    assert rows["yardstick"]["yardsticks"] == 1
    assert all(row["median"] > 0 for row in rows.values()), rows
    head, rule, *lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert head.startswith("| what") and set(rule) <= set("| -")
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == list(rows)
    assert {path.name for path in tmp_path.iterdir()} == {"figures.json"}
