# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's Blender half: the strip of the open file as a job, and what Blender writes of a motion."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ..core.motion import HandMotion
from ..errors import ENVIRONMENT, UserError
from . import preview, scene, strips
from .export import Options, export_fbx, export_gltf, export_usd
from .keying import key_take
from .preferences import cache_folder, packages
from .render import PRESETS, Look, find_camera, render_frames, render_video, set_up
from .rig import ensure_rig

NEW_FILE_FPS = 30.0
FIRST_FRAME = 1
EXPORTERS = {"fbx": export_fbx, "glb": export_gltf, "usd": export_usd}


@dataclass(frozen=True)
class Outputs:
    """Files to write, None for those not wanted; `exports` by the names in EXPORTERS."""

    blend: Path | None = None
    exports: dict[str, Path] = field(default_factory=dict)
    video: Path | None = None  # .mp4, or .png for images
    look: Look = field(default_factory=Look)
    keep_look: bool = False  # the saved file renders like `look`, wherever it is opened
    preset: str = "GENERIC"  # of the exports


@dataclass(frozen=True)
class Built:
    """What became of the outputs, and the scene's frame range."""

    warnings: list[str]
    first: int
    last: int


def strip_source(folder: Path, start: float, duration: float | None) -> tuple[Path, float, float, float]:
    """What the open file's sound strip plays, from `start` on: file, start and duration (s), scene frame of its start.

    Sounds that must be decoded first (packed, retimed) are written to `folder`.
    """
    strip_scene, strip = strips.find_strip(bpy.context)
    audio = strips.strip_audio(strip, strip_scene, folder)
    if start >= audio.duration:
        raise UserError(f'The strip "{strip.name}" is only {audio.duration:.1f} s long: choose an earlier --start.')
    frame = strips.scene_frame(audio, strip_scene, bpy.context.scene)
    render = bpy.context.scene.render
    rest = audio.duration - start
    length = rest if duration is None else min(duration, rest)
    return audio.path, audio.start + start, length, frame + start * render.fps / render.fps_base


def online() -> bool:
    """Whether Blender's preferences, or its command line, allow the network."""
    return bpy.app.online_access


def command_line() -> list[str]:
    """The start of the command line that ran this command, for running it with other arguments."""
    words = sys.argv[1:]
    end = next((n for n, word in enumerate(words) if word in ("-c", "--command")), None)
    if not bpy.app.binary_path or end is None:
        raise UserError("This Blender was not started with --command piano_hands, which a batch needs.", ENVIRONMENT)
    return [bpy.app.binary_path, *words[: end + 2]]


def look(
    preset: str | None,
    engine: str | None,
    resolution: tuple[int, int] | None,
    samples: int | None,
    camera: str | None,
    frames: tuple[int, int] | None,
) -> Look:
    """The preset of that name (None: the usual look), with what is given in its place."""
    basis = PRESETS[preset] if preset else Look()
    width, height = resolution or (basis.width, basis.height)
    engine = engine.upper() if engine else basis.engine
    return Look(camera or basis.camera, width, height, engine, samples or basis.samples, frames)


def motion_of_action(file: Path, name: str) -> HandMotion:
    """What an action of a hand in another .blend shows; UserError if there is none."""
    from . import style_copy  # whose button needs this module

    return style_copy.motion_in(file, name)


def version() -> tuple[int, int, int]:
    """Blender's."""
    return tuple(bpy.app.version)


def worker_options(interpreter: str | None) -> dict:
    """How a worker process is started from this Blender (arguments of worker.Worker)."""
    installed = Path(bpy.utils.user_resource("EXTENSIONS"), ".local")
    wheels = [path for path in sys.path if Path(path).is_relative_to(installed)]
    return {
        "interpreter": interpreter,
        "python_args": () if interpreter else tuple(bpy.app.python_args),
        "search_paths": [*([] if interpreter else packages()), *wheels],
    }


def check_options() -> dict:
    """What the self-check is told of this Blender and its preferences."""
    from .self_check import options

    return options(bpy.context)


def cache() -> Path:
    """Where transcriptions are kept, as in the panel: in a folder that goes with the extension."""
    return cache_folder(bpy.context) / "notes"


def build(
    motion: HandMotion,
    outputs: Outputs,
    on_progress: Callable[[str, float], None],
    *,
    fps: float | None = None,
    frame: float | None = None,
    sound: Path | None = None,
) -> Built:
    """Key the motion on the scene's rig (added when there is none) and write the outputs.

    The take starts at scene frame `frame`, or at the first one; `sound` is added to the sequencer.
    """
    warnings = []
    new = not bpy.data.filepath and frame is None
    current = scene.empty_scene(fps or NEW_FILE_FPS) if new else bpy.context.scene
    if fps and not new:
        scene.set_fps(current, fps)
    if frame is None:
        frame = FIRST_FRAME if new else current.frame_start
    stages = ["keying", *["saving"] * bool(outputs.blend), *["exporting"] * len(outputs.exports)]
    stages += ["rendering"] * bool(outputs.video)
    step = _Steps(stages, on_progress)
    step("keying")
    rig = ensure_rig(current)
    preview.hide(rig.piano)
    take = key_take(rig, motion, current, frame)
    scene.cover(current, take, only=new)
    if sound:
        try:
            scene.add_sound(current, sound, frame, motion.start, motion.duration)
        except UserError as error:
            warnings.append(str(error))
    if outputs.blend or outputs.video:
        current.camera = find_camera(current, outputs.look.camera)
    current.frame_set(take.first)
    if new:
        scene.ready_to_play(current)
    if outputs.blend:
        step("saving")
        if outputs.keep_look:
            set_up(current, outputs.look)
        scene.save(outputs.blend)
    for name, path in outputs.exports.items():
        step("exporting")
        EXPORTERS[name](rig, current, path, Options(outputs.preset))
    if outputs.video:
        render = render_frames if outputs.video.suffix.lower() == ".png" else render_video
        render(current, outputs.video, outputs.look, step("rendering"))
    return Built(warnings, current.frame_start, current.frame_end)


class _Steps:
    """Progress of the whole from that of its steps."""

    def __init__(self, stages: list[str], on_progress: Callable[[str, float], None]):
        self._left = [1.0 if stage != "rendering" else 20.0 for stage in stages]
        self._whole = sum(self._left)
        self._tell = on_progress

    def __call__(self, stage: str) -> Callable[[float], None]:
        """Begin the next step, `stage`; returns what takes the fraction done of it."""
        begun, share = 1.0 - sum(self._left) / self._whole, self._left.pop(0) / self._whole
        self._tell(stage, begun)
        return lambda fraction: self._tell(stage, begun + share * fraction)
