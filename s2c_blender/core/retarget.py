# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another hand plays our motion: its joints and finger lengths differ, its pads meet the same keys at the same moments.

The foreign hand is first brought into our rest pose: turned as a whole so that its knuckles lie like ours, then each
finger bone so that it points like ours. What is left are other knuckle places and bone lengths, so that the joints'
rotations, hinge axes and limits of our hand hold for it too. From our pose as a start, damped least squares move the
wrist and the hinges of every frame until the pads lie where ours do: exactly for fingers that hold keys, softly for the
others. The cost changes smoothly with time, and so does the result. All is computed for a right hand.
"""

from dataclasses import dataclass

import numpy as np

from . import curves, hand
from .motion import HandMotion

HELD, FREE = 0.0003, 0.002  # m, how far pads may stray: on a key, elsewhere
LEAD = 0.12  # s over which a finger gets from free to held
_WRIST, _TURN = 0.01, 0.1  # m, rad, how far the wrist may leave its own way
_CALM = 0.25  # s over which the wrist evens out what other finger lengths ask of it
_HINGE = np.radians([12.0, 30.0, 25.0, 15.0])  # spread and three flexions, how far they may leave our pose
_LIMIT = np.radians(2.0)
_SLACK = np.radians(4.0)  # our own motion may be this much outside the limits
_ROUNDS = 12
_BLOCK = 2048  # frames solved together
_FLIP = np.array([-1.0, 1.0, 1.0])
_AXES = hand.HINGE_AXES.reshape(5, 4, 3)
_HINGES_AT = np.array([[0, 0, 1, 2]] * 5)  # which of a finger's joints each of its hinges turns


@dataclass(frozen=True)
class Skeleton:
    """A hand at rest, metres, in axes parallel to the piano's: joint heads, and the pads (or ends) of its fingers.

    NaN stands for joints without a bone.
    """

    heads: np.ndarray  # [16, 3]
    ends: np.ndarray  # [5, 3] where the last bones end, thumb .. little
    left: bool
    pads: np.ndarray | None = None  # [5, 3] what touches the keys; the ends where it is None or NaN


@dataclass(frozen=True)
class Fitted:
    """A foreign hand in our rest pose, as a right hand."""

    heads: np.ndarray  # [16, 3] m, wrist at the origin
    pads: np.ndarray  # [5, 3]
    turns: np.ndarray  # [16, 3, 3] from each bone's rest direction, in the piano's axes, to ours
    hinges: np.ndarray  # [20] bool: those that can turn
    fingers: np.ndarray  # [5] bool: those that exist
    left: bool

    @property
    def scale(self) -> float:
        """Its size beside ours: from the wrist over the knuckles to the pads."""
        there = self.fingers.copy()
        there[0] &= not there[1:].any()
        return float(_reach(self.heads, self.pads)[there].mean() / _reach(hand.HEADS, hand.PADS)[there].mean())


@dataclass(frozen=True)
class Followed:
    """How a foreign hand plays a motion: its wrist, and its joints in our rest pose."""

    position: np.ndarray  # [N, 3] m, piano frame
    rotation: np.ndarray  # [N, 16, 3] axis-angle


def _reach(heads: np.ndarray, pads: np.ndarray) -> np.ndarray:
    chain = np.concatenate([np.zeros((5, 1, 3)), heads[hand.FINGER_JOINTS], pads[:, None]], axis=1)
    return np.linalg.norm(np.diff(chain, axis=1), axis=-1).sum(axis=1)


def fit(skeleton: Skeleton) -> Fitted:
    """Bring a hand into our rest pose; ValueError when wrist and knuckles are too few or lie on a line."""
    flip = _FLIP if skeleton.left else np.ones(3)
    heads, ends = (skeleton.heads - skeleton.heads[0]) * flip, (skeleton.ends - skeleton.heads[0]) * flip
    pads = np.full((5, 3), np.nan) if skeleton.pads is None else (skeleton.pads - skeleton.heads[0]) * flip
    pads = np.where(np.isnan(pads), ends, pads)
    palm = _palm(heads)
    ours, turns = np.zeros((16, 3)), np.repeat(palm[None], 16, axis=0)
    our_pads, hinges, fingers = hand.PADS.copy(), np.zeros((5, 4), bool), np.zeros(5, bool)
    for f, joints in enumerate(hand.FINGER_JOINTS):
        there = [j for j in joints if not np.isnan(heads[j, 0])]
        if not there or np.isnan(ends[f, 0]):
            ours[joints] = hand.HEADS[joints]
            continue
        fingers[f] = True
        hinges[f] = np.isin(joints[_HINGES_AT[f]], there)
        ours[joints] = palm @ heads[there[0]]
        for j, after in zip(there, [*there[1:], None], strict=True):
            way = (heads[after] if after else ends[f]) - heads[j]
            our_way = (hand.HEADS[after] if after else hand.TIPS[f]) - hand.HEADS[j]
            turns[j] = _swing(palm @ way, our_way) @ palm
            ours[joints[joints >= j]] = ours[j]
            if after:
                ours[joints[joints >= after]] = ours[j] + turns[j] @ way
            turns[joints[joints >= j]] = turns[j]
        last = there[-1]
        our_pads[f] = ours[last] + turns[last] @ (pads[f] - heads[last])
    return Fitted(ours, our_pads, _mirrored(turns, skeleton.left), hinges.ravel(), fingers, skeleton.left)


def _palm(heads: np.ndarray) -> np.ndarray:
    """The rotation [3, 3] that brings wrist and knuckles [16, 3] closest to ours, whatever their size (Kabsch)."""
    joints = np.array([0, *hand.FINGER_JOINTS[:, 0]])
    joints = joints[~np.isnan(heads[joints, 0])]
    if len(joints) > 4:
        joints = joints[joints != hand.FINGER_JOINTS[0, 0]]  # thumbs are drawn in at many different angles
    theirs, ours = (points[joints] - points[joints].mean(axis=0) for points in (heads, hand.HEADS))
    u, sizes, vt = np.linalg.svd(theirs.T @ ours)
    if len(joints) < 3 or sizes[1] < 1e-3 * sizes[0]:
        raise ValueError("too few knuckles")
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return vt.T @ sign @ u.T


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The shortest rotation [3, 3] of direction `start` to `end`."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis, cos = np.cross(start, end), float(start @ end)
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0.0]])
    return np.eye(3) + k + k @ k / max(1.0 + cos, 1e-6)


def _mirrored(rotations: np.ndarray, left: bool) -> np.ndarray:
    """Rotations [..., 3, 3] of the other side."""
    return rotations * np.outer(_FLIP, _FLIP) if left else rotations


def follow(fitted: Fitted, motion: HandMotion) -> Followed:
    """The motion of a fitted hand whose pads go where ours go."""
    from scipy.ndimage import gaussian_filter1d  # slow to import

    position, rotation = motion.hand(0 if fitted.left else 1)
    if fitted.left:
        position, rotation = hand.mirror(position, rotation)
    sigma = _stray(motion, 0 if fitted.left else 1)
    blocks = [slice(i, i + _BLOCK) for i in range(0, len(position), _BLOCK)]
    shift = np.concatenate([_shift(fitted, position[block], rotation[block]) for block in blocks])
    home = position + gaussian_filter1d(shift, _CALM * motion.fps, axis=0, mode="nearest")
    parts = [_solve(fitted, position[block], rotation[block], home[block], sigma[block]) for block in blocks]
    position, rotation = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if fitted.left:
        position, rotation = hand.mirror(position, rotation)
    return Followed(position, rotation)


def _stray(motion: HandMotion, side: int) -> np.ndarray:
    """How far each pad may be from ours, m [N, 5]: smooth over time."""
    times = np.arange(len(motion.left_position)) / motion.fps
    held = np.zeros((len(times), 5))
    for note, (down, _, _, up) in zip(motion.notes, motion.keys, strict=True):
        if note["hand"] == side and 0 <= note["finger"] < 5:
            span = slice(*np.searchsorted(times, (down - LEAD, up + LEAD)))
            away = np.maximum(np.maximum(down - times[span], times[span] - up), 0.0)
            near = np.clip(1.0 - away / LEAD, 0.0, 1.0)
            finger = held[span, note["finger"]]
            np.maximum(finger, near * near * (3 - 2 * near), out=finger)
    return FREE * (HELD / FREE) ** held


def _shift(fitted: Fitted, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """From our wrist to where the foreign one would lie in our pose with its pads, on average, on ours: m [N, 3]."""
    target = hand.forward_kinematics(position, rotation)[1]
    angles = np.where(fitted.hinges, hand.hinges_from_rotations(rotation), 0.0).reshape(-1, 5, 4)
    wrist = hand.Rotation.from_rotvec(rotation[:, 0]).as_matrix()
    pads = np.einsum("nij,nfj->nfi", wrist, _local(fitted, angles)[0])
    return (target - pads)[:, fitted.fingers].mean(axis=1) - position


def _solve(fitted: Fitted, position: np.ndarray, rotation: np.ndarray, home: np.ndarray, sigma: np.ndarray):
    """position [N, 3] and rotation [N, 16, 3] of one block of frames of a right hand.

    `home` [N, 3]: where the wrist would rather be.
    """
    target = hand.forward_kinematics(position, rotation)[1]
    prior = hand.hinges_from_rotations(rotation).reshape(-1, 5, 4)
    free = fitted.hinges.reshape(5, 4)
    prior = np.where(free, prior, 0.0)
    angles, wrist = prior.copy(), hand.Rotation.from_rotvec(rotation[:, 0]).as_matrix()
    there = fitted.fingers
    place, turned = home.copy(), np.zeros_like(home)
    start = wrist
    weight = np.where(there, 1.0 / sigma, 0.0)
    low, high = hand.HINGE_LOW.reshape(5, 4) - _SLACK, hand.HINGE_HIGH.reshape(5, 4) + _SLACK
    for _ in range(_ROUNDS):
        step = _step(
            _Frame(*_local(fitted, angles), wrist, place), target, weight,
            (place - home) / _WRIST, turned / _TURN, (angles - prior) / _HINGE,
            (angles - np.clip(angles, low, high)) / _LIMIT, free,
        )  # fmt: skip
        place = place + step[0]
        turn = hand.Rotation.from_rotvec(step[1])
        wrist = turn.as_matrix() @ wrist
        turned = hand.Rotation.from_matrix(wrist @ start.swapaxes(1, 2)).as_rotvec()
        angles = angles + step[2]
        if max(np.abs(step[1]).max(), np.abs(step[2]).max()) < 1e-4:
            break
    result = hand.rotations_from_hinges(angles.reshape(-1, 20))
    result[:, 0] = hand.Rotation.from_matrix(wrist).as_rotvec()
    return place, result


@dataclass(frozen=True)
class _Frame:
    """Pads of N poses: in the wrist's axes [N, 5, 3], what each hinge does to them [N, 5, 3, 4], and the wrist."""

    pads: np.ndarray
    jacobian: np.ndarray
    wrist: np.ndarray  # [N, 3, 3]
    place: np.ndarray  # [N, 3]


