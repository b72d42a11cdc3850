# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models and the pianist play a clip, and every performance is given its figures."""

import time
from dataclasses import dataclass, field, replace

import numpy as np

from s2c_blender.core.motion import HandMotion
from s2c_blender.errors import UserError
from s2c_blender.model.config import FPS
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator, Sampling
from s2c_blender.model.mano import neutral
from s2c_blender.model.prior import in_piano_frame
from s2c_blender.model.style_codes import codes_of
from s2c_blender.pianist import TAIL, Performer, Report, perform

from . import pipeline_metrics, raw_metrics
from .clips import Motion
from .gesture_autoencoder import PoseEncoder, gesture_features
from .raw_metrics import Figures
from .takes import Take, windows

PERFORMERS, PIANIST, STYLED = "the performers", "pianist alone", "pianist in their style"
PLAYED_FPS = 60.0  # of finished motion, the extension's


@dataclass(frozen=True)
class Scored:
    """One performance of one clip."""

    figures: Figures
    features: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # [windows, F] of both hands' gestures


Scores = dict[str, list[Scored]]  # player -> performances, one a seed


def features_of(motion: Motion | None, encoder: PoseEncoder | None) -> np.ndarray:
    """Gesture features [windows, F] of a motion in the piano's frame, none without it or without an encoder."""
    if motion is None or encoder is None:
        return np.zeros((0, 0))
    poses = [np.concatenate([w.poses[1], w.poses[0]], axis=1) for w in windows(motion)]  # right hand first
    return gesture_features(encoder, np.stack(poses))


def told(name: str, generator: Generator, take: Take) -> Recording:
    """What a model is told of a clip: the take's style; without one that which the extension asks for, where it knows
    styles."""
    style, known = take.codes.get(name), generator.config.audio.style
    if style is None and known.codes != "none":
        style = codes_of({}, generator.folder, known)
    return replace(take.recording, style=style)


def imagine(name: str, generator: Generator, take: Take, seed: int) -> tuple[Motion, float]:
    """A model's raw motion of a clip and TAIL after it in its own frame, and the seconds it took.

    UserError when the model is broken.
    """
    recording = told(name, generator, take)
    begin = time.perf_counter()
    positions, poses = generator.generate(recording, len(take.truth) + round(TAIL * FPS), seed, Sampling())
    if not (np.isfinite(positions).all() and np.isfinite(poses).all()):
        raise UserError(f"The model {name} answers with values that are no numbers: train it again.")
    return Motion(positions, poses), time.perf_counter() - begin


def score_raw(take: Take, motion: Motion, kind: str, encoder: PoseEncoder | None) -> Scored:
    """Figures of a raw motion in the frame `kind`, in which the clip's is known."""
    truth, piano = take.in_frame(kind), take.in_piano(motion, kind)
    figures = raw_metrics.published_figures(motion, truth) | raw_metrics.motion_figures(motion, truth)
    if piano is not None and take.has_notes:
        figures |= raw_metrics.onset_figures(piano, take.in_frame("piano"), take.score.notes)
    return Scored(figures, features_of(piano, encoder))


def score_prediction(name: str, generator: Generator, take: Take) -> Figures:
    """How far the positions are off that the position networks predict, before the diffusion moves the wrists."""
    truth = take.in_frame(generator.config.frame.kind)
    positions = generator.predict_positions(told(name, generator, take), len(truth))
    return raw_metrics.prediction_figures(positions, truth)


def finish(
    generator: Generator | None, take: Take, motion: Motion | None, seed: int, styled: bool = False
) -> tuple[HandMotion, float]:
    """The contact stage after a model's raw motion, or the pianist without one; and the seconds it took.

    Notes keep the fingers that the model was told, if it was. `styled`: the pianist moves in the style that the
    performer shows in another clip, too.
    """
    performer = tuple(map(Performer.of, take.styles)) if styled else None
    begin = time.perf_counter()
    prior, score, report = None, take.score, None
    if generator and motion:
        prior, _ = in_piano_frame(generator.config, motion.positions, motion.poses, take.score, neutral())
        if generator.config.audio.encoder == "notes":
            score, report = take.fingered, Report()
    played, _ = perform(score, prior=prior, performer=performer, fps=PLAYED_FPS, seed=seed, report=report)
    return played, time.perf_counter() - begin


