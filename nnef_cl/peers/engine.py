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
    """latency: one inference at a time, on all threads; throughput: as many at a time as the engine is best with."""

    latency = "latency"
    throughput = "throughput"


Submit = Callable[[], Future[Any]]
"""Starts one inference."""


@dataclass(frozen=True)
class Engine:
    """run: one inference, its outputs in the network's order. many: that many, `parallel` of them at a time. submit:
    starts one. parallel: how many the hint makes of it. many, submit: None where nobody asks for them."""

    name: str
    run: Callable[[], Sequence[np.ndarray]]
    many: Callable[[int], object] | None = None
    submit: Submit | None = None
    parallel: int = 1


Open = Callable[[Path, Mapping[str, np.ndarray], int, Hint], Engine]
"""Of a peer: ONNX model, inputs by name, threads, hint -> the engine."""


def together(submit: Submit) -> Callable[[int], None]:
    """That many inferences, all started at once; the engine runs as many at a time as it can."""

    def many(count: int) -> None:
        for started in [submit() for _ in range(count)]:
            started.result()

    return many


def pooled(run: Callable[[], object], threads: int) -> Submit:
    """Inferences by that many threads; for engines that run on the caller's thread."""
    return partial(ThreadPoolExecutor(threads).submit, run)
