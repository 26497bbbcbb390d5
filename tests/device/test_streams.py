"""Requests in flight: futures, order, back-pressure, errors, state per stream, the end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nnef_cl.codegen.target import Target

import nnef_cl
from nnef_cl.device import open_device
from nnef_cl.errors import DeviceError, InputError
from nnef_cl.replica import AUTO_STREAMS, MOST_PARTS, stream_count


def wait_for_workers() -> None:
    """Until the threads of sessions that were dropped have ended."""
    while any(thread.name.startswith("nnef-cl stream") for thread in threading.enumerate()):
        time.sleep(0.01)


def resident_bytes() -> int:
    """Of this process; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def inputs(count: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    return [{"x": random.standard_normal((2, 16)).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize("streams", (1, 3))
def test_every_way_to_ask_gives_the_same(net: Path, selector: str, streams: int) -> None:
    xs = inputs(10)
    with nnef_cl.load(net, device=selector) as session:
        expected = [session.run(x)["y"] for x in xs]
    with nnef_cl.load(net, device=selector, streams=streams) as session:
        assert session.streams == streams

        async def gathered() -> list[dict[str, np.ndarray]]:
            return await asyncio.gather(*map(session.run_async, xs))

        futures = [session.submit(x) for x in xs]
        ways = [map(session.run, xs), [f.result() for f in futures], session.map(xs), asyncio.run(gathered())]
        for outputs in ways:
            np.testing.assert_array_equal([one["y"] for one in outputs], expected)


def test_map_draws_no_more_than_it_needs(net: Path, selector: str) -> None:
    drawn = 0

    def endless() -> Iterator[dict[str, np.ndarray]]:
        nonlocal drawn
        for x in inputs(1) * 10**6:
            drawn += 1
            yield x

    with nnef_cl.load(net, device=selector, streams=2) as session:
        results = session.map(endless())
        assert drawn == 0
        for taken in range(1, 50):
            next(results)
            assert drawn <= taken + 4
        results.close()
        session.run(inputs(1)[0])


@pytest.mark.parametrize("seconds", (2, pytest.param(60, marks=pytest.mark.slow)))
def test_threads_submit_for_seconds(net: Path, selector: str, seconds: float) -> None:
    """Eight threads, each with every way to ask; every result is checked."""
    xs = inputs(8)
    wrong: list[str] = []
    with nnef_cl.load(net, device=selector, streams=3) as session:
        expected = [session.run(x)["y"] for x in xs]
        end = time.monotonic() + seconds

        def work(k: int) -> None:
            order = [k, *range(8)]
            while time.monotonic() < end:
                futures = [session.submit(xs[i]) for i in order]
                got = [session.run(xs[k]), *(f.result() for f in futures), *session.map(xs[i] for i in order)]
                for i, outputs in zip([k, *order, *order], got, strict=True):
                    if not np.array_equal(outputs["y"], expected[i]):
                        wrong.append(f"thread {k}, input {i}")

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_an_error_harms_no_other_request(lookup: Path, selector: str) -> None:
    good, bad = {"i": np.array([0, 2, 4])}, {"i": np.array([0, 5, 1])}
    with nnef_cl.load(lookup, device=selector, streams=2) as session:
        asked = [good, bad, {"i": np.zeros(2, np.int64)}, {"wrong": 1}, good] * 10
        futures = [session.submit(one) for one in asked]
        for one, future in zip(asked, futures, strict=True):
            if one is good:
                np.testing.assert_array_equal(future.result()["y"], [[0, 1], [4, 5], [8, 9]])
            else:
                with pytest.raises(InputError):
                    future.result()
        results = session.map([good, bad, good])
        next(results)
        with pytest.raises(InputError):
            next(results)


def test_the_end_waits_for_requests(net: Path, selector: str) -> None:
    xs = inputs(200)
    session = nnef_cl.load(net, device=selector, streams=2)
    futures = [session.submit(x) for x in xs]
    session.close()
    assert all(future.done() for future in futures)
    assert [future.result()["y"].shape for future in futures] == [(2, 8)] * 200
    for ask in (session.submit, session.run, lambda x: next(session.map([x]))):
        with pytest.raises(DeviceError, match="closed"):
            ask(xs[0])


def test_an_exception_cancels_what_has_not_begun(net: Path, selector: str) -> None:
    with pytest.raises(KeyboardInterrupt), nnef_cl.load(net, device=selector, streams=2) as session:
        futures = [session.submit(x) for x in inputs(2000)]
        raise KeyboardInterrupt
    assert all(future.done() for future in futures)
    assert futures[-1].cancelled()
    with pytest.raises(CancelledError):
        futures[-1].result()


def test_a_dropped_session_finishes_its_requests(net: Path, selector: str) -> None:
    futures = [nnef_cl.load(net, device=selector, streams=2).submit(x) for x in inputs(3)]
    assert [future.result(60)["y"].shape for future in futures] == [(2, 8)] * 3


def test_nothing_grows(net: Path, selector: str) -> None:
    wait_for_workers()
    device = open_device(selector)
    before = device.allocated
    session = nnef_cl.load(net, device=selector, streams=3)
    loaded = device.allocated
    plan = session.plan
    assert loaded == before + plan.weight_bytes + 3 * plan.stream_bytes
    for _ in session.map(inputs(8) * 25):
        pass
    assert device.allocated == loaded
    resident = resident_bytes()
    for _ in session.map(inputs(8) * 1250):  # 10,000 requests
        pass
    assert device.allocated == loaded
    assert resident_bytes() < resident + (2 << 20)
    session.close()
    assert device.allocated == before
    session = nnef_cl.load(net, device=selector, streams=2)
    session.submit(inputs(1)[0]).result()
    del session
    wait_for_workers()
    assert device.allocated == before


def test_each_stream_has_its_variables(counter: Path, selector: str) -> None:
    one = {"x": np.ones((1, 4), np.float32)}
    with nnef_cl.load(counter, device=selector, streams=2) as session:
        for ask in (session.run, session.submit, lambda x: session.submit(x).result()):
            with pytest.raises(InputError, match="stream=0 to 1"):
                future = ask(one)
                future.result()
        for k, outputs in enumerate(session.map([one] * 5, stream=1)):
            assert outputs["y"][0, 0] == k + 1
        assert session.run(one, stream=0)["y"][0, 0] == 1
        assert [state["n"][0, 0] for state in session.states] == [1, 5]
        assert session.state["n"][0, 0] == 1
        session.states[1]["n"] = np.full((1, 4), 9, np.float32)
        assert session.submit(one, stream=1).result()["y"][0, 0] == 10
        session.reset()
        assert [state["n"][0, 0] for state in session.states] == [0, 0]
    with nnef_cl.load(counter, device=selector, streams="auto") as session:
        assert session.streams == 1
        before = [session.submit(one) for _ in range(20)]
        seen, between = [], []
        for outputs in session.map([one] * 3):  # behind what was submitted before it, and in turn with what comes then
            seen.append(int(outputs["y"][0, 0]))
            between.append(session.submit(one))
        assert [future.result()["y"][0, 0] for future in before] == list(range(1, 21))
        assert seen[0] == 21 and seen == sorted(seen)
        assert sorted([*seen, *(int(future.result()["y"][0, 0]) for future in between)]) == list(range(21, 27))


def test_auto_is_one_stream_for_short_requests_of_a_cpu(
    net: Path, selector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nnef_cl.load(net, device=selector, streams="auto") as session:
        target = open_device(selector).target
        assert session.streams == (1 if target.forward_progress else AUTO_STREAMS)
        monkeypatch.setattr("nnef_cl.replica.count_flops", lambda *_: 10**10)
        parts = target.parts(MOST_PARTS)
        assert stream_count("auto", session.source_graph, session.ops, target) == (parts if parts > 1 else AUTO_STREAMS)


def test_streams_of_a_cpu_have_units_of_their_own(net: Path, selector: str) -> None:
    device = open_device(selector)
    units = device.target.compute_units
    xs = inputs(6)
    with nnef_cl.load(net, device=selector) as session:
        expected = [session.run(x)["y"] for x in xs]
    for streams in (2, 3, units + 1):
        with nnef_cl.load(net, device=selector, streams=streams) as session:
            assert session.plan.target.compute_units == units // device.target.parts(streams)
            np.testing.assert_allclose([one["y"] for one in session.map(xs)], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("units", "wanted", "parts"), [(2, 2, 2), (2, 3, 2), (6, 4, 3), (4, 3, 2), (7, 4, 1), (1, 4, 1)])
def test_parts_leave_no_unit_idle(units: int, wanted: int, parts: int) -> None:
    target = replace(Target.generic(), compute_units=units, divisible=True)
    assert (target.parts(wanted), target.part(wanted).compute_units) == (parts, units // parts)
    assert replace(target, divisible=False).parts(wanted) == 1


def test_a_device_is_divided_once(selector: str) -> None:
    device = open_device(selector)
    divided = device.divided(2)
    assert divided is device.divided(2) and (divided is not device) == (device.target.parts(2) > 1)
    assert divided.divided(2) is divided and device.divided(1) is device
    profiling = open_device(selector, profiling=True)
    assert profiling.divided(2) is profiling


@pytest.mark.parametrize("streams", (0, -1, True, 1.5, "many", None, 10**6))
def test_a_wrong_number_of_streams(net: Path, selector: str, streams: object) -> None:
    with pytest.raises(InputError, match="streams: expected"):
        nnef_cl.load(net, device=selector, streams=streams)  # type: ignore[arg-type]


def test_a_wrong_stream(net: Path, selector: str) -> None:
    with nnef_cl.load(net, device=selector, streams=2) as session:
        for stream in (2, -1, "0"):
            with pytest.raises(InputError, match="stream: expected 0 to 1"):
                session.run(inputs(1)[0], stream=stream)  # type: ignore[arg-type]
