# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyframes on the bones of a character, in whatever way each bone turns; actions that were there go on playing."""

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Euler, Matrix, Quaternion

from ..core import curves, hand
from . import actions
from .keying import TAKE, mark

_STEP = 0.01  # frames between the two values of a pair
_PATHS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
_RIGIFY_HAND, _RIGIFY_ARM = "hand_ik", "upper_arm_parent"
TRACK = "Below Piano Hands"


@dataclass(frozen=True)
class Channel:
    """A property of a bone: one value for good [C], or pairs of values a step apart, frame after frame [2T, C]."""

    bone: str
    path: str
    values: np.ndarray


def rotation(bone: bpy.types.PoseBone, basis: np.ndarray) -> Channel:
    """Turns [T, 3, 3] of a pose bone from its rest, as its rotation mode has it, without jumps."""
    mode = bone.rotation_mode
    turn = hand.Rotation.from_matrix(basis)
    if mode == "QUATERNION":
        values = curves.one_sheet(np.roll(turn.as_quat(), 1, axis=1))
    elif mode == "AXIS_ANGLE":
        values = _axis_angles(curves.one_sheet(np.roll(turn.as_quat(), 1, axis=1)))
    elif mode == "XYZ":
        values = curves.euler_xyz(np.roll(turn.as_quat(), 1, axis=1))
    else:
        values, last = np.empty((len(basis), 3)), Euler((0, 0, 0), mode)
        for i, quaternion in enumerate(np.roll(turn.as_quat(), 1, axis=1)):
            values[i] = last = Quaternion(quaternion).to_euler(mode, last)
    return Channel(bone.name, _PATHS.get(mode, "rotation_euler"), values)


def _axis_angles(q: np.ndarray) -> np.ndarray:
    """Continuous quaternions [T, 4] -> angle and axis [T, 4]; the axis of a bone that hardly turns is taken from it."""
    length = np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
    axis = q[:, 1:] / np.maximum(length, 1e-9)
    turned = (axis[1:] * axis[:-1]).sum(axis=1) < 0
    sign = np.where(np.cumsum(np.r_[False, turned]) % 2, -1.0, 1.0)[:, None]
    angle = np.unwrap(2 * np.arctan2(length[:, 0] * sign[:, 0], q[:, 0]))
    return np.concatenate([angle[:, None], axis * sign], axis=1)


def location(bone: bpy.types.PoseBone, values: np.ndarray) -> Channel:
    """Offsets [T, 3] of a pose bone from its rest, in its own axes."""
    return Channel(bone.name, "location", values)


def resets(armature: bpy.types.Object, keyed: set[str]) -> list[Channel]:
    """Channels that hold still at rest what would spoil the hands: bones between keyed ones, sizes and offsets."""
    found = []
    for name in keyed:
        bone = armature.pose.bones[name]
        if np.abs(np.array(bone.scale) - 1.0).max() > 1e-5:
            found.append(Channel(name, "scale", np.ones(3)))
        if _moved(bone):
            found.append(Channel(name, "location", np.zeros(3)))
        above = list(bone.bone.parent_recursive)
        last = next((i for i, parent in enumerate(above) if parent.name in keyed), 0)
        for parent in above[:last]:
            between = armature.pose.bones[parent.name]
            if between.matrix_basis != Matrix.Identity(4):
                path = _PATHS.get(between.rotation_mode, "rotation_euler")
                rest = {"rotation_euler": [0, 0, 0], "rotation_quaternion": [1, 0, 0, 0]}.get(path, [0, 0, 1, 0])
                found += [
                    Channel(parent.name, path, np.array(rest, float)),
                    Channel(parent.name, "location", np.zeros(3)),
                ]
    return found


def switches(armature: bpy.types.Object, wrist: str) -> list[Channel]:
    """Rigify's switch from FK to IK, for arms whose IK control is keyed."""
    arm = armature.pose.bones.get(wrist.replace(_RIGIFY_HAND, _RIGIFY_ARM))
    return [Channel(arm.name, '["IK_FK"]', np.zeros(1))] if _RIGIFY_HAND in wrist and arm and "IK_FK" in arm else []


def _moved(bone: bpy.types.PoseBone) -> bool:
    return not bone.bone.use_connect and max(abs(v) for v in bone.location) > 1e-6


def held(armature: bpy.types.Object, names: list[str]) -> list[str]:
    """A sentence about bones whose constraints may hide their keys."""
    stuck = [
        name for name in names if any(c.enabled and c.influence > 0 for c in armature.pose.bones[name].constraints)
    ]
    return [f"Bones with constraints, which may hide their keys: {', '.join(stuck)}."] if stuck else []


def write(armature: bpy.types.Object, name: str, take: str, frames: np.ndarray, channels: list[Channel]) -> str:
    """Put the channels into a new action on the armature, at `frames` [T]; the action's name.

    On an error the armature is left as it was.
    """
    had = armature.animation_data is not None
    data = armature.animation_data or armature.animation_data_create()
    before = data.action
    slot = data.action_slot if before and actions.has_slots() else None
    action = bpy.data.actions.new(name)
    mark(action, take)
    try:
        if before:
            before.use_fake_user = before.use_fake_user or not before.library
        new = actions.take_curves(action, armature)
        seen = set()
        for channel in channels:
            if (channel.bone, channel.path) in seen:
                continue
            seen.add((channel.bone, channel.path))
            dot = "" if channel.path.startswith("[") else "."
            path = f'pose.bones["{bpy.utils.escape_identifier(channel.bone)}"]{dot}{channel.path}'
            for axis in range(channel.values.shape[-1]):
                _fill(new(path, axis, channel.bone), frames, channel.values[..., axis])
        if before and TAKE not in before:
            _below(data, before, slot, frames)
    except BaseException:
        data.action = before
        if slot:
            data.action_slot = slot
        bpy.data.actions.remove(action)
        if not had:
            armature.animation_data_clear()
        raise
    return action.name


def _fill(curve: bpy.types.FCurve, frames: np.ndarray, values: np.ndarray) -> None:
    if not values.ndim:
        actions.fill(curve, frames[:1], np.array([values]))
    else:
        actions.fill(curve, frames, values[::2], (values[1::2] - values[::2]) / _STEP)


def _below(data: bpy.types.AnimData, action: bpy.types.Action, slot, frames: np.ndarray) -> None:
    """Let an action go on playing below the active one, at all `frames` as it did: it may be one that repeats."""
    for track in data.nla_tracks:
        if any(strip.action == action for strip in track.strips):
            return
    track = data.nla_tracks.new()
    track.name = TRACK
    first, last = min(action.frame_range[0], frames[0]), max(action.frame_range[1], frames[-1])
    strip = track.strips.new(action.name, int(np.floor(first)), action)
    if slot:
        strip.action_slot = slot
    strip.action_frame_start, strip.action_frame_end = first, last
    strip.frame_start, strip.frame_end = first, last
