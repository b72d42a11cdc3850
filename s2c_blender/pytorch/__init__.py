# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch for the worker: found in some Python, or installed into a folder of the user. Needs no bpy and no PyTorch."""
