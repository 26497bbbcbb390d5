"""Kernels that show a device's ceilings: multiply-adds in registers, and a copy through memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.target import Target

GROUPS_PER_UNIT = 8
SCALAR_CHAINS = 8
"""Where a device puts work-items into lanes, these hide the latency of one chain together with the other work-items."""


@dataclass(frozen=True)
class PeakFma(Kernel):
    """`chains` independent vectors per work-item, each `rounds` times a = a * factor + term; y: one float per item."""

    stem: ClassVar[str] = "peak_fma"
    width: int
    chains: int
    rounds: int
    groups: int
    local: int
    factor: str = "0.5f"
    term: str = "0.75f"

    @property
    def title(self) -> str:
        return f"{self.items} work-items, {self.chains} chains of {self.rounds} multiply-adds, {self.width} lanes"

    @property
    def items(self) -> int:
        return self.groups * self.local

    @property
    def flops(self) -> int:
        """Of one launch; a multiply-add counts two."""
        return 2 * self.items * self.chains * self.rounds * self.width

    @property
    def type(self) -> str:
        return "float" if self.width == 1 else f"float{self.width}"

    @property
    def sum(self) -> str:
        """C text: all lanes of all chains added."""
        lanes = [""] if self.width == 1 else [f".s{lane:x}" for lane in range(self.width)]
        return " + ".join(f"total{lane}" for lane in lanes)

    @property
    def global_size(self) -> tuple[int, ...]:
        return (self.items,)

    @property
    def local_size(self) -> tuple[int, ...]:
        return (self.local,)


@dataclass(frozen=True)
class PeakCopy(GridKernel):
    """y[i] = x[i] for `count` vectors of `width` floats."""

    stem: ClassVar[str] = "peak_copy"
    count: int
    width: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.count} vectors of {self.width} floats"

    @property
    def bytes(self) -> int:
        """Read and written by one launch."""
        return 2 * 4 * self.count * self.width


def peak_fma(target: Target, rounds: int) -> PeakFma:
    """Fills the registers of every compute unit."""
    vectors = target.vector_width > 1
    chains = target.vector_registers * 3 // 4 if vectors else SCALAR_CHAINS
    local = 1 if vectors else min(target.work_group, target.max_work_group)
    return PeakFma(target.vector_width, chains, rounds, target.compute_units * GROUPS_PER_UNIT, local)


def peak_copy(target: Target, floats: int) -> PeakCopy:
    """Of about `floats` floats."""
    width = max(4, target.vector_width)
    count = max(1, floats // width)
    return PeakCopy(count, width, Grid.of(count, target, width if target.vector_width > 1 else 1))
