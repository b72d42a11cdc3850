# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes follow their sound strips: whoever moves the music moves the hands with one press."""

import bpy

from ..errors import UserError
from . import actions, nla, strips, takes
from .keying import TAKE, is_ours

_STILL = 0.01  # frames; properties are kept in single precision


def resync(context: bpy.types.Context) -> tuple[list[str], list[str]]:
    """Move every take of the scene, and its keyframes, to where its strip is now; names of those moved, and sentences.

    UserError when no take was made from a strip.
    """
    scene = context.scene
    ours = [take for take in scene.piano_hands.takes if take.strip]
    if not ours:
        raise UserError("No take of this scene was made from a sound strip: move its keyframes by hand.")
    ways, told = {}, []
    for take in ours:
        try:
            home, strip = strips.named(context, take.strip)
        except UserError as error:
            told.append(str(error))
            continue
        if strips.has_retiming(strip) != take.retimed:
            told.append(f'"{take.strip}" was retimed after {take.name} was made of it: generate again.')
            continue
        frame = strips.frame_of(strip, home, take.second) * takes.rate_of(scene) / takes.rate_of(home)
        if abs(frame - take.frame) > _STILL:
            ways[take.uid] = frame - take.frame
            take.frame = frame
    for action in bpy.data.actions:
        if way := is_ours(action) and ways.get(action[TAKE]):
            for curve in actions.curves(action):
                actions.shift(curve, way)
    nla.move(ways)
    return [take.name for take in ours if take.uid in ways], told
