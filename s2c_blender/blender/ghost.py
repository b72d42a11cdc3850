# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ghost: the hands of a take drawn as translucent skin over the viewport, beside what the rig plays; no object is made.

Which take is drawn is a setting of the scene, so it survives undo and file loads; data-blocks are looked up by name at
each drawing.
"""

from dataclasses import dataclass

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, FloatVectorProperty, PointerProperty, StringProperty

from ..core import curves
from ..core.hand import JOINTS
from ..core.skin import Skin, bend, stand
from ..core.timing import Clock
from ..errors import UserError
from . import takes
from .button import NeedsTake, redraw
from .rig import HANDS, find_rigs

_RIM = 0.35  # how opaque skin is that faces the eye, of what it is at the outline


def _draw_again(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    redraw_viewports()


class PianoHandsGhost(bpy.types.PropertyGroup):
    """What is drawn over the viewport: `scene.piano_hands_ghost`."""

    show: BoolProperty(
        name="Ghost", description="Draw the hands of a take over the viewport", update=_draw_again, options=set()
    )
    take: StringProperty(options={"HIDDEN"}, description="Identifier of the take that is drawn")
    color: FloatVectorProperty(
        name="Color",
        description="Color of the ghost hands",
        subtype="COLOR",
        min=0.0,
        max=1.0,
        default=(0.25, 0.65, 1.0),
        update=_draw_again,
        options=set(),
    )
    opacity: FloatProperty(
        name="Opacity",
        description="How little of what is behind the ghost hands can be seen",
        subtype="FACTOR",
        min=0.05,
        max=1.0,
        default=0.6,
        update=_draw_again,
        options=set(),
    )


@dataclass(frozen=True)
class Posed:
    """A ghost hand at one moment, in the space of its armature."""

    armature: str
    points: np.ndarray  # [3, V] m
    normals: np.ndarray  # [3, V]
    triangles: np.ndarray  # int32 [F, 3]


_motions: dict[str, tuple[float, np.ndarray]] = {}  # rate and channels [N, 2, 67] by uid; only the take drawn last
_last: dict[tuple, list[Posed]] = {}  # the hands drawn last: turning the view does not move them
_skins: dict[tuple, Skin] = {}  # by names and sizes of mesh and armature
_indices: dict[int, tuple] = {}  # GPU index buffers by id of their triangles, which they hold on to
_handle = None


def posed(scene: bpy.types.Scene) -> list[Posed]:
    """The ghost hands at the scene's frame; none when nothing is to be drawn or something it needs was deleted."""
    settings = scene.piano_hands_ghost
    take = takes.find(settings.take, scene) if settings.show else None
    if not take:
        return []
    try:
        fps, channels = _channels_of(take)
    except UserError:  # the list of takes shows it
        return []
    time = Clock(takes.rate_of(scene), take.frame).seconds(scene.frame_current_final)
    skins = {side: (armature.name, _skin_of(armature)) for side, armature in _armatures(scene).items()}
    moment = (take.uid, time, *((name, id(skin)) for name, skin in skins.values()))
    if moment not in _last:
        now = curves.sample(channels, fps, np.array([time]))[0]
        _last.clear()
        _last[moment] = [_pose(name, skin, now[side]) for side, (name, skin) in skins.items() if skin]
    return _last[moment]


def _pose(armature: str, skin: Skin, channels: np.ndarray) -> Posed:
    turns = channels[3:].reshape(16, 4)
    turns = turns / np.linalg.norm(turns, axis=1, keepdims=True)
    return Posed(armature, *bend(skin, *stand(skin.heads, channels[:3], turns)), skin.triangles)


def _channels_of(take: takes.PianoHandsTake) -> tuple[float, np.ndarray]:
    """Frames a second, and of both hands the wrist's place and a quaternion a joint [N, 2, 3 + 64]."""
    if take.uid not in _motions:
        motion = takes.motion_of(take)
        hands = []
        for side in sorted(HANDS):
            position, rotation = motion.hand(side)
            turns = curves.one_sheet(curves.quaternions(rotation))
            hands.append(np.concatenate([position, turns.reshape(len(turns), -1)], axis=1))
        _motions.clear()
        _motions[take.uid] = (motion.fps, np.stack(hands, axis=1))
    return _motions[take.uid]


