# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene made for one export: copies of hands, keys and meshes, baked to whole frames, gone when the file is written.

Exporters write what they find, in names, axes, sizes and frames; so they get a scene in which all of these are as the
file should have them. Objects stand unturned and unscaled in the world, skeletons have a root bone, sleeves and (in one
skeleton) keys are bones with a rigid skin. The user's scene lends its names meanwhile and is otherwise left alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import bpy
import numpy as np
from mathutils import Matrix

from ..core.curves import one_sheet
from ..core.notes import LEFT, RIGHT
from . import actions
from .export_sample import Sampled, Times, poses_kept, quaternions, sample
from .piano_model import attached_keys
from .rig import PIANO, Rig

ROOT = "root"
SKELETON = "Armature"  # Unreal leaves out a node of this name, so that `root` is the root of the skeleton
_SIDES = {LEFT: "_l", RIGHT: "_r"}
_STILL = 1e-7  # m and shares of a turn; what moves less does not move


@dataclass(frozen=True)
class Wanted:
    """What goes on the stage."""

    hands: tuple[int, ...] = (LEFT, RIGHT)
    single: bool = False  # all in one skeleton
    mesh: bool = True
    piano: bool = False
    unit: float = 1.0  # file units a unit of the scene
    root: Matrix = field(default_factory=Matrix)  # how root bones are turned


@dataclass(frozen=True)
class Stage:
    """The scene to export, and its skeletons."""

    scene: bpy.types.Scene
    skeletons: list[bpy.types.Object]


@dataclass(frozen=True)
class _Bone:
    name: str
    parent: str
    world: np.ndarray  # [T, 4, 4] in file units
    rest: np.ndarray  # [4, 4]
    length: float


@contextmanager
def staged(rig: Rig, scene: bpy.types.Scene, wanted: Wanted, times: Times, name: str) -> Iterator[Stage]:
    """The stage for a file called `name`; whatever happens, nothing of it is left afterwards."""
    hands = {side: rig.hands[side] for side in wanted.hands}
    parts = {side: _meshes(hand) if wanted.mesh else [] for side, hand in hands.items()}
    keys = _keys(rig) if wanted.piano else []
    rigid = [part for found in parts.values() for part in found if not _skins(part)]
    watched = [*hands.values(), *rigid, *keys]
    shown = [*rig.hands.values(), *rig.keys.values(), *([rig.pedal] if rig.pedal else [])]  # a preview moves them all
    with poses_kept(scene, list(dict.fromkeys([rig.piano, *shown, *watched]))):
        build = _Build(wanted, times, sample(scene, rig.piano, watched, times.scene_frames), name)
        try:
            if wanted.single:
                for side, hand in hands.items():
                    build.add_hand(hand, parts[side], _SIDES[side])
                for key in keys:
                    build.add_rigid(key, key.name.replace(".", "_"), mesh=wanted.mesh)
                build.skeleton(SKELETON)
            else:
                for side, hand in hands.items():
                    build.add_hand(hand, parts[side], "")
                    build.skeleton(hand.name)
                build.loose(keys)
            # Files keep a pose beside the animation, and take that for the rest pose where there is no skin.
            build.scene.frame_set(times.first - 1)
            yield Stage(build.scene, build.skeletons)
        finally:
            build.strike()


def _keys(rig: Rig) -> list[bpy.types.Object]:
    """The keys and the pedal: those of the user's piano model where it has them, else the rig's."""
    model = [key for key in attached_keys(rig.piano).values() if key.type == "MESH"]
    pedal = [rig.pedal] if rig.pedal and not (model and rig.pedal.hide_render) else []
    return [*(model or rig.keys.values()), *pedal]


def _meshes(hand: bpy.types.Object) -> list[bpy.types.Object]:
    """The meshes on a hand, without those that are hidden."""
    return [o for o in hand.children if o.type == "MESH" and not o.hide_viewport and not o.hide_render]


def _skins(mesh: bpy.types.Object) -> bool:
    return any(modifier.type == "ARMATURE" for modifier in mesh.modifiers)


