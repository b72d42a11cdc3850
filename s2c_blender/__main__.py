# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m s2c_blender`: see cli.py."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
