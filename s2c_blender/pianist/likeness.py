# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A style read off a motion, whoever plays in it and whatever is played.

What the eye sees of each part (postures, heights, how fingers fall and the wrist swings) is measured without knowing
the notes, and a ridge regression tells which style looks like that. It was learned from simulated pianists of random
styles by `python -m training.likeness`, which also wrote likeness.json.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..core import hand as hand_model
from ..core import keyboard, metrics
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT
from ..core.style import FINGERS_OF, PARTS, Style, styled
from ..errors import UserError
from . import kinematics

LEARNED = Path(__file__).with_name("likeness.json")
SHORTEST = 2.0  # s of motion in which a style can be seen
SLOWEST = 12.0  # frames a second
FEWEST = 4  # strokes of a hand
_BEFORE = 0.4  # s before a stroke in which its finger is highest


def style_of(motion: HandMotion) -> tuple[Style, Style]:
    """The styles of the left and of the right hand; a hand that hardly plays is taken to move like the other.

    UserError where neither hand plays, or the motion is shorter than two seconds.
    """
    if motion.duration < SHORTEST:
        raise UserError(f"A style cannot be seen in {motion.duration:.1f} s of motion: choose at least {SHORTEST:g} s.")
    if motion.fps < SLOWEST:
        raise UserError(
            f"A style cannot be seen at {motion.fps:g} frames a second: choose a motion with {SLOWEST:g} or more."
        )
    seen = [look(motion, side) for side in (LEFT, RIGHT)]
    found = [_recognised(one) if one else None for one in seen]
    if not any(found):
        raise UserError("No hand plays enough keys in this motion for its style to be seen: choose another one.")
    left, right = found
    return left or right, right or left


def _recognised(seen: dict[str, np.ndarray]) -> Style:
    values = {}
    for part in PARTS:
        learned = _learned()[part]
        looks = np.nan_to_num((seen[part] - learned["mean"]) / learned["spread"])  # not seen: as usual
        values[part] = looks @ learned["weights"] + learned["usual"]
    return styled(values)


@cache
def _learned() -> dict[str, dict[str, np.ndarray]]:
    told = json.loads(LEARNED.read_text(encoding="utf-8"))
    return {part: {name: np.array(values) for name, values in of.items()} for part, of in told.items()}


def look(motion: HandMotion, side: int) -> dict[str, np.ndarray] | None:
    """What is seen of each part of a hand [F]; None where it strikes fewer than FEWEST keys."""
    position, rotation = motion.hand(side)
    if side == LEFT:
        position, rotation = hand_model.mirror(position, rotation)
    fps = motion.fps
    pads = hand_model.forward_kinematics(position, rotation)[1]  # [N, 5, 3]
    real = pads * [-1 if side == LEFT else 1, 1, 1]
    strokes = [_strokes(real[:, finger], fps) for finger in range(5)]
    frames = np.sort(np.concatenate([[s[0] for s in one] for one in strokes])).astype(int)
    if len(frames) < FEWEST:
        return None
    begin, end = max(frames[0] - round(_BEFORE * fps), 0), min(frames[-1] + round(_BEFORE * fps), len(pads))
    q, _ = kinematics.from_motion(position, rotation)
    tempo = np.log(len(frames) / max((end - begin) / fps, 0.5))
    seen = {"wrist": np.append(_wrist(q, frames, begin, end, fps), tempo)}
    for part, fingers in FINGERS_OF.items():
        seen[part] = np.append(_fingers(q, pads, strokes, fingers, begin, end, fps), tempo)
    return seen


def _strokes(pad: np.ndarray, fps: float) -> list[tuple[int, float, float, float]]:
    """Of one finger's pad [N, 3]: frame of each press, height (mm) before it, descent (ms), speed (m/s)."""
    pitch = metrics.key_under(pad)
    top = np.where(pitch > 0, keyboard.key_top(pitch), 0.0)
    depth = np.where(pitch > 0, top - pad[:, 2], 0.0)
    half = keyboard.drop_at(pad[:, 1], keyboard.DIP_ANGLE / 2)
    down = (depth > half) & (pitch > 0)
    found = []
    for frame in np.flatnonzero(down[1:] & ~down[:-1]) + 1:
        first = max(frame - round(_BEFORE * fps), 0)
        height = pad[first : frame + 1, 2] - top[frame]
        above = np.flatnonzero(height > 0)
        last = min(frame + round(0.1 * fps), len(pad))
        sunk = pad[frame:last, 2]
        bottom = frame + int(np.argmax(sunk <= sunk.min() + 0.0005))
        speed = -np.diff(height[-round(0.15 * fps) :]).min(initial=0.0) * fps
        began = first + (above[-1] if len(above) else 0)
        found.append((frame, 1e3 * max(height.max(), 0.0), 1e3 * (bottom - began) / fps, speed))
    return found


def _wrist(q: np.ndarray, frames: np.ndarray, begin: int, end: int, fps: float) -> np.ndarray:
    """Heights mm, angles degrees, their slow and quick variation, how the wrist dips with the strokes, the forearm."""
    z, x = 1e3 * q[:, 2], q[:, 0]
    yaw, pitch, roll = np.degrees(q[:, 3:6].T)
    span = slice(begin, end)
    quick = [(c - gaussian_filter1d(c, 0.25 * fps))[span].std() for c in (z, pitch, roll, 1e3 * x)]
    slow = [gaussian_filter1d(c, 0.7 * fps)[span].std() for c in (z, pitch, roll)]

    def after(seconds: float, of: np.ndarray) -> np.ndarray:
        return of[np.clip(frames + round(seconds * fps), 0, len(of) - 1)]

    dip = [(after(-0.12, c) - after(0.05, c)).mean() for c in (z, pitch)]
    rise = [(after(0.25, c) - after(0.05, c)).mean() for c in (z, pitch)]
    swing = (yaw - gaussian_filter1d(yaw, 0.7 * fps))[span].std()
    middle = [np.median(c[span]) for c in (z, pitch, roll, yaw, 1e2 * x, 1e3 * q[:, 1])]
    return np.array([*middle, *np.percentile(z[span], (10, 90)), *quick, *slow, *dip, *rise, swing])


def _fingers(q, pads, strokes, fingers: list[int], begin: int, end: int, fps: float) -> np.ndarray:
    """Bends (degrees) and heights (mm) of a thumb or a pair of fingers at rest, and how they strike."""
    bends = np.degrees(np.concatenate([q[begin:end, 8 + 3 * f : 10 + 3 * f] for f in fingers], 0))
    if fingers == [0]:
        bends = np.degrees(q[begin:end, 8:10])
    slow = gaussian_filter1d(bends, 0.7 * fps, axis=0).std(0)
    heights = 1e3 * np.concatenate([pads[begin:end, f, 2] for f in fingers])
    struck = np.array([s[1:] for f in fingers for s in strokes[f]]).reshape(-1, 3)
    how = np.full(7, np.nan)
    if len(struck):
        how = np.array(
            [*struck.mean(0), *np.percentile(struck[:, 0], (20, 80)), *np.percentile(struck[:, 1], (20, 80))]
        )
    return np.array([*np.median(bends, 0), *slow, *np.percentile(heights, (25, 50, 75, 95)), *how])
