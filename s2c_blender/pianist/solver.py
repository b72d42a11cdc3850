# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trajectory optimisation of one (right) hand: banded Gauss-Newton over all frames of a window at once.

Every term is a weighted square of a residual. All but smoothness and the ties between fingers live in one frame, and
these couple frames at most three apart: the normal matrix is banded (3 * 22) and a Cholesky solve is linear in time.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import maximum_filter1d

from ..core import collision, hand, keyboard
from . import kinematics
from .kinematics import DOF, FINGER_DOFS, HINGE_OF_DOF
from .performer import Performer

_PAD, _JOINT3 = 4, 2
_BAND = 3 * DOF
_HELD = 1e10  # 1 / m^2, 1 / rad^2: weight of what must be so
_LOW, _HIGH = hand.HINGE_LOW[HINGE_OF_DOF], hand.HINGE_HIGH[HINGE_OF_DOF]
_LARGEST_STEP = np.array([0.2] * 3 + [0.5] * 19)  # m, rad a round: keeps linearisation honest
_CAUTIOUS_STEP = np.array([0.004] * 3 + [0.04] * 19)  # what a step costs under damping 1
_SPREADS = np.array([10, 13, 16, 19])  # q entries of the four fingers' spreads; +1 flex1, +2 flex2
_TIES = [(_SPREADS[a] + k, _SPREADS[a + 1] + k) for a in range(3) for k in (1, 2)]  # flexions of neighbours


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


