# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound to notes and pedal, with the transkun network and a cache."""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.keyboard import HIGHEST, LOWEST
from ..core.motion import UNREADABLE
from ..core.notes import NOTE, Score, make_notes
from ..errors import ENVIRONMENT, UserError
from .device import Backend, choose_backend, choose_device, memory_told, runtime
from .events import EVENTS, SUSTAIN, Event
from .files import whole_file
from .midi import join_spans
from .onnx_network import DESCRIBES, HEARS, OnnxNetwork
from .read import RATE, resample_blocks

if TYPE_CHECKING:
    from .network import Network

PACKAGES = ("torch", "transkun")  # what PyTorch's backend needs
VERSION = 1  # of what transcribe() returns for the same sound; a higher one leaves older cache entries unread
OVERLAP_S = 2.0  # between windows: their notes are joined there
LEAD_S = 1.0  # silence put before and after, so that the first and last notes are whole
# The network itself keeps quiet on speech, noise, hum and silence, and a stray note or two in minutes of such sound is
# no music either: fewer notes than FEW, coming more rarely than one in RARE_S seconds, are no piano recording.
FEW, RARE_S = 20, 20.0
SILENT = 1e-4  # a window without a sample this loud (-80 dB) is not listened to


@dataclass(frozen=True)
class Heard:
    """The notes of a recording, and what ran the network that found them (see `runtime`).

    That is "" for notes in caches of earlier versions of this extension, which did not say it.
    """

    score: Score
    runtime: str


def transcribe(samples: np.ndarray, rate: int, **options) -> Score:
    """The notes that `hear` finds, with its options."""
    return hear(samples, rate, **options).score