def _local(fitted: Fitted, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pads [N, 5, 3] in the wrist's axes and their derivatives [N, 5, 3, 4] by the hinges [N, 5, 4]."""
    heads = fitted.heads[hand.FINGER_JOINTS]  # [5, 3, 3]
    turns = [_rotations(_AXES[:, k], angles[..., k]) for k in range(4)]
    r1 = turns[0] @ turns[1]
    r2 = r1 @ turns[2]
    r3 = r2 @ turns[3]
    second = heads[:, 0] + _turned(r1, heads[:, 1] - heads[:, 0])
    third = second + _turned(r2, heads[:, 2] - heads[:, 1])
    pads = third + _turned(r3, fitted.pads - heads[:, 2])
    shape = pads.shape
    axes = [
        np.broadcast_to(_AXES[:, 0], shape),
        *(_turned(r, _AXES[:, k + 1]) for k, r in enumerate((turns[0], r1, r2))),
    ]
    pivots = [np.broadcast_to(heads[:, 0], shape), np.broadcast_to(heads[:, 0], shape), second, third]
    arms = [pads - pivot for pivot in pivots]
    return pads, np.stack([np.cross(axis, arm) for axis, arm in zip(axes, arms, strict=True)], axis=-1)


def _rotations(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotations [N, 5, 3, 3] about one axis a finger [5, 3] by [N, 5] radians."""
    k = np.zeros((5, 3, 3))
    k[:, [2, 0, 1], [1, 2, 0]] = axes
    k[:, [1, 2, 0], [2, 0, 1]] = -axes
    sin, cos = np.sin(angles)[..., None, None], np.cos(angles)[..., None, None]
    return np.eye(3) + sin * k + (1 - cos) * (k @ k)


def _turned(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.einsum("nfij,fj->nfi", rotation, vector)


def _step(frame: _Frame, target, weight, place, turned, hinges, beyond, free) -> tuple[np.ndarray, ...]:
    """One Gauss-Newton step: of the wrist's place [N, 3] and turn [N, 3], and of the hinges [N, 5, 4].

    The fingers are eliminated first (each meets only the wrist), which leaves six unknowns a frame.
    """
    n = len(target)
    arm = np.einsum("nij,nfj->nfi", frame.wrist, frame.pads)
    error = (arm + frame.place[:, None] - target) * weight[..., None]  # [N, 5, 3]
    fingers = frame.wrist[:, None] @ frame.jacobian * weight[..., None, None] * free[:, None]  # [N, 5, 3, 4]
    whole = np.zeros((n, 5, 3, 6))
    whole[..., :3] = np.eye(3)
    whole[..., [0, 1, 2], [4, 5, 3]] = arm[..., [2, 0, 1]]  # rotating about x, y, z: w x arm
    whole[..., [0, 1, 2], [5, 3, 4]] = -arm[..., [1, 2, 0]]
    whole = whole * weight[..., None, None]
    across = fingers.swapaxes(-1, -2)
    block = across @ fingers
    diagonal = np.arange(4)
    block[..., diagonal, diagonal] += 1 / _HINGE**2 + np.where(beyond != 0, 1 / _LIMIT**2, 0.0)
    slope = np.einsum("nfhi,nfi->nfh", across, error) + (hinges / _HINGE + beyond / _LIMIT) * free
    coupled = across @ whole  # [N, 5, 4, 6]
    solved = np.linalg.solve(block, np.concatenate([coupled, slope[..., None]], axis=-1))
    left = np.einsum("nfij,nfik->njk", whole, whole) - np.einsum("nfhj,nfhk->njk", coupled, solved[..., :6])
    left[:, [0, 1, 2], [0, 1, 2]] += 1 / _WRIST**2
    left[:, [3, 4, 5], [3, 4, 5]] += 1 / _TURN**2
    right = np.einsum("nfij,nfi->nj", whole, error) - np.einsum("nfhj,nfh->nj", coupled, solved[..., 6])
    right += np.concatenate([place / _WRIST, turned / _TURN], axis=1)
    wrist = -np.linalg.solve(left, right[..., None])[..., 0]
    angles = -solved[..., 6] - np.einsum("nfhj,nj->nfh", solved[..., :6], wrist)
    return wrist[:, :3], _at_most(wrist[:, 3:], 0.3), _at_most(angles, 0.3)


def _at_most(step: np.ndarray, most: float) -> np.ndarray:
    return step * np.minimum(1.0, most / np.maximum(np.abs(step).max(axis=-1, keepdims=True), 1e-12))


def bone_turns(fitted: Fitted, rotation: np.ndarray) -> np.ndarray:
    """How far each bone is turned from its rest pose, in the piano's axes: [T, 16, 3, 3] of rotation [T, 16, 3]."""
    frames = hand.forward_kinematics(np.zeros((len(rotation), 3)), rotation)[2]
    return frames @ fitted.turns


def pad_directions(fitted: Fitted) -> np.ndarray:
    """From the ends of the fingers' bones at rest towards their pads, as ours have them: [5, 3], piano's axes."""
    way = (hand.PADS - hand.TIPS) * (_FLIP if fitted.left else 1.0)
    return np.einsum("fji,fj->fi", fitted.turns[hand.FINGER_JOINTS[:, 2]], way)


def sampled(followed: Followed, fps: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wrist [T, 3] and rotations [T, 16, 3] at `times` [T] s."""
    turned = curves.sample_rotations(followed.rotation, fps, times)
    return curves.sample(followed.position, fps, times), curves.rotvec(turned)
