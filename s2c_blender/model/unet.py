# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gesture network of one hand: a U-Net over time that meets the other hand's at the bottleneck (parity fact 5)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import AudioConfig, GestureConfig
from .encoders import features_width
from .features import of_hand
from .fusion import CrossAttention, HandCoordinatedAsymmetricAttention
from .layers import FullAttention, LinearAttention, Refiner, ResnetBlock, time_embedding
from .part_aware import PartAware, PartAwareOutput

FUSIONS = {"cross": CrossAttention, "hcaa": HandCoordinatedAsymmetricAttention}
PLACES = {"before middle": 0, "after attention": 2, "after middle": 3}  # blocks of the middle before the hands meet


class Descent(NamedTuple):
    """What a hand's way down hands on."""

    x: Tensor  # [B, M, n], the bottleneck
    skips: list[Tensor]  # [B, C, T], finest first
    stem: Tensor  # [B, dim, N]
    time: Tensor  # [B, E], the embedded diffusion step
    style: Tensor  # [B, S] the style's codes; of networks that are not part-aware nothing, S = 0


class GestureNet(nn.Module):
    """Noisy poses of one hand, at a diffusion step -> the prediction (v, x0 or noise) for them.

    `refine` is called once a window, then `down` and `up` at every diffusion step; between them the hands' `Descent`s
    are exchanged.
    """

    def __init__(self, config: GestureConfig, audio: AudioConfig, side: int, heard: int = 1):
        """`heard`: of how many audio encoders it gets the features side by side."""
        super().__init__()
        features = heard * features_width(audio)
        self.config = config
        dim, embedding = config.dim, 4 * config.dim
        widths = [dim, *(dim * mult for mult in config.dim_mults)]
        stages = list(zip(widths, widths[1:], strict=False))
        heads = (config.attention_heads, config.attention_head_dim)
        self.condition_in = nn.Linear(features, config.condition) if features != config.condition else nn.Identity()
        self.refiner = Refiner(config.condition, config.refiner)
        self.noise_in = nn.Linear(config.outputs, config.condition)
        guide = 6 if config.guide == "both" else 3
        self.stem = nn.Conv1d(2 * config.condition + guide, dim, 7, padding=3)
        self.time = nn.Sequential(nn.Linear(dim, embedding), nn.GELU(), nn.Linear(embedding, embedding))
        self.downs = nn.ModuleList()
        for i, (width, out) in enumerate(stages):
            last = i == len(stages) - 1
            change = nn.Conv1d(width, out, 3, padding=1) if last else nn.Conv1d(width, out, 4, stride=2, padding=1)
            blocks = [ResnetBlock(width, width, embedding) for _ in range(2)]
            self.downs.append(nn.ModuleList([*blocks, LinearAttention(width, *heads), change]))
        fusion = config.fusion
        joint = 2 * widths[-1] if fusion.kind == "concat" else widths[-1]
        self.mid1 = ResnetBlock(joint if fusion.place == "before middle" else widths[-1], widths[-1], embedding)
        self.attention = FullAttention(widths[-1], *heads)
        self.mid2 = ResnetBlock(joint if fusion.place == "after attention" else widths[-1], widths[-1], embedding)
        if fusion.kind in FUSIONS:
            self.fusion = FUSIONS[fusion.kind](widths[-1], fusion)
        self._blocks_before = 3 if fusion.kind == "none" else PLACES[fusion.place]  # that see the own hand only
        self.ups = nn.ModuleList()
        for i, (width, out) in enumerate(reversed(stages)):
            last = i == len(stages) - 1
            conv = nn.Conv1d(out, width, 3, padding=1)
            change = conv if last else nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv)
            blocks = [ResnetBlock(out + width, out, embedding) for _ in range(2)]
            self.ups.append(nn.ModuleList([*blocks, LinearAttention(out, *heads), change]))
        self.last = ResnetBlock(2 * dim, dim, embedding)
        self.out = nn.Conv1d(dim, config.outputs, 1)
        self._cues, self._style = of_hand(audio, side) if config.part_aware else ([], [])
        if config.part_aware:
            self.part_aware = PartAware(config, audio.style, len(self._cues), embedding)
            self.part_out = PartAwareOutput(config, audio.style)

    def refine(self, features: Tensor) -> Tensor:
        """Audio features [B, N, F] -> the hand's view of them, then its cues and its style [B, condition + C, N]."""
        refined = self.refiner(self.condition_in(features))
        return torch.cat([refined, features[..., self._cues + self._style]], dim=2).transpose(1, 2)

    def down(self, x: Tensor, t: Tensor, condition: Tensor, guide: Tensor) -> Descent:
        """Noisy poses x [B, channels, N] at steps t [B], what `refine` gave, positions [B, 3 or 6, N], own first."""
        sizes = [self.config.condition, len(self._cues), len(self._style)]
        condition, cues, style = condition.split(sizes, dim=1)
        style = style[..., 0]  # is the same in all frames
        noisy = self.noise_in(x.transpose(1, 2)).transpose(1, 2)
        stem = self.stem(torch.cat([condition, noisy, guide], dim=1))
        time = self.time(time_embedding(t, self.config.dim).to(x.dtype))
        if self.config.part_aware:
            stem = stem + self.part_aware(x, time, cues, style)
        x = stem
        skips = []
        for block1, block2, attention, change in self.downs:
            x = block1(x, time)
            skips.append(x)
            x = attention(block2(x, time))
            skips.append(x)
            x = change(x)
        x = self._middle(x, time, 0, self._blocks_before)
        return Descent(x, skips, stem, time, style)

    def fuse(self, own: Descent, other: Descent) -> Tensor:
        """The bottleneck [B, M, n] after both hands have met in it."""
        x = own.x
        if self.config.fusion.kind == "concat":
            x = torch.cat([own.x, other.x], dim=1)
        elif self.config.fusion.kind in FUSIONS:
            met = self.fusion(own.x.transpose(1, 2), other.x.transpose(1, 2)).transpose(1, 2)
            x = x + met if self.config.fusion.residual else met
        return self._middle(x, own.time, self._blocks_before, 3)

    def _middle(self, x: Tensor, time: Tensor, first: int, end: int) -> Tensor:
        """The blocks [first, end) of the middle."""
        if first <= 0 < end:
            x = self.mid1(x, time)
        if first <= 1 < end:
            x = self.attention(x)
        return self.mid2(x, time) if first <= 2 < end else x

    def up(self, own: Descent, other: Descent) -> Tensor:
        """Both hands' way down -> prediction for the own hand [B, channels, N]."""
        x, skips, time = self.fuse(own, other), list(own.skips), own.time
        for block1, block2, attention, change in self.ups:
            x = block1(torch.cat([x, skips.pop()], dim=1), time)
            x = block2(torch.cat([x, skips.pop()], dim=1), time)
            x = change(attention(x))
        x = self.last(torch.cat([x, own.stem], dim=1), time)
        return self.part_out(x, own.style, self.out) if self.config.part_aware else self.out(x)
