# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is chosen for one scene, saved with the file: `scene.piano_hands`."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..core.notes import LEFT, RIGHT
from ..errors import UserError
from ..job import GENERATOR
from . import job, preview, takes
from .keying import Density
from .preferences import DEVICES
from .rig import HANDS, PIANO, has_name, rig_of
from .style import PianoHandsPerformer
from .takes import PianoHandsTake
from .translations import OURS

SOURCES = [
    ("STRIP", "Sound Strip", "The sound strip that is active in the sequencer, as it is trimmed and placed there"),
    ("FILE", "File", "An audio or MIDI file; the hands start where you say"),
]
RANGES = [
    ("ALL", "Whole Recording", "From the first to the last note of the strip or file"),
    ("SCENE", "Scene Range", "Only what sounds between the first and last frame of the scene"),
    ("CUSTOM", "Frames", "Only what sounds between two frames"),
]
SIDES = [
    ("BOTH", "Both", "Both hands are animated"),
    ("LEFT", "Left", "Only the left hand is animated; the right one keeps what it has"),
    ("RIGHT", "Right", "Only the right hand is animated; the left one keeps what it has"),
]
GENERATORS = [
    (
        "MODEL",
        "Gesture Model",
        "A neural network imagines the motion, and the pianist makes it meet the keys",
    ),
    ("PIANIST", "Pianist", "The motion follows from the notes, in the way of the performer you choose"),
]
DENSITIES = [
    ("EVERY", "Every Frame", "A keyframe at each frame of the scene: the motion as it is"),
    ("STEP", "Every n-th Frame", "A keyframe each n frames, on the motion; what lies between is rounded off"),
    (
        "REDUCED",
        "Reduced",
        "Only the keyframes that are needed, where they are needed, so that all fingertips stay "
        "near; strokes stay exact",
    ),
]
OUTPUTS = [
    ("KEYS", "Keyframes", "The hands get keyframes that can be edited and exported"),
    ("PREVIEW", "Preview", "The hands only follow the current frame; keyframes come later with Insert Keyframes"),
]


def take_chosen(settings: "PianoHandsSettings") -> None:
    """Remember the take that was active before, and let a preview follow the new one."""
    take = takes.active(settings.id_data)
    if not take or take.uid == settings.active_before:
        return
    settings.compared, settings.active_before = settings.active_before, take.uid
    if settings.rig and preview.is_shown(settings.rig):
        try:
            preview.show(rig_of(settings.rig), take, settings.id_data)
        except UserError:  # of a broken rig: the button says so when it is pressed
            preview.hide(settings.rig)


def is_piano(obj: bpy.types.Object) -> bool:
    """Whether an object is the root of a rig, judged by names only."""
    return has_name(obj, PIANO) and any(
        child.type == "ARMATURE" and any(has_name(child, name) for name in HANDS.values()) for child in obj.children
    )


class PianoHandsSettings(bpy.types.PropertyGroup):
    """Settings of the panel, and the scene's takes."""

    source: EnumProperty(name="Source", description="Where the music comes from", items=SOURCES)
    filepath: StringProperty(
        name="File", description="Audio or MIDI file with the piano music that the hands will play", subtype="FILE_PATH"
    )
    file_frame: IntProperty(
        name="Start Frame",
        description="Frame at which the file's first moment is played",
        default=1,
        translation_context=OURS,
    )
    add_sound: BoolProperty(
        name="Add Sound Strip",
        description="Also put the file into the sequencer, so that the music is heard while the hands play",
        default=True,
    )
    range: EnumProperty(
        name="Range", description="Which part of the music is played", items=RANGES, translation_context=OURS
    )
    frame_start: IntProperty(
        name="Start",
        description="First frame to play; earlier notes are left out",
        default=1,
        translation_context=OURS,  # of the panel's "Frame Start"
    )
    frame_end: IntProperty(name="End", description="Last frame to play; later notes are left out", default=250)
    seed: IntProperty(
        name="Seed", description="Another number gives another performance of the same notes", min=0, max=2**31 - 1
    )
    creativity: FloatProperty(
        name="Creativity",
        description="How far the performances of two seeds differ; at 0 every seed gives the same one",
        subtype="FACTOR",
        default=1.0,
        min=0.0,
        max=1.0,
    )
    generator: EnumProperty(
        name="Generator", description="Who imagines how the hands move", items=GENERATORS, default=GENERATOR.upper()
    )
    performer: PointerProperty(
        type=PianoHandsPerformer, name="Performer", description="Whose way of moving the hands have"
    )
    animate_keys: BoolProperty(
        name="Animate Piano",
        description="Also key the piano keys and the pedal, so that they go down under the hands",
        default=True,
    )
    hands: EnumProperty(name="Hands", description="Which hands are animated", items=SIDES, translation_context=OURS)
    rig: PointerProperty(
        name="Rig",
        description="The piano whose hands are animated. Left empty, the scene's first one is used, "
        "and added when there is none",
        type=bpy.types.Object,
        poll=lambda self, obj: is_piano(obj),
    )
    output: EnumProperty(name="Result", description="What the hands get", items=OUTPUTS)
    density: EnumProperty(
        name="Keys",
        description="Which frames of the hands get keyframes",
        items=DENSITIES,
        translation_context=OURS,
    )
    key_step: IntProperty(name="n", description="Frames from one keyframe to the next", default=2, min=2, soft_max=10)
    tolerance: FloatProperty(
        name="Tolerance (mm)",
        description="How far a fingertip may be from where it is with all keyframes",
        default=0.5,
        min=0.05,
        soft_max=3.0,
    )
    watch: BoolProperty(
        name="Watch",
        description="While the hands are being made, let them play what is finished already when you scrub or play",
        default=True,
        update=lambda self, context: job.watch(self.watch),
    )
    push_down: BoolProperty(
        name="Push to NLA",
        description="Put the keyframes on NLA tracks, where several takes play one after another on the same hands. "
        "Of several strips they always go there",
        default=False,
    )
    device: EnumProperty(
        name="Device",
        description="What PyTorch computes on",
        items=[("DEFAULT", "As in Preferences", "The device chosen in the extension's preferences"), *DEVICES],
    )

    takes: CollectionProperty(type=PianoHandsTake, name="Takes", description="What was generated in this scene")
    take_index: IntProperty(
        name="Active Take",
        description="The take that is previewed, keyed and exported",
        update=lambda self, context: take_chosen(self),
    )
    compared: StringProperty(options={"HIDDEN"}, description="The take that was active before this one")
    active_before: StringProperty(options={"HIDDEN"}, description="The take that was active at the last change")

    def key_density(self) -> Density:
        """Which frames are keyed."""
        if self.density == "REDUCED":
            return Density(tolerance=self.tolerance * 1e-3)
        return Density(step=self.key_step if self.density == "STEP" else 1)

    def sides(self) -> tuple[int, ...]:
        """The hands to animate."""
        return {"BOTH": (LEFT, RIGHT), "LEFT": (LEFT,), "RIGHT": (RIGHT,)}[self.hands]


def register() -> None:
    bpy.utils.register_class(PianoHandsSettings)
    bpy.types.Scene.piano_hands = PointerProperty(type=PianoHandsSettings)


def unregister() -> None:
    del bpy.types.Scene.piano_hands
    bpy.utils.unregister_class(PianoHandsSettings)
