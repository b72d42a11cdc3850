# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fresh and a kept worker take, and batches of short files: `.venv/bin/python -m benchmarks.worker`.

A MIDI file of four notes, from the order to the first stage and to the written motion, with the gesture model and by
the pianist alone, each generator in a process that is fresh and then in the same one again: medians of the rounds.
Then --files such files as a batch, motion only, with one and two workers and once more when all is done.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import get_args

from s2c_blender.audio.midi import write_midi
from s2c_blender.core.notes import Score
from s2c_blender.job import Generator, Job
from s2c_blender.worker import Worker, end_idle

from .pipeline import music


def four_notes(path: Path, first: int = 0) -> Path:
    """Four notes of the bundled piece, from its note number `first` on."""
    notes = music(20.0).notes[first : first + 4].copy()
    for times in (notes["onset"], notes["offset"]):
        times -= notes["onset"].min()
    write_midi(Score(notes), path)
    return path


def served(job: Job, folder: Path) -> tuple[float, float]:
    """Seconds from the order until the first stage begins, and until the motion is written."""
    stages: list[float] = []
    begin = time.perf_counter()
    worker = Worker(job, folder / "motion.npz")
    worker.wait(lambda stage, fraction: stages.append(time.perf_counter() - begin))
    return stages[0], time.perf_counter() - begin


def batch(songs: Path, out: Path, workers: int, generator: str) -> float:
    """Seconds of a batch; exits when one of its jobs fails."""
    words = ["--batch", songs, "--out-dir", out, "--kinds", "motion", "--workers", workers, "--generator", generator]
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "s2c_blender", "--quiet", *map(str, words)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - begin


def main() -> None:
    """Parse arguments and print a JSON line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=8, help="of the batch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="piano-hands-") as name:
        folder = Path(name)
        for generator in get_args(Generator):
            job, rounds = Job(str(four_notes(folder / "four.mid")), generator=generator, device="cpu"), []
            for _ in range(arguments.rounds):
                end_idle()
                rounds.append((*served(job, folder), *served(job, folder)))
            columns = ("fresh, first stage", "fresh, all", "kept, first stage", "kept, all")
            seconds = (round(median(column), 2) for column in zip(*rounds, strict=True))
            print(json.dumps({"generator": generator} | dict(zip(columns, seconds, strict=True))), flush=True)
        end_idle()
        songs = folder / "songs"
        songs.mkdir()
        for n in range(arguments.files):
            four_notes(songs / f"{n}.mid", n)
        for generator in get_args(Generator):
            for workers in (1, 2):
                outs = [folder / f"{generator}-{workers}-{n}" for n in range(arguments.rounds)]
                taken = [batch(songs, out, workers, generator) for out in outs]
                line = {"generator": generator, "workers": workers, "seconds": [round(s, 1) for s in taken]}
                line |= {"jobs a minute": round(60 * arguments.files / median(taken), 1)}
                print(json.dumps(line | {"all skipped, s": round(batch(songs, outs[-1], workers, generator), 2)}))


if __name__ == "__main__":
    main()
