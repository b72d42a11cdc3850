# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes follow their sound strips: whoever moves the music moves the hands with one press."""

import bpy

from ..errors import UserError
from . import actions, nla, strips, takes
from .keying import TAKE

_STILL = 1e-4  # frames


def resync(context: bpy.types.Context) -> list[takes.PianoHandsTake]:
    """Move every take of the scene, and its keyframes, as far as its strip was moved; the takes that were moved.

    UserError when none of them has a strip any more.
    """
    scene = context.scene
    ours = [take for take in scene.piano_hands.takes if take.strip]
    homes = strips.sequencer_scenes(context)
    found = {strip.name: (strip, home) for home in homes for strip in strips.sound_strips(home)}
    there = [take for take in ours if take.strip in found]
    if not there:
        raise UserError(
            f'The sound strip "{ours[0].strip}" is gone: undo its removal, or generate again.'
            if ours
            else "No take of this scene was made from a sound strip: move its keyframes by hand."
        )
    moved = []
    for take in there:
        strip, home = found[take.strip]
        anchor = strips.anchor(strip, home)
        way = (anchor - take.anchor) * takes.rate_of(scene) / takes.rate_of(home)
        if abs(way) > _STILL:
            take.frame, take.anchor = take.frame + way, anchor
            _move_keys(take.uid, way)
            moved.append(take)
    return moved


def _move_keys(uid: str, way: float) -> None:
    """Move the keyframes that were made of a take by `way` frames, hand-made ones in its actions too."""
    ours = [action for action in bpy.data.actions if action.get(TAKE) == uid]
    for action in ours:
        for curve in actions.curves(action):
            actions.shift(curve, way)
    nla.move(uid, way)
