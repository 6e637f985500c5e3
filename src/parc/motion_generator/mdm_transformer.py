"""The paper's denoiser: a transformer whose tokens are what a motion was asked for, and its frames."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from parc.configuration.errors import UserError
from parc.motion_generator.attention import attention_to_visible
from parc.motion_generator.denoiser import MAX_HEIGHT, Conditions, Denoiser, with_clean_previous_states
from parc.motion_generator.dropout import Dropout

CONVOLVED_AWAY = (
    15  # points along each axis that three convolutions of width 5 and one of width 4 take, without padding
)
PATCH = 2  # cells of the convolved heightmap along each side of a token


def refuse_sizes(*, d_model: int, num_heads: int, dropout: float, **other_sizes: int) -> None:
    """Check the settings of a transformer before there is a character.

    Raises:
        UserError: a size is not positive, or sizes contradict each other; names the key.
    """
    for name, size in {"d_model": d_model, "num_heads": num_heads, **other_sizes}.items():
        if size < 1:
            raise UserError(f"model.denoiser.{name} is {size}, expected at least 1")
    if d_model % num_heads:
        raise UserError(
            f"model.denoiser.num_heads is {num_heads}, which does not divide model.denoiser.d_model ({d_model}); "
            "expected a divisor"
        )
    if d_model % 2:
        raise UserError(
            f"model.denoiser.d_model is {d_model}, expected an even width: position codes are pairs of sine and cosine"
        )
    if not 0 <= dropout < 1:
        raise UserError(f"model.denoiser.dropout is {dropout}, expected a share in 0..1, below 1")


class MDMTransformer(Denoiser):
    """The paper's denoiser. Tokens: time, heightmap, target, previous-state indicator, then one for each frame.

    Args:
        d_model: width of a token.
        num_heads: attention heads; divides `d_model`.
        d_hid: width of the encoder's feed-forward layers.
        num_layers: encoder layers.
        mlp_width: hidden width of the motion MLPs.
        target_mlp_width: hidden width of the target MLP.
        dropout: share of numbers dropped in the encoder.
        num_features, num_frames, num_previous, heightmap_shape, diffusion_timesteps: see `Denoiser`.
    """

    time_code: Tensor
    position_code: Tensor
    check_settings = staticmethod(refuse_sizes)

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_hid: int,
        num_layers: int,
        mlp_width: int,
        target_mlp_width: int,
        dropout: float,
        *,
        num_features: int,
        num_frames: int,
        num_previous: int,
        heightmap_shape: tuple[int, int],
        diffusion_timesteps: int,
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.num_previous = num_previous
        self.dropout = Dropout(dropout)
        self.time_mlp = mlp(d_model, d_model, d_model)
        self.heightmap_convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 5), nn.LeakyReLU(), nn.Conv2d(32, 32, 5), nn.LeakyReLU(),
            nn.Conv2d(32, 32, 5), nn.LeakyReLU(), nn.Conv2d(32, 64, 4), nn.LeakyReLU(),
        )  # fmt: skip
        rows, columns = (
            heightmap_tokens_along(axis, points) for axis, points in zip("xy", heightmap_shape, strict=True)
        )
        self.num_condition_tokens = 1 + rows * columns + 1 + 1
        self.heightmap_embedding = nn.Linear(64 * PATCH * PATCH, d_model)
        self.target_mlp = mlp(2, target_mlp_width, d_model)
        self.previous_indicator = nn.Embedding(2, d_model)
        self.motion_mlp = mlp(num_features, mlp_width, d_model)
        self.output_mlp = mlp(d_model, mlp_width, num_features)
        self.layers = nn.ModuleList(EncoderLayer(d_model, num_heads, d_hid, dropout) for _ in range(num_layers))
        num_tokens = self.num_condition_tokens + num_frames
        self.register_buffer("time_code", sinusoidal_code(diffusion_timesteps, d_model), persistent=False)
        self.register_buffer("position_code", sinusoidal_code(num_tokens, d_model), persistent=False)

    @staticmethod
    def check_with_heightmap(heightmap_shape: tuple[int, int]) -> None:
        """Check that the convolutions fit a heightmap of so many points along x and y.

        Raises:
            UserError: there are too few, or they cannot be cut into patches.
        """
        for axis, points in zip("xy", heightmap_shape, strict=True):
            heightmap_tokens_along(axis, points)

    def denoise(
        self,
        noisy: Float[Tensor, "batch frames features"],
        timestep: Int[Tensor, " batch"],
        conditions: Conditions,
        heightmap_embedding: Float[Tensor, "batch tokens width"],
    ) -> Float[Tensor, "batch frames features"]:
        """As `forward`, with the heightmaps' tokens."""
        motion = with_clean_previous_states(noisy, conditions)
        tokens = torch.cat(
            [
                self.time_mlp(self.time_code[timestep])[:, None],
                heightmap_embedding,
                self.target_mlp(conditions.target_direction)[:, None],
                self.previous_indicator(conditions.previous_clean.long())[:, None],
                self.motion_mlp(motion),
            ],
            dim=1,
        )
        tokens = self.dropout(tokens + self.position_code)
        visible = self._visible_tokens(conditions)
        *layers, last_layer = self.layers
        for layer in layers:
            tokens = layer(tokens, visible, first_query=0)
        # Only the frames' tokens leave the network, so the last layer answers for them alone: the same numbers, less work.
        return self.output_mlp(last_layer(tokens, visible, first_query=self.num_condition_tokens))

    def embed_heightmap(self, heightmap: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch tokens width"]:
        """Turn heightmaps (metres) into tokens, in row-major order: along x, then along y."""
        maps = self.heightmap_convolutions(heightmap[:, None] / MAX_HEIGHT)
        # F.unfold lays each patch out channel-major, and the patches in row-major order.
        patches = F.unfold(maps, kernel_size=PATCH, stride=PATCH)
        return self.heightmap_embedding(patches.transpose(1, 2))

    def _visible_tokens(self, conditions: Conditions) -> Bool[Tensor, "batch tokens"]:
        """Return which tokens may be attended to: those of dropped conditions may not."""
        always = torch.ones_like(conditions.target_given)[:, None]
        heightmap_tokens = self.num_condition_tokens - 3
        return torch.cat(
            [
                always,
                conditions.heightmap_given[:, None].expand(-1, heightmap_tokens),
                conditions.target_given[:, None],
                always,
                conditions.previous_given[:, None].expand(-1, self.num_previous),
                always.expand(-1, self.num_frames - self.num_previous),
            ],
            dim=1,
        )


class EncoderLayer(nn.Module):
    """A post-norm transformer encoder layer with exact GELU; parameters are named as in `nn.TransformerEncoderLayer`."""

    def __init__(self, d_model: int, num_heads: int, d_hid: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(d_model, num_heads, dropout)
        self.linear1 = nn.Linear(d_model, d_hid)
        self.linear2 = nn.Linear(d_hid, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = Dropout(dropout)

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"], visible: Bool[Tensor, "batch tokens"], first_query: int
    ) -> Float[Tensor, "batch queries width"]:
        """Return the layer's output for the tokens from `first_query` on, attending to all visible ones."""
        attended = self.self_attn(tokens, visible, first_query)
        tokens = self.norm1(tokens[:, first_query:] + self.dropout(attended))
        hidden = self.dropout(F.gelu(self.linear1(tokens)))
        return self.norm2(tokens + self.dropout(self.linear2(hidden)))


class SelfAttention(nn.Module):
    """Multi-head self-attention; parameters are named as in `nn.MultiheadAttention`."""

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d_model, d_model))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d_model))
        self.out_proj = nn.Linear(d_model, d_model)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"], visible: Bool[Tensor, "batch tokens"], first_query: int
    ) -> Float[Tensor, "batch queries width"]:
        """Attend from the tokens from `first_query` on to all visible ones."""
        width = tokens.shape[-1]
        weights, biases = self.in_proj_weight.split([width, 2 * width]), self.in_proj_bias.split([width, 2 * width])
        query = F.linear(tokens[:, first_query:], weights[0], biases[0])
        key, value = F.linear(tokens, weights[1], biases[1]).chunk(2, dim=-1)
        query, key, value = (self._split_heads(each) for each in (query, key, value))
        share = self.dropout if self.training else 0.0
        attended = attention_to_visible(query, key, value, visible, share)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _split_heads(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads tokens part"]:
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def heightmap_tokens_along(axis: str, points: int) -> int:
    """Return how many tokens a heightmap gives along an axis of so many points.

    Raises:
        UserError: there are too few points, or what the convolutions leave of them cannot be cut into patches.
    """
    left = points - CONVOLVED_AWAY
    if left < PATCH or left % PATCH:
        raise UserError(
            f"sampler.heightmap has {points} points along {axis}, expected {CONVOLVED_AWAY} plus a positive multiple of "
            f"{PATCH}: what the denoiser's convolutions leave is cut into patches of {PATCH} x {PATCH}"
        )
    return left // PATCH


def sinusoidal_code(length: int, width: int) -> Float[Tensor, "length width"]:
    """Return the position code: pe[p, 2i] = sin(p 10000^(-2i/width)), and the cosine at 2i + 1 (Vaswani et al. 2017)."""
    frequencies = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(length)[:, None] * frequencies
    return torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(1)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return a network of one hidden layer of SiLUs."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))
