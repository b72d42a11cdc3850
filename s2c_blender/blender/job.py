# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One generation from the button to the keyed hands: starts the worker, follows it, puts its motion on the rig.

The state lives here and not in the file: undo and file loads must not touch a running worker. Objects of the file
are looked up anew when the worker is done, because undo kills every reference to them.
"""

import json
import logging
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ..core.motion import HandMotion
from ..errors import Cancelled, UserError
from ..outputs import one_sentence
from ..worker import Done, Failed, Grown, Worker
from . import orders, takes
from .apply import add_sound, check_rig, find_scene, put_on_rig
from .batch import worker_options
from .orders import Plan, absolute
from .preferences import cache_folder, preferences, trim_cache
from .source import strip_names
from .translations import filled
from .watching import Watch

STAGES = {
    "reading": "Reading the music",
    "listening": "Listening for notes",
    "imagining": "Imagining the gestures",
    "playing": "Playing them",
}
KEPT = (  # of generate's report, in a take
    "source",
    "seed",
    "generator",
    "style",
    "notes_found",
    "notes_played",
    "dropped",
    "key_accuracy",
    "warnings",
    "seconds",
    "times_real_time",
)
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """One sentence for the panel, and the operator that helps ("" when none does)."""

    sentence: str
    cure: str = ""


class Run:
    """A worker at work."""

    def __init__(self, context: bpy.types.Context, plan: Plan):
        """Start what is planned; UserError when settings do not add up or the worker cannot start."""
        temporary = Path(tempfile.gettempdir())
        with one_sentence(temporary):
            self._folder = tempfile.TemporaryDirectory(prefix="piano-hands-", ignore_cleanup_errors=True)
        self._cache = cache_folder(context)
        self._limit = preferences(context).cache_limit
        try:
            check_rig(context.scene)
            options = worker_options(absolute(preferences(context).interpreter))
            with one_sentence(temporary):
                self.order = plan(context, Path(self._folder.name))
                self.worker = Worker(self.order.job, self.order.result, folder=self._folder.name, **options)
        except BaseException:
            self._folder.cleanup()
            raise
        self.watch = Watch(self.order.scene_uid, self.order.part.frame)
        self.stage, self.fraction = "reading", 0.0
        self.started = time.monotonic()
        _LOGGER.info("generating: %s", self.order.job)

    def seconds_left(self) -> float | None:
        """An estimate, None while it is too early for one."""
        passed = time.monotonic() - self.started
        if passed < 2.0 or self.fraction < 0.03:
            return None
        return passed * (1.0 - self.fraction) / self.fraction

    def poll(self) -> dict | None:
        """Take in what the worker told; its report once it is done, UserError when it failed."""
        for message in self.worker.poll():
            if isinstance(message, Done):
                return message.report
            if isinstance(message, Failed):
                raise UserError(message.sentence, message.exit_code)
            if isinstance(message, Grown):
                self.watch.add(message.first, message.until, Path(message.path))
                continue
            self.told(message.stage, message.fraction)
        return None

    def settings(self) -> bpy.types.PropertyGroup | None:
        """Of the scene that it is made for; None when that was deleted."""
        try:
            return find_scene(self.order.scene_uid).piano_hands
        except UserError:
            return None

    def told(self, stage: str, fraction: float) -> None:
        """Progress of the worker."""
        self.stage, self.fraction = stage, fraction

    def close(self) -> None:
        """End the worker if it still runs, and tidy up."""
        self.worker.cancel()
        try:
            self.watch.close()
        finally:
            _LOGGER.debug("the worker said:\n%s", self.worker.log)
            self._folder.cleanup()
            trim_cache(self._cache, self._limit)


@dataclass
class State:
    """What the panel shows of this session."""

    run: Run | None = None
    trouble: Trouble | None = None
    waiting: list[str] = field(default_factory=list)  # strips that are played after this one
    done: int = 0  # of several strips


state = State()


def start(context: bpy.types.Context, plan: Plan | None = None) -> Run:
    """Begin what is planned, or the panel's music, of several strips the first. UserError when that cannot be."""
    state.trouble, state.done = None, 0
    names = [] if plan else strip_names(context)
    several = len(names) > 1
    state.run = Run(context, plan or orders.music(names[0] if several else "", several))
    state.waiting = names[1:]
    return state.run


