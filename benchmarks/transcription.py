# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well and how fast recordings are transcribed.

    python -m benchmarks.transcription [--reference] [--minutes 30] [recording ...]

Without recordings: the bundled one and those in ../shared/audio. For each: onset F1 (50 ms) against the notes beside it
(.json or .mid of the same name), how much of real time listening takes (wall clock, and processor time spread over the
threads, which a busy machine changes less), and the process's peak memory. --reference listens a second time as
transkun does by default (float32, windows overlapping by half) and says how far both agree. --minutes measures time and
memory on the first recording repeated to that length instead.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch

from s2c_blender.audio.device import choose_device
from s2c_blender.audio.midi import read_midi
from s2c_blender.audio.read import RATE, load_audio
from s2c_blender.audio.transcribe import listen
from s2c_blender.core.metrics import accuracy
from s2c_blender.core.notes import make_notes

REPO = Path(__file__).resolve().parent.parent
FIELDS = ("onset", "offset", "pitch", "velocity")


def truth_of(recording: Path) -> np.ndarray | None:
    """The notes that a recording was made from, where they lie beside it."""
    if recording.with_suffix(".json").exists():
        notes = json.loads(recording.with_suffix(".json").read_text())["notes"]
        return make_notes(*([note[field] for note in notes] for field in FIELDS))
    return read_midi(recording.with_suffix(".mid")).notes if recording.with_suffix(".mid").exists() else None


def onset_f1(heard: np.ndarray, truth: np.ndarray) -> float:
    """F1 of onsets within 50 ms at the same pitch; both NOTE arrays."""
    presses = np.stack([heard[field].astype(float) for field in ("onset", "offset", "pitch")], axis=1)
    return accuracy(presses, truth).f1


def peak_memory() -> float:
    """Largest resident size of this process so far, MB (Linux counts in kB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed_listen(sound: np.ndarray, device: str, half: bool, **options) -> tuple[np.ndarray, float, float]:
    """The notes, and seconds of sound per second of wall clock and per second of fully used threads."""
    wall, processor = time.perf_counter(), time.process_time()
    notes = listen(sound, device, half, **options).notes
    seconds = len(sound) / RATE
    wall, processor = time.perf_counter() - wall, (time.process_time() - processor) / torch.get_num_threads()
    return notes, seconds / wall, seconds / processor


def measure(recording: Path, device: str, half: bool, reference: bool) -> None:
    """Print one recording's line."""
    sound = load_audio(recording)[0][:, 0]
    notes, wall, processor = timed_listen(sound, device, half)
    truth = truth_of(recording)
    line = f"{recording.stem:32} {len(sound) / RATE:6.1f} s {len(notes):5} notes  {wall:6.2f}x  {processor:6.2f}x"
    line += "  F1 ------" if truth is None else f"  F1 {onset_f1(notes, truth):.4f}"
    if reference:
        usual, _, slower = timed_listen(sound, device, False, overlap=8.0)
        line += f"  agreement {onset_f1(notes, usual):.4f}  default {slower:.2f}x"
        line += "" if truth is None else f" F1 {onset_f1(usual, truth):.4f}"
    print(f"{line}  {peak_memory():.0f} MB", flush=True)


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="*", type=Path)
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device, half = choose_device(options.device)
    shared = sorted((REPO.parent / "shared" / "audio").glob("*.[fm][lp][a3]*"))
    recordings = options.recordings or [REPO / "demo" / "fur_elise.flac", *shared]
    print(
        f"{device}, {'bfloat16' if half else 'float32'}, {torch.get_num_threads()} threads; speed by wall, by processor"
    )
    if options.minutes:
        sound = np.resize(load_audio(recordings[0])[0][:, 0], int(options.minutes * 60 * RATE))
        before = peak_memory()
        notes, wall, processor = timed_listen(sound, device, half)
        memory = f"{before:.0f} MB before, of them {sound.nbytes / 2**20:.0f} MB sound; peak {peak_memory():.0f} MB"
        print(f"{options.minutes:g} min: {len(notes)} notes, {wall:.2f}x, {processor:.2f}x; {memory}")
        return
    for recording in recordings:
        measure(recording, device, half, options.reference)


if __name__ == "__main__":
    main()
