# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fingers may have struck which notes: what calibration.py needs to know about hands, keys and strokes.

Everything is in "seen" axes: the piano's axes if the camera looked straight down, wrists in camera units, fingertips
relative to their wrist in metres (our hand's size is known, the camera's unit is not).
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from ..core import hand, keyboard
from ..core.notes import LEFT, RIGHT
from .camera import Camera, to_piano
from .mano import Mano

TOGETHER = 0.04  # s within which notes are one chord
HOLD = 0.2  # s after the onset during which the finger surely rests on its key, if the note lasts
BEFORE = 0.12  # s before the onset when the finger is still up
MOST = 3000  # chords looked at; from longer music as many are taken, evenly spread

# Where fingertips rest on held keys, thumb .. little, on white and on black keys: depth from the keyboard's front edge
# and its standard deviation. Measured on our own pianist playing 16 pieces of the corpus; a player's own habit may
# differ by HABIT (per colour and finger), which the calibration estimates too.
DEPTH = np.array([[0.011, 0.041, 0.041, 0.039, 0.028], [0.056, 0.063, 0.066, 0.063, 0.059]])
DEPTH_SPREAD = np.array([[0.006, 0.012, 0.012, 0.012, 0.008], [0.005, 0.005, 0.005, 0.005, 0.005]])
HABIT = np.array([[0.003, 0.006, 0.006, 0.006, 0.004], [0.002, 0.003, 0.003, 0.003, 0.003]])
ASIDE, ABOVE = 0.005, 0.003  # standard deviations along x and z, m
INWARD = np.array([0.055, 0.035])  # hands open no more than they must: part of the reach by which the key is met nearer
SUNK = 0.85  # of the key's dip, on average over HOLD


@dataclass(frozen=True)
class Seen:
    """What the hands did at each of G chords (notes struck together)."""

    time: np.ndarray  # [G] s
    frames: np.ndarray  # [G] number of frames averaged
    wrist: np.ndarray  # [G, 2, 3] camera units, left then right, mean over the frames
    reach: np.ndarray  # [G, 2, 5, 3] m, pads minus wrist, thumb .. little, mean over the frames
    fall: np.ndarray  # [G, 2, 5] m, how far each fingertip went up before the onset, compared with its hand (< 0: down)
    pitches: list[np.ndarray]  # MIDI numbers of each chord, rising
    upside_down: bool  # the fingers point to the bottom of the picture


def look(hands: tuple, fps: float, notes: np.ndarray, mano: Mano) -> Seen:
    """Read the hands (left, right: translation [N, 3] and pose [N, 48]) where the notes (NOTE array) begin."""
    wrist, pads, forward = [], [], 0.0
    for side in (LEFT, RIGHT):
        position, rotation = to_piano(*hands[side], Camera(), side, mano)
        heads, tips, _ = hand.forward_kinematics(position, rotation, left=side == LEFT)
        wrist.append(position)
        pads.append(tips - position[:, None])
        forward += (heads[:, hand.JOINTS.index("middle1"), 1] - position[:, 1]).mean() if len(position) else 0.0
    turn = np.array([-1.0, -1.0, 1.0]) if forward < 0 else np.ones(3)
    wrist, pads = np.stack(wrist, 1) * turn, np.stack(pads, 1) * turn  # [N, 2, 3], [N, 2, 5, 3]
    chords = _chords(notes[notes["onset"] * fps <= len(wrist) - 1])
    onset = np.array([chord["onset"].mean() for chord in chords])
    release = np.array([chord["offset"].min() for chord in chords])
    first = np.round(onset * fps).astype(int)
    last = np.clip(np.round(np.minimum(onset + HOLD, release) * fps).astype(int), first, len(wrist) - 1)
    raised = np.maximum(np.round((onset - BEFORE) * fps).astype(int), 0)
    struck = np.minimum(first + 1, len(wrist) - 1)
    fall = (pads[struck] - pads[raised])[..., 2]
    return Seen(
        time=onset,
        frames=last - first + 1.0,
        wrist=_means(wrist, first, last),
        reach=_means(pads, first, last),
        fall=fall - fall.mean(-1, keepdims=True),
        pitches=[np.unique(chord["pitch"]).astype(int) for chord in chords],
        upside_down=bool(forward < 0),
    )


