# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio or MIDI to HandMotion: what the button, the command line and the tests all call. Needs no Blender."""

import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from . import __version__
from .audio.device import RUNTIMES, runtime
from .audio.midi import is_midi, read_midi, write_midi
from .audio.read import load_audio
from .core import metrics
from .core.edit import Pins, Span, around
from .core.motion import HandMotion
from .core.notes import UNKNOWN, Score
from .core.style import hands as style_hands
from .errors import BAD_ARGUMENTS, ENVIRONMENT, UserError
from .job import Job
from .model.prior import Prepared, Request, make_prior, prepare
from .model.weights import BUNDLED
from .outputs import one_sentence
from .pianist import TAIL, Performer, Report, fingered, perform, reperform

LEAD_IN = 3.0  # s before and after a part that is made anew, for which the model imagines the motion, too
EDGE = 0.3  # s from the ends of such a part within which a pose set by hand changes what lies outside, too
CONTEXT = 1.0  # s of sound heard around the wanted part, so that a note at its edge is recognised
# How long the stages take beside each other, measured on a minute of music.
STAGES = {"reading": 0.02, "listening": 0.58, "imagining": 0.20, "playing": 0.40}

Progress = Callable[[str, float], None]  # stage, fraction of the whole job done; may raise Cancelled
Growing = Callable[[HandMotion, float], None]  # a part of the motion, and at which second of the whole it begins


@dataclass
class Result:
    """The motion, and a report that can be written as JSON."""

    motion: HandMotion
    report: dict = field(default_factory=dict)


def generate(job: Job, on_progress: Progress | None = None, on_motion: Growing | None = None) -> Result:
    """Read, listen, let the gesture model imagine the motion unless the pianist is to do that, play.

    `on_motion` is given each part of the motion as soon as it is final. A job that goes on from a previous motion
    changes a part of that, and gives nothing before its end. Raises UserError with one sentence for the user, or
    Cancelled when `on_progress` raises it.
    """
    if job.previous:
        return _regenerate(job, on_progress)
    unused = {"listening"} if is_midi(job.source) else set()
    unused |= {"imagining"} if job.generator == "pianist" else set()
    timer = _Timer(on_progress, [stage for stage in STAGES if stage not in unused])
    warnings: list[str] = []
    with _memory_told():
        model, performer = _model(job), _performer(job)
        runtimes: dict[str, str] = {}
        score, length, sound = _score(job, timer, warnings, runtimes)
        if job.midi:
            with one_sentence(Path(job.midi)):
                write_midi(score, job.midi)
        prior, to_play, left_out = None, score, None
        if model:
            with timer.stage("imagining") as progress:
                to_play, left_out = fingered(score)
                lasting = to_play.end + TAIL
                prior, told = make_prior(model, to_play, lasting, sound, job.seed, job.creativity, progress)
            if not model.knows_fingers:  # then the fingers are those that its motion is best for
                to_play, left_out = score, None
            warnings += told
            runtimes["imagining"] = runtime(model.backend)
        del sound  # three hours of it are two gigabytes

        def grown(motion: HandMotion, first: float) -> None:
            on_motion(replace(motion, start=job.start + first), first)

        with timer.stage("playing") as progress:
            motion, played = perform(
                to_play,
                prior=prior,
                performer=performer,
                fps=job.fps,
                seed=job.seed,
                creativity=job.creativity,
                report=left_out,
                on_progress=progress,
                on_motion=grown if on_motion else None,
            )
    motion.start = job.start
    motion.meta = {
        "source": Path(job.source).name,
        "start": job.start,
        "duration": job.duration,
        "seed": job.seed,
        "creativity": job.creativity,
        "style": job.style,
        "generator": job.generator,
        "prior": prior.meta if prior else None,
        "dropped": played.dropped,
        "hands_given": bool((score.notes["hand"] != UNKNOWN).any()),
        "versions": versions(runtimes),
    }
    if prior and job.raw:
        # With the keys as they are really played, so that both can be looked at in the same way.
        raw = replace(prior, notes=motion.notes, keys=motion.keys, start=job.start, meta=motion.meta | {"raw": True})
        with one_sentence(Path(job.raw)):
            raw.save(job.raw)
    accuracy = metrics.played(motion, score.notes).f1
    return Result(motion, _report(job, played, warnings, length, timer, accuracy, runtimes))


