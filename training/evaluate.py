# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How good models are: published metrics and our own on held-out clips, as REPORT.json and REPORT.md.

    python -m training.evaluate MODEL [MODEL ...] --data DIR --out REPORT [--pipeline]

MODEL is a model folder, DIR one in PianoMotion10M's layout. The raw motion of each model is compared with what the
clip's performer did; with --pipeline it also goes through the contact stage, beside the pianist without a model. Models
after the first are compared with the first, clip by clip.
"""

import argparse
import json
import sys
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from s2c_blender.core.motion import HandMotion
from s2c_blender.errors import BAD_ARGUMENTS, CANCELLED, UserError
from s2c_blender.generate import versions
from s2c_blender.model.config import FPS, ModelConfig
from s2c_blender.model.generator import Generator
from s2c_blender.model.style_codes import codes_seen
from s2c_blender.outputs import check_writable, whole_file
from s2c_blender.pianist.likeness import style_of

from . import layout
from .clips import performer_of
from .gesture_autoencoder import AUTOENCODER, PoseEncoder, read_encoder
from .players import PIANIST, STYLED, Scores, features_of, play
from .report import Column, Table, markdown
from .takes import Take, choose, read_take, shown_beside, windows

SOME = 16  # clips, if not said


def evaluate(
    models: list[Path],
    data: Path,
    *,
    split: str = "test",
    performers: Container[str] | None = None,
    seeds: int = 3,
    clips: int | None = SOME,
    seconds: float | None = 24.0,
    pipeline: bool = False,
    in_style: bool = False,
    unlabelled: bool = False,
    autoencoder: Path | None = AUTOENCODER,
    tell: Callable[[str], None] = lambda line: None,
) -> dict:
    """Everything the reports hold. UserError when a model cannot be used or no clip is left.

    `performers`: only clips by these, None for all; `clips`: how many at most, None for all; `seconds`: of each from
    its beginning, None for the whole clip; `in_style`: models that know styles play in the performer's, seen in another
    clip of theirs in the split, clips without another one are left out; `unlabelled`: which hand plays what is not
    told, as of a recording; `autoencoder`: the folder of FID2's network, None to leave it out. `tell` hears a line a
    clip and warnings.
    """
    generators = _generators(models)
    configs = [generator.config for generator in generators.values()]
    needs = {
        "sound": any(config.audio.encoder == "hubert" for config in configs),
        "notes": any(config.audio.encoder == "notes" for config in configs) or pipeline,
        "camera": any(config.frame.kind == "piano" for config in configs),
    }
    encoder = read_encoder(autoencoder) if autoencoder else None
    known = layout.read_split(data, split)
    names = choose([name for name in known if performers is None or performer_of(name) in performers], clips)
    takes: list[Take] = []
    raw: list[Scores] = []
    finished: list[Scores] = []
    skipped: dict[str, str] = {}
    for i, name in enumerate(names):
        try:
            take = read_take(data, name, seconds, **needs, unlabelled=unlabelled)
            if in_style:
                take = _in_style(take, shown_beside(data, name, known, seconds), generators)
        except UserError as error:
            skipped[name] = str(error)
            tell(f"{i + 1} of {len(names)}: left out. {error}")
            continue
        imagined, played = play(take, generators, range(seeds), encoder, pipeline)
        takes.append(take)
        raw.append(imagined)
        finished.append(played)
        tell(f"{i + 1} of {len(names)}: {name}")
    if not takes:
        first = f" The first: {next(iter(skipped.values()))}" if skipped else ""
        raise UserError(f"No clip of {split} in {data} could be used.{first}")
    real = [features_of(take.in_frame("piano"), encoder) for take in takes]
    with_first = [(name, next(iter(generators))) for name in list(generators)[1:]]
    pieces = [piece_of(take.name) for take in takes]
    tables = [_table("Raw motion, before contacts", raw, with_first, real, pieces)]
    if pipeline:
        others = (PIANIST, STYLED) if in_style else (PIANIST,)
        pairs = with_first + [(name, other) for other in others for name in generators]
        tables.append(_table("Finished motion, after contacts", finished, pairs, real, pieces))
    return {
        "models": {name: str(folder) for name, folder in zip(generators, models, strict=True)},
        "data": str(data),
        "split": split,
        "seeds": list(range(seeds)),
        "clips": [take.name for take in takes],
        "skipped": skipped,
        "windows": sum(len(windows(take.truth)) for take in takes),
        "notes": [
            f"Split {split} of {data}, {seeds} seeds.",
            *_notes(takes, configs, encoder),
            *(["Which hand plays what is found, as in recordings."] if unlabelled else []),
            *(["Styles are the performers' own, seen in another clip of theirs."] if in_style else []),
            *([f"{len(skipped)} clips were left out; they are listed at the end."] if skipped else []),
        ],
        "tables": [table.as_dict() for table in tables],
        "versions": versions(),
    }


def _in_style(take: Take, shown: HandMotion | None, generators: dict[str, Generator]) -> Take:
    """The take with its performer's styles, seen in another clip; UserError where there is none, or it shows none."""
    if shown is None:
        raise UserError(f"{take.name} has no other clip by its performer in which the style could be seen.")
    known = {name: one for name, one in generators.items() if one.config.audio.style.codes != "none"}
    codes = {name: codes_seen(shown, one.folder, one.config.audio.style) for name, one in known.items()}
    return replace(take, styles=style_of(shown), codes=codes)


