# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does everything work here? Looks at the installation from one end to the other and plays two seconds of music.

Needs no Blender; what only Blender knows, its version and the preferences, is given. Nothing is changed.
"""

import platform
import shutil
import tempfile
import time
import wave
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from . import __version__
from .core.motion import HandMotion
from .core.notes import Score, make_notes
from .errors import UserError
from .job import Job, Look
from .outputs import check_folder
from .worker import Done, Failed, Told, Worker

OLDEST = (4, 2)  # Blender
NEEDED = ("numpy", "scipy", "soundfile", "mido")
ROOM = 2.0  # GB free that three hours of music need
PITCHES = (48, 52, 55, 60)
LEAD, PACE, HELD = 0.2, 0.45, 0.4  # s before the first note, between notes, and of each
RATE = 44100
EVERY = 0.05  # s between looks at the worker
AGAIN = "Install the extension's zip again."

Tell = Callable[[str, float], None]  # what is looked at, and the fraction of all that is done; may raise Cancelled


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, and if that is not well what to do about it."""

    name: str
    ok: bool
    told: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{'ok' if self.ok else 'PROBLEM'}: {self.name}: {self.told}" + (f" {self.cure}" if self.cure else "")


def check(
    interpreter: str | None = None,
    *,
    python_args: Iterable[str] = (),
    search_paths: Iterable[str] = (),
    blender: tuple[int, ...] | None = None,
    cache: str | Path | None = None,
    model: str | None = None,
    device: str = "auto",
    backend: str = "auto",
    on_progress: Tell | None = None,
) -> list[Finding]:
    """Look at everything; all findings are ok when everything works.

    The first three arguments are Worker's; `blender` is its version, `cache` the folder of the transcriptions, and the
    rest as in Job. Takes some seconds, or half a minute where PyTorch is slow to load.
    """
    tell = on_progress or (lambda name, fraction: None)
    tell("versions and disk", 0.0)
    findings = [_versions(blender)]
    with tempfile.TemporaryDirectory(prefix="piano-hands-check-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        findings += _disk(folder, Path(cache) if cache else None)
        options = {"interpreter": interpreter, "python_args": python_args, "search_paths": search_paths}

        def follow(what: str, first: float, last: float, job: Job | Look) -> dict:
            return _follow(
                lambda: Worker(job, folder / "motion.npz", folder=folder, **options),
                lambda fraction: tell(what, first + (last - first) * fraction),
            )

        try:
            seen = follow("the worker's Python", 0.1, 0.3, Look(device, backend, model))
        except UserError as error:
            return [*findings, Finding("worker", False, str(error), "Correct the interpreter, or leave it empty.")]
        findings += _worker(seen, model)
        if any(not finding.ok for finding in findings if finding.name == "packages"):
            return findings
        # The model plays once, if it is there and can do so without sound.
        imagines = "model" if "told" in seen["model"] and seen["reads_notes"] else "pianist"
        try:
            tests = [("notes", _notes(folder), imagines, 0.3, 0.5)]
            if seen["transcribers"].keys() & seen["computes"].keys():
                tests.append(("sound", _sound(folder), "pianist", 0.5, 1.0))
        except OSError as error:
            told = f"Nothing can be written to {folder.parent} ({error.strerror or error})."
            return [*findings, Finding("temporary files", False, told, "Free some space there, and repeat the check.")]
        for what, source, generator, first, last in tests:
            chosen = model if generator == "model" else None
            job = Job(str(source), generator=generator, device=device, backend=backend, model=chosen)
            findings.append(_played(what, partial(follow, f"playing {what}", first, last, job), folder / "motion.npz"))
    tell("done", 1.0)
    return findings


def _follow(start: Callable[[], Worker], tell: Callable[[float], None]) -> dict:
    """The report of a worker; UserError when it fails. What `tell` raises ends it, however silent it is."""
    worker, fraction = start(), 0.0
    try:
        while True:
            for message in worker.poll():
                if isinstance(message, Done):
                    return message.report
                if isinstance(message, Failed):
                    raise UserError(message.sentence, message.exit_code)
                if isinstance(message, Told):
                    fraction = message.fraction
            tell(fraction)
            time.sleep(EVERY)
    finally:
        worker.cancel()


def _versions(blender: tuple[int, ...] | None) -> Finding:
    told = f"S2C Piano Hands {__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}."
    if blender is None:
        return Finding("versions", True, told)
    told = f"Blender {'.'.join(map(str, blender))}, {told}"
    if tuple(blender[:2]) < OLDEST:
        return Finding("versions", False, told, "Use Blender 4.2 or a later one.")
    return Finding("versions", True, told)


def _disk(folder: Path, cache: Path | None) -> list[Finding]:
    """Whether the temporary folder has room, and what the cache holds and takes."""
    findings = []
    free = shutil.disk_usage(folder).free / 1e9
    told = f"{free:.1f} GB are free for temporary files in {folder.parent}."
    cure = f"Free some space: three hours of music need {ROOM:g} GB." if free < ROOM else ""
    findings.append(Finding("disk", free >= ROOM, told, cure))
    if cache:
        try:
            check_folder(cache)
            files = [path for path in cache.rglob("*") if path.is_file()] if cache.exists() else []
            size = sum(path.stat().st_size for path in files) / 1e6
            findings.append(Finding("cache", True, f"{len(files)} files of {size:.1f} MB in {cache}."))
        except (UserError, OSError) as error:
            findings.append(Finding("cache", False, str(error), "Choose another cache folder in the preferences."))
    return findings


def _worker(seen: dict, model: str | None = None) -> list[Finding]:
    """What a look at the worker's Python found (probe.look); `model`: the folder of the one that was chosen, if any."""
    packages = seen["packages"]
    findings = [Finding("worker", True, f"Python {seen['python']}, {seen['executable']}.")]
    missing = [f"{name} ({packages[name]['error']})" for name in NEEDED if "error" in packages[name]]
    if missing:
        told = f"{', '.join(missing)} cannot be used."
        findings.append(Finding("packages", False, told, f"{AGAIN} Or choose an interpreter that has them."))
    else:
        told = ", ".join(f"{name} {found['version']}" for name, found in packages.items() if "version" in found)
        findings.append(Finding("packages", True, f"{told}."))
    for name, found in packages.items():
        if name not in NEEDED and found.get("there"):
            cure = AGAIN if name == "onnxruntime" else "Install it again, or choose an interpreter without it."
            findings.append(Finding(name, False, f"It is installed and cannot be loaded ({found['error']}).", cure))
    usable = [backend for backend in seen["transcribers"] if backend in seen["computes"]]
    if seen["computes"]:
        there = "; ".join(f"{backend} on {', '.join(places)}" for backend, places in seen["computes"].items())
        cure = f"Choose another backend or device in the preferences; there is {there}."
        findings.append(_told("device", seen["chosen"], cure))
    if not usable:
        told = "Recordings cannot be heard: neither ONNX Runtime with its network nor PyTorch with transkun is there."
        cure = f"{AGAIN} Or install PyTorch in the preferences, or use MIDI files."
        findings.append(Finding("transcriber", False, told, cure))
    for backend, found in seen["transcribers"].items():
        findings.append(_told(f"transcriber ({backend})", found, AGAIN))
    cure = "Choose another model folder, or leave it empty." if model else f"{AGAIN} Or choose the generator Pianist."
    return [*findings, _told("gesture model", seen["model"], cure)]


def _told(name: str, found: dict, cure: str) -> Finding:
    return Finding(name, True, found["told"]) if "told" in found else Finding(name, False, found["error"], cure)


def _played(what: str, play: Callable[[], dict], result: Path) -> Finding:
    """Play 2 seconds and see that the keys are pressed as they should."""
    name, begun = f"2 seconds of {what}", time.monotonic()
    cure = "Start Blender again and repeat the check; if it stays, report this with the console's text."
    try:
        report = play()
        motion = HandMotion.load(result)
    except (UserError, ValueError, OSError) as error:
        return Finding(name, False, str(error), cure)
    told = f"{report['notes_played']} of {len(PITCHES)} notes played in {time.monotonic() - begun:.1f} s."
    good = set(motion.notes["pitch"]) == set(PITCHES) and report["key_accuracy"] == 1.0
    return Finding(name, True, told) if good else Finding(name, False, told, cure)


def _notes(folder: Path) -> Path:
    """A MIDI file of the notes."""
    from .audio.midi import write_midi

    onset = LEAD + PACE * np.arange(len(PITCHES))
    path = folder / "notes.mid"
    write_midi(Score(make_notes(onset, onset + HELD, np.array(PITCHES), 70)), path)
    return path


def _sound(folder: Path) -> Path:
    """A WAV file of the same notes, near enough to a piano's to be heard as such: slightly sharp, fading partials."""
    samples = np.zeros(round((LEAD + PACE * len(PITCHES) + 0.5) * RATE))
    time_ = np.arange(round((HELD + 0.2) * RATE)) / RATE
    partials = np.arange(1, 13)[:, None]
    for n, pitch in enumerate(PITCHES):
        frequency = 440.0 * 2 ** ((pitch - 69) / 12) * partials * np.sqrt(1 + 0.0004 * partials**2)
        tone = (np.sin(2 * np.pi * frequency * time_) * np.exp(-time_ * (1 + 0.5 * partials)) / partials).sum(0)
        tone *= np.minimum(time_ / 0.003, 1) * np.minimum((time_[-1] - time_) / 0.2, 1)
        first = round((LEAD + n * PACE) * RATE)
        samples[first : first + len(tone)] += 0.25 * tone
    path = folder / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path
