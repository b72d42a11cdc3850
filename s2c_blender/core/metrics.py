# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hands really play and how well they move, measured from sampled fingertips and keys (DESIGN section 7).

Presses are found from where the pads are, not from what the pianist intended; contact errors look at the finger and the
time that were intended.
"""

from dataclasses import dataclass

import numpy as np

from . import collision, curves, hand, keyboard
from .motion import HandMotion

WINDOW = 0.05  # s: a press this close to a note's onset plays it
REPEAT = 0.03  # s a key needs to come up before it can be struck again
SHORTEST = (
    0.01  # s: even a fortissimo key needs 20 ms to its bottom, so a finger that passes quicker has not pressed it
)
RATE = 240  # moments a second at which the pads of a motion are looked at
_BLOCK = 4096  # frames looked at together
_PITCHES = np.arange(keyboard.LOWEST, keyboard.HIGHEST + 1)
_WHITE = _PITCHES[~keyboard.is_black(_PITCHES)]
_BLACK = _PITCHES[keyboard.is_black(_PITCHES)]


def key_under(points: np.ndarray) -> np.ndarray:
    """MIDI number of the key under each point [..., 3] in the piano frame, 0 where there is none."""
    x, y = points[..., 0], points[..., 1]
    whites = np.floor((x - keyboard.key_x(keyboard.LOWEST)) / keyboard.WHITE_PITCH + 0.5).astype(int)
    inside = (whites >= 0) & (whites < len(_WHITE)) & (y >= -0.003) & (y <= keyboard.WHITE_LENGTH)
    pitch = np.where(inside, _WHITE[np.clip(whites, 0, len(_WHITE) - 1)], 0)
    blacks = keyboard.key_x(_BLACK)
    nearest = np.abs(x[..., None] - blacks).argmin(-1)
    on_black = (np.abs(x - blacks[nearest]) <= keyboard.BLACK_WIDTH / 2) & (y >= keyboard.BLACK_FRONT) & inside
    return np.where(on_black, _BLACK[nearest], pitch)


def _runs(pressed: np.ndarray, times: np.ndarray) -> list[tuple[float, float]]:
    """Start and end (s) of each run of True in `pressed` [T].

    No action repeats within REPEAT: such runs are one. None is shorter than SHORTEST: the fastest key takes longer.
    """
    edges = np.flatnonzero(np.diff(np.r_[0, pressed.astype(np.int8), 0]))
    runs: list[tuple[float, float]] = []
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        start, end = times[a], times[min(b, len(times) - 1)]
        if runs and start - runs[-1][1] < REPEAT:
            start = runs.pop()[0]
        runs.append((start, end))
    return [run for run in runs if run[1] - run[0] >= SHORTEST]


def presses_by_hands(times: np.ndarray, pads: np.ndarray) -> np.ndarray:
    """Presses (onset s, offset s, pitch) [P, 3] made by pads [T, ..., 3] that sink past half of a key's dip."""
    return _presses(times, _keys_down(pads.reshape(len(times), -1, 3)))


def _keys_down(pads: np.ndarray) -> np.ndarray:
    """Pitch of the key that each pad [T, n, 3] holds down, 0 where none, [T, n]."""
    pitch = key_under(pads)
    floor = keyboard.key_top(pitch) - keyboard.drop_at(pads[..., 1], keyboard.DIP_ANGLE / 2)
    return np.where((pads[..., 2] < floor) & (pitch > 0), pitch, 0).astype(np.int16)


def _presses(times: np.ndarray, down: np.ndarray) -> np.ndarray:
    found = []
    for p in np.unique(down[down > 0]):
        found += [(a, b, p) for a, b in _runs((down == p).any(1), times)]
    return np.array(sorted(found)).reshape(-1, 3)


def played(motion: HandMotion, notes: np.ndarray) -> "Accuracy":
    """What the hands' pads press in a motion, looked at `RATE` times a second, against notes asked for (NOTE [M])."""
    pads = np.zeros((len(motion.left_position), 2, 5, 3))
    for first in range(0, len(pads), _BLOCK):
        part = slice(first, first + _BLOCK)
        for side in (0, 1):
            position, rotation = motion.hand(side)
            pads[part, side] = hand.forward_kinematics(position[part], rotation[part], left=side == 0)[1]
    times = np.arange(0.0, motion.duration, 1 / RATE)
    blocks = [times[first : first + _BLOCK] for first in range(0, len(times), _BLOCK)]  # hours would fill the memory
    down = [_keys_down(curves.sample(pads, motion.fps, block).reshape(len(block), -1, 3)) for block in blocks]
    return accuracy(_presses(times, np.concatenate(down)), notes)


