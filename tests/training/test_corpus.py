# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces from a corpus and from a user's folder of MIDI and MusicXML files."""

import csv
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from s2c_blender.audio.midi import write_midi
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.errors import UserError
from tests.conftest import REPO
from tests.pianist.music import line
from training.corpus import read_pieces
from training.musicxml import read_musicxml

_NOTE = "<note><pitch><step>{0}</step><octave>{1}</octave></pitch><duration>{2}</duration>{4}<staff>{3}</staff></note>"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="4.0"><part-list>{0}</part-list>{1}</score-partwise>'
)


def _part(name: str, content: str, staves: int) -> str:
    """One part: 4/4, two divisions a quarter."""
    attributes = (
        f"<divisions>2</divisions><time><beats>4</beats><beat-type>4</beat-type></time><staves>{staves}</staves>"
    )
    return f'<part id="{name}"><measure number="1"><attributes>{attributes}</attributes>{content}</measure></part>'


def _musicxml(*parts: tuple[str, int]) -> str:
    """A score of parts (content of the first bar, staves)."""
    names = [f"P{i}" for i in range(len(parts))]
    head = "".join(f'<score-part id="{n}"><part-name>{n}</part-name></score-part>' for n in names)
    return _HEAD.format(head, "".join(_part(n, *p) for n, p in zip(names, parts, strict=True)))


TEMPO = '<direction><sound tempo="90"/></direction>'
FORTE = "<direction><direction-type><dynamics><f/></dynamics></direction-type><staff>1</staff></direction>"
TIED = _NOTE.format("D", 5, 2, 1, '<tie type="start"/>') + _NOTE.format("D", 5, 2, 1, '<tie type="stop"/>')
PIANO = (
    TEMPO
    + _NOTE.format("C", 5, 4, 1, "")
    + FORTE
    + TIED
    + "<backup><duration>8</duration></backup>"
    + _NOTE.format("C", 3, 8, 2, "")
)


def test_musicxml_gives_hands_tempo_ties_and_loudness(tmp_path):
    path = tmp_path / "piece.musicxml"
    path.write_text(_musicxml((_NOTE.format("A", 4, 8, 1, ""), 1), (PIANO, 2)))  # a song: voice and piano
    notes = read_musicxml(path).notes
    assert list(notes["pitch"]) == [48, 72, 74] and list(notes["hand"]) == [LEFT, RIGHT, RIGHT]
    assert np.allclose(notes["onset"], [0, 0, 4 / 3]) and np.allclose(notes["offset"], [8 / 3, 4 / 3, 8 / 3])
    assert notes["velocity"][2] > notes["velocity"][1]


def test_musicxml_follows_a_change_of_tempo(tmp_path):
    path = tmp_path / "piece.xml"
    faster = '<direction><sound tempo="180"/></direction>'
    notes = (_NOTE.format("C", 4, 2, 1, ""), _NOTE.format("E", 4, 2, 1, ""))
    path.write_text(_musicxml((TEMPO + notes[0] + faster + notes[1] + notes[0], 1)))
    found = read_musicxml(path).notes
    assert np.allclose(found["onset"], [0, 2 / 3, 1]) and (found["hand"] == UNKNOWN).all()


def test_two_parts_are_two_hands_and_a_zip_is_opened(tmp_path):
    path = tmp_path / "piece.mxl"
    content = _musicxml((_NOTE.format("C", 5, 4, 1, ""), 1), (_NOTE.format("C", 3, 4, 1, ""), 1))
    with zipfile.ZipFile(path, "w") as archive:
        where = '<container><rootfiles><rootfile full-path="score.xml"/></rootfiles></container>'
        archive.writestr("META-INF/container.xml", where)
        archive.writestr("score.xml", content)
    notes = read_musicxml(path).notes
    assert dict(zip(notes["pitch"], notes["hand"], strict=True)) == {72: RIGHT, 48: LEFT}


@pytest.mark.parametrize("content", ["", "no score", _musicxml()[:200], _musicxml((TEMPO, 1))])
def test_broken_musicxml_is_named(tmp_path, content):
    path = tmp_path / "broken.musicxml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"broken\.musicxml"):
        read_musicxml(path)


