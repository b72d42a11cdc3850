# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The piano: 88 hinged keys with true geometry, the case around them and the sustain pedal."""

import bmesh
import bpy
from looks import Looks
from meshes import add_object, box, finish, loft, prism, round_edges, swept

from s2c_blender.core import keyboard as kb

BODY_DEPTH = 0.020  # height of a key's front face
NOTCH_GAP = 0.001  # air in front of a black key
BLACK_TOP_FRONT = 0.004  # how far a black key's front leans back
FALLBOARD_Y = 0.152
FLOOR_Z = -0.72  # white keys stand 72 cm above the floor
CASE_HALF = kb.WHITE_PITCH * 26 + 0.0015  # cheek blocks begin here


def build_keys(piano: bpy.types.Object, collection: bpy.types.Collection, looks: Looks) -> None:
    """Key.021 .. Key.108, each with its origin on the hinge line, so that rotation_euler[0] > 0 presses it."""
    for pitch in range(kb.LOWEST, kb.HIGHEST + 1):
        name = f"Key.{pitch:03d}"
        mesh = _black_key(name, looks) if kb.is_black(pitch) else _white_key(pitch, name, looks)
        key = add_object(name, mesh, collection, piano, (float(kb.key_x(pitch)), kb.HINGE_Y, 0.0))
        key.lock_location = key.lock_scale = (True, True, True)
        key.lock_rotation = (False, True, True)


def _white_key(pitch: int, name: str, looks: Looks) -> bpy.types.Mesh:
    """A white key in its own space: hinge at the origin, front at y = -WHITE_LENGTH, cut out beside black keys."""
    x, air = float(kb.key_x(pitch)), kb.WHITE_GAP / 2
    left, right = -kb.WHITE_PITCH / 2 + air, kb.WHITE_PITCH / 2 - air
    tail_left, tail_right = (edge - x for edge in kb.tail_edges(pitch))
    tail_left, tail_right = tail_left + air, tail_right - air
    front, notch = -kb.WHITE_LENGTH, kb.BLACK_FRONT - NOTCH_GAP - kb.HINGE_Y
    outline = [(left, front), (right, front)]
    outline += [(right, notch), (tail_right, notch)] if tail_right < right - 1e-6 else []
    outline += [(tail_right, 0.0), (tail_left, 0.0)]
    outline += [(tail_left, notch), (left, notch)] if tail_left > left + 1e-6 else []
    bm = bmesh.new()
    top = prism(bm, outline, -BODY_DEPTH, 0.0)[0]
    corners = {e for e in bm.edges if all(v.co.y == front for v in e.verts) and e not in top.edges}
    corners = {e for e in corners if abs(e.verts[0].co.z - e.verts[1].co.z) > 1e-6}
    rim = {e for e in top.edges if any(v.co.y < -1e-6 for v in e.verts)}
    round_edges(bm, rim | corners, 0.0009)
    return finish(bm, name, looks.white_key)


def _black_key(name: str, looks: Looks) -> bpy.types.Mesh:
    """A black key in its own space: sloping sides and front, and a stem below the white tops that reaches the hinge."""
    front, back = kb.BLACK_FRONT - kb.HINGE_Y, kb.BLACK_FRONT + kb.BLACK_LENGTH - kb.HINGE_Y
    base, top = kb.BLACK_BASE_WIDTH / 2, kb.BLACK_WIDTH / 2

    def ring(half: float, y0: float, y1: float, z: float) -> list[bmesh.types.BMVert]:
        return [bm.verts.new((x, y, z)) for x, y in ((-half, y0), (half, y0), (half, y1), (-half, y1))]

    bm = bmesh.new()
    rings = [ring(base, front, back, -0.002), ring(base, front, back, 0.0)]
    rings.append(ring(top, front + BLACK_TOP_FRONT, back, kb.BLACK_HEIGHT))
    cap = loft(bm, rings)[0]
    slopes = {e for v in cap.verts for e in v.link_edges if v.co.y < back - 1e-6}
    round_edges(bm, slopes | set(cap.edges), 0.0016, 4)
    stem = base - 0.0006
    prism(bm, [(-stem, front + 0.0006), (stem, front + 0.0006), (stem, 0.0), (-stem, 0.0)], -BODY_DEPTH, -0.0021)
    return finish(bm, name, looks.black_key)


