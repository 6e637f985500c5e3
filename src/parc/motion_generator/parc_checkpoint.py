"""PARC's checkpoints, for reading: their parameter names, one to one with ours."""

from torch import Tensor

from parc.configuration.schema import Settings

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
_TABLES = (_TIME_CODE, "_in_pos_encoding.pe")


def parameters_from_parc(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of `MDMTransformer` from one of PARC's denoiser.

    Names that are unknown are kept as they are, so that the check of names and shapes reports them.
    """
    return {_our_name(name): tensor for name, tensor in state.items() if name not in _TABLES}


def diffusion_timesteps_of(state: dict[str, Tensor]) -> int:
    """Return the number of diffusion steps of PARC's denoiser: it has a time code for each."""
    return state[_TIME_CODE].shape[-2]


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
