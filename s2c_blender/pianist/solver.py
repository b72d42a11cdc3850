# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trajectory optimisation of one (right) hand: banded Gauss-Newton over all frames of a window at once.

Every term is a weighted square of a residual. All but smoothness and the ties between fingers live in one frame, and
these couple frames at most three apart: the normal matrix is banded (3 * 22) and a Cholesky solve is linear in time.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from ..core import collision, hand, keyboard
from . import kinematics
from .banded import CAUTIOUS_STEP, SPREADS, TIES, Normal, banded_product, smoothness_bands, solve_step, tie_gradient
from .kinematics import DOF, FINGER_DOFS, HINGE_OF_DOF
from .performer import Performer

_PAD, _JOINT3 = 4, 2
_HELD = 1e10  # 1 / m^2, 1 / rad^2: weight of what must be so
_LOW, _HIGH = hand.HINGE_LOW[HINGE_OF_DOF], hand.HINGE_HIGH[HINGE_OF_DOF]
_LARGEST_STEP = np.array([0.2] * 3 + [0.5] * 19)  # m, rad a round: keeps linearisation honest
_OWN = [np.unique(entries) for entries in FINGER_DOFS]  # q entries that move each finger in the hand ...
_COLUMNS = [np.r_[0:6, own] for own in _OWN]  # ... and those that move its points in space, ascending


@dataclass
class Hold:
    """Poses that a hand must take exactly in K of its N frames, whatever else suffers (right-hand piano frame)."""

    frame: np.ndarray  # [K] ascending
    q: np.ndarray  # [K, 22], NaN where free
    pad: np.ndarray  # [K, 5, 3] m, NaN where free
    room: np.ndarray  # [N, 16] rad that joints may go beyond their limits for it

    def cut(self, start: int, stop: int) -> "Hold | None":
        """Of the frames start..stop, counted from start; None without any."""
        which = (self.frame >= start) & (self.frame < stop)
        if not which.any():
            return None
        return Hold(self.frame[which] - start, self.q[which], self.pad[which], self.room[start:stop])


@dataclass
class Goals:
    """What one hand should do in N frames (right-hand piano frame, metres; fingers thumb .. little)."""

    pad: np.ndarray  # [N, 5, 3] where the pads should be
    tilt: np.ndarray  # [N, 5] slope of the finger's key: the pad's goal sinks by tilt * (hinge - y)
    weight: np.ndarray  # [N, 5, 3] 1 / m^2; 0 where a finger is free
    slack: np.ndarray  # [N, 5, 3] m of deviation that costs nothing
    idle: np.ndarray  # [N, 5] bool: the pad hovers, higher over a black key
    striking: np.ndarray  # [N, 5] bool: the finger is on, or on its way down to, its key
    guard: np.ndarray  # [N, 5] 1 / m^2: weight of staying clear above keys that are not to be pressed
    prior: np.ndarray  # [N, 22] posture to fall back to
    stiffness: np.ndarray  # [N, 22] 1 / unit^2 weight of the prior
    dip_offset: np.ndarray  # [N, 4] rad
    swing: np.ndarray | float = 0.0  # [H + N + F, 22] wilful movement that no smoothness damps; H frames of history
    obstacle: np.ndarray | None = None  # [N, S, 3] m: points of the other hand to stay clear of
    hold: Hold | None = None  # what the user has set by hand
    pad_shift: np.ndarray | float = 0.0  # [N, 5, 3] m that pads are elsewhere than hinges alone put them


def surface(points: np.ndarray, blacks: np.ndarray, margin: float) -> np.ndarray:
    """Height [...] m of the unpressed keys under points [..., 3]; ramps of `margin` lead up to the black keys.

    blacks: x of the black keys' centres, ascending. Its slope is left out of the optimisation on purpose: a finger near
    a black key is lifted over it, not pushed aside, and the steps stay stable.
    """
    x, y = points[..., 0], points[..., 1]
    right = np.clip(np.searchsorted(blacks, x), 1, len(blacks) - 1)
    aside = np.minimum(np.abs(x - blacks[right - 1]), np.abs(x - blacks[right]))
    beside = (keyboard.BLACK_WIDTH / 2 + margin - aside) / margin
    behind = (y - keyboard.BLACK_FRONT + margin) / margin
    return keyboard.BLACK_HEIGHT * np.clip(np.minimum(beside, behind), 0, 1)


