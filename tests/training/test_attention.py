# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attention as plain products gives what PyTorch's own gives, in its layers, too."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from training import attention  # noqa: E402


@pytest.mark.parametrize("masked", [False, True])
def test_it_gives_what_pytorch_gives(masked: bool):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 20, 8, requires_grad=True) for _ in range(3))
    mask = torch.randn(3, 20, 20) if masked else None
    ours, theirs = (of(query, key, value, mask) for of in (attention.plain_attention, F.scaled_dot_product_attention))
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(answer.square().sum(), (query, key, value)) for answer in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_what_our_networks_do_not_have_is_left_to_pytorch():
    query, key, value = (torch.randn(2, 3, 20, 8) for _ in range(3))
    for options in ({"is_causal": True}, {"attn_mask": torch.ones(20, 20).tril().bool()}, {"scale": 2.0}):
        expected = F.scaled_dot_product_attention(query, key, value, **options)
        torch.testing.assert_close(attention.plain_attention(query, key, value, **options), expected)


def test_pytorchs_layers_use_it_within_the_block_only(monkeypatch):
    calls = []
    plain = attention.plain_attention
    monkeypatch.setattr(
        attention, "plain_attention", lambda *given, **options: calls.append(1) or plain(*given, **options)
    )
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    x = torch.randn(2, 10, 16, requires_grad=True)
    expected = layer(x)
    assert not calls
    with attention.plain():
        torch.testing.assert_close(layer(x), expected)
    assert calls
    layer(x)
    assert len(calls) == 1
