"""Measure a session: first inference, latencies, throughput, device time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.session import Session

DEVICE_RUNS = 5
DEVICE_BOUND = 0.8
"""Share of the latency that kernels must take for the verdict 'device bound'."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Measurement:
    """Times in seconds. stages: of loading. latencies: host wall time of single runs, copies included, in order.

    total: wall time of all measured runs. items: batch. device: the kernels of one run, median of a pass of its own.
    finite: no output held NaN or infinity.
    """

    stages: Mapping[str, float]
    first: float
    warmup: int
    latencies: tuple[float, ...]
    total: float
    items: int
    device: float | None
    finite: bool

    @property
    def load(self) -> float:
        """All stages before the first inference."""
        return sum(self.stages.values())

    @property
    def median(self) -> float:
        return statistics.median(self.latencies)

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent))

    @property
    def throughput(self) -> float:
        """Items per second over the whole measured time."""
        return self.items * len(self.latencies) / self.total

    @property
    def host(self) -> float | None:
        """What the median latency has on top of the kernels: copies, enqueueing, conversion."""
        return None if self.device is None else max(0.0, self.median - self.device)

    @property
    def verdict(self) -> str:
        """'device bound', 'host bound', or '' where device time is unknown."""
        if self.device is None:
            return ""
        return "device bound" if self.device >= DEVICE_BOUND * self.median else "host bound"


def measure(
    open_session: Callable[[bool], Session], make_inputs: Callable[[Session], Mapping[str, np.ndarray]], *,
    iterations: int, seconds: float, warmup: int, profile: bool = True, clock: Clock = time.perf_counter,
) -> Measurement:  # fmt: skip
    """At least `iterations` runs and `seconds` seconds after `warmup` runs.

    open_session(profile): loads the model. Device time comes from a second session, because profiling slows a queue.
    Variables that the model updates are as before behind the warm-up, and at the end.
    """
    with open_session(False) as session, session.state_kept():
        inputs = make_inputs(session)
        with session.state_kept():
            start = clock()
            outputs = session.run(inputs)
            first = clock() - start
            for _ in range(warmup):
                session.run(inputs)
        latencies, total = _timed_runs(session, inputs, iterations, seconds, clock)
        stages, items = dict(session.timings), batch_items(session.inputs)
    device = device_seconds(open_session, inputs) if profile else None
    finite = all(bool(np.isfinite(array).all()) for array in outputs.values())
    return Measurement(stages, first, warmup, latencies, total, items, device, finite)


def _timed_runs(
    session: Session, inputs: Mapping[str, np.ndarray], iterations: int, seconds: float, clock: Clock
) -> tuple[tuple[float, ...], float]:
    latencies: list[float] = []
    start = before = clock()
    while len(latencies) < iterations or before - start < seconds:
        session.run(inputs)
        after = clock()
        latencies.append(after - before)
        before = after
    return tuple(latencies), before - start


def device_seconds(open_session: Callable[[bool], Session], inputs: Mapping[str, np.ndarray]) -> float | None:
    """Of the kernels of one run, in a session with profiling: median of some runs; None where it is not known."""
    with open_session(True) as session, session.state_kept():
        times = []
        for _ in range(DEVICE_RUNS):
            session.run(inputs)
            if session.last_device_seconds is None:
                return None
            times.append(session.last_device_seconds)
    return statistics.median(times)


def batch_items(inputs: Mapping[str, TensorSpec]) -> int:
    """Inferences in one run: the first extent of the first input of at least 2 dimensions, else 1."""
    return next((spec.shape[0] for spec in inputs.values() if spec.rank >= 2), 1)