def _chords(notes: np.ndarray) -> list[np.ndarray]:
    """Notes struck together; more than two hands can strike are left out, and of very long music all but MOST."""
    notes = np.sort(notes, order="onset")
    chords, start = [], 0
    for i in range(1, len(notes) + 1):
        if i == len(notes) or notes["onset"][i] - notes["onset"][start] > TOGETHER:
            chords.append(notes[start:i])
            start = i
    chords = [chord for chord in chords if len(np.unique(chord["pitch"])) <= 10]
    return [chords[i] for i in np.linspace(0, len(chords) - 1, min(len(chords), MOST)).astype(int)]


def _means(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Means over the frames first..last (each [G]) of values [N, ...]."""
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    count = (last - first + 1).reshape(-1, *[1] * (values.ndim - 1))
    return (total[last + 1] - total[first]) / count


@dataclass(frozen=True)
class Guesses:
    """Every way in which one hand may have struck the lowest (left) or highest (right) notes of a chord: R rows.

    Rows with the same chord, hand and number of notes lie together, as do those with the same chord and hand.
    """

    chord: np.ndarray  # [R]
    side: np.ndarray  # [R] LEFT or RIGHT
    count: np.ndarray  # [R] notes in this hand, 1..5
    finger: np.ndarray  # [R, 5], in the order of the notes; 0 where there is none
    pitch: np.ndarray  # [R, 5]; 60 where there is none
    used: np.ndarray  # [R, 5] bool

    def take(self, rows: np.ndarray) -> "Guesses":
        """Some of the rows."""
        return Guesses(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@cache
def _fingerings(count: int, side: int) -> np.ndarray:
    """Fingers for `count` rising notes [K, 5], little finger lowest in the left hand; unused places 0."""
    found = np.array(list(combinations(range(5), count)))
    if side == LEFT:
        found = found[:, ::-1]
    return np.pad(found, ((0, 0), (0, 5 - count)))


def guesses(pitches: list[np.ndarray]) -> Guesses:
    """All rows for chords of these pitches."""
    rows = []
    for g, pitch in enumerate(pitches):
        for side in (LEFT, RIGHT):
            for count in range(1, min(len(pitch), 5) + 1):
                fingers = _fingerings(count, side)
                mine = pitch[:count] if side == LEFT else pitch[-count:]
                padded = np.pad(mine, (0, 5 - count), constant_values=60)
                rows.append((np.tile([g, side, count], (len(fingers), 1)), fingers, np.tile(padded, (len(fingers), 1))))
    which, finger, pitch = (np.concatenate(part) for part in zip(*rows, strict=True))
    return Guesses(*which.T, finger, pitch, np.arange(5) < which[:, 2:])


def contact(rows: Guesses, reach: np.ndarray, habit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the fingertips rest, [R, 5, 3] m in the piano frame, and the standard deviation [R, 5, 3].

    reach [R, 5, 3]: the fingertips from their wrist, in the piano's axes; habit [2, 5]: added to DEPTH.
    """
    black = keyboard.is_black(rows.pitch).astype(int)
    depth = DEPTH[black, rows.finger] + habit[black, rows.finger]
    x = keyboard.key_x(rows.pitch) - INWARD[black] * reach[..., 0]
    z = keyboard.key_top(rows.pitch) - SUNK * keyboard.drop_at(depth, keyboard.DIP_ANGLE)
    spread = np.stack([np.full(depth.shape, ASIDE), DEPTH_SPREAD[black, rows.finger], np.full(depth.shape, ABOVE)], -1)
    return np.stack([x, depth, z], -1), spread


# How high fingertips are above the lowest of their hand at an onset, and how they fell compared with their hand: shares
# of striking and of idle fingers (see DEPTH) in bins with these edges. The calibration adapts them to the motion.
LOW_EDGES = np.array([0.002, 0.005, 0.010, 0.020])
FALL_EDGES = np.array([-0.016, -0.009, -0.004, 0.001])
SHARES = np.array(  # [height or fall, striking or idle, bin]
    [
        [[0.75, 0.10, 0.05, 0.07, 0.03], [0.17, 0.06, 0.13, 0.38, 0.26]],
        [[0.30, 0.27, 0.15, 0.20, 0.08], [0.01, 0.03, 0.09, 0.43, 0.44]],
    ]
)


def bins(reach: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """The bin of each finger's height and fall, [2, G, 2, 5]; reach in the piano's axes."""
    low = reach[..., 2] - reach[..., 2].min(-1, keepdims=True)
    return np.stack([np.digitize(low, LOW_EDGES), np.digitize(fall, FALL_EDGES)])
