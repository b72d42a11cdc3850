# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who plays: a performer, a blend of two, more or less of it, other performers for single parts of a hand."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty

from ..core.style import DESCRIPTIONS, PARTS

USUAL, SAME = "classical", "SAME"
SIDES = {"left": "Left", "right": "Right"}
PART_NAMES = {
    "wrist": "Wrist",
    "thumb": "Thumb",
    "index_middle": "Index and Middle",
    "ring_little": "Ring and Little",
}
_PERFORMERS = [(name, label, description) for name, (label, description) in DESCRIPTIONS.items()]


def _of_part(side: str, part: str):
    """The property of a part of a hand that may have a performer of its own."""
    return EnumProperty(
        name=PART_NAMES[part],
        description=f"Whose way of moving this part of the {side} hand has",
        items=[(SAME, "As Above", "The performer, or blend, chosen for the whole hand"), *_PERFORMERS],
    )


class PianoHandsPerformer(bpy.types.PropertyGroup):
    """How the next generation is to move; a part's own performer is `left_wrist` and the like."""

    name_of: EnumProperty(name="Performer", description="Whose way of moving the hands have", items=_PERFORMERS)
    blended: EnumProperty(
        name="Blend With",
        description="A second performer, towards whom the hands are moved",
        items=[("NONE", "Nobody", "One performer alone"), *_PERFORMERS],
    )
    blend: FloatProperty(
        name="Blend",
        description="How much the hands move like the second performer",
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
    by_part: BoolProperty(name="By Part", description="Choose other performers for single parts of a hand")
    left_wrist: _of_part("left", "wrist")
    left_thumb: _of_part("left", "thumb")
    left_index_middle: _of_part("left", "index_middle")
    left_ring_little: _of_part("left", "ring_little")
    right_wrist: _of_part("right", "wrist")
    right_thumb: _of_part("right", "thumb")
    right_index_middle: _of_part("right", "index_middle")
    right_ring_little: _of_part("right", "ring_little")

    def told(self) -> dict | None:
        """The style in core.style's terms; None for the classical pianist as he is."""
        shares = {self.name_of: self.intensity}
        if self.blended != "NONE":
            shares[self.name_of] = self.intensity * (1.0 - self.blend)
            shares[self.blended] = shares.get(self.blended, 0.0) + self.intensity * self.blend
        style = {"both": {name: round(share, 4) for name, share in shares.items()}}
        for side in SIDES if self.by_part else ():
            chosen = {part: getattr(self, f"{side}_{part}") for part in PARTS}
            own = {part: {name: round(self.intensity, 4)} for part, name in chosen.items() if name != SAME}
            if own:
                style[side] = own
        if self.expression != 1.0:
            style["expression"] = round(self.expression, 4)
        return style if set(shares) != {USUAL} or len(style) > 1 else None


def register() -> None:
    bpy.utils.register_class(PianoHandsPerformer)


def unregister() -> None:
    bpy.utils.unregister_class(PianoHandsPerformer)
