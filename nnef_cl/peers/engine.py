"""Engine: a network made ready on one engine, ours or a peer's, with its inputs bound; and the hints it obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


class Hint(str, Enum):
    """latency: one inference at a time, on all threads; throughput: as many at a time as there are threads."""

    latency = "latency"
    throughput = "throughput"


Submit = Callable[[], Future[Any]]
"""Starts one inference."""


@dataclass(frozen=True)
class Engine:
    """run: one inference, its outputs in the network's order. many: that many, as the throughput hint wants them.
    submit: starts one, as the hint wants it; None where nobody asks for single ones."""

    name: str
    run: Callable[[], Sequence[np.ndarray]]
    many: Callable[[int], object]
    submit: Submit | None = None


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


def pooled(run: Callable[[], object], threads: int, hint: Hint) -> Submit:
    """Inferences by threads of a pool: one at a time, or that many; for engines that run on the caller's thread."""
    return partial(ThreadPoolExecutor(threads if hint is Hint.throughput else 1).submit, run)
