"""Batching: single requests gathered into batches give what they give alone, and harm one another in nothing."""

from __future__ import annotations

import asyncio
import gc
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl.array as cla
import pytest

import nnef_cl
from nnef_cl import Batching, Image, OutOfMemoryError, importer
from nnef_cl.device import open_device
from nnef_cl.errors import DeviceError, InputError
from nnef_cl.gathering import Gatherer, joined, parts
from nnef_cl.workers import Arrays, Outputs
from tests.device.small import written
from tests.device.test_groups import CPUS, GROUP, failing
from tests.device.test_streams import inputs, wait_for_workers

SIZE = 4
LONG = 60_000.0
"""Milliseconds that no test waits: only full batches run."""
PIXELS = "x = external<scalar>(shape = [1, 3, 4, 4]); y = mul(x, 2.0); z = mean_reduce(y, axes = [2, 3]);"


@pytest.fixture(scope="module")
def expected(net: Path, selector: str) -> list[np.ndarray]:
    with nnef_cl.load(net, device=selector) as session:
        return [session.run(x)["y"] for x in inputs(20)]


def loaded(model: Path, selector: str, delay: float = 1.0, **options: Any) -> nnef_cl.Session:
    return nnef_cl.load(model, device=selector, batching=Batching(SIZE, delay), **options)


def text(body: str, results: str = "y") -> str:
    extensions = "extension KHR_enable_operator_expressions; extension KHR_enable_fragment_definitions;"
    return f"version 1.0; {extensions} graph g( x ) -> ( {results} ) {{ {body} }}"


