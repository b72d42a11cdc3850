# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch in a folder of the user: fetched wheel by wheel, there as a whole or not at all, and gone when removed.

FOLDER/cpu-cp311/           packages for sys.path, complete
FOLDER/cpu-cp311.part/      the same while it grows; .unpacked in it lists the wheels that are done
FOLDER/downloads/           the wheel on its way
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from ..errors import ENVIRONMENT, UserError
from ..model.fetch import Checksum, Part, fetch
from ..outputs import check_folder, check_room, one_sentence
from .flavours import Flavour
from .folder import COMPLETE, discard
from .wheel import unpack

UNPACKED = ".unpacked"
OFFLINE = "Blender is set to be offline: allow online access in Preferences > System > Network, then try again."

Tell = Callable[[str, float], None]  # stage, 0 to 1


def install(flavour: Flavour, folder: Path, *, online: bool, on_progress: Tell | None = None) -> Path:
    """Install a flavour below `folder` in the place of another one for the same Python; returns its folder of packages.

    `online`: whether the user allows it (in Blender bpy.app.online_access). on_progress may raise Cancelled; the next
    call goes on where this one stopped. Raises UserError.
    """
    if not online:
        raise UserError(OFFLINE, ENVIRONMENT)
    tell = on_progress or (lambda stage, fraction: None)
    check_folder(folder)
    target, part, downloads = folder / flavour.key, folder / f"{flavour.key}.part", folder / "downloads"
    with one_sentence(folder):
        downloads.mkdir(parents=True, exist_ok=True)
        _forget_others(part, flavour)
        part.mkdir(exist_ok=True)
    done = _unpacked(part)
    there = sum(Part(downloads / wheel.name).size for wheel in flavour.wheels)
    before = sum(wheel.size for wheel in flavour.wheels if wheel.name in done)
    check_room(folder, flavour.size - before - there)
    for wheel in flavour.wheels:
        if wheel.name in done:
            continue
        path = downloads / wheel.name

        def downloading(got: int, _: int | None, before: int = before) -> None:
            tell("downloading", (before + got) / flavour.size)

        fetch(wheel.url, path, size=wheel.size, checksum=Checksum("sha256", wheel.sha256), on_progress=downloading)
        before += wheel.size
        unpack(path, part, lambda _, before=before: tell("unpacking", before / flavour.size))
        with one_sentence(part), (part / UNPACKED).open("a", encoding="utf-8") as record:
            record.write(f"{wheel.name}\n")
        path.unlink(missing_ok=True)
    with one_sentence(target):
        (part / COMPLETE).write_text(json.dumps([wheel.name for wheel in flavour.wheels]), encoding="utf-8")
        for older in folder.glob(f"*-cp{flavour.python.replace('.', '')}"):
            discard(older)  # of another kind, or an earlier version
        part.rename(target)
        (target / UNPACKED).unlink()
    shutil.rmtree(downloads, ignore_errors=True)
    return target


def _unpacked(part: Path) -> set[str]:
    """Names of the wheels that are complete in a growing folder."""
    record = part / UNPACKED
    return set(record.read_text(encoding="utf-8").splitlines()) if record.exists() else set()


def _forget_others(part: Path, flavour: Flavour) -> None:
    """Begin anew where an older version of this flavour was broken off."""
    if not _unpacked(part) <= {wheel.name for wheel in flavour.wheels}:
        shutil.rmtree(part)