def _armatures(scene: bpy.types.Scene) -> dict[int, bpy.types.Object]:
    """The hands of the rig in use; checking whole rigs takes too long for every drawing."""
    piano = scene.piano_hands.rig
    if not piano or scene.objects.get(piano.name) != piano:
        return {}
    hands = {}
    for child in piano.children:
        for side, name in HANDS.items():
            if child.type == "ARMATURE" and child.name.startswith(name):
                hands[side] = child
    return hands


def _skin_of(armature: bpy.types.Object) -> Skin | None:
    """The mesh that the armature bends; None when there is none."""
    mesh = next((c for c in armature.children if c.type == "MESH" and _bends(c, armature)), None)
    bones = armature.data.bones
    if not mesh or not all(joint in bones for joint in JOINTS):
        return None
    data = mesh.data
    name = (armature.name_full, mesh.name_full, data.name_full, len(data.vertices), len(data.polygons))
    if name not in _skins:
        _skins[name] = _read_skin(mesh, armature)
    return _skins[name]


def _bends(mesh: bpy.types.Object, armature: bpy.types.Object) -> bool:
    return any(m.type == "ARMATURE" and m.object == armature for m in mesh.modifiers)


def _read_skin(mesh: bpy.types.Object, armature: bpy.types.Object) -> Skin:
    """The mesh at rest, in the armature's space."""
    data = mesh.data
    count = len(data.vertices)
    points, normals = np.empty(3 * count, np.float32), np.empty(3 * count, np.float32)
    data.vertices.foreach_get("co", points)
    data.vertices.foreach_get("normal", normals)
    place = np.array(mesh.matrix_local)
    points = place[:3, :3] @ points.reshape(-1, 3).T + place[:3, 3:]
    normals = np.linalg.inv(place[:3, :3]).T @ normals.reshape(-1, 3).T
    joints = {group.index: JOINTS.index(group.name) for group in mesh.vertex_groups if group.name in JOINTS}
    weights = np.zeros((count, len(JOINTS)))
    for vertex in data.vertices:
        for group in vertex.groups:
            if group.group in joints:
                weights[vertex.index, joints[group.group]] = group.weight
    weights[weights.sum(1) == 0, 0] = 1.0
    data.calc_loop_triangles()
    triangles = np.empty(3 * len(data.loop_triangles), np.int32)
    data.loop_triangles.foreach_get("vertices", triangles)
    heads = np.array([armature.data.bones[joint].head_local for joint in JOINTS])
    weights /= weights.sum(1, keepdims=True)
    weights = weights.astype(np.float32)
    return Skin(points.astype(np.float32), normals.astype(np.float32), weights, triangles.reshape(-1, 3), heads)


def draw() -> None:
    """Draw handler of the 3D viewports."""
    context = bpy.context
    if not context.space_data.overlay.show_overlays:
        return
    eye = context.region_data.view_matrix.inverted()
    draw_hands(context.scene, eye, context.region_data.is_perspective)


def draw_hands(scene: bpy.types.Scene, eye, is_perspective: bool) -> None:
    """Draw the ghost hands into what is active, seen from the camera matrix `eye`."""
    import gpu

    settings = scene.piano_hands_ghost
    for hand in posed(scene):
        place = bpy.data.objects[hand.armature].matrix_world
        back = np.array(place.inverted_safe() @ eye)
        batch, shader = _batch(hand, _colors(hand, back, is_perspective, (*settings.color, settings.opacity)))
        with gpu.matrix.push_pop():
            gpu.matrix.multiply_matrix(place)
            gpu.state.depth_test_set("LESS_EQUAL")
            gpu.state.depth_mask_set(True)
            gpu.state.color_mask_set(False, False, False, False)
            try:  # first the depth alone, so that of several layers of skin only the nearest is seen
                batch.draw(shader)
                gpu.state.color_mask_set(True, True, True, True)
                gpu.state.blend_set("ALPHA")
                batch.draw(shader)
            finally:
                gpu.state.color_mask_set(True, True, True, True)
                gpu.state.blend_set("NONE")
                gpu.state.depth_mask_set(False)
                gpu.state.depth_test_set("NONE")


