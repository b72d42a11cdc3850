# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style of a motion, as the pianist and a gesture model are told it. Needs no Blender and no PyTorch."""

from pathlib import Path

from .core.motion import HandMotion
from .core.style import told_of
from .model.prior import BUNDLED
from .model.style_codes import codes_seen, encoder_number, known_performers, told_codes
from .model.weights import read_config
from .pianist.likeness import style_of


def told_by_motion(motion: HandMotion, model: str | None = None) -> dict:
    """What a job's `style` is to be so that the hands move like those of a motion, whatever they play.

    `model`: folder of the gesture model that is to understand it, too, None for the one that comes with the extension;
    one that knows no styles changes nothing. UserError where the motion shows no style.
    """
    told = told_of(*style_of(motion))
    folder = Path(model) if model else BUNDLED
    if known_performers(folder):
        codes = told_codes(codes_seen(motion, folder, read_config(folder).audio.style))
        told |= {"codes": dict(zip(("left", "right"), codes, strict=True)), "codes_of": encoder_number(folder)}
    return told