class _Build:
    """Makes the stage's objects, and takes all of them away again."""

    def __init__(self, wanted: Wanted, times: Times, sampled: Sampled, name: str):
        self.wanted, self.times, self.sampled, self.name = wanted, times, sampled, name
        self.skeletons: list[bpy.types.Object] = []
        self._bones: list[_Bone] = []
        self._worn: list[tuple[bpy.types.Object, dict[str, str], np.ndarray]] = []  # mesh, groups, where it was
        self._made: list[bpy.types.ID] = []
        self._lent: list[tuple[bpy.types.ID, str]] = []  # whose name a copy has meanwhile
        self.scene = self._new(bpy.data.scenes, name)
        self.scene.render.fps = max(1, round(times.rate))
        self.scene.render.fps_base = self.scene.render.fps / times.rate
        self.scene.frame_end = times.last
        self.scene.frame_start = times.first
        self.scene.unit_settings.scale_length = 1.0

    def add_hand(self, hand: bpy.types.Object, meshes: Sequence[bpy.types.Object], suffix: str) -> None:
        """The deforming bones of a hand, its skin, and its rigid meshes as bones."""
        deforming = [bone for bone in hand.data.bones if bone.use_deform]
        names = {bone.name: bone.name + suffix for bone in deforming}
        place = self.sampled.objects[hand.name][0]
        size = _size(place) * self.wanted.unit
        for bone in deforming:
            above = next((b for b in bone.parent_recursive if b.use_deform), None)
            world = self._unit(self.sampled.bones[hand.name, bone.name], _size(place))
            rest = self._unit(place @ np.array(bone.matrix_local), _size(place))
            parent = names[above.name] if above else ROOT
            self._bones.append(_Bone(names[bone.name], parent, world, rest, bone.length * size))
        for mesh in meshes:
            if _skins(mesh):
                to_hand = np.array(hand.matrix_world.inverted() @ mesh.matrix_world)
                self._worn.append((mesh, names, place @ to_hand))
            else:
                self.add_rigid(mesh, mesh.name)

    def add_rigid(self, obj: bpy.types.Object, bone: str, *, mesh: bool = True) -> None:
        """A bone that moves as an object does, with the object's mesh on it."""
        places = self.sampled.objects[obj.name]
        world, _ = self._rigid(places)
        self._bones.append(_Bone(bone, ROOT, world, world[0], 0.05 * self.wanted.unit))
        if mesh:
            self._worn.append((obj, {"": bone}, places[0]))

    def skeleton(self, name: str) -> None:
        """Make an armature of the bones added so far, and dress it."""
        data = self._new(bpy.data.armatures, name)
        obj = self._object(name, data)
        self._lay_bones(obj)
        self._pose(obj)
        for mesh, groups, place in self._worn:
            self._wear(obj, mesh, groups, place)
        self.skeletons.append(obj)
        self._bones, self._worn = [], []

    def loose(self, objects: Sequence[bpy.types.Object]) -> None:
        """Objects as they are, each with its own keyframes, under one empty."""
        piano = self._object(PIANO, None) if objects else None
        for obj in objects:
            world, shape = self._rigid(self.sampled.objects[obj.name])
            copy = self._mesh(obj, np.diag([self.wanted.unit] * 3 + [1.0]) @ shape)
            copy.parent = piano
            copy.rotation_mode = "QUATERNION"
            copy.matrix_basis = Matrix(world[0])
            if np.ptp(world, axis=0).max() > _STILL:
                self._key(
                    actions.take_curves(self._action(obj.name), copy), "", copy.name, np.concatenate([world[:1], world])
                )

    def strike(self) -> None:
        """Remove everything and give the names back."""
        bpy.data.batch_remove(self._made)
        for owner, name in reversed(self._lent):  # one that several objects share was lent more than once
            owner.name = name

    def _rigid(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World matrices [T, 4, 4] in file units of an object without its scale, and that as a matrix [4, 4]."""
        location, turn, _ = Matrix(places[0]).decompose()
        unscaled = np.array(Matrix.Translation(location) @ turn.to_matrix().to_4x4())
        back = np.linalg.inv(places[0].astype(float))
        return self._unit(places @ back @ unscaled, 1.0), np.linalg.inv(unscaled) @ places[0]

    def _unit(self, matrices: np.ndarray, size: float) -> np.ndarray:
        """World matrices [..., 4, 4] in file units, of objects whose scale `size` went into their meshes."""
        found = matrices.astype(float).copy()
        found[..., :3, :3] /= size
        found[..., :3, 3] *= self.wanted.unit
        return found

    def _lay_bones(self, obj: bpy.types.Object) -> None:
        layer = self.scene.view_layers[0]
        layer.objects.active = obj
        with bpy.context.temp_override(scene=self.scene, view_layer=layer, active_object=obj, object=obj):
            bpy.ops.object.mode_set(mode="EDIT")
            root = obj.data.edit_bones.new(ROOT)
            root.tail = (0.0, 0.1 * self.wanted.unit, 0.0)
            root.matrix = self.wanted.root
            for bone in self._bones:
                new = obj.data.edit_bones.new(bone.name)
                new.tail = (0.0, bone.length, 0.0)
                new.matrix = Matrix(bone.rest)
            for bone in self._bones:
                obj.data.edit_bones[bone.name].parent = obj.data.edit_bones[bone.parent]
            bpy.ops.object.mode_set(mode="OBJECT")

    def _pose(self, obj: bpy.types.Object) -> None:
        """Bake the bones' movements, with the rest pose a frame before."""
        new = actions.take_curves(self._action(obj.name), obj)
        rests = {bone.name: np.array(bone.matrix_local, float) for bone in obj.data.bones}
        worlds = {ROOT: rests[ROOT]} | {bone.name: bone.world for bone in self._bones}
        for bone in self._bones:
            at_rest = np.linalg.inv(rests[bone.parent]) @ rests[bone.name]
            moved = np.linalg.inv(worlds[bone.parent]) @ worlds[bone.name]
            local = np.concatenate([np.eye(4)[None], np.linalg.inv(at_rest) @ moved])
            self._key(new, f'pose.bones["{bone.name}"].', bone.name, local)

    def _key(self, new: actions.NewCurve, path: str, group: str, local: np.ndarray) -> None:
        """Key matrices [T, 4, 4] on every frame, the first before them; a scale only where there is one."""
        frames = np.arange(self.times.first - 1, self.times.last + 1)
        scale = np.linalg.norm(local[:, :3, :3], axis=1)
        turned = one_sheet(quaternions(local[:, :3, :3] / scale[:, None]))
        channels = {"location": local[:, :3, 3], "rotation_quaternion": turned}
        if np.abs(scale - 1).max() > 1e-5:
            channels["scale"] = scale
        for channel, values in channels.items():
            for axis in range(values.shape[1]):
                actions.fill(new(path + channel, axis, group), frames, values[:, axis])

    def _wear(self, skeleton: bpy.types.Object, mesh: bpy.types.Object, groups: dict[str, str], place: np.ndarray):
        """A copy of a mesh on the skeleton: its groups renamed to the bones, or with all of it on one bone (key "")."""
        size = np.diag([self.wanted.unit] * 3 + [1.0])
        copy = self._mesh(mesh, size @ place)
        if "" in groups:
            copy.vertex_groups.clear()
            copy.vertex_groups.new(name=groups[""]).add(range(len(copy.data.vertices)), 1.0, "REPLACE")
            copy.modifiers.new("Armature", "ARMATURE")
        else:
            for group in copy.vertex_groups:
                group.name = groups.get(group.name, group.name)
        for modifier in copy.modifiers:
            if modifier.type == "ARMATURE":
                modifier.object = skeleton
        copy.parent = skeleton
        copy.matrix_basis = Matrix()

    def _mesh(self, obj: bpy.types.Object, matrix: np.ndarray) -> bpy.types.Object:
        """A copy of a mesh object, by itself in the world, its vertices moved by a matrix."""
        data = obj.data.copy()
        self._made.append(data)
        self._lend(data, obj.data.name, bpy.data.meshes)
        data.transform(Matrix(matrix), shape_keys=True)
        copy = obj.copy()
        self._made.append(copy)
        copy.data = data
        copy.animation_data_clear()
        copy.constraints.clear()
        copy.parent, copy.parent_type, copy.matrix_parent_inverse = None, "OBJECT", Matrix()
        copy.delta_location, copy.delta_scale = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        copy.delta_rotation_euler = (0.0, 0.0, 0.0)
        self.scene.collection.objects.link(copy)
        self._lend(copy, obj.name, bpy.data.objects)
        return copy

    def _object(self, name: str, data: bpy.types.ID | None) -> bpy.types.Object:
        obj = self._new(bpy.data.objects, name, data)
        self.scene.collection.objects.link(obj)
        return obj

    def _action(self, of: str) -> bpy.types.Action:
        return self._new(bpy.data.actions, f"{self.name}.{of}" if not self.wanted.single else self.name)

    def _new(self, collection, name: str, *data) -> bpy.types.ID:
        made = collection.new(name, *data)
        self._made.append(made)
        self._lend(made, name, collection)
        return made

    def _lend(self, copy: bpy.types.ID, name: str, collection) -> None:
        """Give a copy the very name, which its owner takes back in the end."""
        owner = collection.get(name)
        if owner in self._made and owner != copy:  # a mesh of several objects
            return
        if owner and owner != copy and not owner.library:
            self._lent.append((owner, name))
            owner.name = f"{name[:40]} (lent)"
        copy.name = name


def _size(matrix: np.ndarray) -> float:
    """The scale in a matrix [4, 4], taken as the same along all axes."""
    return abs(np.linalg.det(matrix[:3, :3])) ** (1 / 3)
