# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style of an action: its keyframes become a motion again, whose look tells how the hand moves."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np

from ..core.hand import JOINTS
from ..core.motion import HandMotion
from ..core.notes import LEFT, NOTE
from ..errors import BAD_ARGUMENTS, UserError
from . import actions, takes
from .button import Button
from .editing import quaternions
from .keying import motion_channels
from .orders import absolute
from .preferences import preferences
from .rig import HANDS, RIG_FILE, find_rigs, has_name
from .style import COPIED

LISTED = 12  # actions of a file that an error names
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
        from ..likeness import told_by_motion  # brings SciPy, which start-up can do without

        performer = context.scene.piano_hands.performer
        try:
            motion = motion_of(performer.action, context.scene)
            told = told_by_motion(motion, absolute(preferences(context).model_folder))
        except UserError as error:
            return self.refuse(error)
        found = {name: told[name] for name in ("own", "codes", "codes_of") if name in told}
        performer.copied, performer.name_of = json.dumps(found), COPIED
        self.report({"INFO"}, f'The next hands move like "{performer.action.name}"')
        return {"FINISHED"}


def motion_of(action: bpy.types.Action, scene: bpy.types.Scene) -> HandMotion:
    """What an action of one hand shows, the other hand off the keys; UserError when it moves no hand."""
    side = _side(action, bpy.data.objects)
    return _motion(action, side, find_rigs(scene)[0].hands[side], takes.rate_of(scene))


def motion_in(file: Path, name: str) -> HandMotion:
    """As motion_of, of the action `name` in another .blend; nothing of that stays in the open file.

    UserError where the file cannot be read, has no such action, or that moves no hand.
    """
    if not file.is_file():
        raise UserError(f"{file} does not exist: check the path.", BAD_ARGUMENTS)
    with _left_as_it_was():
        action, scenes, objects = _loaded(file, name)
        _check_bones(action, name)
        side = _side(action, objects, name)
        scene = next((one for one in scenes if any(_uses(obj, action) for obj in one.objects)), None)
        scene = scene or next(iter(scenes), bpy.context.scene)
        hands = _hands(objects)
        if side not in hands:  # a file with the action alone: it was made for the rig as it comes
            with bpy.data.libraries.load(str(RIG_FILE), link=False) as (_, rig):
                rig.objects = [HANDS[side]]
            hands[side] = rig.objects[0]
        return _motion(action, side, hands[side], takes.rate_of(scene))


def _loaded(file: Path, name: str) -> tuple[bpy.types.Action, list[bpy.types.Scene], set[bpy.types.Object]]:
    """The action of that name in a .blend, the scenes in there, and the objects."""
    if bpy.data.filepath and file.samefile(bpy.data.filepath):  # which Blender does not load from
        there = [action.name for action in bpy.data.actions if not action.library]
        if name not in there:
            raise UserError(_no_action(file, name, sorted(there)), BAD_ARGUMENTS)
        return bpy.data.actions[name], list(bpy.data.scenes), set(bpy.data.objects)
    before = set(bpy.data.objects)
    try:
        with bpy.data.libraries.load(str(file), link=False) as (found, wanted):
            if name in found.actions:
                wanted.actions, wanted.scenes = [name], list(found.scenes)
    except OSError as error:
        raise UserError(f"{file} is no Blender file that can be read: save it again.") from error
    if not wanted.actions:
        raise UserError(_no_action(file, name, sorted(found.actions)), BAD_ARGUMENTS)
    return wanted.actions[0], wanted.scenes, set(bpy.data.objects) - before


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """Whatever is loaded meanwhile is removed.

    Not bpy.data.temp_data(): Python crashed when it let go of references to what had been in there.
    """
    before = set(bpy.data.user_map())
    try:
        yield
    finally:
        bpy.data.batch_remove(set(bpy.data.user_map()) - before)


def _no_action(file: Path, name: str, there: list[str]) -> str:
    first = [f'"{one}"' for one in there[:LISTED]]
    listed = ", ".join(first) + (f" and {len(there) - LISTED} more" if len(there) > LISTED else "")
    has = f"it has {listed}" if there else "it has none"
    if not name:
        return f"Say which action of {file.name} shows the style, as in {file.name}:NAME; {has}."
    return f'{file.name} has no action "{name}": {has}.'


