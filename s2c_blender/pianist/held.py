# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses that the user has set by hand, in the solver's terms: one (right) hand's, over the frames that are solved.

A hinge cannot make every rotation that a user can: what is left over ("twist") is kept beside q and put on top of the
result. Between the poses and the fixed frames at both ends it fades, as do the ways beyond a joint's limits.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from ..core import curves, hand
from ..core.edit import Pins
from . import kinematics
from .kinematics import FINGER_DOFS
from .solver import Hold, joint_limits

_FADE = 0.08  # s: how soon what is put on top of a motion fades away from where it must be
_ROOM = 0.25  # s around a pose beyond a joint's limits in which neighbours may go beyond them, too
_JOINT_FIRM = 1e9  # weight of what `through` must go through


def through(frames: int, at: np.ndarray, values: np.ndarray, reach: float) -> np.ndarray:
    """The smoothest curve [frames, C] through `values` [A, C] at the frames `at` [A] (NaN: anywhere), else near zero.

    It is back at zero within about three times `reach` frames.
    """
    out = np.zeros((frames, values.shape[1]))
    bands = np.zeros((4, frames))
    for start in range(4):
        for lag in range(4 - start):
            stop = frames - 3 + start
            bands[lag, start:stop] += (-1, 3, -3, 1)[start] * (-1, 3, -3, 1)[start + lag] * reach**6
    bands[0] += 1.0
    for column in range(values.shape[1]):
        asked = np.isfinite(values[:, column])
        if not asked.any() or np.abs(values[asked, column]).max() < 1e-7:
            continue
        system, right = bands.copy(), np.zeros(frames)
        system[0, at[asked]] += _JOINT_FIRM
        right[at[asked]] = _JOINT_FIRM * values[asked, column]
        out[:, column] = solveh_banded(system, right, lower=True)
    return out


def twist_of(rotation: np.ndarray, q: np.ndarray, dip_offset: np.ndarray) -> np.ndarray:
    """What turns the hinges' rotations into `rotation` [N, 16, 3] (axis-angle), axis-angle [N, 16, 3]."""
    _, made = kinematics.to_motion(q, dip_offset)
    return curves.rotvec(curves.multiply(curves.conjugate(curves.quaternions(made)), curves.quaternions(rotation)))


def twisted(rotation: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """Rotations [N, 16, 3] with their twist on top."""
    if not twist.any():
        return rotation
    return curves.rotvec(curves.multiply(curves.quaternions(rotation), curves.quaternions(twist)))


def wrapped(angle: np.ndarray) -> np.ndarray:
    """Angles within half a turn."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


@dataclass
class Held:
    """The pins of one hand, as a right one, K of them at frames of their own."""

    time: np.ndarray  # [K] s from frame 0 of those that are solved
    frame: np.ndarray  # [K] the nearest frame
    q: np.ndarray  # [K, 22], NaN where free
    dip_offset: np.ndarray  # [K, 4] rad, NaN where free
    pad: np.ndarray  # [K, 5, 3] m, NaN where free
    twist: np.ndarray  # [K, 16, 3] rad, NaN where free

    def __len__(self) -> int:
        return len(self.time)


def from_pins(pins: Pins, begin: float, fps: float, left: bool, near: np.ndarray) -> Held:
    """The pins of one side, `begin` being the second of the first frame; of two at one frame the nearer one stays.

    near [N, 22]: a motion whose wrist angles show which of a turn's many numbers is meant.
    """
    time = pins.time - begin
    frame = np.clip(np.rint(time * fps).astype(int), 0, len(near) - 1)
    order = np.lexsort((np.abs(time * fps - frame), frame))
    order = order[np.r_[True, np.diff(frame[order]) > 0]] if len(order) else order
    pins, time, frame = pins[order], time[order], frame[order]
    position, rotation, pad = pins.position, pins.rotation, pins.pad
    if left:
        position, rotation = hand.mirror(position, rotation)
        pad = pad * [-1, 1, 1]
    asked = np.isfinite(rotation).all(2)  # [K, 16]
    whole = np.where(asked[..., None], rotation, 0.0)
    q, offset = kinematics.from_motion(np.nan_to_num(position), whole)
    twist = np.where(asked[..., None], twist_of(whole, q, offset), np.nan)
    q[:, 3:6] = near[frame, 3:6] + wrapped(q[:, 3:6] - near[frame, 3:6])
    q[~np.isfinite(position).all(1), :3] = np.nan
    q[~asked[:, 0], 3:6] = np.nan
    for finger, joints in enumerate(hand.FINGER_JOINTS):
        free = ~asked[:, joints[0]]
        q[np.ix_(free, FINGER_DOFS[finger])] = np.nan
        if finger:
            offset[free, finger - 1] = np.nan
    return Held(time, frame, q, offset, pad, twist)


def hold(held: Held, frames: int, fps: float, ends: np.ndarray, end_q: np.ndarray) -> Hold:
    """What the solver is told; ends [E] and end_q [E, 22]: the fixed frames, which may lie beyond limits themselves."""
    at, q = np.r_[held.frame, ends], np.concatenate([held.q, end_q])
    low, high = joint_limits(np.nan_to_num(q))
    beyond = np.nan_to_num(np.maximum(q[:, 6:] - high, low - q[:, 6:]))
    near = np.exp(-(((np.arange(frames)[:, None] - at) / (_ROOM * fps)) ** 2))  # [frames, K + E]
    room = (np.maximum(beyond, 0.0)[None] * near[..., None]).max(1, initial=0.0)
    return Hold(held.frame, held.q.copy(), held.pad.copy(), room)


def pulled(posture: np.ndarray, held: Held, fps: float) -> np.ndarray:
    """A posture [N, 22] that passes through what is held."""
    away = held.q - posture[held.frame]
    return posture + through(len(posture), held.frame, away, 1.5 * _FADE * fps)


def faded(base: np.ndarray, at: np.ndarray, values: np.ndarray, fps: float) -> np.ndarray:
    """base [N, ...] changed so that it has `values` [A, ...] at the frames `at` [A] (NaN: as it comes)."""
    away = (values - base[at]).reshape(len(at), -1)
    return base + through(len(base), at, away, _FADE * fps).reshape(base.shape)


def poses_at(
    time: np.ndarray, fps: float, q: np.ndarray, dip_offset: np.ndarray, twist: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What everyone will see at `time` [K] s of a motion: its q [K, 22] and pads [K, 5, 3] (right hand)."""
    position, rotation = kinematics.to_motion(q, dip_offset)
    seen = curves.sample(position, fps, time)
    turned = curves.rotvec(curves.sample_rotations(twisted(rotation, twist), fps, time))
    got, _ = kinematics.from_motion(seen, turned)
    return got, hand.forward_kinematics(seen, turned)[1]
