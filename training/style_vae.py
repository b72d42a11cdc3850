# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What teaches the style encoder: parts that move what is played in a style, and a critic of them (after MimicParts).

The codes of one piece of a clip must let the decoder move the hand as in another piece of the same clip, of which it is
told what is played: so a code holds what both pieces share, which is how the hand moves and not what it plays.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2c_blender.core.notes import RIGHT
from s2c_blender.core.style import PARTS
from s2c_blender.model.config import FPS, ModelConfig, StyleConfig
from s2c_blender.model.parts import codes_of
from s2c_blender.model.seen import MOTION, PLAYED, SEEN, own_channels
from s2c_blender.model.style_encoder import StyleEncoder

WIDTH = 64  # channels of a part's decoder
CHANGES = 0.5  # weight of the motion's change beside the motion itself
INFORMATION = 2e-3  # weight of the codes' information (Kullback-Leibler divergence, nats a part)
KEPT = 0.05  # weight of the codes' being found again in what was made of them
CRITICISM = 0.02  # weight of what the critic says


class Pieces(NamedTuple):
    """Two pieces each of clips, of one hand of it (seen.py)."""

    shown: Tensor  # [B, N, SEEN], of which the codes are made
    wanted: Tensor  # [B, M, SEEN], which is to be made with them
    side: Tensor  # [B] LEFT or RIGHT


class _Modulated(nn.Module):
    """A convolution over time with a shortcut; the codes scale and shift what it gets."""

    def __init__(self, width: int, codes: int, dilation: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.change = nn.Linear(codes, 2 * width)
        self.layer = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        scale, shift = self.change(codes)[..., None].chunk(2, dim=1)
        return x + self.layer(F.silu(self.norm(x) * (1 + scale) + shift))


class PartDecoder(nn.Module):
    """What is played [B, PLAYED, N] and the hand's codes [B, codes * width] -> a part's normalised motion."""

    def __init__(self, channels: int, codes: int):
        super().__init__()
        self.first = nn.Conv1d(PLAYED, WIDTH, 7, padding=3)
        self.layers = nn.ModuleList(_Modulated(WIDTH, codes, 2**i) for i in range(5))
        self.out = nn.Conv1d(WIDTH, channels, 1)

    def forward(self, played: Tensor, codes: Tensor) -> Tensor:
        x = self.first(played)
        for layer in self.layers:
            x = layer(x, codes)
        return self.out(x)


class StyleStage(nn.Module):
    """Encoder, decoders and critic."""

    def __init__(self, config: StyleConfig):
        super().__init__()
        self.encoder = StyleEncoder(config)
        told = codes_of(config) * config.width
        self.decoders = nn.ModuleList(PartDecoder(len(own_channels(part)), told) for part in PARTS)
        self.critic = nn.Sequential(
            nn.Conv1d(SEEN, 64, 5, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(64, 64, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(64, 64, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(64, 1, 1),
        )
        order = [c for part in PARTS for c in own_channels(part)]
        self._back = [order.index(c) for c in range(MOTION)]

    def begin_from(self, mean: np.ndarray, spread: np.ndarray) -> None:
        """Take what is seen [SEEN] of the training data as usual."""
        self.encoder.offset.copy_(torch.from_numpy(mean))
        self.encoder.scale.copy_(torch.from_numpy(spread))

    def state(self) -> dict[str, dict[str, Tensor]]:
        """What the hands' files have of this stage: nothing."""
        return {}

    @torch.no_grad()
    def validate(self, batches: list[Pieces], config: ModelConfig) -> dict[str, float]:
        """Means of what the loss is made of, with the same codes each time."""
        torch.manual_seed(0)
        found = [self.parts_of_loss(batch) for batch in batches]
        return {name: float(torch.cat([parts[name] for parts in found]).mean()) for name in found[0]}

    def normal(self, seen: Tensor) -> Tensor:
        """What is seen [B, N, SEEN] with mean 0 and spread 1."""
        return (seen - self.encoder.offset) / self.encoder.scale

    def decode(self, played: Tensor, codes: Tensor) -> Tensor:
        """What is played [B, N, PLAYED] in the style of codes [B, codes, width] -> [B, N, SEEN], all normalised."""
        notes, told = played.transpose(1, 2), codes.flatten(1)
        motion = torch.cat([decoder(notes, told) for decoder in self.decoders], dim=1)[:, self._back].transpose(1, 2)
        scale, offset = self.encoder.scale, self.encoder.offset
        moved = motion * scale[:MOTION]
        (change,) = torch.gradient(moved, spacing=1.0 / FPS, dim=1)
        change = (change - offset[MOTION : 2 * MOTION]) / scale[MOTION : 2 * MOTION]
        return torch.cat([motion, change, played], dim=2)

    def forward(self, batch: Pieces) -> Tensor:
        """Each hand's loss [2], the critic's own in it: its gradient reaches the decoders the other way round."""
        parts = self.parts_of_loss(batch)
        loss = parts["motion"] + INFORMATION * parts["information"] + KEPT * parts["kept"] + parts["critic"]
        right = (batch.side == RIGHT).float()
        return torch.stack([_mean(loss, 1 - right), _mean(loss, right)])

    def parts_of_loss(self, batch: Pieces) -> dict[str, Tensor]:
        """What the loss is made of, [B] each: L1 of the normalised motion and its change, nats a code, L1 of codes that
        are found again, and the critic's cross entropy."""
        shown, wanted = self.normal(batch.shown), self.normal(batch.wanted)
        mean, log_variance = self.encoder.normalised(shown)
        codes = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        made = self.decode(wanted[..., 2 * MOTION :], codes)
        miss = (made - wanted).abs()
        found = self.critic(_Turned.apply(made).transpose(1, 2)), self.critic(wanted.transpose(1, 2))
        return {
            "motion": miss[..., :MOTION].mean(dim=(1, 2)) + CHANGES * miss[..., MOTION : 2 * MOTION].mean(dim=(1, 2)),
            "information": 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=2).mean(dim=1),
            "kept": (self.encoder.normalised(made)[0] - codes.detach()).abs().mean(dim=(1, 2)),
            "critic": (F.softplus(found[0]) + F.softplus(-found[1])).mean(dim=(1, 2)),
        }


class _Turned(torch.autograd.Function):
    """Hands on a tensor, and its gradient the other way round: what pleases the critic displeases the decoders."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return -CRITICISM * gradient


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)
