"""What docs/ shows in Python runs, on a small model."""

import re
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    shutil.copytree(REPOSITORY / "tests/runs_of_version_1/data/iter1/p1_train_gen", tmp_path / "data/demo")
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        exec(compile(block, str(page), "exec"), {})
    assert "frames at" in capsys.readouterr().out


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "README.md"], ids=lambda page: page.name)
def test_the_files_that_a_page_names_are_there(page):
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    for name in re.findall(r"`((?:src|tests|conf|docs|launch|benchmarks)/[\w./]+)`", text):
        assert (REPOSITORY / name).exists() or (REPOSITORY / "tests/training" / name).exists(), name


@pytest.mark.parametrize("name", ["tests/stages/counting.py", "tests/perceptron.py"])
def test_what_a_page_calls_short_is(name):
    assert len((REPOSITORY / name).read_text().splitlines()) < 40
