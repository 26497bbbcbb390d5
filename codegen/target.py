"""Target: the device facts that generated code may depend on."""

from __future__ import annotations

from dataclasses import dataclass, replace

CACHE_SHARE = 4
"""Of the last cache the tensors of a kernel may fill one part in so many: those of its neighbours must be there, too,
and it is not ours alone."""


@dataclass(frozen=True)
class Target:
    """Sizes in bytes unless named otherwise.

    vector_width: float32 lanes of one vector register (1: scalar code, the device vectorises across work-items).
    vector_registers: how many such registers one work-item can keep values in.
    work_group: preferred work-items per group of kernels whose work-items are independent.
    max_argument_bytes: CL_DEVICE_MAX_PARAMETER_SIZE. alignment: of the start of a part of a buffer.
    unified_memory: device buffers are host memory.
    separate_buffers: every tensor has a buffer of its own, for devices that see stray accesses between buffers.
    forward_progress: a work-group that has begun goes on whatever others do, as threads of an operating system do.
    divisible: requests at one time gain from having units of their own.
    cache, near_cache: of a CPU, the last one, which its units share, and the one before; 0 elsewhere.
    local_memory: real local memory that a work-group may use; 0 where local memory is ordinary memory.
    """

    name: str
    vector_width: int
    vector_registers: int
    compute_units: int
    work_group: int
    max_work_group: int
    max_allocation: int
    global_memory: int
    unified_memory: bool
    max_argument_bytes: int = 1024
    alignment: int = 128
    local_memory: int = 0
    separate_buffers: bool = False
    forward_progress: bool = False
    divisible: bool = False
    cache: int = 0
    near_cache: int = 0
    build_options: tuple[str, ...] = ("-cl-std=CL1.2",)

    @property
    def tiles(self) -> bool:
        """Whether work-groups gain from sharing tiles in local memory, their lanes being work-items."""
        return self.vector_width == 1 and self.local_memory > 0

    def parts(self, wanted: int) -> int:
        """Into how many equal parts the units can be divided, `wanted` at most, so that work on one does not wait for
        another."""
        if not self.divisible:
            return 1
        return max(count for count in range(1, min(wanted, self.compute_units) + 1) if self.compute_units % count == 0)

    def part(self, wanted: int) -> Target:
        """One of these parts."""
        return replace(self, compute_units=self.compute_units // self.parts(wanted))

    @classmethod
    def generic(cls, vector_width: int = 8) -> Target:
        """A plausible device for rendering without one."""
        return cls(
            name="generic", vector_width=vector_width, vector_registers=32 if vector_width == 16 else 16,
            compute_units=2, work_group=64, max_work_group=1024, max_allocation=1 << 30,
            global_memory=1 << 32, unified_memory=True,
        )  # fmt: skip

    @classmethod
    def gpu(cls, local_memory: int = 32 << 10, max_work_group: int = 256, compute_units: int = 8) -> Target:
        """A plausible device that puts work-items into lanes and has real local memory, for rendering without one."""
        return cls(
            name="gpu", vector_width=1, vector_registers=16, compute_units=compute_units,
            work_group=min(128, max_work_group), max_work_group=max_work_group, max_allocation=1 << 30,
            global_memory=1 << 32, unified_memory=False, local_memory=local_memory,
        )  # fmt: skip
