# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes on NLA tracks, one after another on the timeline, so that several of them play on the same hands."""

import math
from collections.abc import Iterator

import bpy

from . import actions
from .keying import TAKE
from .rig import Rig

TRACK = "Piano Hands"


def push_down(rig: Rig, name: str) -> None:
    """Move the rig's keyed actions onto NLA tracks, as strips called `name`, where they go on playing."""
    for obj in (*rig.hands.values(), *rig.keys.values(), *([rig.pedal] if rig.pedal else [])):
        data = obj.animation_data
        if data and data.action and TAKE in data.action:
            _push(data, name)


def _push(data: bpy.types.AnimData, name: str) -> None:
    action, slot = data.action, data.action_slot if actions.has_slots() else None
    track = next((track for track in data.nla_tracks if track.name.startswith(TRACK)), None) or _new_track(data)
    start = math.floor(action.frame_range[0])
    try:
        strip = track.strips.new(name, start, action)
    except RuntimeError:  # another strip is in its way
        strip = _new_track(data).strips.new(name, start, action)
    if slot:
        strip.action_slot = slot
    strip.action_frame_start, strip.action_frame_end = action.frame_range
    strip.frame_start, strip.frame_end = action.frame_range
    earlier = [other for other, _ in _strips(data) if other != strip and other.frame_start < strip.frame_start]
    strip.extrapolation = "HOLD_FORWARD" if earlier else "HOLD"
    for other, _ in _strips(data):
        if other.frame_start > strip.frame_start and other.extrapolation == "HOLD":
            other.extrapolation = "HOLD_FORWARD"  # it would hold its first pose over this strip
    data.action = None


def _new_track(data: bpy.types.AnimData) -> bpy.types.NlaTrack:
    track = data.nla_tracks.new()
    track.name = TRACK
    return track


def _strips(data: bpy.types.AnimData) -> Iterator[tuple[bpy.types.NlaStrip, bpy.types.NlaTrack]]:
    """The strips of takes on an object."""
    for track in data.nla_tracks:
        for strip in track.strips:
            if strip.action and TAKE in strip.action:
                yield strip, track


def move(uid: str, way: float) -> None:
    """Move the strips of a take by `way` frames; their actions' keys have been moved already."""
    for obj in bpy.data.objects:
        for strip, _ in _strips(obj.animation_data) if obj.animation_data else ():
            if strip.action.get(TAKE) == uid:
                ends = (strip.frame_start + way, strip.frame_end + way)
                strip.action_frame_start, strip.action_frame_end = strip.action.frame_range
                strip.frame_start, strip.frame_end = ends
