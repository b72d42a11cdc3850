# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: every generation of a scene, kept with its motion inside the .blend.

The motion is packed into a custom property of a text data-block, and not of the scene, which Blender copies at each
change of a setting. The text says what it is for.
"""

import json
import math
import uuid
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..core.motion import HandMotion
from ..core.packed import pack, unpack
from ..errors import UserError
from .keying import next_name

PACKED = "piano_hands_motion"  # custom property of the text
_KEPT = 4  # motions held unpacked
_ROUNDED = 0.01  # frames that single precision, in which properties are kept, may be off after an hour

_motions: OrderedDict[str, HandMotion] = OrderedDict()  # by uid; a take's motion never changes


class PianoHandsTake(bpy.types.PropertyGroup):
    """One generation: its motion, where it lies on the timeline, and what it was made from."""

    uid: StringProperty(options={"HIDDEN"})
    data: PointerProperty(type=bpy.types.Text, name="Motion", description="The text data-block that holds the motion")
    frame: FloatProperty(name="Start", description="Frame of the scene at which the motion begins")
    seconds: FloatProperty(name="Length", description="Length of the motion in seconds")
    seed: IntProperty(name="Seed")
    generator: StringProperty(name="Generator")
    source: StringProperty(name="Source", description="What was played")
    strip: StringProperty(name="Strip", description="The sound strip it belongs to, empty for a file")
    second: FloatProperty(name="Second", description="Second of what the strip plays at which the motion begins")
    retimed: BoolProperty(name="Retimed", description="Whether the strip played its file faster or slower")
    speed: FloatProperty(name="Speed", description="How fast it follows its strip, retimed since", default=1.0)
    accuracy: FloatProperty(
        name="Key Accuracy",
        description="How well the pressed keys agree with the notes: F1 of all notes",
        subtype="FACTOR",
    )
    made: StringProperty(name="Made", description="When it was generated")
    report: StringProperty(options={"HIDDEN"}, description="What was played and dropped, JSON")

    def told(self) -> dict:
        """The report of its generation."""
        return _parsed(self.report)


@lru_cache(16)
def _parsed(report: str) -> dict:
    """Panels ask for it at every redraw."""
    return json.loads(report or "{}")


def add(scene: bpy.types.Scene, motion: HandMotion, report: dict, frame: float) -> PianoHandsTake:
    """Keep a motion, whose time 0 lies at `frame`, as the scene's newest take, which becomes the active one."""
    settings = scene.piano_hands
    take = settings.takes.add()
    take.name = next_name(other.name for s in bpy.data.scenes for other in s.piano_hands.takes)
    take.uid = uuid.uuid4().hex
    take.data = bpy.data.texts.new(f"Piano Hands {take.name}")
    take.data.write("The motion of a take of Piano Hands, in a custom property. Remove takes in the panel, not here.\n")
    take.data[PACKED] = pack(motion)
    take.data.use_fake_user = False  # the take is its user: without it, it may go
    take.frame, take.seconds = frame, motion.duration
    take.seed, take.generator, take.source = report["seed"], report["generator"], report["source"]
    take.accuracy = report["key_accuracy"]
    take.made = datetime.now().isoformat(" ", "minutes")
    take.report = json.dumps(report)
    settings.take_index = len(settings.takes) - 1
    return take


def remove(scene: bpy.types.Scene, index: int) -> None:
    """Delete a take and its motion; keyframes made of it stay."""
    settings = scene.piano_hands
    take = settings.takes[index]
    _motions.pop(take.uid, None)
    shared = [other for s in bpy.data.scenes for other in s.piano_hands.takes if other.data == take.data]
    if take.data and len(shared) == 1:  # a copied scene's takes share their texts
        bpy.data.texts.remove(take.data)
    settings.takes.remove(index)
    settings.take_index = min(settings.take_index, max(len(settings.takes) - 1, 0))


def active(scene: bpy.types.Scene) -> PianoHandsTake | None:
    """The take that is chosen in the list; None when there is none."""
    settings = scene.piano_hands
    return settings.takes[settings.take_index] if 0 <= settings.take_index < len(settings.takes) else None


def index_of(scene: bpy.types.Scene, uid: str) -> int | None:
    """Place of a take in the scene's list; None when it is not there."""
    return next((i for i, take in enumerate(scene.piano_hands.takes) if take.uid == uid), None)


def find(uid: str, scene: bpy.types.Scene) -> PianoHandsTake | None:
    """The take with an id, of this scene rather than of others: copied scenes have takes with the same ids."""
    homes = [scene, *bpy.data.scenes]
    return next((take for home in homes for take in home.piano_hands.takes if take.uid == uid), None)


def motion_of(take: PianoHandsTake) -> HandMotion:
    """A take's motion, not to be changed; UserError when its text was deleted or damaged."""
    if take.uid not in _motions:
        if not take.data or PACKED not in take.data:
            raise UserError(f'The motion of "{take.name}" was deleted: remove the take and generate again.')
        try:
            _motions[take.uid] = unpack(take.data[PACKED])
        except ValueError as error:
            raise UserError(f'The motion of "{take.name}" is damaged: remove the take and generate again.') from error
        if len(_motions) > _KEPT:
            _motions.popitem(last=False)
    _motions.move_to_end(take.uid)
    return _motions[take.uid]


def stretch(take: PianoHandsTake, factor: float) -> None:
    """Make a take last `factor` times as long: its motion, its notes and what is told of them.

    It gets a new uid, because a motion with the same one never changes. UserError when its motion is gone.
    """
    motion = motion_of(take)
    notes, report = motion.notes.copy(), take.told()
    for name in ("onset", "offset"):
        notes[name] *= factor
    longer = replace(
        motion, fps=motion.fps / factor, notes=notes, keys=motion.keys * factor, pedal=motion.pedal * factor
    )
    if len([other for s in bpy.data.scenes for other in s.piano_hands.takes if other.data == take.data]) > 1:
        take.data = take.data.copy()
    del take.data[PACKED]  # written over, bytes are cut at the first 0
    take.data[PACKED] = pack(longer)
    take.uid, take.seconds, take.speed = uuid.uuid4().hex, longer.duration, take.speed / factor
    for name in ("dropped", "warnings"):  # a warning with a time is a dict, another a sentence
        told = [one if isinstance(one, str) else one | {"onset": one["onset"] * factor} for one in report.get(name, [])]
        report = report | {name: told}
    take.report = json.dumps(report)


def rate_of(scene: bpy.types.Scene) -> float:
    """Frames a second of a scene."""
    return scene.render.fps / scene.render.fps_base


def range_of(take: PianoHandsTake, scene: bpy.types.Scene) -> tuple[int, int]:
    """First and last frame of a take, as keying has them."""
    last = take.frame + take.seconds * rate_of(scene)
    return math.floor(take.frame + _ROUNDED), math.ceil(last - _ROUNDED)


def register() -> None:
    bpy.utils.register_class(PianoHandsTake)


def unregister() -> None:
    bpy.utils.unregister_class(PianoHandsTake)
    _motions.clear()
