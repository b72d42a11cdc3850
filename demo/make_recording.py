# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the bundled recording: Beethoven, Für Elise (WoO 59, 1810), bars 1-7 and 22-32, played by this script.

    python -m demo.make_recording        from the repository's root; needs the programme fluidsynth

Bar 7 leads as well into bar 22, the second ending before the F major part, as into bar 8; so half a minute shows both
the arpeggios everyone knows and the scales, chords and quick broken chords of the middle. The notes are typed in here,
the touch (timing, dynamics, pedal) is this script's. Sound: FluidR3 GM by Frank Wen, MIT licence, in Debian's package
fluid-soundfont-gm.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from s2c_blender.audio.midi import write_midi
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes

SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
BAR = 12  # thirty-second notes in a 3/8 bar, the unit of the durations below
START = 0.6  # s of silence before the first note
GRACE = 0.075  # s, length of a small note
SEED = 59

# One line a bar: NAME+NAME.duration, "-" for a rest, a trailing "*" for small notes played before the beat.
RIGHT_HAND = """
-.8 E5.2 D#5.2
E5.2 D#5.2 E5.2 B4.2 D5.2 C5.2
A4.4 -.2 C4.2 E4.2 A4.2
B4.4 -.2 E4.2 G#4.2 B4.2
C5.4 -.2 E4.2 E5.2 D#5.2
E5.2 D#5.2 E5.2 B4.2 D5.2 C5.2
A4.4 -.2 C4.2 E4.2 A4.2
B4.4 -.2 E4.2 C5.2 B4.2
A4.4 -.2 E4+C5.2 F4+C5.2 E4+G4+C5.2
F4* A4* C5.8 F5.3 E5.1
E5.4 D5.4 Bb5.3 A5.1
A5.2 G5.2 F5.2 E5.2 D5.2 C5.2
Bb4.4 A4.4 Bb4* A4.1 G4.1 A4.1 Bb4.1
C5.8 D5.2 D#5.2
E5.6 E5.2 F5.2 A4.2
C5.8 D5.3 B4.1
C5.1 G5.1 G4.1 G5.1 A4.1 G5.1 B4.1 G5.1 C5.1 G5.1 D5.1 G5.1
E5.1 G5.1 C6.1 B5.1 A5.1 G5.1 F5.1 E5.1 D5.1 G5.1 F5.1 D5.1
C5.12
"""
LEFT_HAND = """
-.12
-.12
A2.2 E3.2 A3.2 -.6
E2.2 E3.2 G#3.2 -.6
A2.2 E3.2 A3.2 -.6
-.12
A2.2 E3.2 A3.2 -.6
E2.2 E3.2 G#3.2 -.6
A2.2 E3.2 A3.2 Bb3+C4.2 A3+C4.2 G3+Bb3+C4.2
F3.2 A3.2 C4.2 A3.2 C4.2 A3.2
F3.2 Bb3.2 D4.2 Bb3.2 D4.2 Bb3.2
F3.2 E4.2 F3+G3+Bb3.2 E4.2 F3+G3+Bb3.2 E4.2
F3.2 A3.2 C4.2 A3.2 C4.2 A3.2
F3.2 A3.2 C4.2 A3.2 C4.2 A3.2
E3.2 A3.2 C4.2 A3.2 D3+D4.2 F3.2
G3.2 E4.2 G3.2 E4.2 G3.2 F4.2
C4+E4.4 -.2 F4+G4.2 E4+G4.2 D4+F4+G4.2
C4+E4+G4.4 F3+A3.4 G3+B3.4
C4.12
"""
# Where the sustain pedal goes down and up: bar, thirty-second in the bar, bar, thirty-second.
PEDAL = [
    *((bar, 0, bar, 9) for bar in (2, 3, 4, 6, 7)),
    (8, 0, 8, 5),
    *((bar, part, bar, part + 5) for bar in (9, 10, 12, 13) for part in (0, 6)),
    *[(14, 0, 14, 7), (14, 8, 14, 11), (15, 0, 15, 11), (16, 0, 16, 3), (17, 0, 17, 3), (18, 0, 18, 12)],
]
# Length of a bar, s, at its beginning; between them the tempo glides. Phrases breathe at their ends.
TEMPO = [
    1.52,
    1.34,
    1.29,
    1.30,
    1.31,
    1.29,
    1.29,
    1.36,
    1.42,
    1.34,
    1.32,
    1.30,
    1.34,
    1.32,
    1.30,
    1.36,
    1.42,
    1.42,
    1.9,
]
# Loudness of the right hand at each bar's beginning, MIDI velocity; the left stays below it.
LOUDNESS = [44, 50, 56, 54, 58, 52, 56, 54, 50, 66, 70, 76, 62, 64, 72, 66, 62, 70, 56, 50]
LEFT_SOFTER = 12


