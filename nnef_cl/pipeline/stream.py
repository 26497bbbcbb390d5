"""Items through a session: read by threads, gathered into batches, several requests in flight, results in order."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nnef_cl.errors import DeviceError, Error
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.pipeline.sources import Arrays, Item

PER_STREAM = 2
"""Requests in flight: one that runs, one whose inputs are ready."""
AHEAD = 2
"""Items that are read ahead, per thread; so that none waits while another item takes long."""

Read = Callable[[Item], Arrays]


class Submitting(Protocol):
    """The part of a Session that is needed here."""

    def submit(self, inputs: Mapping[str, np.ndarray]) -> Future[Arrays]: ...


@dataclass(frozen=True)
class Result:
    """Of one item: its outputs, or what kept it from having any."""

    item: Item
    outputs: Arrays | None = None
    error: Error | None = None


@dataclass(frozen=True)
class Part:
    """An item's rows, the same number in every array."""

    item: Item
    arrays: Arrays

    @property
    def rows(self) -> int:
        return len(next(iter(self.arrays.values())))


@dataclass(frozen=True)
class Feed:
    """session: gets the requests. read: an item's arrays, may be called by several threads. shared: inputs that are the
    same in every request. batch: rows of a request, 1 where items are not gathered. readers: threads. streams: of the
    session."""

    session: Submitting
    read: Read
    shared: Mapping[str, np.ndarray]
    batch: int = 1
    readers: int = 1
    streams: int = 1


def readers() -> int:
    """Threads that read: as many as there are processors to run them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def rows_of(inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]) -> int:
    """Rows that a request can be made of: the batch, where all of these have it as their first axis; else 1."""
    specs = [*inputs, *outputs]
    extents = {spec.shape[0] if spec.rank else 0 for spec in specs}
    return extents.pop() if len(extents) == 1 and all(spec.rank >= 2 for spec in specs) and 0 not in extents else 1


def stream(feed: Feed, items: Iterable[Item]) -> Generator[Result, None, None]:
    """A result per item, in order but for items that cannot be read: those come as soon as they are known.

    What is wrong with one item's data is that item's error and harms no other. Raises DeviceError.
    """
    with ThreadPoolExecutor(feed.readers, "reader") as pool:
        reading = _read_ahead(pool, feed, items)
        try:
            yield from _run(feed, reading)
        finally:
            reading.close()


def _read_ahead(pool: ThreadPoolExecutor, feed: Feed, items: Iterable[Item]) -> Generator[Part | Result, None, None]:
    """Items in order, read by the pool's threads; as many ahead as these and one batch need."""
    source = iter(items)
    ahead = AHEAD * feed.readers + feed.batch
    window: deque[tuple[Item, Future[Arrays]]] = deque()
    try:
        while True:
            more = itertools.islice(source, ahead - len(window))
            window.extend((item, pool.submit(feed.read, item)) for item in more)
            if not window:
                return
            item, reading = window.popleft()
            try:
                yield Part(item, reading.result())
            except Error as error:
                yield Result(item, error=error)
    finally:
        for _, reading in window:
            reading.cancel()


def _run(feed: Feed, reading: Iterable[Part | Result]) -> Iterator[Result]:
    flying: deque[tuple[list[Part], Future[Arrays]]] = deque()
    for parts in _gathered(reading, feed.batch):
        if isinstance(parts, Result):
            yield parts
            continue
        flying.append((parts, _submit(feed, parts)))
        while len(flying) > PER_STREAM * feed.streams or (flying and flying[0][1].done()):
            yield from _finished(feed, *flying.popleft())
    while flying:
        yield from _finished(feed, *flying.popleft())


def _gathered(reading: Iterable[Part | Result], batch: int) -> Iterator[list[Part] | Result]:
    """Lists of items whose rows fit into a batch, full wherever items have one row; failures in between."""
    parts: list[Part] = []
    rows = 0
    for one in reading:
        if isinstance(one, Result):
            yield one
            continue
        count = one.rows if batch > 1 else 1
        if parts and rows + count > batch:
            yield parts
            parts, rows = [], 0
        parts, rows = [*parts, one], rows + count
        if rows >= batch:
            yield parts
            parts, rows = [], 0
    if parts:
        yield parts


def _submit(feed: Feed, parts: Sequence[Part]) -> Future[Arrays]:
    """The request; rows that no item has are the last item's last row again, which every network can compute."""
    if len(parts) == 1 and (feed.batch == 1 or parts[0].rows == feed.batch):
        return feed.session.submit({**feed.shared, **parts[0].arrays})
    inputs = dict(feed.shared)
    for name in parts[0].arrays:
        pieces = [part.arrays[name] for part in parts]
        missing = feed.batch - sum(map(len, pieces))
        inputs[name] = np.concatenate([*pieces, *([pieces[-1][-1:]] * missing)])
    return feed.session.submit(inputs)


def _finished(feed: Feed, parts: list[Part], request: Future[Arrays]) -> Iterator[Result]:
    """The items' results. Where a request fails for its data, its items go on one by one to see whose it is."""
    try:
        outputs = request.result()
    except DeviceError:
        raise
    except Error as error:
        if len(parts) == 1:
            yield Result(parts[0].item, error=error)
            return
        for part in parts:
            yield from _finished(feed, [part], _submit(feed, [part]))
        return
    start = 0
    for part in parts:
        end = start + part.rows
        own = outputs if feed.batch == 1 else {name: array[start:end] for name, array in outputs.items()}
        yield Result(part.item, own)
        start = end
