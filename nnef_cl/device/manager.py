"""Open devices: context, queue, program builds, buffers and the account of their memory."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnef_cl.codegen.target import Target
from nnef_cl.device import environment
from nnef_cl.device.ahead import Finished, Job, build_ahead
from nnef_cl.device.cache import default_cache
from nnef_cl.device.config import active_rules
from nnef_cl.device.discovery import Discovery, find_devices
from nnef_cl.device.facts import DeviceInfo
from nnef_cl.device.memory import ALIGNMENT
from nnef_cl.device.opencl import check_process, opencl, shortened, translated
from nnef_cl.device.programs import BuildError, Programs
from nnef_cl.device.queue import Queue
from nnef_cl.device.rules import Rules
from nnef_cl.device.selectors import Choice, describe, select, select_group
from nnef_cl.device.targets import make_target
from nnef_cl.device.trust import Trust
from nnef_cl.errors import DeviceError, OutOfMemoryError

if TYPE_CHECKING:
    from pyopencl import Buffer, Context, Kernel, Program


UNIT = 128
"""Bytes; OpenCL's largest alignment. Devices work on the host's memory where buffers are whole numbers of them."""


class Device:
    """One opened device, shared by every session that uses it: its methods may be called from any thread.

    info: facts; target: what generated code may know; reason: why the last caller to open it got it; context:
    pyopencl's; queue: one for whatever needs none of its own; parts: what its queues share its units out to, target
    being one of them. Every method raises DeviceError in a forked child.
    """

    def __init__(
        self, choice: Choice, target: Target, rules: Rules, profiling: bool = False, divides: Device | None = None,
        parts: int = 1,
    ) -> None:  # fmt: skip
        """Opens it; DeviceError where the driver refuses. divides: the device that this one is the parts of."""
        cl = opencl()
        self._choice, self._rules, self.parts = choice, rules, parts
        self.info: DeviceInfo = choice.device.info
        self.target = target
        self.reason = choice.reason
        self.profiling = profiling
        self._handle = choice.device.handle
        # Buffer handle -> bytes, of all parts; single steps only, so it needs no lock.
        self._sizes: dict[int, int] = {} if divides is None else divides._sizes
        try:
            self._handles = [self._handle] if parts == 1 else _parts(self._handle, parts)
            self.context: Context = cl.Context(self._handles)
            self.queue = self.new_queue()
        except (cl.Error, DeviceError) as error:
            raise DeviceError(_cannot_open(self.info, error)) from error
        kind = rules.program_cache(self.info)
        self.programs = Programs(self.context, self._handles, self.info, default_cache(), kind)

    @property
    def name(self) -> str:
        """For people: name, platform and type."""
        return describe(self.info)

    @property
    def allocated(self) -> int:
        """Bytes in buffers now."""
        return sum(list(self._sizes.values()))

    def build(self, source: str, options: Sequence[str] | None = None, note: str = "") -> Program:
        """Source text -> built program, from the cache where it is there. options: the target's where None; note: what
        the cache says about it. DeviceError has the log's start."""
        flags = " ".join(self.target.build_options if options is None else options)
        check_process()
        try:
            return self.programs.build(source, flags, note)
        except (BuildError, opencl().Error) as error:
            raise DeviceError(f"{self.name}: a kernel does not build: {shortened(str(error))}") from error

    def build_ahead(self, jobs: Sequence[Job], finished: Finished) -> None:
        """Has programs that the cache lacks built by several processes at once, on CPUs; `build` finds them then."""
        options = " ".join(self.target.build_options)
        missing = [job for job in jobs if self.programs.lacks(job.source, options)]
        if self.info.type == "cpu" and len(missing) > 1:
            setting = {
                "index": self.info.index, "platform": self.info.platform, "name": self.info.name,
                "options": options, "kind": self.programs.kind,
            }  # fmt: skip
            build_ahead(setting, missing, finished)

    def kernel(self, program: Program, name: str, buffers: Sequence[Buffer | None], purpose: str = "") -> Kernel:
        """A kernel of the program with its arguments bound, but for None; the caller keeps the buffers. purpose: for
        messages."""
        cl = opencl()
        with self.translated(f"making the kernel {purpose or name}"):
            kernel: Kernel = cl.Kernel(program, name)
            kernel.set_args(*buffers)
        return kernel

    def new_queue(self, number: int = 0) -> Queue:
        """A queue beside the others, on part `number` of the device, counted round and round."""
        handle = self._handles[number % len(self._handles)]
        return Queue(self.context, handle, self.name, profiling=self.profiling, in_place=self.target.unified_memory)

    def divided(self, parts: int) -> Device:
        """The device with its units shared out to queues, so that requests that run at one time have cores and caches
        of their own; itself where that gains nothing and where its driver does not divide it."""
        parts = self.target.parts(parts)
        as_told = self._handle.max_compute_units == self.target.compute_units  # a rule may say another number
        if parts < 2 or self.parts > 1 or not as_told:
            return self
        target = self.target.part(parts)
        key = (self._handle.int_ptr, parts, target)
        with _open_lock:
            if key not in _open:
                try:
                    _open[key] = Device(self._choice, target, self._rules, divides=self, parts=parts)
                except DeviceError:
                    return self
            device = _open[key]
            device.reason = self.reason
            return device

    def buffer(self, nbytes: int) -> Buffer:
        """A buffer of nbytes (one byte for 0: OpenCL has no empty ones), undefined content. Give it back with
        `release`. OutOfMemoryError where it cannot be had."""
        self.check_budget(nbytes, nbytes)
        cl = opencl()
        with self.translated(f"allocating {_size(nbytes)}"):
            buffer: Buffer = cl.Buffer(self.context, cl.mem_flags.READ_WRITE, max(1, nbytes))
        self._sizes[buffer.int_ptr] = nbytes
        return buffer

    def part(self, buffer: Buffer, offset: int, nbytes: int) -> Buffer:
        """`nbytes` bytes of a buffer from byte `offset` on, a multiple of the target's alignment, as a buffer.
        It lives as long as the whole. Commands on parts that overlap must be in one queue."""
        with self.translated("making a part of a buffer"):
            part: Buffer = buffer.get_sub_region(offset, nbytes)
        return part

    def open_buffer(self, nbytes: int) -> tuple[Buffer, np.ndarray | None]:
        """A buffer as `buffer` makes it, and its bytes as an array where the host may read and write them whenever no
        command under way uses them, without a command of its own; None elsewhere. The array may outlive the buffer."""
        if not self.opens_memory:
            return self.buffer(nbytes), None
        self.check_budget(nbytes, nbytes)
        cl = opencl()
        flags = cl.svm_mem_flags.READ_WRITE | cl.svm_mem_flags.SVM_FINE_GRAIN_BUFFER
        with self.translated(f"allocating {_size(nbytes)}"):
            shared = cl.SVMAllocation(self.context, -(-max(1, nbytes) // UNIT) * UNIT, UNIT, flags)
        memory = np.frombuffer(shared.buf, np.uint8)
        buffer = self.buffer_of(memory)
        self._sizes[buffer.int_ptr] = nbytes
        return buffer, memory[:nbytes]

    @cached_property
    def opens_memory(self) -> bool:
        """Whether `open_buffer` gives arrays: host and kernels can take turns with memory that is never mapped (OpenCL
        2.0, 3.3.3: fine-grained buffers), and it is as fast as any."""
        cl = opencl()
        try:
            fine = self._handle.svm_capabilities & cl.device_svm_capabilities.FINE_GRAIN_BUFFER
        except (cl.Error, AttributeError):  # OpenCL 1.2
            return False
        return bool(fine) and self.uses_host_memory and not self.target.separate_buffers

    @cached_property
    def borrows_memory(self) -> bool:
        """Whether `lent` works: kernels reach all memory of the process (OpenCL 2.0, 3.3.3: fine-grained system), or a
        buffer of memory that begins anywhere is that memory."""
        return self.opens_memory and (self._reaches_all_memory or self._buffers_are_memory())

    def lent(self, array: np.ndarray, offset: int, nbytes: int) -> Any:
        """A kernel's argument that is `nbytes` bytes of a C-contiguous array from byte `offset` on. Both must stay
        until commands that use them are done."""
        cl = opencl()
        memory = (ctypes.c_char * nbytes).from_address(array.ctypes.data + offset)  # of arrays that are read-only, too
        if self._reaches_all_memory:
            return cl.SVM(memory)
        return cl.Buffer(self.context, cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR, hostbuf=memory)

    @cached_property
    def _reaches_all_memory(self) -> bool:
        return bool(self._handle.svm_capabilities & opencl().device_svm_capabilities.FINE_GRAIN_SYSTEM)

    def _buffers_are_memory(self) -> bool:
        """Tried with a few bytes that begin as numpy's arrays may: other runtimes copy such memory."""
        memory = np.zeros(3 * UNIT, np.uint8)
        begin = -memory.ctypes.data % UNIT + UNIT // 8
        buffer = self.lent(memory, begin, UNIT)
        with self.translated("filling a buffer"):
            opencl().enqueue_fill_buffer(self.queue.handle, buffer, np.uint8(1), 0, UNIT)
        self.queue.finish()
        return bool(memory[begin : begin + UNIT].all())

    @property
    def uses_host_memory(self) -> bool:
        """Whether `buffer_of` makes buffers: the device works on the host's memory as fast as on any."""
        return self.target.unified_memory and self.info.type == "cpu"

    def buffer_of(self, memory: np.ndarray) -> Buffer:
        """A buffer that is the array, one of a HostMemory, with what it holds; nobody may write to that any more. Give
        it back with `release`."""
        cl = opencl()
        with self.translated(f"using {_size(memory.nbytes)}"):
            flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
            buffer: Buffer = cl.Buffer(self.context, flags, hostbuf=memory)
        self._sizes[buffer.int_ptr] = memory.nbytes
        return buffer

    def pinned(self, sizes: Sequence[int]) -> list[np.ndarray]:
        """Arrays of bytes in the host's memory, of these sizes, zero at first, which the device copies as fast as it
        can. The memory is free when its arrays are."""
        cl = opencl()
        starts = list(itertools.accumulate((-(-size // ALIGNMENT) * ALIGNMENT for size in sizes), initial=0))
        with self.translated(f"allocating {_size(starts[-1])} of pinned memory"):
            flags = cl.mem_flags.READ_WRITE | cl.mem_flags.ALLOC_HOST_PTR
            buffer = cl.Buffer(self.context, flags, max(1, starts[-1]))
            queue, access = self.queue.handle, cl.map_flags.READ | cl.map_flags.WRITE
            shape = (max(1, starts[-1]),)
            whole, _ = cl.enqueue_map_buffer(queue, buffer, access, 0, shape, np.uint8, is_blocking=True)
        whole[:] = 0
        return [whole[start : start + size] for start, size in zip(starts, sizes, strict=False)]

    def release(self, buffer: Buffer) -> None:
        """Frees a buffer of this device; nothing happens where that was done before."""
        check_process()
        if self._sizes.pop(_pointer(buffer), None) is not None:
            buffer.release()

    def check_budget(self, need: int, largest: int = 0, staging: int = 0) -> None:
        """OutOfMemoryError unless `need` more bytes fit, the largest buffer of them being `largest` bytes.

        staging: bytes of the host's memory that filling the buffers takes for a while.

        Needed because CPU runtimes promise any amount and the process dies when it touches the memory.
        """
        check_process()
        limit = self.target.max_allocation
        if limit and largest > limit:
            raise OutOfMemoryError(
                f"{self.name}: a buffer of {_size(largest)} needed; the device allows at most {_size(limit)}"
            )
        left = self.target.global_memory - self.allocated if self.target.global_memory else None
        host = available_host_memory() if self.target.unified_memory or self.info.type == "cpu" else None
        known = [amount for amount in (left, host - staging if host is not None else None) if amount is not None]
        if known and need > min(known):
            raise OutOfMemoryError(
                f"{self.name}: {_size(need)} of memory needed; {_size(max(0, min(known)))} free of "
                f"{_size(self.target.global_memory)} ({_size(self.allocated)} used by nnef-cl)"
            )

    def translated(self, action: str) -> contextlib.AbstractContextManager[None]:
        """Turns errors of pyopencl inside the block into ours; action: what was tried, for the message."""
        return translated(self.name, action)

    def close(self) -> None:
        """Forgets the device and its parts: the next `open_device` makes a new context. Buffers in use stay valid."""
        check_process()
        with _open_lock:
            for key in [key for key, device in _open.items() if device._sizes is self._sizes]:
                del _open[key]


_open: dict[tuple[int, int, Target], Device] = {}
"""By handle, parts (0: for profiling) and target."""
_open_lock = threading.Lock()


def discover(likely: str | None = None) -> Discovery:
    """Every device of this machine whose runtime does not break the process; notes tell of the others. likely: the
    selector that will be used, for which a trial may be saved."""
    rules = active_rules()
    environment.request_threads(rules.threads if environment.threads() is None else None)
    known = rules.runtimes
    threads, pins, folders = ([one.variable for one in v] for v in (known.threads, known.pinned, known.cache_folder))
    environment.prepare(threads, pins, folders, default_cache())
    check_process()
    broken = trust().broken_libraries(likely)
    found = find_devices(broken)
    return replace(found, notes=(*found.notes, *(f"{name} is left out: {why}" for name, why in broken.items())))


@lru_cache(maxsize=1)
def trust() -> Trust:
    """This process's verdicts about runtimes and devices."""
    return Trust(default_cache())


def choose_device(selector: str | None = None, *, rules: Rules | None = None) -> Choice:
    """Finds the devices and chooses one (see `select` for selectors); a device that does not compute rightly is not
    chosen."""
    rules = active_rules() if rules is None else rules
    return select(discover(selector), selector, rules, lambda info: problem_of(info, rules))


def problem_of(info: DeviceInfo, rules: Rules) -> str:
    """Why a device cannot be used: a rule's reason or its verdict; '' where nothing is known against it."""
    known = rules.broken_because(info)
    if known:
        return known
    problem = trust().verdict(info).problem
    return problem and problem + _hint(info)


def open_device(selector: str | None = None, *, rules: Rules | None = None, profiling: bool = False) -> Device:
    """Chooses and opens a device. Opening is costly, so a process opens a device once per setting of `profiling`, and
    callers share it."""
    return open_chosen(choose_device(selector, rules=rules), rules=rules, profiling=profiling)


def open_devices(
    selector: str | None = None, *, rules: Rules | None = None, profiling: bool = False
) -> tuple[Device, ...]:
    """As `open_device`, for a selector that may name several."""
    rules = active_rules() if rules is None else rules
    chosen = select_group(discover(selector), selector, rules, lambda info: problem_of(info, rules))
    return tuple(open_chosen(choice, rules=rules, profiling=profiling) for choice in chosen)


def open_chosen(choice: Choice, *, rules: Rules | None = None, profiling: bool = False) -> Device:
    """Opens the device of a choice made before, or returns it where it is open already."""
    check_process()
    rules = active_rules() if rules is None else rules
    target = target_of(choice, rules)
    if profiling:  # every step is launched alone, so that it has a time of its own
        target = replace(target, forward_progress=False, divisible=False)
    key = (choice.device.handle.int_ptr, int(not profiling), target)
    with _open_lock:
        if key not in _open:
            _open[key] = Device(choice, target, rules, profiling)
        device = _open[key]
        device.reason = choice.reason
        return device


def target_of(choice: Choice, rules: Rules) -> Target:
    """What generated code may know about the chosen device."""
    info = choice.device.info
    tried = trust().capabilities(info) if info.type != "cpu" else None  # CPUs are programmed by their facts alone
    return make_target(info, rules, tried, choice.name, environment.threads())


def available_host_memory() -> int | None:
    """Bytes the process may still touch: free memory or, where less, a container's limit. None: unknown."""
    amounts = [amount for amount in (_meminfo_available(), _cgroup_limit()) if amount is not None]
    return min(amounts) if amounts else None


def _meminfo_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _cgroup_limit() -> int | None:
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # ValueError: "max", no limit
        return None


def _parts(handle: Any, count: int) -> list[Any]:
    """That many devices, each of as many of the device's units. Raises pyopencl's error where it has none."""
    each = handle.max_compute_units // count
    found: list[Any] = handle.create_sub_devices([opencl().device_partition_property.EQUALLY, each])
    return found[:count]


def _cannot_open(info: DeviceInfo, error: Exception) -> str:
    return f"{describe(info)}: cannot be opened: {error}{_hint(info)}"


def _hint(info: DeviceInfo) -> str:
    """The end of a message about a device that does not work, where the cause is known."""
    if " " not in info.library:
        return ""
    return (
        f"; this runtime cannot work from a path with a space ({Path(info.library).parent}): "
        "put the Python environment into a folder without one"
    )


def _pointer(buffer: Any) -> int:
    """The buffer's handle, 0 after its release."""
    try:
        return int(buffer.int_ptr)
    except opencl().Error:
        return 0


def _size(nbytes: int) -> str:
    """Bytes for people, in binary units."""
    amount = float(nbytes)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
