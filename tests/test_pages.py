"""README.md and docs/: every link leads somewhere, and every command, file and program in them works as pasted.

tests/slurm/test_commands_of_pages.py gives those that need a cluster to a real SLURM.
"""

import re
from pathlib import Path

import pytest

from pages import PAGES, README, REPOSITORY, Reader, steps_of

NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]


def test_the_readme_is_short_shows_every_verb_and_links_to_every_page():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    verbs = {path.stem for path in (REPOSITORY / "src" / "parc").glob("[a-z]*.py")}
    table = re.findall(r"^\| `(\w+)` \| .+ \| `python -m parc\.\1 .+` \|$", text, re.MULTILINE)
    assert sorted(table) == sorted(verbs)
    links = re.findall(r"^- \[[^]]+\]\((docs/\w+\.md)\): ", text, re.MULTILINE)
    assert sorted(links) == [name for name in NAMES if name != "README.md"]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r'(?:\]\(|src=")(?!https?:)([^)"#]*)#?([^)"]*)[)"]', text)
    for name, anchor in links:
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_files_and_modules_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:src|tests|conf|docs|launch|benchmarks)/[\w./]+)`", text):
        assert (REPOSITORY / name).exists(), name
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert list((REPOSITORY / "tests").rglob(name)), name
    rooms = [path.parent.name for path in (REPOSITORY / "src" / "parc").glob("*/__init__.py")]
    for room, module in re.findall(rf"`(?:parc\.)?({'|'.join(rooms)})\.(\w+)", text):
        assert (REPOSITORY / "src" / "parc" / room / f"{module}.py").is_file(), f"{room}.{module}"


def test_what_a_reader_can_do_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "| a | `python -m parc.sweep data/width` |, not `python -m parc.…` nor `x`\n"
        "```bash\nexport A=1    # why\npython -m parc.train \\\n    seed=1\n```\n"
        "```yaml\n# mine/a.yaml\n# Mine\n```\n```\nno language\n```\n```python\nprint(1)\n```\n"
    )
    steps = [(step.kind, " ".join(step.text.split()), step.name) for step in steps_of(page)]
    assert steps == [
        ("command", "python -m parc.sweep data/width", ""),
        ("command", "export A=1", ""),
        ("command", "python -m parc.train seed=1", ""),
        ("file", "# mine/a.yaml # Mine", "mine/a.yaml"),
        ("python", "print(1)", ""),
    ]


def test_what_is_shown_of_ones_own_is_short():
    shown = [step.text for step in steps_of(REPOSITORY / "docs" / "architecture.md") if step.kind != "command"]
    linked = [(REPOSITORY / "tests" / name).read_text() for name in ("perceptron.py", "stages/counting.py")]
    assert all(len(text.splitlines()) < 40 for text in [*shown, *linked])


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader(tmp_path_factory.mktemp("checkout"))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_a_page_tells_to_do_works_as_pasted(reader, page):
    for step in steps_of(page):
        if not step.needs_slurm:
            reader.do(step)
