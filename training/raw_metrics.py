# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of a motion against the performer's: the published ones, and what DESIGN section 7 asks of a raw model.

Each figure of a clip is a pair (sum, count): over several clips it is the quotient of both sums, so that a mean is
taken over all windows or notes, and a ratio is one of means.
"""

from collections import defaultdict

import numpy as np

from s2c_blender.core import curves, keyboard
from s2c_blender.core.hand import forward_kinematics
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN
from s2c_blender.model.config import FPS

from . import published_metrics as published
from .clips import Motion
from .takes import windows

Figures = dict[str, tuple[float, float]]  # name -> sum and count

NEAR = 0.025  # m: a fingertip this close to a key at its onset is where it should be
PLAYED = 0.10  # m: how far in fingers play a key; behind it the lever is too short
SIDES = {LEFT: "left", RIGHT: "right"}


def published_figures(found: Motion, truth: Motion) -> Figures:
    """FGD, WGD, PD and Smoothness of every window of either hand, as published: mean over windows and hands."""
    sums: dict[str, float] = defaultdict(float)
    pairs = list(zip(windows(found), windows(truth), strict=True))
    for ours, theirs in pairs:
        for side, hand in SIDES.items():
            real, fake = theirs.poses[side].astype(np.float32), ours.poses[side].astype(np.float32)
            values = {
                "fgd": published.frechet_gesture_distance(real, fake),
                "wgd": published.wasserstein_gesture_distance(real, fake),
                "pd_xy_mm": 1e3
                * published.position_distance(theirs.positions[side, :, :2], ours.positions[side, :, :2]),
                "smoothness": published.smoothness(real, fake),
            }
            for name, value in values.items():
                sums[name] += value / 2
                sums[f"{name}_{hand}"] += value
    return {name: (total, len(pairs)) for name, total in sums.items()}


def prediction_figures(positions: np.ndarray, truth: Motion) -> Figures:
    """PD, x and y, of predicted positions [2, N, 3]: mean over frames, and over both hands."""
    distance = 1e3 * np.linalg.norm(positions[..., :2] - truth.positions[..., :2], axis=2)
    figures = {f"pd_predicted_mm_{hand}": (float(distance[side].sum()), len(truth)) for side, hand in SIDES.items()}
    return {"pd_predicted_mm": (float(distance.sum()) / 2, len(truth))} | figures


def motion_figures(found: Motion, truth: Motion) -> Figures:
    """Distance from the performer's wrists (mm in metres' frame), and how lively the motion is beside the performer's.

    The ratios compare mean sizes of first and second differences from frame to frame: of all pose values, and of the
    wrist's way. The spread is the poses' deviation from their mean over the clip: a model that answers with one mean
    pose has none.
    """
    figures: Figures = {}
    for side, hand in SIDES.items():
        distance = np.linalg.norm(found.positions[side] - truth.positions[side], axis=1)
        figures[f"pd_{hand}_mm"] = 1e3 * distance.sum(), len(distance)
        offset = found.positions[side].mean(axis=0) - truth.positions[side].mean(axis=0)
        figures[f"offset_{hand}_mm"] = 1e3 * float(np.linalg.norm(offset)), 1.0
    for name, n in (("velocity", 1), ("acceleration", 2)):
        for part in ("poses", "wrists"):
            ours, theirs = (_change(getattr(m, "poses" if part == "poses" else "positions"), n) for m in (found, truth))
            figures[f"{name}_ratio_{part}"] = ours, theirs
    figures["spread_ratio_poses"] = tuple(float(m.poses.std(axis=1).mean()) for m in (found, truth))
    return figures


def _change(values: np.ndarray, n: int) -> float:
    """Mean size of the nth difference in time of values [2, N, C]: of positions, or the sum over a pose's values."""
    change = np.diff(values, n, axis=1)
    return float(np.linalg.norm(change, axis=2).mean() if values.shape[2] == 3 else np.abs(change).sum(axis=2).mean())


def pads_of(motion: Motion) -> np.ndarray:
    """Fingertip pads [N, 2, 5, 3] m, thumb to little finger, of a motion in the piano's frame."""
    sides = [
        forward_kinematics(motion.positions[s], motion.poses[s].reshape(-1, 16, 3), left=s == LEFT)[1] for s in SIDES
    ]
    return np.stack(sides, axis=1)


def onset_figures(found: Motion, truth: Motion, notes: np.ndarray) -> Figures:
    """Whether fingertips are at the keys when these are struck, from motions in the piano's frame.

    `onset_near`: the nearest pad of the hand that plays (of both where the notes do not tell) is within NEAR of the
    key; `onset_near_finger`: so is that of the finger with which the performer was nearest.
    """
    ours, theirs = (onset_distances(motion, notes) for motion in (found, truth))  # [M, 10]
    count = len(notes)
    if not count:
        return {}
    nearest = ours.min(axis=1)
    same = ours[np.arange(count), theirs.argmin(axis=1)]
    return {
        "onset_near": (float((nearest <= NEAR).sum()), count),
        "onset_near_finger": (float((same <= NEAR).sum()), count),
        "onset_distance_mm": (1e3 * float(nearest.sum()), count),
    }


def onset_distances(motion: Motion, notes: np.ndarray) -> np.ndarray:
    """Distance [M, 10] (m) of each pad from each note's key at its onset, left hand first; infinite for the other."""
    pads = curves.sample(pads_of(motion), FPS, notes["onset"]).reshape(-1, 10, 3)
    distance = key_distance(pads, notes["pitch"][:, None])
    of_hand = np.repeat([LEFT, RIGHT], 5)
    hand = notes["hand"][:, None]
    return np.where((hand == UNKNOWN) | (hand == of_hand), distance, np.inf)


def key_distance(points: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Distance (m) of points [..., 3] from where the keys of MIDI numbers `pitch` [...] are played.

    That is all that a key's top passes through between rest and full dip, from its front edge to PLAYED; zero inside.
    """
    black = keyboard.is_black(pitch)
    half = np.where(black, keyboard.BLACK_WIDTH, keyboard.WHITE_PITCH - keyboard.WHITE_GAP) / 2
    aside = np.maximum(np.abs(points[..., 0] - keyboard.key_x(pitch)) - half, 0)
    y = np.clip(points[..., 1], np.where(black, keyboard.BLACK_FRONT, 0.0), PLAYED)
    top = keyboard.key_top(pitch)
    bottom = top - keyboard.drop_at(y, keyboard.DIP_ANGLE)
    above = np.maximum(points[..., 2] - top, 0) + np.maximum(bottom - points[..., 2], 0)
    return np.sqrt(aside**2 + (points[..., 1] - y) ** 2 + above**2)


def diversity(motion: Motion, others: list[Motion]) -> Figures:
    """How far a motion is from others of the same music: root mean square over a frame's pose values, mean over frames.

    Poses in degrees; wrists as distance, in mm. Nothing without others.
    """
    if not others:
        return {}
    poses = [np.sqrt(np.square(motion.poses - other.poses).mean(axis=2)).mean() for other in others]
    wrists = [np.linalg.norm(motion.positions - other.positions, axis=2).mean() for other in others]
    return {
        "diversity_deg": (float(np.degrees(np.mean(poses))), 1.0),
        "diversity_wrists_mm": (1e3 * float(np.mean(wrists)), 1.0),
    }
