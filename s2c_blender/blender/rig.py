# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig in a scene: two hands, 88 keys and the pedal under one `Piano`; found, checked, added."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

from ..core.hand import JOINTS
from ..core.keyboard import HIGHEST, LOWEST, key_x
from ..core.notes import LEFT, RIGHT
from ..errors import UserError

RIG_FILE = Path(__file__).parents[2] / "rigs" / "piano_hands.blend"
COLLECTION = "Piano Hands"
PIANO, PEDAL = "Piano", "Pedal.Sustain"
HANDS = {LEFT: "Hand.L", RIGHT: "Hand.R"}

_KEY_CENTRES = key_x(np.arange(LOWEST, HIGHEST + 1))


@dataclass(frozen=True)
class Rig:
    """Live objects of one rig; look it up again after undo or a file load."""

    piano: bpy.types.Object
    hands: dict[int, bpy.types.Object]  # LEFT, RIGHT -> armature
    keys: dict[int, bpy.types.Object] = field(default_factory=dict)  # MIDI pitch -> key
    pedal: bpy.types.Object | None = None


def find_rigs(scene: bpy.types.Scene) -> list[Rig]:
    """Every complete rig in the scene, in order of name."""
    pianos = [o for o in scene.objects if has_name(o, PIANO) and any(_hand_of(c) is not None for c in o.children)]
    return [rig_of(piano) for piano in sorted(pianos, key=lambda o: o.name)]


def rig_of(piano: bpy.types.Object) -> Rig:
    """The rig under a `Piano` object; UserError when a hand or a bone is missing or the rig cannot be keyed."""
    hands = {_hand_of(child): child for child in piano.children if _hand_of(child) is not None}
    for side, name in HANDS.items():
        if side not in hands:
            raise UserError(f'The rig "{piano.name}" has no armature "{name}": add a new rig with Add Rig.')
        _check_bones(hands[side])
    keys = {pitch: child for child in piano.children if (pitch := _key_pitch(child)) is not None}
    pedal = next((child for child in piano.children if has_name(child, PEDAL)), None)
    rig = Rig(piano, hands, keys, pedal)
    _check_editable(rig)
    return rig


def has_name(obj: bpy.types.Object, name: str) -> bool:
    """Whether the object is called `name`, or `name.001` and the like, as Blender renames copies."""
    return re.fullmatch(re.escape(name) + r"(\.\d{3,})?", obj.name) is not None


def _hand_of(obj: bpy.types.Object) -> int | None:
    if obj.type != "ARMATURE":
        return None
    return next((side for side, name in HANDS.items() if has_name(obj, name)), None)


def _key_pitch(obj: bpy.types.Object) -> int | None:
    """MIDI pitch of a key object: by its place, because Blender calls a copy of Key.021 not Key.021.001 but Key.001."""
    if obj.type != "MESH" or not obj.name.startswith("Key."):
        return None
    distance = np.abs(_KEY_CENTRES - obj.location.x)
    nearest = int(distance.argmin())
    return LOWEST + nearest if distance[nearest] < 0.002 else None


def _check_bones(armature: bpy.types.Object) -> None:
    missing = [name for name in JOINTS if name not in armature.pose.bones]
    if missing:
        raise UserError(
            f'The armature "{armature.name}" lacks the bones {", ".join(missing)}: '
            "rename its bones to these, or add a new rig with Add Rig."
        )


def _check_editable(rig: Rig) -> None:
    for obj in (*rig.hands.values(), *rig.keys.values()):
        if obj.animation_data and obj.animation_data.use_tweak_mode:
            raise UserError(f'"{obj.name}" is in tweak mode of the NLA editor: leave it there with Tab.')
        override = obj.override_library
        if (obj.library and not override) or (override and override.is_system_override):
            raise UserError(
                f'"{obj.name}" is linked from another file and cannot be keyed: '
                "make a library override of it that can be edited, or append the rig with Add Rig."
            )


def add_rig(scene: bpy.types.Scene) -> Rig:
    """Append the rig from its file into the scene and return it."""
    if not RIG_FILE.is_file():
        raise UserError(f"The rig file {RIG_FILE.name} is missing from the installation: install the extension again.")
    before = set(bpy.data.objects)
    with bpy.data.libraries.load(str(RIG_FILE), link=False) as (source, target):
        target.collections = [name for name in source.collections if name == COLLECTION]
    if not target.collections:
        raise UserError(f'{RIG_FILE.name} has no collection "{COLLECTION}": install the extension again.')
    scene.collection.children.link(target.collections[0])
    piano = next(o for o in bpy.data.objects if o not in before and has_name(o, PIANO))
    return rig_of(piano)


def ensure_rig(scene: bpy.types.Scene) -> Rig:
    """The first rig of the scene, added when there is none."""
    rigs = find_rigs(scene)
    return rigs[0] if rigs else add_rig(scene)
