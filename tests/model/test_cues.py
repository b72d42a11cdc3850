# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Musical cues: what each tells about small music, and that windows agree."""

import numpy as np
import pytest

from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.model.cues import AHEAD, CUES, EVERY, NAMES, OF_HAND, USUAL_PITCH, cues

TRIAD = (60, 64, 67)


def play(times, pitches=72, velocities=64, lasts=0.2, hands=RIGHT) -> Score:
    """Notes of which all but `times` may be single numbers."""
    times, *others = np.broadcast_arrays(times, lasts, pitches, velocities, hands)
    return Score(make_notes(times, times + others[0], *others[1:]))


def chords(times, chords, lasts=0.2, hands=RIGHT) -> Score:
    """One chord at each of the times."""
    return play(np.repeat(times, [len(c) for c in chords]), np.concatenate(chords), lasts=lasts, hands=hands)


def cue(score: Score, name: str, frames: int = 300) -> np.ndarray:
    return cues(score, 0, frames)[:, NAMES.index(name)]


def dense(seconds: float = 40.0, seed: int = 3) -> Score:
    """Twelve notes a second of both hands, no music."""
    rng = np.random.default_rng(seed)
    count = int(12 * seconds)
    times, hands = np.sort(rng.uniform(0, seconds, count)), rng.integers(0, 2, count)
    pitches = np.where(hands == LEFT, 48, 72) + rng.integers(-12, 12, count)
    return play(times, pitches, rng.integers(30, 110, count), rng.uniform(0.05, 6.0, count) ** 2 / 6, hands)


def test_every_cue_has_a_name_and_silence_has_none():
    assert len(NAMES) == len(set(NAMES)) == CUES == 16
    for score in (Score(make_notes([], [], [], [])), play([100.0])):
        silence = cues(score, -30, 240)
        assert (silence.shape, silence.dtype) == ((240, CUES), np.float32)
        assert not silence.any()
    assert cues(play([1.0]), 0, 0).shape == (0, CUES)


def test_onsets_are_bells_of_their_velocity():
    strength = cue(play([1.0, 1.0, 2.01], 72, [127, 64, 100]), "right onset")
    assert strength[30] == pytest.approx((127 + 64) / 127, abs=1e-3)
    np.testing.assert_allclose(strength[28:33] / strength[30], np.exp(-0.5 * (np.arange(-2, 3) / 1.5) ** 2), atol=1e-3)
    assert strength[60] > strength[61]  # 2.01 s is nearer to its frame 60
    assert not strength[40:50].any()


def test_density_counts_onsets_a_second():
    few, usual, many = (cue(play(np.arange(0, 10, 1 / rate)), "right density")[150] for rate in (2, 4, 10))
    assert usual == pytest.approx(0, abs=0.05)
    assert many - usual == pytest.approx(2.0, abs=0.1)
    assert usual - few == pytest.approx(2 / 3, abs=0.1)


def test_loudness_and_its_trend_follow_velocity():
    times = np.arange(0, 10, 0.2)
    loud = cue(play(times, 72, np.where(times < 5, 48, 80)), "right loudness")
    np.testing.assert_allclose(loud[[60, 240]], [-1, 1], atol=0.05)
    assert (np.diff(loud[120:180]) >= -1e-4).all()
    trend = cue(play(times, 72, np.where(times < 5, 48, 80)), "trend")
    assert np.abs(trend[[45, 255]]).max() < 0.05
    assert trend.argmax() == pytest.approx(150, abs=6)
    assert 2.0 < trend.max() < 4.0
    rising = cue(play(times, 72, 40 + 5 * times.astype(int)), "trend")
    np.testing.assert_allclose(rising[100:200], 5 / 4, atol=0.15)  # 5 louder each second
    np.testing.assert_allclose(cue(play(times, 72, 90 - 5 * times.astype(int)), "trend")[100:200], -5 / 4, atol=0.15)


