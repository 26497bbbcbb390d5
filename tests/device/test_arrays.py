"""Arrays of callers: results written into them, memory of the device, objects of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest

import nnef_cl
from nnef_cl import binding, replica
from nnef_cl.arrays import as_stored
from nnef_cl.device import open_device
from nnef_cl.device.arrays import device_array
from nnef_cl.errors import DeviceError, InputError
from nnef_cl.ir.tensor import TensorSpec
from tests.device.test_session import GIVEN, NET, PAIR, WEIGHTS, A, random, save


@pytest.fixture(scope="module", params=["copied", "lent"])
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, selector: str
) -> Iterator[nnef_cl.Session]:
    """Arrays are copied, as small ones are, or kernels work on them, where they can."""
    folder = save(tmp_path_factory.mktemp("pair") / "model", PAIR, w=WEIGHTS)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "lent":
            if not open_device(selector).borrows_memory:
                pytest.skip("kernels do not reach all of the host's memory")
            patch.setattr(replica, "LENT", 0)
        session = nnef_cl.load(folder, device=selector)
    assert bool(session.plan.loans) == (request.param == "lent")
    with session:
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
    "list": ({"a": [[0.0] * 3] * 2}, "out 'a': expected a numpy array or another with DLPack, got list"),
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


# Bindings ---------------------------------------------------------------------------------------------------
@pytest.fixture(params=["in place", "copied"])
def way(request: pytest.FixtureRequest, selector: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """How bindings work; the device must be able to work in place, or it is told that it cannot."""
    if request.param == "copied":
        monkeypatch.setattr(binding, "can_be_in_place", lambda replica: False)
    elif not open_device(selector).target.unified_memory:
        pytest.skip("the device does not work on the host's memory")
    return str(request.param)


def test_a_binding_computes_what_the_session_does(session: nnef_cl.Session, way: str) -> None:
    expected = session.run(GIVEN)
    done = sum(session.served.values())
    with session.bind() as bound:
        assert bound.in_place == (way == "in place")
        assert {n: (a.shape, a.dtype) for n, a in bound.inputs.items()} == {
            n: (s.shape, s.dtype.api) for n, s in session.inputs.items()
        }
        assert not any(array.any() for array in (*bound.inputs.values(), *bound.outputs.values()))
        for name, array in bound.inputs.items():
            array[...] = GIVEN[name]
        kept = dict(bound.outputs)
        for _ in range(2):  # inputs stay
            results = bound.run()
            assert list(results) == list(expected)
            for name, array in expected.items():
                assert results[name] is kept[name] and results[name].dtype == array.dtype
                np.testing.assert_array_equal(results[name], array)
        bound.inputs["a"][...] = 0
        np.testing.assert_array_equal(bound.outputs["a"], A)  # until the next run
        np.testing.assert_array_equal(bound.run()["total"], 0)
        with pytest.raises(TypeError):
            bound.inputs["a"] = A  # type: ignore[index]
    assert sum(session.served.values()) == done + 3
    np.testing.assert_array_equal(bound.outputs["count"], GIVEN["n"])  # arrays outlive the binding
    with pytest.raises(DeviceError, match="the binding is closed"):
        bound.run()


def test_a_binding_has_the_variables_of_its_stream(counter: Path, selector: str, way: str) -> None:
    ones = np.ones((1, 4), np.float32)
    with nnef_cl.load(counter, device=selector, streams=2) as session:
        for stream, message in ((None, "stream=0 to 1"), (2, "expected 0 to 1, got 2")):
            with pytest.raises(InputError, match=message):
                session.bind(stream=stream)
        bound = session.bind(stream=1)
        bound.inputs["x"][...] = ones
        values = [bound.run()["y"][0, 0], session.run({"x": ones}, stream=1)["y"][0, 0], bound.run()["y"][0, 0]]
        assert values == [1, 2, 3]
        assert [state["n"][0, 0] for state in session.states] == [0, 3]
    with pytest.raises(DeviceError, match="the session is closed"):
        bound.run()
    bound.close()
    np.testing.assert_array_equal(bound.outputs["y"], 3 * ones)


def test_a_fault_in_a_binding(lookup: Path, selector: str, way: str) -> None:
    with nnef_cl.load(lookup, device=selector) as session, session.bind() as bound:
        bound.inputs["i"][...] = (0, 5, 1)
        with pytest.raises(InputError, match="gather"):
            bound.run()
        bound.inputs["i"][1] = 4
        np.testing.assert_array_equal(bound.run()["y"], [[0, 1], [8, 9], [2, 3]])


def test_bindings_give_their_memory_back(tmp_path: Any, selector: str, way: str) -> None:
    x = random(1, 3, 16, 16)
    device = open_device(selector)
    with nnef_cl.load(save(tmp_path / "net", NET, w=random(8, 3, 3, 3)), device=selector) as session:
        expected, before = session(x), device.allocated
        for end in (lambda bound: bound.close(), lambda bound: None):
            bound = session.bind()
            bound.inputs["x"][...] = x
            for _ in range(2):  # places of inputs are used again by nothing
                np.testing.assert_array_equal(bound.run()["y"], expected)
            if way == "in place":
                replica = session._pool.replicas[0]
                assert replica.apart.weights == replica.executable.weights and replica.apart.weight_bytes == 0
                assert device.allocated > before
            end(bound)
            del bound
            assert device.allocated == before
        first, second = session.bind(), session.bind()
        first.inputs["x"][...], second.inputs["x"][...] = x, 0
        second.run()
        np.testing.assert_array_equal(first.run()["y"], expected)


# Memory of the device ---------------------------------------------------------------------------------------
def test_arrays_on_the_device(session: nnef_cl.Session) -> None:
    queue, expected = session.queue, session.run(GIVEN)
    given: dict[str, Any] = {name: cla.to_device(queue, np.asarray(value)) for name, value in GIVEN.items()}
    out: dict[str, Any] = {name: cla.empty(queue, array.shape, array.dtype) for name, array in expected.items()}
    for ask in (session.run, lambda *args, **how: session.submit(*args, **how).result()):
        results = ask(given, out=out)
        for name, array in expected.items():
            assert results[name] is out[name]
            np.testing.assert_array_equal(out[name].get(), array)
            out[name].set(np.ones_like(array))
    part = cla.to_device(queue, np.concatenate([A, A + 1]))[2:]
    whole = cl.Buffer(session.context, cl.mem_flags.READ_WRITE, A.nbytes)
    results = session.run({**GIVEN, "a": part}, out={"a": whole})
    assert results["a"] is whole
    np.testing.assert_array_equal(results["total"], ((A + 1) * WEIGHTS).sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(session.run({**GIVEN, "a": whole})["a"], A + 1)


def test_what_a_queue_has_to_do_comes_first(session: nnef_cl.Session) -> None:
    for queue in (session.queue, cl.CommandQueue(session.context)):
        values = cla.empty(queue, A.shape, np.float32)
        for step in range(1, 20):
            cl.enqueue_fill_buffer(queue, values.data, np.float32(step), 0, A.nbytes)
            assert session.run({**GIVEN, "a": values})["a"][1, 2] == step


def not_fitting(session: nnef_cl.Session) -> Iterator[tuple[Any, str]]:
    queue = session.queue
    context = cl.Context(session.context.devices)
    other = cl.CommandQueue(context)
    yield cla.to_device(queue, A.T.copy()), r"expected shape \[2, 3\], got \[3, 2\]"
    yield cla.to_device(queue, A.astype(np.float64)), r"expected float32 \(scalar\), got float64"
    yield cla.to_device(queue, np.zeros((2, 6), np.float32))[:, ::2], r"expected a C-contiguous array, got strides \[24, 8\]"
    yield cl.Buffer(session.context, cl.mem_flags.READ_WRITE, 20), "expected a buffer of 24 bytes, got 20"
    yield cla.to_device(other, A), "expected memory of the session's context"


def test_memory_that_does_not_fit(session: nnef_cl.Session) -> None:
    for value, message in not_fitting(session):
        with pytest.raises(InputError, match=f"input 'a': {message}"):
            session.run({**GIVEN, "a": value})
        with pytest.raises(InputError, match=f"out 'a': {message}"):
            session.run(GIVEN, out={"a": value})
    both = cla.to_device(session.queue, np.concatenate([A, A]))
    with pytest.raises(InputError, match=r"out 'a': .* overlaps input 'a'"):
        session.run({**GIVEN, "a": both[:2]}, out={"a": both[1:3]})
    with pytest.raises(InputError, match=r"out 'a': .* overlaps out 'w'"):
        session.run(GIVEN, out={"w": both[1:2], "a": both[:2]})


def test_memory_of_one_of_several_devices(session: nnef_cl.Session) -> None:
    value = cl.Buffer(session.context, cl.mem_flags.READ_WRITE, 24)
    device = open_device(session.device.index)
    with pytest.raises(InputError, match="x: expected an array of the host, because the session has several devices"):
        device_array("x", value, TensorSpec(A.shape), [device, device])


# Other libraries --------------------------------------------------------------------------------------------
class Tensor:
    """An array that can be had by DLPack alone."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **how: Any) -> Any:
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class Refusing(Tensor):
    def __dlpack__(self, **how: Any) -> Any:
        raise BufferError("needs its gradient")


