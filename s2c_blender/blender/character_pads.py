# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a character's fingers that touch the keys: found on skin or skeleton, and measured while it plays."""

from dataclasses import dataclass, replace

import bpy
import numpy as np
from mathutils import Vector

from ..core import hand
from ..core.hand import FINGER_JOINTS, JOINTS
from ..core.motion import HandMotion
from ..core.timing import Clock

OFF = 0.003  # m
_LOOKED_AT = 150  # notes, evenly taken from all
_BENT = 0.5  # cosine of the largest angle between the last two bones of a finger that is believed at rest


@dataclass(frozen=True)
class Pads:
    """At rest, in armature space, thumb .. little; NaN for fingers without bones."""

    ends: np.ndarray  # [5, 3] of the last bones
    pads: np.ndarray  # [5, 3]
    tips: tuple[str, ...]  # the last bone of each finger, "" where there is none

    @classmethod
    def of(cls, armature: bpy.types.Object, bones: dict[str, bpy.types.Bone]) -> "Pads":
        """The ends of the mapped fingers' last bones."""
        ends, tips = np.full((5, 3), np.nan), []
        for f, joints in enumerate(FINGER_JOINTS):
            chain = [bones[JOINTS[j]] for j in joints if JOINTS[j] in bones]
            tips.append(chain[-1].name if chain else "")
            if chain:
                ends[f] = _end(chain)
        return cls(ends, ends, tuple(tips))

    def on_skin(self, armature: bpy.types.Object, directions: np.ndarray) -> "Pads":
        """The same with pads on the skin, where it reaches farthest in `directions` [5, 3] (armature space).

        Fingers without a skin keep the ends of their bones.
        """
        pads, reached = self.pads.copy(), np.full(5, -np.inf)
        finger_of = {name: f for f, name in enumerate(self.tips) if name}
        finger_of |= {f"DEF-{name}": f for name, f in finger_of.items()}  # Rigify's skin hangs on these
        for skin in _skins(armature):
            fingers = {group.index: finger_of[group.name] for group in skin.vertex_groups if group.name in finger_of}
            own = {f: [] for f in fingers.values()}
            for vertex in skin.data.vertices if fingers else ():
                for group in vertex.groups:
                    if group.group in fingers and group.weight > 0.5:
                        own[fingers[group.group]].append(vertex.co)
            space = np.array(armature.matrix_world.inverted() @ skin.matrix_world)
            for f, points in own.items():
                if points:
                    points = np.array(points) @ space[:3, :3].T + space[:3, 3]
                    reach = points @ directions[f]
                    if reach.max() > reached[f]:
                        pads[f], reached[f] = points[reach.argmax()], reach.max()
        return replace(self, pads=pads)


def _skins(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """Meshes that the armature deforms."""
    return [
        obj
        for obj in bpy.data.objects
        if obj.type == "MESH" and any(m.type == "ARMATURE" and m.object == armature for m in obj.modifiers)
    ]


def _end(chain: list[bpy.types.Bone]) -> Vector:
    """Where a finger ends: at an end bone after its last one, else at that bone's tail.

    Importers that keep foreign axes turn the tails of last bones sideways; then the finger goes straight on.
    """
    last = chain[-1]
    if len(last.children) == 1 and (last.children[0].head_local - last.head_local).length > 0.2 * last.length:
        return last.children[0].head_local
    if len(chain) > 1:
        way = last.head_local - chain[-2].head_local
        if way.normalized().dot((last.tail_local - last.head_local).normalized()) < _BENT:
            return last.head_local + 0.8 * way
    return last.tail_local


def measure(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    piano: bpy.types.Object,
    pads: dict[int, Pads],
    motion: HandMotion,
    clock: Clock,
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """How far pads are from ours when their keys are down, m [M], and (side, finger) of each more than 3 mm off.

    Notes of hands that are not keyed are not looked at; fingers without bones are as far off as it gets, 1 m.
    """
    which = [i for i, note in enumerate(motion.notes) if note["hand"] in pads and 0 <= note["finger"] < 5]
    which = [which[i] for i in np.unique(np.linspace(0, len(which) - 1, _LOOKED_AT).astype(int))] if which else []
    times = motion.keys[which, 1]
    ours = {}
    for side in pads:
        ours[side] = hand.forward_kinematics(*motion.hand_at(side, times), side == 0)[1]
    before = scene.frame_current, scene.frame_subframe
    errors, off = np.zeros(len(which)), []
    try:
        for k, (i, time) in enumerate(zip(which, times, strict=True)):
            at = float(clock.frame(time))
            scene.frame_set(int(np.floor(at)), subframe=at - np.floor(at))
            side, finger = int(motion.notes["hand"][i]), int(motion.notes["finger"][i])
            point = posed(armature, pads[side], finger)
            errors[k] = (
                1.0 if point is None else (piano.matrix_world.inverted() @ point - Vector(ours[side][k, finger])).length
            )
            if errors[k] > OFF:
                off.append((side, finger))
    finally:
        scene.frame_set(before[0], subframe=before[1])
    return errors, off


def posed(armature: bpy.types.Object, pads: Pads, finger: int) -> Vector | None:
    """Where a pad is now, in the world."""
    if not pads.tips[finger]:
        return None
    bone = armature.pose.bones[pads.tips[finger]]
    return armature.matrix_world @ bone.matrix @ bone.bone.matrix_local.inverted() @ Vector(pads.pads[finger])
