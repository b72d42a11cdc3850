# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `python -m s2c_blender ...`, and the same as `blender -b [file.blend] --command piano_hands ...`.

Progress goes to stderr, one JSON report to stdout (its last line). Exit codes: see errors.py.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TextIO

import numpy as np

from . import __version__
from .audio.midi import is_midi
from .core import curves
from .core.motion import HandMotion
from .errors import BAD_ARGUMENTS, CANCELLED, ENVIRONMENT, Cancelled, UserError
from .generate import Job, generate, peak_memory_mb
from .job import GENERATOR, usual_generator
from .outputs import check_writable, one_sentence, write_failed

SUFFIXES = {
    "out": ".blend",
    "fbx": ".fbx",
    "glb": ".glb",
    "usd": ".usdc",
    "motion": ".npz",
    "raw": ".npz",
    "render": ".mp4",
    "midi": ".mid",
}
BY_BLENDER = {"out", "fbx", "glb", "usd", "render"}


def parser(in_blender: bool = False) -> argparse.ArgumentParser:
    """The arguments; inside Blender, --audio may be left out when the open file has a sound strip."""
    p = argparse.ArgumentParser(
        prog="blender -b [file.blend] --command piano_hands" if in_blender else "python -m s2c_blender",
        description="Turn a piano recording into two hands that play it.",
        epilog="Models: `model --help`. "
        "Exit codes: 0 all done, 1 an input failed, 2 bad arguments, 3 environment, 130 cancelled.",
    )
    p.add_argument("--version", action="version", version=f"S2C Piano Hands {__version__}")
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")
    source = p.add_argument_group("what to play")
    strip = " (default: the open file's sound strip)" if in_blender else ""
    source.add_argument("--audio", type=Path, required=not in_blender, help=f"a recording or a MIDI file{strip}")
    source.add_argument("--start", type=_seconds, default=0.0, metavar="S", help="second to start at (default: 0)")
    source.add_argument("--duration", type=_length, metavar="S", help="seconds to play (default: to the end)")
    outputs = p.add_argument_group("what to write (at least one)")
    outputs.add_argument("--out", type=Path, metavar="X.blend", help="rig, keyed hands and keys, sound")
    outputs.add_argument("--fbx", type=Path, metavar="X.fbx", help="both keyed hands")
    outputs.add_argument("--glb", type=Path, metavar="X.glb", help="the same as glTF")
    outputs.add_argument("--usd", type=Path, metavar="X.usdc", help="the same as USD")
    outputs.add_argument("--motion", type=Path, metavar="X.npz", help="the motion as arrays (needs no Blender)")
    outputs.add_argument("--raw", type=Path, metavar="X.npz", help="the gesture model's motion before it met the keys")
    outputs.add_argument("--midi", type=Path, metavar="X.mid", help="the notes that were found")
    outputs.add_argument("--render", type=Path, metavar="X.mp4", help="a video with sound")
    how = p.add_argument_group("how")
    how.add_argument("--seed", type=_seed, default=0, help="another seed, another performance (default: 0)")
    how.add_argument(
        "--creativity",
        type=_fraction,
        default=1.0,
        metavar="C",
        help="how far the performances of two seeds differ, 0 to 1 (default: 1)",
    )
    how.add_argument(
        "--generator",
        choices=("model", "pianist"),
        help=f"who imagines the motion, a gesture model or the pianist (default: {GENERATOR}; model with --model)",
    )
    how.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps (default: auto)")
    how.add_argument(
        "--fps", type=_rate, help="frames a second of scene and .npz, 24000/1001 too (default: 30, .npz 60)"
    )
    how.add_argument("--cache", type=Path, metavar="FOLDER", help="where to keep transcriptions (default: user cache)")
    how.add_argument("--python", metavar="EXE", help="Python with PyTorch that does the work (default: this one)")
    model = p.add_argument_group("gesture model")
    model.add_argument("--model", type=Path, metavar="FOLDER", help="another one, as `model import` makes it")
    model.add_argument("--sampler", choices=("dpm", "ddim", "ddpm"), default="dpm", help="default: dpm")
    model.add_argument("--steps", type=_count, help="of the sampler (default: dpm 10, ddim 50, ddpm all)")
    precisions = ("float32", "bfloat16", "float16")
    model.add_argument("--precision", choices=precisions, default="float32", help="default: float32")
    model.add_argument("--mano", type=Path, metavar="MANO_RIGHT.pkl", help="your own, for the published model's hands")
    how.add_argument(
        "--preset",
        choices=("generic", "unreal", "unity"),
        default="generic",
        help="axes, unit and skeletons of --fbx, skeletons of --glb and --usd (default: generic)",
    )
    look = p.add_argument_group("the video")
    look.add_argument("--camera", help="part of a camera's name, for the video and the saved file")
    look.add_argument("--resolution", type=_resolution, default=(960, 540), metavar="WxH", help="default: 960x540")
    engines = ("workbench", "cycles", "eevee")
    look.add_argument("--engine", choices=engines, default="workbench", help="default: workbench, quick without a GPU")
    look.add_argument("--samples", type=_count, default=4, help="per pixel, for cycles and eevee (default: 4)")
    return p


