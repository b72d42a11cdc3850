# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many recordings: each a process of its own, some at the same time, going on where an earlier run ended.

A JSON line on stdout for each job as it ends, and a last one, the summary, which is also written to
OUT_DIR/summary.json. OUT_DIR/results/NAME.json says what became of a job. It is written when all its outputs are: a job
without it, after a crash, is made again, and one with it is not as long as options, inputs and outputs are the same.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from ..errors import BAD_ARGUMENTS, CANCELLED, INPUT_FAILED, UserError
from ..outputs import check_folder, one_sentence, whole_file
from .arguments import SUFFIXES, batch_parser
from .jobs import BatchJob, finished, inputs_now, options_hash, output_sizes, read_jobs
from .telling import GRACE, Teller

OWN_OPTIONS = {"--openjd"}  # options of a batch's command line that are not for its jobs
TOLD = ("source", "notes_found", "notes_played", "key_accuracy", "warnings", "frames", "music_seconds")
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from s2c_blender.__main__ import leave, main; leave(main())"


def run(arguments: argparse.Namespace, argv: list[str], report: dict, tell: Teller, in_blender: bool) -> int:
    """Run the batch that the command line `argv` asks for, fill the summary, and return the exit code."""
    if given := [f"--{name}" for name in ("audio", "from_motion", *SUFFIXES) if getattr(arguments, name)]:
        told = f"A batch names its own files: leave out {' and '.join(given)}, and give --out-dir and --kinds."
        raise UserError(told.replace("_", "-"), BAD_ARGUMENTS)
    if not arguments.out_dir:
        raise UserError("A batch needs a folder for its files: give --out-dir.", BAD_ARGUMENTS)
    check_folder(arguments.out_dir)
    shared = [word for word in batch_parser().parse_known_args(argv)[1] if word not in OWN_OPTIONS]
    jobs = read_jobs(arguments.batch, arguments.out_dir, arguments.kinds, shared, in_blender)
    begun = time.perf_counter()
    runs = _Runs(_program(in_blender), tell, len(jobs))
    results: dict[str, dict] = {}
    code = CANCELLED
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    try:
        _run_all(jobs, runs, arguments.workers, results)
        code = INPUT_FAILED if any(result["exit_code"] for result in results.values()) else 0
    finally:
        report |= _summary(arguments, jobs, results, time.perf_counter() - begun) | {"exit_code": code}
        _write_json(arguments.out_dir / "summary.json", report)
    tell.line(f"{report['done']} done, {report['skipped']} of them earlier; {report['failed']} failed.")
    if report["failed"]:
        tell.farm(fail=f"{report['failed']} of {len(jobs)} jobs failed.")
    return code


def _program(in_blender: bool) -> list[str]:
    """The start of a job's command line."""
    if in_blender:
        from ..blender.batch import command_line

        return command_line()
    return [sys.executable, "-c", _START, str(Path(__file__).parents[2])]


def _run_all(jobs: list[BatchJob], runs: "_Runs", workers: int, results: dict[str, dict]) -> None:
    """Run the jobs and put what became of each into `results`; when interrupted, end those that run."""
    with ThreadPoolExecutor(workers, thread_name_prefix="job") as pool:
        waiting: set[Future] = set()
        try:
            waiting = {pool.submit(runs.one, job) for job in jobs}
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    results[result["job"]] = result
                    runs.tell_result(result, len(results))
        except BaseException:
            runs.stop()
            pool.shutdown(cancel_futures=True)
            raise


