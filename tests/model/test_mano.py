# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a MANO file without trusting it. The files are made here: MANO itself may not be shipped."""

import contextlib
import os
import pickle
import sys
import types
from collections import OrderedDict
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.errors import UserError
from s2c_blender.model import mano


class Fake:
    """Pickles as an object of a library that is not installed, with a dictionary as its state."""

    def __init__(self, **state):
        self.__dict__.update(state)


@contextlib.contextmanager
def fake_class(module: str, name: str):
    """A class that calls itself `module.name` and can be pickled as long as the context lasts."""
    parts = module.split(".")
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    before = {n: sys.modules.get(n) for n in names}
    kind = type(name, (Fake,), {"__module__": module})
    for n in names:
        sys.modules[n] = types.ModuleType(n)
    setattr(sys.modules[module], name, kind)
    try:
        yield kind
    finally:
        for n, module_before in before.items():
            if module_before is None:
                del sys.modules[n]
            else:
                sys.modules[n] = module_before


class Python2Array:
    """Pickles as NumPy of Python 2 did, with the bytes as text."""

    def __init__(self, array: np.ndarray):
        self.array = array

    def __reduce__(self):
        rebuild, arguments, state = self.array.__reduce__()
        return rebuild, (arguments[0], arguments[1], "b"), (*state[:4], state[4].decode("latin1"))


def facts() -> dict:
    """A hand with known answers: dense arrays in MANO's shapes."""
    random = np.random.default_rng(5)
    regressor = np.where(random.random((16, 778)) < 0.01, random.random((16, 778)), 0.0)
    regressor[0, 3:6] = 0.3
    vertices = random.normal(size=(778, 3))
    vertices[3:6, 0] = 2.0
    return {"hands_mean": random.normal(size=45), "v_template": vertices, "J_regressor": regressor}


def mano_pickle(protocol: int = 2, *, layout: str = "csc", array=lambda a: a, **changes) -> bytes:
    """The file as MPI's and as converters write it."""
    from scipy.sparse import csc_matrix, csr_matrix

    values = facts() | changes
    with fake_class("chumpy.ch", "Ch") as ch, fake_class(f"scipy.sparse.{layout}", f"{layout}_matrix") as kind:
        m = (csc_matrix if layout == "csc" else csr_matrix)(values["J_regressor"])
        state = {"_shape": m.shape, "maxprint": 50}
        state |= {name: array(getattr(m, name)) for name in ("indices", "indptr", "data")}
        content = {
            "hands_mean": array(values["hands_mean"]),
            "v_template": ch(x=array(values["v_template"]), _dirty_vars=set()),
            "J_regressor": kind(**state),
            "f": np.zeros((1538, 3), np.uint32),
            "bs_style": "lbs",
        }
        return pickle.dumps(content, protocol)


