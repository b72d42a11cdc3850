# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn to read styles off motions: `python -m training.likeness FOLDER_OF_MUSIC [--clips 80] [--seed 0]`.

Simulated pianists play short cuts of the music, each hand in a random style mixed part by part from the performers
that are not held out; a ridge regression then tells style values from what is seen. Writes
s2c_blender/pianist/likeness.json and prints how much of each value's variance is told, on every fifth clip left out.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from s2c_blender.core.notes import LEFT, RIGHT, Score
from s2c_blender.core.style import PARTS, vector
from s2c_blender.errors import UserError
from s2c_blender.outputs import whole_file
from s2c_blender.pianist import Performer, perform
from s2c_blender.pianist.likeness import LEARNED, look

from .corpus import Piece, read_pieces
from .performers import random_style

SECONDS = 8.0  # of a clip
RIDGE = 0.3  # of the number of clips


def cut(pieces: list[Piece], rng: np.random.Generator) -> Score:
    """SECONDS of a piece in which both hands have something to do, somewhat faster or slower, louder or softer."""
    for _ in range(10_000):
        score = pieces[rng.integers(len(pieces))].score
        part = score.cut(rng.uniform(0.0, max(score.end - SECONDS, 0.0)), SECONDS)
        if len(part.notes) >= 16 and (part.notes["pitch"] < 60).sum() > 4 and (part.notes["pitch"] >= 60).sum() > 4:
            notes, tempo = part.notes.copy(), rng.uniform(0.8, 1.25)
            notes["onset"], notes["offset"] = notes["onset"] / tempo, notes["offset"] / tempo
            notes["velocity"] = np.clip(notes["velocity"] + rng.integers(-20, 21), 15, 120)
            return Score(notes, part.pedal / tempo)
    raise UserError(f"The music has no {SECONDS:g} s in which both hands have something to play: name more of it.")


def clips(pieces: list[Piece], count: int, seed: int):
    """What is seen, and the style behind it, of `count` clips' hands: (clip, {part: [F]}, Style)."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        styles = random_style(rng), random_style(rng)
        players = tuple(Performer.of(style) for style in styles)
        motion, _ = perform(cut(pieces, rng), performer=players, seed=int(rng.integers(2**31)))
        for side in (LEFT, RIGHT):
            if seen := look(motion, side):
                yield number, seen, styles[side]
        print(f"{number + 1} of {count} clips", end="\r", file=sys.stderr, flush=True)


def fit(seen: np.ndarray, wanted: np.ndarray) -> dict[str, np.ndarray]:
    """Ridge regression from what is seen [S, F] (nan: not seen) to values [S, 9]."""
    mean = np.nanmean(seen, 0)
    spread = np.nanstd(seen, 0) + 1e-6
    x = np.nan_to_num((seen - mean) / spread)
    scale = wanted.std(0) + 1e-9
    y = (wanted - wanted.mean(0)) / scale
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y) * scale
    return {"mean": mean, "spread": spread, "weights": weights, "usual": wanted.mean(0)}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    p = argparse.ArgumentParser(prog="python -m training.likeness", description=__doc__.split(":")[0])
    p.add_argument("music", type=Path, help="the corpus, or a folder of MIDI or MusicXML files")
    p.add_argument("--clips", type=int, default=80)
    p.add_argument("--seed", type=int, default=0)
    arguments = p.parse_args(argv)
    pieces = [piece for piece in read_pieces(arguments.music, print) if piece.split == "train"]
    rows = list(clips(pieces, arguments.clips, arguments.seed))
    numbers = np.array([number for number, _, _ in rows])
    learned = {}
    for part in PARTS:
        seen = np.array([row[part] for _, row, _ in rows])
        wanted = np.array([vector(getattr(style, part)) for _, _, style in rows])
        left_out = numbers % 5 == 0
        trial = fit(seen[~left_out], wanted[~left_out])
        told = np.nan_to_num((seen[left_out] - trial["mean"]) / trial["spread"]) @ trial["weights"] + trial["usual"]
        explained = 1 - ((told - wanted[left_out]) ** 2).mean(0) / wanted[left_out].var(0)
        print(part, "variance told:", explained.round(2).tolist())
        learned[part] = {name: np.round(values, 5).tolist() for name, values in fit(seen, wanted).items()}
    with whole_file(LEARNED) as path:
        path.write_text(json.dumps(learned) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
