# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a model, one command a stage; see README.md.

python -m training.train styles CONFIG --data DIR --out RUN0
python -m training.train positions CONFIG --data DIR --styles RUN0 --out RUN1
python -m training.train gestures CONFIG --data DIR --positions RUN1 --out RUN2
"""

import argparse
import json
import sys
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from s2c_blender.audio.device import memory_told
from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.config import FPS, ModelConfig
from s2c_blender.model.style_encoder import StyleEncoder
from s2c_blender.model.weights import read_config
from s2c_blender.outputs import check_folder
from training import checkpoint
from training.dataset import MotionData, print_warning
from training.layout import read_split
from training.lessons import Lesson
from training.processes import Place, joined, precision_warning, threads
from training.run import MODEL, Networks, Run
from training.settings import HEARD, Stage, Training, read_training
from training.stages import GestureStage, PositionStage, trained_predictors
from training.style_data import ExcerptData, codes_of_clip, style_files, trained_encoder, write_performers
from training.style_vae import StyleStage


@dataclass(frozen=True)
class Job:
    """One stage of one model, trained on one folder of data into another."""

    stage: Stage
    training: Training
    data: Path
    out: Path
    styles: Path | None = None  # run of the style encoder, for the positions of a model that knows styles
    positions: Path | None = None  # run of the positions, for the gestures
    hubert: Path | None = None  # for models that listen to sound
    cache: Path | None = None  # of converted clips; None: in the data folder
    workers: int = 0  # processes that prepare batches, besides the one that trains


def train(job: Job, place: Place) -> int:
    """Train a stage, from its last checkpoint on if it has one, and write `job.out`; the fingerprint of its data.

    Raises UserError when something is wrong with configuration, data, disk or loss, and when a signal stopped it.
    """
    check_folder(job.out)
    job.out.mkdir(parents=True, exist_ok=True)
    settings = getattr(job.training, job.stage)
    if not place.rank and (slow := precision_warning(place.device, settings.precision)):
        print_warning(slow)
    config, predictors = _begun(job)
    styles_of = _styles_of(job, config)
    wanted = job.training.of(job.stage)
    encoder = None
    if styles_of:
        style_files(styles_of, config)  # so that what is missing is told before the work
        encoder = trained_encoder(styles_of, config.audio.style).to(place.device)
    for name, networks in (("styles", encoder), ("positions", predictors)):
        if networks:
            wanted[name] = checkpoint.checksum({n: v.cpu() for n, v in networks.named_parameters()})
    found = checkpoint.load_last(job.out, print_warning)
    if found and found.told["run"] != wanted:
        raise UserError(
            f"{job.out} holds a run of another configuration, stage, styles or positions: choose another folder."
        )
    data = _load(job, config, place)
    learned_from = fingerprint(data)
    if found and found.told["data"] != learned_from:
        raise UserError(
            f"{job.data} has other clips to learn from than when {job.out} was begun: let training.simulate finish "
            "first, then train into another folder."
        )
    for what, run in (("positions", job.positions), ("styles", job.styles)):
        before = checkpoint.load_last(run, _nothing) if run and not place.rank else None
        if before and before.told["data"] != learned_from:
            print_warning(f"the {what} of {run} were learned from other clips than {job.data} has now.")
    if found:
        config = replace(config, frame=ModelConfig.from_json(found.told["model"]).frame)
        data = replace(data, config=config)
    elif job.training.fit_frame and job.stage == "positions":
        data = data.fitted()
        config = data.config
    valid = None if place.rank else MotionData.load(job.data, "valid", config, job.cache)
    if encoder:
        data, valid = (split and replace(split, codes=_codes(encoder, split)) for split in (data, valid))
    torch.manual_seed(settings.seed)
    networks = _networks(job, config, predictors, data, begun=found is not None)
    if job.stage == "styles":
        data, valid = (split and ExcerptData.of(split, job.data) for split in (data, valid))
    with memory_told(place.device):
        told = {"run": wanted, "data": learned_from, "model": config.to_json()}
        run = Run(job.out, settings, place, config, networks.to(place.device), told, styles_of)
        if found:
            checkpoint.restore(found, run.networks, run.average, run.optimiser)
        run.go(data, valid, found.step if found else 0, job.workers)
        if job.stage == "styles" and not place.rank:
            encoder, clips = run.average.encoder, [*data.clips, *_test_clips(job, config)]
            write_performers(job.out / MODEL, clips, [codes_of_clip(encoder, clip) for clip in clips])
    return learned_from


def _networks(
    job: Job, config: ModelConfig, predictors: PositionStage | None, data: MotionData, begun: bool
) -> Networks:
    """What is to be trained; with first weights unless the run was `begun` before."""
    if job.stage == "gestures":
        return GestureStage(config, predictors)
    networks = PositionStage(config) if job.stage == "positions" else StyleStage(config.audio.style)
    if not begun and job.stage == "positions":
        networks.begin_from(job.hubert)
    elif not begun:
        networks.begin_from(*ExcerptData(data).usual())
    return networks


def _test_clips(job: Job, config: ModelConfig) -> list[Lesson]:
    """Clips that nothing is learned from, but by which performers who are in no other split get codes, too."""
    if not read_split(job.data, "test"):
        return []
    return MotionData.load(job.data, "test", config, job.cache, _nothing).clips


def _codes(encoder: StyleEncoder, data: MotionData) -> list[np.ndarray]:
    """The style codes of all clips."""
    return [codes_of_clip(encoder, clip) for clip in data.clips]


def _styles_of(job: Job, config: ModelConfig) -> Path | None:
    """The model folder with the encoder of styles; None for models that know none, and where it is to be trained."""
    if config.audio.style.codes == "none":
        if job.stage == "styles":
            raise UserError("This configuration's model knows no styles: give it audio.style.codes.", BAD_ARGUMENTS)
        return None
    if job.stage == "styles":
        return None
    if job.stage == "gestures":
        return job.positions / MODEL
    if job.styles is None:
        raise UserError(
            "This model knows styles: name the run that trained their encoder with --styles.", BAD_ARGUMENTS
        )
    return job.styles / MODEL


def fingerprint(data: MotionData) -> int:
    """CRC-32 of the clips' names and numbers of frames."""
    return zlib.crc32(json.dumps([(clip.name, len(clip)) for clip in data.clips]).encode())


