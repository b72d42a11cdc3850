# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension in other languages: Blender shows it in the one chosen under Preferences > Interface.

Labels, tooltips and texts of panels are looked up by Blender itself. A text that is built when it is drawn goes through
`filled`. A catalogue is a module with MESSAGES: English text -> its translation.

Blender's own translations win over ours where it has the same text in the same context. Where they say something else
(tested), a property, operator or panel has one of our contexts.
"""

import bpy

from . import german

LOCALES = {"de_DE": german.MESSAGES, "de": german.MESSAGES}
OURS, OF_PIANOS = "Piano Hands", "Piano Hands: Pianos"  # contexts; in the second one keys are no keyframes
_CONTEXTS = ("*", "Operator", OURS, OF_PIANOS)  # buttons are looked up in the second one
_OF_PIANOS = {"de_DE": german.OF_PIANOS, "de": german.OF_PIANOS}
_NAME = __package__


def filled(text: str, *values) -> str:
    """A text in the user's language, with `values` in the places of its {}; draw it with translate=False."""
    return bpy.app.translations.pgettext_iface(text).format(*values)


def register() -> None:
    messages = {
        locale: {(context, text): told for text, told in catalogue.items() for context in _CONTEXTS}
        | {(OF_PIANOS, text): told for text, told in _OF_PIANOS[locale].items()}
        for locale, catalogue in LOCALES.items()
    }
    bpy.app.translations.register(_NAME, messages)


def unregister() -> None:
    bpy.app.translations.unregister(_NAME)
