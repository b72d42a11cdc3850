# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The S2C model: position predictors, dual-stream gesture diffusion, samplers, checkpoints.

Networks need PyTorch; schedules, samplers, windows, features and calibration are NumPy: any backend can use them.
"""