def write(folder: Path, content: bytes, name: str = "MANO_RIGHT.pkl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def assert_read(found: mano.Mano) -> None:
    expected = facts()
    assert np.array_equal(found.mean_pose, expected["hands_mean"].reshape(15, 3))
    assert np.allclose(found.root, expected["J_regressor"][0] @ expected["v_template"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", ["csc", "csr"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_of_python_3(tmp_path, protocol, layout):
    assert_read(mano.read_mano(write(tmp_path, mano_pickle(protocol, layout=layout))))


@pytest.mark.parametrize("protocol", [0, 2])
def test_pickles_of_python_2(tmp_path, protocol):
    assert_read(mano.read_mano(write(tmp_path, mano_pickle(protocol, array=Python2Array))))


def test_big_endian_fortran_and_single_precision_arrays(tmp_path):
    expected = facts()
    vertices = np.asfortranarray(expected["v_template"].astype(">f4"))
    found = mano.read_mano(write(tmp_path, mano_pickle(v_template=vertices)))
    assert np.allclose(found.root, expected["J_regressor"][0] @ expected["v_template"], atol=1e-6)


def test_numpy_2_names(tmp_path):
    renamed = mano_pickle().replace(b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n")
    assert b"numpy._core" in renamed
    assert_read(mano.read_mano(write(tmp_path, renamed)))


def test_arrays_in_npz(tmp_path):
    np.savez(tmp_path / "mano.npz", **facts())
    assert_read(mano.read_mano(tmp_path / "mano.npz"))


class Evil:
    """Pickles as a call."""

    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


def attacks(mark: Path) -> dict:
    touch = f"open({str(mark)!r}, 'w').close()"
    return {
        "system": Evil(os.system, f"touch {mark}"),
        "eval": Evil(eval, touch),
        "exec": Evil(exec, touch),
        "nested": {"hands_mean": [Evil(os.system, f"touch {mark}")]},
        "in an array": np.array([Evil(exec, touch)], dtype=object),
        "getattr": Evil(getattr, "x", "upper"),
        "import": Evil(__import__, "antigravity"),
        "partial": Evil(partial, print, "x"),
        "numpy.load": Evil(np.load, str(mark), None, True),
        "numpy.save": Evil(np.save, str(mark), np.zeros(1)),
        "numpy.fromfile": Evil(np.fromfile, str(mark)),
        "numpy.memmap": Evil(np.memmap, str(mark), "u1", "w+", 0, (4,)),
        "numpy.lib": Evil(np.lib.format.open_memmap, str(mark), "w+", np.float64, (1,)),
        "collections": OrderedDict(a=1),
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_no_code_in_a_pickle_is_run(tmp_path, monkeypatch, name, protocol):
    mark = tmp_path / "mark"
    content = pickle.dumps(attacks(mark)[name], protocol)
    called = []
    monkeypatch.setattr(os, "system", called.append)
    with pytest.raises(UserError, match="asks for"):
        mano.read_mano(write(tmp_path, content))
    assert not called and sorted(p.name for p in tmp_path.iterdir()) == ["MANO_RIGHT.pkl"]


def test_attacks_would_work_on_an_ordinary_reader(tmp_path):
    """Otherwise the test above would prove nothing."""
    mark = tmp_path / "mark"
    for name in ("eval", "exec", "numpy.save"):
        pickle.loads(pickle.dumps(attacks(mark)[name], 2))
        found = list(tmp_path.iterdir())
        assert found, name
        found[0].unlink()


def test_names_inside_trusted_libraries_are_not_looked_up(tmp_path):
    """chumpy and scipy.sparse names become stand-ins, even when such a module exists and would do something."""
    content = b"\x80\x02cscipy.sparse\nload_npz\nX\x05\x00\x00\x00a.npz\x85R."
    with pytest.raises(UserError, match="not a MANO hand"):
        mano.read_mano(write(tmp_path, content))


def test_a_stand_in_cannot_be_changed_by_a_file(tmp_path):
    """A pickle may set attributes of what it finds by name: the classes of the reader must stay as they are."""
    for name in (b"numpy\nndarray", b"numpy.core.multiarray\n_reconstruct", b"_codecs\nencode"):
        content = b"\x80\x02c" + name + b"\nN}X\x0b\x00\x00\x00__setstate__NsX\x01\x00\x00\x00a\x88s\x86b."
        with pytest.raises(UserError):
            mano.read_mano(write(tmp_path, content))
    assert_read(mano.read_mano(write(tmp_path, mano_pickle())))


@pytest.mark.parametrize("content", [b"", b"\x80", b"MANO", b"\x00" * 500, pickle.dumps([1, 2]), pickle.dumps({})])
def test_files_that_are_something_else(tmp_path, content):
    with pytest.raises(UserError, match=r"MANO_RIGHT\.pkl"):
        mano.read_mano(write(tmp_path, content))


def test_truncated_files(tmp_path):
    whole = mano_pickle()
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        with pytest.raises(UserError):
            mano.read_mano(write(tmp_path, whole[:length]))


def test_flipped_bytes_never_end_in_another_error(tmp_path):
    whole = mano_pickle(v_template=np.ones((778, 3)))
    random = np.random.default_rng(6)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[int(random.integers(0, min(len(whole), 3000)))] = int(random.integers(256))
        with contextlib.suppress(UserError):
            mano.read_mano(write(tmp_path, bytes(damaged)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hands_mean": np.zeros(30)}, "shape"),
        ({"hands_mean": np.full(45, np.nan)}, "not finite"),
        ({"hands_mean": "text"}, "not an array"),
        ({"hands_mean": np.array(["a"] * 45)}, "unexpected type"),
        ({"v_template": np.zeros((6890, 3))}, "shape"),
        ({"J_regressor": np.ones((24, 778))}, "regressor"),
        ({"v_template": facts()["v_template"] * [-1, 1, 1]}, "left hand"),
    ],
)
def test_other_models(tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        mano.read_mano(write(tmp_path, mano_pickle(**changes)))


def test_npz_with_objects_or_damage(tmp_path):
    path = tmp_path / "mano.npz"
    np.savez(path, **(facts() | {"hands_mean": np.array([Evil(eval, "1")], dtype=object)}))
    with pytest.raises(UserError):
        mano.read_mano(path)
    np.savez(path, v_template=facts()["v_template"])
    with pytest.raises(UserError, match="has no hands_mean"):
        mano.read_mano(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError):
        mano.read_mano(path)


@pytest.mark.parametrize("shape", [None, ("a",), (-1, -1), (45, 10**9), 45])
def test_arrays_that_lie_about_their_size(tmp_path, shape):
    class Lying(Python2Array):
        def __reduce__(self):
            rebuild, arguments, state = super().__reduce__()
            return rebuild, arguments, (state[0], shape, *state[2:])

    with pytest.raises(UserError):
        mano.read_mano(write(tmp_path, mano_pickle(array=Lying)))


def test_missing_file_folder_and_giant(tmp_path, monkeypatch):
    for path in (tmp_path / "none.pkl", tmp_path, tmp_path / "none.npz"):
        with pytest.raises(UserError):
            mano.read_mano(path)
    path = write(tmp_path, mano_pickle())
    monkeypatch.setattr(mano, "LARGEST", 1000)
    with pytest.raises(UserError, match="too large"):
        mano.read_mano(path)