def _report(
    job: Job,
    played: Report,
    warnings: list[str],
    length: float,
    timer: "_Timer",
    accuracy: float,
    runtimes: Mapping[str, str],
) -> dict:
    """What became of `length` seconds of music, and the F1 of the keys that are pressed."""
    return {
        "source": str(job.source),
        "seed": job.seed,
        "creativity": job.creativity,
        "style": job.style,
        "generator": job.generator,
        "notes_found": played.notes_found,
        "notes_played": played.notes_played,
        "dropped": played.dropped,
        "key_accuracy": round(accuracy, 4),
        "warnings": warnings + list(played.warnings),
        "music_seconds": round(length, 3),
        "seconds": {stage: round(seconds, 3) for stage, seconds in timer.seconds.items()},
        "times_real_time": round(length / max(sum(timer.seconds.values()), 1e-9), 2),
        "peak_memory_mb": peak_memory_mb(),
        "versions": versions(runtimes),
    }


def make_ready() -> None:
    """While nobody waits: load again what the last recording was listened to with, for the next one."""
    from .audio import transcribe

    transcribe.make_ready()


def _regenerate(job: Job, on_progress: Progress | None) -> Result:
    """A part of a previous motion anew, and the surroundings of poses set by hand; its other frames stay."""
    stages = ["reading", "imagining", "playing"] if job.generator == "model" and job.again else ["reading", "playing"]
    timer, warnings = _Timer(on_progress, stages), []
    if job.raw or job.midi:
        raise UserError("Raw motion and MIDI are only written of a whole generation: leave them out.", BAD_ARGUMENTS)
    with _memory_told():
        model, performer = _model(job) if job.again else None, _performer(job)
        with timer.stage("reading"):
            motion, pins = _loaded(HandMotion, job.previous), _loaded(Pins, job.pins) if job.pins else Pins.free([], [])
            asked, span = motion.notes, Span(*job.again) if job.again else None
            # Poses at the part's ends need room on both sides.
            inside = pins.within(Span(span.first + EDGE, span.last - EDGE)) if span else np.zeros(len(pins), bool)
            rest = pins[~inside & pins.within(Span(0.0, motion.duration))]
        prior, begin, runtimes = None, 0.0, {}
        if model and span:
            begin = max(span.first - LEAD_IN, 0.0)
            with timer.stage("imagining") as progress:
                prior, told = _imagined_part(job, model, motion, begin, span.last + LEAD_IN, progress)
            warnings += told
            runtimes["imagining"] = runtime(model.backend)
        # Poses outside the part first: what is made anew may lie beside them.
        spans = [(part, True) for part, _ in around(rest, motion.duration)] + ([(span, False)] if span else [])
        dropped = motion.meta.get("dropped", [])  # when it was made: the new version lacks these notes too
        played = Report(notes_found=len(motion.notes) + len(dropped), dropped=list(dropped))
        length = sum(part.last - part.first for part, _ in spans)
        with timer.stage("playing") as progress:
            for n, (part, keep) in enumerate(spans):
                motion, done = reperform(
                    motion,
                    part,
                    pins=pins,
                    prior=None if keep else prior,
                    prior_start=begin,
                    performer=performer,
                    seed=job.seed,
                    creativity=job.creativity,
                    hands_free=not motion.meta.get("hands_given", True),
                    refinger=keep or not (prior and model.knows_fingers),
                    keep=keep,
                    on_progress=lambda fraction, n=n: progress((n + fraction) / len(spans)),
                )
                played.dropped += done.dropped
                played.warnings += done.warnings
    played.notes_played = len(motion.notes)
    edit = {"again": list(job.again) if job.again else None, "pins": pins.time.tolist(), "seed": job.seed}
    edit |= {"creativity": job.creativity, "style": job.style, "generator": job.generator}
    edit |= {"prior": prior.meta if prior else None, "versions": versions(runtimes)}
    motion.meta["edits"] = [*motion.meta.get("edits", []), edit]
    motion.meta["dropped"] = played.dropped
    found = metrics.played(motion, asked)
    hits = len(found.offsets)
    accuracy = 2 * hits / max(hits + len(found.wrong) + len(asked) + len(dropped), 1)
    return Result(motion, _report(job, played, warnings, length, timer, accuracy, runtimes))


def _loaded(kind: type, path: str):
    """A HandMotion or Pins from its file; UserError when that cannot be read."""
    try:
        return kind.load(path)
    except FileNotFoundError as error:
        raise UserError(f"The file {path} is not there: generate the whole motion again.") from error
    except ValueError as error:
        raise UserError(f"{error} Generate the whole motion again.") from error


def _imagined_part(
    job: Job, model: Prepared, motion: HandMotion, first: float, last: float, progress: Callable[[float], None]
) -> tuple[HandMotion, list[str]]:
    """The model's motion from second `first` to `last` of a motion whose notes are known."""
    length = min(last, motion.duration) - first
    score = Score(motion.notes, motion.pedal).cut(first, length)
    sound = None
    if job.source and not is_midi(job.source):
        samples, rate = load_audio(job.source, motion.start + first, length)
        sound = (samples[:, 0], rate)
    return make_prior(model, score, length, sound, job.seed, job.creativity, progress)


