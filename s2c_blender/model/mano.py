# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be known of the MANO hand to read published poses: its mean pose and where its wrist is at rest.

MANO's licence does not let us ship its numbers. They are read from the user's own MANO_RIGHT.pkl, an old pickle,
without running anything it says: names in it become inert stand-ins, and arrays are built here from their raw bytes.
Without the file a documented neutral hand takes their place.
"""

import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import hand
from ..errors import UserError

# MANO's axes -> ours (DESIGN section 2): its right hand rests with the fingers along -x, the palm facing -y, the thumb
# towards +z; ours with the fingers along +y, the palm facing -z, the thumb towards -x.
AXES = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

LARGEST = 64_000_000  # bytes; MANO_RIGHT.pkl has 4 million
VERTICES = 778

# The relaxed hand without MANO's file, degrees of spread, MCP, PIP and DIP flexion thumb .. little: fingers fall into a
# gentle curl when the muscles rest, a little more towards the little finger; the thumb lies slightly in.
_RELAXED = np.array([[0, 8, 8, 10], [0, 26, 34, 12], [0, 28, 36, 14], [0, 30, 36, 14], [0, 30, 32, 12]])


@dataclass(frozen=True)
class Mano:
    """Facts of MANO's right hand with zero shape, in MANO's axes."""

    mean_pose: np.ndarray  # [15, 3] axis-angle, rad: MANO adds it to a pose's 15 finger joints (parity fact 7)
    root: np.ndarray  # [3] m: the wrist joint of the resting hand; a pose's `transl` counts from there


def neutral() -> Mano:
    """The hand used when the user has no MANO file: relaxed by our own hinges, the wrist where MANO's is.

    Our resting hand stands for MANO's flat one. Fingers are then a few degrees off, positions some millimetres.
    """
    relaxed = hand.rotations_from_hinges(np.radians(_RELAXED).reshape(1, 20))[0, 1:]
    return Mano(mean_pose=relaxed @ AXES, root=np.array([0.0957, 0.0064, 0.0062]))


def read_mano(path: str | Path) -> Mano:
    """Read `hands_mean`, `v_template` and `J_regressor` of a MANO_RIGHT.pkl, or of an .npz with these arrays.

    Raises UserError for files that are missing, damaged or something else.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path.name} is too large for a MANO hand; choose MANO_RIGHT.pkl.")
        content = _read_npz(path) if path.suffix.lower() == ".npz" else _read_pickle(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); choose your MANO_RIGHT.pkl.") from error
    try:
        mean_pose = _numbers(content["hands_mean"], (45,)).reshape(15, 3)
        root = _root_joint(content["J_regressor"], _numbers(content["v_template"], (VERTICES, 3)))
    except KeyError as error:
        raise UserError(f"{path.name} has no {error.args[0]}: it is not a MANO hand; choose MANO_RIGHT.pkl.") from error
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path.name} is not a MANO hand ({error}); choose MANO_RIGHT.pkl.") from error
    if root[0] < 0:
        raise UserError(f"{path.name} is MANO's left hand; choose MANO_RIGHT.pkl, which serves both hands.")
    return Mano(mean_pose, root)


