"""Plan + device -> Executable: every argument bound once, a run enqueues the whole plan in one in-order queue."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from nnef_cl.codegen.kernel import pack_into
from nnef_cl.device.ahead import Job, Launch
from nnef_cl.device.cache import Cache
from nnef_cl.device.manager import Device
from nnef_cl.device.memory import HostMemory
from nnef_cl.device.sources import program_source
from nnef_cl.errors import InputError, located
from nnef_cl.format.tensor_file import give_pages_back
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.plan.records import FLAG_BYTES, Buffer, Plan, Step, Weight

Progress = Callable[[str, int, int], None]
PROGRAM_KERNELS = 8
"""Kernels of one program: a build costs about 0.1 s whatever its size, but several processes build at once."""
PACKERS = 2
"""Threads that pack weights: what they do is mostly numpy's, which lets other threads run."""


class Executable:
    """One plan on one device. Not thread-safe: kernels keep their arguments."""

    def __init__(self, plan: Plan, device: Device, progress: Progress | None = None) -> None:
        self.plan, self.device = plan, device
        self._progress = progress or (lambda stage, done, total: None)
        self._buffers: dict[Buffer, Any] = {}
        weakref.finalize(self, _release, device, self._buffers, os.getpid()).atexit = False
        self._launched = False
        self._packing: _Packing | None = None
        states = [state.spec.bytes for state in plan.states]
        sizes = sorted([*states, *(weight.bytes for weight in plan.weights)])
        largest, staging = max([*plan.arenas, *sizes[-1:]]), sum(sizes[-PACKERS:])
        device.check_budget(plan.bytes, largest, staging)

    def compile(self) -> None:
        """Renders and builds the plan's kernels, as several programs at once where there are many. Another thread packs
        the weights meanwhile where they can become buffers as they are."""
        if self.device.uses_host_memory:
            self._packing = _Packing(self.plan.weights)
        jobs, total = jobs_of(self.plan, self.device.programs.cache), len(self.plan.kernels)
        sizes = [len(job.launches) for job in jobs]
        self._progress("compile", 0, total)
        self.device.build_ahead(jobs, lambda done: self._progress("compile", sum(sizes[:done]), total))
        self._functions: dict[str, Any] = {}
        for job in jobs:
            self._functions |= dict.fromkeys(job.kernels, self.device.build(job.source, note=job.note))
            self._progress("compile", len(self._functions), total)

    def upload(self) -> None:
        """Packs and copies the weights, makes the slots, binds every kernel's arguments."""
        weights = map(self.device.buffer_of, self._packing) if self._packing is not None else self._copied()
        for index, buffer in enumerate(weights):
            self._buffers[Buffer("weight", index)] = buffer
            self._progress("upload", index + 1, len(self.plan.weights))
        self._packing = None
        for index, state in enumerate(self.plan.states):
            self._buffers[Buffer("state", index)] = self.device.buffer(state.spec.bytes)
            self.reset_state(index)
        for index, size in enumerate(self.plan.arenas):
            self._buffers[Buffer("arena", index)] = self.device.buffer(size)
        for index in range(len(self.plan.faults)):
            self._buffers[Buffer("fault", index)] = self.device.buffer(FLAG_BYTES)
            self._clear(index)
        self._launches = [self._bind(step) for step in self.plan.steps]

    def _copied(self) -> Iterator[Any]:
        for weight in self.plan.weights:
            buffer = self.device.buffer(weight.bytes)
            self.device.write(buffer, weight.pack(weight.constant.array))
            give_pages_back(weight.constant.stored)
            yield buffer

    def _bind(self, step: Any) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
        name, buffers = step.kernel.name, [self._buffer(b) for b in step.arguments]
        kernel = self.device.kernel(self._functions[name], name, buffers, f"of {step.op} '{step.node}'")
        return kernel, step.kernel.global_size, step.kernel.local_size

    def _buffer(self, place: Buffer) -> Any:
        """The device's buffer; a part of one is made when it is first asked for."""
        if place not in self._buffers:
            self._buffers[place] = self.device.part(self._buffers[place.whole], place.offset, place.bytes)
        return self._buffers[place]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """inputs: arrays as they are stored (a model's are plain), C-contiguous. Returns logical arrays in API types.

        Raises InputError where a kernel reports what is wrong with the data it got. The variables get their new values
        when everything else has succeeded: a run that fails changes none.
        """
        places = {name: self._buffer(self.plan.inputs[name][0]) for name in inputs}
        # Reading the outputs waits for these copies, too; a wait for each would cost a thread's wake-up.
        sent = [self.device.send(places[name], array) for name, array in inputs.items()]
        self.enqueue()
        if not self._launched:
            self.device.finish()
            self.device.programs.keep_launched()
            self._launched = True
        self._check_faults()
        outputs = {name: self._read(*place) for name, place in self.plan.outputs.items()}
        del sent
        for copy in self.plan.commits:
            self.device.copy(self._buffer(copy.source), self._buffer(copy.target), copy.bytes)
        return outputs

    def read_state(self, index: int) -> np.ndarray:
        """A variable's logical array in its API type."""
        return self._read(Buffer("state", index), self.plan.states[index].spec)

    def write_state(self, index: int, array: np.ndarray) -> None:
        """array: logical, in the storage type."""
        self.device.write(self._buffers[Buffer("state", index)], array)

    def reset_state(self, index: int) -> None:
        """Gives a variable the value of the file."""
        state = self.plan.states[index]
        self.write_state(index, np.asarray(state.constant.array, state.spec.dtype.storage))

    def enqueue(self) -> list[Any]:
        """Enqueues every launch; returns their events."""
        import pyopencl as cl  # noqa: PLC0415

        queue, launch = self.device.queue, cl.enqueue_nd_range_kernel
        with self.device.translated("running the network"):
            return [launch(queue, kernel, size, local) for kernel, size, local in self._launches]

    def _check_faults(self) -> None:
        """Raises the first fault of the run in order of execution; no flag stays set."""
        found = []
        for index, fault in enumerate(self.plan.faults):
            flag = np.zeros(1, np.int32)
            self.device.read(self._buffers[Buffer("fault", index)], flag)
            if flag[0]:
                found.append(fault)
                self._clear(index)
        if found:
            raise InputError(located(found[0].message, found[0].position or None, found[0].op, found[0].node))

    def _clear(self, index: int) -> None:
        self.device.write(self._buffers[Buffer("fault", index)], np.zeros(1, np.int32))

    def device_seconds(self) -> list[float]:
        """One more run with the inputs as they are, which updates no variable: the seconds of every step (needs a
        profiling device)."""
        events = self.enqueue()
        self.device.finish()
        with self.device.translated("reading the profile"):
            return [(event.profile.end - event.profile.start) * 1e-9 for event in events]

    def _read(self, buffer: Buffer, spec: TensorSpec) -> np.ndarray:
        stored = np.empty(spec.layout.physical(spec.shape), spec.dtype.storage)
        self.device.read(self._buffer(buffer), stored)
        return spec.layout.unpack(stored, spec.shape).astype(spec.dtype.api, copy=False)

    def close(self) -> None:
        """Gives all memory back."""
        if self._packing is not None:
            self._packing.cancel()
        self._packing = None
        self._launches = []
        self._functions = {}
        _release(self.device, self._buffers, os.getpid())


