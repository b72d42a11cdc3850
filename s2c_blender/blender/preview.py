# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrub preview: a handler poses the hands, keys and pedal on every frame change, without any keyframe.

Which take is previewed is written on the `Piano` object, so it survives undo and file loads;
objects are looked up anew on each frame. Keyed values would lose against the handler: keying ends the preview.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from ..core import curves
from ..core.hand import JOINTS
from ..core.keyboard import DIP_ANGLE
from ..core.motion import HandMotion
from ..core.timing import Clock
from ..errors import UserError
from . import growing, takes
from .keying import PEDAL_ANGLE, hand_channels, key_strokes, pedal_strokes
from .rig import HANDS, Rig, rig_of

PROPERTY = "piano_hands_preview"  # on the Piano object: {"take": uid, "before": poses, "modes": of rotation}


@dataclass(frozen=True)
class _Shown:
    """A motion ready to be read at any time: curves of the bones at the motion's rate, breakpoints of the keys."""

    fps: float
    hands: dict[int, tuple[np.ndarray, np.ndarray]]  # location [N, 3], Euler [N, 16, 3]
    keys: dict[int, tuple[np.ndarray, np.ndarray]]  # times, depths
    pedal: tuple[np.ndarray, np.ndarray]


_KEPT = 3  # motions made ready; ten minutes have 29 MB
_cache: OrderedDict[tuple[str, str, int], _Shown] = OrderedDict()  # (piano name, uid of the take, part of it)


def show(rig: Rig, take: takes.PianoHandsTake, scene: bpy.types.Scene) -> None:
    """Preview a take on a rig."""
    _show(rig, take.uid, scene)


def show_growing(rig: Rig, scene: bpy.types.Scene) -> None:
    """Preview what is made so far of the next take."""
    _show(rig, growing.UID, scene)


def _show(rig: Rig, uid: str, scene: bpy.types.Scene) -> None:
    if is_shown(rig.piano):
        rig.piano[PROPERTY]["take"] = uid
    else:
        modes = " ".join(rig.hands[side].pose.bones[joint].rotation_mode for side in HANDS for joint in JOINTS)
        rig.piano[PROPERTY] = {"take": uid, "before": _poses(rig).ravel().tolist(), "modes": modes}
    pose(rig.piano, scene)


def hide(piano: bpy.types.Object) -> None:
    """End the preview: the rig takes the pose it had before (or, once keyed, its keyed one on the next frame)."""
    if PROPERTY not in piano:
        return
    before = np.array(piano[PROPERTY]["before"].to_list()).reshape(len(HANDS), len(JOINTS), 4, 4)
    modes = iter(piano[PROPERTY]["modes"].split(" "))
    del piano[PROPERTY]
    try:
        rig = rig_of(piano)
    except UserError:  # part of the rig was deleted: nothing to put back
        return
    for side, hand in rig.hands.items():
        for joint, pose_before in zip(JOINTS, before[side], strict=True):
            hand.pose.bones[joint].rotation_mode = next(modes)
            hand.pose.bones[joint].matrix_basis = Matrix(pose_before)
    for obj in (*rig.keys.values(), *([rig.pedal] if rig.pedal else [])):
        obj.rotation_euler[0] = 0.0


def _poses(rig: Rig) -> np.ndarray:
    """The bones' poses relative to rest [2, 16, 4, 4]."""
    return np.array([[rig.hands[side].pose.bones[joint].matrix_basis for joint in JOINTS] for side in HANDS])


def is_shown(piano: bpy.types.Object) -> bool:
    """Whether the rig is previewed."""
    return PROPERTY in piano


def shown_uid(piano: bpy.types.Object) -> str:
    """Id of the take that a rig previews, "" for none."""
    return piano[PROPERTY]["take"] if is_shown(piano) else ""


