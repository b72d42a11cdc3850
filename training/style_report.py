# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a model move in the styles that it is told? REPORT.json and REPORT.md.

    python -m training.style_report MODEL --data DIR --out REPORT [--clips 8] [--seconds 16] [--seeds 3]

On pieces of the split "test". Judges of each part, trained on the performers' own motion of the split "train", name who
moves in the model's raw motion; one part's style is swapped; styles of performers that the model has never seen are
looked for in five seconds of theirs; and strokes are compared with the music's loudness and density.
"""

import argparse
import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score
from s2c_blender.core.style import PARTS, PERFORMERS
from s2c_blender.errors import BAD_ARGUMENTS, CANCELLED, UserError
from s2c_blender.model.config import FPS
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator
from s2c_blender.model.seen import seen_in
from s2c_blender.model.style_codes import codes_of, encode, load_encoder
from s2c_blender.outputs import check_writable, whole_file
from s2c_blender.pianist import Performer, Report, fingered, perform

from .clips import Motion, performer_of
from .dataset import MotionData
from .lessons import Lesson
from .performers import HELD_OUT, KNOWN
from .pipeline_metrics import at_30
from .style_data import ExcerptData
from .style_metrics import Judge, correlations, nearest_performer, responses, statistics

SIDES = (LEFT, RIGHT)
_STYLES = 4  # performers asked for on each clip


@dataclass(frozen=True)
class Playing:
    """A model, and how long it plays the beginnings of clips."""

    generator: Generator
    frames: int

    def codes(self, told: dict) -> np.ndarray:
        """Codes of a style."""
        return codes_of(told, self.generator.folder, self.generator.config.audio.style)

    def play(self, clip: Lesson, codes: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions [2, N, 3] and poses [2, N, 48] of the clip's music."""
        frames = min(self.frames, len(clip))
        return self.generator.generate(Recording(clip.score, style=codes), frames, seed)


