# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who plays: a performer, a blend of two, more or less of it, other performers for single parts of a hand."""

import json

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty, StringProperty

from ..core.style import DESCRIPTIONS, PARTS
from ..errors import UserError
from .translations import OURS

USUAL, SAME, COPIED = "classical", "SAME", "copied"
SIDES = {"left": "Left", "right": "Right"}
PART_NAMES = {
    "wrist": "Wrist",
    "thumb": "Thumb",
    "index_middle": "Index and Middle",
    "ring_little": "Ring and Little",
}
_PERFORMERS = [
    # With numbers, which files keep: new performers come last.
    *((name, label, told, "NONE", number) for number, (name, (label, told)) in enumerate(DESCRIPTIONS.items())),
    (COPIED, "Copied Style", "The style that Copy Style has read off an action", "NONE", 1000),
]


def _of_part(side: str, part: str):
    """The property of a part of a hand that may have a performer of its own."""
    return EnumProperty(
        name=PART_NAMES[part],
        description=f"Whose way of moving this part of the {side} hand has",
        items=[(SAME, "As Above", "The performer, or blend, chosen for the whole hand", "NONE", 1001), *_PERFORMERS],
        default=SAME,
    )


class PianoHandsPerformer(bpy.types.PropertyGroup):
    """How the next generation is to move; a part's own performer is `left_wrist` and the like."""

    name_of: EnumProperty(
        name="Performer", description="Whose way of moving the hands have", items=_PERFORMERS, default=USUAL
    )
    blended: EnumProperty(
        name="Blend With",
        description="A second performer, towards whom the hands are moved",
        items=[("NONE", "Nobody", "One performer alone", "NONE", 1001), *_PERFORMERS],
        default="NONE",
    )
    blend: FloatProperty(
        name="Blend",
        description="How much the hands move like the second performer",
        translation_context=OURS,
        subtype="FACTOR",
        default=0.5,
        min=0.0,
        max=1.0,
    )
    intensity: FloatProperty(
        name="Intensity",
        description="How much of what sets the performer apart: 0 is classical, 1 the performer, more exaggerates",
        subtype="FACTOR",
        default=1.0,
        min=0.0,
        max=1.5,
    )
    expression: FloatProperty(
        name="Expression",
        description="How much strokes, lifts and wrist respond to loudness and tempo: 0 not at all, 1 as the performer",
        subtype="FACTOR",
        default=1.0,
        min=0.0,
        max=2.0,
    )
    weight: FloatProperty(
        name="Weight",
        description="How far the gesture model follows the performer: 0 not at all, 1 as it learned, more exaggerates",
        translation_context=OURS,
        default=1.0,
        min=0.0,
        max=3.0,
    )
    by_part: BoolProperty(name="By Part", description="Choose other performers for single parts of a hand")
    left_wrist: _of_part("left", "wrist")
    left_thumb: _of_part("left", "thumb")
    left_index_middle: _of_part("left", "index_middle")
    left_ring_little: _of_part("left", "ring_little")
    right_wrist: _of_part("right", "wrist")
    right_thumb: _of_part("right", "thumb")
    right_index_middle: _of_part("right", "index_middle")
    right_ring_little: _of_part("right", "ring_little")

    action: PointerProperty(
        name="Action",
        type=bpy.types.Action,
        description="Keyframes of a hand that plays; Copy Style reads off how it moves",
    )
    copied: StringProperty(options={"HIDDEN"}, description="The copied style's values of both hands' parts, JSON")

    def told(self, always: bool = False) -> dict | None:
        """The style in core.style's terms; None for the classical pianist, unless `always`.

        UserError where none was copied yet.
        """
        shares = {self.name_of: self.intensity}
        if self.blended != "NONE":
            shares[self.name_of] = self.intensity * (1.0 - self.blend)
            shares[self.blended] = shares.get(self.blended, 0.0) + self.intensity * self.blend
        hands = {side: {"all": shares} for side in SIDES}
        for side in SIDES if self.by_part else ():
            chosen = {part: getattr(self, f"{side}_{part}") for part in PARTS}
            hands[side] |= {part: {name: self.intensity} for part, name in chosen.items() if name != SAME}
        used = {name for parts in hands.values() for named in parts.values() for name in named}
        style = {side: {part: _rounded(named, side) for part, named in parts.items()} for side, parts in hands.items()}
        if COPIED in used:
            style |= self._copied()
        if self.expression != 1.0:
            style["expression"] = round(self.expression, 4)
        return style if always or used != {USUAL} or "expression" in style else None

    def _copied(self) -> dict:
        """The copied style as performers of a hand each, as the pianist and as a gesture model know them."""
        if not self.copied:
            raise UserError("No style was copied yet: choose an action in the panel Performer and press Copy Style.")
        found = json.loads(self.copied)
        for terms in {"own", "codes"} & found.keys():
            found[terms] = {f"{COPIED} {side}": parts for side, parts in found[terms].items()}
        return found


def summary(told: dict) -> str:
    """Who plays in a style, in the labels of the menu."""
    labels = {name: label for name, label, *_ in _PERFORMERS}
    named = {
        name.split(" ")[0]: None
        for side in SIDES
        for shares in told.get(side, {}).values()
        for name, share in shares.items()
        if share
    }
    return ", ".join(labels[name] for name in named if name in labels)


def _rounded(shares: dict[str, float], side: str) -> dict[str, float]:
    return {f"{COPIED} {side}" if name == COPIED else name: round(share, 4) for name, share in shares.items()}


def register() -> None:
    bpy.utils.register_class(PianoHandsPerformer)


def unregister() -> None:
    bpy.utils.unregister_class(PianoHandsPerformer)
