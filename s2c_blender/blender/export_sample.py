# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene shows at given frames, as matrices, read in a scene of its own so that the user's stays where it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np

from ..core.timing import Clock

TIMELINE, RANGE, TAKE = "TIMELINE", "RANGE", "TAKE"
_TRANSFORMS = ("location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale")


@dataclass(frozen=True)
class Times:
    """The frames of a file: `rate` a second, the first of them number `first`, and where they lie in the scene."""

    rate: float
    first: int
    scene_frames: np.ndarray  # [T], fractions allowed

    @property
    def last(self) -> int:
        """Number of the last frame."""
        return self.first + len(self.scene_frames) - 1


@dataclass(frozen=True)
class Sampled:
    """World matrices [T, 4, 4] of objects by name, and of the bones of armatures by (armature, bone)."""

    objects: dict[str, np.ndarray]
    bones: dict[tuple[str, str], np.ndarray]


def file_times(scene: bpy.types.Scene, rate: float | None, zero: str, span: tuple[float, float] | None = None) -> Times:
    """The frames to write at `rate` a second (None: the scene's).

    `zero` says what time 0 of the file is: TIMELINE frame 0 of the scene, RANGE its first frame, TAKE the beginning of
    the music, `span` then being where that is (frame) and how long (s). All but TAKE cover the scene's frame range.
    """
    own = scene.render.fps / scene.render.fps_base
    rate = rate or own
    seconds = (scene.frame_end - scene.frame_start) / own
    if zero == TAKE:
        start, seconds = span
        frames = Clock(rate).whole_frames(seconds)
        places = start + frames * (own / rate)
    elif zero == RANGE:
        frames = Clock(rate).whole_frames(seconds)
        places = scene.frame_start + frames * (own / rate)
    else:
        frames = Clock(rate, scene.frame_start / own * rate).whole_frames(seconds)
        places = frames * (own / rate)
    whole = np.round(places)
    # A frame that rounding moved by a hair must not be read between two keyframes.
    return Times(rate, int(frames[0]), np.where(np.abs(places - whole) < 1e-6, whole, places))


def sample(
    scene: bpy.types.Scene, piano: bpy.types.Object, objects: Sequence[bpy.types.Object], frames: np.ndarray
) -> Sampled:
    """Play the objects at scene `frames` [T] and read where they and their bones are."""
    armatures = [obj for obj in objects if obj.type == "ARMATURE"]
    places: dict[str, list] = {obj.name: [] for obj in objects}
    poses: dict[str, list] = {obj.name: [] for obj in armatures}
    with _watching(scene, [piano, *objects]) as watched:
        layer = watched.view_layers[0]
        for frame in frames:
            watched.frame_set(int(np.floor(frame)), subframe=float(frame - np.floor(frame)))
            layer.update()  # a preview has just posed the hands
            for obj in objects:
                evaluated = obj.evaluated_get(layer.depsgraph)
                places[obj.name].append(np.array(evaluated.matrix_world))
                if obj.name in poses:
                    poses[obj.name].append(_poses(evaluated))
    world = {name: np.array(matrices) for name, matrices in places.items()}
    bones = {}
    for obj in armatures:
        found = world[obj.name][:, None] @ np.array(poses[obj.name])
        bones |= {(obj.name, bone.name): found[:, i] for i, bone in enumerate(obj.pose.bones)}
    return Sampled(world, bones)


def _poses(armature: bpy.types.Object) -> np.ndarray:
    """Matrices [B, 4, 4] of the bones, relative to the armature."""
    columns = np.empty(16 * len(armature.pose.bones), np.float32)
    armature.pose.bones.foreach_get("matrix", columns)
    return columns.reshape(-1, 4, 4).transpose(0, 2, 1)


@contextmanager
def _watching(scene: bpy.types.Scene, objects: Sequence[bpy.types.Object]) -> Iterator[bpy.types.Scene]:
    """A scene with nothing but the objects, timed as the given one; skins, which take most of the time, stay out."""
    watched = bpy.data.scenes.new("Piano Hands Export")
    try:
        watched.render.fps, watched.render.fps_base = scene.render.fps, scene.render.fps_base
        for obj in objects:
            watched.collection.objects.link(obj)
        yield watched
    finally:
        bpy.data.scenes.remove(watched)


@contextmanager
def poses_kept(scene: bpy.types.Scene, objects: Sequence[bpy.types.Object]) -> Iterator[None]:
    """Playing objects in another scene moves them; afterwards they are posed as before, without keyframes too."""
    before = _channels(objects)
    try:
        yield
    finally:
        for owner, name, value in before:
            if tuple(getattr(owner, name)) != value:
                setattr(owner, name, value)
        for layer in scene.view_layers:
            layer.update()


def _channels(objects: Sequence[bpy.types.Object]) -> list[tuple[bpy.types.Object | bpy.types.PoseBone, str, tuple]]:
    """Where the objects, their parents and bones are: owner, property, value."""
    owners: dict[bpy.types.Object, None] = {}
    for obj in objects:
        while obj and obj not in owners:
            owners[obj] = None
            obj = obj.parent
    bones = [bone for obj in owners if obj.type == "ARMATURE" for bone in obj.pose.bones]
    return [(owner, name, tuple(getattr(owner, name))) for owner in (*owners, *bones) for name in _TRANSFORMS]


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """Rotation matrices [..., 3, 3] -> quaternions [..., 4] (Shepperd: of four formulas the one farthest from 0)."""
    m = np.moveaxis(matrices, (-2, -1), (0, 1))
    x, y, z = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    a, b, c = m[0, 0], m[1, 1], m[2, 2]
    rows = np.array(
        [[1 + a + b + c, x, y, z], [x, 1 + a - b - c, xy, xz], [y, xy, 1 - a + b - c, yz], [z, xz, yz, 1 - a - b + c]]
    )
    best = np.argmax(np.array([rows[i, i] for i in range(4)]), axis=0)
    chosen = np.moveaxis(np.take_along_axis(rows, best[None, None], axis=0)[0], 0, -1)
    return chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
