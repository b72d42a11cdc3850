# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's entry point: Blender wants it beside the manifest.

The imports wait until Blender calls, because test runners and Python import this file too, with no bpy around.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from .s2c_blender.blender import register as registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from .s2c_blender.blender import register as registration

    registration.unregister()
    from .s2c_blender import wheels

    wheels.forget_bytecode()
