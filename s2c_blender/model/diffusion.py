# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The training side of the diffusion: noising, targets and losses (parity facts 6.2 and 6.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import DiffusionConfig
from .hands import Condition, DualStream, SingleStream
from .schedule import make_schedule


class Diffusion(nn.Module):
    """The forward process and the loss of a dual-stream network; its tensors follow `.to(device)`."""

    def __init__(self, config: DiffusionConfig):
        super().__init__()
        self.config = config
        schedule = make_schedule(config.schedule, config.steps)
        for name, values in (
            ("signal", schedule.alpha_bar**0.5),
            ("noise", (1.0 - schedule.alpha_bar) ** 0.5),
            ("weight", schedule.loss_weight(config.prediction, config.weighting)),
        ):
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)

    def noisy(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Motion x0 [B, 2, C, N] after t [B] steps of noise [B, 2, C, N]."""
        return _at(self.signal, t) * x0 + _at(self.noise, t) * noise

    def loss(
        self,
        networks: DualStream | SingleStream,
        x0: Tensor,
        noise: Tensor,
        t: Tensor,
        condition: Condition,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Each hand's loss [2] for clean motion x0 [B, 2, C, N]; the sum of both trains both networks.

        Mean square error of what the network predicts, and of its clean motion's first and second differences over time
        where the configuration weighs them; all weighted by the step. Frames that are not `valid` [B, 2, N] do not
        count; the release counts them all.
        """
        xt = self.noisy(x0, noise, t)
        output = networks(xt, t, condition)
        signal, spread = _at(self.signal, t), _at(self.noise, t)
        if self.config.prediction == "v":
            target, clean = signal * noise - spread * x0, signal * xt - spread * output
        elif self.config.prediction == "x0":
            target, clean = x0, output
        else:
            target, clean = noise, (xt - spread * output) / signal
        loss = _per_hand(output, target, valid)
        for order, weight in ((1, self.config.velocity_weight), (2, self.config.acceleration_weight)):
            if weight:
                known = None if valid is None else valid.unfold(2, order + 1, 1).all(dim=3)
                loss = loss + weight * _per_hand(clean.diff(n=order), x0.diff(n=order), known)
        return (self.weight[t][:, None] * loss).mean(dim=0)


def _at(table: Tensor, t: Tensor) -> Tensor:
    return table[t][:, None, None, None]


def _per_hand(ours: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """Mean square error over channels and valid time, [B, 2]."""
    error = F.mse_loss(ours, target, reduction="none").mean(dim=2)  # [B, 2, N]
    return error.mean(dim=2) if valid is None else (error * valid).sum(dim=2) / valid.sum(dim=2).clamp(min=1)
