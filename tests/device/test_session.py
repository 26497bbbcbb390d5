"""Sessions on every device: arrays in and out, errors, shapes, kept tensors, threads, forks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_cl
from nnef_cl.device import manager, open_device
from nnef_cl.errors import DeviceError, InputError, ModelError
from nnef_cl.format.tensor_file import write_tensor

PAIR = """version 1.0;
graph pair( a, n, l ) -> ( total, count, flipped, a, w )
{
    a = external(shape = [2, 3]);
    n = external<integer>(shape = [2]);
    l = external<logical>(shape = []);
    w = variable(shape = [1, 3], label = 'w');
    product = mul(a, w);
    total = sum_reduce(product, axes = [1]);
    count = copy(n);
    flipped = !l;
}
"""
WEIGHTS = np.array([[1.0, 2.0, 4.0]], np.float32)
NET = """version 1.0;
graph net( x ) -> ( y )
{
    x = external(shape = [1, 3, 16, 16]);
    w = variable(shape = [8, 3, 3, 3], label = 'w');
    c = conv(x, w);
    r = relu(c);
    p = max_pool(r, size = [1, 1, 2, 2], stride = [1, 1, 2, 2], padding = [(0, 0), (0, 0), (0, 0), (0, 0)]);
    m = mean_reduce(p, axes = [2, 3]);
    y = squeeze(m, axes = [2, 3]);
}
"""


def save(path: Path, text: str, **variables: np.ndarray) -> Path:
    path.mkdir(exist_ok=True)
    (path / "graph.nnef").write_text(text, "utf-8")
    for label, array in variables.items():
        write_tensor(path / f"{label}.dat", array)
    return path


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return save(tmp_path / "pair", PAIR, w=WEIGHTS)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return save(tmp_path / "net", NET, w=random(8, 3, 3, 3))


A, N, L = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([2**40, -7]), np.array(True)
GIVEN: Mapping[str, Any] = {"a": A, "n": N, "l": L}


def test_results_in_graph_order_and_api_types(pair: Path, selector: str) -> None:
    with nnef_cl.load(pair, device=selector) as session:
        assert list(session.inputs) == ["a", "n", "l"] and session.inputs["a"].shape == (2, 3)
        results = session.run(GIVEN)
        assert list(results) == list(session.outputs) == ["total", "count", "flipped", "a", "w"]
        np.testing.assert_array_equal(results["total"], (A * WEIGHTS).sum(axis=1, keepdims=True))
        np.testing.assert_array_equal(results["count"], N)
        np.testing.assert_array_equal(results["a"], A)
        np.testing.assert_array_equal(results["w"], WEIGHTS)
        assert results["flipped"] == np.array(False)
        assert [r.dtype.name for r in results.values()] == ["float32", "int64", "bool", "float32", "float32"]
        called = session(A, N, L)
        assert isinstance(called, tuple) and len(called) == 5
        for one, other in zip(called, results.values(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_one_output_comes_alone_and_stays(net: Path, selector: str) -> None:
    with nnef_cl.load(net, device=selector) as session:
        first = session(random(1, 3, 16, 16))
        before = first.copy()
        again = session(random(1, 3, 16, 16))
        session(np.ones((1, 3, 16, 16), np.float32))
        np.testing.assert_array_equal(first, before)
        np.testing.assert_array_equal(first, again)
        assert first.shape == (1, 8) and np.abs(first).max() > 0


@pytest.mark.parametrize(
    "array",
    [
        A.astype(np.float64), A.astype(np.float16), A.astype(np.int8), A.astype(">f4"), np.asfortranarray(A),
        np.repeat(A, 2, axis=1)[:, ::2], A[::-1].copy()[::-1], A.tolist(), A.astype(bool) | True,
    ],
    ids=["float64", "float16", "int8", "big-endian", "fortran", "strided", "reversed", "list", "bool"],
)  # fmt: skip
def test_arrays_that_are_taken(pair: Path, selector: str, array: Any) -> None:
    with nnef_cl.load(pair, device=selector) as session:
        results = session.run({**GIVEN, "a": array})
        np.testing.assert_array_equal(results["a"], np.asarray(array, np.float32))


def test_read_only_arrays(pair: Path, selector: str) -> None:
    array = A.copy()
    array.flags.writeable = False
    with nnef_cl.load(pair, device=selector) as session:
        np.testing.assert_array_equal(session.run({**GIVEN, "a": array})["a"], A)


WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "unknown": ({**GIVEN, "aa": A}, r"no input 'aa'; did you mean 'a'\?"),
    "missing": ({"a": A, "n": N}, "no value for input 'l'"),
    "rank": ({**GIVEN, "a": A[0]}, r"input 'a': expected shape \[2, 3\], got \[3\]"),
    "extent": ({**GIVEN, "a": A.T}, r"input 'a': expected shape \[2, 3\], got \[3, 2\]"),
    "complex": ({**GIVEN, "a": A * 1j}, r"input 'a': expected float32 \(scalar\), got complex64"),
    "scalar for integer": ({**GIVEN, "n": N * 0.5}, r"input 'n': expected int64 \(integer\), got float64"),
    "integer for logical": ({**GIVEN, "l": 1}, r"input 'l': expected bool \(logical\), got int64"),
    "text": ({**GIVEN, "a": [["a", "b", "c"]] * 2}, "input 'a': expected float32"),
    "ragged": ({**GIVEN, "a": [[1, 2, 3], [4, 5]]}, "input 'a': not an array"),
}


def test_arrays_that_are_refused(pair: Path, selector: str) -> None:
    with nnef_cl.load(pair, device=selector) as session:
        for given, message in WRONG.values():
            with pytest.raises(InputError, match=message):
                session.run(given)
        with pytest.raises(InputError, match=r"has 3 inputs \(a, n, l\), got 1"):
            session(A)
        session.run(GIVEN)


@pytest.mark.parametrize("shape", [(5, 3, 16, 16), (2, 3, 9, 21)])
def test_other_shapes(net: Path, selector: str, shape: tuple[int, ...]) -> None:
    with nnef_cl.load(net, device=selector, shapes={"x": shape}) as session:
        x = random(*shape)
        whole = session(x)
        assert whole.shape == (shape[0], 8)
    with nnef_cl.load(net, device=selector, shapes={"x": (1, *shape[1:])}) as session:
        np.testing.assert_allclose(session(x[1:2]), whole[1:2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shapes", [{"x": (1, 4, 16, 16)}, {"x": (1, 3, 16)}, {"z": (1,)}, {"x": (0, 3, 16, 16)}])
def test_shapes_that_do_not_fit(net: Path, selector: str, shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises((InputError, ModelError)):
        nnef_cl.load(net, device=selector, shapes=shapes)


def test_kept_tensors_follow_the_outputs(net: Path, selector: str) -> None:
    x = random(1, 3, 16, 16)
    with nnef_cl.load(net, device=selector) as plain, nnef_cl.load(net, device=selector, keep=["r", "c"]) as keeping:
        results = keeping.run({"x": x})
        assert list(results) == ["y", "r", "c"] and list(keeping.outputs) == ["y"]
        np.testing.assert_array_equal(results["r"], np.maximum(results["c"], 0))
        np.testing.assert_allclose(results["y"], plain(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="no tensor 'q'"):
        nnef_cl.load(net, device=selector, keep=["q"])


def test_a_closed_session_says_so(net: Path, selector: str) -> None:
    with nnef_cl.load(net, device=selector) as session:
        pass
    session.close()
    with pytest.raises(DeviceError, match="closed"):
        session(random(1, 3, 16, 16))


def test_threads_take_turns(net: Path, selector: str) -> None:
    inputs = [random(1, 3, 16, 16) * k for k in range(1, 5)]
    with nnef_cl.load(net, device=selector) as session:
        expected = [session(x) for x in inputs]
        wrong: list[int] = []

        def work(k: int) -> None:
            for _ in range(25):
                if not np.array_equal(session(inputs[k]), expected[k]):
                    wrong.append(k)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(len(inputs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_gets_an_error_at_once(net: Path, selector: str) -> None:
    x = random(1, 3, 16, 16)
    with nnef_cl.load(net, device=selector) as session:
        session(x)
        child = os.fork()
        if child == 0:
            try:
                session(x)
            except DeviceError as error:
                session.close()
                os._exit(0 if "parent process" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        session(x)


def test_more_memory_than_the_device_has(
    tmp_path: Path, selector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a buffer was made before the need was checked")

    monkeypatch.setattr(manager.Device, "buffer", refuse)
    text = NET.replace("[1, 3, 16, 16]", "[1000, 3, 800, 800]").replace("w = variable(shape = [8, 3, 3, 3], label = 'w')",
        "w = variable(shape = [800, 3, 3, 3], label = 'w')")  # fmt: skip
    path = save(tmp_path / "large", text, w=random(800, 3, 3, 3))
    with pytest.raises(DeviceError, match=r"a buffer of [\d.]+ GiB needed; the device allows at most"):
        nnef_cl.load(path, device=selector)


def test_nan_and_infinities(tmp_path: Path, selector: str) -> None:
    text = """version 1.0;
