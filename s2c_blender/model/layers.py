# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building blocks of the networks, as in the S2C release (parity facts 4, 5.1, 5.2)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import GROUPS, RefinerConfig


def causal_bias(heads: int, frames: int, period: int, device: torch.device | None = None) -> Tensor:
    """Added to attention scores, [heads, frames, frames]: nothing of the future, and a penalty on the past.

    The penalty grows by a step every `period` frames of distance, by 2^(-8 (h + 1) / heads) for head h (parity fact 4).
    """
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1, device=device) / heads)
    frame = torch.arange(frames, device=device)
    distance = frame[:, None] - frame[None, :]
    penalty = -slopes[:, None, None] * torch.div(distance, period, rounding_mode="floor")
    return penalty.masked_fill(distance < 0, -math.inf)


class SameFrameDecoderLayer(nn.Module):
    """A transformer decoder layer (post-norm, ReLU) in which each frame attends to one frame of the memory: its own.

    The release has full attention with a diagonal mask there; a softmax over one element is 1, so what is left of it
    is the value and output projections (parity fact 4).
    """

    def __init__(self, width: int, config: RefinerConfig):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, config.heads, dropout=config.dropout, batch_first=True)
        self.memory_value = nn.Linear(width, width)
        self.memory_out = nn.Linear(width, width)
        self.linear1 = nn.Linear(width, width)
        self.linear2 = nn.Linear(width, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor | None) -> Tensor:  # x, memory: [B, N, C]
        attended, _ = self.self_attn(x, x, x, attn_mask=bias, need_weights=False)
        x = self.norm1(x + self.dropout(attended))
        x = self.norm2(x + self.dropout(self.memory_out(self.memory_value(memory))))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class SameFrameDecoder(nn.Module):
    """Decoder layers one after another."""

    def __init__(self, width: int, config: RefinerConfig):
        super().__init__()
        self.layers = nn.ModuleList(SameFrameDecoderLayer(width, config) for _ in range(config.layers))

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor | None) -> Tensor:
        for layer in self.layers:
            x = layer(x, memory, bias)
        return x


class Refiner(nn.Module):
    """Decoder(x, memory=Encoder(x)) over [B, N, C]: in the position predictor, and before the gesture network."""

    def __init__(self, width: int, config: RefinerConfig):
        super().__init__()
        self.config = config
        layer = nn.TransformerEncoderLayer(width, config.heads, config.hidden, config.dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.decoder = SameFrameDecoder(width, config)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(x, self.encoder(x), self._bias(x))

    def _bias(self, x: Tensor) -> Tensor | None:
        """Attention bias [B * heads, N, N] where the configuration asks for it."""
        batch, frames = x.shape[:2]
        causal = self.config.causal_bias
        if causal == "never" or (causal == "batch of one" and batch > 1):
            return None
        return causal_bias(self.config.heads, frames, self.config.bias_period, x.device).repeat(batch, 1, 1).to(x.dtype)


def time_embedding(t: Tensor, dim: int) -> Tensor:
    """Sines, then cosines of the diffusion steps t [B] -> [B, dim] float32."""
    half = dim // 2
    rates = torch.exp(torch.arange(half, device=t.device) * (-math.log(10000.0) / (half - 1)))
    angle = t[:, None].float() * rates
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class ConvBlock(nn.Module):
    """Convolution, group norm, optional scale and shift, SiLU over [B, C, T]."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.proj = nn.Conv1d(channels, out, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, out)

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        x = self.norm(self.proj(x))
        return F.silu(x if scale is None else x * (scale + 1) + shift)


class ResnetBlock(nn.Module):
    """Two convolutions around a shortcut; the embedded step (`time` [B, E]) modulates the first."""

    def __init__(self, channels: int, out: int, embedding: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * out))
        self.block1 = ConvBlock(channels, out)
        self.block2 = ConvBlock(out, out)
        self.res_conv = nn.Conv1d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.mlp(time)[:, :, None].chunk(2, dim=1)
        return self.block2(self.block1(x, scale, shift)) + self.res_conv(x)


class RMSNorm(nn.Module):
    """Each frame's channels [B, C, T] scaled to unit root mean square, times a gain."""

    def __init__(self, channels: int):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * self.g * x.shape[1] ** 0.5


class _Attention(nn.Module):
    """What the two attentions share: normed input to query, key and value [B, heads, head_dim, T] each."""

    def __init__(self, channels: int, heads: int, head_dim: int):
        super().__init__()
        self.norm = RMSNorm(channels)
        self.to_qkv = nn.Conv1d(channels, 3 * heads * head_dim, 1, bias=False)
        self.heads = heads

    def qkv(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.to_qkv(self.norm(x)).unflatten(1, (3, self.heads, -1)).unbind(1)


class LinearAttention(_Attention):
    """x + attention over time, linear in its length: keys and values are summed up first (Shen et al. 2018)."""

    def __init__(self, channels: int, heads: int, head_dim: int):
        super().__init__(channels, heads, head_dim)
        self.to_out = nn.Sequential(nn.Conv1d(heads * head_dim, channels, 1), RMSNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)
        q = q.softmax(dim=-2) * q.shape[-2] ** -0.5
        summary = k.softmax(dim=-1) @ v.transpose(-1, -2)  # [B, heads, C, C]
        return x + self.to_out((summary.transpose(-1, -2) @ q).flatten(1, 2))


class FullAttention(_Attention):
    """x + softmax attention over time."""

    def __init__(self, channels: int, heads: int, head_dim: int):
        super().__init__(channels, heads, head_dim)
        self.to_out = nn.Conv1d(heads * head_dim, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.transpose(-1, -2) for part in self.qkv(x))
        attended = F.scaled_dot_product_attention(q, k, v)  # [B, heads, T, C]
        return x + self.to_out(attended.transpose(-1, -2).flatten(1, 2))
