# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short .mp4 with sound of the scene's frame range, or its frames as images."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..errors import ENVIRONMENT, UserError
from ..outputs import blender_failed, one_sentence, whole_file

RIG_CAMERA = "ThreeQuarter"  # the rig's camera that shows both hands best
ENGINES = ("CYCLES", "EEVEE", "WORKBENCH")


@dataclass(frozen=True)
class Look:
    """How a video is rendered."""

    camera: str | None = None  # part of the camera's name; None: the scene's camera
    width: int = 960
    height: int = 540
    engine: str = "WORKBENCH"  # of ENGINES; the only one affordable on a CPU alone
    samples: int = 4
    frames: tuple[int, int] | None = None  # first and last; None: the scene's


PRESETS = {  # the names are in cli/arguments.py, too
    "draft": Look(width=640, height=360),
    "preview": Look(width=960, height=540, engine="CYCLES", samples=16),
    "final": Look(width=1920, height=1080, engine="CYCLES", samples=128),
}


def render_video(
    scene: bpy.types.Scene, path: Path, look: Look, on_progress: Callable[[float], None] | None = None
) -> None:
    """Render the scene's frame range to an .mp4 in one go; its settings are put back afterwards."""
    with whole_file(path) as part, _settings(scene, look, part, video=True), _told(scene, on_progress):
        _render(scene, path)
        _check_whole(part, path.name)


def render_frames(
    scene: bpy.types.Scene, path: Path, look: Look, on_progress: Callable[[float], None] | None = None
) -> None:
    """Render frames to images; their number takes the place of the # in the name, or follows it (name_0001.png).

    They appear under their names when all are done.
    """
    stem = path.stem if "#" in path.stem else f"{path.stem}_####"
    hidden = f".{path.stem}.{os.getpid()}.part{path.suffix}."  # a name by which a batch knows what a crash has left
    with one_sentence(path), tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=hidden) as folder:
        pattern = Path(folder, f"{stem}{path.suffix}")
        with _settings(scene, look, pattern, video=False), _told(scene, on_progress):
            _render(scene, path)
            frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
        images = sorted(Path(folder).iterdir())
        if len(images) < len(frames) or not all(image.stat().st_size for image in images):
            raise UserError(f"{path.name} could not be written for every frame: is the disk full?", ENVIRONMENT)
        for image in images:
            image.replace(path.absolute().parent / image.name)


def set_up(scene: bpy.types.Scene, look: Look) -> None:
    """Give the scene the look for good, for Blenders without this add-on that render the saved file."""
    kept = _Kept()
    _looks(kept, scene, look)


def _render(scene: bpy.types.Scene, path: Path) -> None:
    try:
        with bpy.context.temp_override(scene=scene):
            bpy.ops.render.render(animation=True, scene=scene.name)
    except RuntimeError as error:
        raise blender_failed(path, error) from error


def find_camera(scene: bpy.types.Scene, name: str | None) -> bpy.types.Object:
    """The camera whose name contains `name`, ignoring case; without a name the scene's, else the rig's."""
    cameras = sorted((o for o in scene.objects if o.type == "CAMERA"), key=lambda o: o.name)
    if not cameras:
        raise UserError("The scene has no camera to render from: add one.")
    if name is None:
        return scene.camera or next((c for c in cameras if RIG_CAMERA in c.name), cameras[0])
    matching = [camera for camera in cameras if name.lower() in camera.name.lower()]
    if not matching:
        names = ", ".join(camera.name for camera in cameras)
        raise UserError(f'There is no camera "{name}": choose one of {names}.')
    return matching[0]


def set_engine(scene: bpy.types.Scene, engine: str) -> None:
    """Choose an engine of ENGINES; EEVEE is called EEVEE_NEXT up to Blender 4.5."""
    names = {"WORKBENCH": ["BLENDER_WORKBENCH"], "EEVEE": ["BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"]}.get(engine, [engine])
    try:
        scene.render.engine = names[0]
    except TypeError:
        scene.render.engine = names[-1]


def _looks(kept: "_Kept", scene: bpy.types.Scene, look: Look) -> None:
    render = scene.render
    kept.set(scene, "camera", find_camera(scene, look.camera))
    kept.note(render, "engine")
    set_engine(scene, look.engine)
    kept.set(render, "resolution_x", look.width)
    kept.set(render, "resolution_y", look.height)
    kept.set(render, "resolution_percentage", 100)
    kept.set(render, "use_persistent_data", True)
    {"CYCLES": _cycles, "EEVEE": _eevee, "WORKBENCH": _workbench}[look.engine](kept, scene, look.samples)


