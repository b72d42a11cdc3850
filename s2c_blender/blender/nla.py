# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes on NLA tracks, one after another on the timeline, so that several of them play on the same hands."""

import math
from collections.abc import Iterator

import bpy

from . import actions
from .keying import TAKE, is_ours
from .rig import Rig

TRACK = "Piano Hands"
_TIMES = ("frame_start", "frame_end", "action_frame_start", "action_frame_end")
# What a strip has besides its times, in an order in which it can be set.
_LOOK = ("blend_type", "influence", "mute", "use_reverse", "blend_in", "blend_out", "repeat")


def push_down(rig: Rig, name: str, uid: str) -> None:
    """Move the actions that were keyed of a take onto NLA tracks, as strips called `name`, where they go on playing."""
    for obj in (*rig.hands.values(), *rig.keys.values(), *([rig.pedal] if rig.pedal else [])):
        data = obj.animation_data
        if data and data.action and is_ours(data.action, uid):
            _push(data, name)


def _push(data: bpy.types.AnimData, name: str) -> None:
    action, slot = data.action, data.action_slot if actions.has_slots() else None
    track = next((track for track in data.nla_tracks if track.name.startswith(TRACK)), None) or _new_track(data)
    strip = _put(data, track, name, action.frame_range[0], action)
    if slot:
        strip.action_slot = slot
    strip.action_frame_start, strip.action_frame_end = action.frame_range
    strip.frame_start, strip.frame_end = action.frame_range
    _uncover(data)
    data.action = None


def _uncover(data: bpy.types.AnimData) -> None:
    """Let no strip hold its first or last pose over another one; between strips the last pose stays."""
    tracks = enumerate(data.nla_tracks)
    placed = [(strip.frame_start, height, strip) for height, track in tracks for strip in _ours(track)]
    first = min(start for start, _, _ in placed)
    for start, height, strip in placed:
        hides = any(begin > start and below < height for begin, below, _ in placed)
        strip.extrapolation = "NOTHING" if hides else "HOLD" if start == first else "HOLD_FORWARD"


def _new_track(data: bpy.types.AnimData) -> bpy.types.NlaTrack:
    track = data.nla_tracks.new()
    track.name = TRACK
    return track


def _strips(data: bpy.types.AnimData) -> Iterator[tuple[bpy.types.NlaStrip, bpy.types.NlaTrack]]:
    """The strips of takes on an object."""
    for track in data.nla_tracks:
        yield from ((strip, track) for strip in _ours(track))


def _ours(track: bpy.types.NlaTrack) -> list[bpy.types.NlaStrip]:
    return [strip for strip in track.strips if strip.action and is_ours(strip.action)]


def covered(piano: bpy.types.Object) -> list[bpy.types.Object]:
    """A piano's hands whose active action hides the takes on their NLA tracks; quick, for panels ask."""
    hands = [child for child in piano.children if child.type == "ARMATURE"]
    animated = [hand for hand in hands if hand.animation_data and hand.animation_data.action]
    return [hand for hand in animated if any(_strips(hand.animation_data))]


def uncover(piano: bpy.types.Object) -> None:
    """Take these actions off the hands; they stay in the file."""
    for hand in covered(piano):
        hand.animation_data.action.use_fake_user = True
        hand.animation_data.action = None


def move(ways: dict[str, float]) -> None:
    """Move the strips of takes (by uid) by `ways` frames; their actions' keys have been moved already.

    They are taken off and put down again: moved strips would push each other, and be cut where they touch.
    """
    for obj in bpy.data.objects:
        data = obj.animation_data
        lifted = []
        for strip, track in list(_strips(data)) if data else ():
            if way := ways.get(strip.action[TAKE]):
                times = [getattr(strip, name) + way for name in _TIMES]
                look = [(name, getattr(strip, name)) for name in _LOOK]
                slot = strip.action_slot if actions.has_slots() else None
                lifted.append((track, strip.name, strip.action, slot, times, look))
                track.strips.remove(strip)
        for track, name, action, slot, times, look in lifted:
            strip = _put(data, track, name, times[0], action)
            if slot:
                strip.action_slot = slot
            strip.action_frame_start, strip.action_frame_end = times[2:]
            for setting, value in look:
                setattr(strip, setting, value)
            strip.frame_start, strip.frame_end = times[:2]
        if lifted:
            _uncover(data)


def _put(data: bpy.types.AnimData, track: bpy.types.NlaTrack, name: str, start: float, action) -> bpy.types.NlaStrip:
    """A new strip on a track, or on a new one where another strip is in its way."""
    try:
        return track.strips.new(name, math.floor(start), action)
    except RuntimeError:
        return _new_track(data).strips.new(name, math.floor(start), action)
