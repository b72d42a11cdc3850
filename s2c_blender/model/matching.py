# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectation-maximisation of calibration.py: weigh who may have struck what, then fit the camera to it."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..core import keyboard
from ..core.notes import LEFT
from . import striking
from .camera import Camera
from .striking import Guesses, Seen

# Beliefs before any note is heard, as standard deviations: log scale, yaw, roll, pitch (rad).
_SCALE, _YAW, _TILT = 0.25, np.radians(6.0), np.radians(3.0)
# Sizes (m) of the space over which wrists, and fingers of one chord, would spread if they had nothing to do with keys.
_ANYWHERE = np.array([0.4, 0.12, 0.12])
_ANY_SHAPE = np.array([0.10, 0.06, 0.03])
_TAIL = 5.0  # degrees of freedom of the wrist's error: Student's t, so that wrong guesses do not pull
_NOT_PLAYED = -3.0  # log-likelihood of a note that no hand plays: wrongly heard, or hands crossed
_KNOWN = 200.0  # fingers of experience in striking.SHARES


@dataclass(frozen=True)
class Fit:
    """A hypothesis about the camera: piano = scale * turn @ (seen - centre) + offset, and what goes with it."""

    centre: np.ndarray  # [3] camera units, middle of the wrists: turning about it keeps offset and tilt apart
    scale: float
    offset: np.ndarray  # [3] m
    angles: np.ndarray  # [3] yaw, roll, pitch, rad
    habit: np.ndarray  # [2, 5] m, how this player's depth on the keys differs from striking.DEPTH
    variance: np.ndarray  # [2, 3] camera units^2 of a chord's wrist: lasting part, and part that frames average out
    shares: np.ndarray  # like striking.SHARES
    looseness: np.ndarray  # [3] variance of chord shapes over what striking.contact expects
    likelihood: float = -np.inf
    unexplained: float = 1.0
    stroke: float = 0.0  # m by which the playing fingers fall before the onset, on average
    normal: tuple = ()  # Jacobian rows of the data, residuals, chord of each row, and normal matrix

    @property
    def turn(self) -> np.ndarray:
        return Rotation.from_euler("ZYX", self.angles).as_matrix()

    def camera(self, upside_down: bool) -> Camera:
        yaw, roll, pitch = (float(a) for a in self.angles)
        offset = self.offset - self.scale * self.turn @ self.centre
        return Camera(float(self.scale), offset, yaw=yaw, pitch=pitch, roll=roll, upside_down=upside_down)

    def spread(self, frames: float) -> np.ndarray:
        """Standard deviation [3] m of a chord's wrist position, the mean of `frames`."""
        return self.scale * np.sqrt(self.variance[0] + self.variance[1] / frames)


def fit_camera(seen: Seen, fit: Fit, rounds: int) -> Fit:
    """Expectation-maximisation from `fit`."""
    rows = striking.guesses(seen.pitches)
    for _ in range(rounds):
        weight, likelihood, unexplained = _weigh(seen, rows, fit)
        likely = weight > 1e-3
        if weight.sum() < 4.0:  # nothing to learn from
            return replace(fit, likelihood=likelihood, unexplained=1.0)
        fit = _improve(seen, rows.take(likely), weight[likely], fit)
        fit = replace(fit, likelihood=likelihood, unexplained=unexplained)
    return fit


def evidence_of(shares: np.ndarray) -> np.ndarray:
    """Log-likelihood ratio of having struck, for each bin, [2, 5]; no single look counts more than 20 to 1."""
    return np.clip(np.log(shares[:, 0] / shares[:, 1]), -3.0, 3.0)


