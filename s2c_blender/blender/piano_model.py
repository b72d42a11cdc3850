# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own piano model: put the hands onto it, and have its keys go down with ours.

Keying and preview move the rig's keys as always. Each key object of the model gets two constraints that read the turn
of the rig's key of that pitch and turn the object about its own back edge, in its parent's space: the model's parents,
origins and transforms stay as they are, and a linked model works once it is a library override.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..core.key_names import pitches_by_name, pitches_by_number
from ..core.keyboard import (
    BLACK_FRONT,
    DIP_ANGLE,
    HIGHEST,
    HINGE_Y,
    KEY_DIP,
    LOWEST,
    WHITE_LENGTH,
    drop_at,
    is_black,
    key_top,
    key_x,
)
from ..errors import UserError
from .rig import Rig

KEYS = "piano_hands_keys"  # custom property of the Piano object: {"60": the model's key, ...}
CONSTRAINTS = ("Piano Hands Turn", "Piano Hands Place")
_UP = np.array([0.0, 0.0, 1.0])
_PARTS = ("Key.", "Piano.", "Pedal.", "Floor")  # what the rig's own piano is called

NAMERS = {"NAMES": pitches_by_name, "NUMBERS": pitches_by_number}


@dataclass(frozen=True)
class Fit:
    """How the hands' piano came to lie on the model: turn (rad), scale, and what is left between the keys (m)."""

    turn: float
    scale: float
    ratio: float  # distance of the two keys of the model, divided by ours before any scaling
    worst: float  # largest distance along the keyboard between a key of the model and ours


def find_keys(objects: Iterable[bpy.types.Object], by: str = "NAMES") -> dict[int, bpy.types.Object]:
    """Objects by pitch, as NAMERS understand their names; of two with one pitch neither is taken."""
    by_name = {obj.name: obj for obj in objects}
    found: dict[int, list] = {}
    for name, pitch in NAMERS[by](list(by_name)).items():
        found.setdefault(pitch, []).append(by_name[name])
    return {pitch: objs[0] for pitch, objs in sorted(found.items()) if len(objs) == 1}


def keys_in_order(
    objects: Iterable[bpy.types.Object], first: bpy.types.Object, pitch: int
) -> dict[int, bpy.types.Object]:
    """Objects by pitch, counted along the keyboard from `first`, which has `pitch`; none below it or above C8.

    UserError when the objects' heights show that white and black keys do not follow each other as counted.
    """
    objects = [obj for obj in objects if obj.type == "MESH"]
    if first not in objects:
        raise UserError(f'"{first.name}" is not among the chosen objects: choose the collection or keys it belongs to.')
    middles = np.array([world_points(obj).mean(axis=0) for obj in objects])
    start = middles[objects.index(first)]
    far = middles[np.linalg.norm(middles - start, axis=1).argmax()]
    along = (middles - start) @ ((far - start) / max(np.linalg.norm(far - start), 1e-9))
    order = [objects[i] for i in np.argsort(along)]
    found = dict(zip(range(pitch, HIGHEST + 1), order[order.index(first) :], strict=False))
    _check_heights(found)
    return found


def _check_heights(keys: dict[int, bpy.types.Object]) -> None:
    """Black keys stand higher than their white neighbours: where most do not, the count began at a wrong key."""
    tops = {pitch: world_points(obj)[:, 2].max() for pitch, obj in keys.items()}
    level = (max(tops.values()) + min(tops.values())) / 2
    wrong = sum((top > level) != bool(is_black(pitch)) for pitch, top in tops.items())
    if max(tops.values()) - min(tops.values()) > 1e-4 and wrong * 4 > len(tops):
        raise UserError(
            f"{wrong} of {len(tops)} keys would be black where the model has white ones, or the other way round: "
            "choose the pitch of the first key, or only the key objects."
        )