@bpy.app.handlers.persistent
def on_frame(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    """frame_change_post handler."""
    for obj in scene.objects:
        if obj.type == "EMPTY" and PROPERTY in obj:
            pose(obj, scene)


def pose(piano: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Pose one rig for the scene's current frame; a take or part of the rig that is gone ends the preview."""
    try:
        rig = rig_of(piano)
        shown, time = _at_frame(rig, piano[PROPERTY]["take"], scene)
    except UserError:
        hide(piano)
        return
    _pose_hands(rig, shown, time)
    for pitch, key in rig.keys.items():
        turn = DIP_ANGLE * np.interp(time, *shown.keys[pitch]) if pitch in shown.keys else 0.0
        if abs(key.rotation_euler[0] - turn) > 1e-7:
            key.rotation_euler[0] = turn
    if rig.pedal:
        rig.pedal.rotation_euler[0] = PEDAL_ANGLE * np.interp(time, *shown.pedal) if len(shown.pedal[0]) else 0.0


def _at_frame(rig: Rig, uid: str, scene: bpy.types.Scene) -> tuple[_Shown, float]:
    """What a rig shows at the scene's current frame, and the second of it; UserError when there is none."""
    now = growing.current if uid == growing.UID else takes.find(uid, scene)
    if not now:
        raise UserError("The previewed take was removed.")
    time = Clock(takes.rate_of(scene), now.frame).seconds(scene.frame_current_final)
    if uid != growing.UID:
        return _load(rig, uid, 0, lambda: takes.motion_of(now)), time
    if not now.parts:
        raise UserError("Nothing is made yet.")
    part = now.part_at(time)
    try:
        return _load(rig, uid, part, lambda: HandMotion.load(now.parts[part])), time - now.starts[part]
    except (OSError, ValueError) as error:  # its job has ended
        raise UserError("What was made so far is gone.") from error


def _pose_hands(rig: Rig, shown: _Shown, time: float) -> None:
    for side, (location, euler) in shown.hands.items():
        place = min(max(time * shown.fps, 0.0), len(location) - 1.0)
        i = min(int(place), max(len(location) - 2, 0))
        u, j = place - i, min(i + 1, len(location) - 1)
        angles = (1 - u) * euler[i] + u * euler[j]
        bones = rig.hands[side].pose.bones
        for joint, name in enumerate(JOINTS):
            bone = bones[name]
            bone.rotation_mode = "XYZ"
            bone.rotation_euler = angles[joint]
        bones[JOINTS[0]].location = (1 - u) * location[i] + u * location[j]


def _load(rig: Rig, uid: str, part: int, motion: Callable[[], HandMotion]) -> _Shown:
    name = (rig.piano.name, uid, part)
    if name not in _cache:
        _cache[name] = _prepare(rig, motion())
        if len(_cache) > _KEPT:
            _cache.popitem(last=False)
    _cache.move_to_end(name)
    return _cache[name]


def forget_growing() -> None:
    """What is made next has nothing to do with what was made before."""
    for name in [name for name in _cache if name[1] == growing.UID]:
        del _cache[name]


def _prepare(rig: Rig, motion: HandMotion) -> _Shown:
    clock = Clock(motion.fps)
    frames = np.arange(len(motion.left_position))
    hands = {side: hand_channels(motion, side, obj, clock, frames) for side, obj in rig.hands.items()}
    keys = {pitch: curves.travel(strokes) for pitch, strokes in key_strokes(motion).items()}
    return _Shown(motion.fps, hands, keys, curves.travel(pedal_strokes(motion.pedal)))


@bpy.app.handlers.persistent
def _forget(*_) -> None:
    """load_post handler: another file's pianos may have the same names."""
    _cache.clear()


def register() -> None:
    bpy.app.handlers.frame_change_post.append(on_frame)
    bpy.app.handlers.load_post.append(_forget)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_forget)
    bpy.app.handlers.frame_change_post.remove(on_frame)
    _cache.clear()
