# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variational style encoder of each part of a hand (after MimicParts): a motion -> codes of how its parts move."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.style import PARTS
from .config import StyleConfig
from .parts import codes_of
from .seen import MOTION, PLAYED, SEEN, part_channels


class PartEncoder(nn.Module):
    """One part's channels over time -> mean and logarithm of the variance of its code."""

    def __init__(self, channels: int, config: StyleConfig):
        super().__init__()
        hidden = config.hidden
        self.layers = nn.Sequential(
            nn.Conv1d(channels, hidden, 5, padding=2),
            nn.SiLU(),
            nn.Conv1d(hidden, hidden, 5, padding=4, dilation=2),
            nn.SiLU(),
            nn.Conv1d(hidden, hidden, 5, padding=8, dilation=4),
            nn.SiLU(),
        )
        self.out = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * config.width))

    def forward(self, x: Tensor) -> Tensor:  # [B, C, N] -> [B, 2 * width]
        x = self.layers(x)
        mean = x.mean(dim=2)
        spread = ((x - mean[..., None]) ** 2).mean(dim=2).add(1e-5).sqrt()
        return self.out(torch.cat([mean, spread], dim=1))


class StyleEncoder(nn.Module):
    """What is seen of a hand (seen.py) -> codes of its parts, or one of all of it."""

    def __init__(self, config: StyleConfig, channels_of: Callable[[str], list[int]] = part_channels):
        """`channels_of` a part: those of the motion that it is seen in."""
        super().__init__()
        # Mean and spread of what is seen in the training data; not learned, but kept with what is.
        self.offset = nn.Parameter(torch.zeros(SEEN), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(SEEN), requires_grad=False)
        parts = [channels_of(part) for part in PARTS] if codes_of(config) > 1 else [list(range(MOTION))]
        played = range(SEEN - PLAYED, SEEN)
        self._channels = [[*part, *(MOTION + c for c in part), *played] for part in parts]
        self.parts = nn.ModuleList(PartEncoder(len(channels), config) for channels in self._channels)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """[B, N, SEEN] of two seconds or more -> means and logarithms of variances [B, codes, width]."""
        return self.normalised((seen - self.offset) / self.scale)

    def normalised(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The same of what has mean 0 and spread 1."""
        x = seen.transpose(1, 2)
        told = [part(x[:, channels]) for part, channels in zip(self.parts, self._channels, strict=True)]
        mean, log_variance = torch.stack(told, dim=1).chunk(2, dim=2)
        return mean, 8.0 * F.tanh(log_variance / 8.0)  # within what exp can do
