"""Attention as fast on a CPU as it can be is torch's own attention."""

import torch
import torch.nn.functional as F

from parc.motion_generator.attention import attention, attention_to_visible


def test_every_token_attends_to_all():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, 15, 8, generator=generator) for _ in range(3))
    torch.testing.assert_close(attention(query, key, value), F.scaled_dot_product_attention(query, key, value))


def test_what_is_not_visible_is_not_attended_to():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(3, 2, tokens, 8, generator=generator) for tokens in (5, 9, 9))
    visible = torch.rand(3, 9, generator=generator) < 0.6
    visible[:, 0] = True
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=visible[:, None, None, :])
    torch.testing.assert_close(attention_to_visible(query, key, value, visible, 0.0), expected)
    nearly = attention_to_visible(query, key, value, visible, 1e-9)  # dropout that drops nothing
    torch.testing.assert_close(nearly, expected)
