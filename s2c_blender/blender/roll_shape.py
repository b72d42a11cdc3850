# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a roll is made of: rounded bars and finger numbers of all notes in one mesh, and the modifier that cuts it."""

from dataclasses import dataclass

import bpy
import numpy as np

from ..core.keyboard import HIGHEST, WHITE_PITCH, key_x

# Attributes of every vertex, metres along the roll: its solid is seen while some of START..END is between the roll's
# edges; then the vertex moves with the point HOLD, which the edges stop.
START, END, HOLD = "roll_start", "roll_end", "roll_hold"
_CORNER = 3  # vertices that round a bar's corner
_ROUND = 0.0025  # m, its radius
_LINE = 0.001  # m, width of a line
_BEVEL = 0.0012  # m, slope around the front face
_ABOVE = 0.0003  # m, of the number over the bar's face
_DIGIT = 0.0105  # m, height of a finger number on a white key's bar


@dataclass(frozen=True)
class Solids:
    """Closed solids as arrays: vertices [V, 3], attributes [V], corners of all faces one after the other [C], where
    each face begins [F], and each face's material [F]."""

    vertices: np.ndarray
    start: np.ndarray
    end: np.ndarray
    hold: np.ndarray
    corners: np.ndarray
    begins: np.ndarray
    material: np.ndarray

    def joined(self, other: "Solids") -> "Solids":
        """Both in one."""
        return Solids(
            np.concatenate([self.vertices, other.vertices]),
            *(np.concatenate([getattr(self, n), getattr(other, n)]) for n in ("start", "end", "hold")),
            np.concatenate([self.corners, other.corners + len(self.vertices)]),
            np.concatenate([self.begins, other.begins + len(self.corners)]),
            np.concatenate([self.material, other.material]),
        )


def bars(x: np.ndarray, half: np.ndarray, start: np.ndarray, end: np.ndarray, front: np.ndarray) -> Solids:
    """Bars with rounded corners; all arguments [M] m: centre, half width, lower and upper end, height of the face."""
    count = len(x)
    radius = np.minimum(_ROUND, np.minimum(half, (end - start) / 2) * 0.9)
    bevel = np.minimum(_BEVEL, radius * 0.8)
    angles = np.linspace(0, np.pi / 2, _CORNER)
    turns = (angles[None, :] + np.arange(4)[:, None] * np.pi / 2).ravel()  # counter-clockwise seen from the front
    sign_x, sign_y = np.repeat([1, -1, -1, 1], _CORNER), np.repeat([1, 1, -1, -1], _CORNER)
    centre = (start + end) / 2
    rings = []
    for inset, z in ((0.0, np.zeros(count)), (bevel, front)):
        r = radius - inset
        ring = np.empty((count, len(turns), 3))
        ring[..., 0] = x[:, None] + sign_x * (half - radius)[:, None] + np.cos(turns) * r[..., None]
        ring[..., 1] = (centre[:, None] + sign_y * ((end - start) / 2 - radius)[:, None]) + np.sin(turns) * r[..., None]
        ring[..., 2] = z[:, None]
        rings.append(ring)
    vertices = np.concatenate(rings, axis=1)  # [M, both rings, 3]
    n = len(turns)
    i = np.arange(n)
    j = (i + 1) % n
    corners = np.concatenate([i[::-1], np.stack([i, j, j + n, i + n], axis=1).ravel(), i + n])
    sizes = np.concatenate([[n], np.full(n, 4), [n]])
    each = vertices.shape[1]
    flat = vertices.reshape(-1, 3)
    return Solids(
        flat,
        np.repeat(start, each),
        np.repeat(end, each),
        flat[:, 1],
        (corners[None] + np.arange(count)[:, None] * each).ravel(),
        _begins(np.tile(sizes, count)),
        np.zeros(count * len(sizes), int),
    )


def digits(x, half, start, end, front, numbers: np.ndarray) -> Solids:
    """Numbers on the bars' lower ends, arguments as in `bars`; they rest at the strike line until the note ends."""
    parts = []
    for number in np.unique(numbers):
        shape, triangles = _digit(int(number))
        which = np.flatnonzero(numbers == number)
        length = end[which] - start[which]
        size = np.minimum(_DIGIT, np.minimum(half[which] * 1.7, np.maximum(length * 0.7, _DIGIT / 3)))  # m
        gap = np.clip((length - size) / 2, 0.0, size * 0.25)
        points = (
            shape[None] * size[:, None, None]
            + np.stack([x[which], start[which] + gap, front[which] + _ABOVE], 1)[:, None]
        )
        each = len(shape)
        hidden = np.maximum(end[which] - size - gap, start[which] + 1e-4)
        parts.append(
            Solids(
                points.reshape(-1, 3),
                np.repeat(start[which] + size + gap, each),
                np.repeat(hidden, each),
                np.repeat(start[which], each),
                (triangles.ravel()[None] + np.arange(len(which))[:, None] * each).ravel(),
                np.arange(len(which) * len(triangles)) * 3,
                np.ones(len(which) * len(triangles), int),
            )
        )
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    return whole


