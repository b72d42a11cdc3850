# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking a wheel into a folder of packages, as pip would, and nothing outside that folder."""

import re
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..outputs import check_room, one_sentence

# Headers and static libraries are for building extensions, and their paths too deep for Windows' 260 letters.
LEFT_OUT = re.compile(r"torch/include/|torch/lib/[^/]+\.lib$|nvidia/([^/]+/)?include/")
NO_NAME = re.compile(r'[\\:*?"<>|\x00-\x1f]')  # on some system


def unpack(wheel: Path, folder: Path, on_progress: Callable[[float], None]) -> None:
    """Unpack a wheel into `folder`; what is there already is written over.

    on_progress (0 to 1) may raise Cancelled. UserError when the wheel is broken, names a file outside the folder (then
    nothing is unpacked), or the disk is full.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            places = [(info, place_of(wheel.name, info)) for info in archive.infolist()]
            wanted = [(info, place) for info, place in places if place]
            total = sum(info.file_size for info, _ in wanted) or 1
            with one_sentence(folder):
                folder.mkdir(parents=True, exist_ok=True)
            check_room(folder, total)
            done = 0
            for info, place in wanted:
                with one_sentence(folder / place):
                    _write(archive, info, folder / place)
                done += info.file_size
                on_progress(done / total)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(f"{wheel.name} is damaged ({error}): download it again.") from error


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if info.external_attr >> 16 & 0o111:
        target.chmod(target.stat().st_mode | 0o755)


def place_of(wheel: str, info: zipfile.ZipInfo) -> PurePosixPath | None:
    """Where in the folder a member belongs, None for those left out; UserError when it is not safe to unpack."""
    place = PurePosixPath(info.filename)
    linked = stat.S_ISLNK(info.external_attr >> 16)
    if linked or place.is_absolute() or any(part == ".." or NO_NAME.search(part) for part in place.parts):
        raise UserError(f"{wheel} names a file outside its folder ({info.filename!r}): nothing of it was unpacked.")
    if info.is_dir() or not place.parts:
        return None
    if place.parts[0].endswith(".data"):  # schemes of the installation; scripts and headers are of no use here
        if len(place.parts) < 3 or place.parts[1] not in ("purelib", "platlib"):
            return None
        place = PurePosixPath(*place.parts[2:])
    if place.parts[1:2] == ("licenses",) and len(place.parts) > 3:  # of what is inside PyTorch: too deep, too
        place = PurePosixPath(*place.parts[:2], f"{info.CRC:08x}-{place.name}")
    return None if LEFT_OUT.match(str(place)) else place
