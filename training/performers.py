# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated pianists of different schools, whose motion the model learns from.

Each is told part by part, since a school shows differently in wrist, thumb, strong fingers (index and middle) and weak
ones (ring and little): height, curvature, lift, speed of the strike, sway, bounce, and what loudness and tempo change.
"""

from dataclasses import dataclass

import numpy as np

from s2c_blender.pianist import Performer
from s2c_blender.pianist.kinematics import DOF


@dataclass(frozen=True)
class Part:
    """How a thumb or a pair of fingers plays; the defaults are `Performer`'s."""

    curve: tuple[float, float]  # degrees: MCP and PIP flexion at rest, the thumb's last two joints
    lift: tuple[float, float, float] = (10, 10, 10)  # mm before a stroke, more of it when loud, and when fast
    hover: float = 11  # mm above the keys when idle
    strike: tuple[float, float] = (85, 35)  # ms from the top of the key to its bottom, pp and ff
    wander: float = 0.25  # slow variation of the posture, in its spreads


@dataclass(frozen=True)
class Wrist:
    """How wrist and arm move; the defaults are `Performer`'s."""

    height: float = 62  # mm
    pitch: float = 4  # degrees, fingers' end up
    roll: float = 4  # degrees, towards the little finger
    sway: float = 0  # mm
    bounce: tuple[float, float] = (0, 0)  # mm, and more of it when loud
    elbow: tuple[float, float] = (0.27, 0.55)  # m to the side, share of the hand's way that it goes too
    wander: float = 0.25


def _performer(wrist: Wrist, thumb: Part, strong: Part, weak: Part) -> Performer:
    """`strong` are index and middle finger, `weak` ring and little."""
    parts = (thumb, strong, strong, weak, weak)
    differences = np.array([[2, -2, -1], [0, 2, 1], [-2, 3, 4], [-5, -3, -4]])  # spread, MCP, PIP within the pairs
    curves = np.array([[0, *part.curve] for part in parts[1:]])
    lifts = 1e-3 * np.array([part.lift for part in parts])
    wander = np.concatenate([np.full(6, wrist.wander), np.full(4, thumb.wander), np.full(6, strong.wander)])
    return Performer(
        thumb=np.radians([-8, 0, *thumb.curve]),
        fingers=np.radians(curves + differences),
        wrist_height=1e-3 * wrist.height,
        wrist_pitch=np.radians(wrist.pitch),
        wrist_roll=np.radians(wrist.roll),
        elbow_side=wrist.elbow[0],
        elbow_follow=wrist.elbow[1],
        wander=np.concatenate([wander, np.full(DOF - len(wander), weak.wander)]),
        sway=1e-3 * wrist.sway,
        bounce=1e-3 * wrist.bounce[0],
        bounce_loud=1e-3 * wrist.bounce[1],
        lift=lifts[:, 0],
        lift_loud=lifts[:, 1],
        lift_fast=lifts[:, 2],
        hover=1e-3 * np.array([part.hover for part in parts]),
        strike_time=1e-3 * np.array([part.strike for part in parts]),
    )


