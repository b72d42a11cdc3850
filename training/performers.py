# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who plays in the simulated data: the performers of core/style.py, and hands that are mixed of them part by part."""

import numpy as np

from s2c_blender.core.style import PARTS, PERFORMERS, Style, mixed

HELD_OUT = ("percussive", "virtuoso")  # performers whose motion goes to the test split only
KNOWN = tuple(name for name in PERFORMERS if name not in HELD_OUT)
MIXED = "mixed"  # the performer in the names of clips in which each part of each hand moves in a style of its own


def styles_of(performer: str, rng: np.random.Generator) -> tuple[Style, Style]:
    """The left and the right hand's style of a performer; MIXED: random ones."""
    if performer == MIXED:
        return random_style(rng), random_style(rng)
    return PERFORMERS[performer], PERFORMERS[performer]


def random_style(rng: np.random.Generator) -> Style:
    """Each part between two performers, more or less of them, with more or less response to the music."""
    shares = {}
    for part in PARTS:
        one, other = rng.choice(KNOWN, 2, replace=False)
        share, strength = rng.random(), rng.uniform(0.6, 1.3)
        shares[part] = {one: strength * share, other: strength * (1 - share)}
    return mixed(shares, rng.uniform(0.5, 1.5))
