# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of a batch: read from a folder, a list or a JSON file, and recognised when they are done."""

import argparse
import glob
import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from .. import __version__
from ..core.style import PERFORMERS
from ..errors import BAD_ARGUMENTS, UserError
from ..model.weights import BUNDLED
from .arguments import ABOUT_TELLING, SUFFIXES, ActionIn, check_sense, named_outputs, parser

SOUNDS = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".m4a", ".mp4", ".mov", ".mkv", ".webm"}
NOTES = {".mid", ".midi", ".smf", ".kar"}
INPUTS = ("audio", "from_motion", "model", "mano", "style", "style_from")  # options that name what a job reads


@dataclass(frozen=True)
class BatchJob:
    """One job: its name (also the stem of its files, with folders), its whole command line, and that understood."""

    name: str
    argv: list[str]
    arguments: argparse.Namespace = field(repr=False)
    result: Path  # where its result is kept, once it has ended

    def outputs(self) -> dict[str, Path]:
        """Output name -> path."""
        return named_outputs(self.arguments)


def read_jobs(
    batch: Path, out_dir: Path, kinds: tuple[str, ...], shared: list[str], in_blender: bool
) -> list[BatchJob]:
    """The jobs of a folder, a text list or a JSON file; `shared` is the command line that holds for all of them.

    UserError when one of them cannot be understood, before any work.
    """
    try:
        if batch.is_dir():
            given = _folder(batch, out_dir)
        elif batch.suffix.lower() == ".json":
            given = _json(batch)
        else:
            given = _list(batch)
    except FileNotFoundError as error:
        raise UserError(f"{batch} does not exist: give a folder, a text file of paths, or a JSON file.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{batch} is neither a folder nor a text file or JSON that can be read ({error}).") from error
    if not given:
        raise UserError(f"There is no recording in {batch}: give a folder, a text file of paths, or a JSON file.")
    jobs, taken = [], set()
    for options in given:
        options = dict(options)
        name = _free_name(str(options.pop("name", None) or _usual_name(options)), taken)
        jobs.append(_job(name, options, out_dir, kinds, shared, in_blender))
    _check_apart(jobs)
    return jobs


def _folder(folder: Path, out_dir: Path) -> list[dict]:
    """Every recording and MIDI file in it and its folders, but for those in `out_dir`."""
    if folder.resolve() == out_dir.resolve():
        raise UserError("Results would mix with recordings: give --out-dir another folder.", BAD_ARGUMENTS)
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in SOUNDS | NOTES or any(part.startswith(".") for part in inside.parts):
            continue
        if path.is_file() and not path.resolve().is_relative_to(out_dir.resolve()):
            found.append({"audio": str(path.absolute()), "name": inside.with_suffix("").as_posix()})
    return found


def _list(file: Path) -> list[dict]:
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    return [{"audio": str(file.absolute().parent / line)} for line in lines if line and not line.startswith("#")]


def _json(file: Path) -> list[dict]:
    """A list of jobs, or {"defaults": {...}, "jobs": [...]}; paths are meant from the file's folder."""
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    content = content if isinstance(content, dict) else {"jobs": content}
    defaults, jobs = content.get("defaults", {}), content.get("jobs")
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in [defaults, *jobs]):
        raise UserError(
            f'{file.name} is not a batch: write a list of jobs, each {{"audio": "song.wav", ...}} '
            'with options by their names, or {"defaults": {...}, "jobs": [...]}.',
            BAD_ARGUMENTS,
        )
    found = []
    for job in jobs:
        options = {key.replace("_", "-"): value for part in (defaults, job) for key, value in part.items()}
        options = {key: value for key, value in options.items() if value is not None}
        paths = {"audio", "from-motion", "model", "mano", "cache", "style-from"}
        if options.get("style") not in PERFORMERS:
            paths.add("style")
        for key in paths & options.keys():
            options[key] = str(file.absolute().parent / str(options[key]))
        found.append(options)
    return found


def _usual_name(options: dict) -> str:
    source = options.get("audio") or options.get("from-motion")
    if not source:
        raise UserError('A job has nothing to play: give it "audio".', BAD_ARGUMENTS)
    return Path(source).stem


