# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take put into the scene: on the chosen rig, as keyframes or preview, with its sound."""

from dataclasses import replace

import bpy
from mathutils import Vector

from ..errors import UserError
from . import nla, preview, rig, scene, takes
from .keying import Keyed, key_take
from .source import Part
from .strips import sound_strips
from .takes import PianoHandsTake

STAGE = "Piano Hands Stage"
REACH = (0.7, 0.3, 0.2)  # m around the middle of the keyboard that the hands need


def find_scene(uid: int) -> bpy.types.Scene:
    """The scene with a session id; UserError when it was deleted meanwhile."""
    found = next((s for s in bpy.data.scenes if s.session_uid == uid), None)
    if not found:
        raise UserError("The scene was deleted while the hands were being made: generate again in another scene.")
    return found


def check_rig(target: bpy.types.Scene) -> None:
    """UserError when the rig to animate is broken; no rig at all is fine, it will be added."""
    piano = _chosen_piano(target)
    if piano:
        rig.rig_of(piano)
    else:
        rig.find_rigs(target)


def has_rig(target: bpy.types.Scene) -> bool:
    """Whether there is a rig to animate; UserError when it is broken."""
    return bool(_chosen_piano(target)) or bool(rig.find_rigs(target))


def wanted_rig(target: bpy.types.Scene) -> rig.Rig:
    """The chosen rig, else the scene's first, else a new one."""
    piano = _chosen_piano(target)
    if piano:
        return rig.rig_of(piano)
    rigs = rig.find_rigs(target)
    return rigs[0] if rigs else add_rig(target)


def _chosen_piano(target: bpy.types.Scene) -> bpy.types.Object | None:
    """The rig of the settings, unless it was deleted from the scene."""
    piano = target.piano_hands.rig
    return piano if piano and target.objects.get(piano.name) == piano else None


def add_rig(target: bpy.types.Scene) -> rig.Rig:
    """Add a rig where nothing hides it, and make it the one that is animated."""
    others = [obj for obj in target.objects if obj.type == "MESH" and obj.visible_get()]
    new = rig.add_rig(target)
    new.piano.location = _clear_place(target.cursor.location, others)
    target.piano_hands.rig = new.piano
    _leave_out_stage(target, new.piano)
    return new


def _leave_out_stage(target: bpy.types.Scene, piano: bpy.types.Object) -> None:
    """The rig's own cameras, lights and floor wait in a switched-off collection: the scene has its own."""
    names = {c.name for own in piano.users_collection for c in own.children if c.name.startswith(STAGE)}
    for view_layer in target.view_layers:
        waiting = [view_layer.layer_collection]
        while waiting:
            layer = waiting.pop()
            waiting += layer.children
            layer.exclude = layer.exclude or layer.name in names


def _clear_place(cursor: Vector, others: list[bpy.types.Object]) -> Vector:
    """The 3D cursor, or a place before the meshes that would swallow the hands there (the default cube does)."""
    place = cursor.copy()
    for obj in others:
        corners = [obj.matrix_world @ Vector(corner) for corner in obj.bound_box]
        low, high = ([pick(c[axis] for c in corners) for axis in range(3)] for pick in (min, max))
        if all(low[i] < cursor[i] + REACH[i] and high[i] > cursor[i] - REACH[i] for i in range(3)):
            place.y = min(place.y, low[1] - 0.5)
    return place


def put_on_rig(target: bpy.types.Scene, take: PianoHandsTake, push_down: bool) -> Keyed | None:
    """Key or preview a take, as the settings say, keyed on NLA tracks where wanted; None for a preview."""
    found = wanted_rig(target)
    target.piano_hands.rig = found.piano
    if target.piano_hands.output == "PREVIEW":
        preview.show(found, take, target)
        return None
    return insert_keys(target, found, take, push_down)


def insert_keys(target: bpy.types.Scene, found: rig.Rig, take: PianoHandsTake, push_down: bool = False) -> Keyed:
    """Key a take, on NLA tracks where wanted; the preview, which would hide the keys, ends."""
    settings = target.piano_hands
    hands = {side: found.hands[side] for side in settings.sides()}
    preview.hide(found.piano)
    keyed = key_take(
        replace(found, hands=hands),
        takes.motion_of(take),
        target,
        take.frame,
        name=take.name,
        uid=take.uid,
        keys=settings.animate_keys,
        density=settings.key_density(),
    )
    if push_down:
        nla.push_down(found, take.name, take.uid)
    refresh(target)
    return keyed


def add_sound(target: bpy.types.Scene, part: Part, take: PianoHandsTake) -> list[str]:
    """Put the file that a take plays into the sequencer unless it is there already, as its strip; warnings."""
    from ..audio.midi import is_midi  # brings mido, which start-up can do without

    there = {bpy.path.abspath(strip.sound.filepath) for strip in sound_strips(target) if strip.sound}
    if is_midi(part.path) or str(part.path) in there:
        return []
    duration = part.duration if part.duration is not None else take.seconds
    try:
        take.strip = scene.add_sound(target, part.path, part.frame, part.start, duration).name
    except UserError as error:
        return [str(error)]
    return []


def refresh(target: bpy.types.Scene) -> None:
    """Let the hands take the pose of the current frame."""
    target.frame_set(target.frame_current)