@contextmanager
def _settings(scene: bpy.types.Scene, look: Look, path: Path, *, video: bool) -> Iterator[None]:
    render, image = scene.render, scene.render.image_settings
    with _Kept() as kept:
        _looks(kept, scene, look)
        if look.frames:
            first, last = look.frames
            kept.note(scene, "frame_start")
            kept.set(scene, "frame_end", last)
            scene.frame_start = first
        kept.set(render, "filepath", str(path))
        kept.set(render, "use_file_extension", False)  # else the frame range goes into the name
        kept.set(render, "use_lock_interface", True)
        kind = "VIDEO" if video else "IMAGE"
        if hasattr(image, "media_type") and image.media_type != kind:  # 5.0 and later; it sets the format, too
            kept.note(image, "file_format")
            kept.set(image, "media_type", kind)
        kept.set(image, "file_format", "FFMPEG" if video else "PNG")
        if video:
            _video(kept, render.ffmpeg)
        yield


def _video(kept: "_Kept", video: bpy.types.FFmpegSettings) -> None:
    kept.set(video, "format", "MPEG4")
    kept.set(video, "codec", "H264")
    kept.set(video, "constant_rate_factor", "MEDIUM")
    kept.set(video, "audio_codec", "AAC")
    kept.set(video, "audio_bitrate", 160)


def _cycles(kept: "_Kept", scene: bpy.types.Scene, samples: int) -> None:
    kept.set(scene.cycles, "samples", samples)
    kept.set(scene.cycles, "use_adaptive_sampling", False)
    kept.note(scene.cycles, "denoiser")
    kept.set(scene.cycles, "use_denoising", True)
    try:
        scene.cycles.denoiser = "OPENIMAGEDENOISE"
    except TypeError:  # some distributions build without it, and then denoising fails
        scene.cycles.use_denoising = False


def _eevee(kept: "_Kept", scene: bpy.types.Scene, samples: int) -> None:
    kept.set(scene.eevee, "taa_render_samples", samples)


def _workbench(kept: "_Kept", scene: bpy.types.Scene, _samples: int) -> None:
    """Materials' colours under studio lights: clean at any resolution, and quick without a GPU."""
    shading = scene.display.shading
    kept.set(scene.display, "render_aa", "5")
    kept.set(scene.view_settings, "exposure", scene.view_settings.exposure + 0.8)  # it knows no lamps
    kept.set(shading, "light", "STUDIO")
    kept.set(shading, "color_type", "MATERIAL")
    kept.set(shading, "show_shadows", False)
    kept.set(shading, "show_cavity", True)
    kept.set(shading, "cavity_type", "SCREEN")
    kept.set(shading, "show_specular_highlight", True)


class _Kept:
    """Puts properties back in the opposite order on leaving."""

    def __init__(self):
        self._old = []

    def note(self, owner, name: str) -> None:
        self._old.append((owner, name, getattr(owner, name)))

    def set(self, owner, name: str, value) -> None:
        self.note(owner, name)
        setattr(owner, name, value)

    def __enter__(self) -> "_Kept":
        return self

    def __exit__(self, *error) -> None:
        for owner, name, value in reversed(self._old):
            setattr(owner, name, value)


@contextmanager
def _told(scene: bpy.types.Scene, on_progress: Callable[[float], None] | None) -> Iterator[None]:
    """Call `on_progress` with the fraction done after each frame; an exception there, or Ctrl-C, ends the render."""
    handlers = bpy.app.handlers.render_post
    stopped: list[BaseException] = []

    def frame_done(rendered: bpy.types.Scene, _depsgraph=None) -> None:
        first, last = rendered.frame_start, rendered.frame_end
        try:
            if on_progress and not stopped:
                on_progress((rendered.frame_current - first + 1) / max(last - first + 1, 1))
        except BaseException as error:  # Blender would print it and render on
            stopped.append(error)
        if stopped:
            rendered.frame_current = last + 1  # ends Blender's loop over the frames

    frame = scene.frame_current
    handlers.append(frame_done)
    try:
        with _signals_noted(stopped):
            yield
    finally:
        handlers.remove(frame_done)
        scene.frame_set(frame)
    if stopped:
        raise stopped[0]


@contextmanager
def _signals_noted(stopped: list[BaseException]) -> Iterator[None]:
    """Note Ctrl-C and SIGTERM instead of raising them: that would happen on entering a handler, and it is lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.append(KeyboardInterrupt())) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler or signal.SIG_DFL)


def _check_whole(video: Path, name: str) -> None:
    """UserError for a video that a full disk cut short: Blender reports nothing then. An .mp4 is a chain of boxes."""
    kinds, size = [], video.stat().st_size if video.exists() else 0
    with video.open("rb") if size else nullcontext() as file:
        place = 0
        while place + 8 <= size:
            file.seek(place)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:], "big")
            kinds.append(header[4:8])
            place += max(length, 8)
    if b"moov" not in kinds or place != size:
        raise UserError(f"{name} could not be written to its end: is the disk full?", ENVIRONMENT)
