# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is registered with Blender, in one place; unregister is its exact mirror."""

import bpy

from . import (
    characters_ui,
    export_ui,
    generating,
    ghost,
    job,
    operators,
    panel,
    piano_model_ui,
    preferences,
    preview,
    properties,
    self_check,
    style,
    style_copy,
    takes,
    takes_ui,
    translations,
    video_ui,
    watching,
)

MODULES = (
    translations,
    preferences,
    takes,
    style,
    properties,
    preview,
    job,
    watching,
    generating,
    operators,
    style_copy,
    self_check,
    panel,
    ghost,
    takes_ui,
    characters_ui,
    video_ui,
    export_ui,
    piano_model_ui,
)
COMMAND = "piano_hands"

_command = None  # handle of the registered command


def register() -> None:
    """Called when the extension is enabled."""
    global _command
    for module in MODULES:
        module.register()
    _command = bpy.utils.register_cli_command(COMMAND, run_command)


def unregister() -> None:
    """Called when the extension is disabled."""
    global _command
    bpy.utils.unregister_cli_command(_command)
    _command = None
    for module in reversed(MODULES):
        module.unregister()


def run_command(arguments: list[str]) -> int:
    """`blender --command piano_hands ...`; returns the exit code."""
    from ..cli import main  # brings SciPy, which start-up can do without

    return main(arguments, in_blender=True)
