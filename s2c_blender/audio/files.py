# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reading a sound and reading a MIDI file have in common."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import UserError


def checked_file(path: str | Path) -> Path:
    """The path of a file with something in it; UserError when there is none."""
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; choose an audio or MIDI file.")
        if not path.exists():
            raise UserError(f"{path} does not exist; check the path.")
        with path.open("rb") as file:
            if not file.read(1):
                raise UserError(f"{path.name} is empty (0 bytes); choose another file.")
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror or error}).") from error
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name only when it is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
