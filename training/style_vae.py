# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What teaches the style encoder: parts that move what is played in a style, and a critic of them (after MimicParts).

The codes of one excerpt of a clip must let decoders move the hand's parts as in another excerpt of the same clip, of
which they are told what is played, and for fingers where the wrist is: so a code holds what both excerpts share, which
is how its part moves and not what it plays. What is restored so is mostly posture: how far a hand sways or bounces is
small beside it, and when it does is not to be foreseen. Where the data tell the style, as simulated ones do, the codes
must therefore tell its values (core.style), too, and those of fingers must not tell the wrist's, though much of how
fingers bend comes from how high the wrist is: else the style of one part could not be changed alone.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2c_blender.core.notes import RIGHT
from s2c_blender.core.style import PARTS, PERFORMERS, Style, vector
from s2c_blender.model.config import FPS, ModelConfig, StyleConfig
from s2c_blender.model.parts import codes_of
from s2c_blender.model.seen import MOTION, PLAYED, SEEN, own_channels
from s2c_blender.model.style_encoder import StyleEncoder

WIDTH = 64  # channels of a part's decoder
CHANGES = 0.5  # weight of the motion's change beside the motion itself
INFORMATION = 2e-3  # weight of the codes' information (Kullback-Leibler divergence, nats a part)
KEPT = 0.05  # weight of the codes' being found again in what was made of them
TOLD = 1.0  # weight of the style's values, where they are known
FOREIGN = 0.3  # weight of what fingers' codes tell of the wrist's style, which they should not
CRITICISM = 0.02  # weight of what the critic says


_EVERY = np.array([[vector(getattr(style, part)) for part in PARTS] for style in PERFORMERS.values()])
VALUES = _EVERY.shape[2]  # of a part's style


def as_values(style: Style) -> np.ndarray:
    """A style's values [parts, VALUES], from the performers' mean in their spreads, float32."""
    values = np.array([vector(getattr(style, part)) for part in PARTS])
    return ((values - _EVERY.mean(axis=0)) / (_EVERY.std(axis=0) + 1e-6)).astype(np.float32)


class ExcerptPairs(NamedTuple):
    """Two excerpts each of clips, of one hand of it (seen.py)."""

    shown: Tensor  # [B, N, SEEN], of which the codes are made
    wanted: Tensor  # [B, M, SEEN], which is to be made with them
    side: Tensor  # [B] LEFT or RIGHT
    values: Tensor  # [B, parts, VALUES] of the style, in spreads of the performers'; nan where it is not known


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
    """What a part is told over time [B, told, N] and its code [B, width] -> its normalised motion [B, channels, N]."""

    def __init__(self, told: int, channels: int, codes: int):
        super().__init__()
        self.first = nn.Conv1d(told, WIDTH, 7, padding=3)
        self.layers = nn.ModuleList(_Modulated(WIDTH, codes, 2**i) for i in range(5))
        self.out = nn.Conv1d(WIDTH, channels, 1)

    def forward(self, told: Tensor, codes: Tensor) -> Tensor:
        x = self.first(told)
        for layer in self.layers:
            x = layer(x, codes)
        return self.out(x)


