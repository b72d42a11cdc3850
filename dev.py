#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's commands, each doing its own set-up: `python3.11 dev.py demo` and `python3.11 dev.py test`."""

import argparse
import sys
from collections.abc import Sequence

from tools import environment, extension
from tools.blender_root import find_blenders
from tools.steps import BUILD, REPO, StepFailed, exit_code, say, shown

SETUP_FAILED = 3
VIDEO_SECONDS = 12  # of the demo
MAIN_TESTS_LIMIT, OTHER_TESTS_LIMIT = 60 * 60, 15 * 60  # seconds, far above what they take


def setup() -> int:
    """Create .venv: Blender 4.5 as a Python module, and everything the main job needs."""
    environment.set_up(environment.MAIN)
    return 0


def demo() -> int:
    """Set up, then turn the bundled recording into .blend, .fbx and .npz in out/, and its beginning into an .mp4."""
    environment.set_up(environment.MAIN)
    out = REPO / "out"
    out.mkdir(exist_ok=True)
    blend, fbx, motion, video = (out / f"fur_elise{suffix}" for suffix in (".blend", ".fbx", ".npz", ".mp4"))
    report = out / "fur_elise.json"
    job = [environment.MAIN.python, "-m", "s2c_blender", "--audio", REPO / "demo" / "fur_elise.flac"]
    say("playing demo/fur_elise.flac")
    code = exit_code([*job, "--out", blend, "--fbx", fbx, "--motion", motion], stdout=report)
    if not code:
        say(f"rendering its first {VIDEO_SECONDS} seconds (a few minutes without a graphics card)")
        short = ["--duration", str(VIDEO_SECONDS), "--fps", "24", "--render", video]
        code = exit_code([*job, *short], stdout=out / "fur_elise_video.json")
    if code:
        say(f"the demo failed (exit code {code}); the reason is above")
        return code
    say("done:")
    for path, what in (
        (blend, "open it in Blender and press play"),
        (fbx, "both hands for other programs"),
        (motion, "the motion as numbers"),
        (video, "how it looks and sounds"),
        (report, "what was found and played, and how long it took"),
    ):
        print(f"    {shown(path)} ({path.stat().st_size / 1e6:.1f} MB): {what}")
    return 0


def test() -> int:
    """Set up everything, then check style and run all tests, in Blender 4.2, 4.5, 5.0 and real executables."""
    others = (environment.BPY42, environment.BPY50)
    for wanted in (environment.MAIN, *others):
        environment.set_up(wanted)
    codes = {"Blender executables": set_up_blenders()}
    python = environment.MAIN.python
    stages = {
        "style": ([python, "-m", "ruff", "check", "."], None),
        "format": ([python, "-m", "ruff", "format", "--check", "."], None),
        **{f"tests in {e.blender}": ([e.python, "-m", "pytest", "tests/blender"], OTHER_TESTS_LIMIT) for e in others},
        "all tests": ([python, "-m", "pytest", "--durations=15"], MAIN_TESTS_LIMIT),
    }
    for name, (command, limit) in stages.items():
        say(name)
        codes[name] = exit_code(command, timeout=limit)
    failed = [f"{name} (exit code {code})" for name, code in codes.items() if code]
    say("failed: " + ", ".join(failed) if failed else "everything passed: " + ", ".join(codes))
    return next((code for code in codes.values() if code), 0)


def set_up_blenders() -> int:
    """Real Blenders for the tests, which are skipped where there can be none; 3 when setting them up fails."""
    try:
        blenders, reason = find_blenders(make=True)
    except StepFailed as failure:
        print(failure, file=sys.stderr)
        return SETUP_FAILED
    say("Blender executables for the tests: " + (", ".join(b.name for b in blenders) or f"none, {reason}"))
    return 0


def build(
    platforms: Sequence[str] = tuple(extension.PLATFORMS), pythons: Sequence[str] = tuple(extension.PYTHONS)
) -> int:
    """Build the extension's zips into build/, one a platform and Python, wheels included."""
    environment.set_up(environment.MAIN)
    if not extension.build(platforms, pythons=pythons):
        raise StepFailed("No Blender is built for that platform with that Python; see docs/install.md.")
    return 0


def lock() -> int:
    """Write wheels/lock-*.txt anew after a version in requirements*.txt changed."""
    environment.set_up(environment.MAIN)
    extension.lock()
    return 0


COMMANDS = {f.__name__: f for f in (setup, demo, test, build, lock)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {name: commands.add_parser(name, help=function.__doc__) for name, function in COMMANDS.items()}
    for name, choices in (("platform", extension.PLATFORMS), ("python", extension.PYTHONS)):
        parsers["build"].add_argument(
            f"--{name}", dest=f"{name}s", nargs="+", choices=choices, default=tuple(choices), help="default: all"
        )
    options = vars(parser.parse_args())
    BUILD.mkdir(exist_ok=True)
    try:
        return COMMANDS[options.pop("command")](**options)
    except StepFailed as failure:
        print(failure, file=sys.stderr)
        return SETUP_FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
