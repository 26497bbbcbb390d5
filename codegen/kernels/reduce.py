"""Reductions over any axes, and the index of an extreme: each work-item computes whole results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nnef_cl.codegen.ctypes import index_type
from nnef_cl.codegen.expression import widest
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.reduction import Reduction
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import I64

RUN = 64
"""Elements of one partial sum, which keeps long sums accurate."""


@dataclass(frozen=True)
class Reduce(GridKernel):
    """The last kept axis advances by `task.width`."""

    stem: ClassVar[str] = "reduce"
    task: Reduction
    grid: Grid

    @property
    def title(self) -> str:
        task = self.task
        return f"{task.kind} of {task.reduced}, kept {task.kept}, {task.width} lanes"

    @property
    def wide(self) -> bool:
        return True

    @property
    def arguments(self) -> str:
        reads, writes = self.task.arguments
        return ", ".join([*reads, *writes])

    @property
    def run(self) -> int:
        return RUN

    def index(self, axis: int) -> str:
        """C type of the index along a reduced axis, which may pass the end by one run."""
        return index_type(self.task.reduced[axis] + RUN)


def reduce(task: Reduction, target: Target) -> Reduce:
    """The kernel; vectors along the last kept axis where it is contiguous."""
    width = 1
    task = task.joined
    contiguous = task.kept and task.x_kept[-1] == 1 and task.y_kept[-1] == 1
    broadcast = all(e[-1] in (0, 1) for e in task.extras if e)
    if contiguous and broadcast and not task.is_index and I64 not in (task.dtype, task.result):
        width = widest(target.vector_width, task.kept[-1])
    grid = Grid.of(task.count // width, target, width, task.length)
    return Reduce(replace(task, width=width), grid)
