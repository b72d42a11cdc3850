# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Showing a take on the rig while it is being made, and putting everything back when it is never finished."""

import contextlib
import json
from pathlib import Path

import bpy

from ..errors import UserError
from . import apply, growing, preview, takes
from .rig import rig_of

MARK = "piano_hands_watched"  # on a Piano that was added for this: names of what came with it, by kind, JSON
_OWN = ("collections", "objects", "libraries")  # go with the rig, other kinds where nothing else uses them
_KINDS = (*_OWN, "meshes", "armatures", "cameras", "lights", "materials", "actions", "images")


class Watch:
    """What one generation shows; objects are looked up anew each time, because undo kills references."""

    def __init__(self, scene_uid: int, frame: float):
        self._scene_uid = scene_uid
        self._before = ""  # uid of the take that the rig previewed
        self._added = False  # a rig for this
        preview.forget_growing()
        growing.current = growing.Growing(frame)

    def add(self, start: float, until: float, path: Path) -> None:
        """The motion's next part, from second `start` to `until`, is in a file until the job ends."""
        growing.current.add(start, until, path)
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
                preview.show_growing(rig_of(piano), scene)
        except UserError:
            return

    def hide(self) -> None:
        """Let the rig show what it showed before."""
        scene = next((s for s in bpy.data.scenes if s.session_uid == self._scene_uid), None)
        take = takes.find(self._before, scene) if scene and self._before else None
        for piano in _showing():
            preview.hide(piano)
            if not scene or scene.objects.get(piano.name) != piano:
                continue
            if take:
                with contextlib.suppress(UserError):  # its rig is broken: nothing to show it on
                    preview.show(rig_of(piano), take, scene)
            else:
                apply.refresh(scene)

    def keep(self) -> None:
        """The take is there: what was added for it stays."""
        self.hide()
        for piano in _added():
            del piano[MARK]

    def close(self) -> None:
        """The generation has ended: what was added, and is not kept, goes."""
        self.hide()
        _remove_added()
        growing.current = None
        preview.forget_growing()

    def _piano(self, scene: bpy.types.Scene) -> bpy.types.Object | None:
        """The rig to show it on, added once where there is none."""
        if apply.has_rig(scene):
            return apply.wanted_rig(scene).piano
        if self._added:  # and the user has removed it
            return None
        before = {kind: set(getattr(bpy.data, kind).keys()) for kind in _KINDS}
        piano = apply.add_rig(scene).piano
        new = {kind: sorted(set(getattr(bpy.data, kind).keys()) - before[kind]) for kind in _KINDS}
        piano[MARK] = json.dumps(new)
        self._added = True
        return piano


def _showing() -> list[bpy.types.Object]:
    """Pianos that show what is being made, or was when the file was saved."""
    return [obj for obj in bpy.data.objects if preview.shown_uid(obj) == growing.UID]


def _added() -> list[bpy.types.Object]:
    return [obj for obj in bpy.data.objects if MARK in obj]


def _remove_added() -> None:
    for piano in _added():
        for kind, names in json.loads(piano[MARK]).items():
            found = [block for name in names if (block := getattr(bpy.data, kind).get(name))]
            bpy.data.batch_remove([b for b in found if kind in _OWN or not b.users])


@bpy.app.handlers.persistent
def _tidy_up(*_) -> None:
    """undo_post, redo_post and load_post handler: steps and files of a generation that ran then hold what it showed."""
    if growing.current is None and (_showing() or _added()):
        for piano in _showing():
            preview.hide(piano)
        _remove_added()


_HANDLERS = (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post, bpy.app.handlers.load_post)


def register() -> None:
    for handlers in _HANDLERS:
        handlers.append(_tidy_up)


def unregister() -> None:
    for handlers in _HANDLERS:
        handlers.remove(_tidy_up)
