"""What PARC calls its settings, and what they are called here.

A name counts wherever in a config it stands. The first names of each table are PARC's own; below them are names for what its
settings are known to be while their names are not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Reading: TypeAlias = Callable[[Any], Any]

DIFFUSION_TIMESTEPS = 21  # of PARC's models, which the configs of its generator do not repeat
_LARGEST = 2**53  # whole numbers beyond are no counts


@dataclass(frozen=True)
class Counterpart:
    """What a setting of PARC's is here.

    Attributes:
        key: dotted; of a group of options, with a slash in front.
        read: makes our value of PARC's, or our option; a ValueError says what was expected.
    """

    key: str
    read: Reading


@dataclass(frozen=True)
class Choice:
    """A setting that is recognised by its value, whatever exactly it is called.

    Attributes:
        part: of its name, in small letters.
        key: as a `Counterpart` has it.
        words: PARC's, in capitals, and ours.
    """

    part: str
    key: str
    words: dict[str, str]

    def knows(self, value: Any) -> bool:
        """Say whether a value is one of the words."""
        return isinstance(value, str) and value.upper() in self.words

    def read(self, word: str) -> str:
        """Return what a word is here."""
        return self.words[word.upper()]


@dataclass(frozen=True)
class Names:
    """The settings of one kind of PARC's configs.

    Attributes:
        counterparts: by PARC's name, with the name of what it lies in where that matters.
        choices: those that are known by their values.
        without: names that have no counterpart, and why.
    """

    counterparts: dict[str, Counterpart]
    choices: tuple[Choice, ...]
    without: dict[str, str]


def whole_number(value: Any) -> int:
    """Return a whole number, Python's or numpy's."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or abs(int(value)) > _LARGEST:
        raise ValueError("a whole number")
    return int(value)


def number(value: Any) -> float:
    """Return a finite number, Python's or numpy's; YAML takes 1e-5, without a point, for text."""
    try:
        read = float(value) if isinstance(value, (int, float, str, np.number)) else math.nan
    except (ValueError, OverflowError):
        read = math.nan
    if isinstance(value, bool) or not abs(read) <= _LARGEST:
        raise ValueError("a number")
    return read


def text(value: Any) -> str:
    """Return text that stands for itself; in a config of ours ${...} and ??? do not."""
    if not isinstance(value, str) or not value.strip() or "${" in value or value.strip() == "???":
        raise ValueError("text that is not empty, without ${...}")
    return value


def text_or_nothing(value: Any) -> str | None:
    """Return text, or nothing for null or empty text."""
    return None if value in (None, "") else text(value)


def folder_of_file(value: Any) -> str:
    """Return the folder that a file lies in."""
    return str(Path(text(value)).parent)


def on_or_off(options: tuple[str, str]) -> Reading:
    """Return a reading of true and false as two options."""

    def read(value: Any) -> str:
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return options[0] if value else options[1]

    return read


