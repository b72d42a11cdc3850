# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many keys reduced curves keep and what they press: `.venv/bin/python -m benchmarks.reduction` prints the table.

Plays the first minute of the pieces of benchmarks.pianist. Distances are of the curves at frames and half frames from
curves keyed at every frame; presses are heard at 240 Hz, from both.
"""

import time

import numpy as np

from benchmarks.pianist import pieces
from s2c_blender.core import metrics, reduction
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.core.timing import Clock
from s2c_blender.pianist import perform
from tests.core.test_reduction import bones, channels_of, evaluate, exact_of, moved, pads_of, share

RATES = (24.0, 30.0, 60.0)
SECONDS = 60.0


def main() -> None:
    """Print the table."""
    print("| piece | fps | keys kept | F1 before | F1 after | wrong before | wrong after | farthest mm | ms/s |")
    print("|---" * 9 + "|")
    for name, score in pieces().items():
        motion = perform(score.cut(0.0, SECONDS), fps=60)[0]
        for rate in RATES:
            clock = Clock(rate, 1.0)
            frames = clock.whole_frames(motion.duration).astype(float)
            times = np.arange(0, motion.duration, 1 / metrics.RATE)
            places = np.clip(clock.frame(times) - frames[0], 0, len(frames) - 1)
            pads, kept, far, spent = ([], []), [], 0.0, 0.0
            for side in (LEFT, RIGHT):
                channels, exact = channels_of(motion, side, clock, frames), exact_of(motion, side, clock, frames)
                began = time.process_time()
                keys = reduction.reduced(channels, bones(side), exact)
                spent += time.process_time() - began
                kept.append(share(keys, len(frames)))
                far = max(far, moved(side, channels, keys, np.arange(2 * len(frames) - 1) / 2)[1].max())
                for found, curves in zip(pads, (reduction.every_frame(channels), keys), strict=True):
                    found.append(pads_of(side, evaluate(curves, places))[1])
            before, after = (
                metrics.accuracy(metrics.presses_by_hands(times, np.stack(found, axis=1)), motion.notes)
                for found in pads
            )
            print(
                f"| {name} | {rate:.0f} | {np.mean(kept):.1%} | {before.f1:.4f} | {after.f1:.4f} | {len(before.wrong)} "
                f"| {len(after.wrong)} | {far * 1e3:.3f} | {spent / motion.duration * 1e3:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
