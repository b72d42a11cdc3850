# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the extension shows has its place in every catalogue, and catalogues come and go with the extension."""

import re
from collections.abc import Iterator

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
