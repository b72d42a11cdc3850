# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a gesture model's motion is left after the keys were reached.

    .venv/bin/python -m benchmarks.following                  # a perfect model: the simulated performers' own motion
    .venv/bin/python -m benchmarks.following RAW.npz HANDS.npz  # what --raw and --motion of one command wrote

Prints a Markdown table. Angles are those between the joints' rotations relative to their parents, at the raw motion's
frames: means over the wrist, over the joints of fingers that have no key to strike, and of those that have one.
"kept" is the part of the idle fingers' movement that survives: how fast they turn, on average, over how fast they turn
in the raw motion. For the simulated performers the pianist alone stands beside it: what is the same for both was never
the model's.
"""

import sys
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi
from s2c_blender.core import curves
from s2c_blender.core.hand import FINGER_JOINTS
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.pianist import perform

BEFORE, AFTER = 0.30, 0.10  # s around a stroke in which a finger is not idle
PIECE, SECONDS = Path(__file__).parents[1] / "demo" / "fur_elise.mid", 14.0
COLUMNS = ("wrist, mm", "wrist, degrees", "idle fingers, degrees", "busy fingers, degrees", "kept")


def following(raw: HandMotion, played: HandMotion) -> dict[str, float]:
    """How far `played` is from the motion it followed, by COLUMNS; `played` says which finger strikes when."""
    times = np.arange(len(raw.left_position)) / raw.fps
    times = times[times <= played.duration]
    found: dict[str, list[np.ndarray]] = {column: [] for column in COLUMNS}
    moved: list[np.ndarray] = []  # how far idle fingers turn from frame to frame, in both: [2, n]
    for side in (LEFT, RIGHT):
        position, rotation = (values[: len(times)] for values in raw.hand(side))
        own_position, own_rotation = played.hand(side)
        wanted = curves.quaternions(rotation)
        got = curves.sample_rotations(own_rotation, played.fps, times)
        off = _angles(wanted, got)  # [T, 16]
        turned = np.stack([_angles(q[1:], q[:-1]) for q in (wanted, got)])  # [2, T - 1, 16]
        distance = np.linalg.norm(curves.sample(own_position, played.fps, times) - position, axis=-1)
        found["wrist, mm"].append(1000 * distance)
        found["wrist, degrees"].append(off[:, 0])
        idle = _idle(played, side, times)
        for finger, joints in enumerate(FINGER_JOINTS):
            found["idle fingers, degrees"].append(off[idle[:, finger]][:, joints].ravel())
            found["busy fingers, degrees"].append(off[~idle[:, finger]][:, joints].ravel())
            still = idle[1:, finger] & idle[:-1, finger]
            moved.append(turned[:, still][:, :, joints].reshape(2, -1))
    means = {column: float(np.concatenate(parts).mean()) for column, parts in found.items() if parts}
    before, after = np.concatenate(moved, axis=1).mean(1)
    return means | {"kept": float(after / max(before, 1e-9))}


def _angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles [...] in degrees between rotations, as quaternions [..., 4]."""
    return np.degrees(np.linalg.norm(curves.rotvec(curves.multiply(curves.conjugate(a), b)), axis=-1))


def _idle(motion: HandMotion, side: int, times: np.ndarray) -> np.ndarray:
    """Which fingers of a hand have no key to strike [T, 5]."""
    idle = np.ones((len(times), 5), bool)
    mine = motion.notes["hand"] == side
    for note, (down, _, _, up) in zip(motion.notes[mine], motion.keys[mine], strict=True):
        idle[(times > down - BEFORE) & (times < up + AFTER), note["finger"]] = False
    return idle


def main() -> None:
    """Print the table."""
    print("| motion | " + " | ".join(COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    if sys.argv[1:]:
        raw, played = (HandMotion.load(path) for path in sys.argv[1:])
        _row("given", following(raw, played))
        return
    from s2c_blender.core.style import PERFORMERS
    from s2c_blender.pianist import Performer
    from training.performers import HELD_OUT

    score = read_midi(PIECE).cut(0.0, SECONDS)
    alone = perform(score, seed=1)[0]
    for name in HELD_OUT:
        raw = perform(score, performer=Performer.of(PERFORMERS[name]), fps=30, seed=2)[0]
        _row(name, following(raw, perform(score, prior=raw, seed=1)[0]))
        _row(f"{name}, beside the pianist alone", following(raw, alone))


def _row(name: str, figures: dict[str, float]) -> None:
    print(f"| {name} | " + " | ".join(f"{figures[column]:.2f}" for column in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    main()
