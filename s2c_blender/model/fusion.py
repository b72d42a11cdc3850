# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the two hands meet: modules from (own, other) features [B, n, M] at the bottleneck to [B, n, M]."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import FusionConfig


class HandCoordinatedAsymmetricAttention(nn.Module):
    """HCAA: what a hand attends to in itself, less a learned share of what the other attends to in itself.

        Q1, K1, V1 = projections of the own hand;  Q2, K2, V2 = projections of the other hand        (paper eq. 6)
        softmax(Q1 K1' / sqrt d) V1 - lambda softmax(Q2 K2' / sqrt d) V2                             (paper eq. 7)
        lambda = exp(lambda_q1 . lambda_k1) - exp(lambda_q2 . lambda_k2) + lambda_init               (paper eq. 8)

    Options of FusionConfig: `causal` masks, and `norm_and_mlp` appends what the release has after it (parity fact 5.5).
    """

    def __init__(self, width: int, config: FusionConfig):
        super().__init__()
        self.heads, self.causal, self.lambda_init = config.heads, config.causal, config.lambda_init
        self.q1, self.k1, self.v1, self.q2, self.k2, self.v2 = (nn.Linear(width, width, bias=False) for _ in range(6))
        for name in ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"):
            setattr(self, name, nn.Parameter(0.1 * torch.randn(width // config.heads)))
        self.after = config.norm_and_mlp
        if self.after:
            self.norm = nn.LayerNorm(width)
            self.out = nn.Linear(width, width, bias=False)
            self.mlp = mlp(width)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        first = self._attend(self.q1(own), self.k1(own), self.v1(own))
        second = self._attend(self.q2(other), self.k2(other), self.v2(other))
        x = (first - self.coupling() * second).transpose(1, 2).flatten(2)  # heads side by side again
        return self.mlp(self.out(self.norm(x))) if self.after else x

    def coupling(self) -> Tensor:
        """lambda, the share of the other hand's attention that is taken away."""
        first = torch.sum(self.lambda_q1 * self.lambda_k1).exp()
        second = torch.sum(self.lambda_q2 * self.lambda_k2).exp()
        return first - second + self.lambda_init

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))  # [B, heads, n, d]
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)


class CrossAttention(nn.Module):
    """The own hand asks, the other answers; then an MLP without residual (parity fact 5.5)."""

    def __init__(self, width: int, config: FusionConfig):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.mlp = mlp(width)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        answer, _ = self.attention(own, other, other, need_weights=False)
        return self.mlp(self.norm(answer + own))


def mlp(width: int) -> nn.Sequential:
    """Two linear layers with a ReLU between, twice as wide inside."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
