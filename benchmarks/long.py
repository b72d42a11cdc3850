# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hours of music: time and peak memory by length: `.venv/bin/python -m benchmarks.long [--minutes 1 10 60 180]`.

The bundled piece, again and again, each length in a fresh worker process as from Blender, growing motion included.
--of all: from a sound file until the motion file is written, without a cache. --of motion: from MIDI. --of sound: from
a sound file until its notes are known. --generator pianist leaves the gesture model out. --hollow leaves out what is
proportional to the length by its making, the gesture model, the fingering, the windows' solver and the listening
network, so that everything else is seen at 180 minutes too.
Prints for each length seconds, the processor's seconds in all and for each minute of music, which other programs
disturb less, and the peak memory of the process (MB).
"""

import argparse
import json
import resource
import tempfile
import time
import wave
from pathlib import Path
from typing import get_args

from s2c_blender.audio.midi import write_midi
from s2c_blender.audio.read import RATE, load_audio
from s2c_blender.job import GENERATOR, Generator, Job
from s2c_blender.worker import Worker, end_idle

from .pipeline import music

RECORDING = Path(__file__).parents[1] / "demo" / "fur_elise.flac"
NO_PLAYING = """
import s2c_blender.generate as g, numpy as np
from types import SimpleNamespace
from s2c_blender.core.motion import HandMotion
from s2c_blender.pianist import Report
def still(score, fps=60.0, **_):
    one = [np.zeros((1, 3)), np.zeros((1, 16, 3))] * 2
    return HandMotion(fps, *one, score.notes, np.zeros((len(score.notes), 4)), score.pedal), Report(len(score.notes))
g.perform, g.metrics = still, SimpleNamespace(played=lambda *_: SimpleNamespace(f1=1.0))
"""
NO_SOLVING = """
import sys, s2c_blender.pianist
module = sys.modules["s2c_blender.pianist.perform"]
def solve(self, start, stop, obstacle=None):
    self.q[start:stop] = self.posture[start:stop]
def finger(notes, report, prior=None):
    notes = notes.copy()
    notes["hand"], notes["finger"] = notes["pitch"] >= 60, notes["pitch"] % 5
    return notes
module.Player.solve, module.finger = solve, finger
module.untangle = lambda *_: None
"""
NO_NETWORK = """
import numpy as np, s2c_blender.audio.transcribe as t
from types import SimpleNamespace
from s2c_blender.core.notes import make_notes
def listen(window):
    return np.zeros((90, 1)), None, None
def events(features, choices, lone, first):
    return [t.Event(1.0, 1.5, 60 + n, 64, True, True) for n in range(20)], first
t._network = lambda *_: SimpleNamespace(window=690, hop=1024, rate=44100, listen=listen, events=events)
"""


def first(lines: str) -> tuple[str, ...]:
    """Arguments of a Python that runs `lines` in the worker process before the worker's own program."""
    root = str(Path(__file__).parents[1])
    start = f"import sys\nsys.path.insert(0, {root!r})\n{lines}\ncode = sys.argv[3]\nsys.argv = ['-c', *sys.argv[4:]]\n"
    return ("-c", start + "exec(code)")


def recording(seconds: float, path: Path) -> Path:
    """The bundled recording, again and again, as a WAV file, written piece by piece."""
    piece = (load_audio(RECORDING)[0][:, 0] * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        left = round(seconds * RATE)
        while left > 0:
            file.writeframes(piece[:left].tobytes())
            left -= len(piece[:left])
    return path


def processor_seconds() -> float:
    """What all processes took that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(minutes: float, arguments: argparse.Namespace) -> dict:
    """One length in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="piano-hands-") as name:
        folder = Path(name)
        if arguments.of == "motion":
            source = folder / "song.mid"
            write_midi(music(minutes * 60), source)
        else:
            source = recording(minutes * 60, folder / "song.wav")
        lines = NO_PLAYING if arguments.of == "sound" else ""
        lines += NO_SOLVING + NO_NETWORK if arguments.hollow else ""
        generator = "pianist" if arguments.of == "sound" or arguments.hollow else arguments.generator
        job = Job(str(source), generator=generator, device="cpu", backend=arguments.backend)
        begun, before = time.perf_counter(), processor_seconds()
        report = Worker(job, folder / "motion.npz", folder=folder, python_args=first(lines)).wait()
        seconds = time.perf_counter() - begun
        size = (folder / "motion.npz").stat().st_size
    end_idle()
    return {
        "minutes": minutes,
        "seconds": round(seconds, 1),
        "processor seconds": round(processor_seconds() - before, 1),
        "per minute": round((processor_seconds() - before) / minutes, 2),
        "peak MB": report["peak_memory_mb"],
        "notes": report["notes_found"],
        "motion MB": round(size / 1e6, 1),
        "stages": report["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10, 60, 180])
    parser.add_argument("--of", choices=("all", "motion", "sound"), default="all")
    parser.add_argument("--generator", choices=get_args(Generator), default=GENERATOR)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--hollow", action="store_true")
    arguments = parser.parse_args()
    for minutes in arguments.minutes:
        print(json.dumps(measure(minutes, arguments)), flush=True)


if __name__ == "__main__":
    main()
