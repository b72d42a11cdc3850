# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks hear: what the fingers play at 30 fps, or the normalised waveform. NumPy only."""

from dataclasses import dataclass

import numpy as np

from ..audio.read import resample_blocks
from ..core.keyboard import HIGHEST, is_black, key_x
from ..core.notes import Score
from .config import FPS, AudioConfig, ModelConfig
from .cues import CUES, OF_HAND, cues
from .parts import codes_of

HALF_KEYBOARD = float(key_x(HIGHEST))  # m, from the middle to the last key
OF_FINGER = 8  # stroke; held, key, colour; how near the next key is, and which; how near the last one, and which
NOTE_FEATURES = 2 * 5 * OF_FINGER + 1  # fingers and the pedal
AHEAD = 4.0  # s: later or longer ago, a finger's next and last keys do not count
HALF_NEAR = 0.3  # s after which a key is half as near
AUDIO_RATE = 16000  # Hz, HuBERT's
BLOCK = 20  # s resampled at a time


@dataclass(frozen=True)
class Recording:
    """What is to be played: its notes, and its sound where the audio encoder needs it (mono, 16 kHz, normalised)."""

    score: Score
    samples: np.ndarray | None = None
    style: np.ndarray | None = None  # [2, parts, width] codes of the style; None: nobody's in particular
    expression: float = 1.0  # how much the hands respond to rhythm and emotion, 1 as the performers do


def window_input(config: ModelConfig, recording: Recording, first: int, frames: int) -> np.ndarray:
    """What an audio encoder (encoders.py) gets for the frames [first, first + frames), float32.

    "notes": the finger roll, then where the model knows them the cues and in every frame the style's codes, the left
    hand's first, each followed by a 1, or zeros for nobody's in particular; [frames, notes_width]. "hubert": the
    samples [frames * AUDIO_RATE / FPS] of the recording's normalised sound, then silence.

    Raises ValueError when the configured encoder needs sound and the recording has none.
    """
    audio = config.audio
    if audio.encoder == "notes":
        told = [finger_roll(recording.score, first, frames)]
        if audio.cues:
            told.append(recording.expression * cues(recording.score, first, frames))
        told.append(np.tile(told_style(audio, recording.style).ravel(), (frames, 1)))
        return np.concatenate(told, axis=1, dtype=np.float32)
    if recording.samples is None:
        raise ValueError("this model listens to sound, and the recording has only notes")
    start, length = first * AUDIO_RATE // FPS, frames * AUDIO_RATE // FPS
    part = recording.samples[start : start + length]
    return np.pad(part, (0, length - len(part))).astype(np.float32, copy=False)


def notes_width(audio: AudioConfig) -> int:
    """Channels of what `window_input` gives an encoder of notes."""
    return NOTE_FEATURES + audio.cues * CUES + 2 * style_width(audio)


def style_width(audio: AudioConfig) -> int:
    """Channels that tell the style of one hand: its parts' codes, and of each whether it is known."""
    return codes_of(audio.style) * (audio.style.width + 1)


def told_style(audio: AudioConfig, codes: np.ndarray | None) -> np.ndarray:
    """Codes [2, parts, width] as networks get them, [2, parts, width + 1] float32; a part that is not a number (nan)
    moves in nobody's style in particular."""
    told = np.zeros((2, codes_of(audio.style), audio.style.width + 1), np.float32)
    if codes is not None:
        known = np.isfinite(codes).all(axis=2)
        told[known, :-1], told[known, -1] = codes[known], 1.0
    return told


def of_hand(audio: AudioConfig, side: int) -> tuple[list[int], list[int]]:
    """Channels of a window's notes that tell a hand's cues, its own and the shared ones, and its style."""
    begin, width = NOTE_FEATURES + CUES, style_width(audio)
    own = range(NOTE_FEATURES + side * OF_HAND, NOTE_FEATURES + (side + 1) * OF_HAND)
    return [*own, *range(NOTE_FEATURES + 2 * OF_HAND, begin)], [
        *range(begin + side * width, begin + (side + 1) * width)
    ]


def finger_roll(score: Score, first: int, frames: int) -> np.ndarray:
    """What every finger does, [frames, NOTE_FEATURES] float32 at 30 fps, frame i at second (first + i) / 30.

    Left hand first, thumb to little finger, `OF_FINGER` numbers a finger, then the sustain pedal. Stroke: velocity /
    127 shared between the two frames around the onset in proportion to their nearness, so that their sum tells loudness
    and their balance the time within the frame. Held: the share of the frame's time (1/30 s around it) for which the
    finger holds a key down; and, times this share, the key's x in half keyboards, and 1 for a black key. Next: how near
    the finger's next stroke is, 1 at once and less the later it is, and its key's x times that; last: the same since
    the finger left its last key. Notes without hand or finger are left out: pianist.fingered finds them.
    """
    roll = np.zeros((frames, NOTE_FEATURES), np.float32)
    fingers = roll[:, :-1].reshape(frames, 10, OF_FINGER)
    notes = score.notes
    start, stop = notes["onset"] * FPS - first, notes["offset"] * FPS - first  # frames of the roll
    near = (stop > -AHEAD * FPS) & (start < frames + AHEAD * FPS)
    for finger in range(10):
        mine = near & (notes["hand"] == finger // 5) & (notes["finger"] == finger % 5)
        _add_finger(fingers[:, finger], notes[mine], start[mine], stop[mine])
    pedal = score.pedal * FPS - first
    for on, off in pedal[(pedal[:, 1] > -1) & (pedal[:, 0] < frames + 1)]:
        low, share = _shares(on, off, frames)
        roll[low : low + len(share), -1] += share
    return roll


def _add_finger(track: np.ndarray, notes: np.ndarray, start: np.ndarray, stop: np.ndarray) -> None:
    """One finger's numbers [frames, OF_FINGER]; its notes begin and end at `start` and `stop` (frames)."""
    if not len(notes):
        return
    frames = len(track)
    x = key_x(notes["pitch"]) / HALF_KEYBOARD
    for note, place, begin, end in zip(notes, x, start, stop, strict=True):
        before = int(np.floor(begin))
        for frame, share in ((before, 1.0 - (begin - before)), (before + 1, begin - before)):
            if 0 <= frame < frames:
                track[frame, 0] += note["velocity"] / 127.0 * share
        low, share = _shares(begin, end, frames)
        key = np.array([1.0, place, is_black(note["pitch"])], np.float32)
        track[low : low + len(share), 1:4] += share[:, None] * key
    time = np.arange(frames)
    for column, which, wait in (
        (4, np.searchsorted(start, time), lambda n: start[n] - time),
        (6, np.searchsorted(stop, time, side="right") - 1, lambda n: time - stop[n]),
    ):
        known = (which >= 0) & (which < len(notes))
        which = np.clip(which, 0, len(notes) - 1)
        seconds = np.maximum(wait(which), 0.0) / FPS
        nearness = np.where(known & (seconds <= AHEAD), HALF_NEAR / (HALF_NEAR + seconds), 0.0)
        track[:, column], track[:, column + 1] = nearness, nearness * x[which]


def _shares(start: float, end: float, frames: int) -> tuple[int, np.ndarray]:
    """The first of the frames 0 to `frames` that [start, end] (frames) touches, and the share of each that it fills."""
    low, high = max(int(np.floor(start + 0.5)), 0), min(int(np.ceil(end + 0.5)), frames)
    edges = np.arange(low, max(high, low) + 1) - 0.5
    return low, np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, 1.0).astype(np.float32)


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
