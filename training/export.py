# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model that a run has learned as a folder to keep: `python -m training.export RUN OUT --precision float16`."""

import argparse
import sys
from pathlib import Path

from s2c_blender.errors import UserError
from s2c_blender.model.weights import HANDS, load_state, read_config, save_model
from training.style_data import style_files
from training.train import MODEL


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description="Store a trained model.")
    parser.add_argument("run", type=Path, help="run of the second stage")
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument("--precision", choices=("float16", "float32"), default="float16")
    given = parser.parse_args(arguments)
    try:
        folder = given.run / MODEL
        config = read_config(folder)
        states = {hand: load_state(folder, hand, "") for hand in HANDS}
        save_model(given.out, config, states, half=given.precision == "float16", copied=style_files(folder, config))
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    size = sum(path.stat().st_size for path in given.out.iterdir()) / 1e6
    print(f"{given.out}: {size:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
