"""Executable -> Stream: a queue, memory and bound kernels for one request; a run enqueues the whole plan."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from nnef_cl.device.arrays import DeviceArray, HostArray
from nnef_cl.device.opencl import opencl
from nnef_cl.device.queue import Queue
from nnef_cl.errors import InputError, located
from nnef_cl.executor import Executable, release
from nnef_cl.ir.layout import PLAIN
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.plan.records import FLAG_BYTES, Buffer, Step

Arrays = Mapping[str, np.ndarray | DeviceArray]
"""Of the host, or memory of the device that the caller made."""
OutArray = np.ndarray | HostArray | DeviceArray
OutArrays = Mapping[str, OutArray]
"""What results are written into."""
NEW: OutArrays = MappingProxyType({})
"""Every output is a new array."""

OWN_COPY = 1 << 17
"""Bytes; what is larger the runtime copies faster, with several threads, whatever the command costs."""
LENT = 1 << 20
"""Bytes; larger inputs and outputs are not copied where kernels reach the host's arrays. Smaller ones
are read faster where a copy has just been written."""

_Borrower = tuple[Any, int, Buffer]
"""A kernel, the number of its argument, and which part of a loan that is."""


@dataclass(frozen=True, eq=False)
class _Slot:
    """Where an input or an output lies. buffer: the device's, None for a loan. stored: what is there, where the host
    copies it itself. lent: the array that kernels write an output to; kept: what must stay while they do."""

    place: Buffer
    spec: TensorSpec
    buffer: Any = None
    stored: np.ndarray | None = None
    lent: np.ndarray | None = None
    kept: Any = None


class Stream:
    """A queue with kernels, memory and variables of its own; programs and weights are the executable's. Not
    thread-safe: kernels keep their arguments."""

    def __init__(
        self, executable: Executable, number: int = 0, beside: Stream | None = None, last: np.ndarray | None = None
    ) -> None:
        """Makes the slots, binds every kernel's arguments. executable: with its weights on the device. number: among
        the streams, which share out a divided device. beside: a stream of the same model, whose queue and variables it
        uses; they take turns. last: memory that becomes the last arena.
        """
        self.plan, self.device = executable.plan, executable.device
        self._executable = executable
        self._buffers: dict[Buffer, Any] = {}
        self._memory: dict[Buffer, np.ndarray] = {}  # of arenas that the host sees
        self._under_way = False
        weakref.finalize(self, release, self.device, self._buffers, os.getpid()).atexit = False
        self.queue: Queue = self.device.new_queue(number) if beside is None else beside.queue
        self._beside = beside
        self._states: dict[Buffer, Any] = {} if beside is None else beside._states
        if beside is None:
            self._make_states()
        for index, size in enumerate(self.plan.arenas):
            arena = Buffer("arena", index)
            if last is not None and index == len(self.plan.arenas) - 1:
                self._buffers[arena] = self.device.buffer_of(last)
                continue
            self._buffers[arena], memory = self.device.open_buffer(size)
            if memory is not None:
                self._memory[arena] = memory
        for index in range(len(self.plan.faults)):
            self._buffers[Buffer("fault", index)] = self.device.buffer(FLAG_BYTES)
            self._clear(index)
        for index, size in enumerate(self.plan.counters):
            self._buffers[Buffer("counter", index)] = counters = self.device.buffer(size)
            self.queue.write(counters, np.zeros(size, np.uint8))
        self._borrowers: list[list[_Borrower]] = [[] for _ in self.plan.loans]
        self._launches = [self._bind(step) for step in self.plan.launches]
        self._inputs = {name: self._slot(*where) for name, where in self.plan.inputs.items()}
        self._outputs = {name: self._slot(*where) for name, where in self.plan.outputs.items()}

    def _make_states(self) -> None:
        weakref.finalize(self, release, self.device, self._states, os.getpid()).atexit = False
        for index, state in enumerate(self.plan.states):
            self._states[Buffer("state", index)] = self.device.buffer(state.spec.bytes)
            self.reset_state(index)

    def _bind(self, step: Step) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
        name, buffers = step.kernel.name, [None if b.kind == "loan" else self._buffer(b) for b in step.arguments]
        function = self._executable.functions[name]
        kernel = self.device.kernel(function, name, buffers, f"of {step.op} '{step.node}'")
        for number, place in enumerate(step.arguments):
            if place.kind == "loan":
                self._borrowers[place.index].append((kernel, number, place))
        return kernel, step.kernel.global_size, step.kernel.local_size

    def _buffer(self, place: Buffer) -> Any:
        """The device's buffer; a part of one is made when it is first asked for."""
        if place.kind == "weight":
            return self._executable.weights[place.index]
        if place.kind == "state":
            return self._states[place]
        if place not in self._buffers:
            self._buffers[place] = self.device.part(self._buffers[place.whole], place.offset, place.bytes)
        return self._buffers[place]

    def _slot(self, place: Buffer, spec: TensorSpec) -> _Slot:
        if place.kind == "loan":
            return _Slot(place, spec)
        memory, stored = self._memory.get(place.whole), None
        if memory is not None and spec.bytes <= OWN_COPY:
            stored = memory[place.offset : place.offset + spec.bytes].view(spec.dtype.storage)
            stored = stored.reshape(spec.layout.physical(spec.shape))
        return _Slot(place, spec, self._buffer(place), stored)

    def run(self, inputs: Arrays, out: OutArrays = NEW) -> dict[str, np.ndarray]:
        """inputs: arrays as they are stored (a model's are plain), C-contiguous. out: arrays for some of the outputs,
        logical and in API types, as the others, which are made. Returns all of them.

        Raises InputError where a kernel reports what is wrong with the data it got. The variables get their new values
        when everything else has succeeded: a run that fails changes none.
        """
        # Reading the outputs waits for these copies, too; a wait for each would cost a thread's wake-up.
        sent = [self._send(self._inputs[name], array) for name, array in inputs.items()]
        slots = {name: self._placed(slot, out.get(name)) for name, slot in self._outputs.items()}
        try:
            self._compute()
            outputs = {name: self._read(slot, out.get(name)) for name, slot in slots.items()}
        except BaseException:
            if self.plan.loans:  # the caller's arrays may go now
                self._settle()
            raise
        del sent
        self._commit()
        return outputs

    def run_in_place(self, out: OutArrays) -> None:
        """As `run`, on what lies in the inputs' slots; outputs stay in theirs. out: arrays that get copies of some."""
        self._compute()
        for name, array in out.items():
            self._read(self._outputs[name], array)
        if self.plan.commits or self._memory:
            self._settle()
        self._commit()
        if self._memory:
            self._settle()

    def _send(self, slot: _Slot, array: np.ndarray | DeviceArray) -> Any:
        """What is returned must stay until work enqueued later is done."""
        if slot.place.kind == "loan":
            if not isinstance(array, DeviceArray):
                return self._lend(slot.place, np.require(array, requirements="A"))
            slot = self._with_spare(slot)
        if isinstance(array, DeviceArray):
            array.settle(self.device.name)
            self.queue.copy(array.buffer, slot.buffer, array.bytes, begin=array.offset)
        elif slot.stored is None:
            return self.queue.send(slot.buffer, array)
        else:
            self._settle()
            np.copyto(slot.stored, array)
        return array

    def _placed(self, slot: _Slot, target: OutArray | None) -> _Slot:
        """Where a run leaves an output: a loan in the target, or in a new array where kernels cannot write there."""
        if slot.place.kind != "loan":
            return slot
        if isinstance(target, DeviceArray):
            return self._with_spare(slot)
        array = target.array if isinstance(target, HostArray) else target
        array = None if array is None else np.asarray(array)
        if array is None or not array.flags.carray:
            array = np.empty(slot.spec.shape, slot.spec.dtype.api)
        return replace(slot, lent=array, kept=self._lend(slot.place, array))

    def _lend(self, loan: Buffer, array: np.ndarray) -> list[Any]:
        """Has kernels find the loan in the array from now on; what is returned must stay as long."""
        kept: list[Any] = [array]
        for kernel, number, place in self._borrowers[loan.index]:
            kept.append(self.device.lent(array, place.offset, place.bytes or array.nbytes))
            kernel.set_arg(number, kept[-1])
        return kept

    def _with_spare(self, slot: _Slot) -> _Slot:
        """Has kernels find a loan in a buffer of the stream's own from now on."""
        if slot.place.whole not in self._buffers:
            self._buffers[slot.place.whole] = self.device.buffer(self.plan.loans[slot.place.index])
        for kernel, number, place in self._borrowers[slot.place.index]:
            kernel.set_arg(number, self._buffer(place))
        return replace(slot, buffer=self._buffers[slot.place.whole])

    def _settle(self) -> None:
        """Waits for what a run left under way, before the host touches memory that it uses."""
        if self._under_way:
            self.queue.finish()
            self._under_way = False

    def _compute(self) -> None:
        self._under_way = True
        self.enqueue()
        if not self._executable.launched:
            self._settle()
            self._executable.keep_launched()
        self._check_faults()

    def _commit(self) -> None:
        for copy in self.plan.commits:
            self._under_way = True
            self.queue.copy(self._buffer(copy.source), self._buffer(copy.target), copy.bytes)

    @property
    def last_arena(self) -> Any:
        """The device's buffer."""
        return self._buffers[self._last]

    @property
    def last_memory(self) -> np.ndarray | None:
        """Its bytes, where the host sees them: between runs they are the caller's."""
        return self._memory.get(self._last)

    @property
    def _last(self) -> Buffer:
        return Buffer("arena", len(self.plan.arenas) - 1)

    def read_state(self, index: int) -> np.ndarray:
        """A variable's logical array in its API type."""
        place = Buffer("state", index)
        return self._read(_Slot(place, self.plan.states[index].spec, self._states[place]))

    def write_state(self, index: int, array: np.ndarray) -> None:
        """array: logical, in the storage type."""
        self.queue.write(self._states[Buffer("state", index)], array)

    def reset_state(self, index: int) -> None:
        """Gives a variable the value of the file."""
        state = self.plan.states[index]
        self.write_state(index, np.asarray(state.constant.array, state.spec.dtype.storage))

    def enqueue(self) -> list[Any]:
        """Enqueues every launch; returns their events."""
        queue, launch = self.queue.handle, opencl().enqueue_nd_range_kernel
        with self.device.translated("running the network"):
            return [launch(queue, kernel, size, local) for kernel, size, local in self._launches]

    def _check_faults(self) -> None:
        """Raises the first fault of the run in order of execution; no flag stays set."""
        found = []
        for index, fault in enumerate(self.plan.faults):
            flag = np.zeros(1, np.int32)
            self.queue.read(self._buffers[Buffer("fault", index)], flag)
            if flag[0]:
                found.append(fault)
                self._clear(index)
        if found:
            raise InputError(located(found[0].message, found[0].position or None, found[0].op, found[0].node))

    def _clear(self, index: int) -> None:
        self.queue.write(self._buffers[Buffer("fault", index)], np.zeros(1, np.int32))

    def device_seconds(self) -> list[float]:
        """One more run with the inputs as they are, which updates no variable: the seconds of every step (needs a
        profiling device)."""
        events = self.enqueue()
        self.queue.finish()
        with self.device.translated("reading the profile"):
            return [(event.profile.end - event.profile.start) * 1e-9 for event in events]

    def _read(self, slot: _Slot, target: OutArray | None = None) -> np.ndarray:
        """Returns what the caller passed as target, or a new array."""
        spec, stored = slot.spec, slot.stored
        if isinstance(target, DeviceArray):
            target.settle(self.device.name)
            self.queue.copy(slot.buffer, target.buffer, target.bytes, to=target.offset)
            self.queue.finish()
            return target.value
        if isinstance(target, HostArray):
            self._read(slot, target.array)
            return target.value
        if slot.lent is not None:
            self._settle()
            if target is None:
                return slot.lent
            if not np.may_share_memory(target, slot.lent):
                np.copyto(target, slot.lent)
            return target
        target = np.empty(spec.shape, spec.dtype.api) if target is None else target
        array = np.asarray(target)  # whatever class of arrays it is
        if stored is not None:
            self._settle()
        elif array.flags.c_contiguous and spec.layout == PLAIN:
            self._receive(slot.buffer, array.view(spec.dtype.storage))
            return target
        else:
            stored = self._receive(slot.buffer, np.empty(spec.layout.physical(spec.shape), spec.dtype.storage))
        np.copyto(array, spec.layout.unpack(stored, spec.shape), casting="unsafe")
        return target

    def _receive(self, buffer: Any, array: np.ndarray) -> np.ndarray:
        """As Queue.read: nothing is under way afterwards."""
        self.queue.read(buffer, array)
        self._under_way = self._under_way and not array.nbytes
        return array

    def close(self) -> None:
        """Gives its memory back."""
        self._launches, self._borrowers, self._inputs, self._outputs, self._memory = [], [], {}, {}, {}
        release(self.device, self._buffers, os.getpid())
        if self._beside is None:
            release(self.device, self._states, os.getpid())