def bars_of(text: str) -> list[list[tuple[int, int, list[int]]]]:
    """Each bar's strokes: place and duration in thirty-seconds (duration 0: a small note), MIDI pitches."""
    bars = []
    for number, line in enumerate(text.split("\n")[1:-1]):
        place, strokes = 0, []
        for word in line.split():
            names, _, length = word.rstrip("*").partition(".")
            duration = int(length or 0)
            if names != "-":
                strokes.append((place, duration, [pitch_of(name) for name in names.split("+")]))
            place += duration
        if place != BAR:
            raise ValueError(f"bar {number} lasts {place} thirty-seconds: {line}")
        bars.append(strokes)
    return bars


def pitch_of(name: str) -> int:
    """MIDI number of a note name: C4 is 60."""
    step = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[name[0]]
    return step + {"#": 1, "b": -1}.get(name[1], 0) + 12 * (int(name[-1]) + 1)


def clock() -> np.ndarray:
    """Times (s) of every thirty-second of the piece, gliding between the bars' tempos; [bars * 12 + 1]."""
    places = np.arange(len(TEMPO) * BAR) / BAR
    steps = np.interp(places, np.arange(len(TEMPO)), TEMPO) / BAR
    times = np.concatenate([[0.0], np.cumsum(steps)])
    first = next(place for place, _, _ in bars_of(RIGHT_HAND)[0])
    return times - times[first] + START


def play() -> Score:
    """The performance: both hands' notes and the pedal."""
    random, times, rows = np.random.default_rng(SEED), clock(), []
    for hand, text in ((RIGHT, RIGHT_HAND), (LEFT, LEFT_HAND)):
        for bar, strokes in enumerate(bars_of(text)):
            for i, (place, duration, pitches) in enumerate(strokes):
                at = bar * BAR + place
                small_ones = sum(length == 0 for _, length, _ in strokes[i:]) if duration == 0 else 0
                rows += _stroke(random, times, hand, at, duration, pitches, small_ones)
    pedal = [
        (times[a * BAR + b] + 0.05 + random.normal(0, 0.01), times[c * BAR + d] - 0.02 + random.normal(0, 0.01))
        for a, b, c, d in PEDAL
    ]
    notes = make_notes(*zip(*rows, strict=True))
    for pitch in np.unique(notes["pitch"]):  # a key has to come up before it is struck again
        same = np.flatnonzero(notes["pitch"] == pitch)
        notes["offset"][same[:-1]] = np.minimum(notes["offset"][same[:-1]], notes["onset"][same[1:]] - 0.04)
    return Score(notes, np.array(pedal))


def _stroke(
    random: np.random.Generator, times: np.ndarray, hand: int, at: int, duration: int, pitches: list[int], ahead: int
) -> list[tuple]:
    """The notes of one chord or note; `ahead` small notes, itself included, remain before the beat."""
    onset = times[at] - ahead * GRACE + random.normal(0, 0.005)
    length = (times[at + duration] - times[at]) if duration else GRACE
    loud = np.interp(at / BAR, np.arange(len(LOUDNESS)), LOUDNESS) - LEFT_SOFTER * (hand == LEFT) - 8 * (duration == 0)
    if hand == RIGHT and at % BAR == 0:
        loud += 4  # a bar's first note carries the line
    rows = []
    for order, pitch in enumerate(sorted(pitches, reverse=True)):
        # The top note leads its chord a little and sings above it; quick notes are not quite bound, slow ones overlap.
        begin = onset + order * abs(random.normal(0.006, 0.003))
        bound = 1.04 if duration > 1 else 0.92
        velocity = int(np.clip(loud - 6 * (order > 0) + random.normal(0, 2.5), 20, 110))
        rows.append((begin, begin + bound * length, pitch, velocity, hand, UNKNOWN))
    return rows


def render(midi: Path, flac: Path, soundfont: str) -> None:
    """Let fluidsynth play the MIDI file; the FLAC peaks at -1.5 dB and ends in silence."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "take.wav"
        command = ["fluidsynth", "-ni", "-g", "0.8", "-r", "44100", "-o", "synth.chorus.active=0"]
        subprocess.run([*command, "-F", str(wav), soundfont, str(midi)], check=True, capture_output=True)
        sound, rate = soundfile.read(wav)
    end = int((clock()[-1] + 1.5) * rate)
    sound = sound[:end] * np.minimum(1.0, (len(sound[:end]) - np.arange(len(sound[:end]))) / (0.8 * rate))[:, None]
    soundfile.write(flac, sound * 10 ** (-1.5 / 20) / np.abs(sound).max(), rate, subtype="PCM_16")


def main() -> None:
    """Write fur_elise.mid and fur_elise.flac beside this script, or where --out says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soundfont", default=SOUNDFONT, help="an .sf2 file with a grand piano as its first preset")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    options = parser.parse_args()
    midi, flac = options.out / "fur_elise.mid", options.out / "fur_elise.flac"
    write_midi(play(), midi)
    render(midi, flac, options.soundfont)
    print(f"{midi}, {flac}: {soundfile.info(flac).duration:.1f} s")


if __name__ == "__main__":
    main()
