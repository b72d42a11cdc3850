# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension in other languages: Blender shows it in the one chosen under Preferences > Interface.

Labels, tooltips and texts of panels are looked up by Blender itself. A text that is built when it is drawn goes through
`filled`. A catalogue is a module with MESSAGES: English text -> its translation.
"""

import bpy

from . import german

LOCALES = {"de_DE": german.MESSAGES, "de": german.MESSAGES}
_CONTEXTS = ("*", "Operator")  # buttons are looked up in the second one
_NAME = __package__


def filled(text: str, *values) -> str:
    """A text in the user's language, with `values` in the places of its {}; draw it with translate=False."""
    return bpy.app.translations.pgettext_iface(text).format(*values)


def register() -> None:
    messages = {
        locale: {(context, text): told for text, told in catalogue.items() for context in _CONTEXTS}
        for locale, catalogue in LOCALES.items()
    }
    bpy.app.translations.register(_NAME, messages)


def unregister() -> None:
    bpy.app.translations.unregister(_NAME)