def world_points(obj: bpy.types.Object) -> np.ndarray:
    """An object's vertices in the world [V, 3]; for an object without any, its origin."""
    if obj.type != "MESH" or not len(obj.data.vertices):
        return np.array([obj.matrix_world.translation])
    points = np.empty(len(obj.data.vertices) * 3, np.float32)
    obj.data.vertices.foreach_get("co", points)
    matrix = np.array(obj.matrix_world)
    return points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def align(
    rig: Rig,
    low: tuple[int, bpy.types.Object],
    high: tuple[int, bpy.types.Object],
    *,
    scale: bool = False,
    keys: dict[int, bpy.types.Object] | None = None,
) -> Fit:
    """Move and turn the rig's Piano so that two of its keys lie on two (pitch, object) of the model.

    Mesh objects are met at the middle of their upper front edge, others (empties) at their origin. A keyboard of
    another size is met in the middle, or with `scale` at both keys; the hands are scaled too. `keys` are measured.
    """
    (low_pitch, low_obj), (high_pitch, high_obj) = sorted([low, high], key=lambda end: end[0])
    if low_pitch == high_pitch or low_obj == high_obj:
        raise UserError("The two reference keys are the same: choose two different keys, far apart.")
    _check_free(rig.piano)
    middles = [world_points(obj).mean(axis=0) for obj in (low_obj, high_obj)]
    along = _direction(middles[1] - middles[0])
    for _ in range(2):  # front edges lie at different depths where one key is black: the direction improves
        points = [_front(obj, along) for obj in (low_obj, high_obj)]
        ours = np.array([_our_front(low_pitch), _our_front(high_pitch)])
        gap = points[1] - points[0]
        slant = math.atan2(ours[1, 1] - ours[0, 1], ours[1, 0] - ours[0, 0])
        turn = math.atan2(gap[1], gap[0]) - slant
        along = np.array([math.cos(turn), math.sin(turn), 0.0])
    ratio = float(np.linalg.norm(gap[:2]) / np.linalg.norm(ours[1, :2] - ours[0, :2]))
    now = rig.piano.matrix_world.to_scale().x
    factor = ratio if scale else now
    turned = np.array(Matrix.Rotation(turn, 3, "Z")) * factor
    place = (points[0] + points[1]) / 2 - turned @ ours.mean(axis=0)
    rig.piano.matrix_world = Matrix.LocRotScale(Vector(place), Matrix.Rotation(turn, 3, "Z"), Vector([factor] * 3))
    bpy.context.view_layer.update()
    worst = max((abs(_offset(rig.piano, p, obj)) for p, obj in (keys or {}).items()), default=0.0)
    return Fit(turn, factor, ratio / now, worst)


def _direction(way: np.ndarray) -> np.ndarray:
    flat = way * [1.0, 1.0, 0.0]
    if np.linalg.norm(flat) < 1e-4:
        raise UserError("The two reference keys lie above each other: choose a low and a high key of the model.")
    return flat / np.linalg.norm(flat)


def _front(obj: bpy.types.Object, along: np.ndarray) -> np.ndarray:
    """The middle of an object's upper front edge, for keys that lie one after the other in direction `along`."""
    points = world_points(obj)
    away = np.cross(_UP, along)
    x, y = points @ along, points @ away
    return along * (x.min() + x.max()) / 2 + away * y.min() + _UP * points[:, 2].max()


def _our_front(pitch: int) -> np.ndarray:
    """The same point of the rig's key in the piano frame."""
    return np.array([key_x(pitch), BLACK_FRONT if is_black(pitch) else 0.0, key_top(pitch)])


def _offset(piano: bpy.types.Object, pitch: int, obj: bpy.types.Object) -> float:
    """How far a key of the model lies to the treble of the rig's, world metres."""
    matrix = np.array(piano.matrix_world)
    along = matrix[:3, 0] / np.linalg.norm(matrix[:3, 0])
    return float((_front(obj, along) - matrix[:3, :3] @ _our_front(pitch) - matrix[:3, 3]) @ along)


def _check_free(piano: bpy.types.Object) -> None:
    animated = piano.animation_data and piano.animation_data.action
    if piano.constraints or animated:
        raise UserError(
            f'"{piano.name}" is held by {"keyframes" if animated else "a constraint"}: remove that, then align again.'
        )


def attach(rig: Rig, keys: dict[int, bpy.types.Object], *, turn: bool = True) -> None:
    """Have the model's keys go down with ours: about their own back edge, or with `turn` off straight down.

    Replaces what was attached before. UserError, before anything changes, when an object cannot be changed.
    """
    own = set(rig.keys.values())
    for pitch, obj in keys.items():
        if obj in own:
            raise UserError(f'"{obj.name}" is a key of the rig itself: choose the keys of your own model.')
        if pitch not in rig.keys:
            raise UserError(f"The rig has no key {pitch}: add a new rig with Add Rig.")
        _check_editable(obj)
    detach(rig)
    for obj in keys.values():
        _release(obj)
    bpy.context.view_layer.update()
    for pitch, obj in keys.items():
        _constrain(obj, rig.keys[pitch], _pressed(rig.piano, pitch, obj, turn))
    rig.piano[KEYS] = {str(pitch): obj for pitch, obj in keys.items()}
    bpy.context.view_layer.update()


def detach(rig: Rig) -> int:
    """Release the model's keys; how many there were."""
    attached = attached_keys(rig.piano)
    for obj in attached.values():
        _release(obj)
    if KEYS in rig.piano:
        del rig.piano[KEYS]
    return len(attached)