def _weigh(seen: Seen, rows: Guesses, fit: Fit) -> tuple[np.ndarray, float, float]:
    """Probability of each guess [R], the log-likelihood of all, and the share of chords that nobody plays."""
    reach = seen.reach @ fit.turn.T
    tips = reach[rows.chord[:, None], rows.side[:, None], rows.finger]  # [R, 5, 3]
    target, spread = striking.contact(rows, tips, fit.habit)
    used, count = rows.used[..., None], rows.count[:, None]
    own = np.where(used, spread**2, 0.0).sum(1) / count**2  # [R, 3]
    spread = spread * np.sqrt(fit.looseness)
    above = np.where(used, target - tips, 0.0)
    wrist = above.sum(1) / count
    shape = np.where(used, (above - wrist[:, None]) / spread, 0.0)
    any_shape = np.where(used, np.log(_ANY_SHAPE / spread / np.sqrt(2 * np.pi)), 0.0).sum((1, 2))
    score = any_shape * (1.0 - 1.0 / rows.count) - 0.5 * (shape**2).sum((1, 2))
    miss = (fit.scale * (seen.wrist - fit.centre) @ fit.turn.T + fit.offset)[rows.chord, rows.side] - wrist
    variance = fit.scale**2 * (fit.variance[0] + fit.variance[1] / seen.frames[rows.chord, None]) + own
    score += (np.log(_ANYWHERE * fit.scale) - 0.5 * np.log(2 * np.pi * variance)).sum(1)
    score -= 0.5 * (_TAIL + 3.0) * np.log1p((miss**2 / variance).sum(1) / _TAIL)
    level = striking.bins(reach, seen.fall)
    evidence = evidence_of(fit.shares)[np.arange(2)[:, None, None, None], level].sum(0)
    score += np.where(rows.used, evidence[rows.chord[:, None], rows.side[:, None], rows.finger], 0.0).sum(1)
    score -= np.log(np.array([1, 5, 10, 10, 5, 1])[rows.count])  # each number of fingers has its ways

    # Rows of one chord, hand and number of notes -> [G, 2, 6]; then how many notes of a chord are the left hand's.
    begins = np.flatnonzero(np.r_[True, np.any(np.diff([rows.chord, rows.side, rows.count]) != 0, axis=0)])
    hand_plays = np.full((len(seen.time), 2, 6), -np.inf)
    hand_plays[:, :, 0] = 0.0
    together = np.logaddexp.reduceat(score, begins)
    hand_plays[rows.chord[begins], rows.side[begins], rows.count[begins]] = together
    size = np.array([len(pitch) for pitch in seen.pitches])
    rest = size[:, None] - np.arange(6)
    split = hand_plays[:, 0] + np.take_along_axis(hand_plays[:, 1], np.clip(rest, 0, 5), axis=1)
    split[(rest < 0) | (rest > 5)] = -np.inf
    nobody = _NOT_PLAYED * size
    total = np.logaddexp(np.logaddexp.reduce(split, axis=1), nobody)
    left_count = np.where(rows.side == LEFT, rows.count, size[rows.chord] - rows.count)
    taken = split[rows.chord, np.clip(left_count, 0, 5)]
    taken[left_count > 5] = -np.inf
    block = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(score)]))
    weight = np.exp(score - together[block] + taken - total[rows.chord])
    prior = -0.5 * (np.r_[np.log(fit.scale) / _SCALE, fit.angles / [_YAW, _TILT, _TILT]] ** 2).sum()
    return weight, float(total.sum() + prior), float(np.exp(nobody - total).mean())


