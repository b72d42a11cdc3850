# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pianist plays and how fast: `.venv/bin/python -m benchmarks.pianist` prints docs/pianist.md's table.

Plays the bundled piece and, where the shared/ folder lies beside the clone, its four labelled recordings in full. Pads
are read at 240 Hz. Speed is the median of three runs.
"""

import json
import statistics
import time
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi
from s2c_blender.core import metrics
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.pianist import perform
from tests.pianist.music import sampled

REPO = Path(__file__).parents[1]
RUNS = 3
COLUMNS = (
    "f1_asked",
    "wrong_asked",
    "f1",
    "wrong_per_minute",
    "contact_mean_mm",
    "contact_p95_mm",
    "limit_excess_deg",
    "finger_depth_mm",
)


def pieces() -> dict[str, Score]:
    """The music by name."""
    found = {"fur_elise (bundled)": read_midi(REPO / "demo" / "fur_elise.mid")}
    for file in sorted((REPO.parent / "shared" / "audio").glob("*.json")):
        data = json.loads(file.read_text())
        fields = [[note[key] for note in data["notes"]] for key in ("onset", "offset", "pitch", "velocity")]
        found[file.stem] = Score(make_notes(*fields), np.array(data["pedal"]).reshape(-1, 2))
    return found


def main() -> None:
    """Print the table."""
    print("| piece | s | played / asked | " + " | ".join(COLUMNS) + " | x real time |")
    print("|---" * (4 + len(COLUMNS)) + "|")
    for name, score in pieces().items():
        seconds = []
        for _ in range(RUNS):
            start = time.perf_counter()
            motion, report = perform(score)
            seconds.append(time.perf_counter() - start)
        times, pads = sampled(motion)
        found = metrics.summary(times, pads, None, motion)
        asked = metrics.accuracy(metrics.presses_by_hands(times, pads), score.notes)
        found |= {"f1_asked": asked.f1, "wrong_asked": len(asked.wrong) / motion.duration * 60}
        figures = " | ".join(f"{found[column]:.3f}" for column in COLUMNS)
        speed = motion.duration / statistics.median(seconds)
        played = f"{report.notes_played} / {report.notes_found}"
        print(f"| {name} | {motion.duration:.0f} | {played} | {figures} | {speed:.1f} |", flush=True)


if __name__ == "__main__":
    main()