def presses_of_keys(times: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Presses [P, 3] of key objects turned by angles [T, 88] rad past half dip."""
    found = []
    for k in range(angles.shape[1]):
        found += [(a, b, k + keyboard.LOWEST) for a, b in _runs(angles[:, k] > keyboard.DIP_ANGLE / 2, times)]
    return np.array(sorted(found)).reshape(-1, 3)


@dataclass
class Accuracy:
    """Presses against the notes asked for."""

    precision: float
    recall: float
    f1: float
    wrong: np.ndarray  # [W, 3] presses that belong to no note
    missed: np.ndarray  # NOTE [..]
    offsets: np.ndarray  # s, press minus note, of the matches


def accuracy(presses: np.ndarray, notes: np.ndarray, window: float = WINDOW) -> Accuracy:
    """Match presses [P, 3] to notes (NOTE array) of the same pitch, one to one, earliest first."""
    used = np.zeros(len(presses), bool)
    offsets, missed = [], []
    for n, note in enumerate(notes):
        near = np.flatnonzero(
            ~used & (presses[:, 2] == note["pitch"]) & (np.abs(presses[:, 0] - note["onset"]) <= window)
        )
        if len(near):
            best = near[np.abs(presses[near, 0] - note["onset"]).argmin()]
            used[best] = True
            offsets.append(presses[best, 0] - note["onset"])
        else:
            missed.append(n)
    hits = len(offsets)
    precision, recall = hits / max(len(presses), 1), hits / max(len(notes), 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    if not len(presses) and not len(notes):
        precision = recall = f1 = 1.0  # silence, played well
    return Accuracy(precision, recall, f1, presses[~used], notes[missed], np.array(offsets))


def contact_errors(times: np.ndarray, pads: np.ndarray, notes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Distance (m) of each playing pad from its key's surface while the key is down; pads [T, 2, 5, 3], keys [M, 4]."""
    errors = []
    for note, (_, bottom, lift_off, _) in zip(notes, keys, strict=True):
        span = slice(*np.searchsorted(times, (bottom, lift_off)))
        pad = pads[span, note["hand"], note["finger"]]
        black = bool(keyboard.is_black(note["pitch"]))
        half = (keyboard.BLACK_WIDTH if black else keyboard.WHITE_PITCH - keyboard.WHITE_GAP) / 2
        front = keyboard.BLACK_FRONT if black else 0.0
        aside = np.maximum(np.abs(pad[:, 0] - keyboard.key_x(note["pitch"])) - half, 0)
        beyond = np.maximum(front - pad[:, 1], 0) + np.maximum(pad[:, 1] - keyboard.WHITE_LENGTH, 0)
        top = keyboard.key_top(note["pitch"]) - keyboard.drop_at(pad[:, 1], keyboard.DIP_ANGLE)
        errors.append(np.sqrt(aside**2 + beyond**2 + (pad[:, 2] - top) ** 2))
    return np.concatenate(errors) if errors else np.zeros(0)


def limit_excess(rotation: np.ndarray, left: bool) -> np.ndarray:
    """How far each hinge is beyond its limit, rad, [N, 20]; rotation [N, 16, 3] of a right or left hand."""
    if left:
        rotation = rotation * [1, -1, -1]
    angles = hand.hinges_from_rotations(rotation)
    excess = np.maximum(angles - hand.HINGE_HIGH, hand.HINGE_LOW - angles)
    spreads = np.arange(4, 20, 4)
    excess[:, spreads] = np.abs(angles[:, spreads]) - hand.spread_limit(angles[:, spreads + 1])
    return np.maximum(excess, 0)


def finger_depths(position: np.ndarray, rotation: np.ndarray, left: bool) -> np.ndarray:
    """Deepest finger-finger intersection of each frame, m [N] (0: none); capsules around the phalanges."""
    if left:
        position, rotation = hand.mirror(position, rotation)
    heads, _, frames = hand.forward_kinematics(position, rotation)
    last = hand.FINGER_JOINTS[:, 2]
    tips = heads[:, last] + np.einsum("nfij,fj->nfi", frames[:, last], hand.TIPS - hand.HEADS[last])
    points = np.concatenate([heads[:, hand.FINGER_JOINTS], tips[:, :, None]], 2)
    distance = collision.closest(points)[0]
    return np.maximum(collision.REACH - distance, 0).max(1)


def summary(times: np.ndarray, pads: np.ndarray, angles: np.ndarray | None, motion: HandMotion) -> dict[str, float]:
    """The figures of a performance: pads [T, 2, 5, 3] and key angles [T, 88] sampled at `times`, motion: HandMotion."""
    notes = motion.notes
    hands = accuracy(presses_by_hands(times, pads), notes)
    errors = contact_errors(times, pads, notes, motion.keys)
    speed = np.linalg.norm(np.diff(pads, axis=0), axis=-1) / np.diff(times)[:, None, None]
    limits = [np.degrees(limit_excess(motion.hand(h)[1], h == 0)).max() for h in (0, 1)]
    depths = [finger_depths(*motion.hand(h), h == 0).max() for h in (0, 1)]
    figures = {
        "f1": hands.f1,
        "precision": hands.precision,
        "recall": hands.recall,
        "wrong_per_minute": len(hands.wrong) / max(times[-1] - times[0], 1e-9) * 60,
        "onset_error_ms": float(np.abs(hands.offsets).mean() * 1e3) if len(hands.offsets) else 0.0,
        "contact_mean_mm": float(errors.mean() * 1e3) if len(errors) else 0.0,
        "contact_p95_mm": float(np.percentile(errors, 95) * 1e3) if len(errors) else 0.0,
        "limit_excess_deg": float(max(limits)),
        "finger_depth_mm": float(max(depths) * 1e3),
        "fingertip_speed_max": float(speed.max()),
    }
    if angles is not None:
        figures["key_f1"] = accuracy(presses_of_keys(times, angles), notes).f1
    return figures
