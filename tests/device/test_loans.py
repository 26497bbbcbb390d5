"""Kernels that work on the caller's arrays: any array, parts of it, one after another; every family of operations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nnef_cl
from nnef_cl import passes, replica
from nnef_cl.conformance.case import FAMILIES, cases_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import OPS, compare, family_graph
from nnef_cl.device import open_device
from nnef_cl.executor import Executable
from nnef_cl.plan.build import build_plan
from nnef_cl.stream import LENT, Stream
from tests.device.test_session import random, save

PARTS = """version 1.0;
graph parts( x, y ) -> ( joined, total )
{
    x = external(shape = [4, 32]);
    y = external(shape = [4, 32]);
    [a, b] = split(x, axis = 0, ratios = [1, 1]);
    first = relu(b);
    joined = concat([tanh(a), first, tanh(y)], axis = 0);
    total = sum_reduce(joined, axes = [0]);
}
"""
CONV = """version 1.0;
graph net( x ) -> ( y )
{
    x = external(shape = [1, 3, 300, 300]);
    w = variable(shape = [4, 3, 3, 3], label = 'w');
    y = conv(x, w);
}
"""


def expected_parts(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    joined = np.concatenate([np.tanh(x[:2]), np.maximum(x[2:], 0), np.tanh(y)])
    return {"joined": joined, "total": joined.sum(axis=0, keepdims=True)}


@pytest.fixture
def lending(selector: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device whose kernels reach the host's arrays; all are lent."""
    if not open_device(selector).borrows_memory:
        pytest.skip("kernels do not reach all of the host's memory")
    monkeypatch.setattr(replica, "LENT", 0)
    return selector


@pytest.fixture
def parts(tmp_path: Path, lending: str) -> Iterator[nnef_cl.Session]:
    with nnef_cl.load(save(tmp_path / "parts", PARTS), device=lending, streams=2) as session:
        assert {place.kind for place, _ in session.plan.inputs.values()} == {"loan"}
        assert session.plan.outputs["joined"][0].kind == "loan"
        yield session


def as_file(array: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "x.npy", array)
    return np.load(folder / "x.npy", mmap_mode="r")


def anywhere(array: np.ndarray) -> np.ndarray:
    """At an address that is no multiple of an element's size."""
    found = np.frombuffer(b"\0" + array.tobytes(), np.float32, offset=1).reshape(array.shape)
    assert not found.flags.aligned and not found.flags.writeable
    return found


def test_any_array(parts: nnef_cl.Session, tmp_path: Path) -> None:
    x, y = random(4, 32), random(4, 32) + 1
    wide = np.repeat(x, 2, axis=1)
    for given in (x, as_file(x, tmp_path), anywhere(x), wide[:, ::2], x.astype(np.float64), x.T.copy().T):
        for name, array in parts.run({"x": given, "y": y}).items():
            np.testing.assert_allclose(array, expected_parts(x, y)[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.run({"x": y, "y": y})["joined"], expected_parts(y, y)["joined"], rtol=1e-5)


def test_results_stay(parts: nnef_cl.Session) -> None:
    """Whatever runs later, on any stream."""
    xs = [random(4, 32) * k for k in range(1, 12)]
    results = list(parts.map({"x": x, "y": x} for x in xs))
    futures = [parts.submit({"x": x, "y": x}) for x in xs]
    for x, one, future in zip(xs, results, futures, strict=True):
        for name, array in expected_parts(x, x).items():
            np.testing.assert_allclose(one[name], array, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(one[name], future.result()[name])


def test_results_go_where_they_are_wanted(parts: nnef_cl.Session) -> None:
    x = random(4, 32)
    joined, total = np.zeros((8, 32), np.float32), np.zeros((1, 64), np.float32)
    for given in (x, x + 1):
        parts.run({"x": given, "y": given[:, ::-1]}, out={"joined": joined, "total": total[:, ::2]})
        expected = expected_parts(given, given[:, ::-1])
        np.testing.assert_allclose(joined, expected["joined"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(total[:, ::2], expected["total"], rtol=1e-5, atol=1e-5)
    assert not total[:, 1::2].any()


def test_large_arrays_are_lent(tmp_path: Path, selector: str) -> None:
    folder, x = save(tmp_path / "net", CONV, w=random(4, 3, 3, 3)), random(1, 3, 300, 300)
    assert x.nbytes > LENT
    with nnef_cl.load(folder, device=selector) as session:
        lent = [place.kind == "loan" for place, _ in (*session.plan.inputs.values(), *session.plan.outputs.values())]
        assert set(lent) == {open_device(selector).borrows_memory}
        y = session(x)
        assert session.memory["slots"] < y.nbytes or not any(lent)
        target = np.zeros_like(y)
        assert session.run({"x": x}, out={"y": target})["y"] is target
    np.testing.assert_array_equal(target, y)
    with nnef_cl.load(folder, device=selector, profile=True) as profiled:
        assert not profiled.plan.loans
        np.testing.assert_allclose(profiled(x), y, rtol=1e-5, atol=1e-5)


@pytest.mark.many_kernels
@pytest.mark.parametrize("family", FAMILIES)
def test_family(family: str, lending: str) -> None:
    device = open_device(lending)
    cases = cases_of(family)[::13]
    graph, inputs = family_graph(cases)
    plan = build_plan(passes.run(graph, OPS, device.target), OPS, device.target, lend=0)
    executable = Executable(plan, device)
    try:
        executable.compile()
        executable.upload()
        got = Stream(executable).run(inputs)
    finally:
        executable.close()
    assert plan.loans
    for number, case in enumerate(cases):
        for k, expected in enumerate(case.reference()):
            compare(case.id, got[f"c{number}_y{k}"], expected, tolerance(case.op))
