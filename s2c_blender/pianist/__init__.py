# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pianist: notes -> two hands that play them (DESIGN section 4). Entry points: `perform`, `reperform` (a part)."""

from .again import reperform
from .hands import with_hands
from .perform import TAIL, fingered, perform
from .performer import Performer
from .playable import Report

__all__ = ["TAIL", "Performer", "Report", "fingered", "perform", "reperform", "with_hands"]
