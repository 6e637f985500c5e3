"""The command line of `python -m parc.evaluate`."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from parc.configuration.errors import UserError
from parc.evaluation.arguments import as_overrides


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second", "deep/third"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "first/final_model.ckpt").touch()
    return tmp_path


def test_a_path_is_what_is_evaluated_and_a_preset_is_an_option(here):
    assert as_overrides(["first"]) == ["of=first"]
    assert as_overrides(["--preset", "paper", "first", "seed=1"]) == ["preset=paper", "seed=1", "of=first"]
    assert as_overrides(["first", "--preset=quick"]) == ["preset=quick", "of=first"]


def test_a_file_has_its_results_beside_it(here):
    assert as_overrides(["first/final_model.ckpt"]) == [
        "of=first/final_model.ckpt",
        "output_dir=first/evaluation/${preset.name}_final_model",
    ]
    assert as_overrides(["of=first/final_model.ckpt"])[1] == "output_dir=first/evaluation/${preset.name}_final_model"
    assert as_overrides(["first/final_model.ckpt", "output_dir=x"]) == ["output_dir=x", "of=first/final_model.ckpt"]


def test_several_paths_are_a_sweep_whose_results_lie_together(here):
    output = f"output_dir={here}/evaluation/${{preset.name}}"
    assert as_overrides(["first", "deep/third"]) == ["of=first,deep/third", "-m", output]
    assert as_overrides(["-m", "of=first,second"]) == ["-m", "of=first,second", output]
    assert as_overrides(["first", "-m", "seed=0,1"]) == ["-m", "seed=0,1", "of=first"]


def test_flags_and_their_values_are_no_paths(here):
    assert as_overrides(["--cfg", "job", "first"]) == ["--cfg", "job", "of=first"]
    assert as_overrides(["--config", "a.yaml", "seed=1"]) == ["--config", "a.yaml", "seed=1"]
    assert as_overrides(["--help"]) == ["--help"]
    assert as_overrides(["~terrains.flat", "+terrain@terrains.own=file", "first"])[-1] == "of=first"


def test_names_with_letters_that_hydra_reads_are_quoted(here):
    assert as_overrides(["a,b"]) == ["of='a,b'"]
    assert as_overrides(["it's (mine)"]) == [r"of='it\'s (mine)'"]


@pytest.mark.parametrize("name", ["7", "1e3", "true", "null", "dé", "x~", "a b", "-m", "lr=0.1-abcd", "~home"])
def test_every_folder_that_is_there_is_a_path_and_hydra_reads_it_as_it_is(here, name):
    (here / name).mkdir()
    (override,) = as_overrides([name])
    parsed = OverridesParser.create().parse_override(override)
    assert (parsed.key_or_group, str(parsed.value())) == ("of", name)
    assert isinstance(parsed.value(), str | QuotedString)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset"], "--preset: expected a name"),
        (["first", "of=second"], "not both"),
        (["--config", "a.yaml", "first"], "expected no PATH beside it"),
    ],
)
def test_contradictions_are_one_line(here, arguments, said):
    with pytest.raises(UserError, match=said):
        as_overrides(arguments)
