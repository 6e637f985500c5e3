"""Every option composes, is in form, says what it is for, and repeats nothing."""

import itertools
import re

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from parc.configuration.composing import run_config
from parc.configuration.hydra_help import conf_folder, options_for, options_of
from parc.configuration.saved_config import flat
from parc.stages.stage import read_run

STAGES = ("train", "generate", "correct", "evaluate")
OPTIONS = [(stage, option) for stage in STAGES for option in options_for(stage, [conf_folder()])]
# What these leave to the user.
NEEDED = {
    "dataset/clips": ["dataset.motion_lib_file=clips"],
    "dataset/grown": ["iteration=iter2"],
    **{f"dataset/of/{name}": ["iteration=iter2"] for name in ("iter2", "iter3", "next")},
    "iteration/next": ["iteration.name=iter7", "iteration.previous=iter6"],
    "experiment/paper": ["dataset.motion_lib_file=clips"],
    "terrain/file": ["terrain.terrain_file=heights.npy"],
    "path/waypoints": ["path.points=[[1,1],[5,3]]"],
    "corrector/command": ['corrector.command=[tracker,"{motions}","{results}"]'],
}
NEEDED_BY_STAGE = {"evaluate": ["of=run"]}
FILES = sorted(conf_folder().rglob("*.yaml"))


def composed(overrides: list[str], mode: RunMode = RunMode.RUN, stage: str = "train"):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        if mode is RunMode.RUN:
            return compose(stage, overrides, return_hydra_config=True)
        return GlobalHydra.instance().config_loader().load_configuration(stage, overrides, mode)


def as_override(option: str) -> str:
    option = option.replace("dataset/of/", "dataset/of\0")  # no group of its own: dataset=of/next
    group, _, name = option.rpartition("/")
    return f'{group}="{name}"'.replace("\0", "/")


def test_every_group_belongs_to_a_stage():
    composed_ones = {option for _, option in OPTIONS}
    assert set(options_of([conf_folder()])) == composed_ones


@pytest.mark.parametrize(
    ("stage", "option"), [(stage, option) for stage, option in OPTIONS if not option.startswith("hydra/")]
)
def test_every_option_composes_and_is_in_form(stage, option):
    of_stage = NEEDED_BY_STAGE.get(stage, [])
    read_run(run_config(composed([as_override(option), *of_stage, *NEEDED.get(option, [])], stage=stage)))


def test_every_job_of_the_ablation_is_in_form():
    master = composed(["experiment=ablation"], RunMode.MULTIRUN)
    assert master.hydra.mode is RunMode.MULTIRUN, "the ablation is a sweep by itself"
    axes = [[f"{key}={value}" for value in values.split(",")] for key, values in master.hydra.sweeper.params.items()]
    jobs = list(itertools.product(*axes))
    assert len(jobs) == 6
    for job in jobs:
        read_run(run_config(composed(["experiment=ablation", *job])))


@pytest.mark.parametrize(
    "option",
    [option for stage, option in OPTIONS if stage == "train" and option.startswith("hydra/launcher/")],
)
def test_every_launcher_can_be_made_and_finds_its_settings_in_form(option):
    from hydra.utils import instantiate

    from parc.cluster.sweeping import launcher_settings

    config = composed([as_override(option)], RunMode.MULTIRUN)
    launcher = instantiate(config.hydra.launcher)
    if hasattr(launcher, "check_settings"):
        launcher.check_settings(launcher_settings(config))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(conf_folder())))
def test_every_file_begins_with_a_line_that_says_what_it_is_for(path):
    lines = path.read_text().splitlines()
    comment = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert re.fullmatch(r"# \S.{5,125}", comment)


def _extends_another(path) -> bool:
    defaults = (yaml.safe_load(path.read_text()) or {}).get("defaults", [])
    return any(isinstance(entry, str) and entry != "_self_" and "@" not in entry for entry in defaults)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(conf_folder())))
def test_every_number_is_explained_where_it_is_introduced(path):
    if _extends_another(path) or path.parent.name == "experiment":
        return  # the file that introduces the key explains it
    above: list[tuple[int, bool]] = []
    for line in path.read_text().splitlines():
        indent, explained = len(line) - len(line.lstrip()), "#" in line
        above = [(outer, said) for outer, said in above if outer < indent]
        if re.match(r"\s*\w+: -?\d", line):
            assert explained or any(said for _, said in above), f"{line!r} says no unit"
        above.append((indent, explained))


@pytest.mark.parametrize("path", [path for path in FILES if _extends_another(path)], ids=lambda path: path.stem)
def test_no_option_repeats_a_value_of_the_one_that_it_extends(path):
    own = yaml.safe_load(path.read_text())
    (base,) = [entry for entry in own["defaults"] if isinstance(entry, str) and entry != "_self_"]
    inherited = flat(yaml.safe_load((path.parent / f"{base}.yaml").read_text()))
    for key, value in flat(own).items():
        assert inherited.get(key, "???") != value, f"{key} has this value already in {base}.yaml"
