# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How pianists of different schools move, part by part, and what users make of them.

A school shows differently in wrist, thumb, strong fingers (index and middle) and weak ones (ring and little), the parts
of DESIGN section 6 (after MimicParts): height, curvature, lift, speed of the strike, sway, bounce, and what loudness
and tempo change. A user's style takes each part of each hand from a performer, or mixes several, more or less of each.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from math import isfinite
from pathlib import Path

import numpy as np

from ..errors import BAD_ARGUMENTS, UserError


@dataclass(frozen=True)
class Fingers:
    """How a thumb or a pair of fingers plays; the defaults are the classical pianist's."""

    curve: tuple[float, float]  # degrees: MCP and PIP flexion at rest, the thumb's last two joints
    lift: tuple[float, float, float] = (10, 10, 10)  # mm before a stroke, more of it when loud, and when fast
    hover: float = 11  # mm above the keys when idle
    strike: tuple[float, float] = (85, 35)  # ms from the top of the key to its bottom, pp and ff
    wander: float = 0.25  # slow variation of the posture, in its spreads


@dataclass(frozen=True)
class Wrist:
    """How wrist and arm move; the defaults are the classical pianist's."""

    height: float = 62  # mm
    pitch: float = 4  # degrees, fingers' end up
    roll: float = 4  # degrees, towards the little finger
    sway: float = 0  # mm
    bounce: tuple[float, float] = (0, 0)  # mm, and more of it when loud
    elbow: tuple[float, float] = (0.27, 0.55)  # m to the side, share of the hand's way that it goes too
    wander: float = 0.25


@dataclass(frozen=True)
class Style:
    """How one hand moves; the default is the classical pianist's."""

    wrist: Wrist = Wrist()
    thumb: Fingers = Fingers((8, 12))
    index_middle: Fingers = Fingers((20, 43))
    ring_little: Fingers = Fingers((19, 38))


PARTS = tuple(field.name for field in fields(Style))
FINGERS_OF = {"thumb": [0], "index_middle": [1, 2], "ring_little": [3, 4]}  # thumb .. little finger
# What mixing and strengthening may lead to, in the order of the fields: beyond it hands break or keys are missed.
_FINGER_LIMITS = np.array([[0, 40], [2, 70], [3, 30], [0, 24], [0, 18], [5, 26], [50, 130], [18, 60], [0, 0.6]])
_WRIST_LIMITS = np.array([[36, 106], [-10, 14], [-2, 10], [0, 18], [0, 15], [0, 24], [0.18, 0.4], [0.3, 0.8], [0, 0.6]])


