"""Arrays of callers: results written into them, memory of the device, objects of other libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import nnef_cl
from nnef_cl.errors import InputError
from tests.device.test_session import GIVEN, PAIR, WEIGHTS, A, save


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, selector: str) -> Iterator[nnef_cl.Session]:
    folder = save(tmp_path_factory.mktemp("pair") / "model", PAIR, w=WEIGHTS)
    with nnef_cl.load(folder, device=selector) as session:
        yield session


def test_results_are_written_into_arrays(session: nnef_cl.Session) -> None:
    expected = session.run(GIVEN)
    wide = np.zeros((4, 3), np.float32)
    out = {
        "total": np.zeros((2, 1), np.float32), "count": np.zeros(2, np.int64), "flipped": np.ones((), bool),
        "a": wide[::2], "w": np.zeros((3, 1), np.float32).T,
    }  # fmt: skip
    for ask in (session.run, lambda *args, **how: session.submit(*args, **how).result()):
        for array in out.values():
            array[...] = 1
        results = ask(GIVEN, out=out)
        assert list(results) == list(expected)
        for name, array in out.items():
            assert results[name] is array
            np.testing.assert_array_equal(array, expected[name])
    np.testing.assert_array_equal(wide[1::2], 0)
    some = session.run(GIVEN, out={"count": out["count"]})
    assert some["count"] is out["count"] and some["total"] is not out["total"]
    np.testing.assert_array_equal(some["total"], expected["total"])


def read_only() -> np.ndarray:
    array = np.zeros((2, 3), np.float32)
    array.flags.writeable = False
    return array


BASE = np.zeros(9, np.float32)
REPEATED = np.lib.stride_tricks.as_strided(BASE, (2, 3), (0, 4), writeable=True)
WRONG: Mapping[str, tuple[Any, str]] = {
    "no mapping": ([A], r"out: expected arrays by output name \(total, .*\), got list"),
    "unknown": ({"totals": BASE}, r"no output 'totals'; did you mean 'total'\?"),
    "list": ({"a": [[0.0] * 3] * 2}, "out 'a': expected a numpy array, got list"),
    "shape": ({"a": BASE}, r"out 'a': expected shape \[2, 3\], got \[9\]"),
    "type": ({"a": np.zeros((2, 3))}, r"out 'a': expected float32 \(scalar\), got float64"),
    "byte order": ({"a": np.zeros((2, 3), ">f4")}, "out 'a': expected float32 .*, got >f4"),
    "logical": ({"flipped": np.zeros((), np.uint8)}, "out 'flipped': expected bool"),
    "read-only": ({"a": read_only()}, "out 'a': expected an array that can be written to"),
    "repeated": ({"a": REPEATED}, r"out 'a': expected memory of its own .* got strides \[0, 4\]"),
    "an input": ({"a": A}, "out 'a': .* overlaps input 'a'"),
    "another": ({"a": BASE[:6].reshape(2, 3), "w": BASE[5:8].reshape(1, 3)}, "out 'w': .* overlaps out 'a'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_arrays_that_cannot_be_written_into(session: nnef_cl.Session, kind: str) -> None:
    out, message = WRONG[kind]
    with pytest.raises(InputError, match=message):
        session.run(GIVEN, out=out)
    assert not BASE.any()
    with pytest.raises(InputError, match=message):
        session.submit(GIVEN, out=out).result()


def test_arrays_between_each_other_do_not_overlap(session: nnef_cl.Session) -> None:
    both = np.zeros((2, 6), np.float32)
    results = session.run({**GIVEN, "a": both[:, ::2]}, out={"a": both[:, 1::2]})
    np.testing.assert_array_equal(results["a"], 0)
