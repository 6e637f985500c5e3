"""PARC's checkpoints: read safely, and their parameter names, one to one with ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy._core import multiarray
from torch import Tensor

from parc.configuration.errors import UserError
from parc.configuration.schema import Settings
from parc.motion_generator.features import FeatureStatistics

FEATURES_MEAN, FEATURES_STD = "_mdm_features_mean", "_mdm_features_std"  # in a checkpoint's `extra`
# PARC's prefix: ours. Its two position codes are tables that ours computes.
_PREFIXES = {
    "_embed_t.time_embed.": "time_mlp.",
    "_obs_conv_net._net.": "heightmap_convolutions.",
    "_obs_embed.": "heightmap_embedding.",
    "_in_mlp_target.model.": "target_mlp.",
    "_embed_prev_state_noise_indicator.": "previous_indicator.",
    "_in_mlp_gen_seq.model.": "motion_mlp.",
    "_out_mlp.model.": "output_mlp.",
    "_transformer_encoder.": "",
}
_TIME_CODE = "_embed_t.sequence_pos_encoder.pe"
_POSITION_CODE = "_in_pos_encoding.pe"


@dataclass(frozen=True)
class ParcCheckpoint:
    """What is used of one of PARC's checkpoints.

    Attributes:
        model: weights of the denoiser, by our names.
        ema: its averaged weights, likewise.
        statistics: of the features.
        timesteps: diffusion steps.
        config: of its training, in PARC's names; empty where it is no mapping.
    """

    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    statistics: FeatureStatistics
    timesteps: int
    config: dict[Any, Any]


def read_parc_checkpoint(path: Path) -> ParcCheckpoint:
    """Read one of PARC's checkpoints, through torch's allow-list (`weights_only`), to which numpy's arrays are added.

    Raises:
        UserError: it is no checkpoint of PARC's, or holds anything but tensors, arrays and plain values.
    """
    try:
        with torch.serialization.safe_globals(_names_of_arrays()):
            content = torch.load(path, map_location="cpu", weights_only=True)
        extra, config = content["extra"], content.get("cfg")
        mean, std = (_real(torch.as_tensor(extra[name])).float() for name in (FEATURES_MEAN, FEATURES_STD))
        weights, averaged = (_denoiser_state(content[name]) for name in ("model", "ema_model"))
        return ParcCheckpoint(
            model=parameters_from_parc(weights),
            ema=parameters_from_parc(averaged),
            statistics=FeatureStatistics(mean, std),
            timesteps=averaged[_TIME_CODE].shape[-2],  # there is a time code for each
            config=config if isinstance(config, dict) else {},
        )
    except Exception as error:
        # torch's own errors for broken or forbidden content are of many kinds, their first line says which.
        reason = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())[:160]
        raise UserError(
            f"checkpoint {path}: not one of PARC's that can be read safely ({reason}); expected a dict with 'model', "
            "'ema_model' and 'extra' that holds tensors and plain values only"
        ) from error


def parameters_from_parc(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of `MDMTransformer` from one of PARC's denoiser.

    Names that are unknown are kept as they are, so that the check of names and shapes reports them.
    """
    return {_our_name(name): tensor for name, tensor in state.items() if name not in (_TIME_CODE, _POSITION_CODE)}


def parameters_to_parc(
    state: dict[str, Tensor],
    time_code: Float[Tensor, "timesteps width"],
    position_code: Float[Tensor, "tokens width"],
) -> dict[str, Tensor]:
    """Return a state dict of PARC's denoiser from one of `MDMTransformer`.

    Args:
        state: of ours.
        time_code, position_code: its tables, which PARC's checkpoints hold too.
    """
    weights = {_name_of_parc(name): tensor for name, tensor in state.items()}
    return {**weights, _TIME_CODE: time_code[None], _POSITION_CODE: position_code[None]}


def settings_of_parc_model(paper: Settings, weights: dict[str, Tensor], timesteps: int, heads: int) -> Settings:
    """Return the settings of an `MDM` that one of PARC's denoisers fits.

    Args:
        paper: settings of the paper's model, which hold for all that weights do not show.
        weights: of the denoiser, by our names.
        timesteps: diffusion steps.
        heads: attention heads.
    """
    sizes = {
        "d_model": weights["time_mlp.0.weight"].shape[0],
        "num_heads": heads,
        "d_hid": weights["layers.0.linear1.weight"].shape[0],
        "num_layers": len({name.split(".")[1] for name in weights if name.startswith("layers.")}),
        "mlp_width": weights["motion_mlp.0.weight"].shape[0],
        "target_mlp_width": weights["target_mlp.0.weight"].shape[0],
    }
    return {**paper, "diffusion_timesteps": timesteps, "denoiser": {**paper["denoiser"], **sizes}}


def _our_name(name: str) -> str:
    for prefix, ours in _PREFIXES.items():
        if name.startswith(prefix):
            rest = name[len(prefix) :]
            # PARC's MLPs have a dropout of zero between their first layer and its activation; ours have none.
            if prefix.endswith(".model.") and rest.startswith("3."):
                rest = "2." + rest[2:]
            return ours + rest
    return name


def _name_of_parc(name: str) -> str:
    """Undo `_our_name`."""
    prefix, ours = next((prefix, ours) for prefix, ours in _PREFIXES.items() if name.startswith(ours))
    rest = name[len(ours) :]
    if prefix.endswith(".model.") and rest.startswith("2."):
        rest = "3." + rest[2:]
    return prefix + rest


def _denoiser_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the denoiser's part of a state dict of PARC's, wherever it sits in it."""
    marker = "_embed_t.time_embed.0.weight"
    prefix = next(name.removesuffix(marker) for name in state if name.endswith(marker))
    return {name.removeprefix(prefix): _real(tensor) for name, tensor in state.items() if name.startswith(prefix)}


def _real(tensor: Tensor) -> Tensor:
    """Return a tensor that has all its numbers: a few can pose as many, and what is made of that size would hold them all."""
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.itemsize:
        raise ValueError(f"a tensor of shape {list(tensor.shape)} has fewer numbers than that")
    return tensor


def _names_of_arrays() -> list[Any]:
    """Return what numbers of numpy's name in a pickle, in either spelling: it makes arrays and numbers, and nothing else."""
    made_by = [multiarray._reconstruct, multiarray.scalar]
    spelled = [
        (each, f"{core}.multiarray.{each.__name__}") for each in made_by for core in ("numpy.core", "numpy._core")
    ]
    return [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in "fdeil?"), *spelled]