# Results ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("streams", (1, 3))
def test_every_way_to_ask_gives_what_single_runs_give(
    net: Path, selector: str, expected: list[np.ndarray], streams: int
) -> None:
    xs = inputs(20)
    with loaded(net, selector, LONG, streams=streams) as session, ThreadPoolExecutor(SIZE) as threads:

        async def gathered() -> list[dict[str, np.ndarray]]:
            return await asyncio.gather(*map(session.run_async, xs))

        futures = [session.submit(x) for x in xs]
        ways = [[f.result() for f in futures], session.map(xs), asyncio.run(gathered()), threads.map(session.run, xs)]
        for way in ways:
            for outputs, one in zip(way, expected, strict=True):
                np.testing.assert_allclose(outputs["y"], one, rtol=1e-5, atol=1e-6)
        assert session.batches == {"batches": 80 // SIZE, "batched": 80, "alone": 0}
        assert sum(session.served.values()) == 80


@pytest.mark.parametrize("count", range(1, 2 * SIZE + 1))
def test_full_and_half_full_batches_run_whole(
    net: Path, selector: str, expected: list[np.ndarray], count: int
) -> None:
    """What is left below half of a batch runs one by one."""
    session = loaded(net, selector, LONG)
    futures = [session.submit(x) for x in inputs(count)]
    session.close()  # which waits for no delay
    for future, one in zip(futures, expected, strict=False):
        np.testing.assert_allclose(future.result()["y"], one, rtol=1e-5, atol=1e-6)
    alone = count % SIZE if count % SIZE < SIZE // 2 else 0
    assert session.batches["alone"] == alone and session.batches["batched"] == count - alone
    assert session.batches["batches"] == -(-(count - alone) // SIZE)


def test_the_delay_ends(net: Path, selector: str, expected: list[np.ndarray]) -> None:
    with loaded(net, selector, 20) as session:
        futures = [session.submit(x) for x in inputs(SIZE - 1)]
        for future, one in zip(futures, expected, strict=False):
            np.testing.assert_allclose(future.result(60)["y"], one, rtol=1e-5, atol=1e-6)
        assert session.batches["batched"] + session.batches["alone"] == SIZE - 1
    with loaded(net, selector, 0) as session:
        np.testing.assert_array_equal(session.run(inputs(1)[0])["y"], expected[0])
        assert session.batches == {"batches": 0, "batched": 0, "alone": 1}


def test_results_keep_no_memory_of_others(net: Path, selector: str) -> None:
    with loaded(net, selector, LONG) as session:
        for outputs in session.map(inputs(SIZE)):
            assert outputs["y"].base is None and outputs["y"].flags.c_contiguous and outputs["y"].flags.writeable
        assert session.batches["batches"] == 1


def test_targets_of_the_caller(net: Path, selector: str, expected: list[np.ndarray]) -> None:
    xs, targets = inputs(SIZE), [np.full_like(one, np.nan) for one in expected[:SIZE]]
    with loaded(net, selector, LONG) as session:
        futures = [session.submit(x, out={"y": target}) for x, target in zip(xs, targets, strict=True)]
        assert all(future.result()["y"] is target for future, target in zip(futures, targets, strict=True))
        for target, one in zip(targets, expected, strict=False):
            np.testing.assert_allclose(target, one, rtol=1e-5, atol=1e-6)
        assert session.batches == {"batches": 1, "batched": SIZE, "alone": 0}


def test_memory_of_the_device_runs_alone(net: Path, selector: str, expected: list[np.ndarray]) -> None:
    xs = inputs(SIZE)
    with loaded(net, selector, LONG) as session:
        there = cla.to_device(session.queue, xs[0]["x"])
        futures = [session.submit(x) for x in ({"x": there}, *xs[1:])]
        for future, one in zip(futures, expected, strict=False):
            np.testing.assert_allclose(future.result()["y"], one, rtol=1e-5, atol=1e-6)
        assert session.batches == {"batches": 1, "batched": SIZE - 1, "alone": 1}


def test_a_stream_that_is_named_gets_the_request_alone(net: Path, selector: str, expected: list[np.ndarray]) -> None:
    x = inputs(1)[0]
    with loaded(net, selector, LONG, streams=2) as session:
        waiting = session.submit(x)
        got = [session.run(x, stream=1), session.submit(x, stream=0).result(60), *session.map([x] * 3, stream=1)]
        assert not waiting.done() and session.batches == {"batches": 0, "batched": 0, "alone": 5}
        for outputs in got:
            np.testing.assert_array_equal(outputs["y"], expected[0])


def test_a_callback_may_run(net: Path, selector: str) -> None:
    """The only thread that could do it is the one that asks."""
    x, got = inputs(1)[0], Future[Any]()
    with loaded(net, selector, 0) as session:
        session.submit(x).add_done_callback(lambda _: got.set_result(session.run(x)))
        assert got.result(60)["y"].shape == (2, 8)


def test_kept_tensors_and_memory(net: Path, selector: str) -> None:
    wait_for_workers()
    gc.collect()
    device = open_device(selector)
    before = device.allocated
    with nnef_cl.load(net, device=selector, keep="all") as plain:
        single = plain.memory
        one = plain.run(inputs(1)[0])
        assert plain.batches == {}
    with loaded(net, selector, LONG, keep="all", streams=2) as session:
        assert session.memory["weights"] >= single["weights"] and session.memory["slots"] > 2 * single["slots"]
        larger = session._pool.larger[0].plan
        streams = 2 * (session.plan.stream_bytes + larger.stream_bytes)
        assert device.allocated == before + session.memory["weights"] + streams
        for outputs in session.map(inputs(1) * SIZE):
            assert set(outputs) == set(one)
            for name, array in outputs.items():
                np.testing.assert_allclose(array, one[name], rtol=1e-5, atol=1e-6)
    assert device.allocated == before


def test_images(tmp_path: Path, selector: str) -> None:
    model = written(tmp_path / "model", text(PIXELS, "y, z"))
    image = {"x": Image(mean=(0.1, 0.2, 0.3), std=0.5, size=(6, 5))}
    xs = [{"x": np.random.default_rng(k).integers(0, 256, (1, 6, 5, 3), np.uint8)} for k in range(2 * SIZE)]
    with nnef_cl.load(model, device=selector, inputs=image) as session:
        single = [session.run(x) for x in xs]
    with loaded(model, selector, LONG, inputs=image) as session:
        for outputs, one in zip(session.map(xs), single, strict=True):
            for name in ("y", "z"):
                np.testing.assert_allclose(outputs[name], one[name], rtol=1e-5, atol=1e-6)
        assert session.batches == {"batches": 2, "batched": 2 * SIZE, "alone": 0}


def test_threads(net: Path, selector: str, expected: list[np.ndarray]) -> None:
    xs, wrong = inputs(20), list[str]()
    with loaded(net, selector, 0.5, streams=2) as session:

        def work(k: int) -> None:
            for turn in range(5):
                futures = [session.submit(x) for x in xs]
                got = [session.run(xs[k]), *(f.result() for f in futures), *session.map(xs)]
                for i, outputs in zip([k, *range(20), *range(20)], got, strict=True):
                    if not np.allclose(outputs["y"], expected[i], rtol=1e-5, atol=1e-6):
                        wrong.append(f"thread {k}, turn {turn}, input {i}")

        threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert session.batches["batched"] + session.batches["alone"] == 6 * 5 * 41


def test_map_keeps_batches_full_and_draws_no_more(net: Path, selector: str) -> None:
    drawn = 0

    def endless() -> Iterator[dict[str, np.ndarray]]:
        nonlocal drawn
        for x in inputs(1) * 10**6:
            drawn += 1
            yield x

    with loaded(net, selector, LONG, streams=2) as session:
        results = session.map(endless())
        for taken in range(1, 50):
            next(results)
            assert drawn <= taken + 2 * 2 * SIZE
        assert session.batches["alone"] == 0 and session.batches["batched"] == SIZE * session.batches["batches"]
        results.close()


def test_weights_are_there_once_where_they_are_packed_alike(tmp_path: Path, selector: str) -> None:
    body = (
        "x = external(shape = [1, 4]); w = variable(shape = [6, 4], label = 'w'); b = variable(shape = [1, 6], label = 'b');"
        " y = tanh(linear(x, w, b)) * b;"
    )
    random = np.random.default_rng(0)
    arrays = {"w": random.standard_normal((6, 4)).astype(np.float32), "b": random.standard_normal((1, 6)).astype(np.float32)}
    model = written(tmp_path / "model", text(body), **arrays)
    xs = [{"x": random.standard_normal((1, 4)).astype(np.float32)} for _ in range(SIZE)]
    with loaded(model, selector, LONG) as session:
        lender, borrower = session._pool.replicas[0].executable, session._pool.larger[0].executable
        shared = set(map(id, lender.weights.values())) & set(map(id, borrower.weights.values()))
        assert shared and borrower.weight_bytes < borrower.plan.weight_bytes
        assert len(borrower.weights) == len(borrower.plan.weights)
        for x, outputs in zip(xs, session.map(xs), strict=True):
            wanted = np.tanh(x["x"] @ arrays["w"].T + arrays["b"]) * arrays["b"]
            np.testing.assert_allclose(outputs["y"], wanted, rtol=1e-4, atol=1e-5)
        assert session.batches["batches"] == 1


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_files_are_read_once(net: Path, selector: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "archive":
        with tarfile.open(tmp_path / "net.tgz", "w:gz") as archive:
            archive.add(net, ".")
        net = tmp_path / "net.tgz"
    opened, read = list[Any](), list[Any]()
    for module, name, seen in ((nnef_cl.session, "open_container", opened), (importer, "read_tensor_file", read)):
        monkeypatch.setattr(module, name, noted(getattr(module, name), seen))
    loaded(net, selector, LONG).close()
    assert opened == [net] and len(read) == 1


def noted(function: Callable[..., Any], seen: list[Any]) -> Callable[..., Any]:
    """The function, which adds its first argument to the list."""

    def note(first: Any, *others: Any) -> Any:
        seen.append(first)
        return function(first, *others)

    return note


def test_memory_is_missed_before_anything_is_there(net: Path, selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = open_device(selector)
    with nnef_cl.load(net, device=selector) as session:
        single = sum(session.memory.values())
    wait_for_workers()
    gc.collect()
    before = device.allocated
    target = replace(device.target, global_memory=before + single + 4096)
    monkeypatch.setattr(device, "target", target)
    monkeypatch.setattr(device, "build", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(OutOfMemoryError, match="of memory needed"):
        loaded(net, selector, LONG, streams=64)
    assert device.allocated == before


# Errors ----------------------------------------------------------------------------------------------------
def test_only_the_guilty_one_gets_the_error(lookup: Path, selector: str) -> None:
    good, bad = {"i": np.array([0, 2, 4])}, {"i": np.array([0, 5, 1])}
    with loaded(lookup, selector, LONG) as session:
        futures = [session.submit(one) for one in (good, bad, good, good)]
        for k in (0, 2, 3):
            np.testing.assert_array_equal(futures[k].result()["y"], [[0, 1], [4, 5], [8, 9]])
        with pytest.raises(InputError, match="gather"):
            futures[1].result()
        assert session.batches == {"batches": 0, "batched": 0, "alone": 4}
        for wrong in ({"i": np.zeros(2, np.int64)}, {"wrong": 1}, 3):
            with pytest.raises(InputError):
                session.submit(wrong).result()  # type: ignore[arg-type]
        assert len(list(session.map([good] * SIZE))) == SIZE and session.batches["batches"] == 1


def test_everyone_gets_a_devices_error(net: Path, selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with loaded(net, selector, LONG) as session:
        stream = session._pool.larger[0].streams[0]
        with monkeypatch.context() as patched:
            patched.setattr(stream, "enqueue", failing(stream.enqueue, 0))
            for future in [session.submit(x) for x in inputs(SIZE)]:
                with pytest.raises(DeviceError, match="gone"):
                    future.result()
        assert len(list(session.map(inputs(SIZE)))) == SIZE


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPU runtimes")
def test_several_devices(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xs = inputs(8)
    with nnef_cl.load(net, device=CPUS[0]) as session:
        single = [session.run(x)["y"] for x in xs]
    with loaded(net, GROUP, LONG) as session:
        for _ in range(2):
            for k, outputs in enumerate(session.map(xs * 25)):
                np.testing.assert_allclose(outputs["y"], single[k % 8], rtol=1e-5, atol=1e-6)
            stream = session._pool.larger[0].streams[0]
            monkeypatch.setattr(stream, "enqueue", failing(stream.enqueue, 0))
        before = session.served[CPUS[0]]
        assert len(list(session.map(xs * 5))) == 40 and sum(session.served.values()) == 440
        assert min(session.served.values()) > 0 and session.served[CPUS[0]] == before


# The end ---------------------------------------------------------------------------------------------------
def test_the_end(net: Path, selector: str) -> None:
    session = loaded(net, selector, LONG)
    futures = [session.submit(x) for x in inputs(SIZE - 1)]
    session.close()
    assert [future.result(0)["y"].shape for future in futures] == [(2, 8)] * (SIZE - 1)
    for ask in (session.submit, session.run, lambda x: next(session.map([x]))):
        with pytest.raises(DeviceError, match="closed"):
            ask(inputs(1)[0])


def test_the_end_by_cancelling(net: Path, selector: str) -> None:
    session = loaded(net, selector, LONG)
    futures = [session.submit(x) for x in inputs(SIZE - 1)]
    failed = list[BaseException]()

    def run() -> None:
        try:
            session.submit(inputs(1)[0], stream=0).result()
            session.run(inputs(1)[0])
        except Exception as error:
            failed.append(error)

    assert futures[0].cancel()
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)
    session = loaded(net, selector, LONG)
    thread = threading.Thread(target=run)
    thread.start()
    while not session._workers._jobs:  # type: ignore[truthy-bool]
        time.sleep(0.001)
    session.close(cancel=True)
    thread.join(60)
    assert [str(error) for error in failed] == ["the session is closed"]


def test_a_dropped_session_finishes_its_requests(net: Path, selector: str) -> None:
    wait_for_workers()
    gc.collect()
    device = open_device(selector)
    before = device.allocated
    session = loaded(net, selector, LONG)
    futures = [session.submit(x) for x in inputs(SIZE + 1)]
    del session
    assert [future.result(60)["y"].shape for future in futures] == [(2, 8)] * (SIZE + 1)
    wait_for_workers()
    assert device.allocated == before


# What cannot be gathered -----------------------------------------------------------------------------------
REFUSED = {
    "mixed rows": ("x = external(shape = [1, 4]); y = softmax(x, axes = [0]);", "softmax 'y' mixes rows"),
    "no rows": ("x = external(shape = [1, 4]); c = variable(shape = [1, 4], label = 'c'); y = copy(c);", "'y' has no rows"),
    "a scalar": ("x = external(shape = []); y = x + 1.0;", "input 'x' is a scalar"),
    "a fixed batch": (
        "x = external(shape = [1, 4, 2]); z = reshape(x, shape = [1, 8]); y = z + 1.0;", "cannot have 4 times the rows: .*reshape"
    ),
    "rows in the shape of one": (
        "x = external(shape = [1, 4, 2]); y = reshape(x, shape = [1, -1]);", r"expected shape \[4, 8\], got \[1, 32\]"
    ),
    "the batch as a number": (
        "x = external(shape = [2, 4]); y = x * scalar(shape_of(x)[0]);", "with more rows the model has other operations or numbers"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_models_have_a_reason(tmp_path: Path, name: str) -> None:
    body, reason = REFUSED[name]
    model = written(tmp_path / "model", text(body), c=np.ones((1, 4), np.float32))
    with pytest.raises(InputError, match=f"^batching: .*{reason}"):
        nnef_cl.load(model, batching=Batching(SIZE))


def test_updates_are_refused(counter: Path) -> None:
    with pytest.raises(InputError, match=r"batching: .*updates variables"):
        nnef_cl.load(counter, batching=Batching())


def test_kept_tensors_without_rows_are_refused(net: Path, selector: str) -> None:
    with pytest.raises(InputError, match=r"batching: 'k'.* has no rows"):
        loaded(net, selector, keep="k")


@pytest.mark.parametrize("size", (1, 0, -1, 1025, True, 2.0, "8", None))
def test_wrong_sizes(size: Any) -> None:
    with pytest.raises(InputError, match="max_size: expected 2 to 1024 requests, got"):
        Batching(max_size=size)


@pytest.mark.parametrize("delay", (-1, float("nan"), float("inf"), 60_001, True, "2", None))
def test_wrong_delays(delay: Any) -> None:
    with pytest.raises(InputError, match="max_delay_ms: expected 0 to 60000 milliseconds, got"):
        Batching(max_delay_ms=delay)


@pytest.mark.parametrize("batching", (8, True, "auto", {"max_size": 8}))
def test_a_wrong_batching(net: Path, batching: Any) -> None:
    with pytest.raises(InputError, match="batching: expected Batching"):
        nnef_cl.load(net, batching=batching)


# Without a device ------------------------------------------------------------------------------------------
def test_missing_requests_are_the_last_one_again() -> None:
    requests = [{"x": np.full((2, 3), k, np.int64), "n": np.array([k])} for k in range(3)]
    whole = joined(requests, 4)
    np.testing.assert_array_equal(whole["x"][:, 0], [0, 0, 1, 1, 2, 2, 2, 2])
    np.testing.assert_array_equal(whole["n"], [0, 1, 2, 2])
    for one, part in zip(requests, parts(whole, 3, 4), strict=True):
        assert all(np.array_equal(one[name], part[name]) for name in one)


def test_what_comes_while_the_streams_are_busy_is_gathered() -> None:
    begun, go = threading.Event(), threading.Event()

    def run(arrays: Arrays, stream: int | None, out: Arrays) -> Outputs:
        begun.set()
        assert go.wait(60)
        return dict(arrays)

    gatherer = Gatherer(run, lambda whole, requests: dict(whole), 1, Batching(SIZE, 0))
    futures = [gatherer.submit({"x": np.array([0])})]
    assert begun.wait(60)
    futures += [gatherer.submit({"x": np.array([k])}) for k in range(1, 4)]
    assert futures[1].cancel()
    go.set()
    gatherer.end()
    assert [int(futures[k].result()["x"][0]) for k in (0, 2, 3)] == [0, 2, 3]
    assert gatherer.batches == {"batches": 1, "batched": 2, "alone": 1}


def test_as_many_batches_at_one_time_as_streams() -> None:
    meeting = threading.Barrier(2, timeout=60)

    def run_batch(whole: Arrays, requests: int) -> Outputs:
        meeting.wait()  # nobody goes on before the other batch is under way
        return dict(whole)

    gatherer = Gatherer(lambda arrays, stream, out: dict(arrays), run_batch, 2, Batching(2, LONG))
    futures = [gatherer.submit({"x": np.array([k])}) for k in range(4)]
    assert [int(future.result(60)["x"][0]) for future in futures] == [0, 1, 2, 3]
    gatherer.end()
    assert gatherer.batches == {"batches": 2, "batched": 4, "alone": 0}