class _Runs:
    """Starts the processes, follows them, and ends them."""

    def __init__(self, program: list[str], tell: Teller, count: int):
        self._program = program
        self._tell = tell
        self._count = count
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def one(self, job: BatchJob) -> dict:
        """Run one job in a process of its own, unless it is done; returns what became of it. Never raises UserError."""
        if earlier := finished(job):
            return _line(job, earlier, "skipped")
        begun = time.perf_counter()
        result = {"job": job.name, "options": options_hash(job)}
        try:
            result["inputs"] = inputs_now(job)
            for path in (job.result, *job.outputs().values()):
                _make_way(path)
            code, report = self._process(job)
            result |= {"exit_code": code, "sizes": output_sizes(job), "report": report}
            result["seconds"] = round(time.perf_counter() - begun, 3)
            if code != CANCELLED:
                _write_json(job.result, result)
        except (OSError, ValueError, UserError) as error:  # ValueError: a path with a 0 in it
            result |= {"exit_code": getattr(error, "exit_code", INPUT_FAILED), "report": {"error": str(error)}}
        return _line(job, result, "failed" if result["exit_code"] else "done")

    def tell_result(self, result: dict, ended: int) -> None:
        """The job's JSON line, and a readable one."""
        self._tell.result(result)
        self._tell.farm(progress=ended / self._count, status=f"{ended} of {self._count}: {result['job']}")
        told = result.get("error") or (f"{result['seconds']:.1f} s" if result["state"] == "done" else "earlier")
        self._tell.line(f"[{ended}/{self._count}] {result['job']}: {result['state']} ({told})")

    def stop(self) -> None:
        """End all processes, kindly at first; no other one starts."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.stdin.close()  # telling.end_with_parent
        end = time.monotonic() + GRACE
        for process in running:
            try:
                process.wait(max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()

    def _process(self, job: BatchJob) -> tuple[int, dict]:
        """Exit code and report of the job's process."""
        last = deque(maxlen=20)
        with tempfile.TemporaryFile() as answer, _temporary(job) as temporary:
            with self._lock:
                if self._stopped:
                    return CANCELLED, {"error": "Cancelled."}
                process = subprocess.Popen(
                    [*self._program, *job.argv, "--with-parent"],
                    stdin=subprocess.PIPE,
                    stdout=answer,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                    env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary),
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
                self._running.add(process)
            try:
                for line in process.stderr:
                    last.append(line.strip())
                    self._tell.line(f"{job.name}: {line.strip()}")
                code = process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)
                process.stderr.close()
                process.stdin.close()
            answer.seek(0)
            report = _report(answer.read().decode("utf-8", "replace"))
        if self._stopped:
            return CANCELLED, {"error": "Cancelled."}
        if report is None or "exit_code" not in report:
            return code or INPUT_FAILED, {"error": _crashed(code, last)}
        return report["exit_code"], report  # all is written then, even when the process crashed in leaving


def _report(text: str) -> dict | None:
    """The report, the last line of JSON; None when there is none."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                return None
    return None


def _crashed(code: int, last: deque) -> str:
    if code < 0:
        try:
            why = f"killed by {signal.Signals(-code).name}, often because the memory ran out"
        except ValueError:
            why = f"killed by signal {-code}"
    else:
        why = f"exit code {code}"
    words = next((line for line in reversed(last) if line), "")
    return f"The job's process ended unexpectedly ({why}{'; ' + words if words and code >= 0 else ''}): run it alone."


@contextmanager
def _temporary(job: BatchJob) -> Iterator[str]:
    """A folder for a job's temporary files, which go with it however the job ends.

    It lies beside the job's result, under a name by which _make_way knows what a killed batch has left.
    """
    folder = job.result.with_name(f".{job.result.name}.{os.getpid()}.part")
    folder.mkdir()
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # on Windows something may still be open; the next run removes it


def _make_way(path: Path) -> None:
    """Make the folder of an output, and remove what a crash left there: half-written files, temporary ones."""
    with one_sentence(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stem, suffix, name = re.escape(path.stem), re.escape(path.suffix), re.escape(path.name)
        left_over = re.compile(rf"\.({stem}\.\d+\.part{suffix}.*|{name}\.\d+\.part)")  # whole_file, HandMotion.save
        for left in path.parent.iterdir():
            if left_over.fullmatch(left.name):
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _line(job: BatchJob, result: dict, state: str) -> dict:
    """A job's line on stdout."""
    report = result["report"]
    line = {"job": job.name, "state": state, "exit_code": result["exit_code"]}
    line |= {name: report[name] for name in ("error", *TOLD) if name in report}
    if not result["exit_code"]:
        line["outputs"] = {name: str(path) for name, path in job.outputs().items()}
    return line | {"seconds": result.get("seconds", 0.0)}


def _summary(arguments: argparse.Namespace, jobs: list[BatchJob], results: dict[str, dict], seconds: float) -> dict:
    states = [result["state"] for result in results.values()]
    failed = [results[job.name] for job in jobs if job.name in results and results[job.name]["state"] == "failed"]
    made = states.count("done")
    return {
        "batch": str(arguments.batch.absolute()),
        "outputs": {"summary": str((arguments.out_dir / "summary.json").absolute())},
        "jobs": len(jobs),
        "done": made + states.count("skipped"),
        "skipped": states.count("skipped"),
        "failed": len(failed),
        "failures": [{"job": result["job"], "error": result.get("error", "")} for result in failed],
        "workers": arguments.workers,
        "seconds": round(seconds, 3),
        "jobs_a_minute": round(60 * made / seconds, 1) if made else None,
    }


def _write_json(path: Path, content: dict) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
