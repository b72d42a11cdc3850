# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Blender for farms without one, and something to play."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.audio.midi import write_midi
from s2c_blender.core.notes import Score, make_notes


@pytest.fixture
def blender(tmp_path: Path) -> Path:
    """An executable that does what the templates want of Blender, by its module."""
    pytest.importorskip("bpy")
    path = tmp_path / "blender"
    script = Path(__file__).with_name("as_blender.py")
    words = shlex.join([sys.executable, str(script)])
    path.write_text(f'#!/bin/sh\nAS_BLENDER={shlex.quote(str(path))} exec {words} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Three notes of each hand, as MIDI."""
    onset = np.arange(3) * 0.2
    notes = make_notes(np.tile(onset, 2), np.tile(onset, 2) + 0.15, [60, 62, 64, 48, 47, 45], 80)
    write_midi(Score(notes), tmp_path / "song.mid")
    return tmp_path / "song.mid"
