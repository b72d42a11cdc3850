# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Size, memory and speed of the S2C networks at the published and the small size, with random weights.

    .venv/bin/python -m benchmarks.model [--sizes small published] [--modes float32 bfloat16 ...] [--runs 5] [--quick]

Prints docs/model.md's tables. Times are computing time for a second of audio, for both hands and one window (8 s):
medians of runs that take turns between the modes in one process, after a first call that is not counted (column
"first", compiling included). A sampler's column is everything: hearing, positions, conditioning, and sampling. DDPM's
1000 steps are its first 20, times 50. "x real time" and the ratio to the first mode are those of 10 steps; "spread" is
their slowest run over their fastest: well above 1, the machine was busy, and two threads that wait for each other are
then many times slower. Memory is the peak of a fresh process for each stage and mode, with both hands' weights and one
window. Networks and precisions are used as s2c_blender.model.generator does.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import torch

from s2c_blender.generate import peak_memory_mb
from s2c_blender.model.config import FPS, ModelConfig, published, small
from s2c_blender.model.encoders import features_width
from s2c_blender.model.features import AUDIO_RATE, NOTE_FEATURES
from s2c_blender.model.hands import Condition, DualStream, OnePass
from s2c_blender.model.position import PositionNet
from s2c_blender.model.sampling import Plan, ddpm, dpm_solver
from s2c_blender.model.schedule import make_schedule
from s2c_blender.model.windows import sample, seeded

SIZES = {"published": published, "small": small}
FIRST = {"positions": ("hear",), "gestures": ("condition", "step")}  # stages, and what is called once before timing
MODES = ("float32", "bfloat16", "compiled", "compiled bfloat16", "one pass", "one pass bfloat16")  # float32 if not said
USUAL = [mode for mode in MODES if mode != "compiled bfloat16"]  # which takes minutes to compile, and is slower here
MEASURED = 20  # steps of DDPM

Timed = dict[str, Callable[[], object]]  # what to time, by name


def megabytes() -> float:
    """Largest resident size of this process so far, in MB of 2^20 bytes as the tables have them; NaN if unknown."""
    return (peak_memory_mb() or np.nan) * 1e6 / 2**20


def count(*parts: torch.nn.Module) -> float:
    """Millions of parameters."""
    return sum(p.numel() for part in parts for p in part.parameters()) / 1e6


def precision(mode: str) -> torch.dtype:
    """What a mode computes in."""
    return torch.bfloat16 if "bfloat16" in mode else torch.float32


def made(make: Callable[[], torch.nn.Module], modes: list[str]) -> dict[torch.dtype, torch.nn.Module]:
    """A network in each precision that the modes need, made in it, so that no other copy takes memory."""
    nets = {}
    for dtype in dict.fromkeys(map(precision, modes)):
        torch.set_default_dtype(dtype)
        nets[dtype] = make().eval()
    torch.set_default_dtype(torch.float32)
    return nets


