"""Pool: the streams of a session on all its devices; a request runs on whichever is free, and devices that fail go."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from nnef_cl.binding import Binding
from nnef_cl.errors import DeviceError
from nnef_cl.replica import Replica
from nnef_cl.stream import NEW, Arrays, OutArrays, Stream
from nnef_cl.turns import Turns

LOGGER = logging.getLogger("nnef_cl.device")
"""Warnings about devices."""


class Pool:
    """Streams, numbered device after device. Methods may be called from any thread.

    device_seconds: of the last run's kernels, None unless the device measures. served: requests done by each stream.
    """

    def __init__(self, replicas: Sequence[Replica], larger: Sequence[Replica] = ()) -> None:
        """larger: for the same devices in the same order, with as many streams, the model for batches of requests."""
        self.replicas, self.larger = tuple(replicas), tuple(larger)
        self.streams = [stream for replica in replicas for stream in replica.streams]
        self.turns = Turns(len(self.streams))
        self.device_seconds: float | None = None
        self.served = [0] * len(self.streams)
        self.bindings: weakref.WeakSet[Binding] = weakref.WeakSet()
        self._owner = [replica for replica in replicas for _ in replica.streams]
        self._batched = [stream for replica in larger for stream in replica.streams]

    def run(self, inputs: Arrays, stream: int | None = None, out: OutArrays = NEW) -> dict[str, np.ndarray]:
        """As Stream.run, on the stream of that number or, None, on any.

        Where the device fails and there are others, it gets no more requests, and one for any stream is repeated once.
        """
        return self._repeated(partial(self._run, self.streams, 1, inputs, out), stream)

    def run_batch(self, inputs: Arrays, requests: int) -> dict[str, np.ndarray]:
        """As `run`, of the larger model on any stream, for so many requests."""
        return self._repeated(partial(self._run, self._batched, requests, inputs, NEW), None)

    def _repeated(self, run: Callable[[int], dict[str, np.ndarray]], stream: int | None) -> dict[str, np.ndarray]:
        """run: on the stream of that number."""
        with self.turns.take(stream) as number:
            try:
                return run(number)
            except DeviceError as error:
                if not self._take_out(self._owner[number], error) or stream is not None:
                    raise
        with self.turns.take() as number:
            try:
                return run(number)
            except DeviceError as error:
                self._take_out(self._owner[number], error)
                raise

    def run_on(self, number: int, action: Callable[[], None]) -> None:
        """A request of another kind, on the stream of that number, which is the action's until it returns."""
        with self.turns.take(number):
            try:
                action()
            except DeviceError as error:
                self._take_out(self._owner[number], error)
                raise
            self.served[number] += 1

    def bind(self, number: int) -> Binding:
        """A binding whose runs are requests of that stream."""
        with self.turns.take(number):
            run, turn = partial(self.run_on, number), partial(self.turns.take, number)
            binding = Binding(self._owner[number], self.streams[number], run, turn)
            self.bindings.add(binding)
            return binding

    def _run(
        self, streams: Sequence[Stream], requests: int, inputs: Arrays, out: OutArrays, number: int
    ) -> dict[str, np.ndarray]:
        stream = streams[number]
        outputs = stream.run(inputs, out)
        self.served[number] += requests
        if stream.device.profiling:
            self.device_seconds = sum(stream.device_seconds())
        return outputs

    def _take_out(self, failed: Replica, error: DeviceError) -> bool:
        """Whether there are other devices. The last one stays, whatever it does."""
        numbers = [number for number, replica in enumerate(self._owner) if replica is failed]
        out, others = self.turns.retire(numbers)
        if out:
            LOGGER.warning("%s gets no more requests of this session, its last ones go elsewhere", error)
        return others

    def end(self) -> None:
        """Waits for requests that run and gives all memory back."""
        self.turns.end(self._release)

    def _release(self) -> None:
        for binding in list(self.bindings):
            with contextlib.suppress(DeviceError):
                binding.release()
        for replica in (*self.larger, *self.replicas):
            with contextlib.suppress(DeviceError):  # of one that has failed
                replica.close()
