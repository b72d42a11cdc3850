# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials, made of nodes that EEVEE and Cycles both understand; no textures, so the file stays small."""

from dataclasses import dataclass

import bpy
from skin_maps import HEIGHT_RANGE

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Looks:
    """Every material of the rig."""

    white_key: bpy.types.Material
    black_key: bpy.types.Material
    lacquer: bpy.types.Material
    felt: bpy.types.Material
    brass: bpy.types.Material
    skin: bpy.types.Material
    nail: bpy.types.Material
    shirt: bpy.types.Material
    jacket: bpy.types.Material
    floor: bpy.types.Material


def make_looks() -> Looks:
    """Create all materials in the open file."""
    return Looks(
        white_key=_plain("Key White", (0.80, 0.775, 0.71), 0.22, coat=0.4),
        black_key=_plain("Key Black", (0.008, 0.0075, 0.0075), 0.33),
        lacquer=_plain("Lacquer", (0.004, 0.004, 0.0045), 0.12, coat=0.6),
        felt=_plain("Felt", (0.16, 0.006, 0.010), 0.95, sheen=0.4),
        brass=_plain("Brass", (0.80, 0.56, 0.22), 0.28, metallic=1.0),
        skin=_skin(),
        nail=_nail(),
        shirt=_cloth("Shirt", (0.78, 0.79, 0.80), 900.0),
        jacket=_cloth("Jacket", (0.010, 0.012, 0.018), 700.0),
        floor=_plain("Floor", (0.055, 0.040, 0.030), 0.55),
    )


def _plain(
    name: str, colour: Colour, roughness: float, metallic: float = 0.0, coat: float = 0.0, sheen: float = 0.0
) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.diffuse_color = (*colour, 1.0)
    material.roughness = roughness
    material.metallic = metallic
    shader = material.node_tree.nodes["Principled BSDF"]
    values = {
        "Base Color": (*colour, 1.0),
        "Roughness": roughness,
        "Metallic": metallic,
        "Coat Weight": coat,
        "Coat Roughness": 0.05,
        "Sheen Weight": sheen,
    }
    for socket, value in values.items():
        shader.inputs[socket].default_value = value
    return material


def _cloth(name: str, colour: Colour, scale: float) -> bpy.types.Material:
    """Woven cloth: matt, a little sheen, fine bump."""
    material = _plain(name, colour, 0.85, sheen=0.25)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")
    weave = nodes.new("ShaderNodeTexNoise")
    weave.inputs["Scale"].default_value = scale
    bump = nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.25
    bump.inputs["Distance"].default_value = 0.0004
    links.new(place.outputs["Object"], weave.inputs["Vector"])
    links.new(weave.outputs["Fac"], bump.inputs["Height"])
    links.new(bump.outputs["Normal"], nodes["Principled BSDF"].inputs["Normal"])
    return material


def _skin() -> bpy.types.Material:
    """Skin: computed colour and height maps, scattering below the surface, drier in the grooves."""
    material = _plain("Skin", (0.60, 0.33, 0.24), 0.5)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    colour, height = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeTexImage")
    colour.image, height.image = bpy.data.images["Skin Colour"], bpy.data.images["Skin Height"]
    height.interpolation = "Cubic"
    links.new(colour.outputs["Color"], shader.inputs["Base Color"])
    bump = nodes.new("ShaderNodeBump")
    bump.inputs["Distance"].default_value = HEIGHT_RANGE
    links.new(height.outputs["Color"], bump.inputs["Height"])
    links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    rough = nodes.new("ShaderNodeMapRange")
    for socket, value in (("From Min", 0.2), ("From Max", 0.7), ("To Min", 0.62), ("To Max", 0.42)):
        rough.inputs[socket].default_value = value
    links.new(height.outputs["Color"], rough.inputs["Value"])
    links.new(rough.outputs["Result"], shader.inputs["Roughness"])
    shader.inputs["Subsurface Weight"].default_value = 0.35
    shader.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.18)
    shader.inputs["Subsurface Scale"].default_value = 0.005
    return material


def _nail() -> bpy.types.Material:
    """Nail plate: the same vertex colour, glossier."""
    material = _plain("Nail", (0.68, 0.37, 0.295), 0.34, coat=0.15)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    tint = nodes.new("ShaderNodeVertexColor")
    tint.layer_name = "tint"
    links.new(tint.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return material