def positions(config: ModelConfig, modes: list[str]) -> tuple[dict[str, float], dict[str, Timed]]:
    """Stage 1 of both hands: parameters of a hand by part, and what to time in each mode."""
    pairs = made(lambda: torch.nn.ModuleList(PositionNet(config) for _ in range(2)), modes)
    sound = config.audio.encoder == "hubert"
    shape = (config.window * AUDIO_RATE // FPS,) if sound else (config.window, NOTE_FEATURES)

    def hear(mode: str) -> Callable[[], object]:  # once a window, so never compiled
        window = torch.randn(1, *shape, dtype=precision(mode))
        return lambda: [net(window) for net in pairs[precision(mode)]]

    net = next(iter(pairs.values()))[0]
    encoder = count(net.encoder) if sound else 0.0
    sizes = {"audio encoder": encoder, "position predictor": count(net) - encoder}
    return sizes, {mode: {"hear": hear(mode)} for mode in modes}


def gestures(config: ModelConfig, modes: list[str]) -> tuple[dict[str, float], dict[str, Timed]]:
    """Stage 2 of both hands, as `positions`."""
    nets = made(lambda: DualStream(config), modes)
    own = next(iter(nets.values())).left
    sizes = {"audio refiner": count(own.refiner, own.condition_in), "hand coordination": count(own.fusion)}
    sizes |= {"U-Net": count(own) - sum(sizes.values())}
    return sizes, {mode: _sampling(config, nets[precision(mode)], mode) for mode in modes}


def _sampling(config: ModelConfig, hands: DualStream, mode: str) -> Timed:
    """Conditioning, one step of the network, and whole samplings of one window."""
    denoise = OnePass(hands) if "one pass" in mode else hands
    denoise = torch.compile(denoise) if "compiled" in mode else denoise
    dtype = precision(mode)
    schedule = make_schedule(config.diffusion.schedule, config.diffusion.steps)
    features = torch.randn(1, 2, config.window, features_width(config.audio), dtype=dtype)
    place = torch.rand(1, 2, config.window, 3, dtype=dtype)
    shape = (2, config.gesture.channels, config.window)
    noise = seeded(0, config.diffusion.initial_noise)
    start, middle = np.stack([noise(0, 0, shape)]), np.array([config.diffusion.steps // 2])
    condition: list[Condition] = []

    def prepare() -> None:
        condition[:] = [hands.condition(features, place)]

    def predict(x: np.ndarray, t: np.ndarray, conditions: list[Condition]) -> np.ndarray:
        output = denoise(torch.from_numpy(x).to(dtype), torch.from_numpy(t), conditions[0])
        return schedule.x0(config.diffusion.prediction, output.float().numpy(), x, t)

    plans = {"DPM 10": dpm_solver(schedule, 10), "DPM 20": dpm_solver(schedule, 20), "DDPM": _first(ddpm(schedule))}
    samplings = {name: lambda plan=plan: sample(predict, plan, noise, condition, shape) for name, plan in plans.items()}
    return {"condition": prepare, "step": lambda: predict(start, middle, condition), **samplings}


def _first(plan: Plan) -> Plan:
    """The first steps of a plan."""
    return Plan(*(getattr(plan, field.name)[:MEASURED] for field in fields(plan)))


@torch.inference_mode()
def work(size: str, stage: str, modes: list[str], runs: int) -> dict:
    """Measure one stage in this process; without runs only what memory it takes."""
    torch.manual_seed(0)
    empty = megabytes()
    sizes, timed = {"positions": positions, "gestures": gestures}[stage](SIZES[size](), modes)
    first = {}
    for mode, calls in timed.items():
        begin = time.perf_counter()
        for name in FIRST[stage]:
            calls[name]()
        first[mode] = time.perf_counter() - begin
    seconds: dict[str, dict[str, list[float]]] = {mode: defaultdict(list) for mode in modes}
    for _ in range(runs):
        for mode, calls in timed.items():
            for name, call in calls.items():
                begin = time.perf_counter()
                call()
                seconds[mode][name].append(time.perf_counter() - begin)
    return {"sizes": sizes, "first": first, "seconds": seconds, "empty": empty, "peak": megabytes()}


def apart(size: str, stage: str, modes: list[str], runs: int) -> dict:
    """`work` in a process of its own."""
    job = json.dumps([size, stage, modes, runs])
    command = [sys.executable, "-m", "benchmarks.model", "--work", job]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table, and flush: the next one may take long."""
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def report(size: str, modes: list[str], runs: int) -> None:
    """Measure one size and print its tables."""
    measured = {stage: apart(size, stage, modes, runs) for stage in FIRST}
    rows = []
    for stage in FIRST:
        millions = measured[stage]["sizes"]
        rows += [[part, f"{n:.2f}", f"{2 * 4 * n * 1e6 / 2**20:.0f}"] for part, n in millions.items()]
    total = sum(sum(measured[stage]["sizes"].values()) for stage in FIRST)
    print(f"### {size}\n")
    table(["part", "million parameters a hand", "MB of both hands (float32)"], rows)
    print(f"{total:.1f} million parameters a hand.\n")

    window = SIZES[size]().window / FPS
    seconds = {mode: {k: v for stage in FIRST for k, v in measured[stage]["seconds"][mode].items()} for mode in modes}
    whole = {mode: _whole(runs_of, SIZES[size]().diffusion.steps) for mode, runs_of in seconds.items()}
    rows = []
    for mode in modes:
        parts = [statistics.median(seconds[mode][name]) * 1000 for name in ("hear", "condition", "step")]
        faster = np.median(np.divide(whole[modes[0]]["DPM 10"], whole[mode]["DPM 10"]))
        totals = [statistics.median(runs_of) / window for runs_of in whole[mode].values()]
        first = sum(measured[stage]["first"][mode] for stage in FIRST)
        figures = [f"{part / window:.1f}" for part in parts[:2]] + [f"{parts[2]:.1f}"] + [f"{t:.3f}" for t in totals]
        ten = whole[mode]["DPM 10"]
        figures += [f"{1 / totals[0]:.1f}", f"{faster:.2f}", f"{max(ten) / min(ten):.2f}", f"{first:.1f}"]
        rows.append([mode, *figures])
    hears, steps = ("hear, ms/s", "condition, ms/s", "one step, ms"), [f"{name}, s/s" for name in whole[modes[0]]]
    table(["mode", *hears, *steps, "x real time", f"x {modes[0]}", "spread", "first, s"], rows)

    rows = []
    for stage in FIRST:
        for mode in modes:
            if stage == "positions" and mode not in ("float32", "bfloat16"):
                continue  # the rest differs in the second stage only
            weights = 2 * precision(mode).itemsize * sum(measured[stage]["sizes"].values()) * 1e6 / 2**20
            found = apart(size, stage, [mode], 0)
            own = found["peak"] - found["empty"]
            rows.append([stage, mode, *(f"{n:.0f}" for n in (weights, found["peak"], own)), f"{own / weights:.2f}"])
    table(["stage", "mode", "weights, MB", "peak, MB", "less Python and PyTorch", "x weights"], rows)


def _whole(seconds: dict[str, list[float]], steps: int) -> dict[str, list[float]]:
    """Seconds for one window in each run, from hearing to motion, by sampler."""
    before = np.add(seconds["hear"], seconds["condition"])
    return {
        "DPM 10": list(before + seconds["DPM 10"]),
        "DPM 20": list(before + seconds["DPM 20"]),
        f"DDPM {steps}": list(before + np.multiply(seconds["DDPM"], steps / MEASURED)),
    }


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES)
    parser.add_argument("--modes", nargs="+", choices=MODES)
    parser.add_argument("--runs", type=int, metavar="N", help="of each mode, for the medians (default: 5; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="only see that it runs: small, nothing compiled, one run")
    parser.add_argument("--work", help=argparse.SUPPRESS)  # what a process of its own has to do, JSON
    options = parser.parse_args()
    runs = (1 if options.quick else 5) if options.runs is None else options.runs
    if runs < 1:
        parser.error("--runs must be at least 1")
    if options.work:
        print(json.dumps(work(*json.loads(options.work))))
        return
    sizes = options.sizes or (["small"] if options.quick else list(SIZES))
    modes = options.modes or USUAL[: 2 if options.quick else None]
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    for size in sizes:
        report(size, modes, runs)


if __name__ == "__main__":
    main()
