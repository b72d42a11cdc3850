# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's Table 2 and the single-stream baseline, trained alike: same data, steps and number of parameters.

All without styles, which the paper's model does not know.

    python -m training.ablation CONFIG --data DIR --out DIR [--seeds 3]

The position predictors are trained once; then every variant's gesture networks once for each seed, which decides their
first weights and the order of the windows. OUT/ablation.json and OUT/ablation.md have means over the seeds and
Student's 95 % intervals. A run that was stopped goes on with the same command.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.config import FusionConfig, GestureConfig, ModelConfig, StyleConfig
from s2c_blender.model.hands import make_hands
from s2c_blender.model.weights import write_config
from s2c_blender.outputs import whole_file
from training.evaluate import evaluate
from training.processes import joined
from training.report import ROWS
from training.settings import Training, read_training
from training.train import MODEL, Job, train

FIGURES = (
    "fgd",
    "fid2",
    "wgd",
    "smoothness",
    "onset_near",
    "acceleration_ratio_poses",
    "spread_ratio_poses",
    "diversity_deg",
)
BASE = "HCAA"  # what the others are compared with
SHARED_NOISE = "HCAA, shared noise"  # the same networks: training noise is always each hand's own (parity fact 6.4)
Measure = Callable[[Path], dict[str, float]]  # further figures of a model folder
TOLERANCE = 0.02  # by which the variants' numbers of parameters may differ


def _gesture(**changes) -> Callable[[GestureConfig], GestureConfig]:
    return lambda gesture: replace(gesture, **changes)


def _fusion(kind: str, place: str = "after middle", **changes) -> Callable[[GestureConfig], GestureConfig]:
    return lambda gesture: replace(gesture, fusion=replace(gesture.fusion, kind=kind, place=place, **changes))


VARIANTS: dict[str, Callable[[GestureConfig], GestureConfig]] = {
    BASE: _gesture(),
    "none": _fusion("none"),
    "concatenation": _fusion("concat", "after attention"),
    "cross-attention": _fusion("cross"),
    "HCAA, own positions": _gesture(guide="own"),
    "HCAA as released": _gesture(fusion=FusionConfig("hcaa")),
    "single stream": lambda gesture: replace(_fusion("none")(gesture), streams="single"),
}


def without_styles(config: ModelConfig) -> ModelConfig:
    """The same model as the paper's has it: no styles, no cues."""
    audio = replace(config.audio, cues=False, style=StyleConfig())
    return replace(config, audio=audio, gesture=replace(config.gesture, part_aware=False))


def variant(config: ModelConfig, name: str) -> ModelConfig:
    """The model of a variant with as many gesture parameters as `config` has, to within TOLERANCE.

    Where they differ, the widths of U-Net and condition are those nearest to the configured ones that fit. Raises
    UserError when none do.
    """
    gesture = VARIANTS[name](config.gesture)
    wanted = parameters(config)
    sizes = [(dim, condition) for dim in range(8, 2 * gesture.dim + 1, 8) for condition in range(16, 512, 16)]
    sizes.sort(key=lambda size: abs(np.log(size[0] / gesture.dim)) + abs(np.log(size[1] / gesture.condition)))
    for dim, condition in sizes:
        found = replace(config, gesture=replace(gesture, dim=dim, condition=condition))
        if abs(parameters(found) / wanted - 1) <= TOLERANCE:
            return found
    raise UserError(
        f"No sizes of the variant {name} have as many parameters as the configured model: make that one larger.",
        BAD_ARGUMENTS,
    )


def parameters(config: ModelConfig) -> int:
    """Of the gesture networks of both hands."""
    with torch.device("meta"):
        return sum(value.numel() for value in make_hands(config).parameters())


def runs(
    training: Training, data: Path, out: Path, seeds: int, device: str, variants: Iterable[str] = VARIANTS
) -> dict[str, list[Path]]:
    """Train what is not trained yet; model folders of the variants, one a seed. UserError as train_alike.

    BASE is always among them.
    """
    names = [name for name in VARIANTS if name == BASE or name in variants]
    first = out / "positions"
    jobs = [Job("positions", training, data, first)]
    models: dict[str, list[Path]] = {name: [] for name in names}
    for seed in range(seeds):
        for name in names:
            run = run_of(out, name, seed)
            recipe = replace(
                training, model=variant(training.model, name), gestures=replace(training.gestures, seed=seed)
            )
            jobs.append(Job("gestures", recipe, data, run, positions=first))
            models[name].append(run / MODEL)
    train_alike(jobs, device)
    models[SHARED_NOISE] = [_with_shared_noise(model) for model in models[BASE]]
    return models


def run_of(out: Path, name: str, seed: int) -> Path:
    """The folder of a variant's run."""
    return out / name.replace(", ", " ").replace(" ", "-") / f"seed{seed}"