def test_register_rises_with_a_progression():
    times = np.arange(0.5, 10, 0.5)
    rising = chords(times, [tuple(p + i for p in TRIAD) for i in range(len(times))])
    register = cue(rising, "right register")
    assert (np.diff(register[15:285]) > 0).all()
    assert register[150] == pytest.approx((np.mean(TRIAD) + 9 - USUAL_PITCH[RIGHT]) / 8, abs=0.05)


@pytest.mark.parametrize(("lasts", "expected"), [(0.1, -2.0), (0.2, 0.0), (0.28, 0.97), (1.5, 4.0)])
def test_articulation_tells_staccato_from_legato(lasts: float, expected: float):
    """Chords too, whose notes are struck a little apart: they are not played staccato for that."""
    times = np.arange(0.5, 10, 0.2)
    score = play(np.sort(np.concatenate([times, times + 0.01])), lasts=lasts)
    assert cue(score, "right articulation")[150] == pytest.approx(expected, abs=0.2)


def test_tempo_is_in_octaves_and_a_chord_is_one_onset():
    slow, usual, fast = (
        cue(chords(np.arange(0, 10, 1 / rate), [TRIAD] * (10 * rate)), "tempo")[150] for rate in (2, 4, 8)
    )
    np.testing.assert_allclose([slow, usual, fast], [-1, 0, 1], atol=0.06)


@pytest.mark.parametrize("period", [0.35, 0.4, 0.5, 0.65])
def test_the_beat_is_that_of_metronomic_eighths(period: float):
    times = np.arange(0.2, 12, period)
    beat = cues(play(times, hands=UNKNOWN), 90, 200)[:, [NAMES.index("beat cos"), NAMES.index("beat sin")]]
    strength, phase = np.hypot(*beat.T), np.unwrap(np.arctan2(beat[:, 1], beat[:, 0]))
    assert (strength > 0.65).all()
    assert (strength <= 1).all()
    assert (phase[-1] - phase[0]) / (2 * np.pi) == pytest.approx(199 / 30 / period, abs=0.05)
    expected = 2 * np.pi * (3 + np.arange(200) / 30 - 0.2) / period
    off = np.angle(np.exp(1j * (phase - expected)))
    assert np.abs(off).max() < 0.15  # on the beats 0, and between them in proportion


def test_the_beat_is_on_the_accents():
    times = 1 + np.arange(40) / 4
    beat = cue(play(times, velocities=np.where(np.arange(40) % 2, 50, 100)), "beat cos")
    assert (beat[120:240:15] > 0.2).all()  # 4.0 s, 4.5 s ...
    assert (beat[127:240:15] < -0.2).all()
    weak = cue(play(times), "beat cos")
    assert np.abs(weak[120:240]).max() < 0.1  # without accents, four notes a second have no beat in the range


def test_consonance_ranks_chords():
    def of(*pitches: int) -> float:
        return cue(chords(np.arange(0, 10, 0.5), [pitches] * 20, lasts=0.5), "consonance")[150]

    assert of(60, 61, 62) < of(60, 62, 64) < of(60, 63, 66) < of(60, 64, 67) < of(60, 67)
    assert of(60, 64, 67) == pytest.approx(((0.594 + 0.386 + 1.24) / 3 - 0.25) / 0.25, abs=0.1)
    assert of(60, 64, 67) == pytest.approx(of(52, 67, 84), abs=1e-6)  # inversions and octaves
    assert of(60, 72) == of(60) == 0


def test_a_held_chord_still_sounds():
    held, short = (cue(chords([2.0], [(60, 61)], lasts=lasts), "consonance") for lasts in (2.0, 0.2))
    assert held[110] < -1
    assert not short[132:].any()
    assert not held[200:].any()


def test_major_is_told_from_minor():
    def mode(third: int) -> np.ndarray:
        bars = [(0, third, 7), (5, 5 + third, 12), (7, 11, 14), (0, third, 7)] * 3
        return cue(chords(np.arange(0.5, 10, 0.8), [[60 + p for p in bar] for bar in bars], lasts=0.8), "mode")

    major, minor = mode(4), mode(3)
    assert (major[60:240] > 0.5).all()
    assert (minor[60:240] < -0.5).all()


