# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sound strip of the sequencer as audio: which file, which part of it, and where on the timeline it sounds."""

from __future__ import annotations  # bpy.types.Strip is called Sequence before 4.4

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..core.timing import Clock
from ..errors import UserError
from .mixdown import mix_strip


@dataclass(frozen=True)
class StripAudio:
    """The audible part of a strip: `duration` seconds of `path` from second `start`, which sounds at scene `frame`."""

    name: str
    path: Path
    start: float
    duration: float
    frame: float


def sequencer_scenes(context: bpy.types.Context) -> list[bpy.types.Scene]:
    """Scenes to look for strips in, likeliest first: the sequencer's scene (5.x), the active one, the others."""
    first = [getattr(context, "sequencer_scene", None), context.scene]
    return list(dict.fromkeys(scene for scene in (*first, *bpy.data.scenes) if scene))


def sound_strips(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """All sound strips of a scene, those inside meta strips too, in order of time."""
    editor = scene.sequence_editor
    if not editor:
        return []
    strips = editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all
    return sorted((s for s in strips if s.type == "SOUND"), key=lambda s: (handles(s)[0], s.channel, s.name))


def find_strip(context: bpy.types.Context) -> tuple[bpy.types.Scene, bpy.types.Strip]:
    """The strip to play and its scene: the active sound strip, else the only one that can be heard."""
    for scene in sequencer_scenes(context):
        strips = sound_strips(scene)
        if not strips:
            continue
        active = scene.sequence_editor.active_strip
        if active and active.type == "SOUND":
            return scene, active
        heard = [strip for strip in strips if is_heard(strip, scene)]
        if len(heard) == 1:
            return scene, heard[0]
        names = ", ".join(f'"{strip.name}"' for strip in strips[:5])
        if heard:
            raise UserError(f"There are several sound strips ({names}): select the one to play in the sequencer.")
        raise UserError(f"Every sound strip ({names}) is muted: unmute the one to play or select it in the sequencer.")
    raise UserError("There is no sound strip: add the piano recording in the sequencer, or choose an audio file.")


def chosen_strips(context: bpy.types.Context) -> list[tuple[bpy.types.Scene, bpy.types.Strip]]:
    """All strips to play, in order of time: those that are selected where they are several, else `find_strip`'s."""
    scene, first = find_strip(context)
    selected = [strip for strip in sound_strips(scene) if strip.select and is_heard(strip, scene)]
    several = len(selected) > 1 and first in selected
    return [(scene, strip) for strip in (selected if several else [first])]


def named(context: bpy.types.Context, name: str) -> tuple[bpy.types.Scene, bpy.types.Strip]:
    """The sound strip of a name and its scene; UserError when there is none."""
    for scene in sequencer_scenes(context):
        for strip in sound_strips(scene):
            if strip.name == name:
                return scene, strip
    raise UserError(f'The sound strip "{name}" is gone: undo its removal or give it its old name, or generate again.')


def is_heard(strip: bpy.types.Strip, scene: bpy.types.Scene) -> bool:
    """Whether neither the strip nor its channel nor a meta strip around it is muted."""
    editor = scene.sequence_editor
    if any(part.mute for part in (strip, *parent_metas(strip))):
        return False
    outermost = (strip, *parent_metas(strip))[-1]
    return not editor.channels[outermost.channel].mute


def parent_metas(strip: bpy.types.Strip) -> Iterable[bpy.types.Strip]:
    """The meta strips around a strip, innermost first."""
    parent = strip.parent_meta()
    while parent:
        yield parent
        parent = parent.parent_meta()


def handles(strip: bpy.types.Strip) -> tuple[float, float]:
    """First frame of a strip on the timeline and the frame after its last."""
    if hasattr(strip, "left_handle"):  # 5.1 and later
        return strip.left_handle, strip.right_handle
    return strip.frame_final_start, strip.frame_final_end


def strip_clock(strip: bpy.types.Strip, scene: bpy.types.Scene) -> Clock:
    """Clock of the strip's file: its second 0 lies at the clock's origin on the timeline."""
    rate = scene.render.fps / scene.render.fps_base
    new = hasattr(strip, "content_start")  # 5.1 and later
    start = strip.content_start if new else strip.frame_start
    trim = strip.content_trim_start if new else strip.animation_offset_start
    return Clock(rate, start - trim + getattr(strip, "sound_offset", 0.0) * rate)


def has_retiming(strip: bpy.types.Strip) -> bool:
    """Whether a strip is retimed, as far as it says so itself (Blender 4.4 and later)."""
    return len(getattr(strip, "retiming_keys", ())) > 0


def speed_of(strip: bpy.types.Strip, scene: bpy.types.Scene) -> float | None:
    """How fast a strip plays its file, 1.0 where it is not retimed; None where its speed changes or cannot be told.

    Blender tells where a retiming's keys lie on the timeline and not which part of the file is there: only a strip
    with one speed from its first key to its last one can be read.
    """
    if not has_retiming(strip):
        return 1.0
    keys = [key.timeline_frame for key in strip.retiming_keys]
    with tempfile.TemporaryDirectory() as folder:  # of a packed sound
        seconds = _file_seconds(sound_file(strip, Path(folder)))
    new = hasattr(strip, "content_start")  # 5.1 and later
    content = strip.content_duration if new else strip.frame_duration
    start = strip.content_start if new else strip.frame_start
    after = start + content - keys[-1]  # up to 4.5 the last key lies on the last frame, later on the one after it
    frames = round(seconds * scene.render.fps / scene.render.fps_base) - after
    return frames / (keys[-1] - keys[0]) if len(keys) == 2 and frames > 0 and 0 <= after <= 1 else None


def frame_of(strip: bpy.types.Strip, scene: bpy.types.Scene, second: float) -> float:
    """The frame of the strip's scene at which a second of its file sounds.

    Of a retimed strip: a second of what it plays, which is mixed down from its first frame on.
    """
    clock = strip_clock(strip, scene)
    return handles(strip)[0] + second * clock.rate if has_retiming(strip) else clock.frame(second)


def strip_audio(strip: bpy.types.Strip, scene: bpy.types.Scene, folder: Path) -> StripAudio:
    """The part of its file that a strip plays; files that must be written (packed, retimed) go to `folder`."""
    first, last = handles(strip)
    for meta in parent_metas(strip):
        first, last = max(first, handles(meta)[0]), min(last, handles(meta)[1])
    if last <= first:
        raise UserError(f'The strip "{strip.name}" lies outside its meta strip and cannot be heard: move it inside.')
    path = sound_file(strip, folder)
    if is_retimed(strip, scene, path):
        rate = scene.render.fps / scene.render.fps_base
        return StripAudio(strip.name, mix_strip(strip, scene, first, last, folder), 0.0, (last - first) / rate, first)
    clock = strip_clock(strip, scene)
    start = max(0.0, clock.seconds(first))
    stop = clock.seconds(last)
    if stop <= start:
        raise UserError(f'The strip "{strip.name}" shows no part of its file: move its handles over the music.')
    return StripAudio(strip.name, path, start, stop - start, clock.frame(start))


def is_retimed(strip: bpy.types.Strip, scene: bpy.types.Scene, path: Path) -> bool:
    """Whether the strip plays its file faster or slower."""
    if hasattr(strip, "retiming_keys"):
        return len(strip.retiming_keys) > 0
    # Before 4.4 only the strip's length tells; files are not always as long as their headers say.
    frames = _file_seconds(path) * scene.render.fps / scene.render.fps_base
    shown = strip.frame_duration + strip.animation_offset_start + strip.animation_offset_end
    return frames > 0 and abs(shown - frames) > max(2.0, 0.01 * frames)


def _file_seconds(path: Path) -> float:
    """Length of a sound file, 0 when it is not one that soundfile reads (sound in a video)."""
    import soundfile

    try:
        return soundfile.info(path).duration
    except soundfile.LibsndfileError:
        return 0.0


def sound_file(strip: bpy.types.Strip, folder: Path) -> Path:
    """The audio file of a strip; a packed sound is written to `folder`."""
    sound = strip.sound
    if not sound:
        raise UserError(f'The strip "{strip.name}" has no sound: choose a file in its properties.')
    name = Path(sound.filepath.replace("\\", "/").removeprefix("//")).name or sound.name
    if sound.packed_file:
        path = Path(folder) / name
        path.write_bytes(sound.packed_file.data)
        return path
    if sound.filepath.startswith("//") and not bpy.data.filepath and not sound.library:
        raise UserError(f'The sound "{name}" has a path relative to a .blend file not saved yet: save the file first.')
    path = Path(bpy.path.abspath(sound.filepath, library=sound.library))
    if not path.is_file():
        raise UserError(f'The file of the strip "{strip.name}" is missing ({path}): find it with File > External Data.')
    return path


def origin(strip: bpy.types.Strip) -> Path | None:
    """The file that a strip's sound comes from, whether or not it is still there; None for packed ones without one."""
    sound = strip.sound
    return Path(bpy.path.abspath(sound.filepath, library=sound.library)) if sound and sound.filepath else None


def scene_frame(audio: StripAudio, strip_scene: bpy.types.Scene, scene: bpy.types.Scene) -> float:
    """The frame of `scene` at which the strip's part starts; scenes with other frame rates agree at frame 0."""
    if strip_scene == scene:
        return audio.frame
    here, there = (s.render.fps / s.render.fps_base for s in (scene, strip_scene))
    return audio.frame * here / there
