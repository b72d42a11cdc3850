# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training and evaluation of the model; not part of the extension, and free to need more than it (scikit-learn)."""
