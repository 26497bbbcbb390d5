"""Binding: inputs and outputs in memory that stays, where the device finds them without a copy if it can."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np

from nnef_cl.device.memory import HostMemory
from nnef_cl.device.queue import Queue
from nnef_cl.errors import DeviceError
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.plan.records import Buffer
from nnef_cl.replica import Replica
from nnef_cl.stream import Stream

UNIT = 64
"""Bytes; devices work on the host's memory where buffers are whole numbers of them."""
WHOLE = Buffer("arena", 0)


class Binding:
    """Arrays for all inputs and outputs, by name, and runs of the network on what is in them.

    inputs, outputs: of the model's shapes and API types, all zero at first. Inputs stay what the caller wrote, outputs
    stay until the next run. While `run` runs they belong to the device; otherwise they are arrays like others, also
    after the end. in_place: whether kernels work on them without copies.
    """

    def __init__(
        self, replica: Replica, stream: Stream, run: Callable[[Callable[[], None]], None],
        turn: Callable[[], AbstractContextManager[Any]],
    ) -> None:  # fmt: skip
        """stream: of the replica, whose this thread's turn it is now. run: does something as a request of that stream,
        turn: a context in which nobody else uses it."""
        self.in_place = can_be_in_place(replica)
        self._memory: _InPlace | _Copied | None = (_InPlace if self.in_place else _Copied)(replica, stream)
        self._run, self._turn = run, turn
        self.inputs: Mapping[str, np.ndarray] = MappingProxyType(self._memory.inputs)
        self.outputs: Mapping[str, np.ndarray] = MappingProxyType(self._memory.outputs)

    def run(self) -> Mapping[str, np.ndarray]:
        """One inference on what is in the inputs; returns the outputs, which may hold anything where it raises. Errors
        and variables are those of `Session.run`."""
        self._run(self._run_here)
        return self.outputs

    def _run_here(self) -> None:
        if self._memory is None:
            raise DeviceError("the binding is closed")
        self._memory.run()

    def close(self) -> None:
        """Gives the device's memory back; the session's end does the same."""
        with contextlib.suppress(DeviceError), self._turn():  # else the session has ended, or it is its parent's
            self.release()

    def release(self) -> None:
        """As `close`, for whoever has the turn."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.release()

    def __enter__(self) -> Binding:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def can_be_in_place(replica: Replica) -> bool:
    """Whether the device works on the host's memory, and something lies in it."""
    plan = replica.plan
    places = [place for place, _ in (*plan.inputs.values(), *plan.outputs.values())]
    unified = plan.target.unified_memory and not plan.target.separate_buffers
    return unified and any(place.kind in ("arena", "loan") for place in places)


class _InPlace:
    """Kernels and slots of their own, planned so that inputs and outputs lie in one buffer where nothing else is.
    Memory that the host does not see anyway is mapped except during runs, which costs no copy where the device works on
    the host's."""

    def __init__(self, replica: Replica, stream: Stream) -> None:
        executable = replica.apart
        plan = executable.plan
        self._bytes = -(-plan.arenas[-1] // UNIT) * UNIT
        given = None if stream.device.opens_memory else HostMemory([self._bytes]).arrays[0]
        self._stream = Stream(executable, beside=stream, last=given)
        memory = self._stream.last_memory if given is None else given
        assert memory is not None
        memory[:] = 0
        self.inputs = {name: _view(memory, *where) for name, where in plan.inputs.items()}
        self.outputs = {name: self._output(memory, *where) for name, where in plan.outputs.items()}
        self._copied = {name: array for name, array in self.outputs.items() if not np.may_share_memory(array, memory)}
        self._mapped: list[Any] = []
        weakref.finalize(self, _let_go, stream.queue, self._mapped, os.getpid()).atexit = False
        self._map()

    def _output(self, memory: np.ndarray, place: Buffer, spec: TensorSpec) -> np.ndarray:
        """Its part of the memory; an array that gets a copy where it is a variable, or what the caller writes to."""
        if place.kind == "arena":
            array = _view(memory, place, spec)
            if not any(np.may_share_memory(array, other) for other in self.inputs.values()):
                return array
        return np.zeros(spec.shape, spec.dtype.api)

    def _map(self) -> None:
        if self._stream.last_memory is None:
            self._mapped.append(self._stream.queue.map(self._stream.last_arena, self._bytes))

    def run(self) -> None:
        _unmap(self._stream.queue, self._mapped)
        try:
            self._stream.run_in_place(self._copied)
        finally:
            self._map()

    def release(self) -> None:
        _unmap(self._stream.queue, self._mapped)
        self._stream.queue.finish()
        self._stream.close()


class _Copied:
    """Pinned memory that is copied to and from the stream's own slots."""

    def __init__(self, replica: Replica, stream: Stream) -> None:
        plan = replica.plan
        self._stream = stream
        specs = [spec for _, spec in (*plan.inputs.values(), *plan.outputs.values())]
        pieces = stream.device.pinned([spec.bytes for spec in specs])
        arrays = [_view(piece, WHOLE, spec) for piece, spec in zip(pieces, specs, strict=True)]
        count = len(plan.inputs)
        self.inputs = dict(zip(plan.inputs, arrays[:count], strict=True))
        self.outputs = dict(zip(plan.outputs, arrays[count:], strict=True))
        self._stored = {name: array.view(plan.inputs[name][1].dtype.storage) for name, array in self.inputs.items()}

    def run(self) -> None:
        self._stream.run(self._stored, self.outputs)

    def release(self) -> None:
        """The memory is free when its arrays are."""


def _view(memory: np.ndarray, place: Buffer, spec: TensorSpec) -> np.ndarray:
    """The tensor that lies there, which is plain."""
    return memory[place.offset : place.offset + spec.bytes].view(spec.dtype.api).reshape(spec.shape)


def _unmap(queue: Queue, mapped: list[Any]) -> None:
    while mapped:
        queue.unmap(mapped.pop())


def _let_go(queue: Queue, mapped: list[Any], owner: int) -> None:
    """Of a binding that was dropped; not in a forked child: the buffers are its parent's."""
    if os.getpid() == owner:
        with contextlib.suppress(DeviceError):
            _unmap(queue, mapped)
