# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI files of all kinds to notes, and back."""

import mido
import numpy as np
import pytest

from s2c_blender.audio.midi import is_midi, read_midi, write_midi
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.errors import UserError


def on(pitch, time=0, velocity=64, channel=0):
    return mido.Message("note_on", note=pitch, velocity=velocity, time=time, channel=channel)


def off(pitch, time=0, channel=0):
    return mido.Message("note_off", note=pitch, time=time, channel=channel)


def pedal(value, time=0):
    return mido.Message("control_change", control=64, value=value, time=time)


def named(name):
    return mido.MetaMessage("track_name", name=name)


@pytest.fixture
def midi(tmp_path):
    """Write tracks (lists of messages, 480 ticks a beat, 120 beats a minute unless they say else) to a file."""

    def write(*tracks, ticks=480, kind=1):
        path = tmp_path / "song.mid"
        file = mido.MidiFile(type=kind, ticks_per_beat=ticks)
        file.tracks += [mido.MidiTrack(track) for track in tracks]
        file.save(path)
        return path

    return write


def random_score(seed: int, hands=(LEFT, RIGHT)) -> Score:
    rng = np.random.default_rng(seed)
    rows = []
    for pitch in rng.choice(np.arange(21, 109), 30, replace=False):
        times = np.cumsum(rng.uniform(0.05, 2.0, 12))  # strokes and releases in turn
        hand = rng.choice(hands)
        rows += [
            (a, b, pitch, rng.integers(1, 128), hand, UNKNOWN) for a, b in zip(times[::2], times[1::2], strict=True)
        ]
    spans = np.cumsum(rng.uniform(0.05, 1.0, 10)).reshape(-1, 2)
    return Score(make_notes(*zip(*rows, strict=True)), spans)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_read(tmp_path, seed):
    score = random_score(seed, hands=(LEFT, RIGHT) if seed else (UNKNOWN,))
    write_midi(score, tmp_path / "a.mid")
    back = read_midi(tmp_path / "a.mid")
    for field in ("pitch", "velocity", "hand"):
        assert (back.notes[field] == score.notes[field]).all()
    for field in ("onset", "offset"):
        assert np.abs(back.notes[field] - score.notes[field]).max() < 1e-4
    assert np.abs(back.pedal - score.pedal).max() < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["a.mid"]


def test_running_status_and_silent_note_on(tmp_path):
    events = bytes([0, 0x90, 60, 80, 96, 60, 0, 0, 62, 90, 96, 62, 0])  # one status byte for four messages
    track = events + bytes([0, 0xFF, 0x2F, 0])
    data = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 0, 96]) + b"MTrk" + len(track).to_bytes(4, "big") + track
    (tmp_path / "a.mid").write_bytes(data)
    notes = read_midi(tmp_path / "a.mid").notes
    assert notes["pitch"].tolist() == [60, 62]
    assert notes["velocity"].tolist() == [80, 90]
    assert np.allclose(notes["onset"], [0, 0.5])
    assert np.allclose(notes["offset"], [0.5, 1.0])


def test_tempo_map_of_another_track(midi):
    tempo = [mido.MetaMessage("set_tempo", tempo=1_000_000), mido.MetaMessage("set_tempo", tempo=250_000, time=960)]
    notes = read_midi(midi(tempo, [on(60, 480), off(60, 960)])).notes
    assert np.allclose(notes["onset"], [1.0])  # one beat of 1 s
    assert np.allclose(notes["offset"], [2.25])  # another, then one of 0.25 s


def test_smpte_time(midi):
    path = midi([on(60, 1000), off(60, 500)])
    data = bytearray(path.read_bytes())
    data[12:14] = bytes([256 - 25, 40])  # 25 frames a second, 40 ticks a frame: milliseconds
    path.write_bytes(data)
    note = read_midi(path).notes[0]
    assert (note["onset"], note["offset"]) == (1.0, 1.5)


def test_overlapping_strokes_of_one_key(midi):
    """First struck, first released; and a key struck again was up before."""
    notes = read_midi(midi([on(60), on(60, 480), off(60, 480), off(60, 480)])).notes
    assert np.allclose(notes["onset"], [0, 0.5])
    assert np.allclose(notes["offset"], [0.5, 1.5])


def test_unison_of_two_parts_is_one_stroke(midi):
    notes = read_midi(midi([on(60), off(60, 480)], [on(60, 2, velocity=90), off(60, 960)])).notes
    assert len(notes) == 1
    assert notes["velocity"][0] == 90
    assert notes["offset"][0] == pytest.approx(962 / 960)


def test_notes_without_length_or_release(midi):
    notes = read_midi(midi([on(60), off(60), on(64), on(67, 480), off(67, 480)])).notes
    lengths = dict(zip(notes["pitch"].tolist(), (notes["offset"] - notes["onset"]).tolist(), strict=True))
    assert 0 < lengths[60] < 0.05
    assert lengths[64] == pytest.approx(1.0)


