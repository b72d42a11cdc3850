# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the extension shows has its place in every catalogue, and catalogues come and go with the extension."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender.blender import german, register, translations  # noqa: E402

# Texts with sizes and versions in them, and names that are the same in every language.
AS_THEY_ARE = re.compile(r"\d+ MB to download, for Blender's Python 3\.\d+|NVIDIA, CUDA [\d.]+|AMD, ROCm [\d.]+|CPU")


@pytest.fixture
def registered(scene):
    register.register()
    if translations not in register.MODULES:
        translations.register()
    yield
    if translations not in register.MODULES:
        translations.unregister()
    register.unregister()


def ours(base: type) -> Iterator[type]:
    for cls in base.__subclasses__():
        yield from ours(cls)
        if cls.__module__.startswith("s2c_blender") and getattr(cls, "is_registered", False):
            yield cls


# Texts that Blender has itself, and translates to something else than we do.
BLENDERS = {
    "Blend",
    "Both",
    "Clear",
    "Export",
    "Frame Start",
    "Frames",
    "Generic",
    "Jump to Frame",
    "Keys",
    "Meshes",
    "Note",
    "Start Frame",
}


def catalogue(file: Path) -> dict[str, str]:
    """A compiled catalogue of gettext: text, or context and text with a 4 between -> translation."""
    data = file.read_bytes()
    count, *tables = struct.unpack("<III", data[8:20])

    def texts(table: int) -> list[str]:
        places = [struct.unpack_from("<II", data, table + 8 * n) for n in range(count)]
        return [data[begin : begin + length].decode() for length, begin in places]

    return dict(zip(*map(texts, tables), strict=True))


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_known_which_texts_blender_translates_otherwise(repo, suite):
    file = repo / "build" / "blender-roots" / suite / "usr" / "share" / "locale" / "de" / "LC_MESSAGES" / "blender.mo"
    if not file.exists():
        pytest.skip("needs a Blender that speaks German: python -m tools.blender_root")
    theirs = catalogue(file)
    labels = german.BUTTONS | german.PANELS | german.SETTINGS | german.TEXTS
    other = {text for text, told in labels.items() if theirs.get(text, told) != told}
    buttons = {text for text in german.BUTTONS if theirs.get(f"Operator\x04{text}", labels[text]) != labels[text]}
    assert other | buttons <= BLENDERS


def test_texts_that_blender_translates_otherwise_have_a_context_of_ours(registered):
    ours_only, seen = (translations.OURS, translations.OF_PIANOS), set()
    types = bpy.types
    for base in (types.Operator, types.Panel, types.PropertyGroup, types.AddonPreferences):
        for cls in ours(base):
            label = getattr(cls, "bl_label", "")
            # Blender shows an operator and a panel in the context of its class, and a property in its own.
            if label in BLENDERS:
                assert cls.bl_rna.translation_context in ours_only or cls.bl_translation_context in ours_only, cls
                seen.add(label)
            for prop in cls.bl_rna.properties:
                names = {prop.name, *(item.name for item in (prop.enum_items if prop.type == "ENUM" else ()))}
                if names & BLENDERS and prop.identifier in {
                    n for c in cls.__mro__ for n in vars(c).get("__annotations__", {})
                }:
                    assert prop.translation_context in ours_only, (cls, prop.identifier)
                    seen |= names & BLENDERS
    assert seen == BLENDERS - {"Frame Start"}  # which a panel shows for a property
    frame_start = types.Scene.bl_rna.properties["piano_hands"].fixed_type.properties["frame_start"]
    assert frame_start.translation_context == translations.OURS


def shown() -> dict[str, str]:
    """Labels and tooltips of everything that is registered, and the class that shows each."""
    found = {}
    types = bpy.types
    for base in (types.Operator, types.Panel, types.PropertyGroup, types.AddonPreferences):
        for cls in ours(base):
            texts = [getattr(cls, "bl_label", "")]
            if base is types.Operator:
                group, name = cls.bl_idname.split(".")
                texts.append(getattr(getattr(bpy.ops, group), name).get_rna_type().description)
            names = {name for part in cls.__mro__ for name in getattr(part, "__annotations__", {})}
            for prop in (cls.bl_rna.properties.get(name) for name in names):
                if prop and not prop.is_hidden:
                    items = prop.enum_items if prop.type == "ENUM" else ()
                    texts += [prop.name, prop.description, *(t for i in items for t in (i.name, i.description))]
            found |= {text: cls.__name__ for text in texts if text.strip()}
    return found


def test_every_label_and_tooltip_is_in_the_catalogue(registered):
    texts = shown()
    assert len(texts) > 350
    missing = {t: c for t, c in texts.items() if t not in german.MESSAGES and not AS_THEY_ARE.fullmatch(t)}
    assert not missing, missing


def test_translations_fit_their_texts():
    for text, told in german.MESSAGES.items():
        assert told.strip() == told and told
        assert text.count("{}") == told.count("{}"), text
        assert text.endswith(".") == told.endswith("."), text


def test_catalogues_come_and_go(registered):
    assert translations.filled("Ghost: {}", "take-001") == "Ghost: take-001"  # in English
    translations.unregister()
    translations.register()
    if bpy.app.build_options.international:
        with pytest.raises(ValueError):  # once is enough
            translations.register()


def test_shown_in_german_where_blender_speaks_it(registered):
    if not bpy.app.build_options.international:
        pytest.skip("this bpy was built without languages")
    view = bpy.context.preferences.view
    before = view.language, view.use_translate_interface
    try:
        view.language = next(name for name in ("de_DE", "de") if name in bpy.app.translations.locales)
        view.use_translate_interface = True
        assert translations.filled("{} of {} notes played", 3, 4) == "3 von 4 Noten gespielt"
    finally:
        view.language, view.use_translate_interface = before
