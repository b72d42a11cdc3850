# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style of an action: its keyframes become a motion again, whose look tells how the hand moves."""

import json

import bpy
import numpy as np

from ..core.hand import JOINTS
from ..core.motion import HandMotion
from ..core.notes import LEFT, NOTE
from ..core.style import Style, told_of
from ..errors import UserError
from . import actions, takes
from .button import Button
from .editing import quaternions
from .keying import motion_channels
from .rig import HANDS, Rig, find_rigs, has_name
from .style import COPIED

RATE, LONGEST = 60.0, 120.0  # frames a second, s: more of an action shows no more of its style


class PIANO_HANDS_OT_copy_style(Button, bpy.types.Operator):
    """Read off an action how its hand moves, whatever it plays; the next generation moves both hands like that"""

    bl_idname = "piano_hands.copy_style"
    bl_label = "Copy Style"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        if not context.scene.piano_hands.performer.action:
            return "Choose an action of a hand first"
        try:
            return "" if find_rigs(context.scene) else "The scene has no hands: add a rig first"
        except UserError as error:
            return str(error).rstrip(".")

    def execute(self, context: bpy.types.Context) -> set[str]:
        performer = context.scene.piano_hands.performer
        try:
            styles = styles_of(performer.action, context.scene)
        except UserError as error:
            return self.refuse(error)
        found = told_of(*styles)["own"]
        performer.copied, performer.name_of = json.dumps(found), COPIED
        self.report({"INFO"}, f'The next hands move like "{performer.action.name}"')
        return {"FINISHED"}


def styles_of(action: bpy.types.Action, scene: bpy.types.Scene) -> tuple[Style, Style]:
    """The styles of the left and of the right hand, read off an action of one of them; UserError when it shows none."""
    from ..pianist.likeness import style_of  # brings SciPy, which start-up can do without

    side = _side(action, scene)
    position, rotation = _sampled(action, find_rigs(scene)[0], side, scene)
    away = np.tile([0.0, 0.0, 1.0], (len(position), 1)), np.zeros_like(rotation)  # the other hand, off the keys
    left, right = ((position, rotation), away) if side == LEFT else (away, (position, rotation))
    nothing = np.zeros(0, NOTE), np.zeros((0, 4)), np.zeros((0, 2))
    return style_of(HandMotion(RATE, *left, *right, *nothing))


def _side(action: bpy.types.Action, scene: bpy.types.Scene) -> int:
    """Which hand an action moves: the one it is on, else the one it is named after."""
    for obj in bpy.data.objects:
        data = obj.animation_data if obj.type == "ARMATURE" else None
        used = [data.action, *(s.action for t in data.nla_tracks for s in t.strips)] if data else []
        for side, name in HANDS.items():
            if action in used and has_name(obj, name):
                return side
    for side, name in HANDS.items():
        if action.name.startswith(name) or action.name.endswith((".L", ".R")[side]):
            return side
    raise UserError(f'It is not clear which hand "{action.name}" moves: let its name end in .L or .R.')


def _sampled(action: bpy.types.Action, rig: Rig, side: int, scene: bpy.types.Scene) -> tuple[np.ndarray, np.ndarray]:
    """Wrist position [N, 3] and rotations [N, 16, 3] of an action at RATE frames a second."""
    first, last = action.frame_range
    step = takes.rate_of(scene) / RATE
    frames = np.arange(first, min(last, first + LONGEST * takes.rate_of(scene)) + 1e-6, step)
    by_path = {(curve.data_path, curve.array_index): curve for curve in actions.curves(action)}

    def values(path: str, count: int, usual: float = 0.0) -> np.ndarray:
        found = [by_path.get((path, axis)) for axis in range(count)]
        return np.array([[c.evaluate(f) for f in frames] if c else np.full(len(frames), usual) for c in found]).T

    turned = np.empty((len(frames), len(JOINTS), 4))
    seen = 0
    for j, joint in enumerate(JOINTS):
        path = f'pose.bones["{joint}"].'
        if (path + "rotation_quaternion", 0) in by_path:
            turned[:, j] = values(path + "rotation_quaternion", 4)
            turned[:, j] /= np.maximum(np.linalg.norm(turned[:, j], axis=1, keepdims=True), 1e-9)
            seen += 1
        else:
            seen += (path + "rotation_euler", 0) in by_path
            turned[:, j] = quaternions(values(path + "rotation_euler", 3), "XYZ")
    if seen < len(JOINTS):
        raise UserError(f'"{action.name}" moves {seen} of the {len(JOINTS)} bones of a hand: choose a hand\'s action.')
    return motion_channels(rig.hands[side], values(f'pose.bones["{JOINTS[0]}"].location', 3), turned)


def register() -> None:
    bpy.utils.register_class(PIANO_HANDS_OT_copy_style)


def unregister() -> None:
    bpy.utils.unregister_class(PIANO_HANDS_OT_copy_style)
