"""A piece is given the live objects that its constructor names, and no others."""

import pytest

from parc.configuration.pieces import Recipe


class Naming:
    def __init__(self, width: int, *, frames: int, features: int = 7) -> None:
        self.given = (width, frames, features)


class TakingAll:
    def __init__(self, width: int, *, frames: int, **others: int) -> None:
        self.given = (width, frames, others)


def test_what_a_constructor_does_not_name_is_not_given():
    recipe = Recipe(Naming, {"width": 3})
    assert recipe.make(frames=5, bodies=9).given == (3, 5, 7)
    assert recipe.make(frames=5, features=1, bodies=9).given == (3, 5, 1)


def test_a_constructor_that_takes_anything_is_given_all():
    assert Recipe(TakingAll, {"width": 3}).make(frames=5, bodies=9).given == (3, 5, {"bodies": 9})


def test_what_a_constructor_needs_and_nobody_has_is_an_error():
    with pytest.raises(TypeError, match="frames"):
        Recipe(Naming, {"width": 3}).make(bodies=9)