def main(argv: list[str] | None = None, *, in_blender: bool = False) -> int:
    """Run the command and return its exit code."""
    try:
        work = _asked_for(sys.argv[1:] if argv is None else argv, in_blender)
    except SystemExit as leaving:
        return leaving.code or 0
    with _report_stream() as stream, _stoppable():
        report, code = {"outputs": {}}, 0
        try:
            work(report)
        except UserError as error:
            report["error"], code = str(error), error.exit_code
        except OSError as error:
            report["error"], code = write_failed(error.filename or "A file", error), ENVIRONMENT
        except (Cancelled, KeyboardInterrupt):
            report["error"], code = "Cancelled.", CANCELLED
        if code:
            print(f"Error: {report['error']}" if code != CANCELLED else "Cancelled.", file=sys.stderr)
        report["exit_code"] = code
        print(json.dumps(report), file=stream, flush=True)
    return code


def _asked_for(argv: list[str], in_blender: bool) -> Callable[[dict], None]:
    """What the arguments ask for, as a function that fills the report; SystemExit when they are wrong."""
    words = [word for word in argv if word != "--quiet"]  # which may come first
    if words[:1] != ["model"]:
        arguments = parser(in_blender).parse_args(argv)
        return lambda report: _run(arguments, report, in_blender)
    from .model import commands

    arguments = commands.parser(in_blender).parse_args(["--quiet"] * ("--quiet" in argv) + words[1:])
    # Outside Blender, which has a preference for it, typing the command is consent.
    return lambda report: commands.run(
        arguments, report, _Teller(arguments.quiet), online=not in_blender or _blender_half().online()
    )


def _run(arguments: argparse.Namespace, report: dict, in_blender: bool) -> None:
    arguments.generator = arguments.generator or usual_generator(arguments.model)
    if arguments.generator == "pianist":
        given = [f"--{name}" for name in ("model", "raw", "steps", "mano") if getattr(arguments, name)]
        if given:
            raise UserError(
                f"The pianist uses no gesture model: leave out {' and '.join(given)}, or give --generator model.",
                BAD_ARGUMENTS,
            )
    wanted = _wanted_outputs(arguments)
    begun = time.perf_counter()
    tell = _Teller(arguments.quiet)
    batch = _blender_half() if in_blender or wanted.keys() & BY_BLENDER else None
    with tempfile.TemporaryDirectory(prefix="piano-hands-") as folder:
        path, start, duration, frame = arguments.audio, arguments.start, arguments.duration, None
        if path is None:
            path, start, duration, frame = batch.strip_source(Path(folder), start, duration)
        job = Job(
            source=str(path.absolute()),
            start=start,
            duration=duration,
            seed=arguments.seed,
            creativity=arguments.creativity,
            generator=arguments.generator,
            device=arguments.device,
            cache_dir=str(arguments.cache or cache_folder()),
            midi=str(wanted["midi"].absolute()) if "midi" in wanted else None,
            model=str(arguments.model.absolute()) if arguments.model else None,
            raw=str(wanted["raw"].absolute()) if "raw" in wanted else None,
            sampler=arguments.sampler,
            steps=arguments.steps,
            precision=arguments.precision,
            mano=str(arguments.mano.absolute()) if arguments.mano else None,
        )
        if in_blender or arguments.python:
            motion = _in_worker(job, report, Path(folder), tell, arguments.python, batch)
        else:
            result = generate(job, tell)
            motion = result.motion
            report |= result.report
        if "motion" in wanted:
            with one_sentence(wanted["motion"]):
                _at_rate(motion, arguments.fps).save(wanted["motion"])
        if wanted.keys() & BY_BLENDER:
            started = time.perf_counter()
            outputs = batch.Outputs(
                wanted.get("out"),
                {name: wanted[name] for name in batch.EXPORTERS if name in wanted},
                wanted.get("render"),
                _look(arguments, batch),
                arguments.preset.upper(),
            )
            sound = None if frame is not None or is_midi(path) else path
            report["warnings"] += batch.build(motion, outputs, tell, fps=arguments.fps, frame=frame, sound=sound)
            report["seconds"]["blender"] = round(time.perf_counter() - started, 3)
    report["outputs"] = {name: str(path.absolute()) for name, path in wanted.items()}
    report["seconds"]["total"] = round(time.perf_counter() - begun, 3)
    report["peak_memory_mb"] = max(report["peak_memory_mb"] or 0, peak_memory_mb() or 0)
    _summary(report, tell)


