# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels in the zip: whether they fit this Blender's Python, and what Blender forgets when it removes them."""

import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path


def fit(folder: Path, version: tuple[int, int] = sys.version_info[:2]) -> None:
    """RuntimeError with a sentence for the user when the wheels in `folder` were made for another Python.

    Blender compares platforms and its own version, never Pythons: it would install the extension without its wheels.
    """
    tags = {tag for path in folder.glob("*.whl") for tag in path.stem.split("-")[-3].split(".")}
    ours = sorted(tag for tag in tags if tag.startswith("cp3"))
    mine = f"cp{version[0]}{version[1]}"
    if ours and mine not in ours:
        raise RuntimeError(
            f"This zip of S2C Piano Hands is for Python 3.{ours[0].removeprefix('cp3')}, and this Blender has Python "
            f"{version[0]}.{version[1]}: remove the extension and install the zip whose name ends in -py{mine[2:]}.zip."
        )


def forget_bytecode(folder: Path, paths: Iterable[str] | None = None) -> None:
    """Delete the compiled forms of the single-file modules in the wheels, which Blender does not know of.

    Looked for in those of `paths` (sys.path) where Blender installs wheels. Python makes them again when needed.
    """
    modules = set()
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            modules |= {name.removesuffix(".py") for name in archive.namelist() if "/" not in name}
    for site in [Path(path) for path in (sys.path if paths is None else paths) if ".local" in Path(path).parts]:
        for path in (site / "__pycache__").glob("*.pyc"):
            if path.name.split(".")[0] in modules:
                path.unlink(missing_ok=True)
