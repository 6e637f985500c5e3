"""The commands of README.md and docs/ that need a cluster, as pasted."""

import pytest

from pages import PAGES, Reader, steps_of


@pytest.fixture(scope="module")
def reader(slurm_cluster, tmp_path_factory):
    return Reader(
        tmp_path_factory.mktemp("checkout"),
        replaced={"partition=gpu": "partition=main", "partition: gpu": "partition: main"},
    )


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(step.needs_slurm for step in steps_of(page))], ids=lambda page: page.name
)
def test_what_a_page_gives_to_slurm_works_as_pasted(reader, page):
    for step in steps_of(page):
        if step.needs_slurm or step.kind == "file":
            reader.do(step)
