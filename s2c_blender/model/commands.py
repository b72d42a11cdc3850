# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's `model` commands: download the published release, import it, say what a model folder holds."""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from math import prod
from pathlib import Path

from .download import fetch_release
from .weights import HANDS, open_hand, packages_told, read_config


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
    info = commands.add_parser("info", help="what a model folder holds")
    info.add_argument("model", type=Path, help="folder of the model")
    return p


def run(arguments: argparse.Namespace, report: dict, tell: Callable[[str, float], None], *, online: bool) -> None:
    """Do what the arguments say and put the results into the report; `online`: whether the network may be used."""
    if arguments.command == "download":
        files = fetch_release(arguments.folder, online=online, on_progress=tell)
        report["outputs"] = {"release": str(arguments.folder.absolute())}
        report["files"] = [str(path.absolute()) for path in files]
        return
    with packages_told():
        if arguments.command == "import":
            from .release import import_release

            import_release(
                arguments.release,
                arguments.model,
                half=arguments.half,
                as_trained=arguments.as_trained,
                on_progress=tell,
            )
            report["outputs"] = {"model": str(arguments.model.absolute())}
        report |= describe(arguments.model)


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
