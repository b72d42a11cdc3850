# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds of a take and frames of a scene: the one place that divides by a frame rate."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clock:
    """A take on a timeline: `rate` frames a second, time 0 of the take at frame `origin` (both may be fractions)."""

    rate: float
    origin: float = 0.0

    def frame(self, seconds: np.ndarray | float) -> np.ndarray | float:
        """Frame, with its fraction, at a time of the take."""
        return self.origin + seconds * self.rate

    def seconds(self, frame: np.ndarray | float) -> np.ndarray | float:
        """Time of the take at a frame."""
        return (frame - self.origin) / self.rate

    def whole_frames(self, duration: float) -> np.ndarray:
        """The whole frames that cover a take of `duration` seconds, its first and last moment included, int [T]."""
        # A frame that rounding moved by a hair must not add one more frame.
        first = int(np.floor(self.origin + 1e-6))
        last = int(np.ceil(self.frame(duration) - 1e-6))
        return np.arange(first, max(last, first) + 1)
