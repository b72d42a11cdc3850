# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are the S2C release: names alone decide, so that a folder and a listing on the network are read alike."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import UserError

SHOWN = "609000"  # in the names that the release's own infer.py loads (parity fact 9)
CHECKPOINT = re.compile(r"piano2pose-(left|right)-.*\.ckpt")


@dataclass(frozen=True)
class ReleaseFiles:
    """Paths of one pair of checkpoints and of the arguments they were trained with, relative to where they lie."""

    left: PurePosixPath
    right: PurePosixPath
    args: PurePosixPath  # of the gesture stage
    args_posi: PurePosixPath  # of the position stage


def choose(names: Iterable[str]) -> ReleaseFiles:
    """The release among the files `names` (relative, with slashes): infer.py's pair, else that of the lowest loss.

    A pair lies in one folder and is of one iteration. Raises UserError when there is none, or no arguments beside it.
    """
    there = {PurePosixPath(name) for name in names}
    pairs: dict[tuple, dict[str, PurePosixPath]] = defaultdict(dict)
    for path in sorted(there):
        if found := CHECKPOINT.fullmatch(path.name):
            pairs[path.parent, _number("iter", path)][found[1]] = path
    if not pairs:
        raise UserError(
            "There is no S2C release there: choose the folder with piano2pose-left-*.ckpt and piano2pose-right-*.ckpt."
        )
    whole = [pair for pair in pairs.values() if len(pair) == 2]
    if not whole:
        (hand, path), *_ = next(iter(pairs.values())).items()
        other = "right" if hand == "left" else "left"
        raise UserError(f"{path.name} has no file of the {other} hand beside it: both hands are needed.")
    best = min(whole, key=lambda pair: (SHOWN not in pair["left"].name, _number("val_loss", pair["left"])))
    args, args_posi = (best["left"].with_name(name) for name in ("args.txt", "args_posi.txt"))
    for path in (args, args_posi):
        if path not in there:
            raise UserError(f"{path.name} is missing beside {best['left'].name}: keep the release's files together.")
    return ReleaseFiles(best["left"], best["right"], args, args_posi)


def _number(label: str, path: PurePosixPath) -> float:
    """The number after `label=` in a file's name; infinity where there is none."""
    found = re.search(rf"{label}=(\d+(?:\.\d+)?)", path.name)
    return float(found[1]) if found else float("inf")


def find_release(folder: Path) -> dict[str, Path]:
    """The release's files in a folder or below it: "left", "right", "args" and "args_posi" -> path."""
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist: choose the one that holds the release.")
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: folder / path for name, path in vars(choose(names)).items()}