PERFORMERS: dict[str, Style] = {
    "classical": Style(),
    "flat": Style(
        Wrist(height=40, pitch=7, sway=3, bounce=(1, 2)),
        Fingers((4, 4), lift=(7, 6, 6), hover=9),
        Fingers((11, 14), lift=(8, 8, 7), hover=9, strike=(95, 42)),
        Fingers((9, 13), lift=(7, 6, 6), hover=10, strike=(100, 45)),
    ),
    "hammer": Style(
        Wrist(height=64, pitch=3, roll=1, wander=0.1, elbow=(0.27, 0.7)),
        Fingers((10, 20), lift=(14, 12, 6), hover=15, strike=(60, 26), wander=0.12),
        Fingers((7, 52), lift=(26, 14, 6), hover=24, strike=(55, 24), wander=0.12),
        Fingers((5, 48), lift=(22, 10, 5), hover=23, strike=(60, 26), wander=0.12),
    ),
    "armweight": Style(
        Wrist(height=64, pitch=4, sway=5, bounce=(11, 14), wander=0.4, elbow=(0.32, 0.45)),
        Fingers((8, 12), lift=(7, 10, 4), hover=10, strike=(100, 42)),
        Fingers((22, 36), lift=(8, 12, 4), hover=11, strike=(100, 42)),
        Fingers((20, 30), lift=(7, 10, 4), hover=11, strike=(105, 45)),
    ),
    "economical": Style(
        Wrist(height=56, pitch=5, wander=0.12),
        Fingers((8, 12), lift=(5, 2, 2), hover=7, strike=(80, 40), wander=0.12),
        Fingers((20, 40), lift=(5, 2, 2), hover=7, strike=(80, 40), wander=0.12),
        Fingers((20, 36), lift=(5, 2, 2), hover=7, strike=(85, 42), wander=0.12),
    ),
    "curved": Style(
        Wrist(height=66, pitch=7, bounce=(2, 3)),
        Fingers((14, 28), lift=(9, 8, 8), hover=10, strike=(70, 30)),
        Fingers((26, 62), lift=(12, 10, 10), hover=12, strike=(65, 28)),
        Fingers((24, 56), lift=(11, 9, 9), hover=12, strike=(70, 30)),
    ),
    "lyrical": Style(
        Wrist(height=62, pitch=2, roll=6, sway=14, bounce=(5, 5), wander=0.5, elbow=(0.36, 0.35)),
        Fingers((6, 6), lift=(8, 6, 8), hover=12, strike=(120, 50), wander=0.4),
        Fingers((15, 24), lift=(11, 6, 10), hover=13, strike=(120, 50), wander=0.4),
        Fingers((12, 18), lift=(10, 6, 10), hover=17, strike=(125, 52), wander=0.45),
    ),
    "highwrist": Style(
        Wrist(height=102, pitch=-7, roll=3, sway=2, bounce=(2, 2)),
        Fingers((2, 6), lift=(9, 8, 9), hover=12),
        Fingers((30, 34), lift=(11, 10, 10), hover=13),
        Fingers((28, 28), lift=(10, 9, 9), hover=14),
    ),
    "percussive": Style(
        Wrist(height=66, pitch=3, roll=2, bounce=(7, 22), wander=0.15, elbow=(0.30, 0.6)),
        Fingers((10, 16), lift=(9, 16, 6), hover=12, strike=(60, 22), wander=0.15),
        Fingers((22, 48), lift=(10, 22, 6), hover=13, strike=(58, 20), wander=0.15),
        Fingers((20, 44), lift=(9, 18, 6), hover=13, strike=(60, 22), wander=0.15),
    ),
    "pop": Style(
        Wrist(height=60, pitch=5, roll=0, sway=4, bounce=(4, 8), wander=0.35),
        Fingers((10, 14), lift=(12, 14, 8), hover=14, strike=(75, 32)),
        Fingers((20, 38), lift=(13, 12, 10), hover=11, strike=(75, 32)),
        Fingers((10, 14), lift=(14, 8, 10), hover=24, strike=(90, 38), wander=0.35),
    ),
    "virtuoso": Style(
        Wrist(height=70, pitch=2, sway=5, bounce=(2, 6), elbow=(0.24, 0.65)),
        Fingers((6, 14), lift=(6, 8, 8), hover=8, strike=(70, 28)),
        Fingers((24, 44), lift=(9, 10, 16), hover=12, strike=(65, 26)),
        Fingers((22, 40), lift=(10, 10, 16), hover=14, strike=(68, 27)),
    ),
    "heavy": Style(
        Wrist(height=48, pitch=12, roll=6, sway=3, bounce=(6, 6), wander=0.3),
        Fingers((4, 10), lift=(14, 8, 6), hover=18, strike=(95, 36)),
        Fingers((18, 36), lift=(9, 8, 6), hover=11, strike=(95, 36)),
        Fingers((26, 52), lift=(8, 7, 5), hover=11, strike=(100, 38)),
    ),
    "dancing": Style(
        Wrist(height=72, pitch=0, roll=3, sway=8, bounce=(9, 6), wander=0.3, elbow=(0.22, 0.5)),
        Fingers((8, 8), lift=(13, 6, 14), hover=16, strike=(65, 30)),
        Fingers((14, 30), lift=(17, 6, 16), hover=19, strike=(65, 30)),
        Fingers((10, 24), lift=(17, 6, 16), hover=24, strike=(68, 31)),
    ),
}

