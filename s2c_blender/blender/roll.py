# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A roll of falling notes over the keys, as real geometry that every engine renders without this extension.

    Piano > Roll.<take> (lies on the fallboard) > Roll.<take>.Notes (travels, two keyframes) > one mesh for each hand

In the roll's own axes x runs along the keys, y up the roll and z out of it; y = 0 is the strike line. A bar's lower
edge reaches it at the note's onset and its upper edge at the offset. A modifier cuts off what is below the strike line
or above the roll's upper edge: bars come out of nothing and sink into the piano.
"""

import math
from dataclasses import dataclass, field

import bpy
import numpy as np

from ..core.keyboard import BLACK_BASE_WIDTH, WHITE_PITCH, is_black, key_x
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT
from ..core.timing import Clock
from ..errors import UserError
from . import actions
from .roll_shape import Solids, bars, cut_group, digits, lines, write_mesh

OWNER = "piano_hands_roll"  # custom property of all a roll's data-blocks: the take's uid
SIDE = "piano_hands_side"  # custom property of the bars' materials
HEIGHT = "piano_hands_roll_height"  # custom property of the root: length of the visible roll, metres
SIDES = {LEFT: "L", RIGHT: "R"}
FALLBOARD_LEAN = math.radians(16)  # how far the rig's fallboard leans back
AT_KEYS = (0.147, 0.003)  # y, z of the strike line of a roll that stands on the keys, before the fallboard
ON_TOP = (0.173, 0.0895)  # the same on the fallboard's upper edge, for rolls that lean back further than it
LINE_COLOUR = (0.16, 0.16, 0.18)
GLOW = 0.7  # strength of the bars' own light: their colour shows in dark scenes too


@dataclass(frozen=True)
class Style:
    """How a roll looks; lengths in metres before the piano's own scale."""

    seconds: float = 2.0  # how long before its onset a note comes into view
    height: float = 0.34  # length of the roll along its slope
    lean: float = math.radians(50)  # rad from upright, away from the player
    width: float = 0.86  # of a key's width
    thickness: float = 0.004
    colours: dict[int, tuple[float, float, float]] = field(
        default_factory=lambda: {LEFT: (0.04, 0.40, 1.0), RIGHT: (1.0, 0.38, 0.03)}
    )
    fingers: bool = False  # finger numbers on the bars
    lines: bool = True  # the strike line, and one up the roll between every B and C
    cut: bool = True  # False: bars of full length at all times, for exports that leave modifiers out

    @property
    def speed(self) -> float:
        """Metres a second along the slope."""
        return self.height / self.seconds


def build(
    piano: bpy.types.Object,
    motion: HandMotion,
    clock: Clock,
    name: str,
    style: Style | None = None,
    *,
    uid: str = "",
    between: tuple[float, float] | None = None,
) -> bpy.types.Object:
    """The roll of a motion's notes, child of `piano`; replaces the roll with this uid (or name), returns its root.

    `between` (s) keeps only notes with an onset in that range. UserError when there is none.
    """
    style = style or Style()
    notes = motion.notes
    if between:
        notes = notes[(notes["onset"] >= between[0]) & (notes["onset"] < between[1])]
    if not len(notes):
        raise UserError("There is no note to show in this range: choose a longer one.")
    uid = uid or name
    for scene in piano.users_scene:
        remove(uid, scene)
    made = _Made(f"Roll.{name}", uid, home(piano))
    root = made.object("", None, piano)
    root.location[1:] = strike_line(style.lean)
    root.rotation_euler[0] = math.pi / 2 - style.lean
    root[HEIGHT] = style.height
    travel = made.object(".Notes", None, root)
    _key_travel(made, travel, clock, max(motion.duration, 1.0), style.speed)
    if style.lines:
        made.object(".Lines", made.mesh(".Lines", lines(style.height), [made.look(".Line", LINE_COLOUR)]), root)
    group = made.own(cut_group(f"Roll.{name}.Cut", root, style.height)) if style.cut else None
    finger_look = made.look(".Finger", (1.0, 1.0, 1.0)) if style.fingers else None
    for side, letter in SIDES.items():
        own = notes[(notes["hand"] == LEFT) == (side == LEFT)]
        if not len(own):
            continue
        look = made.look(f".{letter}", style.colours[side])
        look[SIDE] = side
        solids = _solids(own, style)
        bars_object = made.object(
            f".{letter}", made.mesh(f".{letter}", solids, [look] + [finger_look] * style.fingers), travel
        )
        if group:
            bars_object.modifiers.new("Cut at the Keys", "NODES").node_group = group
    return root


