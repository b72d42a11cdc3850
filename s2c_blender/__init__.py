# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a piano recording to two playing hands: `generate` is the one entry point, `blender/` the only bpy."""

__version__ = "0.1.0"