DESCRIPTIONS = {  # label and one line each, for menus
    "classical": ("Classical", "Relaxed and rather economical, all parts alike"),
    "flat": ("Flat Fingers", "Long flat fingers over a low wrist; small soft strokes with the fingers' pulp"),
    "hammer": ("High Fingers", "Old school: a still, level hand, every finger lifted far and struck like a hammer"),
    "armweight": ("Arm Weight", "A loose wrist that sinks with every tone and floats up after it; fingers do little"),
    "economical": ("Economical", "Close to the keys: nothing moves more than it must, however loud or fast"),
    "curved": ("Curved Fingers", "Fingers that stand on their tips under a high arch; crisp strokes, thumb bent in"),
    "lyrical": ("Lyrical", "The wrist draws wide curves around long fingers, elbow far out, slow key descents"),
    "highwrist": ("High Wrist", "A high wrist from which the fingers hang down to the keys; light outer fingers"),
    "percussive": ("Percussive", "Hard fast strokes from the wrist, much more of everything when it is loud"),
    "pop": ("Pop", "Strong thumb and first fingers, the little finger held up and nearly straight"),
    "virtuoso": ("Virtuoso", "Quick light fingers that rise with the tempo below a quiet, slightly high hand"),
    "heavy": ("Heavy", "Low and heavy: a low wrist, thumb high, ring and little finger curled"),
    "dancing": ("Dancing", "A light staccato hand: every tone throws wrist and fingers up, more so when fast"),
}

Shares = Mapping[str, float]  # performer -> how much of what sets it apart from the classical one; may sum to any value
HAND = "all"  # in a file, for all parts that are not named


def mixed(shares: Mapping[str, Shares], expression: float = 1.0, own: Mapping[str, Style] | None = None) -> Style:
    """A style of which each part is made of performers in shares; parts that are not named are classical.

    One performer with share 1 is that performer, with 1.5 more of what is special in it, two with 0.5 each lie between.
    expression: how much the hand responds to loudness and tempo, 1 as the performers do, 0 not at all.
    own: performers besides those of PERFORMERS. UserError for one that is in neither.
    """
    known = PERFORMERS | dict(own or {})
    parts = {}
    for part in PARTS:
        base = vector(getattr(Style(), part))
        total = base.copy()
        for name, share in shares.get(part, {}).items():
            if name not in known:
                raise UserError(f'There is no performer "{name}": choose one of {", ".join(known)}.', BAD_ARGUMENTS)
            total += share * (vector(getattr(known[name], part)) - base)
        parts[part] = _expressive(_part(part, total), expression)
    return Style(**parts)


def styled(values: Mapping[str, np.ndarray]) -> Style:
    """The style with values [9] for each part, brought within what a hand can do; ValueError for other values."""
    for part, of in values.items():
        if np.shape(of) != (9,) or not np.isfinite(np.asarray(of, float)).all():
            raise ValueError(f"{part} needs 9 numbers")
    return Style(**{part: _part(part, np.asarray(of, float)) for part, of in values.items()})


def vector(part: Wrist | Fingers) -> np.ndarray:
    """A part's values one after the other [9]."""
    return np.concatenate([np.atleast_1d(np.array(value, float)) for value in astuple(part)])


def _part(name: str, values: np.ndarray) -> Wrist | Fingers:
    """The part with values [9], brought within what a hand can do."""
    kind, limits = (Wrist, _WRIST_LIMITS) if name == "wrist" else (Fingers, _FINGER_LIMITS)
    left = np.clip(values, *limits.T).tolist()
    found = {}
    for field, usual in zip(fields(kind), astuple(kind() if kind is Wrist else kind((0, 0))), strict=True):
        if isinstance(usual, tuple):
            found[field.name] = tuple(left.pop(0) for _ in usual)
        else:
            found[field.name] = left.pop(0)
    return kind(**found)


