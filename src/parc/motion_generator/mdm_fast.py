"""A denoiser that sees its terrain and costs several times less than the paper's: its only tokens are a motion's frames."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from parc.configuration.errors import UserError
from parc.motion_generator.attention import attention
from parc.motion_generator.denoiser import Conditions, Denoiser, with_clean_previous_states
from parc.motion_generator.dropout import Dropout
from parc.motion_generator.ground_below import GroundBelow
from parc.motion_generator.mdm_transformer import mlp, refuse_sizes, sinusoidal_code


class MDMFast(Denoiser):
    """A denoiser whose tokens are frames, with direct paths for the terrain.

    The terrain comes in twice, or with rough layers three times. An MLP of the whole heightmap gives a vector for each frame,
    which is added to its token; it is worked out once for all denoising steps. Each frame is given the height of the ground
    below its bodies, where the noisy motion has them (see `GroundBelow`). And after the rough layers, a rough prediction is
    made, and each frame is given the ground below the bodies there: what the motion is about to step on. The layers that
    follow add what the rough one lacks.

    Timestep, target and what is known of the previous states scale and shift the numbers of every layer, and gate what it adds
    (adaLN-zero: Peebles and Xie 2023). The feed-forward layers are gated (SwiGLU: Shazeer 2020).

    Args:
        d_model: width of a token.
        num_heads: attention heads; divides `d_model`.
        num_layers: layers of attention and feed-forward.
        rough_layers: after how many of them the rough prediction is made; 0 for none.
        d_hid: hidden width of the feed-forward layers.
        mlp_width: hidden width of the motion MLPs.
        heightmap_width: hidden width of the heightmap's MLP.
        dropout: share of numbers dropped of what each layer adds.
        num_features, num_frames, num_previous, heightmap_shape, diffusion_timesteps: see `Denoiser`.
    """

    time_code: Tensor

    @staticmethod
    def check_settings(*, num_layers: int, rough_layers: int = 0, **others: Any) -> None:
        """Check the settings before there is a character.

        Raises:
            UserError: a size is not positive, or sizes contradict each other; names the key.
        """
        refuse_sizes(num_layers=num_layers, **others)
        if not 0 <= rough_layers < num_layers:
            raise UserError(
                f"model.denoiser.rough_layers is {rough_layers}, expected 0 to num_layers - 1 = {num_layers - 1}"
            )

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_layers: int,
        d_hid: int,
        mlp_width: int,
        heightmap_width: int,
        dropout: float,
        rough_layers: int = 0,  # as older configs were, which have no such key
        *,
        num_features: int,
        num_frames: int,
        num_previous: int,
        heightmap_shape: tuple[int, int],
        diffusion_timesteps: int,
        ground_below: GroundBelow,
    ) -> None:
        super().__init__()
        self.num_previous = num_previous
        self.ground_below = ground_below
        self.time_mlp = mlp(d_model, d_model, d_model)
        self.target_mlp = mlp(2, d_model, d_model)
        self.previous_states = nn.Embedding(3, d_model)  # hidden, noisy, clean
        rows, columns = heightmap_shape
        self.heightmap_mlp = nn.Sequential(
            nn.Linear(rows * columns, heightmap_width), nn.SiLU(),
            nn.Linear(heightmap_width, heightmap_width), nn.SiLU(),
            nn.Linear(heightmap_width, num_frames * d_model), nn.Unflatten(1, (num_frames, d_model)),
        )  # fmt: skip
        self.motion_mlp = mlp(num_features + ground_below.num_points, mlp_width, d_model)
        self.position_code = nn.Parameter(torch.empty(num_frames, d_model))
        self.rough_layers = rough_layers
        if rough_layers:
            self.rough_mlp = mlp(d_model, mlp_width, num_features)
            self.second_look = mlp(num_features + ground_below.num_points, mlp_width, d_model)
        self.layers = nn.ModuleList(FrameLayer(d_model, num_heads, d_hid, dropout) for _ in range(num_layers))
        self.last_modulation = modulation(d_model, 2)
        self.output_mlp = mlp(d_model, mlp_width, num_features)
        for small in (self.previous_states.weight, self.position_code):
            nn.init.normal_(small, std=0.02)
        if rough_layers:  # what is added to the rough prediction is nothing at first
            for last in self.output_mlp[-1].parameters():
                nn.init.zeros_(last)
        self.register_buffer("time_code", sinusoidal_code(diffusion_timesteps, d_model), persistent=False)

    def embed_heightmap(self, heightmap: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch frames width"]:
        """Turn heightmaps (metres) into what is added to each frame's token."""
        return self.heightmap_mlp(heightmap.flatten(1))

    def denoise(
        self,
        noisy: Float[Tensor, "batch frames features"],
        timestep: Int[Tensor, " batch"],
        conditions: Conditions,
        heightmap_embedding: Float[Tensor, "batch frames width"],
    ) -> Float[Tensor, "batch frames features"]:
        """As `forward`, with what the heightmaps add to each frame's token."""
        motion = with_clean_previous_states(noisy, conditions)
        # Hidden previous states are at their mean.
        motion[:, : self.num_previous] *= conditions.previous_given[:, None, None]
        has_heightmap = conditions.heightmap_given[:, None, None]
        ground = self.ground_below(motion, conditions.heightmap) * has_heightmap
        tokens = self.motion_mlp(torch.cat([motion, ground], dim=-1)) + self.position_code
        tokens = tokens + heightmap_embedding * has_heightmap
        condition = self._condition(timestep, conditions)
        for layer in self.layers[: self.rough_layers]:
            tokens = layer(tokens, condition)
        rough = torch.zeros_like(noisy)
        if self.rough_layers:
            rough = self.rough_mlp(F.layer_norm(tokens, tokens.shape[-1:]))
            # Without a gradient: the rough prediction is learnt as a part of the whole one, not for what lies below it.
            expected = torch.cat([motion[:, : self.num_previous], rough[:, self.num_previous :].detach()], dim=1)
            ground = self.ground_below(expected, conditions.heightmap) * has_heightmap
            tokens = tokens + self.second_look(torch.cat([expected, ground], dim=-1))
        for layer in self.layers[self.rough_layers :]:
            tokens = layer(tokens, condition)
        scale, shift = self.last_modulation(condition)[:, None].chunk(2, dim=-1)
        return rough + self.output_mlp(modulated(tokens, scale, shift))

    def _condition(self, timestep: Int[Tensor, " batch"], conditions: Conditions) -> Float[Tensor, "batch width"]:
        target = self.target_mlp(conditions.target_direction) * conditions.target_given[:, None]
        known = torch.where(conditions.previous_given, 1 + conditions.previous_clean.long(), 0)
        return F.silu(self.time_mlp(self.time_code[timestep]) + target + self.previous_states(known))


