# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of a foreign skeleton is which joint of our hands, told from the bones' names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .hand import JOINTS
from .notes import LEFT, RIGHT

ARM = ("upper_arm", "lower_arm")
PARTS = (*JOINTS, *ARM)  # what bones are found for, on each side

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")


@dataclass(frozen=True)
class Convention:
    """How one kind of rig calls its bones; {s} is the side, {f} the finger, {n} the number of the joint."""

    name: str
    sides: tuple[str, str]  # left, right
    wrist: str
    finger: str
    arm: tuple[str, str] = ("", "")
    fingers: tuple[str, ...] = _FINGERS  # index, middle, pinky, ring, thumb
    numbers: tuple[str, str, str] = ("1", "2", "3")
    thumb: tuple[str, str, str] | None = None  # numbers of the thumb where they differ
    prefix: str = ""  # regular expression of what may stand before each name

    def bones(self, side: int) -> dict[str, str]:
        """The name of every part's bone on a side, in lower case."""
        letter = self.sides[side == RIGHT]
        names = {"wrist": self.wrist.format(s=letter)}
        for finger, theirs in zip(_FINGERS, self.fingers, strict=True):
            numbers = self.thumb if finger == "thumb" and self.thumb else self.numbers
            for i, number in enumerate(numbers):
                names[f"{finger}{i + 1}"] = self.finger.format(s=letter, f=theirs, n=number)
        names |= {part: name.format(s=letter) for part, name in zip(ARM, self.arm, strict=True) if name}
        return {part: name.lower() for part, name in names.items()}


_RIGIFY = {
    "sides": ("L", "R"),
    "finger": "{f}.{n}.{s}",
    "fingers": ("f_index", "f_middle", "f_pinky", "f_ring", "thumb"),
    "numbers": ("01", "02", "03"),
}
_VRM = {
    "sides": ("left", "right"),
    "wrist": "{s}Hand",
    "finger": "{s}{f}{n}",
    "fingers": ("Index", "Middle", "Little", "Ring", "Thumb"),
    "numbers": ("Proximal", "Intermediate", "Distal"),
    "arm": ("{s}UpperArm", "{s}LowerArm"),
}
CONVENTIONS = (
    # Controls come before the bones they move: of two that fit equally well the first is taken.
    Convention("Rigify", wrist="hand_ik.{s}", **_RIGIFY),
    Convention("Rigify meta-rig", wrist="hand.{s}", arm=("upper_arm.{s}", "forearm.{s}"), **_RIGIFY),
    Convention("Rigify deform bones", wrist="hand.{s}", arm=("upper_arm.{s}", "forearm.{s}"), prefix="DEF-", **_RIGIFY),
    Convention("Rigify ORG bones", wrist="hand.{s}", arm=("upper_arm.{s}", "forearm.{s}"), prefix="ORG-", **_RIGIFY),
    Convention(
        "Mixamo",
        ("Left", "Right"),
        "{s}Hand",
        "{s}Hand{f}{n}",
        ("{s}Arm", "{s}ForeArm"),
        ("Index", "Middle", "Pinky", "Ring", "Thumb"),
        prefix=r"(mixamorig\d*[:_]?)?",
    ),
    Convention(
        "Unreal", ("l", "r"), "hand_{s}", "{f}_{n}_{s}", ("upperarm_{s}", "lowerarm_{s}"), numbers=("01", "02", "03")
    ),
    Convention("VRM 0", **_VRM),
    Convention("VRM 1", thumb=("Metacarpal", "Proximal", "Distal"), **_VRM),
    Convention(
        "VRoid",
        ("L", "R"),
        "{s}_Hand",
        "{s}_{f}{n}",
        ("{s}_UpperArm", "{s}_LowerArm"),
        ("Index", "Middle", "Little", "Ring", "Thumb"),
        prefix="J_Bip_",
    ),
    Convention("SMPL-X", ("left", "right"), "{s}_wrist", "{s}_{f}{n}", ("{s}_shoulder", "{s}_elbow")),
    Convention("SMPL-H", ("L", "R"), "{s}_Wrist", "{s}_{f}{n}", ("{s}_Shoulder", "{s}_Elbow")),
)
ONE_HAND = Convention("MANO", ("", ""), "wrist", "{f}{n}", prefix=r"(right_|left_)?")  # and our own hands


@dataclass
class Mapping:
    """Bones found: {side: {part: bone}}, and what was not found."""

    convention: str = ""
    bones: dict[int, dict[str, str]] = field(default_factory=dict)

    def missing(self, side: int) -> list[str]:
        """Joints of a hand that have no bone."""
        return [joint for joint in JOINTS if joint not in self.bones.get(side, {})]


def detect(names: Iterable[str], side: int = RIGHT) -> Mapping:
    """The convention that finds most joints among the bone `names`; `side` is what a hand without a side is.

    Nothing found: an empty mapping. A hand of which only the arm or nothing but fingers without a wrist exist is kept
    as found; `missing` tells.
    """
    names = list(names)
    best, most = Mapping(), 0
    for convention in CONVENTIONS:
        bones = {s: found for s in (LEFT, RIGHT) if (found := _find(convention, s, names))}
        count = sum(part in JOINTS for found in bones.values() for part in found)
        if count > most and any("wrist" in found for found in bones.values()):
            best, most = Mapping(convention.name, bones), count
    alone = _find(ONE_HAND, side, names)
    if "wrist" in alone and len(alone) > most:
        best = Mapping(ONE_HAND.name, {side: alone})
    return best


def _find(convention: Convention, side: int, names: list[str]) -> dict[str, str]:
    pattern = re.compile(convention.prefix, re.IGNORECASE)
    bare: dict[str, str] = {}
    for name in names:
        start = pattern.match(name)
        if start:
            bare.setdefault(name[start.end() :].lower(), name)
    found = {part: bare[name] for part, name in convention.bones(side).items() if name in bare}
    return found if any(part in JOINTS for part in found) else {}


def side_of(name: str) -> int | None:
    """The side that the name of an object or file speaks of: LEFT, RIGHT, or None."""
    tokens = [token.lower() for token in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    left, right = ({"l", "left"} & set(tokens), {"r", "right"} & set(tokens))
    return None if bool(left) == bool(right) else LEFT if left else RIGHT
