# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own characters: their hands, as mapped bone by bone, keyed so that their fingertips meet our keys.

The hand itself is computed in core/retarget.py. Here it becomes keyframes: of a hand control that can be moved freely
(Rigify's hand_ik), or of upper arm, forearm and hand where these are bones of an arm.
"""

from dataclasses import dataclass, field, replace

import bpy
import numpy as np

from ..core.arm import Arm, arm, reach, share_twist
from ..core.bone_names import ARM
from ..core.hand import FINGERS, JOINTS, PARENTS
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT
from ..core.retarget import Fitted, Skeleton, bone_turns, fit, follow, pad_directions, sampled
from ..core.timing import Clock
from ..errors import UserError
from . import character_keys, character_pads
from .character_pose import Stage, watch

SIDES = {LEFT: "left", RIGHT: "right"}
_STEP = 0.01  # frames; see keying
_FAR = 0.002  # m the arm may be too short before that is told
_ROOTS = ("wrist", "thumb1", "index1", "middle1", "ring1", "pinky1")
_MACHINERY = ("MCH-", "DEF-", "ORG-", "VIS_")  # Rigify's bones that are moved by its controls
_POLE = np.array([0.35, -0.25, -1.0])  # right elbow: outwards, towards the player, down, in the piano frame

Mapping = dict[int, dict[str, str]]  # side -> part (joint, upper_arm, lower_arm) -> bone


@dataclass
class Keyed:
    """What came of keying a character."""

    action: str
    first: int
    last: int
    notes: int  # looked at
    off: int  # of them, fingertips more than 3 mm from where ours are
    mean: float  # m, over these notes
    worst: float  # m
    remarks: list[str] = field(default_factory=list)  # sentences: what was not matched, what is out of reach


@dataclass(frozen=True)
class _Hand:
    """One hand of a character, ready to be keyed."""

    side: int
    bones: dict[str, bpy.types.Bone]
    fitted: Fitted
    pads: character_pads.Pads
    arm: Arm | None


def check(armature: bpy.types.Object, mapping: Mapping) -> None:
    """UserError when the armature cannot be keyed, or a bone of the mapping does not exist."""
    override = armature.override_library
    if (armature.library and not override) or (override and override.is_system_override):
        raise UserError(
            f'"{armature.name}" is linked from another file and cannot be keyed: '
            "make a library override of it that can be edited (Object > Library Override > Make)."
        )
    if not any(parts.get("wrist") for parts in mapping.values()):
        raise UserError(f'No hand of "{armature.name}" has a bone for its wrist: press Detect Bones, or choose one.')
    for side, parts in mapping.items():
        gone = sorted({bone for bone in parts.values() if bone and bone not in armature.data.bones})
        if gone:
            raise UserError(
                f'"{armature.name}" has no bone {", ".join(gone)}: press Detect Bones, or choose others in the mapping.'
            )
        used = [bone for bone in parts.values() if bone]
        twice = sorted({bone for bone in used if used.count(bone) > 1})
        if twice:
            raise UserError(f"{', '.join(twice)} stands for two joints of the {SIDES[side]} hand: choose another bone.")


def unmatched(armature: bpy.types.Object, mapping: Mapping) -> list[str]:
    """Sentences about joints without a bone, and bones of the hands that stand for no joint."""
    told = []
    for side, parts in mapping.items():
        missing = [joint for joint in JOINTS if not parts.get(joint)]
        if len(missing) == len(JOINTS):
            told.append(f"The {SIDES[side]} hand has no bones and does not move.")
            continue
        if missing:
            told.append(f"No bone of the {SIDES[side]} hand was found for {', '.join(missing)}.")
        used = set(parts.values())
        bones = armature.data.bones
        roots = [bones[parts[p]] for p in _ROOTS if parts.get(p) in bones]
        below = {bone.name for root in roots for bone in root.children_recursive}
        rest = {bone for bone in below - used if not bone.startswith(_MACHINERY)}
        if rest:
            told.append(f"Bones of the {SIDES[side]} hand that are no joint of ours rest: {', '.join(sorted(rest))}.")
    return told


def key_character(
    armature: bpy.types.Object,
    mapping: Mapping,
    piano: bpy.types.Object,
    motion: HandMotion,
    scene: bpy.types.Scene,
    frame: float,
    *,
    name: str,
    uid: str = "",
) -> Keyed:
    """Key a character's hands in a new action `<armature>.<name>`, time 0 of the motion at `frame` of the scene.

    An action that was on the character goes on playing below it on an NLA track. Either both hands are keyed or,
    on an error, nothing is changed.
    """
    check(armature, mapping)
    mapping = {side: {p: b for p, b in parts.items() if b} for side, parts in mapping.items() if parts.get("wrist")}
    clock = Clock(scene.render.fps / scene.render.fps_base, frame)
    frames = clock.whole_frames(motion.duration)
    hands = [_hand(armature, side, parts, piano) for side, parts in sorted(mapping.items())]
    stage = watch(scene, armature, piano, [anchor for h in hands if (anchor := _anchor(h))], frames)
    pairs = (frames[:, None] + [0.0, _STEP]).ravel()
    remarks = unmatched(armature, mapping)
    channels: list[character_keys.Channel] = []
    for one in hands:
        followed = follow(one.fitted, motion)
        position, rotation = sampled(followed, motion.fps, clock.seconds(pairs))
        turns = bone_turns(one.fitted, rotation)
        made, short = _channels(one, armature, stage, pairs, position, turns)
        channels += made
        if short > _FAR:
            remarks.append(
                f"The {SIDES[one.side]} arm is {short * 100:.1f} cm too short: move the character closer to the piano."
            )
        channels += character_keys.switches(armature, one.bones["wrist"].name)
    channels += character_keys.resets(armature, {bone.name for one in hands for bone in one.bones.values()})
    action = character_keys.write(armature, f"{armature.name}.{name}", uid or name, frames, channels)
    pads = {one.side: one.pads for one in hands}
    errors, off = character_pads.measure(scene, armature, piano, pads, motion, clock)
    remarks += character_keys.held(armature, [bone.name for one in hands for bone in one.bones.values()])
    remarks += _out_of_reach(errors, off)
    worst = float(errors.max()) if len(errors) else 0.0
    mean = float(errors.mean()) if len(errors) else 0.0
    return Keyed(action, int(frames[0]), int(frames[-1]), len(errors), len(off), mean, worst, remarks)


def _out_of_reach(errors: np.ndarray, off: list[tuple[int, int]]) -> list[str]:
    if not off:
        return []
    by_finger: dict[tuple[int, int], int] = {}
    for place in off:
        by_finger[place] = by_finger.get(place, 0) + 1
    which = ", ".join(f"{SIDES[side]} {FINGERS[finger]} {count}" for (side, finger), count in sorted(by_finger.items()))
    return [f"{len(off)} of {len(errors)} notes are more than 3 mm off ({which}; worst {errors.max() * 1e3:.0f} mm)."]


def _hand(armature: bpy.types.Object, side: int, parts: dict[str, str], piano: bpy.types.Object) -> _Hand:
    bones = {part: armature.data.bones[bone] for part, bone in parts.items()}
    place = np.array(piano.matrix_world.inverted() @ armature.matrix_world)
    sizes = np.linalg.norm(place[:3, :3], axis=0)
    if sizes.min() <= 0 or sizes.max() > 1.01 * sizes.min() or np.linalg.det(place[:3, :3]) < 0:
        raise UserError(f'"{armature.name}" is stretched or mirrored: apply its scale (Object > Apply > Scale).')

    def world(points) -> np.ndarray:
        return np.asarray(points) @ place[:3, :3].T + place[:3, 3]

    pads = character_pads.Pads.of(armature, bones)
    heads = [bones[joint].head_local if joint in bones else [np.nan] * 3 for joint in JOINTS]
    try:
        skeleton = Skeleton(world(heads), world(pads.ends), side == LEFT)
        pads = pads.on_skin(armature, pad_directions(fit(skeleton)) @ place[:3, :3])
        fitted = fit(replace(skeleton, pads=world(pads.pads)))
    except ValueError as error:
        raise UserError(
            f'The {SIDES[side]} hand of "{armature.name}" has too few finger bones: choose bones for the knuckles '
            "(index1, middle1, ring1, pinky1)."
        ) from error
    return _Hand(side, bones, fitted, pads, _arm(bones))


def _arm(bones: dict[str, bpy.types.Bone]) -> Arm | None:
    """The arm above the wrist, when its bones are mapped and carry the hand."""
    if not all(part in bones for part in ARM):
        return None
    upper, lower = (bones[part] for part in ARM)
    if lower not in bones["wrist"].parent_recursive or upper not in lower.parent_recursive:
        return None
    knuckles = [bones[joint].head_local for joint in ("index1", "middle1", "ring1", "pinky1") if joint in bones]
    thumb = np.array(knuckles[0] - knuckles[-1])
    joints = (np.array(bone.head_local) for bone in (upper, lower, bones["wrist"]))
    return arm(*joints, thumb)


def _anchor(one: _Hand) -> bpy.types.Bone | None:
    """The bone that carries the arm, or the hand where there is no arm."""
    return (one.bones["upper_arm"] if one.arm else one.bones["wrist"]).parent


def _channels(
    one: _Hand, armature: bpy.types.Object, stage: Stage, frames: np.ndarray, position: np.ndarray, turns: np.ndarray
) -> tuple[list[character_keys.Channel], float]:
    """Channels of a hand's bones at `frames` [T], and how much too short the arm is, metres.

    position [T, 3] of the wrist in the piano frame, turns [T, 16, 3, 3] of the bones from rest in the piano's axes.
    """
    wrist, joints = stage.to_armature(frames, position, turns)
    anchor = _anchor(one)
    carried = stage.carried(anchor, frames)  # [T, 4, 4] or one
    turned = dict(zip(JOINTS, np.moveaxis(joints, 1, 0), strict=True))
    parents: dict[str, np.ndarray] = {"wrist": carried[:, :3, :3]}
    short = np.zeros_like(wrist)
    if one.arm:
        shoulder = carried[:, :3, :3] @ one.arm.shoulder + carried[:, :3, 3]
        pole = stage.direction(_POLE * ([-1, 1, 1] if one.side == LEFT else [1, 1, 1]))
        upper, lower, short = reach(one.arm, np.broadcast_to(shoulder, wrist.shape), wrist, pole)
        lower = share_twist(one.arm, lower, turned["wrist"])
        turned |= {"upper_arm": upper, "lower_arm": lower}
        parents |= {"upper_arm": parents["wrist"], "lower_arm": upper, "wrist": lower}
    for joint, parent in zip(JOINTS[1:], PARENTS[1:], strict=True):
        while JOINTS[parent] not in one.bones:
            parent = PARENTS[parent]
        parents[joint] = turned[JOINTS[parent]]
    channels = []
    for part, bone in one.bones.items():
        if part not in parents:
            continue  # an arm that does not carry the hand
        rest = np.array(bone.matrix_local)[:3, :3]
        carrier = parents[part] if bone.use_inherit_rotation else np.eye(3)[None]
        basis = rest.T @ carrier.swapaxes(-1, -2) @ turned[part] @ rest
        channels.append(character_keys.rotation(armature.pose.bones[bone.name], basis))
    bone = one.bones["wrist"]
    stuck = bone.use_connect and bone.parent is not None
    away = short if one.arm else wrist - carried[:, :3, :3] @ np.array(bone.head_local) - carried[:, :3, 3]
    if not stuck:
        axes = _location_axes(bone, parents["wrist"])
        local = np.einsum("tji,tj->ti", np.broadcast_to(axes, (len(away), 3, 3)), away)
        channels.append(character_keys.location(armature.pose.bones[bone.name], local))
    return channels, float(np.linalg.norm(away, axis=-1).max()) * stage.size if one.arm or stuck else 0.0


def _location_axes(bone: bpy.types.Bone, carried: np.ndarray) -> np.ndarray:
    """The axes in which a bone's location is counted, in armature space [T, 3, 3]; `carried` turns its parent."""
    if bone.use_local_location:
        return carried @ np.array(bone.matrix_local)[:3, :3]
    return carried @ np.array(bone.parent.matrix_local)[:3, :3] if bone.parent else np.eye(3)[None]
