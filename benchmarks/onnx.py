# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ONNX Runtime beside PyTorch, float32 on the processor: do they agree, how fast are they, what memory do they take.

    python -m benchmarks.onnx [recording ...]          transcription; without recordings the bundled one and those in
                                                       ../shared/audio
    python -m benchmarks.onnx --minutes 10 [recording] the first recording repeated to that length, memory of both
    python -m benchmarks.onnx --gestures [folder]      a model folder exported to ONNX; without one the small size with
                                                       random weights

Each backend runs in a process of its own; they take turns, so that a busy machine slows both. Speeds are seconds of
music per second of wall clock, and per second of processor time of all threads. Memory is each process's peak.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi
from s2c_blender.audio.read import RATE, load_audio
from s2c_blender.audio.transcribe import listen
from s2c_blender.core.hand import forward_kinematics
from s2c_blender.core.metrics import accuracy
from s2c_blender.core.notes import LEFT, RIGHT, Score
from s2c_blender.generate import peak_memory_mb
from s2c_blender.model.config import small
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator
from s2c_blender.pianist import fingered

REPO = Path(__file__).resolve().parent.parent
BACKENDS = ("onnx", "torch")
GESTURES_S = 60  # s of music for the gesture networks


def serve(backend: str) -> None:
    """Answer the parent's lines: a task, the folder for the answer's arrays."""
    for line in sys.stdin:
        task, out = json.loads(line)
        work = {"listen": _listen, "move": _move}[task["do"]]
        before = peak_memory_mb()
        wall, processor = time.perf_counter(), time.process_time()
        arrays, seconds = work(task, backend)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        np.savez(Path(out) / f"{backend}.npz", **arrays)
        told = {"wall": seconds / wall, "processor": seconds / processor, "before": before, "peak": peak_memory_mb()}
        print(json.dumps(told | {"torch": "torch" in sys.modules}), flush=True)


def _listen(task: dict, backend: str) -> tuple[dict, float]:
    sound = load_audio(task["recording"])[0][:, 0]
    if task["minutes"]:
        sound = np.resize(sound, int(task["minutes"] * 60 * RATE))
    score = listen(sound, "cpu", False, backend=backend)
    return {"notes": score.notes, "pedal": score.pedal}, len(sound) / RATE


def _move(task: dict, backend: str) -> tuple[dict, float]:
    score, _ = fingered(_tune(GESTURES_S))
    generator = Generator(Path(task["model"]), device="cpu", backend=backend)
    positions, poses = generator.generate(Recording(score), GESTURES_S * 30, seed=1)
    return {"positions": positions, "poses": poses}, GESTURES_S


def _tune(seconds: float) -> Score:
    """The bundled piece, again and again."""
    piece = read_midi(REPO / "demo" / "fur_elise.mid")
    starts = np.arange(0.0, seconds, piece.end + 0.5)
    notes = np.tile(piece.notes, len(starts))
    for times in (notes["onset"], notes["offset"]):
        times += np.repeat(starts, len(piece.notes))
    return Score(notes).cut(0.0, seconds)


def ask(children: dict[str, subprocess.Popen], task: dict) -> dict[str, dict]:
    """Both backends' answers, one after the other: what they told, with their arrays."""
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        for backend, child in children.items():
            child.stdin.write(json.dumps([task, folder]) + "\n")
            child.stdin.flush()
            answers[backend] = json.loads(child.stdout.readline())
            with np.load(Path(folder) / f"{backend}.npz") as arrays:
                answers[backend] |= dict(arrays)
    return answers


def speeds(answers: dict[str, dict]) -> str:
    """How fast both were, and the ratio."""
    columns = []
    for clock in ("wall", "processor"):
        onnx, torch = (answers[backend][clock] for backend in BACKENDS)
        columns.append(f"{clock} {onnx:.2f}x / {torch:.2f}x = {onnx / torch:.2f}")
    peaks = " / ".join(f"{answers[backend]['peak']:.0f}" for backend in BACKENDS)
    return "  ".join([*columns, f"peak {peaks} MB"])


def listened(answers: dict[str, dict]) -> str:
    """How far the notes agree: F1 of the onsets, and the largest differences where notes are the same in number."""
    ours, theirs = (answers[backend]["notes"] for backend in BACKENDS)
    presses = np.stack([ours[field].astype(float) for field in ("onset", "offset", "pitch")], axis=1)
    line = f"{len(ours)} / {len(theirs)} notes  F1 {accuracy(presses, theirs).f1:.4f}"
    if len(ours) == len(theirs) and (ours["pitch"] == theirs["pitch"]).all():
        times = max(np.abs(ours[field] - theirs[field]).max(initial=0) for field in ("onset", "offset"))
        loud = np.abs(ours["velocity"].astype(int) - theirs["velocity"])
        line += f"  times within {1e6 * times:.1f} us, {np.count_nonzero(loud)} velocities differ"
        line += f" (by {loud.max(initial=0)} at most)"
    return line


def moved(answers: dict[str, dict]) -> str:
    """How far both motions' joints and fingertips are apart at most."""
    joints = []
    for backend in BACKENDS:
        positions, poses = answers[backend]["positions"], answers[backend]["poses"]
        rotations = poses.reshape(2, -1, 16, 3)
        hands = [forward_kinematics(positions[s], rotations[s], left=s == LEFT) for s in (LEFT, RIGHT)]
        joints.append(np.concatenate([np.concatenate(parts[:2], axis=1) for parts in hands]))
    return f"joints and fingertips at most {1000 * np.linalg.norm(joints[0] - joints[1], axis=-1).max():.4f} mm apart"


def exported(folder: Path | None, temporary: Path) -> Path:
    """A model folder with its ONNX files: `folder`, or one made of random weights."""
    from tests.model.tiny_model import write_model
    from tools import onnx_export

    folder = folder or write_model(temporary / "small", small())
    if onnx_export.main([str(folder)]):
        sys.exit(1)
    return folder


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--gestures", action="store_true")
    parser.add_argument("--serve", choices=BACKENDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    shared = sorted((REPO.parent / "shared" / "audio").glob("*.[fm][lp][a3]*"))
    recordings = options.files or [REPO / "demo" / "fur_elise.flac", *shared]
    command = [sys.executable, "-m", "benchmarks.onnx", "--serve"]
    with tempfile.TemporaryDirectory() as temporary:
        model = None
        if options.gestures:
            model = exported(options.files[0] if options.files else None, Path(temporary))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        children = {backend: subprocess.Popen([*command, backend], **pipes) for backend in BACKENDS}
        print("onnx / torch; speeds are times real time")
        if model:
            for _ in range(3):
                answers = ask(children, {"do": "move", "model": str(model)})
                print(f"{model.name}: {speeds(answers)}  {moved(answers)}", flush=True)
        else:
            for recording in recordings[: 1 if options.minutes else None]:
                answers = ask(children, {"do": "listen", "recording": str(recording), "minutes": options.minutes})
                print(f"{recording.stem:30} {speeds(answers)}  {listened(answers)}", flush=True)
        for child in children.values():
            child.stdin.close()
            child.wait()


if __name__ == "__main__":
    main()