def score_finished(take: Take, played: HandMotion, encoder: PoseEncoder | None) -> tuple[Scored, Motion]:
    """Figures of a finished motion of a clip with notes, and the motion at 30 fps."""
    motion, truth = pipeline_metrics.at_30(played, len(take.truth)), take.in_frame("piano")
    figures = pipeline_metrics.played_figures(played, take.score)
    figures |= pipeline_metrics.movement_figures(motion, take.score.notes)
    if truth is not None:
        figures |= pipeline_metrics.fgd_of_clip(motion, truth)
        figures |= raw_metrics.motion_figures(motion, truth)
    return Scored(figures, features_of(motion, encoder)), motion


def score_performer(take: Take) -> tuple[Scored, Scored]:
    """What can be said of the performer's own motion, as a measure for raw ones and for finished ones."""
    truth = take.in_frame("piano")
    if truth is None or not take.has_notes:
        return Scored({}), Scored({})
    notes = take.score.notes
    raw, finished = raw_metrics.onset_figures(truth, truth, notes), pipeline_metrics.movement_figures(truth, notes)
    return Scored(raw), Scored(finished)


def with_diversity(scores: list[Scored], motions: list[Motion]) -> list[Scored]:
    """The performances of a clip with how far each is from the other seeds'."""
    return [
        Scored(s.figures | raw_metrics.diversity(motion, [m for m in motions if m is not motion]), s.features)
        for s, motion in zip(scores, motions, strict=True)
    ]


def play(
    take: Take, generators: dict[str, Generator], seeds: range, encoder: PoseEncoder | None, pipeline: bool
) -> tuple[Scores, Scores]:
    """Scores of all raw motions of a clip, and of all finished ones (none without `pipeline`)."""
    raw: Scores = {}
    finished: Scores = {}
    length = len(take.truth) / FPS
    for name, generator in generators.items():
        kind = generator.config.frame.kind
        answers = [imagine(name, generator, take, seed) for seed in seeds]
        within = [motion[: len(take.truth)] for motion, _ in answers]
        scores = [score_raw(take, motion, kind, encoder) for motion in within]
        predicted = score_prediction(name, generator, take) if generator.config.gesture.wrist else {}
        for score, (_, seconds) in zip(scores, answers, strict=True):
            score.figures.update(predicted)
            score.figures["real_time"] = length, seconds
        raw[name] = with_diversity(scores, within)
        if pipeline:
            motions = [motion for motion, _ in answers]
            finished[name] = _finished(generator, take, motions, seeds, encoder, styled=take.styles is not None)
    own_raw, own_finished = score_performer(take)
    raw[PERFORMERS] = [own_raw]
    if pipeline:
        finished[PIANIST] = _finished(None, take, [None for _ in seeds], seeds, encoder)
        if take.styles:
            finished[STYLED] = _finished(None, take, [None for _ in seeds], seeds, encoder, styled=True)
        finished[PERFORMERS] = [own_finished]
    return raw, finished


def _finished(
    generator, take: Take, motions: list[Motion | None], seeds: range, encoder, styled: bool = False
) -> list[Scored]:
    scores, finals = [], []
    for motion, seed in zip(motions, seeds, strict=True):
        played, seconds = finish(generator, take, motion, seed, styled)
        score, final = score_finished(take, played, encoder)
        score.figures["real_time"] = len(take.truth) / FPS, seconds
        scores.append(score)
        finals.append(final)
    return with_diversity(scores, finals)
