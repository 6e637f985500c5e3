"""Rooms import only rooms below them, and the picture of that is up to date."""

import re
from collections import Counter

import pytest

from docs.draw_architecture import (
    PACKAGE,
    PICTURE,
    REPOSITORY,
    drawn,
    imported_modules,
    imports_of_rooms,
    rooms,
    storeys,
)


def test_no_room_imports_a_verb_and_none_imports_another_in_a_circle():
    graph = imports_of_rooms()
    assert set().union(*graph.values()) <= set(rooms())
    assert set(storeys(graph)) == set(rooms())
    assert not graph["configuration"]


def test_nothing_of_the_package_imports_a_plugin_of_hydras():
    for path in PACKAGE.rglob("*.py"):
        assert not any(name.startswith("hydra_plugins") for name in imported_modules(path)), path


def test_a_circle_of_imports_is_seen():
    with pytest.raises(ValueError, match=r"circle: \['anim', 'terrain'\]"):
        storeys({"anim": {"terrain"}, "terrain": {"anim"}, "configuration": set()})


def test_the_picture_is_what_the_script_draws():
    assert PICTURE.read_text(encoding="utf-8") == drawn(), "run: python docs/draw_architecture.py"


def test_the_list_of_rooms_goes_from_those_that_import_to_those_that_are_imported():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = re.findall(r"^  (\w+)/ ", page, re.MULTILINE)
    assert sorted(listed) == rooms()
    for room, imported in imports_of_rooms().items():
        assert all(listed.index(room) < listed.index(other) for other in imported), room


def test_no_two_files_of_tests_share_a_name():
    """pytest imports them by name, and would take one for the other."""
    names = Counter(path.name for path in (REPOSITORY / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []
