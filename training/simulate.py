# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated training data: the pianist plays a corpus in the manner of many performers.

    python -m training.simulate OUT --hours 20 --seed 0 --scores FOLDER

Every clip depends on the seed, its number and its piece alone. What has been made is kept: started again, the same
command goes on, and with more hours it adds to them.
"""

import argparse
import errno
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2c_blender.audio.files import whole_file
from s2c_blender.core.notes import LEFT, RIGHT, Score
from s2c_blender.core.style import PERFORMERS, told_of
from s2c_blender.errors import BAD_ARGUMENTS, CANCELLED, ENVIRONMENT, UserError
from s2c_blender.model.camera import Camera, to_camera
from s2c_blender.model.mano import neutral
from s2c_blender.pianist import Performer, perform

from . import layout
from .augment import vary
from .corpus import Piece, read_pieces
from .performers import HELD_OUT, KNOWN, MIXED, styles_of

FPS = 30  # PianoMotion10M's
LONGEST = 46.0  # s of a piece in one clip: under a minute even at the slowest tempo, with the rests at its ends
_FEWEST = 8  # notes that are worth a clip
_MIXED_SHARE = 0.5  # share of the train and valid clips whose hands are mixed part by part
_CYCLE = ("train",) * 12 + ("valid",) + ("train",) * 11 + ("test",)  # 92, 4 and 4 %, mixed from the first clips on
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """One clip to be made."""

    name: str  # performer/piece/clip
    split: str
    performer: str
    seed: tuple[int, int]  # the run's and the clip's number
    score: Score  # the cut, as in the piece
    source: str
    start: float  # s of the piece where the cut begins


def plan(pieces: list[Piece], seed: int) -> Iterator[Task]:
    """Clips without end; every beginning of them is a mix of splits, performers and pieces.

    Test clips, all from pieces that no other split has, are half of them by performers that no other split has; of the
    others half are by known performers, half by hands that are mixed of them (performers.MIXED).
    """
    cuts = {split: _cuts(piece for piece in pieces if piece.split == split) for split in layout.SPLITS}
    if not any(cuts.values()):
        raise UserError(f"No piece has {_FEWEST} notes within {LONGEST:.0f} s; name a folder with more music.")
    order = {split: _again_and_again(cuts[split], [seed, i]) for i, split in enumerate(layout.SPLITS)}
    for number, split in enumerate(itertools.cycle(_CYCLE)):
        if not cuts[split]:  # a small folder may have no piece for it
            continue
        piece, start, stop = next(order[split])
        rng = np.random.default_rng([seed, number])
        if split == "test":
            performer = str(rng.choice(HELD_OUT if rng.random() < 0.5 else KNOWN))
        else:
            performer = MIXED if rng.random() < _MIXED_SHARE else str(rng.choice(KNOWN))
        name = f"{performer}/{piece.name}/{number:06d}"
        score = piece.score.cut(start, stop - start)
        yield Task(name, split, performer, (seed, number), score, piece.name, round(start, 3))


def _cuts(pieces: Iterable[Piece]) -> list[tuple[Piece, float, float]]:
    """Every piece in equal parts, (piece, start, stop) in s."""
    cuts = []
    for piece in pieces:
        edges = np.linspace(0.0, piece.score.end, int(np.ceil(piece.score.end / LONGEST)) + 1)
        notes = np.diff(np.searchsorted(piece.score.notes["onset"], edges))
        cuts += [(piece, edges[i], edges[i + 1]) for i in np.flatnonzero(notes >= _FEWEST)]
    return cuts


def _again_and_again(cuts: list, seed: list[int]) -> Iterator[tuple[Piece, float, float]]:
    """All cuts in random order, then in another one."""
    for turn in itertools.count():
        for i in np.random.default_rng([*seed, turn]).permutation(len(cuts)):
            yield cuts[i]


def camera_of(performer: str, seed: int) -> Camera:
    """A camera over the piano, roughly as filmed: each performer's own, the same in all clips."""
    rng = np.random.default_rng([seed, zlib.crc32(performer.encode())])
    yaw, pitch, roll = np.radians(rng.uniform(-2, 2, 3))
    offset = np.array([*rng.uniform(-0.06, 0.06, 2), rng.uniform(-0.02, 0.02)])
    return Camera(float(rng.uniform(0.95, 1.15)), offset, float(yaw), float(pitch), float(roll))


def length_of(task: Task) -> float:
    """Seconds of motion that a clip will have: nearly, and known before it is made."""
    rng = np.random.default_rng([*task.seed, 1])
    return vary(task.score, rng)[0].end + 1.0


