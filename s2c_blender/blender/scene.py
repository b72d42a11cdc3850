# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take in its scene: the frame range that shows it, the sound that goes with it, and the saved file."""

from __future__ import annotations  # bpy.types.Strip is called Sequence before 4.4

import math
from pathlib import Path

import bpy

from ..errors import ENVIRONMENT, UserError
from ..outputs import whole_file
from .keying import Keyed


def empty_scene(fps: float) -> bpy.types.Scene:
    """The active scene of a file never saved, without the objects it starts with, at `fps` frames a second."""
    scene = bpy.context.scene
    bpy.data.batch_remove(list(scene.objects))
    set_fps(scene, fps)
    return scene


def set_fps(scene: bpy.types.Scene, fps: float) -> None:
    """Set the frame rate; 23.976 and its like become 24/1.001."""
    scene.render.fps = max(1, round(fps))
    scene.render.fps_base = scene.render.fps / fps


def cover(scene: bpy.types.Scene, take: Keyed, *, only: bool = False) -> None:
    """Extend the scene's frame range to show the take; with `only` the range is the take."""
    first, last = max(take.first, 0), max(take.last, 0)
    if not only:
        first, last = min(scene.frame_start, first), max(scene.frame_end, last)
    scene.frame_end = last
    scene.frame_start = first


def ready_to_play(scene: bpy.types.Scene) -> None:
    """For a new file: playback keeps time with the sound, and viewports look through the camera at close range."""
    scene.sync_mode = "AUDIO_SYNC"
    spaces = [area.spaces.active for screen in bpy.data.screens for area in screen.areas if area.type == "VIEW_3D"]
    for space in spaces:
        space.region_3d.view_perspective = "CAMERA"
        space.clip_start = 0.01


def add_sound(scene: bpy.types.Scene, path: Path, frame: float, start: float, duration: float) -> bpy.types.Strip:
    """Add a sound strip that plays `duration` seconds of a file from second `start`, which sounds at `frame`.

    UserError on a Blender built without sound (the bpy 4.2 module).
    """
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    rate = scene.render.fps / scene.render.fps_base
    zero = frame - start * rate
    try:
        strip = strips.new_sound(
            name=path.stem, filepath=str(path.absolute()), channel=_free_channel(editor), frame_start=math.floor(zero)
        )
    except RuntimeError as error:
        raise UserError(
            "This build of Blender has no sound: the saved file and video are silent.", ENVIRONMENT
        ) from error
    if hasattr(strip, "sound_offset"):
        strip.sound_offset = (zero - math.floor(zero)) / rate
    strip.sound.use_memory_cache = True  # else mp3 and ogg play up to 25 ms early
    _trim(strip, math.floor(frame + 1e-6), math.ceil(frame + duration * rate - 1e-6))
    return strip


def _trim(strip: bpy.types.Strip, first: int, last: int) -> None:
    left, right = ("left_handle", "right_handle")
    if not hasattr(strip, left):  # before 5.1
        left, right = "frame_final_start", "frame_final_end"
    setattr(strip, right, min(last, int(getattr(strip, right))))
    setattr(strip, left, max(first, int(getattr(strip, left))))


def _free_channel(editor) -> int:
    used = {strip.channel for strip in (editor.strips if hasattr(editor, "strips") else editor.sequences)}
    return next(channel for channel in range(1, 129) if channel not in used)


def save(path: Path) -> None:
    """Save the open file to `path`, whole or not at all; sounds beside it get relative paths."""
    moved = not bpy.data.filepath  # a file never saved has no relative paths to keep
    before = [(sound, sound.filepath) for sound in bpy.data.sounds if not sound.library]
    if moved:
        for sound, old in before:
            sound.filepath = _relative(old, path.absolute().parent)
    try:
        with whole_file(path) as part:
            try:
                bpy.ops.wm.save_as_mainfile(
                    filepath=str(part), copy=True, compress=True, relative_remap=not moved, check_existing=False
                )
            except RuntimeError as error:
                raise UserError(f"{path} could not be saved: is the disk full?", ENVIRONMENT) from error
    finally:
        for sound, old in before:
            sound.filepath = old


def _relative(filepath: str, folder: Path) -> str:
    """A sound's path from the folder of the .blend, when it lies in it; absolute otherwise."""
    if Path(filepath).is_relative_to(folder):
        return "//" + Path(filepath).relative_to(folder).as_posix()
    return filepath