def _root_joint(regressor: Any, vertices: np.ndarray) -> np.ndarray:
    """The wrist [3]: the first row of the joint regressor [16, 778], sparse or dense, times the vertices [778, 3]."""
    if not isinstance(regressor, _Inert):
        return _numbers(regressor, (16, VERTICES))[0] @ vertices
    state = regressor.state if isinstance(regressor.state, dict) else {}
    if tuple(state.get("_shape", state.get("shape", ()))) != (16, VERTICES):
        raise ValueError("its joint regressor has another size")
    starts, inner = _numbers(state["indptr"]).astype(int), _numbers(state["indices"]).astype(int)
    weights = _numbers(state["data"], inner.shape)
    if starts[0] != 0 or starts[-1] != len(inner) or (np.diff(starts) < 0).any():
        raise ValueError("its joint regressor is damaged")
    outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    rows, columns = (inner, outer) if len(starts) == VERTICES + 1 else (outer, inner)  # by columns, else by rows
    if columns.min(initial=0) < 0 or columns.max(initial=0) >= VERTICES:
        raise ValueError("its joint regressor is damaged")
    return weights[rows == 0] @ vertices[columns[rows == 0]]


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in ("hands_mean", "v_template", "J_regressor") if name in data}
    except OSError:
        raise
    except Exception as error:  # a damaged archive raises anything
        raise UserError(f"{path.name} is not a readable .npz ({error}); choose MANO_RIGHT.pkl.") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in the file, with stand-ins for everything that is not a number, text, list or dictionary."""
    with path.open("rb") as file:
        try:
            content = _Unpickler(file, encoding="latin1").load()
        except (OSError, UserError):
            raise
        except Exception as error:  # a damaged pickle raises anything
            raise UserError(f"{path.name} is damaged or no MANO hand ({error}); choose MANO_RIGHT.pkl.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path.name} is not a MANO hand; choose MANO_RIGHT.pkl.")
    return content


class _Inert:
    """Stands for any object of a pickle: keeps what it is made from and does nothing."""

    def __init__(self, *made_from: Any):
        self.made_from = made_from
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Bytes(_Inert):
    """Stands for `_codecs.encode`, by which Python 3 writes bytes into old pickles."""

    def __new__(cls, text: str = "", encoding: str = "latin1") -> bytes:
        return text.encode("latin1")


class _Rebuilt(_Inert):
    """Stands for `copyreg._reconstructor`, by which the oldest pickles make objects."""

    def __new__(cls, kind: type, *_: Any) -> _Inert:
        if not issubclass(kind, _Inert):
            raise pickle.UnpicklingError("an object of an unknown kind")
        return kind()


class _Array(_Inert):
    """Stands for NumPy's way to rebuild an array."""


# Modules have their names of Python 2 and 3, and of NumPy 1 and 2.
_STAND_INS = {
    "numpy.ndarray": _Inert,
    "numpy.dtype": _Inert,
    "numpy.core.multiarray.scalar": _Inert,
    "numpy._core.multiarray.scalar": _Inert,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
    "__builtin__.object": _Inert,
    "builtins.object": _Inert,
    "__builtin__.set": _Inert,
    "builtins.set": _Inert,
    "copy_reg._reconstructor": _Rebuilt,
    "copyreg._reconstructor": _Rebuilt,
    "_codecs.encode": _Bytes,
}


class _Unpickler(pickle.Unpickler):
    """Every name in the file becomes a stand-in; names a hand has no use for end the reading."""

    def find_class(self, module: str, name: str) -> type:
        full = f"{module}.{name}"
        if full.startswith(("chumpy.", "scipy.sparse.")):
            return _Inert
        if full not in _STAND_INS:
            raise UserError(f"The file asks for {full}, which no MANO hand needs; it was not read.")
        return _STAND_INS[full]


def _numbers(value: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A float64 array out of a real array, an array's stand-in, or chumpy's wrapping of either; ValueError if none."""
    if isinstance(value, _Inert) and isinstance(value.state, dict):  # chumpy.ch.Ch keeps its array as x
        value = value.state.get("x", value.state.get("r"))
    if isinstance(value, _Array):
        value = _array(value.state)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ValueError("a field is not an array of numbers")
    if shape is not None and value.shape != shape:
        raise ValueError(f"a field has the shape {value.shape} instead of {shape}")
    if not np.isfinite(value).all():
        raise ValueError("a field holds numbers that are not finite")
    return value.astype(np.float64)


def _array(state: Any) -> np.ndarray:
    """The array that NumPy's pickled state (version, shape, dtype, by columns, bytes) describes."""
    try:
        _, shape, dtype, by_columns, data = state
        kind, order = str(dtype.made_from[0]), str(dtype.state[1])
    except (TypeError, ValueError, AttributeError, IndexError):
        raise ValueError("an array is damaged") from None
    data = data.encode("latin1") if isinstance(data, str) else data
    if kind not in ("f4", "f8", "i4", "i8", "u1", "u4", "u8") or order not in ("<", ">", "|", "="):
        raise ValueError(f"an array has the unexpected type {order}{kind}")
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * int(kind[1]):
        raise ValueError("an array is damaged")
    order = "<" if order == "=" else order  # written by the machine itself, and all that run MANO are little-endian
    return np.frombuffer(data, order + kind).reshape(shape, order="F" if by_columns else "C")
