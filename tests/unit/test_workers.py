"""Requests by threads, and in the caller's own where that is quick: order, bounds, errors; no session takes part."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from nnef_cl.errors import InputError
from nnef_cl.workers import HAND_OVER, Workers, in_order

QUICK, SLOW = HAND_OVER / 2, HAND_OVER * 4


class Caller:
    """Draws batches and takes results; its clock moves only while it draws one. bad: a batch that is an error.
    log: who did which batch. drawn, taken: how many."""

    def __init__(self, paces: list[float], idle: bool = True, bad: int | None = None) -> None:
        self.paces, self.is_idle, self.bad = paces, idle, bad
        self.now = 0.0
        self.log: list[str] = []
        self.drawn = self.taken = 0
        self.results: list[int] = []

    def draw(self) -> Iterator[int]:
        for number, pace in enumerate(self.paces):
            self.now += pace
            self.drawn += 1
            assert self.drawn <= self.taken + 2
            yield number

    def run(self, number: int) -> Any:
        self.log.append(f"own {number}")
        if number == self.bad:
            raise InputError("unlucky")
        return number

    def submit(self, number: int) -> Future[Any]:
        future: Future[Any] = Future()
        self.log.append(f"other {number}")
        if number == self.bad:
            future.set_exception(InputError("unlucky"))
        else:
            threading.Timer(0.001, future.set_result, [number]).start()
        return future

    def take_all(self, one_stream: bool = True) -> None:
        run = self.run if one_stream else None
        for result in in_order(self.submit, self.draw(), 2, run, lambda: self.is_idle, lambda: self.now):
            self.results.append(result)  # type: ignore[arg-type]
            self.taken += 1


def test_a_quick_caller_does_all_itself() -> None:
    caller = Caller([QUICK] * 10)
    caller.take_all()
    assert caller.log == [f"own {k}" for k in range(10)] and caller.results == list(range(10))


@pytest.mark.parametrize(("pace", "idle", "one_stream"), [(SLOW, True, True), (QUICK, False, True), (QUICK, True, False)])
def test_others_are_handed_over(pace: float, idle: bool, one_stream: bool) -> None:
    caller = Caller([pace] * 10, idle)
    caller.take_all(one_stream)
    assert caller.log == [f"other {k}" for k in range(10)] and caller.results == list(range(10))


def test_a_pause_now_and_then_counts_long() -> None:
    caller = Caller(([SLOW] + [QUICK] * 9) * 3)
    caller.take_all()
    assert caller.results == list(range(30)) and not [one for one in caller.log if one.startswith("own")]
    caller = Caller([QUICK, SLOW, *[QUICK] * 28])
    caller.take_all()
    own = [int(one[4:]) for one in caller.log if one.startswith("own")]
    assert caller.results == list(range(30)) and own[0] == 0 and 10 < own[1] < 20 and own[1:] == list(range(own[1], 30))


@pytest.mark.parametrize("pace", [QUICK, SLOW])
def test_an_error_is_in_its_place(pace: float) -> None:
    caller = Caller([pace] * 30, bad=13)
    with pytest.raises(InputError, match="unlucky"):
        caller.take_all()
    assert caller.results == list(range(13))


def test_idle_where_no_request_waits_or_runs() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def run(inputs: Any, stream: int | None, out: Any) -> dict[str, np.ndarray]:
        begun.set()
        assert go_on.wait(20)
        return {}

    workers = Workers(run, 2)
    assert workers.idle()
    first = workers.submit({}, 0)
    assert begun.wait(20) and not workers.idle()
    waiting = workers.submit({}, 0)
    assert waiting.cancel() and not workers.idle()
    go_on.set()
    assert first.result(20) == {}
    workers.end()
    assert workers.idle()