def _release(obj: bpy.types.Object) -> None:
    """Remove our constraints, also those of another rig."""
    for constraint in [c for c in obj.constraints if c.type == "TRANSFORM" and c.name.startswith(CONSTRAINTS)]:
        obj.constraints.remove(constraint)


def attached_keys(piano: bpy.types.Object) -> dict[int, bpy.types.Object]:
    """The model's keys by pitch; objects that were deleted meanwhile are not in it."""
    return {int(pitch): obj for pitch, obj in piano.get(KEYS, {}).items() if obj}


def missing(keys: dict[int, bpy.types.Object]) -> list[int]:
    """The pitches without an object."""
    return [pitch for pitch in range(LOWEST, HIGHEST + 1) if pitch not in keys]


def _check_editable(obj: bpy.types.Object) -> None:
    override = obj.override_library
    if (obj.library and not override) or (override and override.is_system_override):
        raise UserError(
            f'"{obj.name}" is linked from another file and cannot be changed: '
            "make a library override of the model that can be edited (Object > Library Override > Make)."
        )


def _pressed(piano: bpy.types.Object, pitch: int, obj: bpy.types.Object, turn: bool) -> Matrix:
    """The world matrix of a model's key when ours is fully down."""
    matrix = np.array(piano.matrix_world)
    size = np.linalg.norm(matrix[:3, 0])
    along, away, up = (matrix[:3, i] / np.linalg.norm(matrix[:3, i]) for i in range(3))
    if not turn:
        return Matrix.Translation(Vector(-up * KEY_DIP * size)) @ obj.matrix_world
    points = world_points(obj)
    depth, height = points @ away, points @ up
    front = (depth.min() - matrix[:3, 3] @ away) / size  # where its front edge lies on our key
    drop = float(drop_at(min(max(front, 0.0), WHITE_LENGTH / 2), DIP_ANGLE)) * size
    angle = math.atan2(drop, max(depth.max() - depth.min(), HINGE_Y * size / 10))
    hinge = Vector(along * (points @ along).mean() + away * depth.max() + up * height.max())
    return (
        Matrix.Translation(hinge)
        @ Matrix.Rotation(angle, 4, Vector(along))
        @ Matrix.Translation(-hinge)
        @ obj.matrix_world
    )


def _constrain(obj: bpy.types.Object, key: bpy.types.Object, pressed: Matrix) -> None:
    """Constraints that bring `obj` to the world matrix `pressed` while `key` turns from 0 to DIP_ANGLE."""
    space = _local_space(obj).inverted()
    rest, down = space @ obj.matrix_world, space @ pressed
    angles = (down.to_quaternion() @ rest.to_quaternion().inverted()).to_euler("XYZ")
    moves = {CONSTRAINTS[0]: ("ROTATION", angles), CONSTRAINTS[1]: ("LOCATION", down.translation - rest.translation)}
    for name, (kind, values) in moves.items():
        constraint = obj.constraints.new("TRANSFORM")
        constraint.name = name
        constraint.target = key
        constraint.owner_space = constraint.target_space = "LOCAL"
        constraint.map_from, constraint.from_max_x_rot = "ROTATION", DIP_ANGLE
        constraint.map_to = kind
        constraint.map_to_x_from = constraint.map_to_y_from = constraint.map_to_z_from = "X"
        if kind == "ROTATION":
            constraint.to_euler_order = "XYZ"
            constraint.mix_mode_rot = "BEFORE"
        else:
            constraint.mix_mode = "ADD"
        for axis, value in zip("xyz", values, strict=True):
            setattr(constraint, f"to_max_{axis}{'_rot' if kind == 'ROTATION' else ''}", value)


def _local_space(obj: bpy.types.Object) -> Matrix:
    """What constraints take as an object's local space: its parent's, or without one its own turned axes."""
    if obj.parent and obj.parent_type == "OBJECT":
        return obj.parent.matrix_world @ obj.matrix_parent_inverse
    if obj.parent:
        return obj.matrix_world @ obj.matrix_basis.inverted()
    return obj.matrix_basis.to_quaternion().to_matrix().to_4x4()


def show_own_piano(rig: Rig, shown: bool) -> None:
    """Show or hide the rig's own keys, case, pedals and floor, in viewports and renders; hands and lights stay."""
    for obj in rig.piano.children:
        if obj.type == "MESH" and obj.name.startswith(_PARTS):
            obj.hide_viewport = obj.hide_render = not shown


def is_hidden(piano: bpy.types.Object) -> bool:
    """Whether the rig's own keys are hidden."""
    return any(obj.hide_viewport for obj in piano.children if obj.name.startswith(_PARTS[0]))
