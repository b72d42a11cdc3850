# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is part-aware style worth it? Trained alike: with it, without part-aware attention, with one code for the whole hand.

    python -m training.style_ablation CONFIG --data DIR --out DIR [--seeds 3]

All have about as many gesture parameters and are told the performers' styles. OUT/ablation.json and .md are as those of
training.ablation; besides, they say how often judges of each part (style_metrics.Judge) name the performer whom the
model was asked for.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.config import FPS, ModelConfig
from s2c_blender.model.generator import Generator

from . import ablation
from .dataset import MotionData
from .settings import Training, read_training
from .style_data import ExcerptData
from .style_metrics import Judge
from .style_report import Playing, asked
from .train import MODEL, Job

BASE, PLAIN, WHOLE = "part-aware", "without part-aware attention", "one code for the hand"
JUDGED, SECONDS = 8, 16  # clips on which performers are asked for, s of each


def variant(config: ModelConfig, name: str) -> ModelConfig:
    """The model of a variant, with about as many parameters."""
    if name == BASE:
        return config
    wanted = ablation.parameters(config)
    found = config
    if name == WHOLE:
        style = replace(config.audio.style, codes="hand")
        found = replace(config, audio=replace(config.audio, style=style))
    else:
        found = replace(config, gesture=replace(config.gesture, part_aware=False))
    sizes = [replace(found.gesture, dim=dim) for dim in range(8, 2 * config.gesture.dim + 1, 8)]
    sized = [replace(found, gesture=gesture) for gesture in sizes]
    return min(sized, key=lambda one: abs(ablation.parameters(one) - wanted))


def runs(training: Training, data: Path, out: Path, seeds: int, device: str) -> dict[str, list[Path]]:
    """Train what is not trained yet; model folders of every variant, one a seed."""
    if training.model.audio.style.codes != "parts" or not training.model.gesture.part_aware:
        raise UserError("Give a configuration whose model has part-aware styles.", BAD_ARGUMENTS)
    jobs = []
    models: dict[str, list[Path]] = {name: [] for name in (BASE, PLAIN, WHOLE)}
    for name in models:
        recipe = replace(training, model=variant(training.model, name))
        kind = recipe.model.audio.style.codes
        styles, positions = (out / f"{stage}-{kind}" for stage in ("styles", "positions"))
        if name != PLAIN:  # which has those of BASE
            jobs.append(Job("styles", recipe, data, styles))
            jobs.append(Job("positions", recipe, data, positions, styles=styles))
        for seed in range(seeds):
            run = ablation.run_of(out, name, seed)
            seeded = replace(recipe, gestures=replace(recipe.gestures, seed=seed))
            jobs.append(Job("gestures", seeded, data, run, positions=positions))
            models[name].append(run / MODEL)
    ablation.train_alike(jobs, device)
    return models


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit code."""
    given = ablation.parser("style_ablation", __doc__.split("\n")[0]).parse_args(arguments)
    torch.set_num_threads(given.threads)

    def result() -> dict:
        training = read_training(given.config)
        models = runs(training, given.data, given.out, given.seeds, given.device)
        judge = Judge(ExcerptData(MotionData.load(given.data, "train", training.model)))
        clips = MotionData.load(given.data, "test", training.model).clips[:JUDGED]

        def named(folder: Path) -> dict[str, float]:
            playing = Playing(Generator(folder), SECONDS * FPS)
            found = asked(playing, judge, clips, lambda line: None)["asked"]
            return {f"named: {part}": value for part, value in found.items()} | {"named": np.mean(list(found.values()))}

        return ablation.compared(models, given.data, base=BASE, more=named, clips=given.clips, in_style=True)

    return ablation.told(result, given.out)


if __name__ == "__main__":
    sys.exit(main())
