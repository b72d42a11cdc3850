# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's `model` commands: download the published release, import it, say what a model folder holds."""

import argparse
import json
from collections import Counter
from math import prod
from pathlib import Path
from typing import Protocol

from .download import fetch_release
from .weights import HANDS, open_hand, packages_told, read_config


class Teller(Protocol):
    """What the command line tells people."""

    def __call__(self, stage: str, fraction: float) -> None:
        """How far a stage is, 0 to 1."""

    def line(self, text: str) -> None:
        """One line."""


def parser(in_blender: bool = False) -> argparse.ArgumentParser:
    """The arguments after `model`."""
    start = "blender -b --command piano_hands" if in_blender else "python -m s2c_blender"
    p = argparse.ArgumentParser(prog=f"{start} model", description="Models that turn music into hands.")
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")
    commands = p.add_subparsers(dest="command", required=True)
    download = commands.add_parser("download", help="fetch the published S2C checkpoints (about 6 GB)")
    download.add_argument("folder", type=Path, help="where to put them; what is there already is kept")
    imported = commands.add_parser("import", help="convert published checkpoints to a model folder, once")
    imported.add_argument("release", type=Path, help="folder of the pair of .ckpt files, args.txt and args_posi.txt")
    imported.add_argument("model", type=Path, help="folder to make; an older model there is replaced")
    imported.add_argument("--half", action="store_true", help="store 16-bit numbers: half the room")
    imported.add_argument(
        "--as-trained", action="store_true", help="without the causal mask that the released code adds when it plays"
    )
    imported.add_argument(
        "--hubert", type=Path, metavar="FOLDER", help="local HuBERT folder for checkpoints that come without it"
    )
    info = commands.add_parser("info", help="what a model folder holds")
    info.add_argument("model", type=Path, help="folder of the model")
    return p


def run(arguments: argparse.Namespace, report: dict, tell: Teller, *, online: bool) -> None:
    """Do what the arguments say and put the results into the report; `online`: whether the network may be used."""
    if arguments.command == "download":
        files = fetch_release(arguments.folder, online=online, on_progress=tell)
        report["outputs"] = {"release": str(arguments.folder.absolute())}
        report["files"] = [str(path.absolute()) for path in files]
        for name in report["files"]:
            tell.line(f"release: {name}")
        return
    with packages_told():
        if arguments.command == "import":
            from .release import import_release

            hubert = {"hubert": arguments.hubert} if arguments.hubert else {}
            import_release(
                arguments.release,
                arguments.model,
                half=arguments.half,
                as_trained=arguments.as_trained,
                on_progress=tell,
                **hubert,
            )
            report["outputs"] = {"model": str(arguments.model.absolute())}
        report |= describe(arguments.model)
    _summary(arguments.model, report, tell)


def _summary(folder: Path, report: dict, tell: Teller) -> None:
    """The report's main figures as lines."""
    tell.line(f"model: {folder.absolute()}")
    for hand, parts in report["parameters"].items():
        tell.line(f"{hand} hand: {parts['total']:,} parameters")
    tell.line(f"stored as {', '.join(report['stored_as'])}, {report['bytes']:,} bytes ({report['bytes'] / 1e9:.2f} GB)")


def describe(folder: Path) -> dict:
    """Configuration, parameters of each hand's parts, type and bytes of a model folder, from the files' beginnings."""
    parameters, stored, size = {}, set(), 0
    for hand in HANDS:
        parts = Counter()
        with open_hand(folder, hand, "numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a dictionary
                tensor = file.get_slice(name)
                parts[".".join(name.split(".")[:2])] += prod(tensor.get_shape())
                stored.add(tensor.get_dtype())
        parameters[hand] = {"total": parts.total(), **dict(sorted(parts.items()))}
        size += (folder / f"{hand}.safetensors").stat().st_size
    return {
        "config": json.loads(read_config(folder).to_json()),
        "parameters": parameters,
        "stored_as": sorted(stored),
        "bytes": size,
    }
