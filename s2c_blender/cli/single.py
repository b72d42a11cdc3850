# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One recording: generate its motion or load one, and write what is asked for."""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..audio.midi import is_midi
from ..core.motion import HandMotion
from ..core.style import told_by
from ..errors import ENVIRONMENT, UserError
from ..generate import Job, generate, peak_memory_mb, versions
from ..outputs import one_sentence
from .arguments import BY_BLENDER, ActionIn, check_sense, wanted_outputs
from .telling import Teller


def run(arguments: argparse.Namespace, report: dict, tell: Teller, in_blender: bool) -> None:
    """Do what the arguments say and fill the report; UserError when something is wrong."""
    check_sense(arguments, in_blender)
    wanted = wanted_outputs(arguments)
    begun = time.perf_counter()
    half = blender_half() if in_blender or wanted.keys() & BY_BLENDER else None
    arguments.cache = arguments.cache or (half.cache() if in_blender else cache_folder())
    generating = _share(arguments, wanted)
    with tempfile.TemporaryDirectory(prefix="piano-hands-") as folder:
        path, start, duration, frame = arguments.audio, arguments.start, arguments.duration, None
        if path is None and not arguments.from_motion:
            path, start, duration, frame = half.strip_source(Path(folder), start, duration)
        tell.span = (0.0, generating)
        if arguments.from_motion:
            motion = _loaded(arguments.from_motion)
            if path and not path.is_file():
                raise UserError(f"{path} does not exist: check the path, or leave out --audio.")
            report |= _told(motion)
        else:
            job = _job(arguments, wanted, path, start, duration)
            if in_blender or arguments.python:
                motion = _in_worker(job, report, Path(folder), tell, arguments.python, half)
            else:
                result = generate(job, tell)
                motion = result.motion
                report |= result.report
        tell.span = (generating, 1.0)
        if "motion" in wanted:
            with one_sentence(wanted["motion"]):
                _at_rate(motion, arguments.fps).save(wanted["motion"])
        if wanted.keys() & BY_BLENDER:
            started = time.perf_counter()
            outputs = half.Outputs(
                wanted.get("out"),
                {name: wanted[name] for name in half.EXPORTERS if name in wanted},
                wanted.get("render"),
                half.look(
                    arguments.render_preset,
                    arguments.engine,
                    arguments.resolution,
                    arguments.samples,
                    arguments.camera,
                    arguments.frames,
                ),
                _look_asked_for(arguments),
                arguments.preset.upper(),
            )
            sound = None if frame is not None or path is None or is_midi(path) else path
            built = half.build(motion, outputs, tell, fps=arguments.fps, frame=frame, sound=sound)
            report["warnings"] += built.warnings
            report["frames"] = [built.first, built.last]
            report["seconds"]["blender"] = round(time.perf_counter() - started, 3)
    report["outputs"] = {name: str(path.absolute()) for name, path in wanted.items()}
    report["seconds"]["total"] = round(time.perf_counter() - begun, 3)
    report["peak_memory_mb"] = max(report["peak_memory_mb"] or 0, peak_memory_mb() or 0)
    _summary(report, tell)


def _job(arguments: argparse.Namespace, wanted: dict, path: Path, start: float, duration: float | None) -> Job:
    return Job(
        source=str(path.absolute()),
        start=start,
        duration=duration,
        seed=arguments.seed,
        creativity=arguments.creativity,
        style=_style(arguments),
        style_weight=arguments.style_weight,
        generator=arguments.generator,
        device=arguments.device,
        backend=arguments.backend,
        cache_dir=str(arguments.cache),
        midi=str(wanted["midi"].absolute()) if "midi" in wanted else None,
        model=str(arguments.model.absolute()) if arguments.model else None,
        raw=str(wanted["raw"].absolute()) if "raw" in wanted else None,
        sampler=arguments.sampler,
        steps=arguments.steps,
        precision=arguments.precision,
        mano=str(arguments.mano.absolute()) if arguments.mano else None,
    )


def _style(arguments: argparse.Namespace) -> dict | None:
    """How the hands are to move, None as usual."""
    if arguments.style_from:
        from ..likeness import told_by_motion

        if isinstance(arguments.style_from, ActionIn):
            motion = blender_half("or give --style-from a motion's .npz").motion_of_action(*arguments.style_from)
        else:
            motion = _loaded(arguments.style_from)
        return told_by_motion(motion, str(arguments.model) if arguments.model else None)
    return told_by(arguments.style) if arguments.style else None


def _look_asked_for(arguments: argparse.Namespace) -> bool:
    """Whether the saved file is to render as the options say, even without an add-on."""
    return any((arguments.render_preset, arguments.engine, arguments.resolution, arguments.samples))


def _share(arguments: argparse.Namespace, wanted: dict) -> float:
    """Roughly what part of the time is spent before Blender's half."""
    if not wanted.keys() & BY_BLENDER:
        return 1.0
    if arguments.from_motion:
        return 0.0
    return 0.3 if "render" in wanted else 0.9


def _loaded(path: Path) -> HandMotion:
    try:
        return HandMotion.load(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: check the path, or make it with --motion.") from error
    except ValueError as error:
        raise UserError(f"{error} Give a file that --motion wrote.") from error


def _told(motion: HandMotion) -> dict:
    """What a report says of a motion made before."""
    dropped = motion.meta.get("dropped", [])
    return {
        "source": motion.meta.get("source"),
        "seed": motion.meta.get("seed"),
        "notes_found": len(motion.notes) + len(dropped),
        "notes_played": len(motion.notes),
        "dropped": dropped,
        "warnings": [],
        "music_seconds": round(motion.duration, 3),
        "seconds": {},
        "peak_memory_mb": None,
        "versions": motion.meta.get("versions", versions({})),  # of what made it then
    }


def _summary(report: dict, tell: Teller) -> None:
    for name, path in report["outputs"].items():
        tell.line(f"{name}: {path}")
    for warning in report["warnings"]:
        tell.warning(warning)
    seconds = report["seconds"]["total"]
    tell.line(f"{report['notes_played']} of {report['notes_found']} notes played; done in {seconds:.1f} s.")


def blender_half(instead: str = "or ask only for --motion and --midi"):
    """The module that does Blender's part; UserError, which says what helps `instead`, where there is no Blender."""
    try:
        from ..blender import batch
    except ImportError as error:
        if error.name != "bpy":
            raise
        raise UserError(
            "Blender's Python module bpy is not installed: install it (pip install bpy), "
            f"run this inside Blender, {instead}.",
            ENVIRONMENT,
        ) from error
    return batch


def _in_worker(job: Job, report: dict, folder: Path, tell: Teller, interpreter: str | None, half) -> HandMotion:
    from ..worker import Worker

    result = folder / "motion.npz"
    options = half.worker_options(interpreter) if half else {"interpreter": interpreter}
    report |= Worker(job, result, folder=folder, **options).wait(tell)
    return HandMotion.load(result)


def _at_rate(motion: HandMotion, fps: float | None) -> HandMotion:
    """The motion resampled to `fps` frames a second; itself without one."""
    if fps is None or fps == motion.fps:
        return motion
    times = np.arange(int(np.ceil(motion.duration * fps - 1e-6)) + 1) / fps
    arrays = {}
    for side, name in enumerate(("left", "right")):
        arrays[f"{name}_position"], arrays[f"{name}_rotation"] = motion.hand_at(side, times)
    return replace(motion, fps=fps, **arrays)


def cache_folder() -> Path:
    """The user's folder for caches, by the system's convention."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "s2c-piano-hands"
