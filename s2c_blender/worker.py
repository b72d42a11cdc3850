# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`generate` in a process of its own, so that Blender stays responsive and never loads PyTorch.

A process does one job at a time and then waits for the next, so that packages and networks need not be loaded again;
after a failure that may be its own, and when it was cancelled or left alone for IDLE seconds, it ends. The parent
writes an order as one JSON line, {"job": {...}, "result": "motion.npz"}, and keeps the pipe open: when it closes,
because Blender quit or crashed, the process ends too and takes its temporary files with it. It answers in JSON lines:
{"pid"} once, {"stage", "fraction"} and {"grown", "first", "until"} many times, then either {"report"} (the motion is in
the result file) or {"error", "exit_code"}.
"""

import atexit
import contextlib
import gc
import glob
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import BAD_ARGUMENTS, CANCELLED, ENVIRONMENT, INPUT_FAILED, Cancelled, UserError
from .job import Job, Look

PACKAGE_ROOT = Path(__file__).parents[1]
IDLE = 600.0  # s that it waits for the next job
# Not what lies in the current folder, which may be any; and no wheels for another Python.
_START = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; import json; from pathlib import PurePath; "
    "first, last = json.loads(sys.argv[1]); mine = 'python%d.%d' % sys.version_info[:2]; sys.path[:0] = first; "
    "sys.path += [p for p in last if not any(w[:8] == 'python3.' and w != mine for w in PurePath(p).parts)]; "
    "from s2c_blender.worker import main; main(sys.argv[2])"
)


@dataclass(frozen=True)
class Told:
    """Progress: the stage's name and the fraction of the whole job done."""

    stage: str
    fraction: float


@dataclass(frozen=True)
class Grown:
    """The motion from second `first` to `until` of the whole is in the HandMotion file `path` until the job ends."""

    path: str
    until: float
    first: float


@dataclass(frozen=True)
class Done:
    """The motion file is written; `report` is generate's."""

    report: dict


@dataclass(frozen=True)
class Failed:
    """One sentence for the user; `log` is the end of what the worker printed."""

    sentence: str
    exit_code: int = INPUT_FAILED
    log: str = ""


Message = Told | Grown | Done | Failed


class Worker:
    """The parent's side of a job: orders it, hands over the messages without blocking, ends it.

    `interpreter` is a Python with the needed packages (default: this one); `search_paths` are folders of packages it
    may fall back on, such as an extension's wheels, which a new process does not see by itself. `folder` is a
    temporary one of the caller's, which is removed when the caller is killed. Workers at the same time have a process
    each. A Look instead of a job makes a report about that Python.
    """

    def __init__(
        self,
        job: Job | Look,
        result: str | Path,
        *,
        interpreter: str | None = None,
        python_args: Iterable[str] = (),
        search_paths: Iterable[str] = (),
        folder: str | Path | None = None,
    ):
        self.finished = False
        self._result = Path(result)
        kind = "look" if isinstance(job, Look) else "job"
        self._order = {kind: asdict(job), "result": str(result), "folder": str(folder) if folder else None}
        paths = json.dumps([[str(PACKAGE_ROOT)], list(search_paths)])
        self._command = [interpreter or sys.executable, *python_args, "-u", "-c", _START, paths]
        self._begin()

    def poll(self) -> list[Message]:
        """Messages since the last call; the last one of all is Done or Failed. Never blocks."""
        messages = []
        while not self.finished:
            try:
                messages.append(self._next(block=False))
            except queue.Empty:
                return messages
        return [message for message in messages if not isinstance(message, Grown)]  # the whole motion is there

    def wait(self, on_progress: Callable[[str, float], None] | None = None) -> dict:
        """Block until the end and return the report; UserError when it failed. An exception here ends the worker."""
        try:
            while True:
                message = self._next(block=True)
                if isinstance(message, Done):
                    return message.report
                if isinstance(message, Failed):
                    if message.exit_code == CANCELLED:
                        raise Cancelled
                    raise UserError(message.sentence, message.exit_code)
                if isinstance(message, Told) and on_progress:
                    on_progress(message.stage, message.fraction)
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """End the job and its process now. Harmless when the job has ended already."""
        if not self.finished:
            self._finish(reusable=False)

    @property
    def log(self) -> str:
        """The end of what the worker printed."""
        return self._log if self.finished else self._process.log

    def _begin(self) -> None:
        self._process, self._reused = _take(self._command)
        self._heard = False
        self._process.send(self._order)

    def _next(self, block: bool) -> Message:
        message = self._process.messages.get(block)
        if message is None and self._reused and not self._heard:  # it was killed while it waited for this job
            self._process.end()
            self._begin()
            return self._next(block)
        self._heard = True
        if message is None:
            message = self._process.died()
        if isinstance(message, Done | Failed):
            harmless = isinstance(message, Done) or message.exit_code in (INPUT_FAILED, BAD_ARGUMENTS)
            self._finish(reusable=harmless)
        return message

    def _finish(self, reusable: bool) -> None:
        self.finished, self._log = True, self._process.log
        if reusable:
            _put_back(self._process)
        else:
            self._process.end()
            _remove_unfinished(self._order, self._process.pid)
        for part in _parts(self._result):
            with contextlib.suppress(OSError):  # the parent's reader may hold it; its folder goes soon
                part.unlink()


