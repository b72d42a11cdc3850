# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our code against recorded answers of the released S2C code: `python -m tests.parity DIR` checks a folder of them."""
