# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI files to notes and back."""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path

import mido
import numpy as np

from ..core.keyboard import HIGHEST, LOWEST
from ..core.notes import LEFT, NOTE, RIGHT, UNKNOWN, Score, make_notes
from ..errors import UserError
from .files import checked_file, whole_file

DRUMS = 9  # channel 10 in musicians' counting
SUSTAIN = 64  # controller number
PEDAL_DOWN = 64  # a half-pedalling value from here on counts as pressed, as General MIDI says
SAME_STROKE = 0.02  # s; no pianist strikes one key twice within this time, so two such notes are one stroke
SHORTEST = 0.01  # s; a note without length still needs a press
TICKS, TEMPO = 5000, 500_000  # what write_midi uses: 10 000 ticks a second, so times are kept to 0.05 ms

_RIGHT_NAME = re.compile(r"\b(right|rh|r\.h|droite|m\.?d|rechts|rechte|destra|upper|treble)\b", re.IGNORECASE)
_LEFT_NAME = re.compile(r"\b(left|lh|l\.h|gauche|m\.?g|links|linke|sinistra|lower|bass)\b", re.IGNORECASE)
_NO_TITLE = re.compile(r"(piano|hand|main|mano|\W|\d)*", re.IGNORECASE)  # what else a part named for a hand is called

Part = tuple[int, int]  # track, channel


def is_midi(path: str | Path) -> bool:
    """Whether the file is a MIDI file, by its name or its first bytes."""
    path = Path(path)
    if path.suffix.lower() in (".mid", ".midi", ".smf", ".kar"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"MThd"
    except OSError:
        return False


def read_midi(path: str | Path, on_warning: Callable[[str], None] | None = None) -> Score:
    """The notes and sustain pedal of a MIDI file, seconds from its beginning; drums are left out.

    Hands are known when every part (track and channel) is named for one (where all are named for the same one, for
    nothing else), or when there are exactly two parts, apart in pitch. `on_warning` hears one sentence about notes
    outside the 88 keys, which are left out.
    """
    path = checked_file(path)
    try:
        file = mido.MidiFile(path, clip=True)
        parts, pedals, names = _read_events(file)
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:  # what mido raises on broken files
        raise UserError(f"{path.name} is not a readable MIDI file ({error or 'it ends too early'}).") from error
    hands = _hands(parts, names)
    rows = [(*note, hands[part], UNKNOWN) for part, notes in parts.items() for note in notes]
    notes = make_notes(*zip(*rows, strict=True)) if rows else np.zeros(0, NOTE)
    outside = (notes["pitch"] < LOWEST) | (notes["pitch"] > HIGHEST)
    notes = _one_key_at_a_time(notes[~outside])
    if not len(notes):
        raise UserError(f"{path.name} has no notes that a piano can play.")
    if outside.any() and on_warning:
        on_warning(f"{path.name}: left out {outside.sum()} notes outside the 88 keys of a piano.")
    return Score(notes, join_spans([span for part in parts for span in pedals[part]]))


def write_midi(score: Score, path: str | Path) -> None:
    """Write a score as a format 1 file with a track for each hand; a reader sees the whole file or none."""
    path = Path(path)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=TEMPO)]))
    for channel, (hand, name) in enumerate([(RIGHT, "Right hand"), (LEFT, "Left hand"), (UNKNOWN, "Piano")]):
        notes = score.notes[score.notes["hand"] == hand]
        if len(notes):
            file.tracks.append(_track(name, channel, notes, score.pedal))
    with whole_file(path) as stream:
        file.save(file=stream)


def join_spans(spans: Iterable[tuple[float, float]]) -> np.ndarray:
    """Overlapping or touching [on, off] spans (s) joined and sorted: [K, 2]."""
    joined: list[list[float]] = []
    for on, off in sorted(spans):
        if joined and on <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], off)
        elif off > on:
            joined.append([on, off])
    return np.array(joined, float).reshape(-1, 2)


def _read_events(file: mido.MidiFile) -> tuple[dict[Part, list], dict[Part, list], dict[Part, str]]:
    """Per part: notes (onset, offset, pitch, velocity), pedal spans (s) and the track's name."""
    if file.type == 2:
        raise ValueError("its tracks are separate songs, format 2")
    seconds = _clock(file)
    parts, pedals, names = defaultdict(list), defaultdict(list), {}
    for t, track in enumerate(file.tracks):
        tick, name = 0, ""
        sounding: dict[tuple[Part, int], deque] = defaultdict(deque)  # onset tick and velocity, oldest first
        pedal_down: dict[Part, int] = {}
        for message in track:
            tick += message.time
            if message.type == "track_name":
                name = message.name
            if message.is_meta or not hasattr(message, "channel") or message.channel == DRUMS:
                continue
            part = (t, message.channel)
            if message.type == "note_on" and message.velocity:
                sounding[part, message.note].append((tick, message.velocity))
            elif message.type in ("note_on", "note_off"):
                if sounding[part, message.note]:
                    start, velocity = sounding[part, message.note].popleft()
                    parts[part].append((start, tick, message.note, velocity))
            elif message.type == "control_change" and message.control == SUSTAIN:
                if message.value >= PEDAL_DOWN:
                    pedal_down.setdefault(part, tick)
                elif part in pedal_down:
                    pedals[part].append((pedal_down.pop(part), tick))
        for (part, pitch), strokes in sounding.items():  # never released: held to the end of the track
            parts[part] += [(start, tick, pitch, velocity) for start, velocity in strokes]
        for part, start in pedal_down.items():
            pedals[part].append((start, tick))
        names |= {part: name for part in parts if part[0] == t}
    in_seconds = {p: [(seconds(a), seconds(b), *rest) for a, b, *rest in notes] for p, notes in parts.items()}
    for part, spans in pedals.items():
        pedals[part] = [(seconds(a), seconds(b)) for a, b in spans]
    return in_seconds, pedals, names


