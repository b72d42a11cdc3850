# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a character's arms hang while it is posed and moved by others: read from Blender before it is keyed."""

from dataclasses import dataclass

import bpy
import numpy as np

from .keying import TAKE

_PROBES = 24  # frames at which a character without an action of its own is looked at: do its constraints move it?
_SAME = 1e-5  # armature units


@dataclass(frozen=True)
class Stage:
    """The armature against the piano, and what carries its hands, once or at every frame."""

    first: int  # frame of the first sample
    place: np.ndarray  # [S, 4, 4] armature space -> piano frame; S = 1 when nothing moves
    bones: dict[str, np.ndarray]  # bone -> [S, 4, 4] from its rest to its pose, in armature space

    @property
    def size(self) -> float:
        """Metres of the piano frame in one unit of the armature."""
        return float(np.linalg.norm(self.place[0, :3, 0]))

    @property
    def still(self) -> bool:
        """Whether all samples are the same."""
        return all(np.abs(values - values[:1]).max() < _SAME for values in (self.place, *self.bones.values()))

    @property
    def once(self) -> "Stage":
        """The first sample alone."""
        return Stage(self.first, self.place[:1], {name: values[:1] for name, values in self.bones.items()})

    def carried(self, bone: bpy.types.Bone | None, frames: np.ndarray) -> np.ndarray:
        """What `bone` does to what hangs on it, at `frames` [T]: [T, 4, 4], or [1, 4, 4] when it keeps still."""
        return np.eye(4)[None] if bone is None else self._at(self.bones[bone.name], frames)

    def to_armature(self, frames: np.ndarray, position: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [T, 3] and turns from rest [T, J, 3, 3] at `frames`, piano frame to armature space."""
        place = self._at(self.place, frames)
        back = np.linalg.inv(place)
        rotate = place[:, :3, :3] / self.size
        first = self.place[0, :3, :3] / self.size
        local = np.einsum("tij,tj->ti", np.broadcast_to(back, (len(frames), 4, 4))[:, :3, :3], position)
        return local + back[:, :3, 3], rotate.swapaxes(1, 2)[:, None] @ turns @ first

    def direction(self, vector: np.ndarray) -> np.ndarray:
        """A direction [3] of the piano frame in armature space."""
        return vector @ self.place[0, :3, :3] / self.size

    def _at(self, samples: np.ndarray, frames: np.ndarray) -> np.ndarray:
        if len(samples) == 1:
            return samples
        place = np.clip(np.asarray(frames, float) - self.first, 0, len(samples) - 1)
        i = np.minimum(place.astype(int), len(samples) - 2)
        u = (place - i)[:, None, None]
        return samples[i] * (1 - u) + samples[i + 1] * u


def watch(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    piano: bpy.types.Object,
    bones: list[bpy.types.Bone],
    frames: np.ndarray,
) -> Stage:
    """Read the stage at whole `frames` [T], or once when nothing moves the character; the scene's frame stays."""
    above = [armature.pose.bones[bone.name] for start in bones for bone in (start, *start.parent_recursive)]
    objects = _with_parents(armature) + _with_parents(piano)
    at = frames[:1]
    if any(_animated(obj) for obj in objects):
        at = frames
    elif any(bone.constraints for bone in above) or any(_driven(obj) for obj in objects):
        at = np.unique(np.linspace(frames[0], frames[-1], _PROBES).astype(int))
    stage = _read(scene, armature, piano, bones, at)
    if len(at) < len(frames) and not stage.still:
        stage = _read(scene, armature, piano, bones, frames)
    return stage.once if stage.still else stage


def _read(scene: bpy.types.Scene, armature, piano, bones: list[bpy.types.Bone], at: np.ndarray) -> Stage:
    """The stage at frames `at`; a single one is the frame that is shown."""
    places, poses = [], {bone.name: [] for bone in bones}
    before = scene.frame_current, scene.frame_subframe
    bpy.context.view_layer.update()
    try:
        for frame in at:
            if len(at) > 1:
                scene.frame_set(int(frame))
            places.append(np.array(piano.matrix_world.inverted() @ armature.matrix_world))
            for bone in bones:
                poses[bone.name].append(np.array(armature.pose.bones[bone.name].matrix @ bone.matrix_local.inverted()))
    finally:
        if len(at) > 1:
            scene.frame_set(before[0], subframe=before[1])
    return Stage(int(at[0]), np.array(places), {name: np.array(values) for name, values in poses.items()})


def _with_parents(obj: bpy.types.Object) -> list[bpy.types.Object]:
    found = [obj]
    while found[-1].parent:
        found.append(found[-1].parent)
    return found


def _animated(obj: bpy.types.Object) -> bool:
    data = obj.animation_data
    return bool(data and ((data.action and TAKE not in data.action) or data.nla_tracks))


def _driven(obj: bpy.types.Object) -> bool:
    drivers = obj.animation_data and obj.animation_data.drivers
    return bool(drivers or obj.constraints or (obj.parent and obj.parent_type == "BONE"))
