# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take while it is being made: its finished windows, which the preview shows on the rig until the take is whole."""

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

UID = "growing"  # stands on the rig where a take's uid stands otherwise


@dataclass
class Growing:
    """What is made so far of a motion whose time 0 lies at scene frame `frame`."""

    frame: float
    seconds: float = 0.0  # how much of it is made
    starts: list[float] = field(default_factory=list)  # s, where each part begins
    parts: list[Path] = field(default_factory=list)  # HandMotion files, there until the job ends

    def add(self, start: float, until: float, part: Path) -> None:
        """The next part, whose time 0 is second `start` of the whole and which ends at second `until`."""
        self.starts.append(start)
        self.parts.append(part)
        self.seconds = until

    def part_at(self, time: float) -> int:
        """Which part plays at a second of the whole; the nearest one before the first and after the last."""
        return max(bisect_right(self.starts, time) - 1, 0)


current: Growing | None = None  # there is one at a time
