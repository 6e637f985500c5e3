"""PARC's checkpoints, for reading: their parameter names, one to one with ours."""

from torch import Tensor

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
_TABLES = ("_embed_t.sequence_pos_encoder.pe", "_in_pos_encoding.pe")


def parameters_from_parc(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of `MDMTransformer` from one of PARC's denoiser.

    Names that are unknown are kept as they are, so that the check of names and shapes reports them.
    """
    return {_our_name(name): tensor for name, tensor in state.items() if name not in _TABLES}


def _our_name(name: str) -> str:
    for prefix, ours in _PREFIXES.items():
        if name.startswith(prefix):
            rest = name[len(prefix) :]
            # PARC's MLPs have a dropout of zero between their first layer and its activation; ours have none.
            if prefix.endswith(".model.") and rest.startswith("3."):
                rest = "2." + rest[2:]
            return ours + rest
    return name