def _colors(hand: Posed, eye: np.ndarray, is_perspective: bool, color: tuple[float, ...]) -> np.ndarray:
    """Colors float32 [V, 4]: more opaque and darker towards the outline, so that the hands have a shape."""
    eye = eye.astype(np.float32)
    look = (eye[:3, 3:] - hand.points) if is_perspective else np.broadcast_to(eye[:3, 2:3], hand.points.shape)
    across, along, up = (
        np.einsum("iv,iv->v", a, b) for a, b in ((look, look), (look, hand.normals), (hand.normals,) * 2)
    )
    facing = np.abs(along) / np.sqrt(np.maximum(across * up, 1e-12))
    colors = np.empty((hand.points.shape[1], 4), np.float32)
    colors[:, :3] = np.multiply.outer(0.35 + 0.65 * facing, np.array(color[:3], np.float32))
    colors[:, 3] = color[3] * (_RIM + (1 - _RIM) * (1 - facing))
    return colors


def _batch(hand: Posed, colors: np.ndarray):
    import gpu

    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    if id(hand.triangles) not in _indices:
        _indices[id(hand.triangles)] = (gpu.types.GPUIndexBuf(type="TRIS", seq=hand.triangles), hand.triangles)
    layout = gpu.types.GPUVertFormat()
    for name, size in (("pos", 3), ("color", 4)):
        layout.attr_add(id=name, comp_type="F32", len=size, fetch_mode="FLOAT")
    vertices = gpu.types.GPUVertBuf(layout, hand.points.shape[1])
    vertices.attr_fill("pos", np.ascontiguousarray(hand.points.T, np.float32))
    vertices.attr_fill("color", colors)
    return gpu.types.GPUBatch(type="TRIS", buf=vertices, elem=_indices[id(hand.triangles)][0]), shader


def redraw_viewports() -> None:
    """Have all 3D viewports drawn again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


class PIANO_HANDS_OT_ghost(NeedsTake, bpy.types.Operator):
    """Draw the active take as translucent hands over the viewport, to compare it with what the rig plays"""

    bl_idname = "piano_hands.ghost"
    bl_label = "Show as Ghost"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        settings, take = scene.piano_hands_ghost, takes.active(scene)
        try:
            takes.motion_of(take)
            if not _armatures(scene):
                rigs = find_rigs(scene)
                if not rigs:
                    raise UserError("There are no hands to draw a ghost of: add a rig with Add Rig.")
                scene.piano_hands.rig = rigs[0].piano
        except UserError as error:
            return self.refuse(error)
        settings.show = not (settings.show and settings.take == take.uid)
        settings.take = take.uid
        redraw_viewports()
        redraw()
        return {"FINISHED"}


def draw_settings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Lines for the panel of takes."""
    settings, take = context.scene.piano_hands_ghost, takes.active(context.scene)
    shown = takes.find(settings.take, context.scene) if settings.show else None
    drawn = bool(shown and take and shown.uid == take.uid)
    layout.operator("piano_hands.ghost", icon="GHOST_ENABLED" if drawn else "GHOST_DISABLED", depress=drawn)
    if shown:
        row = layout.row(align=True)
        row.label(text=f"Ghost: {shown.name}")
        row.prop(settings, "color", text="")
        row.prop(settings, "opacity", text="", slider=True)
        row.prop(settings, "show", text="", icon="X", invert_checkbox=True)


@bpy.app.handlers.persistent
def forget(*_) -> None:
    """load_post handler: another file's meshes may have the same names."""
    _motions.clear()
    _skins.clear()
    _last.clear()
    _indices.clear()


CLASSES = (PianoHandsGhost, PIANO_HANDS_OT_ghost)


def register() -> None:
    global _handle
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.piano_hands_ghost = PointerProperty(type=PianoHandsGhost)
    bpy.app.handlers.load_post.append(forget)
    _handle = bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_VIEW")


def unregister() -> None:
    global _handle
    bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    _handle = None
    bpy.app.handlers.load_post.remove(forget)
    del bpy.types.Scene.piano_hands_ghost
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    forget()