def train_alike(jobs: list[Job], device: str) -> None:
    """Train one after the other what is not trained yet.

    UserError when the data change in between: the variants would not be trained alike.
    """
    learned_from = set()
    for job in jobs:
        print(f"training {job.out}", flush=True)
        with joined(device) as place:
            learned_from.add(train(job, place))
        if len(learned_from) > 1:
            told = f"{job.data} has other clips for {job.out} than for the runs before"
            raise UserError(f"{told}: let training.simulate finish first, then begin in another folder.")


def _with_shared_noise(model: Path) -> Path:
    """A model folder beside `model` with the same weights, whose hands begin from the same noise."""
    folder = model.with_name("shared-noise")
    folder.mkdir(exist_ok=True)
    for weights in model.glob("*.safetensors"):
        (folder / weights.name).unlink(missing_ok=True)
        (folder / weights.name).symlink_to(weights.resolve())
    config = ModelConfig.from_json((model / "config.json").read_text(encoding="utf-8"))
    write_config(folder, replace(config, diffusion=replace(config.diffusion, initial_noise="shared")))
    return folder


def compared(
    models: dict[str, list[Path]], data: Path, base: str = BASE, more: Measure | None = None, **options
) -> dict:
    """Every figure of every variant: its values over the training seeds, and those of its difference from `base`.

    `more` measures further figures of a model folder; `options` as of evaluate.
    """
    values: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    for name, folders in models.items():
        for folder in folders:  # one at a time: they are compared below, and all together would fill the memory
            report = evaluate([folder], data, **options)
            figures = report["tables"][0]["figures"][next(iter(report["models"]))]
            found = {figure: figures[figure]["mean"] for figure in FIGURES if figure in figures}
            for figure, value in (found | (more(folder) if more else {})).items():
                values[name].setdefault(figure, []).append(value)
    return {
        "base": base,
        "notes": report["notes"],
        "parameters": {
            name: parameters(ModelConfig.from_json((folders[0] / "config.json").read_text(encoding="utf-8")))
            for name, folders in models.items()
        },
        "values": values,
        "intervals": {name: {f: interval(v) for f, v in of.items()} for name, of in values.items()},
        "differences": {
            name: {f: interval(list(np.subtract(v, values[base][f]))) for f, v in of.items()}
            for name, of in values.items()
            if name != base
        },
    }


def interval(values: list[float]) -> tuple[float, float | None]:
    """Mean, and half the width of Student's 95 % interval of it; None for a single value."""
    if len(values) < 2:
        return float(values[0]), None
    wide = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(wide)


def markdown(result: dict) -> str:
    """The tables as a person reads them."""
    base = result["base"]
    rows = {name: ROWS.get(name, (name, 3)) for name in result["intervals"][base]}
    head = ["", "parameters (M)", *(title for title, *_ in rows.values())]
    lines = ["# Ablation", "", *(f"* {note}" for note in result["notes"]), ""]
    for title, part in (
        ("Mean ± half of Student's 95 % interval over training seeds", "intervals"),
        (f"The same of the difference from {base}, seed by seed; *: the interval leaves out 0", "differences"),
    ):
        lines += [f"## {title}", "", _row(head), _row(["---"] + ["---:"] * (len(head) - 1))]
        for name, found in result[part].items():
            cells = [_cell(*found[f], rows[f][1], star=part == "differences") for f in rows]
            lines.append(_row([name, f"{result['parameters'][name] / 1e6:.2f}", *cells]))
        lines.append("")
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(mean: float, wide: float | None, digits: int, star: bool) -> str:
    if wide is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {wide:.{digits}f}{' *' if star and abs(mean) > wide else ''}"


def write_reports(result: dict, out: Path) -> Iterator[Path]:
    """ablation.json and ablation.md in `out`; their paths as they are written."""
    texts = {"ablation.json": json.dumps(result, indent=1) + "\n", "ablation.md": markdown(result)}
    for name, text in texts.items():
        with whole_file(out / name) as part:
            part.write_text(text, encoding="utf-8")
        yield out / name


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """The command line of an ablation."""
    parser = argparse.ArgumentParser(prog=f"python -m training.{module}", description=description)
    parser.add_argument("config", type=Path, help="training configuration, as in training/configs")
    parser.add_argument("--data", type=Path, required=True, help="folder of clips in the layout of PianoMotion10M")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs and of the report")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each variant (default: 3)")
    parser.add_argument("--clips", type=int, default=24, help="of the test split, at most (default: 24)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of the processor")
    return parser


def told(result: Callable[[], dict], out: Path) -> int:
    """Write the reports of a result into `out` and print them; the exit code."""
    try:
        found = result()
        for path in write_reports(found, out):
            print(path)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(markdown(found))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit code."""
    line = parser("ablation", __doc__.split("\n")[0])
    line.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help=f"only {BASE} and these")
    given = line.parse_args(arguments)
    torch.set_num_threads(given.threads)

    def result() -> dict:
        training = read_training(given.config)
        training = replace(training, model=without_styles(training.model))
        models = runs(training, given.data, given.out, given.seeds, given.device, given.variants)
        return compared(models, given.data, clips=given.clips)

    return told(result, given.out)


if __name__ == "__main__":
    sys.exit(main())
