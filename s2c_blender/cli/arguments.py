# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line understands."""

import argparse
import re
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from .. import __version__
from ..core.style import PERFORMERS, told_by
from ..errors import BAD_ARGUMENTS, UserError
from ..job import GENERATOR
from ..outputs import check_writable

SUFFIXES = {  # of the outputs, by option
    "out": (".blend",),
    "fbx": (".fbx",),
    "glb": (".glb",),
    "usd": (".usdc",),
    "motion": (".npz",),
    "raw": (".npz",),
    "render": (".mp4", ".png"),
    "midi": (".mid",),
}
BY_BLENDER = {"out", "fbx", "glb", "usd", "render"}
LOG_LEVELS = ("error", "warning", "info", "debug")
RENDER_PRESETS = ("draft", "preview", "final")  # their values are in blender/render.py
# Options that say nothing about what a job makes: how it is told, and where things are kept.
ABOUT_TELLING = {
    "quiet",
    "log_level",
    "openjd",
    "with_parent",
    "cache",
    "batch",
    "out_dir",
    "kinds",
    "workers",
    "check",
}


class ActionIn(NamedTuple):
    """An action of a .blend; its name may be empty, which is told when the file is read."""

    file: Path
    name: str


class _Strict(argparse.ArgumentParser):
    """Raises UserError where argparse would leave, for the jobs of a batch."""

    def error(self, message: str) -> None:
        raise UserError(message, BAD_ARGUMENTS)