def go_on(context: bpy.types.Context, scene_uid: int) -> bool:
    """Begin with the next of several strips; False when there is none. UserError as `start`."""
    failed = None
    while state.waiting and not state.run:
        name = state.waiting.pop(0)
        try:
            with context.temp_override(scene=find_scene(scene_uid)):
                state.run = Run(bpy.context, orders.music(name, several=True))
        except UserError as error:  # the others can be played all the same
            failed = error
    if failed and not state.run:
        raise failed
    return state.run is not None


def cancel() -> str:
    """The user wants no more; the sentence that says what that means."""
    sentence = f"Cancelled; {state.done} finished takes stay." if state.done else "Cancelled; nothing was changed."
    stop(sentence)
    return sentence


def watch(on: bool) -> None:
    """Whether the rig shows what is made so far."""
    if state.run and on:
        state.run.watch.show()
    elif state.run:
        state.run.watch.hide()


def stop(sentence: str = "") -> None:
    """End the running generation, if there is one; with a `sentence`, which the panel shows, also what waits for it."""
    run, state.run = state.run, None
    if run:
        run.close()
        state.trouble = Trouble(sentence) if sentence else None
    if sentence:
        state.waiting = []


def fail(error: UserError) -> None:
    """End the running generation, if there is one, and show why: for operators, once for each error."""
    stop()
    left, state.waiting = len(state.waiting), []
    others = f" The strips after it ({left}) were not played." if left else ""
    state.trouble = Trouble(f"{error}{others}", _cure(str(error)))
    _LOGGER.warning("%s", error)


def _cure(sentence: str) -> str:
    """The operator that does what a sentence advises."""
    advice = {
        "Add Rig": "piano_hands.add_rig",
        "preferences": "piano_hands.show_preferences",
        "Python": "piano_hands.show_preferences",
        "PyTorch": "piano_hands.show_preferences",
        "an audio file": "piano_hands.choose_file",
        "an audio or MIDI file": "piano_hands.choose_file",
        "the file again": "piano_hands.choose_file",
    }
    return next((operator for words, operator in advice.items() if words in sentence), "")


def finish(report: dict) -> str:
    """Put the finished motion on the rig and end the run; a summary in one sentence."""
    run = state.run
    try:
        target = find_scene(run.order.scene_uid)
        settings = target.piano_hands
        if target.library:
            raise UserError(
                "The scene is linked from another file and cannot be keyed: generate in a scene of your own."
            )
        part = run.order.part
        motion = HandMotion.load(run.order.result)
        told = {name: report[name] for name in KEPT} | {"source": str(part.told)}
        run.watch.keep()  # before the new take is chosen, which else would be previewed for nothing
        take = takes.add(target, motion, told, part.frame)
        take.strip, take.second, take.retimed = part.strip, part.start, part.retimed
        if settings.source == "FILE" and settings.add_sound and not run.order.made_from:
            warnings = report["warnings"] + add_sound(target, part, take)
            take.report = json.dumps(told | {"warnings": warnings})
        put_on_rig(target, take, run.order.push_down)  # if it cannot be keyed, the take stays for another try
        state.done += 1
    except BaseException:
        stop()
        raise
    stop()
    if not state.waiting:
        state.done = 0
    _LOGGER.info("done: %s", report)
    return f"{report['notes_played']} of {report['notes_found']} notes are played"


@bpy.app.handlers.persistent
def _stop_before_load(*_) -> None:
    """load_pre handler: the new file has nothing to do with the running generation."""
    stop()
    state.trouble, state.waiting, state.done = None, [], 0


def register() -> None:
    bpy.app.handlers.load_pre.append(_stop_before_load)


def unregister() -> None:
    stop()
    state.trouble, state.waiting = None, []
    bpy.app.handlers.load_pre.remove(_stop_before_load)


def blocking(context: bpy.types.Context, plan: Plan | None = None) -> str:
    """As start, but the whole generation at once, for scripts and background mode; the last summary, or UserError."""
    run = start(context, plan)
    while True:
        try:
            report = run.worker.wait(run.told)
        except UserError:
            stop()
            raise
        except (Cancelled, KeyboardInterrupt):
            cancel()
            raise
        told = finish(report)
        if not go_on(context, run.order.scene_uid):
            return told
        run = state.run


def time_left(seconds: float | None) -> str:
    """Time left in words an animator reads at a glance."""
    if seconds is None:
        return ""
    if seconds < 60:
        return filled("{} s left", max(1, math.ceil(seconds)))
    return filled("{} min left", math.ceil(seconds / 60))
