# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes follow their sound strips: whoever moves or retimes the music moves the hands with one press."""

import bpy
import numpy as np

from ..errors import UserError
from . import actions, nla, preview, strips, takes
from .keying import TAKE, is_ours
from .roll import OWNER

_STILL = 0.01  # frames; properties are kept in single precision
_AS_FAST = 1e-4  # share of a speed, in single precision too


def resync(context: bpy.types.Context) -> tuple[list[str], list[str]]:
    """Move every take of the scene, and its keyframes, to where its strip is now, and give it the strip's speed.

    Names of those changed, and sentences on those that could not be. UserError when no take was made from a strip.
    """
    scene = context.scene
    ours = [take for take in scene.piano_hands.takes if take.strip]
    if not ours:
        raise UserError("No take of this scene was made from a sound strip: move its keyframes by hand.")
    ways, changed, told = {}, [], []
    for take in ours:
        try:
            home, strip = strips.named(context, take.strip)
            speed = _speed(take, strip, home)
            frame = _frame(take, strip, home, speed) * takes.rate_of(scene) / takes.rate_of(home)
            if abs(take.speed / speed - 1) > _AS_FAST:
                told += _retime(scene, take, take.speed / speed, frame)
                changed.append(take.name)
        except UserError as error:
            told.append(str(error))
            continue
        if abs(frame - take.frame) > _STILL:
            ways[take.uid] = frame - take.frame
            take.frame = frame
            changed.append(take.name)
    for action in bpy.data.actions:
        if way := is_ours(action) and ways.get(action[TAKE]):
            for curve in actions.curves(action):
                actions.shift(curve, way)
    nla.move(ways)
    return changed, told


def _speed(take: takes.PianoHandsTake, strip, home: bpy.types.Scene) -> float:
    """The speed that a take should have beside the music it was made of; UserError when that cannot be told."""
    if take.retimed and strips.has_retiming(strip):  # it was made of what the strip plays
        return take.speed
    speed = None if take.retimed else strips.speed_of(strip, home)
    if not speed:
        raise UserError(
            f'"{take.strip}" was retimed after {take.name} was made of it, and Blender does not tell how: '
            "generate again, or give the whole strip one speed."
        )
    return speed


def _frame(take: takes.PianoHandsTake, strip, home: bpy.types.Scene, speed: float) -> float:
    """The frame of the strip's scene at which the first moment of a take sounds."""
    if take.retimed or not strips.has_retiming(strip):
        return strips.frame_of(strip, home, take.second)
    return strips.strip_clock(strip, home).frame(take.second / speed)


def _retime(scene: bpy.types.Scene, take: takes.PianoHandsTake, factor: float, frame: float) -> list[str]:
    """Make a take and its keyframes last `factor` times as long from `frame` on; what is left to the user.

    Keyframes are moved apart, and so are where the user put them in the music; they may lie between frames then.
    """
    old, begin = take.uid, take.frame
    takes.stretch(take, factor)
    take.frame = frame
    settings = scene.piano_hands
    for name in ("compared", "active_before"):
        if getattr(settings, name) == old:
            setattr(settings, name, take.uid)
    if scene.piano_hands_ghost.take == old:
        scene.piano_hands_ghost.take = take.uid
    for obj in bpy.data.objects:
        if preview.shown_uid(obj) == old:
            obj[preview.PROPERTY]["take"] = take.uid
    for kind in (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.actions, bpy.data.node_groups):
        for block in kind:
            if block.get(OWNER) == old:
                block[OWNER] = take.uid  # of a note roll: built anew it takes the old one's place
    tracks = [strip for obj in bpy.data.objects if obj.animation_data for strip in _on_tracks(obj.animation_data)]
    placed = {strip.action for strip in tracks}
    left_behind = False
    for action in [action for action in bpy.data.actions if is_ours(action, old)]:
        if action in placed:  # strips of such an action would be cut off or hide each other
            left_behind = True
            continue
        action[TAKE] = take.uid
        for curve in actions.curves(action):
            _stretch(curve, begin, frame, factor)
    if not left_behind:
        return []
    return [f"{take.name} has a new speed: remove its strips on NLA tracks and insert its keyframes again."]


def _on_tracks(data: bpy.types.AnimData) -> list[bpy.types.NlaStrip]:
    return [strip for track in data.nla_tracks for strip in track.strips if strip.action]


def _stretch(curve: bpy.types.FCurve, before: float, after: float, factor: float) -> None:
    """Move the keys of a curve, with their handles, `factor` times as far from the frame `before`, which is `after`."""
    points = curve.keyframe_points
    for name in ("co", "handle_left", "handle_right"):
        places = np.empty(2 * len(points), np.float32)
        points.foreach_get(name, places)
        places[::2] = after + (places[::2] - before) * factor
        points.foreach_set(name, places)
    curve.update()
