# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks hear: the notes as a roll at 30 fps, or the normalised waveform. NumPy only."""

from dataclasses import dataclass

import numpy as np

from ..audio.read import resample_blocks
from ..core.keyboard import HIGHEST, LOWEST
from ..core.notes import LEFT, RIGHT, UNKNOWN, Score
from .config import FPS, ModelConfig

KEYS = HIGHEST - LOWEST + 1
NOTE_FEATURES = 4 * KEYS + 1  # onsets of the left hand, of the right, sustains of the left, of the right; pedal
AUDIO_RATE = 16000  # Hz, HuBERT's
BLOCK = 20  # s resampled at a time


@dataclass(frozen=True)
class Recording:
    """What is to be played: its notes, and its sound where the audio encoder needs it (mono, 16 kHz, normalised)."""

    score: Score
    samples: np.ndarray | None = None


def window_input(config: ModelConfig, recording: Recording, first: int, frames: int) -> np.ndarray:
    """What an audio encoder (encoders.py) gets for the frames [first, first + frames), float32.

    "notes": the note roll [frames, NOTE_FEATURES]. "hubert": the samples [frames * AUDIO_RATE / FPS] of the recording's
    normalised sound, then silence.

    Raises ValueError when the configured encoder needs sound and the recording has none.
    """
    if config.audio.encoder == "notes":
        return note_roll(recording.score, first, frames)
    if recording.samples is None:
        raise ValueError("this model listens to sound, and the recording has only notes")
    start, length = first * AUDIO_RATE // FPS, frames * AUDIO_RATE // FPS
    part = recording.samples[start : start + length]
    return np.pad(part, (0, length - len(part))).astype(np.float32, copy=False)


def note_roll(score: Score, first: int, frames: int) -> np.ndarray:
    """The notes as [frames, NOTE_FEATURES] float32 at 30 fps, frame i at second (first + i) / 30.

    A note is in the rolls of the hand that plays it, one whose hand is not known in both. Onsets, a key each:
    velocity / 127 shared between the two frames around the onset in proportion to their nearness, so that their sum
    tells loudness and their balance the time within the frame. Sustains: the share of each frame's time (1/30 s around
    it) for which the key is down. Pedal: the same for the sustain pedal.
    """
    roll = np.zeros((frames, NOTE_FEATURES), np.float32)
    notes = score.notes
    key = notes["pitch"].astype(int) - LOWEST
    place = notes["onset"] * FPS - first
    before = np.floor(place).astype(int)
    near = place - before
    for side in (LEFT, RIGHT):
        mine = (notes["hand"] == side) | (notes["hand"] == UNKNOWN)
        for frame, share in ((before, 1.0 - near), (before + 1, near)):
            inside = mine & (frame >= 0) & (frame < frames)
            np.add.at(roll, (frame[inside], side * KEYS + key[inside]), (notes["velocity"] / 127.0 * share)[inside])
        for i in np.flatnonzero(mine & (notes["offset"] * FPS > first - 1) & (place < frames)):
            _cover(roll[:, (2 + side) * KEYS + key[i]], place[i], notes["offset"][i] * FPS - first)
    for on, off in score.pedal:
        _cover(roll[:, -1], on * FPS - first, off * FPS - first)
    return roll


def _cover(track: np.ndarray, start: float, end: float) -> None:
    """Add to each frame of `track` [N] the share of its time within [start, end] (frames); at most 1 in all."""
    low, high = max(int(np.floor(start + 0.5)), 0), min(int(np.ceil(end + 0.5)), len(track))
    if low < high:
        edges = np.arange(low, high + 1) - 0.5
        inside = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, 1.0)
        track[low:high] = np.minimum(track[low:high] + inside, 1.0)


def hearable(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mono samples [L] at `rate` Hz as HuBERT hears them: 16 kHz, mean 0, variance 1 (parity fact 3.1), float32.

    The whole recording is normalised at once: its windows keep their loudness relative to each other, as the clips of a
    training batch do in the release. A recording of one window is normalised exactly as the release does it.
    """
    blocks = (samples[first : first + BLOCK * rate] for first in range(0, len(samples), BLOCK * rate))
    return normalised(np.concatenate(list(resample_blocks(blocks, rate, AUDIO_RATE))))


def normalised(samples: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 over all of `samples`, float32 (parity fact 3.1)."""
    deviation = samples - np.float32(samples.mean(dtype=np.float64))
    variance = np.vdot(deviation, deviation) / deviation.size  # hours of sound: no squared copy of them
    deviation /= np.float32(np.sqrt(variance + 1e-7))
    return deviation
