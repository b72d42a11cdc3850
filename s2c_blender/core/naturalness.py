# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How strokes are made, measured on a motion: the published facts about pianists of DESIGN section 4.

Every stroke is looked at from the peak of the fingertip's path down to the key's bottom.
"""

from dataclasses import dataclass

import numpy as np

from . import hand, keyboard
from .motion import HandMotion
from .notes import LEFT


@dataclass
class Strokes:
    """One row a stroke. Lengths m, times s."""

    note: np.ndarray  # index into motion.notes
    peak_height: np.ndarray  # of the pad above its key
    peak_lead: np.ndarray  # peak before onset
    speed: np.ndarray  # fastest descent of the pad, m/s
    by_joint: np.ndarray  # [S, 4] signed shares of the descent: MCP, PIP, DIP, all else (hand, forearm, spread)
    neighbour: np.ndarray  # descent of the free neighbouring fingers relative to the striking one's


def _hinge_paths(motion: HandMotion, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pads [N, 5, 3] and what each hinge adds to their height a frame [N - 1, 5, 4], m; right hand's frame."""
    position, rotation = motion.hand(side)
    if side == LEFT:
        position, rotation = hand.mirror(position, rotation)
    heads, pads, frames = hand.forward_kinematics(position, rotation)
    angles = hand.hinges_from_rotations(rotation).reshape(-1, 5, 4)
    change = np.diff(angles, axis=0)
    adds = np.zeros((len(position) - 1, 5, 4))
    for f in range(5):
        for k, joint in enumerate(hand.FINGER_JOINTS[f][[0, 0, 1, 2]]):
            # The flexion axis of a joint is fixed in the joint's own frame, the spread's in its parent's.
            frame = frames[:-1, hand.PARENTS[joint]] if k == 0 else frames[:-1, joint]
            axis = frame @ hand.HINGE_AXES[4 * f + k]
            arm = pads[:-1, f] - heads[:-1, joint]
            adds[:, f, k] = np.cross(axis, arm)[:, 2] * change[:, f, k]
    return pads, adds


def measure(motion: HandMotion) -> Strokes:
    """All strokes of a motion that start from above their key."""
    rows = []
    for side in (0, 1):
        pads, adds = _hinge_paths(motion, side)
        mine = np.flatnonzero(motion.notes["hand"] == side)
        onsets = motion.notes["onset"][mine]
        for k, n in enumerate(mine):
            note = motion.notes[n]
            gap = onsets[k] - onsets[k - 1] if k else np.inf
            if not 0.04 < gap < 1.0:
                continue
            rows.append(_stroke(motion, pads, adds, n, note, gap, mine))
    rows = [r for r in rows if r is not None]
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 6
    return Strokes(*(np.array(c) for c in columns))


def _stroke(motion, pads, adds, n, note, gap, mine):
    """One row of Strokes, or None where the finger does not come down from above."""
    finger, onset = int(note["finger"]), note["onset"]
    bottom = round(motion.keys[n, 1] * motion.fps)
    first = max(round((onset - min(2.0 * gap, 0.5)) * motion.fps), 0)
    if bottom - first < 3 or bottom >= len(pads):
        return None
    height = pads[first : bottom + 1, finger, 2] - keyboard.key_top(note["pitch"])
    peak = first + int(height.argmax())
    drop = pads[peak, finger, 2] - pads[bottom, finger, 2]
    if drop < 0.004:
        return None
    down = adds[peak:bottom, finger].sum(0) / -drop  # spread, MCP, PIP, DIP
    shares = [down[1], down[2], down[3], 1 - down[1] - down[2] - down[3]]
    speed = -np.diff(pads[peak : bottom + 1, finger, 2]).min() * motion.fps
    busy = {finger}
    for other in mine:
        if motion.keys[other, 0] < motion.keys[n, 1] + 0.02 and motion.keys[other, 3] > peak / motion.fps:
            busy.add(int(motion.notes["finger"][other]))
    free = [f for f in (finger - 1, finger + 1) if 1 <= f <= 4 and f not in busy]
    along = [(pads[peak, f, 2] - pads[bottom, f, 2]) / drop for f in free]
    return n, height.max(), onset - peak / motion.fps, speed, shares, np.mean(along) if along else np.nan
