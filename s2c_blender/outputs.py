# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Output files: checked before the work begins, and whole or absent after it."""

import errno
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BAD_ARGUMENTS, ENVIRONMENT, UserError


def check_writable(path: Path) -> None:
    """UserError unless a file could be written at `path` now."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist: create it, or choose another one.", BAD_ARGUMENTS)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file.", BAD_ARGUMENTS)
    with one_sentence(path), tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"0")


def check_folder(folder: Path) -> None:
    """UserError unless files could be written in `folder` now; it may have to be made first, and is not made here."""
    with one_sentence(folder):
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise UserError(f"{there} is a file: give the name of a folder.", BAD_ARGUMENTS)
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")


def check_room(folder: Path, needed: int) -> None:
    """UserError unless the disk of `folder` has `needed` bytes left."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise UserError(
            f"The disk is full: {needed / 1e9:.2f} GB are needed in {folder}, where {free / 1e9:.2f} GB are free.",
            ENVIRONMENT,
        )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; the file written there takes `path`'s place when all is well."""
    path = path.absolute()
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with one_sentence(path):
            yield part
            if not part.exists():
                raise UserError(f"{path.name} could not be written: is the disk full?", ENVIRONMENT)
            part.replace(path)
    finally:
        for left in path.parent.glob(
            f"{glob.escape(part.name)}*"
        ):  # Blender's own temporary files begin with the same name
            left.unlink(missing_ok=True)


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write `path` into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(write_failed(path, error), ENVIRONMENT) from error


def blender_failed(path: Path, error: RuntimeError) -> UserError:
    """The error for a file that one of Blender's operators could not write; their exporters put a traceback in it."""
    number = re.search(r"\[Errno (\d+)\]", str(error))
    if number:
        return UserError(write_failed(path, OSError(int(number[1]), os.strerror(int(number[1])))), ENVIRONMENT)
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Location:")]
    return UserError(f"{path} could not be written ({lines[-1].removeprefix('Error: ')}).", ENVIRONMENT)


def write_failed(path: Path | str, error: OSError) -> str:
    """The sentence for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full: free some space to write {path}."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path} cannot be written, its folder or the file is read-only: choose another folder."
    return f"{path} could not be written ({error.strerror or error}): choose another folder."
