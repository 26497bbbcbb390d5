"""Engine: a network made ready on one engine, ours or a peer's, with its inputs bound; and the hints it obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np


class Hint(str, Enum):
    """latency: one inference at a time, on all threads; throughput: as many at a time as there are threads."""

    latency = "latency"
    throughput = "throughput"


@dataclass(frozen=True)
class Engine:
    """run: one inference, its outputs in the network's order. many: that many, as the throughput hint wants them."""

    name: str
    run: Callable[[], Sequence[np.ndarray]]
    many: Callable[[int], object]


Open = Callable[[Path, Mapping[str, np.ndarray], int, Hint], Engine]
"""Of a peer: ONNX model, inputs by name, threads, hint -> the engine."""


def repeated(run: Callable[[], object]) -> Callable[[int], None]:
    """Inferences one after the other."""

    def many(count: int) -> None:
        for _ in range(count):
            run()

    return many


def concurrent(run: Callable[[], object], threads: int) -> Callable[[int], None]:
    """Inferences in that many threads at a time; for engines that run on the caller's thread."""
    pool = ThreadPoolExecutor(threads)

    def many(count: int) -> None:
        for done in [pool.submit(run) for _ in range(count)]:
            done.result()

    return many