class StyleStage(nn.Module):
    """Encoder, decoders and critic."""

    def __init__(self, config: StyleConfig):
        super().__init__()
        self.encoder = StyleEncoder(config)
        wrist = len(own_channels("wrist"))
        self.decoders = nn.ModuleList(
            PartDecoder(PLAYED + (0 if part == "wrist" else wrist), len(own_channels(part)), config.width)
            for part in PARTS
        )
        codes = codes_of(config)
        self.values = nn.ModuleList(nn.Linear(config.width, VALUES * len(PARTS) // codes) for _ in range(codes))
        fingers = range(1, codes)
        self.spies = nn.ModuleList(
            nn.Sequential(nn.Linear(config.width, 32), nn.SiLU(), nn.Linear(32, VALUES)) for _ in fingers
        )
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
    def validate(self, batches: list[ExcerptPairs], config: ModelConfig) -> dict[str, float]:
        """Means of what the loss is made of, with the same codes each time."""
        torch.manual_seed(0)
        found = [self.parts_of_loss(batch) for batch in batches]
        return {name: float(torch.cat([parts[name] for parts in found]).mean()) for name in found[0]}

    def normal(self, seen: Tensor) -> Tensor:
        """What is seen [B, N, SEEN] with mean 0 and spread 1."""
        return (seen - self.encoder.offset) / self.encoder.scale

    def decode(self, seen: Tensor, codes: Tensor) -> Tensor:
        """What is played in `seen` [B, N, SEEN] as codes [B, codes, width] say -> [B, N, SEEN]; all normalised.

        Fingers are told where the wrist was, too.
        """
        played = seen[..., 2 * MOTION :]
        notes, wrist = played.transpose(1, 2), seen[..., own_channels("wrist")].transpose(1, 2)
        parts = []
        for i, (part, decoder) in enumerate(zip(PARTS, self.decoders, strict=True)):
            told = notes if part == "wrist" else torch.cat([notes, wrist], dim=1)
            parts.append(decoder(told, codes[:, i % codes.shape[1]]))
        motion = torch.cat(parts, dim=1)[:, self._back].transpose(1, 2)
        scale, offset = self.encoder.scale, self.encoder.offset
        moved = motion * scale[:MOTION]
        (change,) = torch.gradient(moved, spacing=1.0 / FPS, dim=1)
        change = (change - offset[MOTION : 2 * MOTION]) / scale[MOTION : 2 * MOTION]
        return torch.cat([motion, change, played], dim=2)

    def forward(self, batch: ExcerptPairs) -> Tensor:
        """Each hand's loss [2], the critic's own in it: its gradient reaches the decoders the other way round."""
        parts = self.parts_of_loss(batch)
        loss = parts["motion"] + INFORMATION * parts["information"] + KEPT * parts["kept"] + parts["critic"]
        loss = loss + TOLD * parts["values"] + parts["spied"]
        right = (batch.side == RIGHT).float()
        return torch.stack([_mean(loss, 1 - right), _mean(loss, right)])

    def parts_of_loss(self, batch: ExcerptPairs) -> dict[str, Tensor]:
        """What the loss is made of, [B] each.

        L1 of the normalised motion and its change, nats a code, L1 of codes that are found again, the critic's cross
        entropy, the square error of the style's values, and that of the wrist's as spied in fingers' codes.
        """
        shown, wanted = self.normal(batch.shown), self.normal(batch.wanted)
        mean, log_variance = self.encoder.normalised(shown)
        codes = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        made = self.decode(wanted, codes)
        miss = (made - wanted).abs()
        found = self.critic(_Turned.apply(made, CRITICISM).transpose(1, 2)), self.critic(wanted.transpose(1, 2))
        return {
            "motion": miss[..., :MOTION].mean(dim=(1, 2)) + CHANGES * miss[..., MOTION : 2 * MOTION].mean(dim=(1, 2)),
            "information": 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=2).mean(dim=1),
            "kept": (self.encoder.normalised(made)[0] - codes.detach()).abs().mean(dim=(1, 2)),
            "critic": (F.softplus(found[0]) + F.softplus(-found[1])).mean(dim=(1, 2)),
            **self._values_missed(codes, batch.values),
        }

    def _values_missed(self, codes: Tensor, values: Tensor) -> dict[str, Tensor]:
        """Mean square errors [B] of the values that codes [B, codes, width] tell, and of the wrist's that spies tell.

        0 where none are known. The spies' gradient reaches the encoder the other way round.
        """
        told = torch.cat([to(codes[:, i]) for i, to in enumerate(self.values)], dim=1).view(values.shape)
        missed = {"values": _known_error(told, values)}
        turned = _Turned.apply(codes, FOREIGN)
        spied = [_known_error(spy(turned[:, i])[:, None], values[:, :1]) for i, spy in enumerate(self.spies, 1)]
        missed["spied"] = torch.stack([*spied, torch.zeros_like(missed["values"])]).sum(dim=0)
        return missed


class _Turned(torch.autograd.Function):
    """Hands on a tensor, and its gradient the other way round: what pleases the critic displeases the decoders."""

    @staticmethod
    def forward(context, x: Tensor, weight: float) -> Tensor:
        context.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.weight * gradient, None


def _known_error(told: Tensor, values: Tensor) -> Tensor:
    """Mean square error [B] where values [B, parts, VALUES] are known, 0 where none are."""
    known = values.isfinite()
    miss = torch.where(known, told - values.nan_to_num(), 0.0)
    return (miss**2).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp(min=1)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)