def hear(
    samples: np.ndarray,
    rate: int,
    *,
    device: str = "auto",
    backend: str = "auto",
    cache_dir: Path | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Heard:
    """The notes and sustain pedal of a piano recording, s from its beginning.

    samples float32 [n, channels] or [n]; device auto, cpu, cuda or mps; backend auto, torch or onnx. Results are kept
    in `cache_dir` by content, whatever made them. Raises UserError when there is neither ONNX Runtime nor PyTorch, when
    there is not what was asked for, or when the sound holds no piano notes.
    """
    sound = _mono(samples, rate)
    chosen = choose_backend(backend, device, [HEARS, DESCRIBES], PACKAGES)
    if chosen == "torch":
        _need_packages()
        device, half = choose_device(device)
    else:
        device, half = "cpu", False
    entry = None
    if cache_dir is not None:
        entry = Path(cache_dir) / f"{_content_hash(sound, half)}.npz"
    heard = _load(entry) if entry else None
    if heard is None:
        heard = Heard(listen(sound, device, half, on_progress=on_progress, backend=chosen), runtime(chosen))
        if entry:
            _save(heard, entry)
    if on_progress:
        on_progress(1.0)
    count, seconds = len(heard.score.notes), len(sound) / RATE
    if count == 0 or (count < FEW and count < seconds / RARE_S):
        told = "No piano notes were" if count == 0 else f"Only {count} notes in {seconds:.0f} s were"
        raise UserError(f"{told} found in the sound; choose a recording of a piano.")
    return heard


def _mono(samples: np.ndarray, rate: int) -> np.ndarray:
    """float32 [n] at the network's rate; no copy where nothing changes."""
    sound = np.asarray(samples, np.float32)
    if sound.ndim == 2:
        sound = sound[:, 0] if sound.shape[1] == 1 else sound.mean(axis=1)
    if rate != RATE:
        sound = np.concatenate(list(resample_blocks(iter([sound]), rate, RATE)))
    return np.ascontiguousarray(sound)


def _need_packages() -> None:
    try:
        import torch  # noqa: F401
        import transkun  # noqa: F401
    except OSError as error:  # a library that PyTorch needs is missing or broken
        told = f"PyTorch cannot be loaded ({error}): install it again, or choose the backend onnx."
        raise UserError(told, ENVIRONMENT) from error
    except ImportError as error:
        raise UserError(
            f"Transcribing sound needs the Python package {error.name}, which is not installed, or ONNX Runtime and "
            "the networks that come with the extension: install either as the README says, or give a MIDI file.",
            ENVIRONMENT,
        ) from error


def listen(
    sound: np.ndarray,
    device: str,
    half: bool,
    overlap: float = OVERLAP_S,
    on_progress: Callable[[float], None] | None = None,
    backend: Backend = "torch",
) -> Score:
    """Run the network over windows that overlap by at least `overlap` s, and join what it hears.

    sound float32 [n] at 44100 Hz; `half` computes in bfloat16, which PyTorch does.
    """
    with memory_told(device):
        network = _network(backend, device, half)
    starts = _windows(len(sound), network.window, round(overlap * RATE / network.hop), network.hop)
    length = network.window
    tracks: dict[int, list[Event]] = defaultdict(list)
    first, previous = np.zeros(len(EVENTS), int), starts[0]
    for i, start in enumerate(starts):
        first = np.maximum(first - (start - previous), 0)
        previous = start
        window = _cut(sound, start * network.hop, length * network.hop)
        if np.abs(window).max() >= SILENT:
            with memory_told(device):
                features, choices, lone = network.listen(window)
                events, first = network.events(features, choices, lone, first)
            _join(tracks, events, start * network.hop / network.rate)
        else:
            first = np.zeros(len(EVENTS), int)
        if on_progress:
            on_progress((i + 1) / len(starts))
    return _score(tracks, len(sound) / network.rate)


_ready: "dict[tuple[Backend, str, bool], Network | OnnxNetwork]" = {}  # one at most, that nothing was heard with yet
_used: tuple[Backend, str, bool] | None = None  # what was listened with since make_ready


def make_ready() -> None:
    """While nobody waits: load the network that was used last, so that the next recording is listened to at once.

    Not the one that was used itself, which goes after its recording: ONNX Runtime holds 0.4 GB of working memory with
    it, and playing needs memory, too. And none on a graphics card, whose memory Blender renders with.
    """
    global _used
    used, _used = _used, None
    if used and used[1] == "cpu":
        _ready[used] = _load_network(*used)


def _network(backend: Backend, device: str, half: bool) -> "Network | OnnxNetwork":
    global _used
    _used = backend, device, half
    ready = _ready.pop(_used, None)
    _ready.clear()
    return ready or _load_network(backend, device, half)


def _load_network(backend: Backend, device: str, half: bool) -> "Network | OnnxNetwork":
    if backend == "onnx":
        return OnnxNetwork()
    from .network import Network

    return Network(device, half)


def _windows(samples: int, length: int, overlap: int, hop: int) -> list[int]:
    """First frames of the windows of `length` frames, evenly spread over the sound and the silence around it."""
    lead = round(LEAD_S * RATE / hop)
    spare = -(-samples // hop) + 2 * lead - length  # frames beyond one window
    count = 1 + max(0, -(-spare // (length - overlap)))
    return [-lead + round(i * spare / max(count - 1, 1)) for i in range(count)]


def _cut(sound: np.ndarray, start: int, length: int) -> np.ndarray:
    """`length` samples from `start`, zeros outside the sound."""
    inside = sound[max(start, 0) : start + length]
    return np.pad(inside, (max(-start, 0), length - len(inside) - max(-start, 0)))


def _join(tracks: dict[int, list[Event]], events: list[Event], begin: float) -> None:
    """Add a window's events to what was heard before; `begin` (s) is where the window begins in the sound.

    Where they overlap the later window knows better, since it hears how the note goes on.
    """
    for event in events:
        event.start = max(event.start + begin, 0.0)
        event.end = max(event.end + begin, event.start)
        heard = tracks[event.pitch]
        if heard and event.start < heard[-1].end:
            if event.has_start:
                heard[-1] = event
            else:
                heard[-1].has_end = event.has_end
                heard[-1].end = max(event.end, heard[-1].end)
        elif event.has_start:
            heard.append(event)


def _score(tracks: dict[int, list[Event]], length: float) -> Score:
    """Events to a Score; `length` (s) of the sound ends what is still held.

    transkun's note ends are the releases of the keys as it was trained on them; pedal presses are tracks of their own.
    """
    rows, pedal = [], []
    for pitch, events in tracks.items():
        if events:
            events[-1].has_end = True
        whole = [event for event in events if event.has_end]
        following = [event.start for event in whole[1:]] + [length]
        for event, limit in zip(whole, following[: len(whole)], strict=True):
            end = min(event.end, limit)
            if pitch == SUSTAIN:
                pedal.append((event.start, end))
            elif pitch > 0 and event.start < end:
                rows.append((event.start, end, pitch, max(event.velocity, 1)))
    notes = make_notes(*zip(*rows, strict=True)) if rows else np.zeros(0, NOTE)
    return Score(notes, join_spans(pedal))


def _content_hash(sound: np.ndarray, half: bool) -> str:
    """Name of a sound's cache entry: its samples and all that changes the result.

    Not the backend: in float32 both give the same notes but for rounding, as PyTorch alone does on two processors, and
    whoever changes from one to the other keeps the notes that there are.
    """
    settings = (VERSION, "transkun 2.0.1", half, OVERLAP_S, LEAD_S, SILENT)
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=16)
    digest.update(sound.data)
    return digest.hexdigest()


def _load(entry: Path) -> Heard | None:
    """A cache entry, None where there is none or it is broken (it is then made anew)."""
    try:
        with np.load(entry, allow_pickle=False) as data:
            notes, pedal = data["notes"], data["pedal"]
            made_by = data["runtime"] if "runtime" in data else np.array("")
    except (*UNREADABLE, MemoryError):
        return None
    if notes.dtype != NOTE or notes.ndim != 1 or pedal.dtype.kind != "f" or pedal.shape[1:] != (2,):
        return None
    if made_by.dtype.kind != "U" or made_by.ndim:
        return None
    finite = all(np.isfinite(times).all() for times in (notes["onset"], notes["offset"], pedal))
    on_piano = ((notes["pitch"] >= LOWEST) & (notes["pitch"] <= HIGHEST)).all()
    return Heard(Score(notes, pedal), str(made_by)) if finite and on_piano else None


def _save(heard: Heard, entry: Path) -> None:
    """Write a cache entry: whole or not at all; UserError when the folder refuses it."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(entry) as file:
            np.savez_compressed(file, notes=heard.score.notes, pedal=heard.score.pedal, runtime=heard.runtime)
    except OSError as error:
        raise UserError(
            f"The transcription cannot be kept in {entry.parent} ({error.strerror or error}); "
            "choose another cache folder or make room there."
        ) from error
