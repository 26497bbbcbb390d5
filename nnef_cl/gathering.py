"""Gathering: single requests that come close together run as one batch, on a plan with more rows."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnef_cl.device.arrays import DeviceArray, HostArray
from nnef_cl.errors import DeviceError, InputError, ModelError
from nnef_cl.ir.graph import Graph
from nnef_cl.ops.base import Table
from nnef_cl.ops.rows import difference, mixing
from nnef_cl.stream import NEW, Arrays, OutArrays
from nnef_cl.turns import CLOSED
from nnef_cl.workers import Job, Outputs, Run, Workers

MOST_REQUESTS, LONGEST_MS = 1024, 60_000.0

RunBatch = Callable[[Arrays, int], Outputs]
"""Runs a whole batch, in which so many requests are."""
Read = Callable[[Mapping[str, tuple[int, ...]]], Graph]
"""Imports the model again with these extents of its inputs."""


@dataclass(frozen=True)
class Batching:
    """How single requests are gathered: a batch runs as soon as there are `max_size` requests (2 to 1024), or when
    `max_delay_ms` milliseconds (0 to 60000) have passed since the first of them. Raises InputError."""

    max_size: int = 8
    max_delay_ms: float = 2.0

    def __post_init__(self) -> None:
        size, delay = self.max_size, self.max_delay_ms
        if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= MOST_REQUESTS:
            raise InputError(f"batching, max_size: expected 2 to {MOST_REQUESTS} requests, got {size!r}")
        number = isinstance(delay, (int, float)) and not isinstance(delay, bool)
        if not number or not 0 <= delay <= LONGEST_MS:
            raise InputError(f"batching, max_delay_ms: expected 0 to {LONGEST_MS:g} milliseconds, got {delay!r}")

    @property
    def least(self) -> int:
        """Requests from which on a batch is worth the rows that nobody needs."""
        return max(2, math.ceil(self.max_size / 2))


@dataclass(frozen=True)
class Gathering:
    """graph: the model with `batching.max_size` times the rows."""

    batching: Batching
    graph: Graph

    def returning(self, asked: Graph) -> Graph:
        """The graph with the outputs of `asked`, the model for one request. Raises InputError where one has no rows."""
        for name in asked.outputs:
            one, many = (graph.tensors[asked.output_tensor(name)].shape for graph in (asked, self.graph))
            if not one or many[0] != one[0] * self.batching.max_size:
                raise InputError(f"batching: '{name}', which is to be kept, has no rows")
        return replace(self.graph, outputs=asked.outputs)


def enlarged(graph: Graph, read: Read, ops: Table, size: int) -> Graph:
    """The model with `size` times the rows of every input; its constants are the graph's.

    graph: as imported. Raises InputError where requests cannot share a batch, with the reason.
    """
    for name in graph.inputs:
        if not graph.tensors[name].shape:
            raise InputError(f"batching: input '{name}' is a scalar, it has no rows")
    if not graph.inputs:
        raise InputError("batching: the model has no inputs")
    if why := mixing(graph, ops):
        raise InputError(f"batching: requests cannot share a batch: {why}")
    shapes = {name: graph.tensors[name].shape for name in graph.inputs}
    try:
        larger = read({name: (shape[0] * size, *shape[1:]) for name, shape in shapes.items()})
    except (ModelError, InputError) as error:
        raise InputError(f"batching: the model cannot have {size} times the rows: {error}") from error
    if why := difference(graph, larger, size):
        raise InputError(f"batching: requests cannot share a batch: {why}")
    return replace(larger, constants=graph.constants)


class Gatherer(Workers):
    """Workers that run requests for any stream in batches; others, and those that are too few, one by one."""

    def __init__(self, run: Run, run_batch: RunBatch, count: int, batching: Batching) -> None:
        super().__init__(run, count)
        self.per_run = batching.max_size
        self._run_batch, self._batching = run_batch, batching
        self._delay = batching.max_delay_ms * 1e-3
        self._done = {"batches": 0, "batched": 0, "alone": 0}

    @property
    def batches(self) -> dict[str, int]:
        """Batches that ran, the requests in them, and requests that ran alone."""
        with self._changed:
            return dict(self._done)

    def run(self, inputs: Arrays, stream: int | None = None, out: OutArrays = NEW) -> Outputs:
        """As `submit`, but waits; at once in the caller's thread for a stream, or where the caller is one of these
        threads, which nobody else would do the work of."""
        if stream is not None or threading.current_thread() in self._threads:
            self._count(alone=1)
            return super().run(inputs, stream, out)
        future = self.submit(inputs, out=out)
        try:
            return future.result()
        except CancelledError:
            raise DeviceError(CLOSED) from None
        except BaseException:  # the user's interruption among them
            future.cancel()
            raise

    def _taken(self, number: int) -> list[Job]:
        own, shared = self._own[number], self._jobs
        while True:
            count, seconds = self._ready()
            if own and not (count and shared[0].order < own[0].order):
                jobs = [own.popleft()]
            else:
                jobs = [shared.popleft() for _ in range(count)]
            if jobs and shared:  # who was told of these may be this thread, which is busy now
                self._changed.notify()
            if jobs or self._ending:
                return jobs
            self._changed.wait(seconds)

    def _ready(self) -> tuple[int, float | None]:
        """How many requests are to be taken now, and for how long nothing changes by itself. One of those that are too
        few for a batch is taken alone: while it runs, the others may become enough."""
        waiting = len(self._jobs)
        if not waiting:
            return 0, None
        left = self._jobs[0].came + self._delay - time.monotonic()
        if left > 0 and waiting < self._batching.max_size and not self._ending:
            return 0, left
        return min(waiting, self._batching.max_size) if waiting >= self._batching.least else 1, None

    def _do(self, number: int, jobs: Sequence[Job]) -> None:
        self._do_alone([job for job in jobs if not _on_host(job)])
        jobs = [job for job in jobs if _on_host(job)]
        if len(jobs) < self._batching.least:
            self._do_alone(jobs)
            return
        try:
            whole = joined([job.inputs for job in jobs], self._batching.max_size)
            results = parts(self._run_batch(whole, len(jobs)), len(jobs), self._batching.max_size)
        except InputError:  # about the data of one: the others shall have their results
            self._do_alone(jobs)
        except BaseException as error:
            for job in jobs:
                job.future.set_exception(error)
        else:
            self._count(batches=1, batched=len(jobs))
            for job, outputs in zip(jobs, results, strict=True):
                job.future.set_result(_kept(outputs, job.out))

    def _do_alone(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._count(alone=1)
            job.finish(self._run)

    def _count(self, **more: int) -> None:
        with self._changed:
            for name, count in more.items():
                self._done[name] += count


def _on_host(job: Job) -> bool:
    return not any(isinstance(array, DeviceArray) for array in (*job.inputs.values(), *job.out.values()))


def _kept(outputs: Outputs, out: OutArrays) -> Outputs:
    """With the arrays of the caller in their places, filled."""
    for name, target in out.items():
        assert not isinstance(target, DeviceArray)
        array, value = (target.array, target.value) if isinstance(target, HostArray) else (target, target)
        np.copyto(array, outputs[name])
        outputs[name] = value
    return outputs


def joined(requests: Sequence[Mapping[str, Any]], size: int) -> dict[str, np.ndarray]:
    """The inputs of a batch of `size` requests, one behind the other; the last one stands for those that are missing,
    so that nothing is computed of values that no request has."""
    whole = {}
    for name, first in requests[0].items():
        rows = len(first)
        array = whole[name] = np.empty((rows * size, *first.shape[1:]), first.dtype)
        for k in range(size):
            array[k * rows : (k + 1) * rows] = requests[min(k, len(requests) - 1)][name]
    return whole


def parts(outputs: Outputs, count: int, size: int) -> list[Outputs]:
    """The results of the first `count` requests of a batch of `size`: copies, so that none keeps the memory of all."""
    rows = {name: len(array) // size for name, array in outputs.items()}
    return [
        {name: array[k * rows[name] : (k + 1) * rows[name]].copy() for name, array in outputs.items()}
        for k in range(count)
    ]