def _add_points(normal: Normal, q: np.ndarray, pose: kinematics.Pose, goals: Goals, blacks: np.ndarray, p: Performer):
    """Contacts and strokes (pads to their goals) and clearance of everything else above the keys."""
    pads = pose.world[:, :, _PAD] + goals.pad_shift
    height = surface(pads, blacks, p.finger_margin)
    short = height + p.clearance - pads[..., 2]
    lift_weight = np.where((short > 0) & ~goals.striking, goals.guard, 0.0)
    # Height counts from the key's surface where the pad is, and the key slopes when it is down.
    off = pads - goals.pad
    off[..., 2] -= np.where(goals.idle, np.maximum(height + p.clearance - p.hover, 0.0), 0.0)
    off[..., 2] += goals.tilt * (keyboard.HINGE_Y - pads[..., 1])
    off = np.sign(off) * np.maximum(np.abs(off) - goals.slack, 0)

    low = np.where(np.arange(5) == 0, p.thumb_joint_clearance, p.joint_clearance) - pose.world[:, :, _JOINT3, 2]
    low_weight = np.where(low > 0, p.clearance_weight, 0.0)

    jac = kinematics.point_jacobian(pose, q[:, :3], _PAD).T  # [10, 3, 5, N]
    rows = np.empty((5, *jac[:, 0].shape))  # [row, 10, finger, N]: x, y, z of the pad, its clearance, joint3's
    rows[:2] = jac[:, :2].swapaxes(0, 1)
    rows[2] = jac[:, 2] - goals.tilt.T * jac[:, 1]
    rows[3] = -jac[:, 2]
    rows[4] = -kinematics.point_jacobian(pose, q[:, :3], _JOINT3).T[:, 2]
    residual = np.concatenate([off.T, short.T[None], low.T[None]])  # [row, finger, N]
    weight = np.concatenate([goals.weight.T, lift_weight.T[None], low_weight.T[None]])
    for f, columns in enumerate(_COLUMNS):
        normal.add(columns, rows[:, : len(columns), f], residual[:, f], weight[:, f])


def _add_collisions(normal: Normal, pose: kinematics.Pose, p: Performer):
    """Fingers keep apart and in order, in the wrist frame (the wrist's own columns drop out)."""
    distance, away, s, t = collision.closest(pose.local)
    away, jacobian = away.T, pose.jacobian.T  # [3, P, N], [4, 3, point, finger, N]
    deep = collision.REACH + p.finger_air - distance
    for k in np.flatnonzero((deep > 0).any(0)):
        (fa, sa), (fb, sb) = collision.PAIRS[k]
        frames = np.flatnonzero(deep[:, k] > 0)
        ends = []
        for f, seg, where in ((fa, sa, s), (fb, sb, t)):
            w = where[frames, k]
            ends.append((1 - w) * jacobian[:, :, seg, f, frames] + w * jacobian[:, :, seg + 1, f, frames])
        _push_apart(normal, frames, (fa, fb), ends, away[:, k, frames], deep[frames, k], p)
    # Distances alone let crossed fingers stay crossed; the order of the four fingers' joints sorts them out.
    sideways = np.array([[-1.0], [0], [0]])  # from the outer finger to the inner one
    for f in (1, 2, 3):
        crossed = p.finger_order - (pose.local[:, f + 1, 1:4, 0] - pose.local[:, f, 1:4, 0])  # joint2, joint3, tip
        for point in np.flatnonzero((crossed > 0).any(0)):
            frames = np.flatnonzero(crossed[:, point] > 0)
            ends = [jacobian[:, :, point + 1, g, frames] for g in (f, f + 1)]
            _push_apart(normal, frames, (f, f + 1), ends, sideways, crossed[frames, point], p)


def _push_apart(normal, frames, fingers, ends, away, deep, p: Performer):
    """One-sided residual `deep` [n] m between points of two fingers; ends: their Jacobians [4, 3, n] twice."""
    (one, other), (a, b) = ((away * end).sum(1) for end in ends), (_OWN[f] for f in fingers)
    row = np.concatenate([-one[: len(a)], other[: len(b)]])
    normal.add_some(frames, np.concatenate([a, b]), row, deep, p.collision_weight)


def _add_other_hand(normal: Normal, pose: kinematics.Pose, obstacle: np.ndarray, p: Performer):
    """Keep clear of the other hand: knuckles and fingertips against its points, moving the whole hand."""
    mine = np.concatenate([pose.world[:, :, 0], pose.world[:, :, 3]], 1)  # knuckles and tips [N, 10, 3]
    apart = mine[:, :, None] - obstacle[:, None]  # [N, 10, S, 3]
    distance = np.sqrt((apart**2).sum(-1) + 1e-12)
    deep = p.hand_air - distance
    frames, a, b = np.nonzero(deep > 0)
    if not len(frames):
        return
    n = apart[frames, a, b] / distance[frames, a, b, None]
    weight = p.hand_weight * deep[frames, a, b]
    outer = p.hand_weight * n[:, :, None] * n[:, None, :]
    xyz = np.arange(3)
    np.add.at(normal.h, (xyz[:, None], xyz, frames[:, None, None]), outer)
    np.add.at(normal.g, (xyz, frames[:, None]), -weight[:, None] * n)


