# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a hand that have styles of their own (DESIGN section 6), as channels of what the networks move."""

from ..core.hand import FINGER_JOINTS
from ..core.style import FINGERS_OF, PARTS
from .config import StyleConfig

WRIST = 48  # first of the three channels after the poses' that tell where the wrist is

# part -> its channels among 48 of the pose, and for the wrist three of its position
CHANNELS: dict[str, list[int]] = {"wrist": [0, 1, 2, WRIST, WRIST + 1, WRIST + 2]} | {
    part: [3 * int(joint) + axis for joint in FINGER_JOINTS[fingers].ravel() for axis in range(3)]
    for part, fingers in FINGERS_OF.items()
}


def codes_of(style: StyleConfig) -> int:
    """How many codes tell the style of one hand."""
    return {"none": 0, "hand": 1, "parts": len(PARTS)}[style.codes]
