# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands and fingers: what a teacher would write into the score."""

from itertools import pairwise

import numpy as np
import pytest

from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, make_notes
from s2c_blender.pianist.fingering import finger_hand
from s2c_blender.pianist.hands import assign_hands
from tests.pianist.music import chords, line

SCALE = [0, 2, 4, 5, 7, 9, 11, 12]


def fingers(score, left=False):
    return [int(f) + 1 for f in finger_hand(score.notes, left)]


def test_scale_passes_the_thumb_under():
    up = fingers(line([60 + s for s in SCALE], 6))
    assert up[0] == 1 and up.count(1) >= 2
    for before, after in pairwise(up):
        assert after == before + 1 or after == 1  # upwards: next finger, or the thumb goes under
    assert 5 not in up[:-1]


def test_left_hand_mirrors():
    down = fingers(line([72 - s for s in (0, 1, 3, 5, 7, 8, 10, 12)], 6, side=LEFT), left=True)
    for before, after in pairwise(down):
        assert after == before + 1 or after == 1


def test_broken_octave_arpeggio_is_open():
    assert fingers(line([60, 64, 67, 72], 5))[-1] == 5 or fingers(line([60, 64, 67, 72], 5)).count(1) == 2


@pytest.mark.parametrize("left", [False, True])
def test_chords_never_cross_fingers(left):
    groups = [[60, 64, 67], [60, 65, 69], [59, 62, 67, 71], [60, 72], [61, 66, 70], [60, 62, 64, 65, 67]]
    score = chords(groups, 0.5, 0.4)
    found = finger_hand(score.notes, left)
    for i, group in enumerate(groups):
        mine = found[np.isclose(score.notes["onset"], 1 + 0.5 * i)]
        order = np.diff(mine)
        assert len(mine) == len(group) and ((order < 0).all() if left else (order > 0).all())


def test_octaves_take_the_outer_fingers():
    assert sorted(fingers(chords([[60, 72]], 1, 0.5)))[0] == 1
    assert sorted(fingers(chords([[60, 72]], 1, 0.5)))[1] >= 4


def test_written_fingers_stay():
    score = line([60, 62, 64], 3)
    score.notes["finger"][1] = 3
    assert finger_hand(score.notes, False)[1] == 3


def test_held_key_keeps_its_finger_busy():
    notes = make_notes([0.0, 0.3, 0.6, 0.9], [2.0, 0.5, 0.8, 1.1], [60, 64, 65, 67], [70] * 4, RIGHT)
    found = finger_hand(notes, False)
    assert found[0] not in found[1:]


def test_two_voices_far_apart_go_to_two_hands():
    score = chords([[40, 76], [43, 79], [41, 77], [36, 72]], 0.4, 0.35)
    assert assign_hands(score.notes).tolist() == [LEFT, RIGHT] * 4


def test_known_hands_stay():
    score = chords([[40, 76], [43, 79]], 0.4, 0.35)
    score.notes["hand"][:] = [RIGHT, UNKNOWN, UNKNOWN, LEFT]
    found = assign_hands(score.notes)
    assert found[0] == RIGHT and found[3] == LEFT


def test_a_models_opinion_counts():
    score = line([60, 60, 60, 60], 2, side=UNKNOWN)
    for hand in (LEFT, RIGHT):
        opinion = np.zeros((4, 2))
        opinion[:, 1 - hand] = 5.0
        assert (assign_hands(score.notes, opinion) == hand).all()


def test_hands_agree_with_labelled_music(shared_dir):
    import json

    right = total = 0
    for name in ("slow_chopin_nocturne_op27_no2", "fast_chopin_etude_op10_no8", "ragtime_pineapple_rag"):
        data = json.loads((shared_dir / "audio" / f"{name}.json").read_text())["notes"]
        notes = make_notes(*[[n[k] for n in data] for k in ("onset", "offset", "pitch", "velocity")])
        truth = make_notes(*[[n[k] for n in data] for k in ("onset", "offset", "pitch", "velocity", "hand")])["hand"]
        right += int((assign_hands(notes) == truth).sum())
        total += len(truth)
    print(f"hands as in the score: {right / total:.3f} of {total} notes")
    assert right / total > 0.85