def report(
    folder: Path, data: Path, clips: int, seconds: float, seeds: int, tell: Callable[[str], None] = lambda line: None
) -> dict:
    """Everything the report holds; UserError for a model without styles, and without clips."""
    generator = Generator(folder)
    config = generator.config
    if config.audio.style.codes != "parts":
        raise UserError(f"The model in {folder} knows no styles part by part.", BAD_ARGUMENTS)
    learned = ExcerptData(MotionData.load(data, "train", config))
    held_out = MotionData.load(data, "test", config).clips
    known = [clip for clip in held_out if performer_of(clip.name) in KNOWN]
    unknown = [clip for clip in held_out if performer_of(clip.name) in HELD_OUT]
    encoder = load_encoder(folder)
    named = [clip for clip in learned.clips if performer_of(clip.name) in KNOWN]
    result = {"nearest": nearest_performer(lambda seen: encode(encoder, seen, config.audio.style), named, unknown)}
    tell(f"5 s of unseen performers nearest to their own: {result['nearest']}")
    judge = Judge(learned, tell)
    result["chance"] = 1 / len(judge.names)
    playing = Playing(generator, round(seconds * FPS))
    chosen = [_as_found(clip) for clip in held_out[:: max(len(held_out) // clips, 1)][:clips]]
    result |= asked(playing, judge, chosen, tell)
    if "performers" not in result:
        result["performers"] = _named(judge, [(c, c.positions, c.poses, performer_of(c.name)) for c in known])
    result |= _swapped(playing, judge, chosen, seeds, tell)
    return result | {"clips": len(chosen), "seconds": seconds, "seeds": seeds}


def _named(judge: Judge, played: list[tuple[Lesson, np.ndarray, np.ndarray, str]]) -> dict[str, float]:
    """Share of the hands of which the judge names the right performer, part by part."""
    right = defaultdict(list)
    for clip, positions, poses, who in played:
        for side in SIDES:
            names = judge.names_of(seen_in(positions[side], poses[side], clip.score, side))
            for part, name in zip(PARTS, names, strict=True):
                right[part].append(name == who)
    return {part: float(np.mean(values)) for part, values in right.items()}


def asked(playing: Playing, judge: Judge, clips: list[Lesson], tell) -> dict:
    """Each clip's music by several performers: who is named, and how strokes answer the music.

    Beside it the same of what these performers themselves play where they are simulated; else only the strokes, of
    those who are heard in the clips.
    """
    turn = itertools.cycle(judge.names)
    simulated = set(judge.names) <= set(PERFORMERS)
    played, performed, ours, truth = [], [], [], []
    for clip in clips:
        frames = min(playing.frames, len(clip))
        for who in itertools.islice(turn, _STYLES):
            positions, poses = playing.play(clip, playing.codes({"both": who}), seed=0)
            played.append((clip, positions, poses, who))
            ours += _responses(positions, poses, clip.score)
            if simulated:
                motion = _performed(clip.score, frames, who)
                performed.append((clip, motion.positions, motion.poses, who))
                truth += _responses(motion.positions, motion.poses, clip.score)
        if not simulated:
            truth += _responses(clip.positions[:, :frames], clip.poses[:, :frames], clip.score)
        tell(f"{clip.name}: {len(played)} performances")
    result = {
        "asked": _named(judge, played),
        "hands": len(played) * len(SIDES),
        "correlations": {"performers": correlations(truth), "model": correlations(ours)},
    }
    return result | ({"performers": _named(judge, performed)} if simulated else {})


def _as_found(clip: Lesson) -> Lesson:
    """The clip with the fingers that are found for its notes, as when the model is used, not the performer's."""
    notes = clip.score.notes.copy()
    notes["finger"] = UNKNOWN
    return replace(clip, score=fingered(replace(clip.score, notes=notes))[0])


def _performed(score: Score, frames: int, who: str) -> Motion:
    """The music as a simulated performer plays it, with the fingers that the model is told."""
    performer = Performer.of(PERFORMERS[who])
    motion, _ = perform(score.cut(0.0, frames / FPS), performer=performer, fps=FPS, report=Report())
    return at_30(motion, frames)


def _responses(positions: np.ndarray, poses: np.ndarray, score: Score) -> list[np.ndarray]:
    return [responses(positions[side], poses[side], score, side) for side in SIDES]


def _swapped(playing: Playing, judge: Judge, clips: list[Lesson], seeds: int, tell) -> dict:
    """One part of both hands is given another performer's style; played with other seeds than before.

    `named`: how often the judge then names the other performer in that part, `kept`: the first one in the rest.
    `moved` and `others`: by how many spreads between seeds the statistics of that part and of the rest changed,
    `alone`: by how many they change with the other seeds alone.
    """
    named, kept, moved, others, alone = [], [], [], [], []
    pairs = itertools.cycle(itertools.permutations(judge.names, 2))
    for number, clip in enumerate(clips):
        first, second = next(itertools.islice(pairs, 7, None))
        part = number % len(PARTS)
        base, other = (playing.codes({"both": who}) for who in (first, second))
        swapped = base.copy()
        swapped[:, part] = other[:, part]
        runs = ((base, 0), (swapped, seeds), (base, seeds))
        played = [[playing.play(clip, codes, begin + seed) for seed in range(seeds)] for codes, begin in runs]
        for side in SIDES:
            before, after, again = (
                [seen_in(p[side], q[side], clip.score, side) for p, q in performances] for performances in played
            )
            names = [judge.names_of(one) for one in after]
            named += [one[part] == second for one in names]
            kept += [name == first for one in names for i, name in enumerate(one) if i != part]
            for i, change in enumerate(_changes(before, after)):
                (moved if i == part else others).append(change)
            alone += _changes(before, again)
        tell(f"{clip.name}: {PARTS[part]} of {first} swapped for {second}'s")
    told = {"named": named, "kept": kept, "moved": moved, "others": others, "alone": alone}
    return {"swapped": {name: float(np.mean(values)) for name, values in told.items()}}


def _changes(before: list[np.ndarray], after: list[np.ndarray]) -> list[float]:
    """By how many spreads between seeds each part's statistics differ, in the median over them."""
    found = []
    for old, new in zip(
        *(map(np.array, zip(*map(statistics, one), strict=True)) for one in (before, after)), strict=True
    ):
        spread = np.sqrt((old.var(axis=0, ddof=1) + new.var(axis=0, ddof=1)) / 2) + 1e-9
        found.append(float(np.median(np.abs(new.mean(axis=0) - old.mean(axis=0)) / spread)))
    return found


def markdown(result: dict) -> str:
    """The report as tables."""
    percent = "{:.0%}".format
    lines = ["| performer named right | " + " | ".join(PARTS) + " |", "|---|" + "---|" * len(PARTS)]
    rows = ("performers' own motion", "performers"), (f"the model, asked for them ({result['hands']} hands)", "asked")
    for label, row in rows:
        lines.append(f"| {label} | " + " | ".join(percent(result[row][part]) for part in PARTS) + " |")
    lines += [f"| chance | {' | '.join([percent(result['chance'])] * len(PARTS))} |", ""]
    nearest, swapped = result["nearest"], result["swapped"]
    lines += [
        f"Five seconds of performers that were never seen are nearest to their own performer in "
        f"{percent(nearest['unknown'])} of the clips, of known ones in {percent(nearest['known'])}.",
        "",
        f"One part swapped: the new performer is named in {percent(swapped['named'])}, the old one in the other parts "
        f"in {percent(swapped['kept'])}; statistics move by {swapped['moved']:.1f} spreads between seeds in that part, "
        f"by {swapped['others']:.1f} in the others, by {swapped['alone']:.1f} with other seeds alone.",
        "",
        "| r | performers | model |",
        "|---|---|---|",
    ]
    both = result["correlations"]
    lines += [f"| {name} | {both['performers'][name]:.2f} | {both['model'][name]:.2f} |" for name in both["model"]]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.style_report", description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="clips in PianoMotion10M's layout")
    parser.add_argument("--out", type=Path, required=True, metavar="REPORT", help="of REPORT.json and REPORT.md")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=16.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        if given.clips < 1 or given.seeds < 2 or given.seconds < 8:
            raise UserError("Give at least one clip, two seeds and 8 s.", BAD_ARGUMENTS)
        torch.set_num_threads(given.threads)
        paths = [given.out.with_suffix(suffix) for suffix in (".json", ".md")]
        for path in paths:
            check_writable(path)
        result = report(given.model, given.data, given.clips, given.seconds, given.seeds, tell)
        for path, text in zip(paths, (json.dumps(result, indent=1) + "\n", markdown(result)), strict=True):
            with whole_file(path) as file:
                file.write_text(text, encoding="utf-8")
    except UserError as error:
        tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return CANCELLED
    print(markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