class FrameLayer(nn.Module):
    """Attention from frame to frame, then a gated feed-forward layer; both are modulated by a condition (adaLN-zero)."""

    def __init__(self, d_model: int, num_heads: int, d_hid: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = Dropout(dropout)
        self.modulation = modulation(d_model, 6)
        self.query_key_value = nn.Linear(d_model, 3 * d_model)
        self.attended = nn.Linear(d_model, d_model)
        self.feed_forward_in = nn.Linear(d_model, 2 * d_hid)
        self.feed_forward_out = nn.Linear(d_hid, d_model)

    def forward(
        self, tokens: Float[Tensor, "batch frames width"], condition: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the tokens with what the layer adds to them."""
        changes = self.modulation(condition)[:, None].chunk(6, dim=-1)
        scale, shift, gate = changes[:3]
        tokens = tokens + gate * self.dropout(self._attend(modulated(tokens, scale, shift)))
        scale, shift, gate = changes[3:]
        hidden, opening = self.feed_forward_in(modulated(tokens, scale, shift)).chunk(2, dim=-1)
        return tokens + gate * self.dropout(self.feed_forward_out(hidden * F.silu(opening)))

    def _attend(self, tokens: Float[Tensor, "batch frames width"]) -> Float[Tensor, "batch frames width"]:
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.query_key_value(tokens).chunk(3, dim=-1)
        )
        return self.attended(attention(query, key, value).transpose(1, 2).flatten(2))


def modulation(d_model: int, count: int) -> nn.Linear:
    """Return the layer that turns a condition into `count` vectors, which at first are all 0."""
    layer = nn.Linear(d_model, count * d_model)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def modulated(
    tokens: Float[Tensor, "batch frames width"],
    scale: Float[Tensor, "batch 1 width"],
    shift: Float[Tensor, "batch 1 width"],
) -> Float[Tensor, "batch frames width"]:
    """Return tokens of mean 0 and deviation 1, scaled by 1 + `scale` and shifted."""
    return torch.addcmul(shift, F.layer_norm(tokens, tokens.shape[-1:]), 1 + scale)