def lines(height: float) -> Solids:
    """The strike line along all keys, and thin lines up to `height` (m) between every B and C and at both ends."""
    edge = 26 * WHITE_PITCH
    ups = np.array([-edge, *(key_x(np.arange(24, HIGHEST + 1, 12)) - WHITE_PITCH / 2), edge])
    x, half = np.append(ups, 0.0), np.append(np.full(len(ups), _LINE / 2), edge)
    end = np.append(np.full(len(ups), height), 0.0)
    return bars(x, half, np.append(np.zeros(len(ups)), -_LINE * 2), end, np.full(len(x), _LINE))


def _digit(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A number in Blender's own font, height 1: vertices [V, 3] about x = 0, from y = 0 up, and triangles [T, 3]."""
    text = bpy.data.curves.new("digit", "FONT")
    text.body, text.resolution_u = str(number), 2
    holder = bpy.data.objects.new("digit", text)
    mesh = bpy.data.meshes.new_from_object(holder)
    mesh.calc_loop_triangles()
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    triangles = np.empty(len(mesh.loop_triangles) * 3, np.int32)
    mesh.vertices.foreach_get("co", points)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    bpy.data.batch_remove([holder, text, mesh])
    points = points.reshape(-1, 3).astype(float)
    low, high = points.min(axis=0), points.max(axis=0)
    points -= [(low[0] + high[0]) / 2, low[1], 0.0]
    return points / (high[1] - low[1]), triangles.reshape(-1, 3)


def _begins(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]])


def write_mesh(name: str, solids: Solids, materials: list[bpy.types.Material]) -> bpy.types.Mesh:
    """A mesh of the solids, with the attributes that `cut_group` reads."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(solids.vertices))
    mesh.vertices.foreach_set("co", solids.vertices.astype(np.float32).ravel())
    mesh.loops.add(len(solids.corners))
    mesh.loops.foreach_set("vertex_index", solids.corners.astype(np.int32))
    mesh.polygons.add(len(solids.begins))
    mesh.polygons.foreach_set("loop_start", solids.begins.astype(np.int32))
    mesh.polygons.foreach_set("material_index", solids.material.astype(np.int32))
    for label, values in ((START, solids.start), (END, solids.end), (HOLD, solids.hold)):
        mesh.attributes.new(label, "FLOAT", "POINT").data.foreach_set("value", values.astype(np.float32))
    for material in materials:
        mesh.materials.append(material)
    mesh.update(calc_edges=True)
    mesh.shade_flat()
    return mesh


def cut_group(name: str, root: bpy.types.Object, height: float) -> bpy.types.NodeTree:
    """Geometry nodes that show only what lies between the root's origin and `height` (m) up its slope."""
    group = bpy.data.node_groups.new(name, "GeometryNodeTree")
    group.is_modifier = True
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    add, link = group.nodes.new, group.links.new

    def math(operation: str, a, b) -> bpy.types.NodeSocket:
        node = add("ShaderNodeMath")
        node.operation = operation
        for socket, value in zip(node.inputs, (a, b), strict=False):
            if isinstance(value, bpy.types.NodeSocket):
                link(value, socket)
            else:
                socket.default_value = value
        return node.outputs[0]

    def attribute(label: str) -> bpy.types.NodeSocket:
        node = add("GeometryNodeInputNamedAttribute")
        node.data_type = "FLOAT"
        node.inputs["Name"].default_value = label
        return node.outputs["Attribute"]

    info, split = add("GeometryNodeObjectInfo"), add("ShaderNodeSeparateXYZ")
    info.transform_space = "RELATIVE"
    info.inputs["Object"].default_value = root
    link(info.outputs["Location"], split.inputs[0])
    low = split.outputs["Y"]  # the strike line, seen from the travelling notes
    high = math("ADD", low, height)
    past, coming = math("LESS_THAN", attribute(END), low), math("GREATER_THAN", attribute(START), high)
    delete, move, shift = add("GeometryNodeDeleteGeometry"), add("GeometryNodeSetPosition"), add("ShaderNodeCombineXYZ")
    link(math("MAXIMUM", past, coming), delete.inputs["Selection"])
    hold = attribute(HOLD)
    link(math("SUBTRACT", math("MINIMUM", math("MAXIMUM", hold, low), high), hold), shift.inputs["Y"])
    link(shift.outputs[0], move.inputs["Offset"])
    link(add("NodeGroupInput").outputs[0], delete.inputs["Geometry"])
    link(delete.outputs[0], move.inputs["Geometry"])
    link(move.outputs[0], add("NodeGroupOutput").inputs[0])
    return group
