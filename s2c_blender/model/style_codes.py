# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of styles for a model: of the performers that it knows, of a user's mixture of them, of any motion.

NumPy only: the encoder is small, and styles are copied inside Blender, where PyTorch is not loaded.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..core import metrics
from ..core.hand import forward_kinematics
from ..core.motion import UNREADABLE, HandMotion
from ..core.notes import LEFT, NOTE, RIGHT, Score, make_notes
from ..core.style import PARTS, Shares, asked_of
from ..errors import BAD_ARGUMENTS, UserError
from .config import FPS, StyleConfig
from .seen import MOTION, PLAYED, SEEN, part_channels, seen_in, segments
from .weights import PERFORMERS, STYLE

USUAL = "classical"  # the performer whom mixtures count from, as in core.style
LOUDNESS = 70  # MIDI velocity of notes that are only seen
_SHORTEST = 2.0  # s
_LAYERS = ((0, 1), (2, 2), (4, 4))  # of PartEncoder.layers: index and dilation of its convolutions


def known_performers(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Codes of the performers that a model folder knows by name, part by part; none for models that know no styles."""
    path = folder / PERFORMERS
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {name: {part: list(map(float, code)) for part, code in of.items()} for name, of in told.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): get the model again.") from error


def codes_of(told: Mapping, folder: Path, style: StyleConfig) -> np.ndarray:
    """Codes [2, codes, width] of a style as core.style.hands understands it, the left hand's first.

    Mixtures count from the classical performer, as there, or where the model knows none from the mean of those it
    knows: codes are shifted by shares of what sets performers apart. Styles copied from a motion need their codes in
    `told["codes"]`, which count for the encoder that `told["codes_of"]` names only. UserError for a performer whose
    codes there are not.
    """
    hands = asked_of(told)
    known = known_performers(folder)
    if USUAL not in known and known:
        known[USUAL] = {part: np.mean([of[part] for of in known.values()], axis=0).tolist() for part in _parts(style)}
    if told.get("codes_of") in (None, encoder_number(folder)):
        known |= told.get("codes", {})
    try:
        return np.array([[_mixed(shares, part, known, style.width) for part in _parts(style)] for shares in hands])
    except KeyError as error:
        raise UserError(
            f'The gesture model does not know how "{error.args[0]}" moves: copy that style from a motion again, or '
            "choose the generator Pianist.",
            BAD_ARGUMENTS,
        ) from error


def _parts(style: StyleConfig) -> tuple[str, ...]:
    """What a hand's codes are of."""
    return PARTS if style.codes == "parts" else ("all",)


def encoder_number(folder: Path) -> int:
    """A number that tells a model's style encoder from others'."""
    return zlib.crc32((folder / STYLE).read_bytes()) if (folder / STYLE).is_file() else 0


def _mixed(
    shares: Mapping[str, Shares], part: str, known: Mapping[str, Mapping[str, list[float]]], width: int
) -> np.ndarray:
    """The code of a part [width]; KeyError names a performer whose code there is not, or is another model's."""

    def code(name: str) -> np.ndarray:
        found = np.array(known.get(name, {}).get(part, ()), float)
        if found.shape != (width,):
            raise KeyError(name)
        return found

    usual = code(USUAL)
    asked = shares.get(part if part in PARTS else PARTS[0], {})
    return usual + sum(share * (code(name) - usual) for name, share in asked.items())


def codes_seen(motion: HandMotion, folder: Path, style: StyleConfig) -> np.ndarray:
    """Codes [2, codes, width] of how the hands of a motion move; those of a hand that plays nothing are the other's.

    What is played is seen in the motion, too. UserError when it is shorter than two seconds or nothing is played.
    """
    if motion.duration < _SHORTEST:
        told = f"A style cannot be seen in {motion.duration:.1f} s of motion: choose at least {_SHORTEST:g} s."
        raise UserError(told)
    encoder = load_encoder(folder)
    motion = at_30(motion)
    score = Score(notes_seen(motion), np.zeros((0, 2)))
    found: list[np.ndarray | None] = []
    for side in (LEFT, RIGHT):
        position, rotation = motion.hand(side)
        plays = (score.notes["hand"] == side).any()
        seen = seen_in(position, rotation.reshape(-1, 48), score, side)
        found.append(encode(encoder, segments(seen), style).mean(axis=0) if plays else None)
    left, right = found
    if left is None and right is None:
        raise UserError("No hand plays any key in this motion, so its style cannot be seen: choose another one.")
    return np.stack([right if left is None else left, left if right is None else right])


def told_codes(codes: np.ndarray) -> list[dict[str, list[float]]]:
    """Codes [2, codes, width] as `told["codes"]` and performers.json hold them: of each hand, part by part."""
    parts = PARTS if codes.shape[1] > 1 else ("all",)
    return [dict(zip(parts, np.asarray(hand, float).round(4).tolist(), strict=True)) for hand in codes]


def load_encoder(folder: Path) -> dict[str, np.ndarray]:
    """The style encoder's arrays by name; UserError when the folder has none."""
    path = folder / STYLE
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError as error:
        raise UserError(f"{folder} knows no styles ({STYLE} is missing): choose another model.") from error
    except UNREADABLE as error:
        raise UserError(f"{path} is damaged ({error}): get the model again.") from error


def encode(encoder: Mapping[str, np.ndarray], seen: np.ndarray, style: StyleConfig) -> np.ndarray:
    """What style_encoder.StyleEncoder answers: pieces [K, N, SEEN] -> means of their codes [K, codes, width]."""
    x = ((seen - encoder["offset"]) / encoder["scale"]).transpose(0, 2, 1)  # [K, SEEN, N]
    parts = [part_channels(part) for part in PARTS] if style.codes == "parts" else [list(range(MOTION))]
    played = range(SEEN - PLAYED, SEEN)
    codes = []
    for number, part in enumerate(parts):
        y = x[:, [*part, *(MOTION + c for c in part), *played]]
        for layer, dilation in _LAYERS:
            name = f"parts.{number}.layers.{layer}"
            y = _silu(_convolved(y, encoder[f"{name}.weight"], dilation) + encoder[f"{name}.bias"][:, None])
        y = np.concatenate([y.mean(axis=2), np.sqrt(y.var(axis=2) + 1e-5)], axis=1)
        first, last = (f"parts.{number}.out.{layer}" for layer in (0, 2))
        y = _silu(y @ encoder[f"{first}.weight"].T + encoder[f"{first}.bias"])
        codes.append((y @ encoder[f"{last}.weight"].T + encoder[f"{last}.bias"])[:, : style.width])
    return np.stack(codes, axis=1)


def _convolved(x: np.ndarray, weight: np.ndarray, dilation: int) -> np.ndarray:
    """x [K, C, N] by a kernel [O, C, 5] that reaches as far before as after; zeros beyond the ends."""
    taps, frames = weight.shape[2], x.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (taps // 2 * dilation,) * 2))
    return sum(weight[:, :, k] @ padded[:, :, k * dilation : k * dilation + frames] for k in range(taps))


def _silu(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-x))


def at_30(motion: HandMotion) -> HandMotion:
    """The motion at the model's rate, without its notes."""
    times = np.arange(int(motion.duration * FPS + 1e-6) + 1) / FPS
    hands = *motion.hand_at(LEFT, times), *motion.hand_at(RIGHT, times)
    return HandMotion(FPS, *hands, np.zeros(0, NOTE), np.zeros((0, 4)), np.zeros((0, 2)))


def notes_seen(motion: HandMotion) -> np.ndarray:
    """What the pads of a motion hold down, NOTE [M] with hands and fingers; loudness is not seen."""
    times = np.arange(len(motion.left_position)) / motion.fps
    found = []
    for side in (LEFT, RIGHT):
        pads = forward_kinematics(*motion.hand(side), left=side == LEFT)[1]  # [N, 5, 3]
        for finger in range(5):
            for onset, offset, pitch in metrics.presses_by_hands(times, pads[:, finger]):
                found.append((onset, offset, pitch, LOUDNESS, side, finger))
    onset, offset, pitch, velocity, side, finger = np.array(found, float).reshape(-1, 6).T
    return make_notes(onset, offset, pitch, velocity, side, finger)