PERFORMERS: dict[str, Performer] = {
    # Relaxed and rather economical, all parts alike: the pianist that s2c_blender plays with by itself.
    "classical": Performer(),
    # Long flat fingers over a low wrist that hangs below the knuckles; small soft strokes with the fingers' pulp.
    "flat": _performer(
        Wrist(height=40, pitch=7, sway=3, bounce=(1, 2)),
        Part((4, 4), lift=(7, 6, 6), hover=9),
        Part((11, 14), lift=(8, 8, 7), hover=9, strike=(95, 42)),
        Part((9, 13), lift=(7, 6, 6), hover=10, strike=(100, 45)),
    ),
    # Old school of the high finger: a still, level hand, every finger lifted far and struck quickly like a hammer.
    "hammer": _performer(
        Wrist(height=64, pitch=3, roll=1, wander=0.1, elbow=(0.27, 0.7)),
        Part((10, 20), lift=(14, 12, 6), hover=15, strike=(60, 26), wander=0.12),
        Part((7, 52), lift=(26, 14, 6), hover=24, strike=(55, 24), wander=0.12),
        Part((5, 48), lift=(22, 10, 5), hover=23, strike=(60, 26), wander=0.12),
    ),
    # Arm weight: loose wrist that sinks with every tone and floats up after it; fingers do little, strokes are slow.
    "armweight": _performer(
        Wrist(height=64, pitch=4, sway=5, bounce=(11, 14), wander=0.4, elbow=(0.32, 0.45)),
        Part((8, 12), lift=(7, 10, 4), hover=10, strike=(100, 42)),
        Part((22, 36), lift=(8, 12, 4), hover=11, strike=(100, 42)),
        Part((20, 30), lift=(7, 10, 4), hover=11, strike=(105, 45)),
    ),
    # Close to the keys: nothing moves more than it must, whatever the loudness or the tempo.
    "economical": _performer(
        Wrist(height=56, pitch=5, wander=0.12),
        Part((8, 12), lift=(5, 2, 2), hover=7, strike=(80, 40), wander=0.12),
        Part((20, 40), lift=(5, 2, 2), hover=7, strike=(80, 40), wander=0.12),
        Part((20, 36), lift=(5, 2, 2), hover=7, strike=(85, 42), wander=0.12),
    ),
    # Strongly curved fingers that stand on their tips under a high arch; crisp strokes, thumb bent inwards.
    "curved": _performer(
        Wrist(height=66, pitch=7, bounce=(2, 3)),
        Part((14, 28), lift=(9, 8, 8), hover=10, strike=(70, 30)),
        Part((26, 62), lift=(12, 10, 10), hover=12, strike=(65, 28)),
        Part((24, 56), lift=(11, 9, 9), hover=12, strike=(70, 30)),
    ),
    # Lyrical: the wrist draws wide curves around long fingers, elbow far out and going along, slow key descents.
    "lyrical": _performer(
        Wrist(height=62, pitch=2, roll=6, sway=14, bounce=(5, 5), wander=0.5, elbow=(0.36, 0.35)),
        Part((6, 6), lift=(8, 6, 8), hover=12, strike=(120, 50), wander=0.4),
        Part((15, 24), lift=(11, 6, 10), hover=13, strike=(120, 50), wander=0.4),
        Part((12, 18), lift=(10, 6, 10), hover=17, strike=(125, 52), wander=0.45),
    ),
    # High wrist from which the fingers hang down to the keys; thumb and little finger lie light, little bounce.
    "highwrist": _performer(
        Wrist(height=102, pitch=-7, roll=3, sway=2, bounce=(2, 2)),
        Part((2, 6), lift=(9, 8, 9), hover=12),
        Part((30, 34), lift=(11, 10, 10), hover=13),
        Part((28, 28), lift=(10, 9, 9), hover=14),
    ),
    # Percussive: hard fast strokes from the wrist, much more of everything when it is loud; fingers firm and round.
    "percussive": _performer(
        Wrist(height=66, pitch=3, roll=2, bounce=(7, 22), wander=0.15, elbow=(0.30, 0.6)),
        Part((10, 16), lift=(9, 16, 6), hover=12, strike=(60, 22), wander=0.15),
        Part((22, 48), lift=(10, 22, 6), hover=13, strike=(58, 20), wander=0.15),
        Part((20, 44), lift=(9, 18, 6), hover=13, strike=(60, 22), wander=0.15),
    ),
    # Strong thumb and first fingers, and a little finger held up and nearly straight: a self-taught pop player's hand.
    "pop": _performer(
        Wrist(height=60, pitch=5, roll=0, sway=4, bounce=(4, 8), wander=0.35),
        Part((10, 14), lift=(12, 14, 8), hover=14, strike=(75, 32)),
        Part((20, 38), lift=(13, 12, 10), hover=11, strike=(75, 32)),
        Part((10, 14), lift=(14, 8, 10), hover=24, strike=(90, 38), wander=0.35),
    ),
    # Virtuoso: quick light fingers that rise with the tempo, thumb kept close below a quiet, slightly high hand.
    "virtuoso": _performer(
        Wrist(height=70, pitch=2, sway=5, bounce=(2, 6), elbow=(0.24, 0.65)),
        Part((6, 14), lift=(6, 8, 8), hover=8, strike=(70, 28)),
        Part((24, 44), lift=(9, 10, 16), hover=12, strike=(65, 26)),
        Part((22, 40), lift=(10, 10, 16), hover=14, strike=(68, 27)),
    ),
    # Low and heavy: wrist below the keys' height, thumb carried high, ring and little finger curled in.
    "heavy": _performer(
        Wrist(height=48, pitch=12, roll=6, sway=3, bounce=(6, 6), wander=0.3),
        Part((4, 10), lift=(14, 8, 6), hover=18, strike=(95, 36)),
        Part((18, 36), lift=(9, 8, 6), hover=11, strike=(95, 36)),
        Part((26, 52), lift=(8, 7, 5), hover=11, strike=(100, 38)),
    ),
    # Dancing: light staccato hand, every tone throws wrist and fingers up, everything higher when it gets faster.
    "dancing": _performer(
        Wrist(height=72, pitch=0, roll=3, sway=8, bounce=(9, 6), wander=0.3, elbow=(0.22, 0.5)),
        Part((8, 8), lift=(13, 6, 14), hover=16, strike=(65, 30)),
        Part((14, 30), lift=(17, 6, 16), hover=19, strike=(65, 30)),
        Part((10, 24), lift=(17, 6, 16), hover=24, strike=(68, 31)),
    ),
}

HELD_OUT = ("percussive", "virtuoso")  # their motion goes to the test split only
