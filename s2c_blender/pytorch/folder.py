# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that PyTorch is installed into: what is there, and removing it."""

import shutil
from pathlib import Path

from ..errors import ENVIRONMENT, UserError
from ..outputs import one_sentence
from .flavours import PYTHON

COMPLETE = "piano_hands.json"  # in a finished folder of packages: the wheels it was made from


def installed(folder: Path, python: str = PYTHON) -> Path | None:
    """The folder of packages for a Python, None when there is no complete one."""
    for path in sorted(folder.glob(f"*-cp{python.replace('.', '')}/{COMPLETE}")):
        return path.parent
    return None


def remainder(folder: Path) -> bool:
    """Whether anything is there: an installation, or one that was broken off."""
    return folder.is_dir() and any(folder.iterdir())


def remove(folder: Path) -> None:
    """Delete everything that `install` made, for any Python. UserError when something of it is in use."""
    if not folder.exists():
        return
    with one_sentence(folder):
        for path in list(folder.iterdir()):
            discard(path)
        folder.rmdir()


def discard(path: Path) -> None:
    """Delete a folder; it is out of the way at once, or stays whole when a process uses it."""
    gone = path.with_name(f"{path.name}.removed")
    if path.suffix == ".removed":
        gone = path
    else:
        shutil.rmtree(gone, ignore_errors=True)
        try:
            path.rename(gone)
        except OSError as error:
            raise UserError(
                f"{path} is in use: wait until no hands are being made, or start Blender again, and try again.",
                ENVIRONMENT,
            ) from error
    shutil.rmtree(gone)
