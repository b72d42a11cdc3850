# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Showing a take on the rig while it is being made, and putting everything back when it is never finished."""

from pathlib import Path

import bpy

from ..core.motion import HandMotion
from ..errors import UserError
from . import apply, growing, preview, takes

_KINDS = ("collections", "objects", "meshes", "armatures", "cameras", "lights", "materials", "actions")


class Watch:
    """What one generation shows; objects are looked up anew each time, because undo kills references."""

    def __init__(self, scene_uid: int, frame: float):
        self._scene_uid = scene_uid
        self._before = ""  # uid of the take that the rig previewed
        self._added: dict[str, set[str]] = {}  # names of what came with a rig added for this, by kind
        preview.forget_growing()
        growing.current = growing.Growing(frame)

    def add(self, start: float, path: Path) -> None:
        """The motion's next part, which begins at second `start`, is in a file until the job ends."""
        growing.current.add(start, HandMotion.load(path))
        self.show()

    def show(self) -> None:
        """Show what there is, unless the user wants it not or there is no way; the finished take tells why."""
        try:
            scene = apply.find_scene(self._scene_uid)
            if not scene.piano_hands.watch or scene.library or not growing.current.parts:
                return
            piano = self._piano(scene)
            if piano and preview.shown_uid(piano) != growing.UID:
                self._before = preview.shown_uid(piano)
                preview.show_growing(apply.wanted_rig(scene), scene)
        except UserError:
            return

    def hide(self) -> None:
        """Let the rig show what it showed before."""
        for piano in [obj for obj in bpy.data.objects if preview.shown_uid(obj) == growing.UID]:
            scene = next((s for s in bpy.data.scenes if s.session_uid == self._scene_uid), None)
            take = takes.find(self._before, scene) if scene and self._before else None
            preview.hide(piano)
            if take:
                preview.show(apply.wanted_rig(scene), take, scene)
            elif scene:
                apply.refresh(scene)

    def close(self) -> None:
        """The generation has ended: if its take did not take over the rig, nothing of it stays."""
        unfinished = any(preview.shown_uid(obj) == growing.UID for obj in bpy.data.objects)
        self.hide()
        if unfinished:
            self._remove_added()
        growing.current = None
        preview.forget_growing()

    def _piano(self, scene: bpy.types.Scene) -> bpy.types.Object | None:
        """The rig to show it on, added once where there is none."""
        if apply.has_rig(scene):
            return apply.wanted_rig(scene).piano
        if self._added:  # and the user has removed it
            return None
        before = {kind: set(getattr(bpy.data, kind).keys()) for kind in _KINDS}
        added = apply.add_rig(scene)
        self._added = {kind: set(getattr(bpy.data, kind).keys()) - before[kind] for kind in _KINDS}
        return added.piano

    def _remove_added(self) -> None:
        for kind, names in self._added.items():
            found = [block for name in names if (block := getattr(bpy.data, kind).get(name))]
            bpy.data.batch_remove([b for b in found if kind in ("collections", "objects") or not b.users])
