# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's module as if it was the executable, as far as the farm's templates use that.

as_blender.py -b --command piano_hands ...   the extension's command
as_blender.py -b file.blend -o ... -F PNG -x 1 -s A -e B -a
"""

import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parents[2]))
from s2c_blender.__main__ import leave, main


def moved(text: str, value: int) -> int:
    """A frame as -s and -e take it: +N and -N are meant from the `value` there."""
    return value + int(text) if text[0] in "+-" else int(text)


def render(words: list[str]) -> int:
    file, *words = words
    if not Path(file).exists():
        print(f"Error: Cannot read file {file}")
        return 1
    bpy.ops.wm.open_mainfile(filepath=file)
    scene, words = bpy.context.scene, iter(words)
    for word in words:
        if word == "-o":
            scene.render.filepath = next(words)
        elif word == "-F":
            scene.render.image_settings.file_format = next(words)
        elif word == "-x":
            scene.render.use_file_extension = next(words) == "1"
        elif word == "-s":
            scene.frame_start = moved(next(words), scene.frame_start)
        elif word == "-e":
            scene.frame_end = moved(next(words), scene.frame_end)
        elif word == "-a":
            bpy.ops.render.render(animation=True)
        else:
            raise SystemExit(f"as_blender.py does not know {word}")
    return 0


if __name__ == "__main__":
    words = sys.argv[1:]
    assert words.pop(0) == "-b"
    if words[0] == "--command":
        bpy.app.binary_path = os.environ["AS_BLENDER"]
        leave(main(words[2:], in_blender=True))
    leave(render(words))
