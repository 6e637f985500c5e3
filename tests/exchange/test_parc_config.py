"""PARC's configs become experiments that compose to the same run; what says nothing here is told, key by key."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from parc_configs import KIN_GEN, MDM_CONFIG

from parc.configuration.composed import composed_config
from parc.configuration.composing import conf_folder, run_config
from parc.configuration.errors import UserError
from parc.configuration.hydra_help import options_of
from parc.configuration.saved_config import flat
from parc.exchange.parc_config import (
    Experiment,
    generation_experiment,
    is_parc_generation_config,
    is_parc_training_config,
    settings_from_parc,
    training_config_in_parc_names,
    training_experiment,
)
from parc.exchange.parc_names import GENERATION, TRAINING
from parc.stages.stage import read_run


def composed(experiment: Experiment, folder: Path, stage: str) -> dict:
    """Return the resolved config of a run of an experiment, in one level; it is in form."""
    (folder / "experiment").mkdir()
    (folder / "experiment" / "theirs.yaml").write_text(experiment.text)
    assert options_of([folder]) == ["experiment/theirs"]
    plus = "" if stage == "train" else "+"
    config = run_config(composed_config(stage, [f"{plus}experiment=theirs"], [conf_folder(), folder])[0])
    read_run(config)
    return flat(config)


def of_paper(stage: str, *overrides: str) -> dict:
    return flat(run_config(composed_config(stage, list(overrides), [conf_folder()])[0]))


def written(folder: Path, text: str) -> Path:
    path = folder / "theirs.yaml"
    path.write_text(text)
    return path


def test_the_default_training_is_the_papers_with_their_files(tmp_path):
    experiment = training_experiment(written(tmp_path, MDM_CONFIG))
    theirs = composed(experiment, tmp_path, "train")
    papers = of_paper("train", "experiment=paper", "dataset.motion_lib_file=x")
    assert {key: value for key, value in theirs.items() if papers.get(key) != value} == {
        "device": "cuda:0",
        "data_dir": "$DATA_DIR",
        "output_dir": "$DATA_DIR/iter_1/p1_train_gen",
        "dataset.motion_lib_file": "$DATA_DIR/iter_1/motions.yaml",
        "sampler.sampler_save_folder": "$DATA_DIR/iter_1",
    }
    assert theirs.keys() == papers.keys()


def test_each_key_without_a_counterpart_is_told_with_the_reason(tmp_path):
    experiment = training_experiment(written(tmp_path, MDM_CONFIG + "warm_restarts: {every: 10}\n"))
    assert experiment.without_counterpart == [
        "features.angle_noise_scale: has no counterpart (PARC as published never uses it; sampler.angle_noise_scale does)",
        "features.pos_noise_scale: has no counterpart (PARC as published never uses it; sampler.pos_noise_scale does)",
        "model.in_dim: has no counterpart (follows from the character)",
        "model.out_dim: has no counterpart (follows from the character)",
        "model.target_dim: has no counterpart (a target is always x and y)",
        "loss._w_hf: has no counterpart (this term is off in PARC as published; loss.weights.terrain_collision turns it on)",
        "loss._w_target: has no counterpart (this term is off in PARC as published; loss.weights.target turns it on)",
        "warm_restarts.every: has no counterpart (nothing here is known by this name)",
    ]


# Another value of each setting, and what it is here.
OTHERS = {
    "device": ("cpu", "device", "cpu"),
    "seed": (7, "seed", 7),
    "min_num_frames": (20, "dataset.min_num_frames", 20),
    "max_terrain_dim_x": (300, "dataset.max_terrain_dim_x", 300),
    "max_terrain_dim_y": (400, "dataset.max_terrain_dim_y", 400),
    "char_file": ("mine.xml", "character.char_file", "mine.xml"),
    "input_model_path": ("theirs.ckpt", "iteration.input_model_path", "theirs.ckpt"),
    "sampler_stats_filepath": ("stats.txt", "iteration.sampler_stats_filepath", "stats.txt"),
    "use_wandb": (False, "logger.use_wandb", False),
    "relative_z_style": ("RELATIVE_TO_ROOT_FLOOR", "sampler.relative_z_style", "RELATIVE_TO_ROOT_FLOOR"),
    "gen_seq_len": (20, "sampler.num_frames", 20),
    "num_prev_states": (3, "sampler.num_previous_states", 3),
    "fps": (60, "sampler.fps", 60),
    "batch_size": (8, "trainer.batch_size", 8),
    "epochs": (10, "trainer.epochs", 10),
    "iters_per_epoch": (11, "trainer.iters_per_epoch", 11),
    "epochs_per_checkpoint": (12, "trainer.epochs_per_checkpoint", 12),
    "lr": ("3e-4", "trainer.learning_rate", 3e-4),
    "learning_rate": (2e-4, "trainer.learning_rate", 2e-4),
    "weight_decay": (0, "trainer.weight_decay", 0),
    "max_grad_norm": (2.0, "trainer.max_grad_norm", 2.0),
    "ema_decay": (0.9, "trainer.ema_decay", 0.9),
    "ema_start_step": (5, "trainer.ema_start_step", 5),
    "diffusion_timesteps": (9, "model.diffusion_timesteps", 9),
    "d_model": (64, "model.denoiser.d_model", 64),
    "num_heads": (4, "model.denoiser.num_heads", 4),
    "d_hid": (128, "model.denoiser.d_hid", 128),
    "num_layers": (2, "model.denoiser.num_layers", 2),
    "dropout": (0.2, "model.denoiser.dropout", 0.2),
    "mlp_width": (32, "model.denoiser.mlp_width", 32),
    "target_mlp_width": (48, "model.denoiser.target_mlp_width", 48),
    "_w_simple_root_pos": (2.0, "loss.weights.root_position", 2.0),
    "_w_simple_root_rot": (3.0, "loss.weights.root_rotation", 3.0),
    "_w_simple_joint_rot": (4.0, "loss.weights.joint_rotation", 4.0),
    "_w_simple_contacts": (5.0, "loss.weights.contacts", 5.0),
    "_w_simple_body_pos": (6.0, "loss.weights.joint_position", 6.0),
    "_w_body_pos_consistency": (7.0, "loss.weights.kinematic_consistency", 7.0),
    "_w_vel_root_pos": (8.0, "loss.weights.root_velocity", 8.0),
    "_w_vel_root_rot": (9.0, "loss.weights.root_angular_velocity", 9.0),
    "_w_vel_joint_rot": (10.0, "loss.weights.joint_angular_velocity", 10.0),
    "_w_body_pos": (11.0, "loss.weights.body_position", 11.0),
    "_w_body_rot": (12.0, "loss.weights.body_rotation", 12.0),
    "_w_body_vel": (13.0, "loss.weights.body_velocity", 13.0),
    "hf_augmentation": ("NOISE", "sampler.augmentation._target_", "parc.motion_generator.heightmap_augmentation.HeightNoise"),
    "AUGMENT": ("none", "sampler.augmentation._target_", "parc.motion_generator.heightmap_augmentation.NoAugmentation"),
    "loss_type": ("PSEUDO_HUBER", "loss.distance", "pseudo_huber"),
    "rot_type": ("ROT_6D", "model.rotation_type", "ROT_6D"),
}  # fmt: skip


def one_at_a_time() -> list[list[str]]:
    """Return all names in few groups, those that are the same setting apart."""
    first: list[str] = [name for name in OTHERS if name not in ("learning_rate", "AUGMENT")]
    return [first, ["learning_rate", "AUGMENT"]]


@pytest.mark.parametrize("names", one_at_a_time(), ids=["first", "other names"])
def test_every_value_is_the_one_that_the_run_has(names, tmp_path):
    theirs = {name: OTHERS[name][0] for name in names}
    theirs["sampler_save_filepath"] = "caches/sampler.pkl"
    theirs["grids"] = {"heightmap": {"min_x": -1.0, "max_x": 2.2, "min_y": -1.6, "max_y": 1.6, "spacing": 0.1}}
    theirs["motion_lib_file"] = "motions.yaml"
    experiment = training_experiment(written(tmp_path, yaml.safe_dump({"nested": theirs})))
    found = composed(experiment, tmp_path, "train")
    assert experiment.without_counterpart == []
    expected = {OTHERS[name][1]: OTHERS[name][2] for name in names}
    expected["sampler.sampler_save_folder"] = "caches"
    expected |= {f"sampler.heightmap.{name}": value for name, value in theirs["grids"]["heightmap"].items()}
    assert {key: found[key] for key in expected} == expected


def test_the_tables_name_only_settings_that_there_are():
    trained = of_paper("train", "dataset=clips", "dataset.motion_lib_file=x")
    made = of_paper("generate", "terrain=file", "terrain.terrain_file=x.npy")
    for names, config in ((TRAINING, trained), (GENERATION, made)):
        keys = [each.key for each in (*names.counterparts.values(), *names.choices)]
        assert [key for key in keys if key not in config and not key.startswith("/")] == []
    assert set(TRAINING.counterparts) - set(OTHERS) == {
        "output_dir", "data_dir", "motion_lib_file", "sampler_save_filepath",
        *(f"heightmap.{name}" for name in ("min_x", "max_x", "min_y", "max_y", "spacing")),
    }  # fmt: skip


def test_motions_are_made_as_theirs(tmp_path):
    experiment = generation_experiment(written(tmp_path, KIN_GEN))
    found = composed(experiment, tmp_path, "generate")
    assert experiment.without_counterpart == [
        "astar_time_limit: has no counterpart (nothing here is known by this name)"
    ]
    papers = of_paper("generate", "terrain=paths", "rollout=paper", "selection=paper")
    assert {key: value for key, value in found.items() if papers.get(key) != value} == {
        "device": "cuda:0",
        "output_dir": "$DATA_DIR/iter_1/p2_kin_gen",
        "model_path": "$DATA_DIR/iter_1/p1_train_gen",
        "rollout.candidates": 64,
    }
    assert found["rollout.denoising_steps"] == 5


def test_parts_of_a_terrain_file_stay_whole_and_any_heading_is_any(tmp_path):
    text = "kin_gen: {terrain: FILE, terrain_file: ground.npy, heading: RANDOM, ddim_timesteps: [20, 10, 0]}"
    found = composed(generation_experiment(written(tmp_path, text)), tmp_path, "generate")
    assert found["tidying.margin"] is None
    assert found["terrain.terrain_file"] == "ground.npy"
    assert found["rollout.blank_start.heading"] == "any"
    assert found["rollout.denoising_steps"] == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("batch_size: many", r"trainer\.batch_size is 'many', expected a whole number"),
        ("batch_size: true", r"trainer\.batch_size is True, expected a whole number"),
        ("epochs: 1.5", r"trainer\.epochs is 1\.5, expected a whole number"),
        ("lr: .nan", r"trainer\.lr is nan, expected a number"),
        ("lr: [1]", r"trainer\.lr is \[1\], expected a number"),
        ("use_wandb: 1", r"trainer\.use_wandb is 1, expected true or false"),
        ("output_dir: '${oc.env:HOME}'", r"trainer\.output_dir is .*, expected text that is not empty, without"),
        ("output_dir: '???'", r"trainer\.output_dir is '\?\?\?', expected text"),
        ("char_file: 3", r"trainer\.char_file is 3, expected text"),
        ("relative_z_style: RELATIVE_TO_SEA", r"is 'RELATIVE_TO_SEA', expected RELATIVE_TO_ROOT or RELATIVE_TO_ROOT_FLOOR"),
        ("relative_z_style: {}", r"is \{\}, expected RELATIVE_TO_ROOT or"),
        ("lr: 0.1\n  learning_rate: 0.2", r"learning_rate and trainer\.lr contradict each other"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_one_line_that_names_its_key(content, expected, tmp_path):
    path = written(tmp_path, f"iters_per_epoch: 50\ntrainer:\n  {content}\n")
    with pytest.raises(UserError, match=expected) as caught:
        training_experiment(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_of_very_many_keys_is_refused(tmp_path):
    path = written(tmp_path, "iters_per_epoch: 50\n" + "".join(f"key{number}: 1\n" for number in range(3000)))
    with pytest.raises(UserError, match="has 3001 keys, expected at most 2000; is it a config"):
        training_experiment(path)


def test_each_kind_is_told_from_the_other_from_ours_and_from_anything_else(tmp_path):
    training, generation = yaml.safe_load(MDM_CONFIG), yaml.safe_load(KIN_GEN)
    ours = run_config(composed_config("train", ["dataset=clips", "dataset.motion_lib_file=x"], [conf_folder()])[0])
    others = [
        None,
        [],
        "text",
        3,
        {},
        {"motions": [{"file": "x.pkl", "weight": 1.0}]},
        {"device": "cpu", "seed": 1},
        ours,
    ]
    assert [is_parc_training_config(each) for each in (training, generation, *others)] == [True, False] + 8 * [False]
    assert [is_parc_generation_config(each) for each in (training, generation, *others)] == [False, True] + 8 * [False]
    path = written(tmp_path, KIN_GEN)
    with pytest.raises(
        UserError, match=r"theirs\.yaml: no training config of PARC's; expected a mapping with iters_per"
    ):
        training_experiment(path)
    with pytest.raises(UserError, match=r"theirs\.yaml: no config of PARC's for generating; expected"):
        generation_experiment(written(tmp_path, MDM_CONFIG))


def test_our_configs_in_their_names_say_the_same():
    config = run_config(
        composed_config("train", ["model=mdm_small", "sampler=heightfield_contact_floor"], [conf_folder()])[0]
    )
    found = settings_from_parc(training_config_in_parc_names(config), "ours", TRAINING)
    values = flat(config)
    assert found.without_counterpart == []
    assert {key: values[key] for key in found.values} == found.values
    assert {"model.denoiser.num_heads", "sampler.relative_z_style", "sampler.heightmap.spacing"} <= set(found.values)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
NAMES_OF_KEYS = st.sampled_from([*TRAINING.counterparts, *TRAINING.without, "loss_fn", "augment"]) | st.text(max_size=8)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(NAMES_OF_KEYS, PLAIN | st.dictionaries(NAMES_OF_KEYS, PLAIN, max_size=4), max_size=8))
def test_whatever_a_config_holds_each_key_is_used_or_told_or_refused_in_one_line(content):
    try:
        found = settings_from_parc(content, "theirs.yaml", TRAINING)
    except UserError as error:
        assert "\n" not in str(error)
        return
    leaves = sum(len(value) if isinstance(value, dict) and value else 1 for value in content.values())
    assert len(found.options) + len(found.values) + len(found.without_counterpart) <= leaves
    assert all(": has no counterpart (" in line and "\n" not in line for line in found.without_counterpart)
    yaml.safe_dump(found.values)
