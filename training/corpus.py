# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Music to play: the project's note corpus, or a user's own folder of MIDI and MusicXML files."""

import csv
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi
from s2c_blender.core.notes import UNKNOWN, Score, make_notes
from s2c_blender.errors import UserError

MIDI, MUSICXML = (".mid", ".midi"), (".musicxml", ".xml", ".mxl")
_HELD_OUT_OF_100 = 5  # files of a user's folder for each of valid and test


@dataclass(frozen=True)
class Piece:
    """One piece of music and what it may be used for."""

    name: str  # letters, digits, "-" and "_": it becomes a folder's name
    split: str  # train, valid or test
    score: Score


def read_pieces(folder: Path, on_warning: Callable[[str], None]) -> list[Piece]:
    """All pieces of a folder: the corpus where it holds corpus.npz, else every MIDI and MusicXML file in it.

    Files that cannot be read are told to `on_warning` and left out. UserError when no piece is left.
    """
    if (folder / "corpus.npz").is_file():
        return _read_corpus(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name one with MIDI or MusicXML files in it.")
    pieces = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in MIDI + MUSICXML):
        where = path.relative_to(folder).as_posix()
        try:
            score = read_midi(path, on_warning) if path.suffix.lower() in MIDI else _read_musicxml(path)
        except UserError as error:
            on_warning(str(error))
            continue
        pieces.append(Piece(_folder_name(where), _split_of(where), score))
    if not pieces:
        raise UserError(f"{folder} has no readable MIDI or MusicXML file; name a folder with music in it.")
    return pieces


def _read_musicxml(path: Path) -> Score:
    from .musicxml import read_musicxml  # here: partitura is needed for such files only

    return read_musicxml(path)


def _read_corpus(folder: Path) -> list[Piece]:
    """The corpus (its README describes the arrays); every second of its held-out pieces is for the test."""
    try:
        with np.load(folder / "corpus.npz", allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        with (folder / "pieces.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        hands = arrays["hand"].astype(int)
        hands[hands == 255] = UNKNOWN
        pedal = np.stack([arrays["pedal_on_s"], arrays["pedal_off_s"]], 1).astype(float)
        pieces, held_out = [], 0
        for row in rows:
            number = int(row["piece_id"])
            span = slice(*np.searchsorted(arrays["piece_id"], [number, number + 1]))
            steps = slice(*np.searchsorted(arrays["pedal_piece_id"], [number, number + 1]))
            fields = (arrays[name][span] for name in ("onset_s", "offset_s", "pitch", "velocity"))
            split = row["split"]
            if split == "valid":
                held_out += 1
                split = "valid" if held_out % 2 else "test"
            pieces.append(Piece(f"{number:04d}", split, Score(make_notes(*fields, hands[span]), pedal[steps])))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"The corpus in {folder} is damaged ({error}); copy it again.") from error
    return pieces


def _folder_name(where: str) -> str:
    """A file's path as one safe folder name; the check sum keeps apart what looks alike after that."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", Path(where).stem).strip("-")[:40]
    return f"{plain or 'piece'}-{zlib.crc32(where.encode()):08x}"


def _split_of(where: str) -> str:
    """By the file's name alone, so that more files in the folder change nothing for those that were there."""
    number = zlib.crc32(where.encode()) % 100
    if number < _HELD_OUT_OF_100:
        return "valid"
    return "test" if number < 2 * _HELD_OUT_OF_100 else "train"
