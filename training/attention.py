# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attention as plain products, for training on processors, where PyTorch's own is slower."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

_fused = F.scaled_dot_product_attention


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options,
) -> Tensor:
    """What F.scaled_dot_product_attention gives, in the precision of its inputs throughout.

    Measured in bfloat16 on a processor with AVX-512, [16, 4, 240, 32] forwards and backwards: 17 ms; PyTorch's fused
    attention 37 ms, its "math" one, which goes to float32, 48 ms. Cases that are not met in our networks are PyTorch's.
    """
    if is_causal or dropout_p or options or (attn_mask is not None and attn_mask.dtype == torch.bool):
        return _fused(query, key, value, attn_mask, dropout_p, is_causal, **options)
    with torch.autocast(query.device.type, enabled=False):  # it would take the softmax in float32
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if attn_mask is not None:
            scores = scores + attn_mask
        return scores.softmax(dim=-1) @ value


@contextmanager
def plain() -> Iterator[None]:
    """All attention in the block is `plain_attention`, that of PyTorch's own layers, too."""
    with mock.patch.object(F, "scaled_dot_product_attention", plain_attention):
        yield