def _motion(action: bpy.types.Action, side: int, hand: bpy.types.Object, rate: float) -> HandMotion:
    """An action of the `hand` of that side, made for `rate` frames a second, as motion."""
    position, rotation = _sampled(action, hand, rate)
    away = np.tile([0.0, 0.0, 1.0], (len(position), 1)), np.zeros_like(rotation)  # the other hand, off the keys
    left, right = ((position, rotation), away) if side == LEFT else (away, (position, rotation))
    nothing = np.zeros(0, NOTE), np.zeros((0, 4)), np.zeros((0, 2))
    return HandMotion(RATE, *left, *right, *nothing)


def _hands(objects: Iterable[bpy.types.Object]) -> dict[int, bpy.types.Object]:
    """A hand of each side, as far as there are whole ones."""
    return {
        side: obj
        for obj in objects
        for side, name in HANDS.items()
        if obj.type == "ARMATURE" and has_name(obj, name) and all(joint in obj.data.bones for joint in JOINTS)
    }


def _uses(obj: bpy.types.Object, action: bpy.types.Action) -> bool:
    """Whether an armature has the action, or has it on its NLA tracks."""
    data = obj.animation_data if obj.type == "ARMATURE" else None
    return data is not None and action in [data.action, *(s.action for t in data.nla_tracks for s in t.strips)]


def _side(action: bpy.types.Action, objects: Iterable[bpy.types.Object], name: str = "") -> int:
    """Which hand an action moves: the one it is on, else the one it is named after (`name` in its own file)."""
    called = name or action.name
    for obj in objects:
        for side, hand in HANDS.items():
            if _uses(obj, action) and has_name(obj, hand):
                return side
    for side, hand in HANDS.items():
        if called.startswith(hand) or called.endswith((".L", ".R")[side]):
            return side
    raise UserError(f'It is not clear which hand "{called}" moves: let its name end in .L or .R.')


def _check_bones(action: bpy.types.Action, name: str = "") -> None:
    """UserError unless the action turns all bones of a hand."""
    turned = {curve.data_path for curve in actions.curves(action)}
    ways = [f'pose.bones["{joint}"].rotation_{{}}' for joint in JOINTS]
    seen = sum(way.format("euler") in turned or way.format("quaternion") in turned for way in ways)
    if seen < len(JOINTS):
        raise UserError(
            f'"{name or action.name}" moves {seen} of the {len(JOINTS)} bones of a hand: choose a hand\'s action.'
        )


def _sampled(action: bpy.types.Action, hand: bpy.types.Object, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Wrist position [N, 3] and rotations [N, 16, 3] of an action, made for `rate`, at RATE frames a second."""
    _check_bones(action)
    first, last = action.frame_range
    frames = np.arange(first, min(last, first + LONGEST * rate) + 1e-6, rate / RATE)
    by_path = {(curve.data_path, curve.array_index): curve for curve in actions.curves(action)}

    def values(path: str, count: int, usual: float = 0.0) -> np.ndarray:
        found = [by_path.get((path, axis)) for axis in range(count)]
        return np.array([[c.evaluate(f) for f in frames] if c else np.full(len(frames), usual) for c in found]).T

    turned = np.empty((len(frames), len(JOINTS), 4))
    for j, joint in enumerate(JOINTS):
        path = f'pose.bones["{joint}"].'
        if (path + "rotation_quaternion", 0) in by_path:
            turned[:, j] = values(path + "rotation_quaternion", 4)
            turned[:, j] /= np.maximum(np.linalg.norm(turned[:, j], axis=1, keepdims=True), 1e-9)
        else:
            turned[:, j] = quaternions(values(path + "rotation_euler", 3), "XYZ")
    return motion_channels(hand, values(f'pose.bones["{JOINTS[0]}"].location', 3), turned)


def register() -> None:
    bpy.utils.register_class(PIANO_HANDS_OT_copy_style)


def unregister() -> None:
    bpy.utils.unregister_class(PIANO_HANDS_OT_copy_style)