def parser(in_blender: bool = False, *, strict: bool = False) -> argparse.ArgumentParser:
    """The arguments; inside Blender, --audio may be left out when the open file has a sound strip."""
    p = (_Strict if strict else argparse.ArgumentParser)(
        prog="blender -b [file.blend] --command piano_hands" if in_blender else "python -m s2c_blender",
        description="Turn a piano recording into two hands that play it.",
        epilog="Models: `model --help`. "
        "Exit codes: 0 all done, 1 an input failed, 2 bad arguments, 3 environment, 130 cancelled.",
        allow_abbrev=False,
        parents=[batch_parser()],
    )
    p.add_argument("--version", action="version", version=f"S2C Piano Hands {__version__}")
    p.add_argument(
        "--check", action="store_true", help="tell whether everything needed is there, and what to do if not"
    )
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")
    p.add_argument(
        "--log-level", choices=LOG_LEVELS, default="info", help="what stderr shows (default: info, progress)"
    )
    p.add_argument("--openjd", action="store_true", help="also print progress as Open Job Description runners read it")
    p.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)  # end when stdin closes
    source = p.add_argument_group("what to play")
    strip = " (default: the open file's sound strip)" if in_blender else ""
    source.add_argument("--audio", type=Path, help=f"a recording or a MIDI file{strip}")
    source.add_argument("--start", type=_seconds, default=0.0, metavar="S", help="second to start at (default: 0)")
    source.add_argument("--duration", type=_length, metavar="S", help="seconds to play (default: to the end)")
    source.add_argument(
        "--from-motion",
        type=Path,
        metavar="X.npz",
        help="no new motion: the one an earlier --motion wrote; --audio is then only what sounds",
    )
    outputs = p.add_argument_group("what to write (at least one)")
    outputs.add_argument("--out", type=Path, metavar="X.blend", help="rig, keyed hands and keys, sound")
    outputs.add_argument("--fbx", type=Path, metavar="X.fbx", help="both keyed hands")
    outputs.add_argument("--glb", type=Path, metavar="X.glb", help="the same as glTF")
    outputs.add_argument("--usd", type=Path, metavar="X.usdc", help="the same as USD")
    outputs.add_argument("--motion", type=Path, metavar="X.npz", help="the motion as arrays (needs no Blender)")
    outputs.add_argument("--raw", type=Path, metavar="X.npz", help="the gesture model's motion before it met the keys")
    outputs.add_argument("--midi", type=Path, metavar="X.mid", help="the notes that were found")
    outputs.add_argument(
        "--render", type=Path, metavar="X.mp4", help="a video with sound, or images (X_####.png, # for the frame)"
    )
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
        "--style",
        metavar="NAME|FILE",
        help=f"how the hands move: {', '.join(PERFORMERS)}, or a .json file (docs/style.md)",
    )
    how.add_argument(
        "--style-weight",
        type=float,
        default=1.0,
        metavar="W",
        help="how far a gesture model follows the style: 0 not at all, 1 as learned, up to 3 exaggerates (default: 1)",
    )
    how.add_argument(
        "--style-from",
        type=_shows_style,
        metavar="X.npz|FILE.blend:ACTION",
        help="move like the hands of another motion, whatever they play: one that an earlier --motion wrote, or a "
        "hand's action in a Blender file",
    )
    how.add_argument(
        "--generator",
        choices=("model", "pianist"),
        default=GENERATOR,
        help=f"who imagines the motion, a gesture model or the pianist (default: {GENERATOR})",
    )
    how.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps (default: auto)")
    how.add_argument(
        "--backend",
        choices=("auto", "torch", "onnx"),
        default="auto",
        help="what runs the networks, PyTorch or ONNX Runtime (default: auto, what is there)",
    )
    how.add_argument(
        "--fps", type=_rate, help="frames a second of scene and .npz, 24000/1001 too (default: 30, .npz 60)"
    )
    how.add_argument("--cache", type=Path, metavar="FOLDER", help="where to keep transcriptions (default: user cache)")
    how.add_argument("--python", metavar="EXE", help="Python with PyTorch that does the work (default: this one)")
    how.add_argument(
        "--preset",
        choices=("generic", "unreal", "unity"),
        default="generic",
        help="axes, unit and skeletons of --fbx, skeletons of --glb and --usd (default: generic)",
    )
    model = p.add_argument_group("gesture model")
    model.add_argument("--model", type=Path, metavar="FOLDER", help="another one, as `model import` makes it")
    model.add_argument("--sampler", choices=("dpm", "ddim", "ddpm"), default="dpm", help="default: dpm")
    model.add_argument("--steps", type=_count, help="of the sampler (default: dpm 10, ddim 50, ddpm all)")
    precisions = ("float32", "bfloat16", "float16")
    model.add_argument("--precision", choices=precisions, default="float32", help="default: float32")
    model.add_argument("--mano", type=Path, metavar="MANO_RIGHT.pkl", help="your own, for the published model's hands")
    look = p.add_argument_group("the video; given with --out, the saved file is set up to render like this")
    look.add_argument("--render-preset", choices=RENDER_PRESETS, help="engine, resolution and samples; options win")
    look.add_argument("--camera", help="part of a camera's name, for the video and the saved file")
    look.add_argument("--resolution", type=_resolution, metavar="WxH", help="default: 960x540")
    engines = ("workbench", "cycles", "eevee")
    look.add_argument("--engine", choices=engines, help="default: workbench, quick without a GPU")
    look.add_argument("--samples", type=_count, help="per pixel, for cycles and eevee (default: 4)")
    look.add_argument("--frames", type=_frames, metavar="A-B", help="render only these frames of the scene")
    return p


def batch_parser() -> argparse.ArgumentParser:
    """The arguments of a batch alone; what is left over is shared by its jobs."""
    p = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    many = p.add_argument_group("many recordings at once; all other options are shared by the jobs")
    many.add_argument(
        "--batch", type=Path, metavar="X", help="a folder of recordings, a text file of paths, or a JSON file of jobs"
    )
    many.add_argument("--out-dir", type=Path, metavar="FOLDER", help="where outputs, results and summary.json go")
    many.add_argument(
        "--kinds", type=_kinds, default=("out",), metavar="K,K", help=f"of {', '.join(SUFFIXES)} (default: out)"
    )
    many.add_argument("--workers", type=_count, default=1, metavar="N", help="jobs at the same time (default: 1)")
    return p


