# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes after the notes, and how long it takes: `.venv/bin/python -m benchmarks.pipeline [--runs 3] [--random]`.

Plays the bundled piece, repeated to --seconds, as the command line does: each run in a fresh process, from MIDI, so
that listening is left out. Medians of the runs, in seconds: "loading" (PyTorch and the model's weights, in a process of
its own; a part of "imagining"), the stages of the report, "after the notes" (imagining and playing) and its ratio to
the target, and with bpy the .blend and .fbx. The pianist alone stands beside the model. --random takes
networks of the small size with random weights instead of the bundled model, --model another folder.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi, write_midi
from s2c_blender.core.notes import Score
from s2c_blender.model.prior import BUNDLED

PIECE = Path(__file__).parents[1] / "demo" / "fur_elise.mid"
TARGET = 12.0  # s for 60 s of music on two cores, contacts included
COLUMNS = ("loading", "reading", "imagining", "playing", "after the notes", "ratio", "blender", "wall")
LOAD = """
import sys, time
begin = time.perf_counter()
from pathlib import Path
from s2c_blender.model.generator import Generator
Generator(Path(sys.argv[1]), device="cpu")
print(time.perf_counter() - begin)
"""


def music(seconds: float) -> Score:
    """The bundled piece, again and again."""
    piece = read_midi(PIECE)
    period = piece.end + 0.5
    starts = np.arange(0.0, seconds, period)
    notes, pedal = np.tile(piece.notes, len(starts)), np.tile(piece.pedal, (len(starts), 1))
    for times in (notes["onset"], notes["offset"]):
        times += np.repeat(starts, len(piece.notes))
    pedal += np.repeat(starts, len(piece.pedal))[:, None]
    return Score(notes, pedal).cut(0.0, seconds)


def run(midi: Path, folder: Path, words: list[str]) -> dict[str, float]:
    """Seconds of one run, by stage."""
    outputs = ["--motion", folder / "x.npz"]
    if find_spec("bpy"):
        outputs += ["--out", folder / "x.blend", "--fbx", folder / "x.fbx"]
    command = [sys.executable, "-m", "s2c_blender", "--quiet", "--audio", midi, *outputs, *words]
    begin = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    wall = time.perf_counter() - begin
    report = json.loads(done.stdout.splitlines()[-1])
    if done.returncode:
        sys.exit(report["error"])
    return {"imagining": 0.0, "blender": 0.0} | report["seconds"] | {"wall": wall}


def loading(model: Path) -> float:
    """Seconds until a fresh Python has the networks."""
    done = subprocess.run([sys.executable, "-c", LOAD, str(model)], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def main() -> None:
    """Parse arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of music (default: 60)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="for the medians (default: 3)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, default=BUNDLED, metavar="FOLDER", help="default: the bundled one")
    which.add_argument("--random", action="store_true", help="the small size with random weights")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _random(folder / "model") if options.random else options.model.absolute()
        midi = folder / "music.mid"
        write_midi(music(options.seconds), midi)
        target = TARGET * options.seconds / 60
        print(f"{options.seconds:.0f} s of music, medians of {options.runs} runs, in seconds\n")
        print("| generator | " + " | ".join(COLUMNS) + " |\n" + "|---" * (1 + len(COLUMNS)) + "|")
        ways = {"model": ["--model", model], "pianist": ["--generator", "pianist"]}
        for generator, words in ways.items():
            runs = []
            for _ in range(options.runs):
                found = run(midi, folder, words)
                found["loading"] = loading(model) if generator == "model" else 0.0
                found["after the notes"] = found["imagining"] + found["playing"]
                found["ratio"] = found["after the notes"] / target
                runs.append(found)
            middle = [statistics.median(found[column] for found in runs) for column in COLUMNS]
            print(f"| {generator} | " + " | ".join(f"{value:.2f}" for value in middle) + " |", flush=True)


def _random(folder: Path) -> Path:
    """A model folder of the small size."""
    from s2c_blender.model.config import small
    from tests.model.tiny_model import write_model

    return write_model(folder, small(), half=True)


if __name__ == "__main__":
    main()