def _generators(models: list[Path]) -> dict[str, Generator]:
    """Models by the names of their folders, by their paths where these are not unique."""
    names = [folder.resolve().name for folder in models]
    titles = names if len(set(names)) == len(names) else [str(folder) for folder in models]
    if len(set(titles)) < len(titles):
        raise UserError("The same model is named twice.", BAD_ARGUMENTS)
    return {title: Generator(folder) for title, folder in zip(titles, models, strict=True)}


def _table(
    title: str, scores: list[Scores], pairs: list[tuple[str, str]], real: list[np.ndarray], pieces: list[str]
) -> Table:
    columns = [Column(name, [of_clip[name] for of_clip in scores]) for name in scores[0]]
    return Table(title, [column for column in columns if column.names], pairs, real, pieces)


def piece_of(name: str) -> str:
    """The piece of a clip performer/piece/clip."""
    return "/".join(name.split("/")[1:-1])


def _notes(takes: list[Take], configs: list[ModelConfig], encoder: PoseEncoder | None) -> list[str]:
    """What must be known to read the tables, in a sentence each."""
    performers = sorted({take.name.split("/")[0] for take in takes})
    pieces = {piece_of(take.name) for take in takes}  # a piece may have several performers
    count = sum(len(windows(take.truth)) for take in takes)
    frames = sum(len(take.truth) for take in takes)
    notes = [
        f"{len(takes)} clips, {frames / FPS / 60:.1f} minutes, {count} windows of 8 s, {len(pieces)} pieces, "
        f"performers: {', '.join(performers)}."
    ]
    if any(take.camera is None for take in takes):
        notes.append("FID2, F_dist and figures of keys leave out clips that do not tell where their piano is.")
    if not all(take.has_notes for take in takes):
        notes.append("Figures of keys leave out clips without MIDI.")
    if encoder is None:
        notes.append("FID2 and F_dist are left out: no gesture autoencoder was given.")
    else:
        notes.append(f"FID2 depends on the number of windows: compare only figures of the same {count} windows.")
    if any(config.frame.kind == "camera" for config in configs):
        notes.append("mm of models in the camera's frame are thousandths of its unit, which is nearly a metre.")
    return notes


def write_reports(result: dict, out: Path) -> None:
    """OUT.json and OUT.md; UserError when they cannot be written."""
    for path, text in (
        (Path(f"{out}.json"), json.dumps(result, indent=1, allow_nan=False) + "\n"),
        (Path(f"{out}.md"), markdown(result)),
    ):
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model folders")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="clips in PianoMotion10M's layout")
    parser.add_argument("--out", type=Path, required=True, metavar="REPORT", help="REPORT.json and REPORT.md")
    parser.add_argument("--split", choices=layout.SPLITS, default="test", help="which clips (default: test)")
    parser.add_argument("--performers", nargs="+", metavar="NAME", help="only clips by these (default: all)")
    parser.add_argument("--seeds", type=_count, default=3, metavar="N", help="performances of a clip (default: 3)")
    parser.add_argument("--clips", type=_count, default=SOME, metavar="N", help=f"how many clips (default: {SOME})")
    parser.add_argument("--seconds", type=_count, default=24, metavar="S", help="of each clip (default: 24)")
    parser.add_argument("--pipeline", action="store_true", help="also after the contact stage (needs MIDI)")
    told = "in the performers' own style, seen in another clip of theirs, where a model knows styles"
    parser.add_argument("--in-style", action="store_true", help=told)
    told = "which hand plays what is to be found, as in recordings"
    parser.add_argument("--unlabelled", action="store_true", help=told)
    parser.add_argument("--autoencoder", type=Path, default=AUTOENCODER, metavar="DIR", help="of FID2")
    parser.add_argument("--threads", type=_count, metavar="N", help="of PyTorch")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        for suffix in (".json", ".md"):
            check_writable(Path(f"{options.out}{suffix}"))
        result = evaluate(
            options.models,
            options.data,
            split=options.split,
            performers=options.performers,
            seeds=options.seeds,
            clips=options.clips,
            seconds=options.seconds,
            pipeline=options.pipeline,
            in_style=options.in_style,
            unlabelled=options.unlabelled,
            autoencoder=options.autoencoder,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
        write_reports(result, options.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return CANCELLED
    print(markdown(result))
    return 0


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


_count.__name__ = "count"  # what argparse calls it

if __name__ == "__main__":
    sys.exit(main())