graph special( x ) -> ( m, c, s, r )
{
    x = external(shape = [4]);
    zero = constant(shape = [4], value = [0.0, 0.0, 0.0, 0.0]);
    m = max(x, zero);
    c = clamp(x, -1.0, 1.0);
    s = select(x > 0.0, zero, x);
    r = relu(x);
}
"""
    x = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32)
    with nnef_cl.load(save(tmp_path / "special", text), device=selector) as session:
        m, c, s, r = session(x)
    np.testing.assert_array_equal(m, [np.nan, np.inf, 0, 0.5])
    np.testing.assert_array_equal(c, [np.nan, 1, -1, 0.5])
    np.testing.assert_array_equal(s, [np.nan, 0, -np.inf, 0])
    np.testing.assert_array_equal(r, [np.nan, np.inf, 0, 0.5])


def test_a_graph_of_constants_only(tmp_path: Path, selector: str) -> None:
    text = "version 1.0;\ngraph g( ) -> ( y )\n{\n    y = add(constant(shape = [2], value = [1.0, 2.0]), 3.0);\n}\n"
    with nnef_cl.load(save(tmp_path / "constant", text), device=selector) as session:
        np.testing.assert_array_equal(session(), [4.0, 5.0])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_closing_gives_memory_back(net: Path, selector: str) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    x = random(16, 3, 256, 256)
    sizes = []
    for _ in range(4):
        with nnef_cl.load(net, device=selector, shapes={"x": x.shape}) as session:
            session(x)
        sizes.append(resident())
    assert sizes[-1] - sizes[0] < 60 << 20, sizes


def test_sessions_that_are_dropped_give_their_memory_back(net: Path, selector: str) -> None:
    device = open_device(selector)
    before = device.allocated
    for _ in range(3):
        session = nnef_cl.load(net, device=selector)
        session(random(1, 3, 16, 16))
        assert device.allocated > before
        del session
        assert device.allocated == before


def test_many_sessions_leave_nothing_open(net: Path, selector: str) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("no /proc")
    counts = []
    for _ in range(12):
        with nnef_cl.load(net, device=selector) as session:
            session(random(1, 3, 16, 16))
        counts.append(len(list(descriptors.iterdir())))
    assert counts[-1] <= counts[2]
