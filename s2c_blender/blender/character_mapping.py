# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of a character is which joint: kept in the scene, found by names, and saved as presets of the user.

Kept in the scene, because what is new on a library override does not survive a file load in every Blender.
"""

import json
import re
from pathlib import Path

import bpy
from bpy.props import CollectionProperty, PointerProperty, StringProperty

from ..core import bone_names
from ..core.notes import LEFT, RIGHT
from ..errors import ENVIRONMENT, UserError
from ..outputs import whole_file
from .characters import SIDES, Mapping, unmatched
from .preferences import EXTENSION


def field(side: int, part: str) -> str:
    """Name of the property that holds a part's bone."""
    return f"{SIDES[side]}_{part}"


class PianoHandsCharacter(bpy.types.PropertyGroup):
    """The bones of a character's hands; empty for joints without a bone."""

    armature: PointerProperty(type=bpy.types.Object, name="Character")
    convention: StringProperty(name="Names", description="The kind of rig, or the preset")
    told: StringProperty(options={"HIDDEN"}, description="What was last found out, a line each")


for _side in (LEFT, RIGHT):
    for _part in bone_names.PARTS:
        PianoHandsCharacter.__annotations__[field(_side, _part)] = StringProperty(
            name=_part.replace("_", " ").capitalize(),
            description=f"Bone of the {SIDES[_side]} {_part.replace('_', ' ')}; empty where the character has none",
        )


def kept(scene: bpy.types.Scene, armature: bpy.types.Object) -> PianoHandsCharacter | None:
    """What is known of a character in a scene; None before its bones were looked for."""
    return next((one for one in scene.piano_hands_characters if one.armature == armature), None)


def mapping(scene: bpy.types.Scene, armature: bpy.types.Object) -> Mapping:
    """The bones chosen for a character: {side: {part: bone}}, joints without a bone left out."""
    one = kept(scene, armature)
    return {
        side: {part: bone for part in bone_names.PARTS if (bone := getattr(one, field(side, part), ""))}
        for side in SIDES
    }


def choose(scene: bpy.types.Scene, armature: bpy.types.Object, bones: Mapping, convention: str = "") -> None:
    """Keep a mapping for a character in place of the one it had."""
    one = kept(scene, armature) or scene.piano_hands_characters.add()
    one.armature = armature
    for side in SIDES:
        for part in bone_names.PARTS:
            setattr(one, field(side, part), bones.get(side, {}).get(part, ""))
    one.convention = convention
    one.told = "\n".join(unmatched(armature, bones))


def detect(scene: bpy.types.Scene, armature: bpy.types.Object) -> bone_names.Mapping:
    """Find an armature's hands by the names of its bones and keep them.

    UserError when there is none; bones can be chosen by hand then.
    """
    side = bone_names.side_of(armature.name)
    found = bone_names.detect([bone.name for bone in armature.data.bones], RIGHT if side is None else side)
    if not found.bones:
        if not kept(scene, armature):
            choose(scene, armature, {})
        known = ", ".join(dict.fromkeys(c.name.split()[0] for c in (*bone_names.CONVENTIONS, bone_names.ONE_HAND)))
        raise UserError(
            f'The bones of "{armature.name}" are not named like any rig known here ({known}): '
            "choose the bones in the panel, and save them as a preset for the next time."
        )
    choose(scene, armature, found.bones, found.convention)
    return found


def folder(create: bool = False) -> Path | None:
    """Where the user's presets are; None, or with `create` UserError, when there is no such folder."""
    if EXTENSION.startswith("bl_ext."):
        found = bpy.utils.extension_path_user(EXTENSION, path="characters", create=create)
    else:
        found = bpy.utils.user_resource("CONFIG", path="s2c_piano_hands/characters", create=create)
    if create and not found:
        raise UserError("The folder for presets cannot be made: is Blender's configuration folder writable?")
    return Path(found) if found else None


def presets() -> list[str]:
    """Names of the presets there are."""
    there = folder()
    return sorted(path.stem for path in there.glob("*.json")) if there else []


def save_preset(name: str, bones: Mapping) -> Path:
    """Save a mapping for other characters of its kind."""
    path = _path(name)
    text = json.dumps({"version": 1, "bones": {SIDES[side]: parts for side, parts in bones.items() if parts}}, indent=1)
    try:
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} could not be written: is the folder read-only?", ENVIRONMENT) from error
    return path


def load_preset(name: str, scene: bpy.types.Scene, armature: bpy.types.Object) -> list[str]:
    """Give a character a preset's mapping; the bones of it that it does not have, which are left out."""
    path = _path(name)
    try:
        bones = json.loads(path.read_text(encoding="utf-8"))["bones"]
        wanted = {
            side: {part: str(bone) for part, bone in bones.get(word, {}).items() if part in bone_names.PARTS}
            for side, word in SIDES.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"The preset {path.name} cannot be read: save it again, or delete it.") from error
    there = armature.data.bones
    found = {side: {part: b for part, b in parts.items() if b in there} for side, parts in wanted.items()}
    choose(scene, armature, found, name)
    return sorted({bone for parts in wanted.values() for bone in parts.values() if bone not in there})


def remove_preset(name: str) -> None:
    """Delete a preset."""
    try:
        _path(name).unlink()
    except OSError as error:
        raise UserError(f'The preset "{name}" could not be deleted: is its file read-only?', ENVIRONMENT) from error


def _path(name: str) -> Path:
    clean = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name).strip(" .")
    if not clean:
        raise UserError("A preset needs a name: type one.")
    return folder(create=True) / f"{clean}.json"


def register() -> None:
    bpy.utils.register_class(PianoHandsCharacter)
    bpy.types.Scene.piano_hands_characters = CollectionProperty(type=PianoHandsCharacter)


def unregister() -> None:
    del bpy.types.Scene.piano_hands_characters
    bpy.utils.unregister_class(PianoHandsCharacter)