def _improve(seen: Seen, rows: Guesses, weight: np.ndarray, fit: Fit) -> Fit:
    """One Gauss-Newton step for camera and habit under weighted guesses, then the noise and the looks of a stroke."""
    reach = seen.reach @ fit.turn.T
    where = rows.chord[:, None], rows.side[:, None], rows.finger
    target, spread = striking.contact(rows, reach[where], fit.habit)
    used, count = rows.used[..., None], rows.count[:, None]
    tips = np.where(used, seen.reach[where], 0.0)
    black = keyboard.is_black(rows.pitch).astype(int)
    which = np.eye(10)[5 * black + rows.finger] * used  # [R, 5, 10]: whose habit
    target = np.where(used, target, 0.0)
    target[..., 1] -= which @ fit.habit.ravel()
    mean_tips, mean_target, mean_which = (a.sum(1) / count for a in (tips, target, which))
    own = np.where(used, spread**2, 0.0).sum(1) / count**2
    place = seen.wrist[rows.chord, rows.side] - fit.centre
    several = used[..., 0] & (count > 1)
    row = np.nonzero(several)[0]
    shape_tips, shape_target = tips[several] - mean_tips[row], target[several] - mean_target[row]
    shape_which = which[several] - mean_which[row]
    share = weight[:, None]
    variance = fit.variance[0] + fit.variance[1] / seen.frames[rows.chord, None] + own / fit.scale**2
    shape_stiff = np.sqrt(share[row] / fit.looseness) / spread[several]

    def residuals(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of wrists, in camera units, and of chord shapes, m; p is log scale, offset, angles, habit."""
        turn = Rotation.from_euler("ZYX", p[4:7]).as_matrix()
        aim = mean_target - p[1:4]
        aim[:, 1] += mean_which @ p[7:]
        shape = shape_target - shape_tips @ turn.T
        shape[:, 1] += shape_which @ p[7:]
        return place + (mean_tips - aim @ turn) * np.exp(-p[0]), shape

    def whitened(p: np.ndarray) -> np.ndarray:
        wrist, shape = residuals(p)
        return np.concatenate([(wrist * stiff).ravel(), (shape * shape_stiff).ravel()])

    p = np.r_[np.log(fit.scale), fit.offset, fit.angles, fit.habit.ravel()]
    trust = (_TAIL + 3.0) / (_TAIL + (residuals(p)[0] ** 2 / variance).sum(1))
    stiff = np.sqrt((weight * trust)[:, None] / variance)
    belief = np.r_[_SCALE, np.full(3, np.inf), _YAW, _TILT, _TILT, striking.HABIT.ravel()] ** -2.0
    damping = np.r_[0.0, np.ones(3), np.zeros(13)]  # keeps the offset's steps small where notes say little about it
    now = whitened(p)
    jacobian = np.stack([(whitened(p + step) - now) / 1e-5 for step in 1e-5 * np.eye(len(p))], axis=1)
    normal = jacobian.T @ jacobian + np.diag(belief + damping)
    p = p - np.linalg.solve(normal, jacobian.T @ now + belief * p)

    wrist, shape = residuals(p)
    hits = np.zeros(seen.fall.shape)
    np.add.at(hits, where, share * rows.used)
    variance = _variances(trust[:, None] * wrist**2 - own / np.exp(2 * p[0]), weight, seen.frames[rows.chord])
    hits = np.clip(hits, 0.0, 1.0)
    spare = (weight * (rows.count - 1)).sum()
    looseness = (100.0 + (share[row] * (shape / spread[several]) ** 2).sum(0)) / (100.0 + spare)
    return replace(
        fit,
        scale=float(np.exp(p[0])),
        offset=p[1:4],
        angles=p[4:7],
        habit=p[7:].reshape(2, 5),
        variance=variance,
        looseness=np.maximum(looseness, 0.25),
        shares=_learn(striking.bins(reach, seen.fall), hits),
        stroke=-float((hits * seen.fall).sum() / hits.sum()),
        normal=(jacobian, now, np.r_[np.repeat(rows.chord, 3), np.repeat(rows.chord[row], 3)], normal),
    )


def _variances(square: np.ndarray, weight: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """[2, 3]: the squares [R, 3] taken apart into lasting + averaging / frames, neither below 0."""
    weight = weight * frames / (1.0 + frames)  # means over many frames are surer
    terms = np.stack([np.ones_like(frames), 1.0 / frames], axis=1)
    normal = terms.T @ (weight[:, None] * terms) + 1e-9 * np.eye(2)
    aim = terms.T @ (weight[:, None] * square)  # [2, 3]
    both = np.linalg.solve(normal, aim)
    alone = aim / np.diag(normal)[:, None]
    both = np.where(both[0] < 0, [np.zeros(3), alone[1]], np.where(both[1] < 0, [alone[0], np.zeros(3)], both))
    return np.maximum(both, [[0.003**2], [0.0]])


def _learn(level: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Shares of striking and idle fingers in each bin, from what is known and from hits [G, 2, 5] in 0..1."""
    found = np.stack(
        [[np.bincount(one.ravel(), weights.ravel(), minlength=5) for weights in (hits, 1.0 - hits)] for one in level]
    )
    found += _KNOWN * striking.SHARES
    return found / found.sum(-1, keepdims=True)
