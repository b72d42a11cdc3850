# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions in every Blender from 4.2 on: the one place that knows about slots, layers and channel bags."""

from collections.abc import Callable, Iterable

import bpy
import numpy as np

LINEAR, BEZIER = 1, 2  # values of Keyframe.interpolation
FREE = 0  # value of Keyframe.handle_*_type

NewCurve = Callable[[str, int, str], bpy.types.FCurve]  # data path, array index, channel group


def has_slots() -> bool:
    """Whether one action can animate several objects (Blender 4.4 and later)."""
    return "slots" in bpy.types.Action.bl_rna.properties


def take_curves(action: bpy.types.Action, obj: bpy.types.Object) -> NewCurve:
    """Assign `action` to `obj` and return the function that adds curves for it."""
    data = obj.animation_data or obj.animation_data_create()
    if not has_slots():
        data.action = action
        return lambda path, index, group: action.fcurves.new(path, index=index, action_group=group)
    slot = action.slots.new(id_type="OBJECT", name=obj.name)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    bag = strip.channelbag(slot, ensure=True)
    data.action = action
    data.action_slot = slot  # without it nothing moves
    return _bag_curves(bag)


def _bag_curves(bag) -> NewCurve:
    groups: dict[str, bpy.types.ActionGroup] = {}

    def new(path: str, index: int, group: str) -> bpy.types.FCurve:
        try:
            return bag.fcurves.new(path, index=index, group_name=group)
        except TypeError:  # 4.4 and 4.5 cannot name the group here
            curve = bag.fcurves.new(path, index=index)
            curve.group = groups.get(group) or groups.setdefault(group, bag.groups.new(group))
            return curve

    return new


def curves(action: bpy.types.Action) -> Iterable[bpy.types.FCurve]:
    """All curves of an action, of all its slots."""
    if not has_slots():
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves


def shift(curve: bpy.types.FCurve, frames: float) -> None:
    """Move all keys of a curve, with their handles, along the timeline."""
    points = curve.keyframe_points
    for name in ("co", "handle_left", "handle_right"):
        places = np.empty(2 * len(points), np.float32)
        points.foreach_get(name, places)
        places[::2] += frames
        points.foreach_set(name, places)
    curve.update()


def fill(curve: bpy.types.FCurve, frames: np.ndarray, values: np.ndarray, slopes: np.ndarray | None = None) -> None:
    """Key an empty curve at `frames` [T] with `values` [T]: straight lines, or smooth through `slopes` [T] a frame."""
    count = len(frames)
    points = curve.keyframe_points
    points.add(count)
    co = np.empty((count, 2), np.float32)
    co[:, 0], co[:, 1] = frames, values
    points.foreach_set("co", co.ravel())
    points.foreach_set("interpolation", np.full(count, LINEAR if slopes is None else BEZIER, np.uint8))
    if slopes is not None:
        _set_handles(points, np.asarray(frames, float), values, slopes)
    curve.update()


def _set_handles(points, frames: np.ndarray, values: np.ndarray, slopes: np.ndarray) -> None:
    """Handles a third of the way to the neighbours along the slope: the cubic with these slopes, exactly."""
    kind = np.full(len(frames), FREE, np.uint8)
    for side, gap in (
        ("left", -np.diff(frames, prepend=frames[0] - 1)),
        ("right", np.diff(frames, append=frames[-1] + 1)),
    ):
        handle = np.empty((len(frames), 2), np.float32)
        handle[:, 0], handle[:, 1] = frames + gap / 3, values + slopes * gap / 3
        points.foreach_set(f"handle_{side}_type", kind)
        points.foreach_set(f"handle_{side}", handle.ravel())