class _Packing:
    """Another thread that packs weights into memory of this process."""

    def __init__(self, weights: Sequence[Weight]) -> None:
        self._memory = HostMemory([weight.bytes for weight in weights])
        pool = ThreadPoolExecutor(PACKERS)
        pairs = zip(weights, self._memory.arrays, strict=True)
        self._steps = [pool.submit(self._pack, weight, memory) for weight, memory in pairs]
        pool.shutdown(wait=False)

    @staticmethod
    def _pack(weight: Weight, memory: np.ndarray) -> np.ndarray:
        pack_into(weight.pack, weight.constant.array, memory)
        give_pages_back(weight.constant.stored)
        return memory

    def __iter__(self) -> Iterator[np.ndarray]:
        """The packed weights in order, each as soon as it is ready."""
        for step in self._steps:
            yield step.result()
        self._memory.settle()

    def cancel(self) -> None:
        for step in self._steps:
            step.cancel()


def _release(device: Device, buffers: dict[Buffer, Any], owner: int) -> None:
    """Gives all of them back, unless this is a forked child: they are its parent's."""
    if os.getpid() == owner:
        while buffers:
            device.release(buffers.popitem()[1])


def jobs_of(plan: Plan, cache: Cache) -> list[Job]:
    """The plan's kernels, dealt out to programs of about PROGRAM_KERNELS so that neighbours, which are alike, take
    turns; with one launch of each."""
    kernels = plan.kernels
    steps = {step.kernel: step for step in reversed(plan.steps)}
    count = max(1, round(len(kernels) / PROGRAM_KERNELS)) if kernels else 0
    parts = [kernels[start::count] for start in range(count)]
    return [
        Job(program_source(part, cache, plan.name), plan.name, [_launch(plan, steps[kernel]) for kernel in part])
        for part in parts
    ]


def _launch(plan: Plan, step: Step) -> Launch:
    sizes = [plan.bytes_of(buffer) for buffer in step.arguments]
    return Launch(step.kernel.name, step.kernel.global_size, step.kernel.local_size, sizes)
