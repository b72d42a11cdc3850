# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part-aware style injection and attention in a hand's denoiser, after MimicParts.

Each part of the hand looks at the music's rhythm and emotion with queries of its own, and its style modulates its
features where they enter the U-Net and where they leave it. Between the two, parts and hands meet in the U-Net and its
HCAA. New modules add nothing: with their last layers at zero the network is the one without them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.style import PARTS
from .config import FPS, GestureConfig, StyleConfig
from .parts import CHANNELS, codes_of


def _per_part(style: Tensor, codes: int) -> Tensor:
    """Codes [B, codes * (width + 1)], one for the hand or one a part -> [B, parts, width + 1]."""
    return style.unflatten(1, (codes, -1)).expand(-1, len(PARTS), -1)


class PartAware(nn.Module):
    """Noisy motion of a hand's parts and the music's cues -> what is added to the U-Net's first features."""

    def __init__(self, config: GestureConfig, style: StyleConfig, cues: int, embedding: int):
        """`cues`: channels of a hand's cues; `embedding`: width of the embedded diffusion step."""
        super().__init__()
        width, parts = config.part_width, len(PARTS)
        self.codes, self.width = codes_of(style), width
        self.channels = [[c for c in CHANNELS[part] if c < config.outputs] for part in PARTS]
        self.first = nn.ModuleList(nn.Conv1d(len(own), width, 3, padding=1) for own in self.channels)
        self.norm = nn.GroupNorm(parts, parts * width)
        self.modulate = nn.ModuleList(nn.Linear(embedding + style.width + 1, 2 * width) for _ in PARTS)
        self.cues = nn.Conv1d(cues, width, 5, padding=2)
        self.query = nn.Conv1d(parts * width, parts * width, 1, groups=parts)
        self.key_value = nn.Conv1d(width, 2 * width, 1)
        self.nearness = nn.Parameter(torch.zeros(parts))  # how much less a part looks at what is farther off
        self.out = nn.Conv1d(parts * width, config.dim, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, time: Tensor, cues: Tensor, style: Tensor) -> Tensor:
        """x [B, C, N], embedded step [B, E], cues [B, K, N], style [B, codes * (width + 1)] -> [B, dim, N]."""
        own = torch.cat([first(x[:, c]) for first, c in zip(self.first, self.channels, strict=True)], dim=1)
        told = _per_part(style, self.codes)
        change = [to(torch.cat([time, told[:, i]], dim=1)) for i, to in enumerate(self.modulate)]
        scale, shift = torch.stack(change, dim=1).chunk(2, dim=2)  # [B, parts, width]
        own = self.norm(own) * (1 + scale.flatten(1)[..., None]) + shift.flatten(1)[..., None]
        own = own + self._attend(F.silu(own), F.silu(self.cues(cues)))
        return self.out(F.silu(own))

    def _attend(self, parts: Tensor, cues: Tensor) -> Tensor:
        """What each part [B, parts * width, N] finds in the cues [B, width, N] with its own queries."""
        query = self.query(parts).unflatten(1, (len(PARTS), self.width)).transpose(2, 3)  # [B, parts, N, width]
        key, value = self.key_value(cues).transpose(1, 2)[:, None].expand(-1, len(PARTS), -1, -1).chunk(2, dim=3)
        frame = torch.arange(cues.shape[2], device=cues.device, dtype=query.dtype)
        far = (frame[:, None] - frame[None, :]).abs() / FPS  # s
        bias = -4.0 * F.softplus(self.nearness)[:, None, None] * far
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return found.transpose(2, 3).flatten(1, 2)


class PartAwareOutput(nn.Module):
    """The U-Net's last features as each part's style scales and shifts them, through the rows of the part."""

    def __init__(self, config: GestureConfig, style: StyleConfig):
        super().__init__()
        self.codes = codes_of(style)
        self.modulate = nn.ModuleList(nn.Linear(style.width + 1, 2 * config.dim) for _ in PARTS)
        for to in self.modulate:
            nn.init.zeros_(to.weight)
            nn.init.zeros_(to.bias)
        self.rows = [[c for c in CHANNELS[part] if c < config.outputs] for part in PARTS]
        order = [c for rows in self.rows for c in rows]
        self.back = [order.index(c) for c in range(config.outputs)]

    def forward(self, x: Tensor, style: Tensor, out: nn.Conv1d) -> Tensor:
        """x [B, dim, N], style [B, codes * (width + 1)] and the U-Net's last layer -> [B, outputs, N]."""
        told = _per_part(style, self.codes)
        parts = []
        for i, (to, rows) in enumerate(zip(self.modulate, self.rows, strict=True)):
            scale, shift = to(told[:, i])[..., None].chunk(2, dim=1)
            parts.append(F.conv1d(x * (1 + scale) + shift, out.weight[rows], out.bias[rows]))
        return torch.cat(parts, dim=1)[:, self.back]