def test_half_pedal_and_offsets_without_it(midi):
    events = [pedal(63), on(60, 480), off(60, 480), pedal(64), pedal(100, 240), pedal(127, 240), pedal(20, 480)]
    score = read_midi(midi([*events, pedal(90, 480), on(62), off(62, 480)]))
    assert np.allclose(score.pedal, [[1.0, 2.0], [2.5, 3.0]])
    assert np.allclose(score.notes["offset"], [1.0, 3.0])


def test_drums_and_other_keys_are_left_out(midi):
    said = []
    path = midi([on(60), on(36, channel=9), on(5), off(60, 480), off(36, channel=9), off(5), on(120), off(120, 10)])
    assert read_midi(path, said.append).notes["pitch"].tolist() == [60]
    assert len(said) == 1
    assert "2 notes" in said[0]


def part(*pitches, name="", channel=0):
    messages = [named(name)] if name else []
    for pitch in pitches:
        messages += [on(pitch, channel=channel), off(pitch, 480, channel=channel)]
    return messages


@pytest.mark.parametrize(
    ("tracks", "hands"),
    [
        ([part(40, 45), part(70, 75)], {40: LEFT, 45: LEFT, 70: RIGHT, 75: RIGHT}),
        ([part(70, 75), part(40, 45)], {40: LEFT, 45: LEFT, 70: RIGHT, 75: RIGHT}),
        ([part(70, name="Piano left"), part(50, name="Piano right")], {70: LEFT, 50: RIGHT}),
        ([part(70, name="L.H."), part(50, name="R.H.")], {70: LEFT, 50: RIGHT}),
        ([part(72, name="RH 1"), part(67, name="RH 2"), part(40, name="LH")], {72: RIGHT, 67: RIGHT, 40: LEFT}),
        ([part(40) + part(70, channel=1)], {40: LEFT, 70: RIGHT}),
        ([part(40), part(60), part(80)], {40: UNKNOWN, 60: UNKNOWN, 80: UNKNOWN}),
        ([part(60), part(62)], {60: UNKNOWN, 62: UNKNOWN}),
        ([part(40, 70)], {40: UNKNOWN, 70: UNKNOWN}),
        ([part(40, 70, name="Right hand")], {40: RIGHT, 70: RIGHT}),
        ([part(40, 70, name="Piano L.H. 1")], {40: LEFT, 70: LEFT}),
        ([part(40, 70, name="Left Alone")], {40: UNKNOWN, 70: UNKNOWN}),  # a song's title
        ([part(72, name="RH 1"), part(67, name="RH 2")], {72: RIGHT, 67: RIGHT}),
    ],
)
def test_hands(midi, tracks, hands):
    notes = read_midi(midi(*tracks)).notes
    assert dict(zip(notes["pitch"].tolist(), notes["hand"].tolist(), strict=True)) == hands


def test_format_0_and_1_agree(midi):
    messages = [*part(60, 64, 67), pedal(127, 10), pedal(0, 100)]
    one, zero = read_midi(midi(messages)), read_midi(midi(messages, kind=0))
    assert (one.notes == zero.notes).all()
    assert (one.pedal == zero.pedal).all()


def test_broken_files_are_told_in_a_sentence(tmp_path, repo):
    """Cut off and scrambled in two hundred ways, a file gives notes or a UserError, never another error."""
    whole = (repo / "demo" / "fur_elise.mid").read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for i in range(200):
        data = bytearray(whole[: rng.integers(1, len(whole))] if i % 2 else whole)
        for _ in range(0 if i % 2 else 20):
            data[rng.integers(0, len(data))] = rng.integers(0, 256)
        (tmp_path / "broken.mid").write_bytes(data)
        try:
            assert len(read_midi(tmp_path / "broken.mid").notes)
        except UserError as error:
            refused += 1
            assert str(error).startswith("broken.mid")
    assert refused > 50


def test_unusable_files(tmp_path, midi):
    (tmp_path / "empty.mid").touch()
    (tmp_path / "text.mid").write_text("no music")
    cases = {
        tmp_path / "missing.mid": "does not exist",
        tmp_path: "is a folder",
        tmp_path / "empty.mid": "is empty",
        tmp_path / "text.mid": "not a readable MIDI file",
        midi([pedal(127)]): "no notes",
    }
    for path, words in cases.items():
        with pytest.raises(UserError, match=words):
            read_midi(path)
    with pytest.raises(UserError, match="format 2"):
        read_midi(midi(part(60), kind=2))


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "a.mid").write_bytes(b"before")
    monkeypatch.setattr(mido.MidiFile, "save", lambda self, file: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_midi(random_score(1), tmp_path / "a.mid")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mid"]
    assert (tmp_path / "a.mid").read_bytes() == b"before"


def test_is_midi(tmp_path, midi):
    other = tmp_path / "no_suffix"
    other.write_bytes(midi(part(60)).read_bytes())
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert is_midi("song.MID")
    assert is_midi(other)
    assert not is_midi(tmp_path / "a.wav")
    assert not is_midi(tmp_path / "missing")
