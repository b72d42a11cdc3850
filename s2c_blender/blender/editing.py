# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user has changed by hand in the actions of a take: the poses that a new solution must keep."""

from collections.abc import Iterable

import bpy
import numpy as np
from mathutils import Euler, Quaternion

from ..core import curves
from ..core.edit import Pins
from ..core.hand import FINGER_JOINTS, HEADS, JOINTS, PADS, forward_kinematics
from ..core.motion import HandMotion
from ..core.notes import LEFT
from ..core.timing import Clock
from . import actions
from .keying import TAKE, hand_channels, motion_channels
from .rig import Rig

TOLERANCE = 0.001  # m that a fingertip has to move for a key to count as made by hand; reduced curves stay below it
_MIDDLE = PADS[2]
# How far a joint's turn reaches: to its finger's pad, the wrist's to the middle finger's.
_REACH = np.array(
    [
        np.linalg.norm(_MIDDLE)
        if j == 0
        else np.linalg.norm(PADS[np.flatnonzero((FINGER_JOINTS == j).any(1))[0]] - HEADS[j])
        for j in range(len(JOINTS))
    ]
)


def hand_keys(rig: Rig, motion: HandMotion, clock: Clock, tolerance: float = TOLERANCE, uid: str | None = None) -> Pins:
    """Poses at the keyframes of the hands' active actions that are not the motion's, a take keyed at `clock`.

    A bone counts where one of its own keys differs from the motion and its pose moves a fingertip by more than
    `tolerance` m. A changed wrist asks for its place and turn, a changed finger for its three joints and where its pad
    is. Other rotation modes than XYZ are understood. With `uid` the actions are those keyed of that take, on NLA tracks
    too.
    """
    found = [_of_hand(armature, motion, side, clock, tolerance, uid) for side, armature in rig.hands.items()]
    names = ("time", "side", "position", "rotation", "pad")
    pins = Pins(*(np.concatenate([getattr(part, name) for part in found]) for name in names))
    return pins[np.argsort(pins.time, kind="stable")]


def _of_hand(
    armature: bpy.types.Object, motion: HandMotion, side: int, clock: Clock, tolerance: float, uid: str | None
) -> Pins:
    """The pins of one hand."""
    keyed = {curve: _keys(curve) for curve in _curves_of_bones(armature, uid)}
    frames = np.unique(np.concatenate([keys[:, 0] for keys in keyed.values()] or [[]]))
    last = clock.frame(motion.duration)
    frames = frames[(frames >= clock.frame(0.0) - 1e-3) & (frames <= last + 1e-3)]
    if not len(frames):
        return Pins.free([], side)
    dense = np.unique(np.r_[clock.whole_frames(motion.duration), frames])  # Euler angles go on along the whole take
    location, euler = hand_channels(motion, side, armature, clock, dense)
    differs = _differing_keys(armature, keyed, dense, location, euler, tolerance)
    at = np.flatnonzero(differs.any(1))  # few, as a rule
    frames, location, euler = dense[at], location[at], euler[at]
    own_location, own = _evaluated(armature, keyed, frames, location, euler)
    turn = curves.multiply(curves.conjugate(quaternions(euler, "XYZ")), own)
    moved = np.linalg.norm(curves.rotvec(turn), axis=-1) * _REACH  # [T, 16]
    moved[:, 0] += np.linalg.norm(own_location - location, axis=1)
    changed = (moved > tolerance) & differs[at]
    which = np.flatnonzero(changed.any(1))
    return _pins(armature, side, clock.seconds(frames[which]), own_location[which], own[which], changed[which])


def _pins(
    armature: bpy.types.Object,
    side: int,
    time: np.ndarray,
    location: np.ndarray,
    turned: np.ndarray,
    changed: np.ndarray,
) -> Pins:
    """Pins of K poses: location [K, 3] and quaternions [K, 16, 4] of the bones, changed [K, 16] what they ask for."""
    position, rotation = motion_channels(armature, location, turned)
    pads = forward_kinematics(position, rotation, left=side == LEFT)[1] if len(time) else np.zeros((0, 5, 3))
    pins = Pins.free(time, side)
    wrist = changed[:, 0]
    pins.position[wrist], pins.rotation[wrist, 0] = position[wrist], rotation[wrist, 0]
    for finger, joints in enumerate(FINGER_JOINTS):
        mine = changed[:, joints].any(1)
        pins.rotation[np.ix_(mine, joints)] = rotation[np.ix_(mine, joints)]
        pins.pad[mine, finger] = pads[mine, finger]
    return pins


def action_of(armature: bpy.types.Object, uid: str | None) -> tuple | None:
    """A hand's active action and slot, or those on its NLA tracks at the action's own times; `uid` of the take."""
    data = armature.animation_data
    if not data:
        return None
    slots = actions.has_slots()
    if data.action and (uid is None or data.action.get(TAKE) == uid):
        return data.action, data.action_slot if slots else None
    for strip in (strip for track in data.nla_tracks for strip in track.strips):
        in_place = abs(strip.frame_start - strip.action_frame_start) < 1e-3 and strip.scale == 1.0
        if uid and strip.action and strip.action.get(TAKE) == uid and in_place:
            return strip.action, strip.action_slot if slots else None
    return None