class Both(Refusing):
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array


@pytest.mark.parametrize("wrap", (Tensor, Both))
def test_tensors_of_other_libraries(session: nnef_cl.Session, wrap: Callable[[np.ndarray], Tensor]) -> None:
    given = {**GIVEN, **{name: wrap(np.asarray(GIVEN[name])) for name in ("a", "n")}}
    for name, array in session.run(GIVEN).items():
        np.testing.assert_array_equal(session.run(given)[name], array)
    np.testing.assert_array_equal(session.run({**GIVEN, "a": wrap(A.astype(np.float64))})["a"], A)


def test_they_are_shared() -> None:
    spec = TensorSpec(A.shape)
    assert np.shares_memory(as_stored("x", Tensor(A), spec), A)


def test_tensors_that_are_refused(session: nnef_cl.Session) -> None:
    for tensor, message in (
        (Tensor(A, (2, 0)), "expected memory of the host, got Tensor on CUDA: copy it first"),
        (Tensor(A, (99, 0)), "a device of DLPack's type 99"), (Refusing(A), "not an array: needs its gradient"),
        (Tensor(A.T), r"expected shape \[2, 3\], got \[3, 2\]"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"input 'a': .*{message}"):
            session.run({**GIVEN, "a": tensor})


class Early(Tensor):
    """With DLPack from before 1.0, which cannot say that memory is read-only."""

    def __dlpack__(self) -> Any:  # type: ignore[override]
        return self.array.__dlpack__()


@pytest.mark.parametrize("wrap", (Tensor, Early))
def test_results_are_written_into_tensors(session: nnef_cl.Session, wrap: Callable[[np.ndarray], Tensor]) -> None:
    expected = session.run(GIVEN)
    wide = np.zeros((4, 3), np.float32)
    arrays = {"total": np.ones((2, 1), np.float32), "count": np.ones(2, np.int64), "flipped": np.ones((), bool), "a": wide[::2]}
    out = {name: wrap(array) for name, array in arrays.items()}
    for ask in (session.run, lambda *args, **how: session.submit(*args, **how).result()):
        for array in arrays.values():
            array[...] = 1
        results = ask(GIVEN, out=out)
        assert list(results) == list(expected)
        for name, array in arrays.items():
            assert results[name] is out[name]
            np.testing.assert_array_equal(array, expected[name])
    np.testing.assert_array_equal(wide[1::2], 0)


def test_tensors_that_cannot_be_written_into(session: nnef_cl.Session) -> None:
    array, wide = np.zeros((2, 3), np.float32), np.zeros(9, np.float32)
    frozen = read_only()
    for out, message in (
        ({"a": Tensor(frozen)}, "expected an array that can be written to, got one that is read-only"),
        ({"a": Early(frozen)}, "not an array that can be written to: "),
        ({"a": Tensor(array, (2, 0))}, "expected memory of the host, got Tensor on CUDA"),
        ({"a": Refusing(array)}, "not an array that can be written to: needs its gradient"),
        ({"a": Tensor(array.T)}, r"expected shape \[2, 3\], got \[3, 2\]"),
        ({"a": Tensor(array.astype(np.float64))}, "expected float32 .*, got float64"),
        ({"a": Early(REPEATED)}, "expected memory of its own for every element"),
        ({"w": wide[:3].reshape(1, 3), "a": Tensor(wide[2:8].reshape(2, 3))}, "overlaps out 'w'"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"out 'a': .*{message}"):
            session.run(GIVEN, out=out)
    for one, other in ((array, Tensor(array)), (Tensor(array), array), (Early(array), Tensor(array))):
        with pytest.raises(InputError, match=r"out 'a': .* overlaps input 'a'"):
            session.run({**GIVEN, "a": one}, out={"a": other})
    assert not frozen.any() and not array.any() and not wide.any()


def test_gathered_results_are_written_into_tensors(net: Path, selector: str) -> None:
    xs, arrays = [np.full((2, 16), k, np.float32) for k in range(2)], [np.zeros((2, 8), np.float32) for _ in range(2)]
    with nnef_cl.load(net, device=selector, batching=nnef_cl.Batching(2, 60_000)) as session:
        expected = [outputs["y"] for outputs in session.map({"x": x} for x in xs)]
        targets = [Tensor(array) for array in arrays]
        futures = [session.submit({"x": x}, out={"y": target}) for x, target in zip(xs, targets, strict=True)]
        assert all(future.result()["y"] is target for future, target in zip(futures, targets, strict=True))
        assert session.batches == {"batches": 2, "batched": 4, "alone": 0}
    for array, one in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(array, one)