def _free_name(name: str, taken: set[str]) -> str:
    """The name, with a number when another job has it; file systems that ignore case are thought of."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.name:
        raise UserError(f'A job cannot be called "{name}": its files would lie outside --out-dir.', BAD_ARGUMENTS)
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free.casefold())
    return free


def _job(
    name: str, options: dict, out_dir: Path, kinds: tuple[str, ...], shared: list[str], in_blender: bool
) -> BatchJob:
    """The job with its command line: outputs it names itself lie in `out_dir`, else they are those of `kinds`."""
    outputs = {kind: options.pop(kind) for kind in SUFFIXES if kind in options}
    outputs = outputs or {kind: f"{name}{'' if unique else f'.{kind}'}{SUFFIXES[kind][0]}"
                          for kind, unique in _endings(kinds)}  # fmt: skip
    argv = list(shared)
    for key, value in options.items():
        if isinstance(value, bool):
            argv += [f"--{key}"] * value
        else:
            argv.append(f"--{key}={value}")
    argv += [f"--{kind}={out_dir.absolute() / str(path)}" for kind, path in outputs.items()]
    try:
        arguments = parser(in_blender, strict=True).parse_args(argv)
        if arguments.batch or arguments.check:
            raise UserError("a job cannot be a batch or a check itself", BAD_ARGUMENTS)
        check_sense(arguments, in_blender=False)
        named_outputs(arguments)
    except UserError as error:
        raise UserError(f'The job "{name}" is wrong: {error}', BAD_ARGUMENTS) from error
    return BatchJob(name, argv, arguments, out_dir.absolute() / "results" / f"{name}.json")


def _endings(kinds: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Each kind, and whether no earlier one has its ending (raw and motion are both .npz)."""
    return [(kind, all(SUFFIXES[kind][0] != SUFFIXES[other][0] for other in kinds[:n])) for n, kind in enumerate(kinds)]


def _check_apart(jobs: list[BatchJob]) -> None:
    seen: dict[str, str] = {}
    for job in jobs:
        for path in job.outputs().values():
            if other := seen.get(str(path).casefold()):
                raise UserError(f'The jobs "{other}" and "{job.name}" both write {path}.', BAD_ARGUMENTS)
            seen[str(path).casefold()] = job.name


def options_hash(job: BatchJob) -> str:
    """Of all that decides what the job makes, but for the files that it reads, and where they and its outputs lie."""
    options = {key: value for key, value in vars(job.arguments).items() if key not in ABOUT_TELLING}
    style = options["style"] if options["style"] in PERFORMERS else None
    shown = {"action": options["style_from"].name} if isinstance(options["style_from"], ActionIn) else {}
    options |= {key: options[key] is not None for key in (*INPUTS, *SUFFIXES)} | {"performer": style} | shown
    text = json.dumps(options | {"s2c_blender": __version__}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def inputs_now(job: BatchJob, known: dict[str, dict] | None = None) -> dict[str, dict]:
    """Input name -> size, time of change and hash of its content; hashes in `known` hold while size and time do.

    Empty for files that are not there. Of folders (models) the files in them, one level deep.
    """
    found = {}
    for option in INPUTS:
        path = getattr(job.arguments, option)
        if option == "model" and path is None and job.arguments.generator == "model" and BUNDLED.is_dir():
            path = BUNDLED  # another one in a new version plays otherwise
        if path is None or path in PERFORMERS:
            continue
        path = path.file if isinstance(path, ActionIn) else Path(path)
        for file in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
            name = f"{option}/{file.name}"
            found[name] = _identity(file, (known or {}).get(name, {}))
    return found


def _identity(file: Path, known: dict) -> dict:
    try:
        status = file.stat()
        now = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
        if known.items() >= now.items():
            return now | {"sha256": known["sha256"]}
        return now | {"sha256": _hash(file, **now)}
    except OSError:
        return {}


@lru_cache(4096)
def _hash(file: Path, size: int, mtime_ns: int) -> str:
    """Of the content; size and time of change are for the cache."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def finished(job: BatchJob) -> dict | None:
    """The result of an earlier run of this very job, when its outputs are still there; None when it is to be run."""
    try:
        result = json.loads(job.result.read_text(encoding="utf-8"))
        same = result["exit_code"] == 0 and result["options"] == options_hash(job)
        before = result["inputs"]
        same = same and _contents(before) == _contents(inputs_now(job, before))
        return result if same and result["sizes"] == output_sizes(job) and all(result["sizes"].values()) else None
    except (OSError, ValueError, KeyError, TypeError):  # never run, or a result that somebody changed
        return None


def _contents(inputs: dict[str, dict]) -> dict[str, str | None]:
    return {name: identity.get("sha256") for name, identity in inputs.items()}


def output_sizes(job: BatchJob) -> dict[str, int]:
    """Output name -> bytes, 0 when absent; of images that one pattern (####) names, all together."""
    sizes = {}
    for name, path in job.outputs().items():
        pattern = path.name
        if path.suffix == ".png" and "#" not in path.stem:
            pattern = f"{path.stem}_####.png"  # as Blender numbers images
        pattern = glob.escape(pattern).replace("#", "[0-9]")
        files = path.parent.glob(pattern) if "[0-9]" in pattern else [path]
        sizes[name] = sum(file.stat().st_size for file in files if file.is_file())
    return sizes
