"""Plan + device -> Executable: the programs, built, and the weights, packed and copied."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from nnef_cl.codegen.kernel import Kernel, pack_into
from nnef_cl.codegen.kernels.chain import DONE, Chain, stage_kernels
from nnef_cl.device.ahead import Job, Launch
from nnef_cl.device.cache import Cache
from nnef_cl.device.manager import Device
from nnef_cl.device.memory import HostMemory
from nnef_cl.device.sources import program_source
from nnef_cl.format.tensor_file import give_pages_back
from nnef_cl.plan.records import Plan, Step, Weight

Progress = Callable[[str, int, int], None]
PROGRAM_KERNELS = 8
"""Kernels of one program: a build costs about 0.1 s whatever its size, but several processes build at once."""
PACKERS = 2
"""Threads that pack weights: what they do is mostly numpy's, which lets other threads run."""


class Executable:
    """One plan's programs and weights on one device, which any number of streams share.

    functions: kernel name -> the program that holds it; weights: device buffers, by number in the plan; weight_bytes:
    of those that are its own.
    """

    def __init__(
        self, plan: Plan, device: Device, progress: Progress | None = None, streams: int = 1,
        lender: Executable | None = None,
    ) -> None:  # fmt: skip
        """streams: how many there will be. lender: another plan's on this device, with its weights there; those that
        are the same are not made again. Raises OutOfMemoryError where there is not enough memory."""
        self.plan, self.device = plan, device
        self.functions: dict[str, Any] = {}
        self._lender = lender  # whose memory must not go before
        self.weights: dict[int, Any] = {} if lender is None else lender.same_weights(plan)
        self._made = [index for index in range(len(plan.weights)) if index not in self.weights]
        self._own: dict[int, Any] = {}
        self.launched = False
        self._progress = progress or (lambda stage, done, total: None)
        weakref.finalize(self, release, device, self._own, os.getpid()).atexit = False
        self._packing: _Packing | None = None
        states = [state.spec.bytes for state in plan.states]
        own = [weight.bytes for weight in self._own_weights]
        self.weight_bytes = sum(own)
        sizes = sorted([*states, *own])
        largest, staging = max([*plan.arenas, *plan.loans, *sizes[-1:]], default=0), sum(sizes[-PACKERS:])
        device.check_budget(self.weight_bytes + streams * plan.stream_bytes, largest, staging)

    @property
    def _own_weights(self) -> list[Weight]:
        return [self.plan.weights[index] for index in self._made]

    def same_weights(self, plan: Plan) -> dict[int, Any]:
        """The buffers that hold what another plan's weights are, by their numbers there."""
        own = {_content(weight): self.weights[index] for index, weight in enumerate(self.plan.weights)}
        contents = map(_content, plan.weights)
        return {index: own[content] for index, content in enumerate(contents) if content in own}

    def compile(self) -> None:
        """Renders and builds the plan's kernels, as several programs at once where there are many. Another thread packs
        the weights meanwhile where they can become buffers as they are."""
        if self.device.uses_host_memory:
            self._packing = _Packing(self._own_weights)
        jobs = jobs_of(self.plan, self.device.programs.cache)
        sizes = [job.parts for job in jobs]
        total = sum(sizes)
        self._progress("compile", 0, total)
        self.device.build_ahead(jobs, lambda done: self._progress("compile", sum(sizes[:done]), total))
        for number, job in enumerate(jobs):
            self.functions |= dict.fromkeys(job.kernels, self.device.build(job.source, note=job.note))
            self._progress("compile", sum(sizes[: number + 1]), total)

    def upload(self) -> None:
        """Packs and copies the weights that nobody lends."""
        weights = map(self.device.buffer_of, self._packing) if self._packing is not None else self._copied()
        for done, (index, buffer) in enumerate(zip(self._made, weights, strict=True), 1):
            self._own[index] = self.weights[index] = buffer
            self._progress("upload", done, len(self._made))
        self._packing = None

    def _copied(self) -> Iterator[Any]:
        for weight in self._own_weights:
            buffer = self.device.buffer(weight.bytes)
            self.device.queue.write(buffer, weight.pack(weight.constant.array))
            give_pages_back(weight.constant.stored)
            yield buffer

    def keep_launched(self) -> None:
        """To be called when every kernel has been launched once: some drivers compile only then."""
        self.launched = True
        self.device.programs.keep_launched()

    def close(self) -> None:
        """Gives the weights' memory back."""
        if self._packing is not None:
            self._packing.cancel()
        self._packing = None
        self.functions = {}
        self.weights = {}
        release(self.device, self._own, os.getpid())


def new_bytes(plan: Plan, lender: Plan) -> int:
    """Of the plan's weights that the lender's are not."""
    there = set(map(_content, lender.weights))
    return sum(weight.bytes for weight in plan.weights if _content(weight) not in there)


def _content(weight: Weight) -> Hashable:
    """Equal where two weights, both alive, hold the same bytes."""
    factors = tuple((factor.shape, factor.dtype.str, factor.tobytes()) for factor in weight.constant.factors)
    return id(weight.constant.stored), factors, weight.pack, weight.bytes


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


def release(device: Device, buffers: dict[Any, Any], owner: int) -> None:
    """Gives all of them back, unless this is a forked child: they are its parent's."""
    if os.getpid() == owner:
        while buffers:
            device.release(buffers.popitem()[1])


def jobs_of(plan: Plan, cache: Cache) -> list[Job]:
    """A program for each chain; other kernels are dealt out to programs of about PROGRAM_KERNELS so that neighbours,
    which are alike, take turns. With one launch of each."""
    chains = [kernel for kernel in plan.launched if isinstance(kernel, Chain)]
    others = [kernel for kernel in plan.launched if not isinstance(kernel, Chain)]
    count = max(1, round(len(others) / PROGRAM_KERNELS)) if others else 0
    programs: list[list[Kernel]] = [[chain] for chain in chains]
    programs += [others[start::count] for start in range(count)]
    return [_job(plan, kernels, cache) for kernels in programs]


def _job(plan: Plan, kernels: Sequence[Kernel], cache: Cache) -> Job:
    steps = {step.kernel: step for step in reversed(plan.launches)}
    launches = [_launch(plan, steps[kernel]) for kernel in kernels]
    parts = sum(max(1, len(stage_kernels([kernel]))) for kernel in kernels)
    return Job(program_source(kernels, cache, plan.name), plan.name, launches, parts)


def _launch(plan: Plan, step: Step) -> Launch:
    """A chain's finds nothing left to do and touches its counters alone: the whole network would take a run's time."""
    sizes = [plan.bytes_of(buffer) for buffer in step.arguments]
    chain = isinstance(step.kernel, Chain)
    if chain:
        sizes[:-1] = [1] * (len(sizes) - 1)
    return Launch(step.kernel.name, step.kernel.global_size, step.kernel.local_size, sizes, DONE if chain else 0)