def true_or_false(value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def one_of(*words: str) -> Reading:
    """Return a reading of words that are the same here."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(" or ".join(words))
        return value

    return read


def how_many(value: Any) -> int:
    """Return the length of a list of whole numbers."""
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise ValueError("a list of whole numbers")
    return len(value)


def steps_of_stride(value: Any) -> int:
    """Return how many timesteps are visited if every so many-th is, the first and the last included."""
    if whole_number(value) < 1:
        raise ValueError("a whole number above 0")
    return max(2, -(-DIFFUSION_TIMESTEPS // value))


def _named(place: str, read: Reading, *same: str, **renamed: str) -> dict[str, Counterpart]:
    """Return counterparts in one place of our config: of the same names, or `theirs=ours`."""
    names = {**{name: name for name in same}, **renamed}
    return {theirs: Counterpart(f"{place}{ours}", read) for theirs, ours in names.items()}


_OF_ANY_RUN = {**_named("", text, "device", "output_dir", "data_dir"), **_named("", whole_number, "seed")}

TRAINING = Names(
    counterparts={
        **_OF_ANY_RUN,
        **_named("dataset.", text, "motion_lib_file"),
        **_named("dataset.", whole_number, "min_num_frames", "max_terrain_dim_x", "max_terrain_dim_y"),
        **_named("character.", text, "char_file"),
        **_named("iteration.", text_or_nothing, "input_model_path", "sampler_stats_filepath"),
        **_named("sampler.", folder_of_file, sampler_save_filepath="sampler_save_folder"),
        **_named("sampler.", one_of("RELATIVE_TO_ROOT", "RELATIVE_TO_ROOT_FLOOR"), "relative_z_style"),
        **_named("sampler.", whole_number, gen_seq_len="num_frames", num_prev_states="num_previous_states"),
        **_named("trainer.", whole_number, "batch_size", "epochs", "iters_per_epoch", "epochs_per_checkpoint"),
        **_named("model.", whole_number, "diffusion_timesteps"),
        **_named("model.denoiser.", whole_number, "d_model", "num_heads", "d_hid", "num_layers"),
        **_named("/", on_or_off(("wandb", "off")), use_wandb="logger"),
        **_named(
            "loss.weights.",
            number,
            _w_simple_root_pos="root_position",
            _w_simple_root_rot="root_rotation",
            _w_simple_joint_rot="joint_rotation",
            _w_simple_contacts="contacts",
            _w_simple_body_pos="joint_position",
            _w_body_pos_consistency="kinematic_consistency",
            _w_vel_root_pos="root_velocity",
            _w_vel_root_rot="root_angular_velocity",
            _w_vel_joint_rot="joint_angular_velocity",
            _w_body_pos="body_position",
            _w_body_rot="body_rotation",
            _w_body_vel="body_velocity",
        ),
        # Named by what they are, from here on.
        **_named("trainer.", number, lr="learning_rate", learning_rate="learning_rate"),
        **_named("trainer.", number, "weight_decay", "max_grad_norm", "ema_decay"),
        **_named("trainer.", whole_number, "ema_start_step"),
        **_named("model.denoiser.", number, "dropout"),
        **_named("model.denoiser.", whole_number, "mlp_width", "target_mlp_width"),
        **_named("sampler.", number, "fps"),
        **{
            f"heightmap.{name}": Counterpart(f"sampler.heightmap.{name}", number)
            for name in ("min_x", "max_x", "min_y", "max_y", "spacing")
        },
    },
    choices=(
        Choice(
            "augment",
            "/sampler/augmentation",
            {"MAXPOOL_AND_BOXES": "maxpool_and_boxes", "NOISE": "noise", "NONE": "none"},
        ),
        Choice("loss", "/loss", {"SQUARED_L2": "squared_l2", "PSEUDO_HUBER": "pseudo_huber"}),
        Choice("rot", "model.rotation_type", {"DEFAULT": "DEFAULT", "ROT_6D": "ROT_6D"}),
    ),
    without={
        "_w_hf": "this term is off in PARC as published; loss.weights.terrain_collision turns it on",
        "_w_target": "this term is off in PARC as published; loss.weights.target turns it on",
        "angle_noise_scale": "PARC as published never uses it; sampler.angle_noise_scale does",
        "pos_noise_scale": "PARC as published never uses it; sampler.pos_noise_scale does",
        "in_dim": "follows from the character",
        "out_dim": "follows from the character",
        "target_dim": "a target is always x and y",
    },
)

GENERATION = Names(
    counterparts={
        **_OF_ANY_RUN,
        **_named("path.", true_or_false, "simplify"),
        # Named by what they are, from here on.
        **_named("", text, "model_path", input_model_path="model_path"),
        **_named("", whole_number, "num_motions"),
        **_named("rollout.", whole_number, "candidates", "new_frames", "nodes_ahead", batch_size="candidates"),
        **_named("rollout.", number, "guidance_scale", "finish_distance", "max_seconds"),
        **_named("rollout.", how_many, ddim_timesteps="denoising_steps"),
        **_named("rollout.", steps_of_stride, ddim_stride="denoising_steps"),
        **_named("selection.", whole_number, "keep"),
        **_named("selection.", number, "max_contact", "max_penetration", "max_loss"),
        **_named("path.moves.", number, "max_climb", "max_jump", "max_jump_down", "max_jump_up"),
        **_named("path.", number, "min_distance", "max_cost"),
        **_named("terrain.", whole_number, "cells_x", "cells_y"),
        **_named("terrain.", number, "cell_size", dx="cell_size"),
        **_named("terrain.", text, "terrain_file"),
    },
    choices=(
        Choice("terrain", "/terrain", {"BOXES": "boxes", "PATHS": "paths", "STAIRS": "stairs", "FILE": "file"}),
        Choice("heading", "rollout.blank_start.heading", {"AUTO": "along_the_path", "RANDOM": "any"}),
    ),
    without={},
)
