# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters that are not ours: armatures of bones only, with names, rest poses and sizes of well-known rigs."""

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix, Vector

from s2c_blender.core import bone_names, hand
from s2c_blender.core.notes import LEFT, RIGHT

FLIP = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Build:
    """How a character is built; lengths in metres before `unit`."""

    size: float = 1.0  # of the hand beside ours
    fingers: float = 1.0  # length of the fingers beside that
    straight: bool = True  # fingers in line with the palm, as in a T-pose
    unit: float = 1.0  # metres in one unit of the armature; its object scale
    arms: bool = True
    connected: bool = False
    rolls: int = 0  # seed of the bones' rolls
    prefix: str = ""
    extra: bool = False  # an end bone after each finger, as Mixamo has


def joints(build: Build, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Heads [16, 3] and finger ends [5, 3] of a hand in our axes, wrist at the origin."""
    heads, ends = np.zeros((16, 3)), np.zeros((5, 3))
    for f, chain in enumerate(hand.FINGER_JOINTS):
        steps = np.diff(np.vstack([hand.HEADS[chain], hand.PADS[f]]), axis=0) * build.fingers
        if build.straight and f:
            steps = np.linalg.norm(steps, axis=1, keepdims=True) * [[0.0, 1.0, 0.0]]
        points = hand.HEADS[chain[0]] + np.vstack([np.zeros(3), np.cumsum(steps, axis=0)])
        heads[chain], ends[f] = points[:3], points[3]
    flip = FLIP if side == LEFT else 1.0
    return heads * build.size * flip, ends * build.size * flip


def add_character(scene: bpy.types.Scene, convention: str, build: Build, name: str = "Hero") -> bpy.types.Object:
    """A character in T-pose, facing the piano from its bench, hands named by a convention."""
    names = next(c for c in bone_names.CONVENTIONS if c.name == convention)
    obj = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    rng = np.random.default_rng(build.rolls)

    def bone(name: str, head, tail, parent=None, connected: bool = False) -> bpy.types.EditBone:
        made = obj.data.edit_bones.new(name)
        made.head, made.tail = Vector(head) / build.unit, Vector(tail) / build.unit
        made.roll = rng.uniform(-3, 3)
        made.parent, made.use_connect = parent, connected
        return made

    chest = bone("Chest", (0, 0, 0.9), (0, 0, 1.3))
    for side in (LEFT, RIGHT):
        called = {part: build.prefix + _cased(names, side, part) for part in bone_names.PARTS}
        out = 1 if side == LEFT else -1
        shoulder, elbow, wrist = ([out * x, 0.0, 1.35] for x in (0.17, 0.45, 0.70))
        heads, ends = joints(build, side)
        turn = np.array(Matrix.Rotation(-out * np.pi / 2, 3, "Z"))
        heads, ends = heads @ turn.T + wrist, ends @ turn.T + wrist
        parent = bone(f"Clavicle{side}", (0, 0, 1.3), shoulder, chest)
        if build.arms:
            upper = bone(called["upper_arm"], shoulder, elbow, parent)
            parent = bone(called["lower_arm"], elbow, wrist, upper, True)
        palm = bone(called["wrist"], wrist, heads[4], parent, build.connected)
        for f, chain in enumerate(hand.FINGER_JOINTS):
            last = palm
            for j, tail in zip(chain, [*heads[chain[1:]], ends[f]], strict=True):
                last = bone(called[hand.JOINTS[j]], heads[j], tail, last)
            if build.extra:
                bone(last.name[:-1] + "4", ends[f], ends[f] + 0.02 * turn[:, 1], last)
    bpy.ops.object.mode_set(mode="OBJECT")
    obj.scale = [build.unit] * 3
    obj.location, obj.rotation_euler = (0.02, -0.42, -1.0), (0, 0, np.pi)  # it faces -y at rest; shoulders at 0.35 m
    bpy.context.view_layer.update()
    return obj


def _cased(names: bone_names.Convention, side: int, part: str) -> str:
    """A part's name as the convention writes it."""
    letter = names.sides[side == RIGHT]
    if part == "wrist":
        return names.wrist.format(s=letter)
    if part in bone_names.ARM:
        return names.arm[bone_names.ARM.index(part)].format(s=letter) or part + letter
    finger, number = part[:-1], int(part[-1]) - 1
    numbers = names.thumb if finger == "thumb" and names.thumb else names.numbers
    theirs = dict(zip(("index", "middle", "pinky", "ring", "thumb"), names.fingers, strict=True))[finger]
    return names.finger.format(s=letter, f=theirs, n=numbers[number])


def pads(scene, armature, piano, mapping, frames: np.ndarray) -> np.ndarray:
    """Ends of the fingers in the piano frame [T, 2, 5, 3] as evaluated at `frames`; NaN for hands without bones."""
    result = np.full((len(frames), 2, 5, 3), np.nan)
    for i, at in enumerate(frames):
        scene.frame_set(int(np.floor(at)), subframe=float(at - np.floor(at)))
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        place = piano.matrix_world.inverted() @ evaluated.matrix_world
        for side, bones in mapping.items():
            for f, chain in enumerate(hand.FINGER_JOINTS):
                result[i, side, f] = place @ evaluated.pose.bones[bones[hand.JOINTS[chain[2]]]].tail
    return result
