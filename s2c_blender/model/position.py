# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1, one hand: what is heard -> audio features and the wrist's position (parity facts 3 and 4)."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .encoders import make_encoder
from .layers import Refiner


class PositionNet(nn.Module):
    """Encoder, transformer and head of one hand.

    Input: the window as `features.window_input` gives it, [B, N, NOTE_FEATURES] or normalised audio [B, L].
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        position = config.position
        self.frames = config.window
        self.encoder = make_encoder(config.audio)
        self.mapped = nn.Linear(self.encoder.width, position.width)
        self.transformer = Refiner(position.width, position.refiner)
        # No activation between the two: so is the release.
        self.head = nn.Sequential(nn.Linear(position.width, position.head_hidden), nn.Linear(position.head_hidden, 3))

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """-> features [B, N, F] for the gesture network, position [B, N, 3] in (-1, 1) (scaled by FrameConfig)."""
        features = self.encoder(window, self.frames)
        moved = self.transformer(self.mapped(features))
        kind = moved.device.type
        # Positions in bfloat16 would go in steps of millimetres, so in training the head keeps its weights' precision.
        with torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext():
            return features, torch.tanh(self.head(moved.to(self.head[0].weight.dtype)))
