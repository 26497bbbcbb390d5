"""Reductions over any axes, and the index of an extreme: a work-item computes whole results, or parts of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.ctypes import INT_MAX, index_literal, index_type
from nnef_cl.codegen.expression import IDENTITY, widest
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.reduction import Reduction
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32, I64
from nnef_cl.ir.layout import row_major_strides

RUN = 64
"""Elements (or vectors) of one partial sum, which keeps long sums accurate."""
ITEMS_PER_UNIT = 4
"""With fewer work-items, long results are computed in parts."""
FEWEST = 1 << 14
"""Elements of one part."""
SMALLEST = 4
"""Lanes below which vectors along what is reduced do not pay."""


@dataclass(frozen=True)
class Reduce(GridKernel):
    """The last kept axis advances by `task.width`, or the last reduced one by `along` lanes, which are joined in
    the end.

    span: above 0, the first kept axis numbers parts of the first reduced axis, of so many elements each.
    """

    stem: ClassVar[str] = "reduce"
    task: Reduction
    along: int
    span: int
    grid: Grid

    @property
    def title(self) -> str:
        task = self.task
        lanes = f"{self.along} lanes along it" if self.along > 1 else f"{task.width} lanes"
        parts = f", parts of {self.span}" if self.span else ""
        return f"{task.kind} of {task.reduced}, kept {task.kept}, {lanes}{parts}"

    @property
    def wide(self) -> bool:
        return True

    @property
    def arguments(self) -> str:
        reads, writes = self.task.arguments
        return ", ".join([*reads, *writes])

    @property
    def vector(self) -> Reduction:
        """With the lanes that are loaded at once."""
        return replace(self.task, width=self.along) if self.along > 1 else self.task

    @property
    def run(self) -> int:
        return RUN * self.along

    def index(self, axis: int) -> str:
        """C type of the index along a reduced axis, which may pass the end by one run."""
        return index_type(self.task.reduced[axis] + self.run)

    @property
    def rest(self) -> int:
        """Elements behind the last whole vector along the last reduced axis."""
        return self.task.reduced[-1] % self.along

    @property
    def rest_start(self) -> str:
        return index_literal(self.task.reduced[-1] - self.along, self.index(len(self.task.reduced) - 1))

    @property
    def if_last(self) -> str:
        """C text: only the last part has the rest of the only axis."""
        parted = self.span and len(self.task.reduced) == 1
        return f"if (i0 == {self.task.kept[0] - 1}) " if parted else ""

    def first(self, axis: int) -> str:
        """C text: the first index along a reduced axis."""
        return f"i0 * {index_literal(self.span, self.index(axis))}" if self.span and axis == 0 else "0"

    def end(self, axis: int) -> str:
        """C text: where the loop along a reduced axis ends."""
        last = axis == len(self.task.reduced) - 1
        whole = index_literal(self.task.reduced[axis] - (self.rest if last else 0), self.index(axis))
        if self.span and axis == 0:
            return f"min((i0 + 1) * {index_literal(self.span, self.index(axis))}, {whole})"
        return whole

    @property
    def place_type(self) -> str:
        """C type of positions among the reduced elements."""
        return "long" if self.task.width == 1 else f"int{self.task.width}"

    @cached_property
    def finish(self) -> list[str]:
        """C statements: lanes joined by halves, what follows, the store."""
        task = self.task
        if task.is_index:
            return task.finish("place" if task.width == 1 else f"convert_long{task.width}(place)")
        if self.along == 1:
            return task.finish("total")
        lines, name, width = [], "total", self.along // 2
        while width:
            half = replace(task, width=width)
            lines += [f"{half.type} total{width} = {name}.lo;", half.combine(f"total{width}", f"{name}.hi")]
            name, width = f"total{width}", width // 2
        return [*lines, *task.finish(name)]


def reduce(task: Reduction, target: Target) -> Reduce:
    """The kernel whose work-items compute whole results."""
    task, along = _laned(task.joined, target)
    return _kernel(task, along, 0, target)


def reduce_parts(task: Reduction, target: Target) -> list[Reduce]:
    """One kernel, or two where results are few and long: the second one joins the parts that the first one computes."""
    task, along = _laned(task.joined, target)
    span = _span(task, along, target)
    if not span:
        return [_kernel(task, along, 0, target)]
    parts, kept = -(-task.reduced[0] // span), row_major_strides(task.kept)
    first = replace(
        task, kept=(parts, *task.kept), x_kept=(0, *task.x_kept), y_kept=(task.count, *kept), extras=(),
        epilogue=IDENTITY, divisor=1, result=task.dtype,
    )  # fmt: skip
    last = replace(task, x_kept=kept, reduced=(parts,), x_reduced=(task.count,), width=1)
    return [_kernel(first, along, span, target), reduce(last, target)]


def _laned(task: Reduction, target: Target) -> tuple[Reduction, int]:
    """With vectors along the last kept axis, or the lanes along the last reduced one."""
    contiguous = task.kept and task.x_kept[-1] == 1 and task.y_kept[-1] == 1
    broadcast = all(e[-1] in (0, 1) for e in task.extras if e)
    if contiguous and broadcast and _vectors(task):
        return replace(task, width=widest(target.vector_width, task.kept[-1])), 1
    if task.x_reduced[-1] != 1 or task.is_index or I64 in (task.dtype, task.result):
        return task, 1
    along = min(target.vector_width, 1 << (task.reduced[-1].bit_length() - 1))
    return task, along if along >= SMALLEST else 1


def _vectors(task: Reduction) -> bool:
    """Whether results can be computed several at a time; positions are counted with 32 bits then."""
    if task.is_index:
        return task.dtype == F32 and task.length <= INT_MAX
    return I64 not in (task.dtype, task.result)


def _span(task: Reduction, along: int, target: Target) -> int:
    """Elements along the first reduced axis to a part; 0 where the results are enough for all units, or short."""
    items, work = math.prod(task.counts), task.count * task.length
    wanted = min(target.compute_units * ITEMS_PER_UNIT // items, work // FEWEST)
    if target.vector_width == 1 or task.dtype != F32 or task.is_index or wanted < 2:
        return 0
    piece = RUN * along if len(task.reduced) == 1 else 1
    span = -(-task.reduced[0] // (wanted * piece)) * piece
    return span if span < task.reduced[0] else 0


def _kernel(task: Reduction, along: int, span: int, target: Target) -> Reduce:
    length = min(span, task.reduced[0]) * math.prod(task.reduced[1:]) if span else task.length
    grid = Grid.of(math.prod(task.counts), target, max(task.width, along), max(1, length // along))
    return Reduce(task, along, span, grid)