def _begun(job: Job) -> tuple[ModelConfig, PositionStage | None]:
    """The model's configuration, and for gestures the position predictors and the frame it found."""
    config = job.training.model
    if job.stage != "gestures":
        return config, None
    if job.positions is None:
        raise UserError(
            "The gestures build on positions: name the run that trained them with --positions.", BAD_ARGUMENTS
        )
    before = read_config(job.positions / MODEL)
    same = [name for name in HEARD if name != "frame" or not job.training.fit_frame]
    if different := [name for name in same if getattr(before, name) != getattr(config, name)]:
        told = f"{job.positions} was trained with another {different[0]} than this configuration's"
        raise UserError(f"{told}: train the positions again, or take its configuration.")
    config = replace(config, frame=before.frame)
    return config, trained_predictors(job.positions / MODEL, config)


def _load(job: Job, config: ModelConfig, place: Place) -> MotionData:
    """The training split; of several processes the first converts it and all take the clips it found; more may come."""
    data = None
    names: list[list[str]] = [[]]
    if not place.rank:
        data = MotionData.load(job.data, "train", config, job.cache, print_warning)
        names = [[clip.name for clip in data.clips]]
        print(f"{len(data.clips)} clips, {sum(map(len, data.clips)) / FPS / 3600:.2f} h to learn from", flush=True)
    if place.world > 1:
        dist.broadcast_object_list(names)
    if data is None:
        data = MotionData.load(job.data, "train", config, job.cache, _nothing, names[0])
        if len(data.clips) < len(names[0]):
            raise UserError(f"Process {place.rank} cannot read all clips of {job.data} that the first one read.")
    return data


def _nothing(sentence: str) -> None:
    """For warnings that another process gives."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train one stage of a model.")
    parser.add_argument("stage", choices=("styles", "positions", "gestures"))
    parser.add_argument("config", type=Path, help="training configuration, as in training/configs")
    parser.add_argument("--data", type=Path, required=True, help="folder of clips in the layout of PianoMotion10M")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run; a run there goes on")
    parser.add_argument("--styles", type=Path, help="run of the styles, for the positions of a model that knows them")
    parser.add_argument("--positions", type=Path, help="run of the positions, for the gestures")
    parser.add_argument("--hubert", type=Path, help="folder of a trained HuBERT, for models that listen to sound")
    parser.add_argument("--cache", type=Path, help="folder for converted clips (default: cache in the data folder)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=threads(), help="threads of the processor")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches, for fast devices")
    given = parser.parse_args(arguments)
    try:
        torch.set_num_threads(given.threads)
        training = read_training(given.config)
        options = {name: getattr(given, name) for name in ("styles", "positions", "hubert", "cache", "workers")}
        job = Job(given.stage, training, given.data, given.out, **options)
        with joined(given.device) as place:
            train(job, place)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
