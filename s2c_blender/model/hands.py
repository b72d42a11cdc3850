# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands' gesture networks as one: the dual-stream denoiser."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from ..core.notes import LEFT, RIGHT
from .config import GestureConfig, ModelConfig
from .unet import GestureNet


class Condition(NamedTuple):
    """What a window's denoising depends on besides the noisy motion; made once a window."""

    audio: Tensor  # [B, 2, C, N], each hand's refined features, cues and style (GestureNet.refine)
    guide: Tensor  # [B, 2, 6 or 3, N], positions, own hand first


class DualStream(nn.Module):
    """Two one-hand networks of the same shape and different weights, which meet at the bottleneck."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.left, self.right = (GestureNet(config.gesture, config.audio, side) for side in (LEFT, RIGHT))

    def condition(self, features: Tensor, positions: Tensor) -> Condition:
        """features [B, 2, N, F] and positions [B, 2, N, 3] in (-1, 1), a hand each -> what `forward` needs."""
        audio = torch.stack([self.left.refine(features[:, 0]), self.right.refine(features[:, 1])], dim=1)
        return Condition(audio, guide(positions, self.config.gesture))

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Noisy motion x [B, 2, C, N] at steps t [B] -> both networks' predictions [B, 2, C, N]."""
        descents = [
            net.down(x[:, i], t, condition.audio[:, i], condition.guide[:, i])
            for i, net in enumerate((self.left, self.right))
        ]
        return torch.stack([self.left.up(*descents), self.right.up(*reversed(descents))], dim=1)


class SingleStream(nn.Module):
    """The baseline: one network that moves both hands as if they were one with twice the channels. Used as DualStream.

    Its weights are the left hand's, the right hand has none.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        both = replace(config.gesture, channels=2 * config.gesture.outputs, guide="both", wrist=False)
        self.left = GestureNet(both, config.audio, LEFT, heard=2)

    def condition(self, features: Tensor, positions: Tensor) -> Condition:
        """As DualStream's, but for both hands together: audio [B, condition, N], guide [B, 6, N]."""
        heard = torch.cat(features.unbind(1), dim=2)
        return Condition(self.left.refine(heard), guide(positions, self.left.config)[:, 0])

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """As DualStream's."""
        descent = self.left.down(x.flatten(1, 2), t, condition.audio, condition.guide)
        return self.left.up(descent, descent).unflatten(1, (2, -1))


def make_hands(config: ModelConfig) -> DualStream | SingleStream:
    """The gesture networks that a configuration describes, with random weights."""
    return SingleStream(config) if config.gesture.streams == "single" else DualStream(config)


class OnePass:
    """A DualStream's hands through each layer together, their weights stacked: half as many, larger operations.

    It pays where launching operations is what costs: small networks on a GPU (docs/model.md). Same results within
    rounding; for inference, the weights are copied.
    """

    def __init__(self, hands: DualStream):
        self._down, self._up = _Half(hands.left, "down"), _Half(hands.left, "up")
        self._weights, _ = stack_module_state([_Half(hands.left, "down"), _Half(hands.right, "down")])

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """As DualStream's."""
        x, audio, guide = (part.transpose(0, 1) for part in (x, *condition))
        down = torch.vmap(partial(functional_call, self._down), in_dims=(0, (0, None, 0, 0)))
        own = down(self._weights, (x, t, audio, guide))
        other = own._replace(x=own.x.flip(0))  # of the other hand only the bottleneck is looked at
        return torch.vmap(partial(functional_call, self._up))(self._weights, (own, other)).transpose(0, 1)


class _Half(nn.Module):
    """One method of a network as a module of its own, as `functional_call` wants it."""

    def __init__(self, net: GestureNet, method: str):
        super().__init__()
        self.net, self.method = net, method

    def forward(self, *inputs):
        return getattr(self.net, self.method)(*inputs)


def guide(positions: Tensor, config: GestureConfig) -> Tensor:
    """Positions [B, 2, N, 3] -> what each hand is shown of them, [B, 2, 6 or 3, N]: its own first (parity fact 2.2)."""
    channels_first = config.guide_scale * positions.transpose(2, 3)
    return channels_first if config.guide == "own" else torch.cat([channels_first, channels_first.flip(1)], dim=2)
