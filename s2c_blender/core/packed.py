# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A HandMotion as few bytes, to be kept inside a .blend file.

Channels are rounded to steps no eye can see, then only what differs from going straight on is kept, which is next to
nothing, and compressed. Notes, keys and pedal are kept exactly.
"""

import io
import json

import numpy as np

from .motion import UNREADABLE, HandMotion
from .notes import NOTE

VERSION = 1
PLACE, TURN = 1e-5, 1e-4  # m, rad: steps of the channels; at a fingertip a turn's step is less than 0.02 mm
_CHANNELS = 3 + 16 * 3  # of a hand


def pack(motion: HandMotion) -> bytes:
    """The motion as bytes: 3.6 MB for ten minutes like Für Elise at 60 frames a second."""
    hands = [part.reshape(len(part), -1) for side in (0, 1) for part in motion.hand(side)]
    steps = np.rint(np.concatenate(hands, axis=1) / _STEPS).astype(np.int32)  # [N, 102]
    bends = np.diff(steps, n=2, axis=0, prepend=np.zeros((2, steps.shape[1]), np.int32)).astype("<i4")
    folded = (bends << 1) ^ (bends >> 31)  # small numbers of either sign have high bytes of 0
    planes = np.ascontiguousarray(folded.T).view(np.uint8).reshape(-1, 4).T  # [4, 102 N], bytes of like weight together
    arrays = {
        "version": np.int64(VERSION),
        "fps": np.float64(motion.fps),
        "channels": planes,
        "notes": motion.notes,
        "keys": motion.keys,
        "pedal": motion.pedal,
        "start": np.float64(motion.start),
        "meta": np.array(json.dumps(motion.meta, sort_keys=True)),
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def unpack(packed: bytes) -> HandMotion:
    """The motion that was packed, its channels within half a step; ValueError when the bytes are no motion."""
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as data:
            if data["version"] != VERSION:
                raise ValueError(f"version {data['version']}")
            planes = np.ascontiguousarray(data["channels"].T)
            folded = planes.view("<u4").reshape(2 * _CHANNELS, -1).T  # [N, 102]
            bends = (folded >> 1).astype(np.int32) ^ -(folded & 1).astype(np.int32)
            values = np.cumsum(np.cumsum(bends, axis=0, dtype=np.int32), axis=0, dtype=np.int32) * _STEPS
            left, right = values[:, :_CHANNELS], values[:, _CHANNELS:]
            motion = HandMotion(
                float(data["fps"]),
                left[:, :3],
                left[:, 3:].reshape(-1, 16, 3),
                right[:, :3],
                right[:, 3:].reshape(-1, 16, 3),
                data["notes"],
                data["keys"],
                data["pedal"],
                float(data["start"]),
                json.loads(str(data["meta"])),
            )
    except (*UNREADABLE, TypeError) as error:
        raise ValueError(f"this is no packed motion ({error})") from error
    if motion.notes.dtype != NOTE or motion.keys.shape != (len(motion.notes), 4) or not motion.fps > 0:
        raise ValueError("this is no packed motion (note fields differ)")
    return motion


_STEPS = np.tile(np.r_[np.full(3, PLACE), np.full(_CHANNELS - 3, TURN)], 2)
