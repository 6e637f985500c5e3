"""Which clips are held out, and that what was trained on never is."""

import pytest

from parc.anim.heldout_clips import HeldoutSplit, motion_of, split_of_older_run

NAMES = [f"clip_{number}" for number in range(100)]
HELD_OUT = [20, 24, 28, 71, 75, 92, 96]  # as it has always been: later iterations hold out what earlier ones did


def held_out(split: HeldoutSplit, names: list[str]) -> list[str]:
    return [name for name, out in zip(names, split.of(names), strict=True) if out]


def test_a_twentieth_of_all_names_is_held_out():
    names = [f"motion {number}" for number in range(20_000)]
    assert sum(HeldoutSplit().of(names)) / 20_000 == pytest.approx(0.05, abs=0.005)
    assert held_out(HeldoutSplit(), NAMES) == [f"clip_{number}" for number in HELD_OUT]


def test_below_twenty_clips_none_is_held_out():
    assert held_out(HeldoutSplit(), NAMES[10:29]) == []
    assert held_out(HeldoutSplit(), NAMES[10:30]) == ["clip_20", "clip_24", "clip_28"]


@pytest.mark.parametrize(
    "name",
    [
        "run",
        "run_mirrored",
        "run_flipped",
        "run_opt",
        "run_mirrored_mirrored",
        "run_opt_flipped",
        "run_flipped_opt_mirrored",
        "run_physical",
        "run_physical_mirrored",
        "run_assisted",
        "run_failed",
    ],
)
def test_all_variants_of_a_motion_are_held_out_with_it(name):
    assert motion_of(name) == "run"
    variant = name.replace("run", "clip_20", 1)
    assert variant in held_out(HeldoutSplit(), [*NAMES, variant])
    assert name.replace("run", "clip_21", 1) not in held_out(HeldoutSplit(), [*NAMES, variant])


def test_a_name_that_only_looks_like_a_variant_is_a_motion_of_its_own():
    assert motion_of("run_opt_2") == "run_opt_2" and motion_of("optical_optics") == "optical_optics"


def test_what_an_earlier_iteration_trained_on_is_never_held_out():
    few = NAMES[10:29]  # too few to hold any out, so that clip_20 is trained on
    first = HeldoutSplit().after_training_on(few, HeldoutSplit().of(few))
    assert first.heldout == frozenset() and first.trained == frozenset(few)
    later = HeldoutSplit(trained=first.trained)
    names = [*NAMES, "clip_20_mirrored"]
    assert held_out(later, names) == ["clip_71", "clip_75", "clip_92", "clip_96"]
    # Nor does it come back when another iteration trains on other clips between.
    between = later.after_training_on(NAMES[50:], later.of(NAMES[50:]))
    assert "clip_20" not in held_out(HeldoutSplit(trained=between.trained), NAMES)
    assert "clip_71" in held_out(HeldoutSplit(trained=between.trained), NAMES)


def test_a_run_that_resumes_holds_out_what_it_held_out_first():
    own = HeldoutSplit(frozenset(["clip_3"]), frozenset(NAMES) - {"clip_3"})
    assert held_out(own, NAMES) == ["clip_3"]


def test_what_a_run_of_an_older_version_held_out_goes_by_the_whole_name():
    """It took PARC's variants for motions of their own: what it trained on is known to have been trained on."""
    names = [*NAMES, "clip_20_mirrored", "clip_20_opt", "clip_3_opt", "clip_7_flipped"]
    split = split_of_older_run(names)
    assert split.heldout is not None and {"clip_20", "clip_20_mirrored"} < split.heldout
    assert "clip_20_opt" in split.trained and split.heldout | split.trained == frozenset(names)
    assert split.of(names) == [name in split.heldout for name in names]
    assert "clip_20" not in held_out(HeldoutSplit(trained=split.trained), names)
    assert split_of_older_run(NAMES[10:29]).heldout == frozenset()
