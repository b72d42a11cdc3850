# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings and MIDI files in, notes out. Needs no Blender; PyTorch only where `transcribe` runs."""
