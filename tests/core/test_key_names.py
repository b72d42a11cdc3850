# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of key objects as piano models call them."""

import pytest

from s2c_blender.core.key_names import note_name, pitches_by_name, spans

ALL = list(range(21, 109))


@pytest.mark.parametrize(
    "style",
    [
        lambda i, p: note_name(p),
        lambda i, p: f"Piano_Key_{note_name(p)}",
        lambda i, p: f"Key{note_name(p)}",
        lambda i, p: f"key {note_name(p).replace('#', 's').lower()}.001",
        lambda i, p: f"Key_{note_name(p)}_mesh",
        lambda i, p: note_name(p - 12),  # middle C is C3
        lambda i, p: f"Key_{i + 1:02d}",
        lambda i, p: f"Key_{i}",
        lambda i, p: f"key.{i:03d}" if i else "key",
        lambda i, p: f"Key.{p:03d}",
        lambda i, p: f"Grand2.Key {p}",
    ],
)
def test_all_88_keys_are_understood(style):
    names = {style(i, p): p for i, p in enumerate(ALL)}
    assert len(names) == 88
    assert pitches_by_name(list(names)) == names


def test_flats():
    assert pitches_by_name(["Db4", "C4", "B♭3", "Eb_5", "Gflat4"]) == {
        "Db4": 61,
        "C4": 60,
        "B♭3": 58,
        "Eb_5": 75,
        "Gflat4": 66,
    }


def test_other_objects_are_no_keys():
    names = [f"Key_{note_name(p)}" for p in ALL] + ["Cube2", "Lid", "Pedal.001", "Bench"]
    assert len(pitches_by_name(names)) == 88


def test_a_number_used_twice_means_no_key():
    assert pitches_by_name(["White.001", "White.002", "Black.001", "Black.003"]) == {"White.002": 22, "Black.003": 23}


def test_part_of_a_keyboard_by_midi_number():
    assert pitches_by_name(["k60", "k61", "k64"]) == {"k60": 60, "k61": 61, "k64": 64}


def test_missing_keys_as_text():
    assert spans([21, 22, 23, 60, 62, 63]) == "A0-B0, C4, D4-D#4"