def test_a_folder_gives_what_can_be_read_and_names_the_rest(tmp_path):
    (tmp_path / "more").mkdir()
    write_midi(line([60, 62], 2), tmp_path / "Präludium 1.mid")
    (tmp_path / "more" / "piece.musicxml").write_text(_musicxml((PIANO, 2)))
    (tmp_path / "more" / "broken.mid").write_bytes(b"MThd")
    (tmp_path / "cover.jpg").write_bytes(b"jpg")
    told = []
    pieces = read_pieces(tmp_path, told.append)
    assert len(pieces) == 2 and len(told) == 1 and "broken.mid" in told[0]
    assert all(set(piece.name) <= set("abcdefghijklmnopqrstuvwxyzPrludim0123456789-_") for piece in pieces)
    assert len({piece.name for piece in pieces}) == 2


def test_a_folder_without_music_says_so(tmp_path):
    with pytest.raises(UserError, match="no readable MIDI or MusicXML"):
        read_pieces(tmp_path, print)
    with pytest.raises(UserError, match="is not a folder"):
        read_pieces(tmp_path / "absent", print)


def test_about_a_tenth_of_a_folder_is_held_out_whatever_else_is_in_it(tmp_path):
    for i in range(150):
        write_midi(line([60], 2), tmp_path / f"{i}.mid")
    splits = {piece.name: piece.split for piece in read_pieces(tmp_path, print)}
    for split in ("valid", "test"):
        assert 1 <= list(splits.values()).count(split) <= 20
    for i in range(75):
        (tmp_path / f"{i}.mid").unlink()
    assert {piece.name: piece.split for piece in read_pieces(tmp_path, print)}.items() <= splits.items()


@pytest.fixture
def corpus(tmp_path):
    """Five pieces of two notes, two of them held out."""
    splits = ["train", "valid", "train", "valid", "train"]
    with (tmp_path / "pieces.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["piece_id", "split"])
        writer.writerows(enumerate(splits))
    notes = make_notes(np.tile([0.0, 0.5], 5), np.tile([0.4, 0.9], 5), range(60, 70), [70] * 10)
    notes["pitch"] = np.arange(60, 70)
    arrays = {"piece_id": np.repeat(np.arange(5, dtype=np.int32), 2), "pitch": notes["pitch"].astype(np.uint8)}
    arrays |= {"onset_s": np.tile(np.float32([0, 0.5]), 5), "offset_s": np.tile(np.float32([0.4, 0.9]), 5)}
    arrays |= {"velocity": np.full(10, 70, np.uint8), "hand": np.tile(np.uint8([0, 1]), 5)}
    arrays["hand"][4:6] = 255
    arrays |= {"pedal_piece_id": np.int32([1]), "pedal_on_s": np.float32([0.1]), "pedal_off_s": np.float32([0.8])}
    np.savez(tmp_path / "corpus.npz", **arrays)
    return tmp_path


def test_the_corpus_gives_splits_hands_and_pedal(corpus):
    pieces = read_pieces(corpus, print)
    assert [piece.split for piece in pieces] == ["train", "valid", "train", "test", "train"]
    assert [list(piece.score.notes["pitch"]) for piece in pieces] == [[60 + 2 * i, 61 + 2 * i] for i in range(5)]
    assert list(pieces[0].score.notes["hand"]) == [LEFT, RIGHT] and (pieces[2].score.notes["hand"] == UNKNOWN).all()
    assert [len(piece.score.pedal) for piece in pieces] == [0, 1, 0, 0, 0]
    assert isinstance(pieces[0].score, Score)


def test_a_damaged_corpus_is_named(corpus):
    (corpus / "corpus.npz").write_bytes((corpus / "corpus.npz").read_bytes()[:300])
    with pytest.raises(UserError, match="is damaged"):
        read_pieces(corpus, print)


def test_midi_needs_no_reader_of_scores(tmp_path):
    write_midi(line([60, 62], 2), tmp_path / "a.mid")
    code = "import pathlib, sys; from training.corpus import read_pieces; read_pieces(pathlib.Path(sys.argv[1]), print)"
    code += "; sys.exit('partitura' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=REPO, check=True)


def test_the_whole_corpus(shared_dir):
    if not (shared_dir / "corpus" / "corpus.npz").is_file():
        pytest.skip("needs shared/corpus")
    pieces = read_pieces(shared_dir / "corpus", print)
    count = {split: sum(piece.split == split for piece in pieces) for split in ("train", "valid", "test")}
    print(count, f"{sum(piece.score.end for piece in pieces) / 3600:.1f} h")
    assert count["train"] > 1000 and abs(count["valid"] - count["test"]) <= 1
    assert all((np.diff(piece.score.notes["onset"]) >= 0).all() for piece in pieces)
