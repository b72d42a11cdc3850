# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of finished motion, after the contact stage: the keys it presses, and how the hands move (DESIGN section 7).

Sums and counts as in raw_metrics.py.
"""

import numpy as np

from s2c_blender.core import curves, metrics, naturalness
from s2c_blender.core.hand import forward_kinematics
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, UNKNOWN, Score
from s2c_blender.model.config import FPS

from . import published_metrics as published
from .clips import Motion
from .raw_metrics import SIDES, Figures, pads_of

MOVES = 0.03  # m: a wrist that goes this far from one tone to the next has moved to another place
STARTED = 0.1  # of the way: then it is on its way
LONGEST = 2.0  # s between two tones: after longer rests a hand starts when it likes


def at_30(motion: HandMotion, frames: int) -> Motion:
    """The first `frames` frames of a finished motion at 30 fps."""
    times = np.arange(frames) / FPS
    positions, poses = zip(*(motion.hand_at(side, times) for side in SIDES), strict=True)
    return Motion(np.stack(positions), np.stack(poses).reshape(2, frames, 48))


def played_figures(motion: HandMotion, score: Score) -> Figures:
    """What the fingertips play of `score`, and the figures of core.metrics.summary (worst ones: mean over clips)."""
    frames = [forward_kinematics(*motion.hand(side), left=side == LEFT)[1] for side in SIDES]
    times = np.arange(0, motion.duration, 1 / metrics.RATE)
    pads = curves.sample(np.stack(frames, axis=1), motion.fps, times)  # [T, 2, 5, 3]
    presses = metrics.presses_by_hands(times, pads)
    asked = metrics.accuracy(presses, score.notes)
    hits, minutes = len(asked.offsets), motion.duration / 60
    found = metrics.summary(times, pads, None, motion)
    kept = (
        "contact_mean_mm",
        "contact_p95_mm",
        "onset_error_ms",
        "limit_excess_deg",
        "finger_depth_mm",
        "fingertip_speed_max",
    )
    figures: Figures = {name: (found[name], 1.0) for name in kept}
    figures["key_f1"] = 2 * hits, len(presses) + len(score.notes)
    figures["key_precision"] = hits, len(presses)
    figures["key_recall"] = hits, len(score.notes)
    figures["wrong_per_minute"] = len(asked.wrong), minutes
    lead = naturalness.measure(motion).peak_lead
    if len(lead):
        figures["finger_lead_ms"] = 1e3 * float(np.median(lead)), 1.0
        figures["finger_lead_spread_ms"] = 1e3 * float(np.subtract(*np.percentile(lead, [75, 25]))), 1.0
    return figures


def movement_figures(motion: Motion, notes: np.ndarray) -> Figures:
    """Jerk (mean size of the third derivative, m/s^3) of wrists and fingertips, and how early wrists set out.

    From 30 fps, so that the performers' own motion can be measured alike.
    """
    jerk_wrists = np.linalg.norm(np.diff(motion.positions, 3, axis=1), axis=-1).mean() * FPS**3
    jerk_pads = np.linalg.norm(np.diff(pads_of(motion), 3, axis=0), axis=-1).mean() * FPS**3
    figures: Figures = {"jerk_wrists": (float(jerk_wrists), 1.0), "jerk_fingertips": (float(jerk_pads), 1.0)}
    leads = np.concatenate([wrist_leads(motion.positions[s], notes["onset"][notes["hand"] == s]) for s in SIDES])
    if len(leads) and not (notes["hand"] == UNKNOWN).any():
        figures["wrist_lead_ms"] = 1e3 * float(np.median(leads)), 1.0
        figures["wrist_lead_spread_ms"] = 1e3 * float(np.subtract(*np.percentile(leads, [75, 25]))), 1.0
    return figures


def wrist_leads(position: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """How long (s) before a hand's tone its wrist [N, 3] set out for it, for each tone to which it had to move."""
    onsets = np.unique(np.round(onsets * FPS).astype(int))
    leads = []
    for before, now in zip(onsets[:-1], onsets[1:], strict=True):
        if now >= len(position) or now - before > LONGEST * FPS:
            continue
        way = np.linalg.norm(position[before : now + 1, :2] - position[before, :2], axis=1)  # a bounce is no way
        if way[-1] >= MOVES:
            leads.append((now - before - np.argmax(way > STARTED * way[-1])) / FPS)
    return np.array(leads)


def fgd_of_clip(found: Motion, truth: Motion) -> Figures:
    """Frechet distance between all poses of both motions, mean of both hands."""
    values = [published.frechet_gesture_distance(truth.poses[side], found.poses[side]) for side in SIDES]
    return {"fgd_clip": (sum(values), len(values))}
