"""Studios in this process, and somebody who uses them."""

from contextlib import ExitStack
from unittest import mock

import pytest

from synthetic_clips import level_clip, random_clip

CELLS = (16, 16)


@pytest.fixture
def clips(tmp_path, humanoid):
    """Clips on level ground: `still` without, `walk` with a version before refinement."""
    from parc.anim.clip_files import write_clip

    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "still.safetensors", level_clip(humanoid, 0, name="still", cells=CELLS))
    before = random_clip(humanoid, 5, cells=CELLS).frames
    write_clip(folder / "walk.safetensors", level_clip(humanoid, 1, name="walk", cells=CELLS, unrefined=before))
    return folder


@pytest.fixture(scope="session")
def pieces():
    """Composed once for all studios."""
    from parc.studio.motion_requests import default_pieces

    made = default_pieces()
    with mock.patch("parc.studio.viewing.default_pieces", return_value=made):
        yield


@pytest.fixture
def open_studio(humanoid, pieces):
    """Open a studio on a folder, and let a person in."""
    from person import Person

    from parc.studio.address import THIS_MACHINE
    from parc.studio.motion_list import motions_in
    from parc.studio.server import running_server
    from parc.studio.viewing import studio_with_panels

    with ExitStack() as stack:

        def opened(folder, model=None) -> Person:
            server = stack.enter_context(running_server(THIS_MACHINE, 0, "test"))
            return Person(studio_with_panels(server, humanoid, motions_in([folder]), model, folder / "studio"))

        yield opened


@pytest.fixture
def person(open_studio, clips):
    return open_studio(clips)


@pytest.fixture
def with_model(open_studio, clips, humanoid):
    """A person whose studio has a model that walks straight."""
    from parc.configuration.trusted import trust
    from walker import walker

    trust(["walker"])
    person = open_studio(clips, walker(humanoid))
    person.set("candidates", 2)
    return person
