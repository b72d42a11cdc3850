# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m s2c_blender`: see cli.py."""

import os
import shutil
import sys

from .cli import main


def leave(code: int) -> None:
    """End the process. Blender's module is not cleaned up: 4.2 crashes in that after an export to glTF."""
    if "bpy" not in sys.modules:
        sys.exit(code)
    shutil.rmtree(sys.modules["bpy"].app.tempdir, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
