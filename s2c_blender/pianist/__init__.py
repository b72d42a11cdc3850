# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pianist: notes -> two hands that play them (DESIGN section 4). `perform` is the entry point."""

from .hands import with_hands
from .perform import fingered, perform
from .performer import Performer
from .playable import Report

__all__ = ["Performer", "Report", "fingered", "perform", "with_hands"]
