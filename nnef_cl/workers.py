"""Workers: threads that run requests in the order they came, one thread per stream, and hand out futures."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnef_cl.errors import DeviceError
from nnef_cl.stream import NEW, Arrays, OutArrays
from nnef_cl.turns import CLOSED

Outputs = dict[str, np.ndarray]
Run = Callable[[Arrays, int | None, OutArrays], Outputs]
"""Runs a request on the stream of that number, on any where None; some results go into the arrays that are last."""

HAND_OVER = 50e-6
"""Seconds: whoever takes less between two requests gains nothing by another thread, which costs 20 to 40 us each."""
FORGET = 0.9
"""What is left of a longer time with each request: a pause now and then, as for a file of many batches, counts long."""


@dataclass(frozen=True)
class Job:
    """A request. came: when, by time.monotonic."""

    order: int
    inputs: Arrays
    stream: int | None
    out: OutArrays
    future: Future[Outputs] = field(default_factory=Future)
    came: float = field(default_factory=time.monotonic)

    def begin(self) -> bool:
        """Whether it is still wanted; it cannot be cancelled any more then."""
        return self.future.set_running_or_notify_cancel()

    def finish(self, run: Run) -> None:
        """After `begin`."""
        try:
            outputs = run(self.inputs, self.stream, self.out)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(outputs)


class Workers:
    """The threads start with the first request. Methods may be called from any thread.

    per_run: requests that can be done at one time on one stream.
    """

    def __init__(self, run: Run, count: int) -> None:
        self.per_run = 1
        self._run = run
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._orders = itertools.count()
        self._jobs: deque[Job] = deque()
        self._own: list[deque[Job]] = [deque() for _ in range(count)]
        self._busy = [False] * count
        self._threads: list[threading.Thread] = []
        self._ending = False

    @property
    def batches(self) -> dict[str, int]:
        """What was gathered into batches; nothing here."""
        return {}

    def run(self, inputs: Arrays, stream: int | None = None, out: OutArrays = NEW) -> Outputs:
        """A request that the caller waits for, in the caller's thread."""
        return self._run(inputs, stream, out)

    def submit(self, inputs: Arrays, stream: int | None = None, out: OutArrays = NEW) -> Future[Outputs]:
        """Raises DeviceError after the end."""
        with self._changed:
            if self._ending:
                raise DeviceError(CLOSED)
            if not self._threads:
                self._start()
            job = Job(next(self._orders), inputs, stream, out)
            if stream is None:
                self._jobs.append(job)
                self._changed.notify()
            else:
                self._own[stream].append(job)
                self._changed.notify_all()
        return job.future

    def idle(self) -> bool:
        """Whether no request waits or runs. Without the lock: a request is among those that run before it is no longer
        among those that wait, which are looked at first."""
        return not (self._jobs or any(self._own) or True in self._busy)

    def end(self, *, cancel: bool = False, wait: bool = True) -> None:
        """Nothing more is accepted; what waits is done, or cancelled. wait: return when all has ended."""
        if self._process != os.getpid():
            return
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        try:
            if cancel:
                self._cancel()
            if wait:
                for thread in self._threads:
                    if thread is not threading.current_thread():
                        thread.join()
        except BaseException:  # the user's interruption: nobody waits for the rest
            self._cancel()
            raise

    def _cancel(self) -> None:
        with self._changed:
            jobs = [job for queue in (self._jobs, *self._own) for job in queue]
            for queue in (self._jobs, *self._own):
                queue.clear()
        for job in jobs:
            job.future.cancel()

    def _start(self) -> None:
        """Daemons, because only `_end_all` knows when to end them at the interpreter's exit."""
        _alive.add(self)
        for number in range(len(self._own)):
            name = f"nnef-cl stream {number}"
            self._threads.append(threading.Thread(target=self._work, args=(number,), name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def _work(self, number: int) -> None:
        while jobs := self._next(number):
            self._do(number, [job for job in jobs if job.begin()])
            del jobs  # while this thread waits nobody needs their arrays

    def _do(self, number: int, jobs: Sequence[Job]) -> None:
        """jobs: begun."""

        def run(inputs: Arrays, stream: int | None, out: OutArrays) -> Outputs:
            try:
                return self._run(inputs, stream, out)
            finally:
                self._busy[number] = False  # before anybody sees the result

        for job in jobs:
            job.finish(run)

    def _next(self, number: int) -> list[Job]:
        """What this thread is to do next; nothing at the end."""
        with self._changed:
            self._busy[number] = False  # of a cancelled one
            jobs = self._taken(number)
            self._busy[number] = bool(jobs)
            return jobs

    def _taken(self, number: int) -> list[Job]:
        """The oldest request that this thread may do, waited for under the lock."""
        own, shared = self._own[number], self._jobs
        self._changed.wait_for(lambda: own or shared or self._ending)
        waiting = [queue for queue in (own, shared) if queue]
        return [min(waiting, key=lambda queue: queue[0].order).popleft()] if waiting else []


_alive: weakref.WeakSet[Workers] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """No thread may be inside a driver when the process ends."""
    for workers in list(_alive):
        with contextlib.suppress(KeyboardInterrupt):
            workers.end(cancel=True)


def in_order(
    submit: Callable[[Any], Future[Outputs]], batches: Iterable[Any], ahead: int,
    run: Callable[[Any], Outputs] | None = None, idle: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Outputs]:  # fmt: skip
    """The results of all batches in their order; at most `ahead` batches are drawn beyond those whose results have been
    taken. An error appears in its place and ends it.

    run: does a batch in the caller's thread; where the caller is quick between batches and `idle` says that no other
    request would be overtaken, it does.
    """
    pending: deque[Future[Outputs]] = deque()
    slowest, given = 0.0, clock()

    def give(outputs: Outputs) -> Outputs:
        nonlocal given
        given = clock()
        return outputs

    try:
        for batch in batches:
            slowest = max(clock() - given, FORGET * slowest)
            quick = run is not None and slowest < HAND_OVER
            while quick and pending:
                yield give(pending.popleft().result())
            if quick and run is not None and idle():
                yield give(run(batch))
            else:
                pending.append(submit(batch))
            while pending and (len(pending) >= ahead or pending[0].done()):
                yield give(pending.popleft().result())
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