class _Normal:
    """The normal equations H step = -g, block by block."""

    def __init__(self, frames: int):
        self.h = np.zeros((frames, DOF + 1, DOF + 1))  # one spare row for columns that fold away
        self.g = np.zeros((frames, DOF + 1))

    def add(self, columns: np.ndarray, rows: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> None:
        """rows [N, R, C] = d residual [N, R] / d q[columns [C]], with weights [N, R]."""
        weighted = rows * weight[..., None]
        self.h[:, columns[:, None], columns] += weighted.swapaxes(-1, -2) @ rows
        self.g[:, columns] += (weighted * residual[..., None]).sum(1)

    def add_diagonal(self, columns: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> None:
        """residual [N, C] of q's own entries `columns`."""
        self.h[:, columns, columns] += weight
        self.g[:, columns] += weight * residual


def _finger_columns(finger: int) -> np.ndarray:
    """q entries of the ten columns of a point's Jacobian; the repeated one of a finger goes to the spare row."""
    columns = np.r_[0:6, FINGER_DOFS[finger]]
    if finger:
        columns[9] = DOF
    return columns


def _folded(jacobian: np.ndarray) -> np.ndarray:
    """Fingers but the thumb: both flex2 columns into one (in place)."""
    jacobian[:, 1:, ..., 8] += jacobian[:, 1:, ..., 9]
    jacobian[:, 1:, ..., 9] = 0
    return jacobian


def _add_points(normal: _Normal, q: np.ndarray, pose: kinematics.Pose, goals: Goals, blacks: np.ndarray, p: Performer):
    """Contacts and strokes (pads to their goals) and clearance of everything else above the keys."""
    pads = pose.world[:, :, _PAD] + goals.pad_shift
    jac = _folded(kinematics.point_jacobian(pose, q[:, :3], _PAD))  # [N, 5, 3, 10]
    height = surface(pads, blacks, p.finger_margin)
    short = height + p.clearance - pads[..., 2]
    lift_weight = np.where((short > 0) & ~goals.striking, goals.guard, 0.0)
    lift_rows = -jac[..., 2, :]

    # Height counts from the key's surface where the pad is, and the key slopes when it is down.
    jac[..., 2, :] -= goals.tilt[..., None] * jac[..., 1, :]
    off = pads - goals.pad
    off[..., 2] -= np.where(goals.idle, np.maximum(height + p.clearance - p.hover, 0.0), 0.0)
    off[..., 2] += goals.tilt * (keyboard.HINGE_Y - pads[..., 1])
    off = np.sign(off) * np.maximum(np.abs(off) - goals.slack, 0)

    jac3 = _folded(kinematics.point_jacobian(pose, q[:, :3], _JOINT3))
    low = np.where(np.arange(5) == 0, p.thumb_joint_clearance, p.joint_clearance) - pose.world[:, :, _JOINT3, 2]
    low_weight = np.where(low > 0, p.clearance_weight, 0.0)
    for f in range(5):
        rows = np.concatenate([jac[:, f], lift_rows[:, f, None], -jac3[:, f, 2:3]], 1)
        residual = np.concatenate([off[:, f], short[:, f, None], low[:, f, None]], 1)
        weight = np.concatenate([goals.weight[:, f], lift_weight[:, f, None], low_weight[:, f, None]], 1)
        normal.add(_finger_columns(f), rows, residual, weight)


def _add_collisions(normal: _Normal, pose: kinematics.Pose, p: Performer):
    """Fingers keep apart and in order, in the wrist frame (the wrist's own columns drop out)."""
    distance, away, s, t = collision.closest(pose.local)
    deep = collision.REACH + p.finger_air - distance
    for k in np.flatnonzero((deep > 0).any(0)):
        (fa, sa), (fb, sb) = collision.PAIRS[k]
        frames = np.flatnonzero(deep[:, k] > 0)
        ends = []
        for f, seg, where in ((fa, sa, s), (fb, sb, t)):
            w = where[frames, k, None, None]
            ends.append((1 - w) * pose.jacobian[frames, f, seg] + w * pose.jacobian[frames, f, seg + 1])
        _push_apart(normal, frames, (fa, fb), ends, away[frames, k], deep[frames, k], p)
    # Distances alone let crossed fingers stay crossed; the order of the four fingers' joints sorts them out.
    sideways = np.array([-1.0, 0, 0])  # from the outer finger to the inner one
    for f in (1, 2, 3):
        crossed = p.finger_order - (pose.local[:, f + 1, 1:4, 0] - pose.local[:, f, 1:4, 0])  # joint2, joint3, tip
        for point in np.flatnonzero((crossed > 0).any(0)):
            frames = np.flatnonzero(crossed[:, point] > 0)
            ends = [pose.jacobian[frames, f, point + 1], pose.jacobian[frames, f + 1, point + 1]]
            away_ = np.broadcast_to(sideways, (len(frames), 3))
            _push_apart(normal, frames, (f, f + 1), ends, away_, crossed[frames, point], p)


def _push_apart(normal, frames, fingers, ends, away, deep, p: Performer):
    """One-sided residual `deep` [n] m between points of two fingers; ends: their Jacobians [n, 3, 4] twice."""
    rows = np.zeros((len(frames), 1, 8))
    columns = np.concatenate([FINGER_DOFS[f] for f in fingers])
    for side, (f, point) in enumerate(zip(fingers, ends, strict=True)):
        along = np.einsum("ni,nij->nj", away, point)
        if f:
            along[:, 2] += along[:, 3]
            along[:, 3] = 0
            columns[4 * side + 3] = DOF
        rows[:, 0, 4 * side : 4 * side + 4] = along if side else -along
    weighted = rows * p.collision_weight
    normal.h[np.ix_(frames, columns, columns)] += weighted.swapaxes(-1, -2) @ rows
    normal.g[np.ix_(frames, columns)] += weighted[:, 0] * deep[:, None]


def _add_other_hand(normal: _Normal, pose: kinematics.Pose, obstacle: np.ndarray, p: Performer):
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
    np.add.at(normal.h, (frames[:, None, None], np.arange(3)[:, None], np.arange(3)), outer)
    np.add.at(normal.g, (frames[:, None], np.arange(3)), -weight[:, None] * n)


def _add_posture(normal: _Normal, q: np.ndarray, goals: Goals, p: Performer):
    """Prior posture, joint limits, and neighbours that move along (tendons and nerves tie fingers together)."""
    columns = np.arange(DOF)
    normal.add_diagonal(columns, q - goals.prior, goals.stiffness)
    joints = q[:, 6:]
    low, high = joint_limits(q, goals.hold)
    margin = np.radians(1.0)  # the solver's one-sided springs stop a little inside the limit
    over = np.maximum(joints - (high - margin), 0) + np.minimum(joints - (low + margin), 0)
    normal.add_diagonal(columns[6:], over, np.where(over != 0, p.limit_weight, 0.0))
    away = q - goals.prior
    for pair in _TIES:
        rows = np.broadcast_to(np.array([[[1.0, -1.0]]]), (len(q), 1, 2))
        residual = (away[:, pair[0]] - away[:, pair[1]])[:, None]
        normal.add(np.array(pair), rows, residual, np.full((len(q), 1), p.coupling_weight))


def _add_hold(normal: _Normal, q: np.ndarray, pose: kinematics.Pose, hold: Hold):
    """Joints and pads that the user has set: q's own entries, and pads through the Jacobian of their frames."""
    held = np.isfinite(hold.q)
    off = np.where(held, q[hold.frame] - hold.q, 0.0)
    normal.h[hold.frame[:, None], np.arange(DOF), np.arange(DOF)] += np.where(held, _HELD, 0.0)
    normal.g[hold.frame, :DOF] += _HELD * off
    for k, f in zip(*np.nonzero(np.isfinite(hold.pad).all(2)), strict=True):
        frame = hold.frame[k]
        one = kinematics.Pose(*(values[frame : frame + 1] for values in vars(pose).values()))
        rows = _folded(kinematics.point_jacobian(one, q[frame : frame + 1, :3], _PAD))[0, f]  # [3, 10]
        columns = _finger_columns(f)
        normal.h[np.ix_([frame], columns, columns)] += _HELD * rows.T @ rows
        normal.g[frame, columns] += _HELD * (pose.world[frame, f, _PAD] - hold.pad[k, f]) @ rows


def joint_limits(q: np.ndarray, hold: Hold | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest joint angles [N, 16] (q's entries from the thumb on); spread shrinks as its finger bends.

    What the user has set by hand may lie beyond them, and the way there.
    """
    low, high = np.tile(_LOW, (len(q), 1)), np.tile(_HIGH, (len(q), 1))
    spread = hand.spread_limit(q[:, _SPREADS + 1])
    high[:, _SPREADS - 6], low[:, _SPREADS - 6] = spread, -spread
    return (low, high) if hold is None else (low - hold.room, high + hold.room)


def _smoothness_bands(frames: int, fps: float, p: Performer) -> np.ndarray:
    """Squared accelerations and jerks as a banded matrix in lower form [3 + 1, frames, DOF] (lag, frame, q's entry)."""
    bands = np.zeros((4, frames, DOF))
    second = (fps**2 / p.acceleration) ** 2
    third = (fps**3 / p.jerk) ** 2
    for stencil, weight in (((1, -2, 1), second), ((-1, 3, -3, 1), third)):
        for start in range(len(stencil)):
            for lag in range(len(stencil) - start):
                stop = frames - len(stencil) + 1 + start
                bands[lag, start:stop] += stencil[start] * stencil[start + lag] * weight
    return bands


def _banded_product(bands: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The symmetric banded matrix times q [frames, DOF]."""
    out = bands[0] * q
    for lag in range(1, len(bands)):
        out[:-lag] += bands[lag, :-lag] * q[lag:]
        out[lag:] += bands[lag, :-lag] * q[:-lag]
    return out


def _tie_gradient(q: np.ndarray, weight: float) -> np.ndarray:
    """Gradient [frames, DOF] of neighbouring fingers' different angular speeds: weight * (change of difference)^2."""
    g = np.zeros_like(q)
    for a, b in _TIES:
        change = weight * np.diff(q[:, a] - q[:, b])
        force = np.zeros(len(q))
        force[1:] += change
        force[:-1] -= change
        g[:, a] += force
        g[:, b] -= force
    return g


def _add_ties(band: np.ndarray, weight: float, history: int, future: int) -> None:
    """The same term's second derivatives into the band [_BAND + 1, frames, DOF]; fixed frames before and after it."""
    ends = np.full(band.shape[1], 2.0 * weight)
    if not future:
        ends[-1] = weight
    if not history:
        ends[0] = weight
    for a, b in _TIES:  # a < b
        band[0, :, a] += ends
        band[0, :, b] += ends
        band[b - a, :, a] -= ends
        band[DOF, :-1, a] -= weight
        band[DOF, :-1, b] -= weight
        band[DOF + b - a, :-1, a] += weight
        band[DOF + a - b, :-1, b] += weight


def _step(
    normal: _Normal, smooth: np.ndarray, tie: float, history: int, future: int, damping: np.ndarray
) -> np.ndarray:
    """Solve (H + smoothness + ties + damping [frames, 1]) step = -g; [frames, DOF]."""
    frames = len(normal.g)
    band = np.zeros((_BAND + 1, frames, DOF))
    for i in range(DOF):
        band[: DOF - i, :, i] = normal.h[:, i:DOF, i].T
    for lag in range(4):
        band[lag * DOF] += smooth[lag]
    _add_ties(band, tie, history, future)
    band[0] += damping / _CAUTIOUS_STEP**2
    step = solveh_banded(
        band.reshape(_BAND + 1, -1), -normal.g[:, :DOF].ravel(), lower=True, overwrite_ab=True, check_finite=False
    )
    return step.reshape(frames, DOF)


def _new_damping(damping: np.ndarray, step: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """More damping [frames, 1] where a frame's steps go back and forth, as contacts and limits switch on and off."""
    if before is None:
        return damping
    unit, previous = step / _CAUTIOUS_STEP, before / _CAUTIOUS_STEP
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
    smooth = _smoothness_bands(len(history) + len(start) + len(future), fps, p)
    tie = (fps / p.tie) ** 2
    q = start.copy()
    damping, before = np.full((len(q), 1), 0.03), None
    for _ in range(rounds):
        pose = kinematics.pose(q, goals.dip_offset)
        normal = _Normal(len(q))
        _add_points(normal, q, pose, goals, blacks, p)
        _add_collisions(normal, pose, p)
        _add_posture(normal, q, goals, p)
        if goals.obstacle is not None:
            _add_other_hand(normal, pose, goals.obstacle, p)
        if goals.hold is not None:
            _add_hold(normal, q, pose, goals.hold)
        whole = np.concatenate([history, q, future]) - goals.swing
        normal.g[:, :DOF] += (_banded_product(smooth, whole) + _tie_gradient(whole, tie))[own]
        step = _step(normal, smooth[:, own], tie, len(history), len(future), damping)
        step = np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        q += step
        damping, before = _new_damping(damping, step, before), step
        if np.abs(step).max() < 1e-3:
            break
    # Springs give way by a fraction of a degree; joints do not.
    q[:, 6:] = np.clip(q[:, 6:], *joint_limits(q, goals.hold))
    return q
