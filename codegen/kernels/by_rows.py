"""By rows: a work-group takes one row of a batch through many kernels, in memory of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.kernel import Kernel


@dataclass(frozen=True)
class RowPlace:
    """Where an argument of a kernel lies: in the argument number `pointer`, None: in the worker's own memory; from
    byte `offset` on, for each further row `stride` bytes further."""

    pointer: int | None
    offset: int
    stride: int = 0


@dataclass(frozen=True)
class RowStage:
    """One kernel for one row, and a place for each of its arguments."""

    kernel: Kernel
    places: tuple[RowPlace, ...]

    @property
    def groups(self) -> int:
        return self.kernel.stage_groups


@dataclass(frozen=True)
class ByRows(Kernel):
    """All stages for one row, then all for the next: what a stage leaves is in the caches of the worker that reads it,
    and between stages nobody waits for anybody.

    reads, writes: arguments before the workers' own memory, and behind it. bytes: of that memory, for each worker.
    """

    stem: ClassVar[str] = "by_rows"
    stages: tuple[RowStage, ...]
    reads: int
    writes: int
    rows: int
    workers: int
    bytes: int

    @property
    def title(self) -> str:
        return f"{len(self.stages)} kernels for each of {self.rows} rows"

    @property
    def wide(self) -> bool:
        return all(stage.kernel.wide for stage in self.stages)

    @property
    def stageable(self) -> bool:
        return True

    @property
    def stage_groups(self) -> int:
        return self.rows

    @property
    def called(self) -> tuple[Kernel, ...]:
        return tuple(dict.fromkeys(stage.kernel for stage in self.stages))

    @property
    def workspaces(self) -> int:
        return self.writes

    @property
    def global_size(self) -> tuple[int, ...]:
        return (self.workers,)

    @property
    def local_size(self) -> tuple[int, ...]:
        return (1,)

    @property
    def arguments(self) -> str:
        return ", ".join(f"__global char *p{number}" for number in range(self.reads + 1 + self.writes))

    @property
    def own(self) -> str:
        """C text: the worker's memory. In a chain, too, a worker is a work-group of the launch."""
        return f"p{self.reads} + get_group_id(0) * {self.bytes}l"

    def call(self, stage: RowStage) -> str:
        """The work of group `group` for row `row`."""
        return f"{stage.kernel.stage_name}({', '.join(map(_address, stage.places))}, group)"


def _address(place: RowPlace) -> str:
    base = "own" if place.pointer is None else f"p{place.pointer}"
    row = f" + row * {place.stride}l" if place.stride else ""
    return f"(__global void *)({base} + {place.offset}l{row})"