def _curves_of_bones(armature: bpy.types.Object, uid: str | None) -> list[bpy.types.FCurve]:
    """The curves that move the hand's bones."""
    found = action_of(armature, uid)
    if not found:
        return []
    paths = {_path(joint, kind) for joint in JOINTS for kind in (_rotation_of(armature, joint), "location")}
    return [curve for curve in _curves_of(*found) if curve.data_path in paths and len(curve.keyframe_points)]


def _curves_of(action: bpy.types.Action, slot) -> Iterable[bpy.types.FCurve]:
    """Curves of an action's slot, not those of other slots."""
    if not actions.has_slots():
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(slot) if slot else None
            yield from bag.fcurves if bag else ()


def _path(joint: str, kind: str) -> str:
    return f'pose.bones["{joint}"].{kind}'


def _rotation_of(armature: bpy.types.Object, joint: str) -> str:
    """Which of a bone's rotations is the one that counts."""
    mode = armature.pose.bones[joint].rotation_mode
    return {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(mode, "rotation_euler")


def frames_of(curve: bpy.types.FCurve) -> np.ndarray:
    """Frames of a curve's keys [K]."""
    return _keys(curve)[:, 0]


def _keys(curve: bpy.types.FCurve) -> np.ndarray:
    """Frame and value of a curve's keys [K, 2]."""
    places = np.empty(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", places)
    keys = places.reshape(-1, 2).astype(float)
    keys[:, 0] = np.round(keys[:, 0], 3)
    return keys


def _evaluated(
    armature: bpy.types.Object, keyed: dict, frames: np.ndarray, location: np.ndarray, euler: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The wrist's location [T, 3] and the bones' local quaternions [T, 16, 4] of the curves, else the motion's."""

    by_path = {(curve.data_path, curve.array_index): curve for curve in keyed}

    def values(path: str, count: int, otherwise: np.ndarray) -> np.ndarray:
        read = [
            [curve.evaluate(frame) for frame in frames] if (curve := by_path.get((path, axis))) else otherwise[:, axis]
            for axis in range(count)
        ]
        return np.array(read, float).T  # [T, count]

    turned = np.empty((len(frames), len(JOINTS), 4))
    for j, joint in enumerate(JOINTS):
        path, mode = _path(joint, _rotation_of(armature, joint)), armature.pose.bones[joint].rotation_mode
        plain = quaternions(euler[:, j], "XYZ")
        if not any((path, axis) in by_path for axis in range(4)):
            turned[:, j] = plain
        elif mode == "QUATERNION":
            q = values(path, 4, plain)
            turned[:, j] = q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-9)
        elif mode == "AXIS_ANGLE":
            rows = values(path, 4, np.tile([0.0, 0.0, 1.0, 0.0], (len(frames), 1)))
            turned[:, j] = np.array([Quaternion(row[1:], row[0]) for row in rows]).reshape(-1, 4)
        else:
            turned[:, j] = quaternions(values(path, 3, euler[:, j]), mode)
    return values(_path(JOINTS[0], "location"), 3, location), turned


def quaternions(euler: np.ndarray, order: str) -> np.ndarray:
    """Euler angles [..., 3] rad -> quaternions [..., 4]."""
    flat = [tuple(Euler(row, order).to_quaternion()) for row in euler.reshape(-1, 3)]
    return np.array(flat, float).reshape(*euler.shape[:-1], 4)


def _differing_keys(
    armature: bpy.types.Object,
    keyed: dict,
    dense: np.ndarray,
    location: np.ndarray,
    euler: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Where a bone has a key [T, 16] that is not the motion's, for the frames `dense` [T].

    Beside a changed key of a reduced curve, keys of the bone's other curves are as they were though its pose differs.
    """
    differs = np.zeros((len(dense), len(JOINTS)), bool)
    joints = {f'"{name}"': j for j, name in enumerate(JOINTS)}
    for curve, keys in keyed.items():
        path, axis = curve.data_path, curve.array_index
        joint = next(j for name, j in joints.items() if name in path)
        at = np.minimum(np.searchsorted(dense, keys[:, 0]), len(dense) - 1)
        inside = dense[at] == keys[:, 0]
        at, value = at[inside], keys[inside, 1]
        if path.endswith(".location"):
            off = np.abs(value - location[at, axis]) if joint == 0 else np.zeros(len(at))
        elif armature.pose.bones[JOINTS[joint]].rotation_mode == "XYZ":
            turn = (value - euler[at, joint, axis] + np.pi) % (2 * np.pi) - np.pi
            off = np.abs(turn) * _REACH[joint]
        else:
            off = np.full(len(at), np.inf)  # cannot be compared one by one
        differs[at, joint] |= off > tolerance / 3
    return differs