def make(root: Path, task: Task) -> float:
    """Play one clip and write it; the seconds it lasts. One that the pianist fails at is told and left out."""
    rng = np.random.default_rng([*task.seed, 1])
    score, shift, tempo = vary(task.score, rng)
    seed = int(rng.integers(2**31))
    styles = styles_of(task.performer, rng)
    try:
        motion, _ = perform(score, performer=tuple(map(Performer.of, styles)), fps=FPS, seed=seed)
    except (
        ArithmeticError,
        LookupError,
        UserError,
        ValueError,
    ) as error:  # one clip among thousands does not end the work
        print(f"{task.name} is left out: {error!r}", file=sys.stderr, flush=True)
        return 0.0
    camera, mano = camera_of(task.performer, task.seed[0]), neutral()
    hands = np.zeros((2, len(motion.left_position), layout.ROW))
    hands[..., 0] = 1
    for side in (LEFT, RIGHT):
        translation, pose = to_camera(*motion.hand(side), camera, side, mano)
        hands[side, :, 1:4], hands[side, :, 4:52] = translation, pose
    meta = {"performer": task.performer, "seed": seed, "source": task.source, "start": task.start}
    meta |= {"transposed": shift, "tempo": round(tempo, 4), "style": told_of(*styles)}
    layout.write_clip(root, layout.Clip(task.name, FPS, hands), Score(motion.notes, motion.pedal), meta)
    return motion.duration


def check_origin(root: Path, pieces: list[Piece], seed: int) -> None:
    """Keep beside the data what it is made from, or compare with what is kept; UserError when that is another.

    Data without that file gets one: the first version made it without.
    """
    path, music = root / "simulation.json", 0
    for piece in pieces:
        music = zlib.crc32(f"{piece.name} {piece.split} ".encode(), music)
        music = zlib.crc32(piece.score.pedal.tobytes(), zlib.crc32(piece.score.notes.tobytes(), music))
    origin = {"seed": seed, "music": music}
    if not path.is_file():
        with whole_file(path) as file:
            file.write(json.dumps(origin).encode())
        return
    try:
        kept = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is damaged: choose another folder for the data.") from error
    if kept != origin:
        raise UserError(f"{root} holds data of another seed or other music: give those, or choose another folder.")


def simulate(root: Path, pieces: list[Piece], hours: float, seed: int, jobs: int, splits: Iterable[str]) -> None:
    """Make what belongs to `splits` of `hours` of motion below `root`, as far as it is not there yet."""
    tasks, seconds = [], 0.0
    for task in plan(pieces, seed):
        tasks.append(task)
        seconds += length_of(task)
        if seconds >= hours * 3600:
            break
    root.mkdir(parents=True, exist_ok=True)
    check_origin(root, pieces, seed)
    layout.write_splits(root, {s: [t.name for t in tasks if t.split == s] for s in layout.SPLITS})
    for performer in (*PERFORMERS, MIXED):
        layout.write_camera(root, performer, camera_of(performer, seed))
    wanted = [task for task in tasks if task.split in splits]
    missing = [task for task in wanted if not layout.annotation_path(root, task.name).is_file()]
    there = len(wanted) - len(missing)
    print(f"{len(tasks)} clips, {seconds / 3600:.2f} h; {len(wanted)} are asked for, {there} are there.", flush=True)
    started, done, said = time.monotonic(), 0.0, 0.0
    for duration in _all_done(root, missing, jobs):
        done += duration
        if time.monotonic() - said > 10:
            said, spent = time.monotonic(), time.monotonic() - started
            print(f"{done / 3600:.2f} h made, {done / spent:.1f} s of motion a second", flush=True)
    print(f"Done: {len(wanted)} clips in {root}.", flush=True)


def _all_done(root: Path, tasks: list[Task], jobs: int) -> Iterator[float]:
    """Make the tasks in `jobs` processes; yields each one's length."""
    for name in _THREADS:  # the processes are the parallel part; they read this when they load NumPy
        os.environ[name] = "1"
    waiting, running = iter(tasks), set[Future]()
    alone = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}  # Ctrl+C is for us to handle
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), **alone) as pool:
        try:
            while True:
                running |= {pool.submit(make, root, t) for t in itertools.islice(waiting, 2 * jobs - len(running))}
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main() -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(prog="training.simulate", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the data, new or to go on with")
    parser.add_argument("--scores", type=Path, required=True, help="the corpus, or a folder of MIDI and MusicXML files")
    parser.add_argument("--hours", type=float, default=20.0, help="hours of motion (20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--splits", nargs="+", choices=layout.SPLITS, default=layout.SPLITS, help="only clips of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (all cores)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not arguments.hours > 0 or arguments.jobs < 1 or arguments.seed < 0:
            raise UserError("Give --hours above 0, --jobs of at least 1 and a --seed of at least 0.", BAD_ARGUMENTS)
        pieces = read_pieces(arguments.scores, lambda sentence: print(sentence, file=sys.stderr, flush=True))
        simulate(arguments.out, pieces, arguments.hours, arguments.seed, arguments.jobs, arguments.splits)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenProcessPool:
        reason = "The system ended a process, perhaps for want of memory"
        print(f"{reason}: run the same command again with fewer --jobs. What has been made is kept.", file=sys.stderr)
        return ENVIRONMENT
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "the disk is full; make room and run the same command again" if full else error.strerror or str(error)
        print(f"Cannot write to {arguments.out}: {advice}. What has been made is kept.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on where it was.", file=sys.stderr)
        return CANCELLED
    return 0


if __name__ == "__main__":
    sys.exit(main())
