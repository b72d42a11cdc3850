# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights' exponential moving average, which answers better than the weights of any one step."""

import copy

import torch
from torch import nn


def averaged(networks: nn.Module) -> nn.Module:
    """A copy of networks that is not trained, to keep their average in; what they have in `frozen` is shared."""
    shared = {id(part): part for part in getattr(networks, "frozen", ())}
    return copy.deepcopy(networks, shared).requires_grad_(False).eval()


@torch.no_grad()
def average_into(average: nn.Module, networks: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards the weights after step number `step` (from 1).

    The decay begins small, as if over all steps so far, so that random first weights are soon forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for mean, new in zip(average.parameters(), networks.parameters(), strict=True):
        mean.lerp_(new, 1.0 - decay)
