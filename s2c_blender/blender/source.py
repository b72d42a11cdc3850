# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's source as something to play: which part of which file, from which frame on."""

from dataclasses import dataclass, replace
from pathlib import Path

import bpy

from ..errors import UserError
from . import strips


@dataclass(frozen=True)
class Part:
    """`duration` seconds (None: to the end) of `path` from second `start`, which sound at `frame` of the scene.

    Of a strip its name, whether it was retimed, and its own file, where `path` was written only to be read (packed and
    retimed sounds).
    """

    path: Path
    start: float
    duration: float | None
    frame: float
    strip: str = ""
    retimed: bool = False
    origin: Path | None = None

    @property
    def told(self) -> Path:
        """The file as the user knows it."""
        return self.origin or self.path


def source_name(context: bpy.types.Context) -> str:
    """What the panel shows as the music; UserError says why there is none."""
    settings = context.scene.piano_hands
    if settings.source == "FILE":
        return _file(settings).name
    chosen = strips.chosen_strips(context)
    if len(chosen) > 1:
        return f"{len(chosen)} selected strips"
    ((scene, strip),) = chosen
    first, last = strips.handles(strip)
    seconds = (last - first) * scene.render.fps_base / scene.render.fps
    return f"{strip.name}  ({int(seconds) // 60}:{int(seconds) % 60:02d})"


def strip_names(context: bpy.types.Context) -> list[str]:
    """The strips that one press plays, one after another; none where a file is played."""
    if context.scene.piano_hands.source == "FILE":
        return []
    return [strip.name for _, strip in strips.chosen_strips(context)]


def chosen_part(context: bpy.types.Context, folder: Path, strip_name: str = "") -> Part:
    """What the settings ask for; sounds that must be written to be read (packed, retimed) go to `folder`.

    `strip_name` is one of `strip_names`; without it the active strip is played.
    """
    scene = context.scene
    settings = scene.piano_hands
    if settings.source == "FILE":
        part = Part(_file(settings), 0.0, None, settings.file_frame)
    else:
        strip_scene, strip = strips.named(context, strip_name) if strip_name else strips.find_strip(context)
        audio = strips.strip_audio(strip, strip_scene, folder)
        part = Part(audio.path, audio.start, audio.duration, strips.scene_frame(audio, strip_scene, scene))
        retimed, origin = strips.has_retiming(strip), strips.origin(strip)
        part = replace(part, strip=strip.name, retimed=retimed, origin=origin)
    frames = chosen_frames(scene)
    return _within(part, *frames, scene.render.fps / scene.render.fps_base) if frames else part


def chosen_frames(scene: bpy.types.Scene) -> tuple[int, int] | None:
    """First and last frame of the panel's range; None for all of the music."""
    settings = scene.piano_hands
    if settings.range == "ALL":
        return None
    if settings.range == "CUSTOM":
        return settings.frame_start, settings.frame_end
    return scene.frame_start, scene.frame_end


def _file(settings) -> Path:
    if not settings.filepath:
        raise UserError("No file is chosen: choose an audio or MIDI file with piano music.")
    if settings.filepath.startswith("//") and not bpy.data.filepath:
        raise UserError("The file's path is relative to a .blend file not saved yet: save the file first.")
    path = Path(bpy.path.abspath(settings.filepath))
    if not path.is_file():
        raise UserError(f"{path.name or path} is not there any more: choose the file again.")
    return path


def _within(part: Part, first: int, last: int, rate: float) -> Part:
    """The part of `part` that sounds in the frames first..last."""
    begin = max(0.0, (first - part.frame) / rate)
    stop = (last + 1 - part.frame) / rate
    if part.duration is not None:
        stop = min(stop, part.duration)
    if stop <= begin:
        raise UserError(f"Nothing of the music lies between the frames {first} and {last}: choose another range.")
    return replace(part, start=part.start + begin, duration=stop - begin, frame=part.frame + begin * rate)