def remove(uid: str, scene: bpy.types.Scene) -> bool:
    """Delete a scene's roll with everything that only it is made of; False when there is none."""
    owned = [obj for obj in scene.objects if obj.get(OWNER) == uid and not obj.library]
    bpy.data.batch_remove(owned)
    for kind in (bpy.data.actions, bpy.data.meshes, bpy.data.materials, bpy.data.node_groups):
        bpy.data.batch_remove([block for block in kind if block.get(OWNER) == uid and not block.users])
    return bool(owned)


def find(scene: bpy.types.Scene) -> dict[str, bpy.types.Object]:
    """Roots of the scene's rolls by uid."""
    return {obj[OWNER]: obj for obj in scene.objects if HEIGHT in obj and OWNER in obj}


def recolour(uid: str, colours: dict[int, tuple[float, float, float]]) -> None:
    """Give a roll's bars other colours; the roll need not be built anew."""
    for material in bpy.data.materials:
        if material.get(OWNER) == uid and SIDE in material:
            _paint(material, colours[material[SIDE]])


def home(piano: bpy.types.Object) -> bpy.types.Collection:
    """Where a piano's new children go: its own collection, unless that belongs to another file."""
    own = (c for c in piano.users_collection if not c.library and not c.override_library)
    return next(own, bpy.context.scene.collection)


def strike_line(lean: float) -> tuple[float, float]:
    """y and z in the piano frame of the line where bars meet the piano, for a roll that leans back by `lean` (rad).

    Upright rolls stand on the keys before the fallboard; flatter ones would pierce it and end at its upper edge.
    """
    return AT_KEYS if lean <= FALLBOARD_LEAN + 1e-6 else ON_TOP


def place(notes: np.ndarray, style: Style) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where each note's bar lies on the roll at time 0: centre x, half width, lower and upper end, metres [M]."""
    ends = notes["offset"].copy()
    for pitch in np.unique(notes["pitch"]):
        same = np.flatnonzero(notes["pitch"] == pitch)
        ends[same[:-1]] = np.minimum(ends[same[:-1]], notes["onset"][same[1:]])  # a bar ends where the next begins
    room = np.where(is_black(notes["pitch"]), BLACK_BASE_WIDTH, WHITE_PITCH)
    start = notes["onset"] * style.speed
    return key_x(notes["pitch"]), room * style.width / 2, start, np.maximum(ends * style.speed, start + 1e-4)


def _solids(notes: np.ndarray, style: Style) -> Solids:
    x, half, start, end = place(notes, style)
    front = style.thickness * np.where(
        is_black(notes["pitch"]), 1.5, 1.0
    )  # black keys' bars lie above their neighbours
    solids = bars(x, half, start, end, front)
    known = notes["finger"] >= 0
    if style.fingers and known.any():
        numbers = digits(x[known], half[known], start[known], end[known], front[known], notes["finger"][known] + 1)
        solids = solids.joined(numbers)
    return solids


def _key_travel(made: "_Made", travel: bpy.types.Object, clock: Clock, seconds: float, speed: float) -> None:
    action = made.own(bpy.data.actions.new(made.name))
    curve = actions.take_curves(action, travel)("location", 1, "Roll")
    actions.fill(curve, clock.frame(np.array([0.0, seconds])), np.array([0.0, -seconds * speed]))
    curve.extrapolation = "LINEAR"  # the first notes come into view before the music begins


def _paint(material: bpy.types.Material, colour: tuple[float, float, float]) -> None:
    material.diffuse_color = (*colour, 1.0)  # what Workbench shows
    for socket in ("Base Color", "Emission Color"):
        material.node_tree.nodes["Principled BSDF"].inputs[socket].default_value = (*colour, 1.0)


@dataclass(frozen=True)
class _Made:
    """Makes a roll's data-blocks and marks them as the roll's own."""

    name: str
    uid: str
    collection: bpy.types.Collection

    def own(self, block):
        block[OWNER] = self.uid
        return block

    def object(self, suffix: str, data, parent: bpy.types.Object) -> bpy.types.Object:
        obj = self.own(bpy.data.objects.new(self.name + suffix, data))
        obj.parent = parent
        obj.empty_display_size = 0.05
        self.collection.objects.link(obj)
        return obj

    def mesh(self, suffix: str, solids: Solids, looks: list[bpy.types.Material]) -> bpy.types.Mesh:
        return self.own(write_mesh(self.name + suffix, solids, looks))

    def look(self, suffix: str, colour: tuple[float, float, float]) -> bpy.types.Material:
        material = self.own(bpy.data.materials.new(self.name + suffix))
        material.use_nodes = True
        material.roughness = 0.5
        material.node_tree.nodes["Principled BSDF"].inputs["Emission Strength"].default_value = GLOW
        _paint(material, colour)
        return material
