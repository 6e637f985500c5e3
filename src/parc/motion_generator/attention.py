"""Attention from token to token, fast on CPUs too, where oneDNN multiplies (see `configure_torch`).

Torch's own attention multiplies small pieces, one after the other, and takes ten times as long with oneDNN.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from parc.motion_generator.dropout import dropout


def attention(
    query: Float[Tensor, "batch heads tokens part"],
    key: Float[Tensor, "batch heads tokens part"],
    value: Float[Tensor, "batch heads tokens part"],
) -> Float[Tensor, "batch heads tokens part"]:
    """Attend from every token to all: `F.scaled_dot_product_attention`."""
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value)
    # Along the last axis, of a window's 15 frames, softmax takes four times as long: a processor takes 16 numbers at once.
    scores = torch.matmul(key, (query * query.shape[-1] ** -0.5).transpose(-1, -2))
    return torch.matmul(torch.softmax(scores, dim=-2).transpose(-1, -2), value)


def attention_to_visible(
    query: Float[Tensor, "batch heads queries part"],
    key: Float[Tensor, "batch heads tokens part"],
    value: Float[Tensor, "batch heads tokens part"],
    visible: Bool[Tensor, "batch tokens"],
    share_dropped: float,
) -> Float[Tensor, "batch heads queries part"]:
    """Attend to visible tokens, with a share of the attention dropped: `F.scaled_dot_product_attention` with a mask."""
    if query.device.type != "cpu":
        mask = visible[:, None, None, :]
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=share_dropped)
    hidden = torch.zeros(visible.shape, dtype=query.dtype).masked_fill_(~visible, -torch.inf)
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2)) + hidden[:, None, None, :]
    return torch.matmul(dropout(torch.softmax(scores, dim=-1), share_dropped), value)