def build_case(piano: bpy.types.Object, collection: bpy.types.Collection, looks: Looks) -> None:
    """Key bed, key slip, cheek blocks, arms, fallboard with its felt strip, and the top behind it."""
    outer = CASE_HALF + 0.045
    bm = bmesh.new()
    box(bm, (-outer, -0.035, -0.085), (outer, 0.50, -0.045), 0.004)  # key bed
    box(bm, (-CASE_HALF, -0.035, -0.046), (CASE_HALF, -0.0035, -0.013), 0.003)  # key slip
    for side in (-1, 1):
        inner, end = sorted((side * CASE_HALF, side * outer))
        box(bm, (inner, -0.035, -0.046), (end, FALLBOARD_Y, 0.010), 0.004)  # cheek block
        inner, end = sorted((side * (outer + 0.0005), side * (outer + 0.045)))
        swept(bm, _arm_profile(), inner, end, 0.005)
    # The fallboard leans back and ends in a rounded top; behind it lies the closed front of the lid.
    swept(bm, [(0.152, -0.044), (0.176, -0.044), (0.190, 0.085), (0.172, 0.085), (0.152, 0.016)], -outer, outer, 0.003)
    box(bm, (-outer, 0.176, 0.070), (outer, 0.50, 0.088), 0.005)
    add_object("Piano.Case", finish(bm, "Piano.Case", looks.lacquer), collection, piano)

    bm = bmesh.new()
    box(bm, (-CASE_HALF, 0.1508, 0.0128), (CASE_HALF, 0.1535, 0.0185), 0.0008)  # name-board felt over the keys
    box(bm, (-CASE_HALF, -0.003, -0.046), (CASE_HALF, 0.156, -0.036))  # felts under the keys
    add_object("Piano.Felt", finish(bm, "Piano.Felt", looks.felt), collection, piano)


def _arm_profile() -> list[tuple[float, float]]:
    """Side view of an arm of the case, counter-clockwise seen from +x: a rounded front that rises to the lid."""
    return [
        (-0.050, -0.085),
        (0.50, -0.085),
        (0.50, 0.088),
        (0.130, 0.088),
        (0.090, 0.080),
        (0.055, 0.058),
        (0.020, 0.040),
        (-0.020, 0.034),
        (-0.042, 0.026),
        (-0.050, 0.008),
    ]


def build_pedals(piano: bpy.types.Object, collection: bpy.types.Collection, looks: Looks) -> None:
    """Lyre with three brass pedals; only Pedal.Sustain moves: rotation_euler[0] > 0 presses it, 0.12 rad fully."""
    z = FLOOR_Z + 0.075
    bm = bmesh.new()
    box(bm, (-0.13, 0.19, FLOOR_Z + 0.045), (0.13, 0.27, FLOOR_Z + 0.125), 0.006)
    for x in (-0.085, 0.085):
        box(bm, (x - 0.018, 0.215, FLOOR_Z + 0.12), (x + 0.018, 0.245, -0.084), 0.006)
    add_object("Piano.Lyre", finish(bm, "Piano.Lyre", looks.lacquer), collection, piano)
    for name, x in (("Pedal.Soft", -0.07), ("Pedal.Sostenuto", 0.0), ("Pedal.Sustain", 0.07)):
        pedal = add_object(name, _pedal_mesh(name, looks), collection, piano, (x, 0.20, z))
        pedal.lock_location = pedal.lock_scale = (True, True, True)


def _pedal_mesh(name: str, looks: Looks) -> bpy.types.Mesh:
    """A pedal lever in its own space: pivot at the origin, a broad rounded foot at the front (-y)."""
    widths = [(0.02, 0.009), (-0.06, 0.009), (-0.085, 0.013), (-0.105, 0.021), (-0.13, 0.0235), (-0.148, 0.019)]
    widths += [(-0.156, 0.010)]
    outline = [(-half, y) for y, half in widths] + [(half, y) for y, half in reversed(widths)]
    bm = bmesh.new()
    top = prism(bm, outline, -0.005, 0.005)[0]
    round_edges(bm, set(top.edges), 0.003)
    return finish(bm, name, looks.brass)