def _clock(file: mido.MidiFile) -> Callable[[int], float]:
    """Ticks to seconds; the tempo map may lie in any track."""
    division = file.ticks_per_beat
    if division < 0:  # SMPTE: minus frames a second in the high byte, ticks a frame in the low one
        rate = -(division >> 8) * (division & 0xFF)
        return lambda tick: tick / rate
    if division == 0:
        raise ValueError("its beats have no length")
    changes = {0: 500_000}  # MIDI's default, 120 beats a minute
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                changes[tick] = message.tempo
    ticks = np.array(sorted(changes))
    pace = np.array([changes[tick] for tick in ticks]) * 1e-6 / division  # s a tick
    starts = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * pace[:-1])])

    def seconds(tick: int) -> float:
        i = np.searchsorted(ticks, tick, side="right") - 1
        return float(starts[i] + (tick - ticks[i]) * pace[i])

    return seconds


def _hands(parts: dict[Part, list], names: dict[Part, str]) -> dict[Part, int]:
    """Which hand plays each part, UNKNOWN for all of them unless it is clear for all."""
    named = {}
    for part in parts:
        right, left = _RIGHT_NAME.search(names[part]), _LEFT_NAME.search(names[part])
        if bool(right) != bool(left):
            named[part] = RIGHT if right else LEFT
    both = len(set(named.values())) == 2
    if len(named) == len(parts) and (both or not any(_is_title(names[part]) for part in parts)):
        return named
    if len(parts) == 2:
        low, high = sorted(parts, key=lambda part: np.mean([note[2] for note in parts[part]]))
        apart = np.mean([note[2] for note in parts[high]]) - np.mean([note[2] for note in parts[low]])
        if apart >= 5:  # semitones; two parts closer than a fourth are as likely two voices of one hand
            return {low: LEFT, high: RIGHT}
    return dict.fromkeys(parts, UNKNOWN)


def _is_title(name: str) -> bool:
    """Whether more than a hand is named: a file's only track often has the song's title, which may say "left"."""
    return not _NO_TITLE.fullmatch(_LEFT_NAME.sub("", _RIGHT_NAME.sub("", name)))


def _one_key_at_a_time(notes: np.ndarray) -> np.ndarray:
    """Join doubled strokes of one key, and end each note at the latest where its key is struck again."""
    keep = np.ones(len(notes), bool)
    for pitch in np.unique(notes["pitch"]):
        previous = -1
        for i in np.flatnonzero(notes["pitch"] == pitch):
            notes["offset"][i] = max(notes["offset"][i], notes["onset"][i] + SHORTEST)
            if previous >= 0 and notes["onset"][i] - notes["onset"][previous] < SAME_STROKE:
                keep[i] = False
                notes["offset"][previous] = max(notes["offset"][previous], notes["offset"][i])
                notes["velocity"][previous] = max(notes["velocity"][previous], notes["velocity"][i])
                continue
            if previous >= 0:
                notes["offset"][previous] = min(notes["offset"][previous], notes["onset"][i])
            previous = i
    return notes[keep]


def _track(name: str, channel: int, notes: np.ndarray, pedal: np.ndarray) -> mido.MidiTrack:
    """One hand's notes and the pedal as delta-timed messages."""

    def tick(second: float) -> int:
        return round(second * TICKS * 1e6 / TEMPO)

    events = []  # tick, rank (releases first, then pedal, then strikes), message
    for note in notes:
        pitch, velocity = int(note["pitch"]), int(np.clip(note["velocity"], 1, 127))
        start = tick(note["onset"])
        stop = max(tick(note["offset"]), start + 1)
        events.append((start, 2, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
        events.append((stop, 0, mido.Message("note_off", channel=channel, note=pitch)))
    for on, off in pedal:
        for second, value in ((on, 127), (off, 0)):
            message = mido.Message("control_change", channel=channel, control=SUSTAIN, value=value)
            events.append((tick(second), 1, message))
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    before = 0
    for at, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=at - before))
        before = at
    return track