Sound = tuple[np.ndarray, int]  # mono samples [n] of the wanted part, and their rate


def _score(
    job: Job, timer: "_Timer", warnings: list[str], runtimes: dict[str, str]
) -> tuple[Score, float, Sound | None]:
    """The notes of the wanted part, its length in seconds, its sound if there is any; UserError without notes.

    `warnings` and `runtimes` get what is to be told of that.
    """
    if is_midi(job.source):
        with timer.stage("reading"):
            whole = read_midi(job.source, on_warning=warnings.append)
        score = whole.cut(job.start, job.duration)
        length, sound = score.end, None
    else:
        score, length, sound = _listen(job, timer, runtimes)
    if not len(score.notes):
        part = "" if job.start == 0 and job.duration is None else " in the chosen part"
        raise UserError(f"No piano notes were found in {Path(job.source).name}{part}: is it a recording of a piano?")
    return score, length, sound


def _listen(job: Job, timer: "_Timer", runtimes: dict[str, str]) -> tuple[Score, float, Sound]:
    from .audio.transcribe import hear  # needs PyTorch, which a MIDI file does not

    before = min(job.start, CONTEXT)
    wanted = None if job.duration is None else job.duration + before + CONTEXT
    with timer.stage("reading"):
        samples, rate = load_audio(job.source, job.start - before, wanted)
    length = len(samples) / rate - before
    if job.duration is not None:
        length = min(length, job.duration)
    with timer.stage("listening") as progress:
        cache = Path(job.cache_dir) if job.cache_dir else None
        heard = hear(samples, rate, device=job.device, backend=job.backend, cache_dir=cache, on_progress=progress)
    runtimes |= {"listening": heard.runtime} if heard.runtime else {}
    first = round(before * rate)
    return heard.score.cut(before, job.duration), length, (samples[first : first + round(length * rate), 0], rate)


def _model(job: Job) -> Prepared | None:
    """The gesture model the job asks for, looked at before the work so that mistakes are told at once."""
    if not 0.0 <= job.creativity <= 1.0:
        raise UserError(f"Creativity goes from 0 to 1; {job.creativity:g} is outside.", BAD_ARGUMENTS)
    if job.generator == "pianist":
        if job.model or job.raw:
            told = "The pianist uses no gesture model: leave out model and raw, or choose the generator Gesture Model."
            raise UserError(told, BAD_ARGUMENTS)
        return None
    mano = Path(job.mano) if job.mano else None
    folder = Path(job.model) if job.model else BUNDLED
    how = (job.sampler, job.steps, job.precision, job.device, mano, job.backend, job.style, job.style_weight)
    request = Request(folder, *how)
    return prepare(request, has_sound=bool(job.source) and not is_midi(job.source))


def _performer(job: Job) -> tuple[Performer, Performer] | None:
    """Who plays the left and the right hand, None for the classical pianist."""
    if job.style is None:
        return None
    return tuple(Performer.of(style) for style in style_hands(job.style))


class _Timer:
    """Seconds per stage, and progress of the whole from the progress of a stage."""

    def __init__(self, on_progress: Progress | None, stages: list[str]):
        self.seconds: dict[str, float] = {}
        self._tell = on_progress or (lambda stage, fraction: None)
        whole = sum(STAGES[stage] for stage in stages)
        self._shares = {stage: STAGES[stage] / whole for stage in stages}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        done = sum(self._shares[stage] for stage in self.seconds)
        share = self._shares[name]
        self._tell(name, done)
        start = time.perf_counter()
        yield lambda fraction: self._tell(name, done + share * min(max(fraction, 0.0), 1.0))
        self.seconds[name] = time.perf_counter() - start
        self._tell(name, done + share)


@contextmanager
def _memory_told() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise UserError("The memory is not enough for this music: choose a shorter part of it.", ENVIRONMENT) from error


def peak_memory_mb() -> float | None:
    """Largest memory of this process so far, MB; None where the system does not tell (Windows)."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage counts the process that started this one, too
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return round(int(lines["VmHWM"].split()[0]) * 1.024e-3, 1)  # kibibytes
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)  # macOS counts bytes, Linux kilobytes


def versions(runtimes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Versions that decide whether the same seed gives the same motion.

    `runtimes`: what ran the networks, stage -> package and version. Where that is not known, None, all packages are
    named that could have; a process that is kept for many jobs has some loaded that the last one did not use.
    """
    found = {"s2c_blender": __version__, "python": platform.python_version(), "numpy": np.__version__}
    if runtimes is None:
        runtimes = {name: sys.modules[name].__version__ for name in RUNTIMES.values() if name in sys.modules}
    return found | dict(runtimes)
