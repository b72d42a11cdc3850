# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which key an object's name means: "A0", "Key_C#4", "Db4", "key.001", "Key_88", "Key.060"."""

import re
from collections import Counter
from collections.abc import Sequence

from .keyboard import HIGHEST, LOWEST

_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"": 0, "#": 1, "♯": 1, "s": 1, "S": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
# A note's name stands alone, or is a capital after a small letter ("KeyC4"): the "e2" of "Cube2" is none.
_NOTE = re.compile(
    r"((?<![A-Za-z0-9])[A-Ga-g]|(?<=[a-z])[A-G])[ _]?(#|♯|sharp|s|S|♭|flat|b)?[ _]?(-1|\d)(?![0-9A-Za-z])"
)
_COPY = re.compile(r"\.\d{3,}$")  # Blender's own ".001" after a name
_NUMBER = re.compile(r"\d+")
_OCTAVE = 12


def pitches_by_note(names: Sequence[str]) -> dict[str, int]:
    """MIDI pitches of the names that hold a note's name, the octaves counted so that all lie on the keyboard.

    With middle C called C3, as some makers do, the lowest key is A-1 and the highest C7; both ways are understood.
    """
    found = {name: pitch for name in names if (pitch := _note(name)) is not None}
    for shift in (0, _OCTAVE, -_OCTAVE):
        if all(LOWEST <= pitch + shift <= HIGHEST for pitch in found.values()):
            return {name: pitch + shift for name, pitch in found.items()}
    return {name: pitch for name, pitch in found.items() if LOWEST <= pitch <= HIGHEST}


def _note(name: str) -> int | None:
    """The note's number in a name; the last one, because what a model is called comes first."""
    parts = _NOTE.findall(_COPY.sub("", name))
    if not parts:
        return None
    letter, sign, octave = parts[-1]
    return _CLASSES[letter.upper()] + _SIGNS[sign] + _OCTAVE * (int(octave) + 1)


def pitches_by_number(names: Sequence[str]) -> dict[str, int]:
    """MIDI pitches of numbered names. The last number of each name counts.

    1..88 and 0..87 are the keys from A0 on, where a name without a number is the 0 ("key", "key.001", ...); numbers
    from 21 on, or above 88, are MIDI's. Names that share a number are left out, as are numbers off the keyboard.
    """
    numbers = {name: int(digits[-1]) for name in names if (digits := _NUMBER.findall(name))}
    bare = [name for name in names if name not in numbers]
    if numbers and len(bare) == 1 and min(numbers.values()) == 1 and max(numbers.values()) <= HIGHEST - LOWEST:
        numbers[bare[0]] = 0
    if not numbers:
        return {}
    low, high = min(numbers.values()), max(numbers.values())
    first = 0 if low == 0 else 1
    shift = 0 if low >= LOWEST or high > HIGHEST - LOWEST + first else LOWEST - first
    counts = Counter(numbers.values())
    return {
        name: number + shift
        for name, number in numbers.items()
        if counts[number] == 1 and LOWEST <= number + shift <= HIGHEST
    }


def pitches_by_name(names: Sequence[str]) -> dict[str, int]:
    """By note names where most names hold one, else by number; names that mean no key are left out."""
    noted, numbered = pitches_by_note(names), pitches_by_number(names)
    return noted if noted and 2 * len(noted) >= len(numbered) else numbered


def note_name(pitch: int) -> str:
    """60 -> C4."""
    return f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[pitch % 12]}{pitch // 12 - 1}"


def spans(pitches: Sequence[int]) -> str:
    """Keys as a short text: "A0-B0, C4"."""
    parts, run = [], []
    for pitch in [*sorted(set(pitches)), None]:
        if run and (pitch is None or pitch != run[-1] + 1):
            first, last = note_name(run[0]), note_name(run[-1])
            parts.append(first if first == last else f"{first}-{last}")
            run = []
        run.append(pitch)
    return ", ".join(parts)