class _Process:
    """A process that serves one job after the other, with the threads that read what it says."""

    def __init__(self, command: list[str]):
        self.made_for = (command, dict(os.environ))
        self.messages: queue.Queue[Message | None] = queue.Queue()
        self._pid: int | None = None
        self._log: list[str] = []
        self._temporary = tempfile.mkdtemp(prefix="piano-hands-worker-")  # whatever it leaves there goes with it
        self._timer: threading.Timer | None = None
        try:
            self._process = subprocess.Popen(
                [*command, self._temporary],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._temporary),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            Path(self._temporary).rmdir()
            raise UserError(
                f"The Python interpreter {command[0]} cannot be started ({error.strerror}): "
                "correct it in the extension's preferences.",
                ENVIRONMENT,
            ) from error
        self._readers = [
            threading.Thread(target=self._read_messages, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Of the Python that works, as its half-written files have it in their names.

        On Windows a virtual environment's python.exe only starts that one, and has a number of its own.
        """
        return self._pid or self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        return "".join(self._log[-50:])

    def send(self, order: dict) -> None:
        """Order a job."""
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except OSError:  # it ended at once; the reader tells why
            return

    def forget(self) -> None:
        """What it printed was about the job before."""
        self._log.clear()

    def rest(self, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` if nobody wakes it within `seconds`."""
        self._timer = threading.Timer(seconds, then)
        self._timer.daemon = True
        self._timer.start()

    def wake(self) -> None:
        if self._timer:
            self._timer.cancel()

    def end(self) -> None:
        """End it now and remove its temporary files."""
        self.wake()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                pipe.close()
            except (OSError, ValueError):  # the other end is gone, or a reader holds it for its last line
                continue
        shutil.rmtree(self._temporary, ignore_errors=True)

    def died(self) -> Failed:
        """What to tell about its unexpected end."""
        code = self._process.wait()
        self._readers[1].join(1.0)
        why = f"killed by signal {-code}, often because the memory ran out" if code < 0 else f"exit code {code}"
        last = next((line.strip() for line in reversed(self._log) if line.strip()), "")
        detail = f"{why}; {last}" if code > 0 and last else why
        return Failed(
            f"The worker process ended unexpectedly ({detail}): try again with a shorter part.", ENVIRONMENT, self.log
        )

    def _read_messages(self) -> None:
        try:
            for line in self._process.stdout:
                if not line.endswith("\n"):
                    break  # it was killed within the line
                try:
                    told = json.loads(line)
                except ValueError:  # an interpreter that prints a greeting, or is none
                    told = None
                if not isinstance(told, dict):
                    self._log.append(line)
                elif "pid" in told:
                    self._pid = told["pid"]
                elif "report" in told:
                    self.messages.put(Done(told["report"]))
                elif "error" in told:
                    self.messages.put(Failed(told["error"], told["exit_code"], self.log))
                elif "grown" in told:
                    self.messages.put(Grown(told["grown"], told["until"], told["first"]))
                else:
                    self.messages.put(Told(told["stage"], told["fraction"]))
        finally:
            self.messages.put(None)

    def _read_log(self) -> None:
        for line in self._process.stderr:
            self._log.append(line)
            del self._log[:-200]


_waiting: list[_Process] = []  # for their next job
_lock = threading.Lock()  # of _waiting; batches have a thread for each of their workers


def _take(command: list[str]) -> tuple[_Process, bool]:
    """A process for this command in this environment, and whether it has worked before; others that wait are ended."""
    with _lock:
        fits = [p for p in _waiting if p.made_for == (command, dict(os.environ)) and p.alive]
        unfit = [p for p in _waiting if p not in fits]
        _waiting[:] = fits[1:]
    for process in unfit:
        process.end()
    if not fits:
        return _Process(command), False
    fits[0].wake()
    fits[0].forget()
    return fits[0], True


def _put_back(process: _Process) -> None:
    with _lock:
        _waiting.append(process)
        process.rest(IDLE, lambda: _end_waiting(process))


def _end_waiting(process: _Process) -> None:
    with _lock:
        if process not in _waiting:
            return
        _waiting.remove(process)
    process.end()


def end_idle() -> None:
    """End the processes that wait for work: their files and packages may then be changed or removed."""
    with _lock:
        processes = list(_waiting)
        _waiting.clear()
    for process in processes:
        process.end()


atexit.register(end_idle)


def _parts(result: Path) -> list[Path]:
    """Files of the growing motion."""
    return list(result.parent.glob(f"{glob.escape(result.stem)}.grown-*.npz"))


def _remove_unfinished(order: dict, pid: int) -> None:
    """Remove the half-written files of a process that was ended at its job."""
    job = order.get("job", {})
    files = [Path(path) for path in (order["result"], job.get("midi"), job.get("raw")) if path]
    folders = {file.parent for file in files} | ({Path(job["cache_dir"])} if job.get("cache_dir") else set())
    for folder in folders:
        for file in folder.glob(f".*.{pid}.part*"):
            with contextlib.suppress(OSError):
                file.unlink()


def main(temporary: str) -> None:
    """The child's side; `temporary` is the folder of its temporary files."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group; the parent ends this one if it is meant
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the answers

    def answer(message: dict) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    answer({"pid": os.getpid()})
    orders: queue.SimpleQueue[dict] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders, temporary), daemon=True).start()
    while True:
        order = orders.get()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak memory of this job, on Linux
        try:
            answer(_work(order, answer))
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # at a usual exit Python would wait for the thread that listens
        _give_back()
        if orders.empty():
            _get_ready(order)


def _give_back() -> None:
    """Memory that no job needs any more, a graphics card's, too: Blender renders with it."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    elif torch and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _get_ready(order: dict) -> None:
    """What the next job may need is loaded while nobody waits for it."""
    if "job" in order:
        with contextlib.suppress(Exception):  # what is wrong is told to the next job, which meets it too
            from .generate import make_ready

            make_ready()


def _work(order: dict, answer: Callable[[dict], None]) -> dict:
    """Do what is ordered; the last answer."""
    try:
        if "look" in order:
            from .probe import look

            return {"report": look(Look(**order["look"]))}
        from .generate import generate
        from .outputs import one_sentence

        def grow(motion, first: float) -> None:
            path = result.with_name(f"{result.stem}.grown-{round(first * 1000)}.npz")
            with contextlib.suppress(OSError):  # a full disk is told at the end; a preview can be missing
                motion.save(path)
                answer({"grown": str(path), "first": first, "until": first + motion.duration})

        result = Path(order["result"])
        job = Job(**order["job"])
        made = generate(job, lambda stage, fraction: answer({"stage": stage, "fraction": fraction}), grow)
        with one_sentence(result):
            made.motion.save(result)
        return {"report": made.report}
    except UserError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    except ImportError as error:
        sentence = f"The Python package {error.name} is missing in {sys.executable}: install it, or choose another one."
        return {"error": sentence, "exit_code": ENVIRONMENT}
    except OSError as error:
        if not error.filename:  # a library that cannot be loaded, for one
            traceback.print_exc()
            return {"error": f"The work failed ({error}): see the log.", "exit_code": ENVIRONMENT}
        from .outputs import write_failed

        return {"error": write_failed(error.filename, error), "exit_code": ENVIRONMENT}
    except Exception as error:  # what packages and drivers raise is up to them
        traceback.print_exc()
        reason = " ".join(str(error).split())[:200] or "no reason is told"
        cure = "choose the device cpu (Processor), or report this with the log"
        return {"error": f"The work failed ({type(error).__name__}: {reason}): {cure}.", "exit_code": ENVIRONMENT}


def _listen(orders: "queue.SimpleQueue[dict]", temporary: str) -> None:
    """Take in orders until the parent is gone; then leave nothing behind."""
    order = None
    try:
        for line in sys.stdin:
            order = json.loads(line)
            orders.put(order)
        if order:
            _remove_unfinished(order, os.getpid())
            for part in _parts(Path(order["result"])):
                part.unlink(missing_ok=True)
    except (OSError, ValueError):  # a line cut short: the parent was killed
        traceback.print_exc()
    finally:
        for folder in (temporary, order and order["folder"]):
            for _ in range(5):  # the main thread may still be writing there
                if folder and Path(folder).exists():
                    shutil.rmtree(folder, ignore_errors=True)
        os._exit(CANCELLED)
