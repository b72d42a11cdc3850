# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand, keyboard, notes, motion and time: NumPy and SciPy only."""
