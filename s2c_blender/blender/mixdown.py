# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strip that Blender plays at another speed, mixed to a file: only Blender knows how its retiming sounds."""

from __future__ import annotations  # bpy.types.Strip is called Sequence before 4.4

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

from ..errors import UserError

_WAIT = 20.0  # s without a longer file before an asynchronous mixdown (5.2) counts as failed


def mix_strip(strip: bpy.types.Strip, scene: bpy.types.Scene, first: float, last: float, folder: Path) -> Path:
    """Mix the strip alone over the frames [first, last) to a FLAC file in `folder`."""
    path = Path(folder) / f"mixdown-{os.getpid()}.wav"
    path.unlink(missing_ok=True)
    seconds = (last - first) * scene.render.fps_base / scene.render.fps
    with _alone(strip, scene, int(first), int(last) - 1), bpy.context.temp_override(scene=scene):
        try:
            bpy.ops.sound.mixdown(filepath=str(path), container="WAV", codec="PCM", format="S16")
            _wait_for(path, seconds)
        except RuntimeError as error:
            raise UserError(
                f'The retimed strip "{strip.name}" could not be mixed down: '
                "mix it down with Render > Render Audio and use that file."
            ) from error
    return path


def _wait_for(path: Path, seconds: float) -> None:
    """Until the file holds `seconds` of 16-bit sound; Blender 5.2 mixes in the background."""
    size, changed = -1, time.monotonic()
    while True:
        now = path.stat().st_size if path.exists() else -1
        if now != size:
            size, changed = now, time.monotonic()
        if size > 44 and _wav_seconds(path) >= seconds - 0.01:
            return
        if time.monotonic() - changed > _WAIT:
            raise RuntimeError("the mixdown did not finish")
        time.sleep(0.05)


def _wav_seconds(path: Path) -> float:
    with path.open("rb") as file:
        header = file.read(44)
    byte_rate = int.from_bytes(header[28:32], "little")
    return (path.stat().st_size - len(header)) / byte_rate if byte_rate else 0.0


@contextmanager
def _alone(strip: bpy.types.Strip, scene: bpy.types.Scene, first: int, last: int) -> Iterator[None]:
    """Only this strip can be heard, and the scene's range is [first, last]; everything as before afterwards."""
    editor = scene.sequence_editor
    every = list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)
    kept = {strip}
    parent = strip.parent_meta()
    while parent:
        kept.add(parent)
        parent = parent.parent_meta()
    parts = [*every, *editor.channels]
    before = [(part, part.mute) for part in parts]
    frames = scene.frame_start, scene.frame_end
    try:
        for part in parts:
            part.mute = part in every and part not in kept
        scene.frame_start, scene.frame_end = first, last
        yield
    finally:
        for part, mute in before:
            part.mute = mute
        scene.frame_end, scene.frame_start = frames[1], frames[0]
