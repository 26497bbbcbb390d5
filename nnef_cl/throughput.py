"""Measure many requests: closed loop (so many under way) or open loop (arrivals at a rate); latencies and shares."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnef_cl.bench import DEVICE_BOUND
from nnef_cl.device.manager import Device
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.peers.engine import Submit

ALONE_RUNS = 10
TRANSFER_RUNS = 5
KEPT_UP = 0.95
"""Share of the rate asked for that must be reached for a network to keep up with it."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Traffic:
    """How requests come. rate: per second, however many are under way (open loop); None: one whenever fewer than
    `in_flight` are under way (closed loop). poisson: gaps are exponential and seeded, else all the same."""

    requests: int
    in_flight: int = 1
    rate: float | None = None
    poisson: bool = True
    seed: int = 0

    def arrivals(self) -> list[float]:
        """Seconds from the start at which requests are due, of an open loop."""
        assert self.rate is not None
        random = np.random.default_rng(self.seed)
        gaps = random.exponential(size=self.requests) if self.poisson else np.ones(self.requests)
        times: list[float] = (np.cumsum(gaps) / self.rate).tolist()
        return times


@dataclass(frozen=True)
class Served:
    """Per request, in seconds from the start: when it was due, when it was sent and when it was done.

    due: when it should have been sent; a sender that is held up makes latencies longer, not requests fewer.
    """

    due: tuple[float, ...]
    sent: tuple[float, ...]
    done: tuple[float, ...]

    @property
    def latencies(self) -> list[float]:
        return [done - due for due, done in zip(self.due, self.done, strict=True)]

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent))

    @property
    def wall(self) -> float:
        """From the first that is due to the last that is done."""
        return max(self.done) - min(self.due)

    @property
    def per_second(self) -> float:
        return len(self.done) / self.wall

    @property
    def offered(self) -> float:
        """Requests per second as they were due."""
        span = max(self.due) - min(self.due)
        return (len(self.due) - 1) / span if span > 0 else float("inf")

    @property
    def under_way(self) -> tuple[float, int]:
        """Requests that were due and not done: on average over time, and at most."""
        changes = sorted([(time, 1) for time in self.due] + [(time, -1) for time in self.done])
        return sum(self.latencies) / self.wall, int(np.cumsum([change for _, change in changes]).max())


def drive(submit: Submit, traffic: Traffic, clock: Clock = time.perf_counter) -> Served:
    """Sends the requests and waits for all of them; what they give is dropped. Raises the first error."""
    log = _Log(traffic.requests, clock)
    due: list[float] = []
    sent: list[float] = []
    start = clock()
    for index, at in enumerate(traffic.arrivals() if traffic.rate is not None else [None] * traffic.requests):
        if at is None:
            log.wait(traffic.in_flight)
        elif (left := start + at - clock()) > 0:
            time.sleep(left)
        sent.append(clock() - start)
        due.append(sent[-1] if at is None else at)
        log.add()
        submit().add_done_callback(log.noting(index))
    log.wait(1)
    return Served(tuple(due), tuple(sent), tuple(time - start for time in log.done))


@dataclass
class _Log:
    """When requests were done, written by the threads that did them; nothing keeps their results."""

    count: int
    clock: Clock
    open: int = 0
    errors: list[BaseException] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.done = [0.0] * self.count

    def add(self) -> None:
        with self.changed:
            self.open += 1

    def wait(self, below: int) -> None:
        """Until fewer than that many are open. Raises what went wrong with one."""
        with self.changed:
            self.changed.wait_for(lambda: self.open < below or self.errors)
            if self.errors:
                raise self.errors[0]

    def noting(self, index: int) -> Callable[[Future[Any]], None]:
        def note(future: Future[Any]) -> None:
            self.done[index] = self.clock()
            error = future.exception()
            with self.changed:
                self.open -= 1
                if error is not None:
                    self.errors.append(error)
                self.changed.notify()

        return note


@dataclass(frozen=True)
class Shares:
    """What a request takes of which part, in seconds, each measured by itself. alone: a whole request where no other is
    under way. device: its kernels; None where the device does not tell. transfer: copies of inputs and outputs."""

    alone: float
    device: float | None
    transfer: float

    def of(self, served: Served) -> dict[str, float]:
        """Part -> its share of the time that passed: busy seconds over wall seconds. Streams may overlap, so that the
        device has more than 1; host_or_idle: where neither kernels nor copies have anything to do."""
        if self.device is None:
            return {}
        device, transfer = self.device * served.per_second, self.transfer * served.per_second
        return {"device": device, "transfer": transfer, "host_or_idle": max(0.0, 1 - device - transfer)}

    def verdict(self, served: Served, traffic: Traffic) -> str:
        """What bounds the throughput: 'device bound', 'transfer bound' or 'host bound'; of an open loop that is kept
        up with, 'waits for requests'; '' where it is not known."""
        if traffic.rate is not None and served.per_second >= KEPT_UP * served.offered:
            return "waits for requests"
        shares = self.of(served)
        if not shares:
            return ""
        if shares["device"] >= DEVICE_BOUND:
            return "device bound"
        return "transfer bound" if shares["transfer"] > shares["host_or_idle"] else "host bound"


def alone_seconds(submit: Submit) -> float:
    """Median of single requests, after one that is not counted."""
    drive(submit, Traffic(1))
    return statistics.median(drive(submit, Traffic(ALONE_RUNS)).latencies)


def transfer_seconds(device: Device, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec]) -> float:
    """Copying a request's inputs to the device and its outputs back, median."""
    sent, got = ([np.zeros(spec.bytes, np.uint8) for spec in specs.values()] for specs in (inputs, outputs))
    buffers = [device.buffer(array.nbytes) for array in (*sent, *got)]
    try:
        return statistics.median(_copied(device, sent, got, buffers) for _ in range(TRANSFER_RUNS))
    finally:
        for buffer in buffers:
            device.release(buffer)


def _copied(device: Device, sent: Sequence[np.ndarray], got: Sequence[np.ndarray], buffers: Sequence[Any]) -> float:
    start = time.perf_counter()
    for buffer, array in zip(buffers, sent, strict=False):
        device.queue.write(buffer, array)
    for buffer, array in zip(buffers[len(sent) :], got, strict=True):
        device.queue.read(buffer, array)
    return time.perf_counter() - start


def requests_for(seconds: float, submit: Submit, in_flight: int, least: int) -> int:
    """How many requests take about that long in a closed loop, at least `least`; it warms up what it measures."""
    drive(submit, Traffic(2 * in_flight, in_flight))
    rate = drive(submit, Traffic(4 * in_flight, in_flight)).per_second
    return max(least, round(rate * seconds))
