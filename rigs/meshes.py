# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small mesh makers shared by the parts of the rig; lengths in metres."""

from collections.abc import Sequence

import bmesh
import bpy

Point = Sequence[float]


def add_object(
    name: str,
    mesh: bpy.types.Mesh | None,
    collection: bpy.types.Collection,
    parent: bpy.types.Object | None,
    location: Point = (0, 0, 0),
) -> bpy.types.Object:
    """Link a new object (an empty when `mesh` is None) under `parent` without any parent offset."""
    obj = bpy.data.objects.new(name, mesh)
    obj.parent = parent
    obj.location = location
    collection.objects.link(obj)
    return obj


def prism(bm: bmesh.types.BMesh, outline: Sequence[Point], low: float, high: float) -> list[bmesh.types.BMFace]:
    """Extrude a counter-clockwise xy outline from z = low to z = high; returns its faces, the top first."""
    bottom = [bm.verts.new((x, y, low)) for x, y in outline]
    top = [bm.verts.new((x, y, high)) for x, y in outline]
    return loft(bm, [bottom, top])


def loft(bm: bmesh.types.BMesh, rings: Sequence[Sequence[bmesh.types.BMVert]]) -> list[bmesh.types.BMFace]:
    """Close a stack of vertex rings, counter-clockwise seen from the last, into a solid; the last cap comes first."""
    faces = [bm.faces.new(rings[-1]), bm.faces.new(list(reversed(rings[0])))]
    count = len(rings[0])
    for lower, upper in zip(rings, rings[1:], strict=False):
        for i in range(count):
            j = (i + 1) % count
            faces.append(bm.faces.new((lower[i], lower[j], upper[j], upper[i])))
    return faces


def box(bm: bmesh.types.BMesh, low: Point, high: Point, bevel: float = 0.0) -> None:
    """An axis-aligned box between two corners, its edges rounded by `bevel`."""
    outline = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    faces = prism(bm, outline, low[2], high[2])
    if bevel:
        edges = {edge for face in faces for edge in face.edges}
        round_edges(bm, edges, bevel)


def swept(bm: bmesh.types.BMesh, profile: Sequence[Point], left: float, right: float, bevel: float = 0.0) -> None:
    """A yz profile, counter-clockwise seen from +x, swept from x = left to x = right."""
    rings = [[bm.verts.new((x, y, z)) for y, z in profile] for x in (left, right)]
    faces = loft(bm, rings)
    if bevel:
        round_edges(bm, {edge for face in faces for edge in face.edges}, bevel)


def round_edges(bm: bmesh.types.BMesh, edges: set[bmesh.types.BMEdge], width: float, segments: int = 3) -> None:
    """Bevel the given edges."""
    bmesh.ops.bevel(
        bm, geom=list(edges), offset=width, segments=segments, profile=0.5, affect="EDGES", clamp_overlap=True
    )


def finish(
    bm: bmesh.types.BMesh, name: str, *materials: bpy.types.Material, smooth_angle: float = 0.7
) -> bpy.types.Mesh:
    """Turn the bmesh into a shaded mesh: smooth where faces meet at less than `smooth_angle` radians."""
    bmesh.ops.recalc_face_normals(bm, faces=bm.faces)
    for face in bm.faces:
        face.smooth = True
    for edge in bm.edges:
        edge.smooth = edge.is_manifold and edge.calc_face_angle(0.0) < smooth_angle
    mesh = bpy.data.meshes.new(name)
    bm.to_mesh(mesh)
    bm.free()
    for material in materials:
        mesh.materials.append(material)
    return mesh