def test_windows_are_cut_from_the_whole():
    score = dense()
    whole = cues(score, 0, 1200)
    assert np.isfinite(whole).all()
    assert np.abs(whole[150:1050]).max() < 5
    for first, frames in ((0, 240), (400, 240), (403, 61), (1100, 100), (599, 1)):
        np.testing.assert_allclose(cues(score, first, frames), whole[first : first + frames], atol=1e-5)
        near = score.notes["onset"]
        near = (near > first / 30 - 5) & (near < (first + frames) / 30 + 5)
        np.testing.assert_allclose(
            cues(Score(score.notes[near]), first, frames), whole[first : first + frames], atol=1e-5
        )
    for first in (400, 555):  # times of a part count from where it begins
        part = score.cut(first / 30 - 5, 18.0)
        np.testing.assert_allclose(cues(part, 150, 240), whole[first : first + 240], atol=1e-5)


def test_moved_music_has_moved_cues():
    score = dense()
    still = cues(score, 300, 240)
    for frames in (EVERY * 9, -EVERY * 20, EVERY * 20000, 7):
        notes = score.notes.copy()
        notes["onset"] += frames / 30
        notes["offset"] += frames / 30
        moved = cues(Score(notes), 300 + frames, 240)
        np.testing.assert_allclose(moved[:, [0, OF_HAND]], still[:, [0, OF_HAND]], atol=1e-5)
        if frames % EVERY == 0:
            np.testing.assert_allclose(moved, still, atol=1e-5)
        else:
            assert np.abs(moved - still).mean() < 0.03  # straight between other frames


def test_only_what_is_near_counts():
    """A note more than 4 s away, before or after, changes nothing; cues fade in and out without steps."""
    for name in NAMES:
        assert np.abs(np.diff(cue(play([5.0, 5.0], [72, 76], 110), name))).max() < (1.1 if "onset" in name else 0.5)
    score = dense(10)
    before = cues(score, 0, 600)
    for onset in (5.0, 10.0, 15.02):
        one = play([onset], 100, 127, 1.0, LEFT).notes
        notes = np.concatenate([score.notes, one])
        after = cues(Score(notes[np.argsort(notes["onset"], kind="stable")]), 0, 600)
        away = np.abs(np.arange(600) / 30 - onset)
        np.testing.assert_allclose(after[away > AHEAD], before[away > AHEAD], atol=1e-6)
        assert (np.abs(after - before).max(axis=1)[away < 3] > 1e-3).all()


def test_hands_that_change_places_change_their_cues():
    """The keyboard mirrored between the hands' usual pitches: columns swap, registers turn round."""
    score = dense()
    notes = score.notes.copy()
    notes["hand"] = 1 - notes["hand"]
    notes["pitch"] = sum(USUAL_PITCH) - notes["pitch"]
    here, there = (cues(Score(n), 300, 240) for n in (score.notes, notes))
    for name in NAMES[:OF_HAND]:
        column, other = NAMES.index(name), NAMES.index(name.replace("left", "right"))
        sign = -1 if "register" in name else 1
        np.testing.assert_allclose(there[:, [column, other]], sign * here[:, [other, column]], atol=1e-5)
    np.testing.assert_allclose(there[:, 2 * OF_HAND : -1], here[:, 2 * OF_HAND : -1], atol=1e-5)  # but for the mode


def test_hands_hear_only_themselves():
    left, nobody = (cues(play(np.arange(0, 10, 0.3), 50, 90, hands=hand), 100, 100) for hand in (LEFT, UNKNOWN))
    assert left[:, :OF_HAND].any(axis=0).all()
    assert not left[:, OF_HAND : 2 * OF_HAND].any()
    assert not nobody[:, : 2 * OF_HAND].any()
    np.testing.assert_array_equal(left[:, 2 * OF_HAND :], nobody[:, 2 * OF_HAND :])