def _summary(report: dict, tell: "_Teller") -> None:
    for name, path in report["outputs"].items():
        tell.line(f"{name}: {path}")
    for warning in report["warnings"]:
        tell.line(f"Warning: {warning}")
    seconds = report["seconds"]["total"]
    tell.line(f"{report['notes_played']} of {report['notes_found']} notes played; done in {seconds:.1f} s.")


def _wanted_outputs(arguments: argparse.Namespace) -> dict[str, Path]:
    """Output name -> path of those asked for; UserError when there is none or one cannot be written."""
    wanted = {name: path for name in SUFFIXES if (path := getattr(arguments, name))}
    if not wanted:
        names = ", ".join(f"--{name}" for name in SUFFIXES)
        raise UserError(f"Nothing to write: give at least one of {names}.", BAD_ARGUMENTS)
    for name, path in wanted.items():
        if path.suffix.lower() != SUFFIXES[name]:
            raise UserError(f"--{name} needs a name ending in {SUFFIXES[name]}, not {path.name}.", BAD_ARGUMENTS)
        check_writable(path)
    if len({path.absolute() for path in wanted.values()}) < len(wanted):
        raise UserError("Two outputs have the same name.", BAD_ARGUMENTS)
    return wanted


def _blender_half():
    try:
        from .blender import batch
    except ImportError as error:
        if error.name != "bpy":
            raise
        raise UserError(
            "Blender's Python module bpy is not installed: install it (pip install bpy), "
            "run this inside Blender, or ask only for --motion and --midi.",
            ENVIRONMENT,
        ) from error
    return batch


def _in_worker(job, report: dict, folder: Path, tell: "_Teller", interpreter: str | None, batch) -> HandMotion:
    from .worker import Worker

    result = folder / "motion.npz"
    options = batch.worker_options(interpreter) if batch else {"interpreter": interpreter}
    report |= Worker(job, result, **options).wait(tell)
    return HandMotion.load(result)


def _at_rate(motion: HandMotion, fps: float | None) -> HandMotion:
    """The motion resampled to `fps` frames a second; itself without one."""
    if fps is None or fps == motion.fps:
        return motion
    times = np.arange(int(np.ceil(motion.duration * fps - 1e-6)) + 1) / fps
    arrays = {}
    for side, name in enumerate(("left", "right")):
        position, rotation = motion.hand(side)
        arrays[f"{name}_position"] = curves.sample(position, motion.fps, times)
        arrays[f"{name}_rotation"] = curves.rotvec(curves.sample_rotations(rotation, motion.fps, times))
    return replace(motion, fps=fps, **arrays)


def _look(arguments: argparse.Namespace, batch):
    width, height = arguments.resolution
    return batch.Look(arguments.camera, width, height, arguments.engine.upper(), arguments.samples)


def cache_folder() -> Path:
    """The user's folder for caches, by the system's convention."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "s2c-piano-hands"


class _Teller:
    """Progress as lines on stderr: each stage, and its percentages as they come, at most one line a second."""

    def __init__(self, quiet: bool):
        self._quiet = quiet
        self._last = ("", 0.0)

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        if stage != self._last[0] or now - self._last[1] >= 1.0:
            self._last = (stage, now)
            self.line(f"{stage} ... {fraction:.0%}")

    def line(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)


@contextmanager
def _report_stream() -> Iterator[TextIO]:
    """The real stdout, for the report; meanwhile all else printed there goes to stderr (Blender prints a lot)."""
    sys.stdout.flush()
    if sys.stdout is not sys.__stdout__:  # a caller replaced it, as test runners do
        yield sys.stdout
        return
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream:
            yield stream
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM cancels as Ctrl-C does, so that half-written files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal, _frame) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _length(text: str) -> float:
    if _seconds(text) == 0:
        raise ValueError
    return float(text)


def _rate(text: str) -> float:
    value = float(Fraction(text))
    if not 1 <= value <= 1000:
        raise ValueError
    return value


def _resolution(text: str) -> tuple[int, int]:
    """Even numbers only: H.264 wants them."""
    width, height = (int(part) for part in text.lower().split("x"))
    if min(width, height) < 16 or width % 2 or height % 2:
        raise ValueError
    return width, height


def _seed(text: str) -> int:
    if int(text) < 0:
        raise ValueError
    return int(text)


def _fraction(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise ValueError
    return float(text)


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


for _type, _name in ((_seconds, "seconds"), (_length, "length"), (_rate, "frame rate"), (_resolution, "resolution")):
    _type.__name__ = _name  # what argparse calls it in "invalid ... value"
_count.__name__, _seed.__name__, _fraction.__name__ = "count", "seed", "fraction"
