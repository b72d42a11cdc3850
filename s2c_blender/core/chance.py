# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far performances of different seeds differ."""

import numpy as np


def mixed(common: np.ndarray, own: np.ndarray, creativity: float) -> np.ndarray:
    """Noise [...] of unit variance for a seed, from noise that all seeds have in common and the seed's own.

    creativity 0..1: two seeds' mixtures correlate by 1 - creativity^2, and so differ in proportion to it.
    """
    return (1.0 - creativity**2) ** 0.5 * common + creativity * own


class Whim:
    """What a hand does without the music asking for it: normal noise, drawn as from NumPy's Generator."""

    def __init__(self, seed: int, side: int, creativity: float = 1.0):
        self._own = np.random.default_rng([seed, side])
        self._common = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(side,)))  # apart from every seed's
        self._creativity = creativity

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Noise of unit variance [shape]."""
        return mixed(self._common.standard_normal(shape), self._own.standard_normal(shape), self._creativity)
