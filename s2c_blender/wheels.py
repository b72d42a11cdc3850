# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender forgets when it removes the zip's wheels."""

import contextlib
import sys
import zipfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

WHEELS = Path(__file__).parents[1] / "wheels"


def forget_bytecode(folder: Path = WHEELS, paths: Iterable[str] | None = None) -> None:
    """Delete the compiled forms of the single-file modules in the folder's wheels, of which Blender does not know.

    Looked for in those of `paths` (sys.path) where Blender installs wheels. Python makes them again when needed.
    """
    modules = set()
    for wheel in folder.glob("*.whl"):
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(wheel) as archive:
            modules |= {name.removesuffix(".py") for name in archive.namelist() if "/" not in name}
    for site in map(Path, sys.path if paths is None else paths):
        if ("extensions", ".local") not in pairwise(site.parts):
            continue
        for path in (site / "__pycache__").glob("*.pyc"):
            if path.name.split(".")[0] in modules:
                with contextlib.suppress(OSError):  # in use
                    path.unlink(missing_ok=True)
