# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons order from the worker: the music of the panel's source, or a part of a take made anew."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..errors import UserError
from ..job import Job, knows_styles
from . import actions, editing, takes
from .keying import TOLERANCE_KEPT, scene_clock
from .preferences import cache_folder, preferences
from .rig import rig_of
from .source import Part, chosen_frames, chosen_part


@dataclass(frozen=True)
class Order:
    """What a running generation was asked for; `scene_uid` finds the scene again after undo."""

    job: Job
    part: Part
    scene_uid: int
    result: Path
    push_down: bool = False  # onto NLA tracks, so that the hands play it besides other takes
    made_from: str = ""  # name of the take that it changes


Plan = Callable[[bpy.types.Context, Path], Order]  # the path is a folder that lives as long as the generation


def music(strip: str = "", several: bool = False) -> Plan:
    """The order for one of the chosen strips, or for the active one or the file."""

    def plan(context: bpy.types.Context, folder: Path) -> Order:
        part = chosen_part(context, folder, strip)
        job = _job(context, source=str(part.path), start=part.start, duration=part.duration)
        push_down = several or context.scene.piano_hands.push_down
        return Order(job, part, context.scene.session_uid, folder / "motion.npz", push_down)

    return plan


def anew(keep: bool) -> Plan:
    """The order for the active take with another seed, in the frames of the panel's range, around hand-made keys.

    With `keep` nothing but what those keys ask for changes.
    """

    def plan(context: bpy.types.Context, folder: Path) -> Order:
        scene, settings = context.scene, context.scene.piano_hands
        take = takes.active(scene)
        motion = takes.motion_of(take)
        job = _job(context, source=_heard(take), seed=_next_seed(settings.takes))
        job.previous = str(folder / "previous.npz")
        motion.save(job.previous)
        if not keep:
            job.again = _seconds(take, scene, motion.duration)
        pins = _hand_made(take, scene)
        if pins is not None and len(pins):
            job.pins = str(folder / "pins.npz")
            pins.save(job.pins)
        elif keep:
            raise UserError(
                f'No keyframes of "{take.name}" were changed by hand: insert its keyframes, pose and key a hand, then '
                "press this again."
            )
        part = Part(Path(take.source), take.second, None, take.frame, take.strip, take.retimed)
        uid = scene.session_uid
        return Order(job, part, uid, folder / "motion.npz", settings.push_down, take.name)

    return plan


def _next_seed(all_takes) -> int:
    """One that no take of the scene has."""
    return (1 + max(take.seed for take in all_takes)) % 2**31


def _seconds(take: takes.PianoHandsTake, scene: bpy.types.Scene, duration: float) -> tuple[float, float]:
    """The panel's range in seconds of a take."""
    if not (frames := chosen_frames(scene)):
        return 0.0, duration
    first, last = frames
    clock = scene_clock(scene, take.frame)
    begin, end = max(clock.seconds(first), 0.0), min(clock.seconds(last), duration)
    if end <= begin:
        raise UserError(f'Nothing of "{take.name}" lies between the frames {first} and {last}: choose another range.')
    return begin, end


def _hand_made(take: takes.PianoHandsTake, scene: bpy.types.Scene):
    """Pins of the keys that the user changed on the hands, None where they are not keyed with this take."""
    piano = scene.piano_hands.rig
    if not piano:
        return None
    rig = rig_of(piano)
    ours = [found[0] for hand in rig.hands.values() if (found := editing.action_of(hand, take.uid))]
    if not ours:
        return None
    # What reducing the keys did was not done by hand.
    tolerance = max([editing.TOLERANCE, *(2 * action.get(TOLERANCE_KEPT, 0.0) for action in ours)])
    pins = editing.hand_keys(rig, takes.motion_of(take), scene_clock(scene, take.frame), tolerance, take.uid)
    keyed = sum(len({frame for curve in actions.curves(one) for frame in editing.frames_of(curve)}) for one in ours)
    if 2 * len(pins) > keyed:
        raise UserError(
            f'Most keyframes of "{take.name}" differ from it, as if they were moved or made at another frame rate: '
            "insert its keyframes again."
        )
    return pins


def _heard(take: takes.PianoHandsTake) -> str:
    """The recording of a take, for models that listen; "" when it is not there any more: the notes are in the take."""
    whole = not take.retimed and take.speed == 1.0  # else its times are not the file's
    return take.source if whole and Path(take.source).is_file() else ""


def _job(context: bpy.types.Context, **what) -> Job:
    """A job with the panel's and the preferences' settings."""
    settings, chosen = context.scene.piano_hands, preferences(context)
    device = chosen.device if settings.device == "DEFAULT" else settings.device
    common = {
        "seed": settings.seed,
        "creativity": settings.creativity,
        "style": _style(settings, chosen),
        "style_weight": settings.performer.weight,
        "generator": settings.generator.lower(),
        "device": device.lower(),
        "backend": chosen.backend.lower(),
        "cache_dir": str(cache_folder(context) / "notes"),
        "model": absolute(chosen.model_folder) if settings.generator == "MODEL" else None,
        "mano": absolute(chosen.mano_file),
    }
    return Job(**common | what)


def _style(settings, chosen) -> dict | None:
    """The performer of the panel; a model that knows no styles is told none."""
    if settings.generator == "MODEL" and not knows_styles(absolute(chosen.model_folder)):
        return None
    return settings.performer.told(always=settings.generator == "MODEL")


def absolute(chosen: str) -> str | None:
    """A path as the user chose it, made absolute; None where none is chosen."""
    return bpy.path.abspath(chosen) if chosen else None