def wanted_outputs(arguments: argparse.Namespace) -> dict[str, Path]:
    """Output name -> path of those asked for; UserError when there is none or one cannot be written."""
    wanted = named_outputs(arguments)
    for path in wanted.values():
        check_writable(path)
    return wanted


def named_outputs(arguments: argparse.Namespace) -> dict[str, Path]:
    """Output name -> path of those asked for; UserError when there is none or a name says something else."""
    wanted = {name: path for name in SUFFIXES if (path := getattr(arguments, name))}
    if not wanted:
        names = ", ".join(f"--{name}" for name in SUFFIXES)
        raise UserError(f"Nothing to write: give at least one of {names}.", BAD_ARGUMENTS)
    for name, path in wanted.items():
        if path.suffix.lower() not in SUFFIXES[name]:
            endings = " or ".join(SUFFIXES[name])
            raise UserError(f"--{name} needs a name ending in {endings}, not {path.name}.", BAD_ARGUMENTS)
    if len({path.absolute() for path in wanted.values()}) < len(wanted):
        raise UserError("Two outputs have the same name.", BAD_ARGUMENTS)
    return wanted


def check_sense(arguments: argparse.Namespace, in_blender: bool) -> None:
    """UserError for options of one run that contradict each other."""
    if not (arguments.audio or arguments.from_motion or in_blender):
        raise UserError("Nothing to play: give --audio.", BAD_ARGUMENTS)
    if arguments.from_motion:
        _refuse(arguments, ("midi", "raw"), "A motion made before has neither: leave out {}, or --from-motion.")
    if arguments.style and arguments.style_from:
        raise UserError("--style and --style-from say the same thing: give only one of them.", BAD_ARGUMENTS)
    if arguments.style:
        told_by(arguments.style)  # so that mistakes are told before the work
    if arguments.generator == "pianist":
        told = "The pianist uses no gesture model: leave out {}, or give --generator model."
        _refuse(arguments, ("model", "raw", "steps", "mano"), told)


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], told: str) -> None:
    if given := [f"--{name}" for name in names if getattr(arguments, name)]:
        raise UserError(told.format(" and ".join(given)), BAD_ARGUMENTS)


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
    try:
        value = float(Fraction(text))
    except ZeroDivisionError as error:
        raise ValueError from error
    if not 1 <= value <= 1000:
        raise ValueError
    return value


def _shows_style(text: str) -> Path | ActionIn:
    """A motion's file, or FILE.blend:ACTION; there may be a colon in both names, and after the letter of a drive."""
    found = re.fullmatch(r"(.+?\.blend)(?::(.*))?", text, re.IGNORECASE | re.DOTALL)
    return ActionIn(Path(found[1]), found[2] or "") if found else Path(text)


def _resolution(text: str) -> tuple[int, int]:
    """Even numbers only: H.264 wants them."""
    width, height = (int(part) for part in text.lower().split("x"))
    if min(width, height) < 16 or width % 2 or height % 2:
        raise ValueError
    return width, height


def _frames(text: str) -> tuple[int, int]:
    """First and last, both rendered; one number is one frame."""
    first, _, last = text.partition("-")
    span = int(first), int(last or first)
    if not 0 <= span[0] <= span[1]:
        raise ValueError
    return span


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(text.replace(" ", "").split(",")))
    if not set(kinds) <= SUFFIXES.keys():
        raise ValueError
    return kinds


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


for _type, _name in (
    (_seconds, "seconds"),
    (_length, "length"),
    (_rate, "frame rate"),
    (_resolution, "resolution"),
    (_frames, "frames"),
    (_kinds, "kinds"),
    (_count, "count"),
    (_seed, "seed"),
    (_fraction, "fraction"),
):
    _type.__name__ = _name  # what argparse calls it in "invalid ... value"