def _add_posture(normal: Normal, q: np.ndarray, goals: Goals, p: Performer):
    """Prior posture, joint limits, and neighbours that move along (tendons and nerves tie fingers together)."""
    columns = np.arange(DOF)
    away = (q - goals.prior).T
    normal.add_diagonal(columns, away, goals.stiffness.T)
    joints = q[:, 6:]
    low, high = joint_limits(q, goals.hold)
    margin = np.radians(1.0)  # the solver's one-sided springs stop a little inside the limit
    over = np.maximum(joints - (high - margin), 0) + np.minimum(joints - (low + margin), 0)
    normal.add_diagonal(columns[6:], over.T, np.where(over != 0, p.limit_weight, 0.0).T)
    for a, b in TIES:  # a < b
        force = p.coupling_weight * (away[a] - away[b])
        normal.h[[a, b], [a, b]] += p.coupling_weight
        normal.h[a, b] -= p.coupling_weight
        normal.g[a] += force
        normal.g[b] -= force


def _add_hold(normal: Normal, q: np.ndarray, pose: kinematics.Pose, hold: Hold):
    """Joints and pads that the user has set: q's own entries, and pads through the Jacobian of their frames."""
    held = np.isfinite(hold.q)
    off = np.where(held, q[hold.frame] - hold.q, 0.0)
    columns = np.arange(DOF)
    normal.h[columns, columns, hold.frame[:, None]] += np.where(held, _HELD, 0.0)
    normal.g[columns, hold.frame[:, None]] += _HELD * off
    for k, f in zip(*np.nonzero(np.isfinite(hold.pad).all(2)), strict=True):
        frame = hold.frame[k : k + 1]
        one = kinematics.Pose(*(values[frame] for values in vars(pose).values()))
        rows = kinematics.point_jacobian(one, q[frame, :3], _PAD)[0, f, :, : len(_COLUMNS[f])]  # [3, C]
        for row, off in zip(rows, pose.world[frame, f, _PAD][0] - hold.pad[k, f], strict=True):
            normal.add_some(frame, _COLUMNS[f], row[:, None], off, _HELD)


def joint_limits(q: np.ndarray, hold: Hold | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest joint angles [N, 16] (q's entries from the thumb on); spread shrinks as its finger bends.

    What the user has set by hand may lie beyond them, and the way there.
    """
    low, high = np.tile(_LOW, (len(q), 1)), np.tile(_HIGH, (len(q), 1))
    spread = hand.spread_limit(q[:, SPREADS + 1])
    high[:, SPREADS - 6], low[:, SPREADS - 6] = spread, -spread
    return (low, high) if hold is None else (low - hold.room, high + hold.room)


def _new_damping(damping: np.ndarray, step: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """More damping [frames, 1] where a frame's steps go back and forth, as contacts and limits switch on and off."""
    if before is None:
        return damping
    unit, previous = step / CAUTIOUS_STEP, before / CAUTIOUS_STEP
    swinging = (unit * previous).sum(1) < -0.2 * (previous * previous).sum(1)
    swinging &= (unit * unit).sum(1) > 0.05
    factor = np.where(maximum_filter1d(swinging, 5), 6.0, 0.4)[:, None]
    return np.clip(damping * factor, 1e-3, 1e4)


def solve(
    start: np.ndarray,
    goals: Goals,
    blacks: np.ndarray,
    fps: float,
    p: Performer,
    history: np.ndarray,
    rounds: int = 14,
    future: np.ndarray | None = None,
) -> np.ndarray:
    """The motion q [N, 22] that meets `goals` best, from the guess `start` [N, 22].

    `history` [H <= 3, 22] are frames just before, `future` [F <= 3, 22] frames just after, both already fixed;
    `blacks` are the centres of the black keys, ascending.
    """
    future = history[:0] if future is None else future
    own = slice(len(history), len(history) + len(start))
    smooth = smoothness_bands(len(history) + len(start) + len(future), fps, p)
    tie = (fps / p.tie) ** 2
    q = start.copy()
    damping, before = np.full((len(q), 1), 0.03), None
    for _ in range(rounds):
        pose = kinematics.pose(q, goals.dip_offset)
        normal = Normal(len(q))
        _add_points(normal, q, pose, goals, blacks, p)
        _add_collisions(normal, pose, p)
        _add_posture(normal, q, goals, p)
        if goals.obstacle is not None:
            _add_other_hand(normal, pose, goals.obstacle, p)
        if goals.hold is not None:
            _add_hold(normal, q, pose, goals.hold)
        whole = np.concatenate([history, q, future]) - goals.swing
        normal.g += (banded_product(smooth, whole) + tie_gradient(whole, tie))[own].T
        step = solve_step(normal, smooth[:, own], tie, len(history), len(future), damping)
        step = np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        q += step
        damping, before = _new_damping(damping, step, before), step
        if np.abs(step).max() < 1e-3:
            break
    # Springs give way by a fraction of a degree; joints do not.
    q[:, 6:] = np.clip(q[:, 6:], *joint_limits(q, goals.hold))
    return q