def _expressive(part: Wrist | Fingers, amount: float) -> Wrist | Fingers:
    """A part that responds to loudness and tempo `amount` times as much."""
    values = vector(part)
    if isinstance(part, Wrist):
        values[5] *= amount  # what loudness adds to the bounce
        return _part("wrist", values)
    values[3:5] *= amount  # what loudness and tempo add to the lift
    values[6:8] = values[6:8].mean() + amount * (values[6:8] - values[6:8].mean())  # strikes, pp and ff
    return _part("thumb", values)


def hands(told: Mapping) -> tuple[Style, Style]:
    """Both hands' styles from what a file or a job tells; UserError when it cannot be understood.

    {"both"|"left"|"right": performer | shares | {part|"all": performer | shares}, "expression": 1.0,
     "own": {name: {part: values [9]}}, "codes": {name: {part: numbers for a gesture model}}, "codes_of": that model}
    """
    asked, expression = asked_of(told), expression_of(told)
    try:
        own = {name: styled(parts) for name, parts in told.get("own", {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise _unclear(error) from error
    return tuple(mixed(shares, expression, own) for shares in asked)


def asked_of(told: Mapping) -> tuple[dict[str, Shares], dict[str, Shares]]:
    """Shares of performers, part by part, that are asked for of the left and the right hand; UserError as `hands`."""
    try:
        asked = [_parts(told.get("both", {})) | _parts(told.get(side, {})) for side in ("left", "right")]
        unknown = set(told) - {"both", "left", "right", "expression", "own", "codes", "codes_of"}
        for parts in told.get("codes", {}).values():
            for code in parts.values():
                if not np.isfinite(np.array(code, float)).all():
                    raise ValueError("a code is no number")
    except (AttributeError, TypeError, ValueError) as error:
        raise _unclear(error) from error
    if unknown:
        raise UserError(f"The style has an unknown entry {min(unknown)}: see docs/style.md.", BAD_ARGUMENTS)
    return tuple(asked)


def expression_of(told: Mapping) -> float:
    """How much the hands respond to loudness and tempo, 1 as the performers do; UserError when it is no number."""
    try:
        expression = float(told.get("expression", 1.0))
        if not isfinite(expression):
            raise ValueError("the expression is no number")
    except (AttributeError, TypeError, ValueError) as error:
        raise _unclear(error) from error
    return expression


def _unclear(error: Exception) -> UserError:
    return UserError(f"The style cannot be understood ({error}): see docs/style.md.", BAD_ARGUMENTS)


def _parts(told: str | Mapping) -> dict[str, Shares]:
    """Shares of each part that is told."""
    if isinstance(told, str) or not set(told) <= {HAND, *PARTS}:
        told = {HAND: told}
    every = told.get(HAND)
    named = {part: told.get(part, every) for part in PARTS}
    return {part: _shares(what) for part, what in named.items() if what is not None}


def _shares(told: str | Mapping) -> dict[str, float]:
    shares = {told: 1.0} if isinstance(told, str) else {str(name): float(share) for name, share in told.items()}
    if not all(map(isfinite, shares.values())):
        raise ValueError("a share is no number")
    return shares


def told_of(left: Style, right: Style) -> dict:
    """What `hands` understands, of these two styles."""
    own = {
        side: {part: vector(getattr(style, part)).round(3).tolist() for part in PARTS}
        for side, style in (("left", left), ("right", right))
    }
    return {"left": "left", "right": "right", "own": own}


def told_by(given: str) -> dict:
    """What `--style` names: a performer, or a JSON file. UserError when it is neither, or the file is none."""
    if given in PERFORMERS:
        return {"both": given}
    try:
        told = json.loads(Path(given).read_text(encoding="utf-8"))
        hands(told)
    except FileNotFoundError as error:
        names = ", ".join(PERFORMERS)
        told = f'There is no performer and no file "{given}": choose one of {names}, or the path of a style.'
        raise UserError(told, BAD_ARGUMENTS) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{given} is no style file ({error}).", BAD_ARGUMENTS) from error
    return told
