"""Blocks of timed runs of several engines in turn, and what follows from their times."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nnef_cl.peers.engine import Engine, Hint

T = TypeVar("T")

RUNS = 6
ROUNDS = 3
"""Inferences of a throughput block for each of those that an engine has under way, at least: at the end of a block some
wait for the last one."""
MOST_ROUNDS = 1000
LASTING = 0.05
"""Seconds of a throughput block, at least, as far as its first inferences tell: what an engine takes to wake up is not
its throughput."""
PAUSE = 0.1
"""Seconds before each block: another engine's threads spin for a while after their work, ONNX Runtime's for 40 to
50 ms."""

Times = Mapping[str, Sequence[Sequence[float]]]
"""Engine -> its blocks -> seconds per inference: of every run, or of all of a block together."""


def interleave(engines: Sequence[Engine], blocks: int, hint: Hint) -> Times:
    """That many blocks of each engine. Who begins changes from block to block, and so does who follows whom."""
    times: dict[str, list[list[float]]] = {engine.name: [] for engine in engines}
    for engine in turns(engines, blocks):
        times[engine.name].append(block(engine, hint))
    return times


def turns(engines: Sequence[T], blocks: int) -> Iterator[T]:
    """Each engine once per block, in an order that changes from block to block."""
    for index in range(blocks):
        first = index // 2 % len(engines)
        order = [*engines[first:], *engines[:first]]
        yield from reversed(order) if index % 2 else order


def block(engine: Engine, hint: Hint) -> list[float]:
    """Seconds of RUNS runs, after a pause and an untimed run; for throughput the mean of as many or more, for LASTING
    seconds or longer, in flight as the engine has them."""
    time.sleep(PAUSE)
    if hint is Hint.throughput:
        assert engine.many is not None
        started = time.perf_counter()
        engine.many(engine.parallel)
        count = engine.parallel * max(-(-RUNS // engine.parallel), rounds(time.perf_counter() - started))
        started = time.perf_counter()
        engine.many(count)
        return [(time.perf_counter() - started) / count]
    engine.run()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        engine.run()
        times.append(time.perf_counter() - started)
    return times


def rounds(seconds: float) -> int:
    """Of a throughput block, where one takes so long."""
    return max(ROUNDS, min(MOST_ROUNDS, math.ceil(LASTING / seconds)) if seconds > 0 else MOST_ROUNDS)


@dataclass(frozen=True)
class Lead:
    """A peer's time over ours: of the medians, and the lowest and the highest of the blocks. Above 1 ours is faster."""

    median: float
    low: float
    high: float


def milliseconds(blocks: Sequence[Sequence[float]]) -> dict[str, float]:
    """min and median over all runs."""
    flat = [seconds * 1e3 for times in blocks for seconds in times]
    return {"min": min(flat), "median": statistics.median(flat)}


def median(blocks: Sequence[Sequence[float]]) -> float:
    return milliseconds(blocks)["median"]


def lead(ours: Sequence[Sequence[float]], peer: Sequence[Sequence[float]]) -> Lead:
    """Blocks of one number are compared as they follow each other."""
    ratios = [statistics.median(b) / statistics.median(a) for a, b in zip(ours, peer, strict=True)]
    return Lead(median(peer) / median(ours), min(ratios), max(ratios))
