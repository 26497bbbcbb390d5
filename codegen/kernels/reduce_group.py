"""Reductions by work-groups that meet in local memory; very long ones in two stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import stored_type
from nnef_cl.codegen.expression import IDENTITY
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.kernels.reduce import RUN
from nnef_cl.codegen.kernels.reduction import Reduction
from nnef_cl.codegen.target import Target
from nnef_cl.codegen.team import Team, team

from nnef_cl.ir.dtype import I64, DType
from nnef_cl.ir.layout import row_major_strides


@dataclass(frozen=True)
class ReduceGroup(Kernel):
    """first: y is [results][parts], what each part comes to, with `y_places` for the index of an extreme.

    last: x is that, with `x_places`. A reduction in one stage is neither.
    """

    stem: ClassVar[str] = "reduce_group"
    task: Reduction
    team: Team
    stage: str

    @property
    def title(self) -> str:
        task, team = self.task, self.team
        stage = f"{self.stage} stage, " if self.stage else ""
        return (
            f"{task.kind} of {task.reduced}, kept {task.kept}, {stage}{team.lanes} work-items to a result, "
            f"{team.rows} results to a group"
        )

    @property
    def wide(self) -> bool:
        return True

    @property
    def global_size(self) -> tuple[int, ...]:
        return self.team.global_size

    @property
    def local_size(self) -> tuple[int, ...]:
        return self.team.local_size

    @property
    def arguments(self) -> str:
        (x, *extras), writes = self.task.arguments
        reads = [x]
        if self.task.is_index and self.stage == "last":
            reads.append("__global const long *restrict x_places")
        if self.stage == "first":
            writes = [f"__global {stored_type(self.task.dtype)} *restrict y"]
            writes += ["__global long *restrict y_places"] if self.task.is_index else []
        return ", ".join([*reads, *extras, *writes])

    @property
    def run(self) -> int:
        """Elements of the work-items' partial sums together, 0 where there are none."""
        return RUN * self.team.lanes if self.task.kind == "sum" and self.team.each > RUN else 0

    @property
    def place_type(self) -> str:
        """C type of positions among the reduced elements."""
        return "long" if self.stage == "last" else self.team.index

    @property
    def position(self) -> str:
        """C text: the current element's position."""
        return f"x_places[{self.task.place}]" if self.stage == "last" else "r"

    @property
    def nowhere(self) -> str:
        """C text: a position behind all others."""
        return "LONG_MAX" if self.stage == "last" else str(self.task.length)

    @property
    def finish(self) -> list[str]:
        """C statements of the work-item that holds a result (and its place)."""
        task = self.task
        if self.stage != "first":
            return task.finish("place" if task.is_index else "total")
        strides = (self.team.parts, 1)
        at = offset(("item", "part"), strides, wide=is_wide((task.count, self.team.parts), strides))
        lines = [f"y[{at}] = {'total & 1' if task.dtype.kind == 'logical' else 'total'};"]
        return [*lines, f"y_places[{at}] = place;"] if task.is_index else lines


def reduce_group(task: Reduction, target: Target) -> list[ReduceGroup]:
    """One kernel, or two that hand over `partials`; none where each work-item had better compute whole results."""
    task = task.joined
    inner = task.x_reduced[-1] == 1
    run = task.kept[-1] if task.kept and task.x_kept[-1] == 1 else 1
    bytes_each = 16 if task.is_index else 8
    shape = team(task.count, task.length, run, inner, bytes_each, target, spread=True)
    if shape is None:
        return []
    if shape.parts == 1:
        return [ReduceGroup(task, shape, "")]
    parts = shape.parts
    first = ReduceGroup(replace(task, extras=(), epilogue=IDENTITY, divisor=1), shape, "first")
    strides = tuple(s * parts for s in row_major_strides(task.kept))
    rest = replace(task, x_kept=strides, reduced=(parts,), x_reduced=(1,))
    again = team(task.count, parts, 1, True, bytes_each, target) or Team(task.count, parts, 1, 1, 1, False)
    return [first, ReduceGroup(rest, again, "last")]


def partials(kernel: ReduceGroup) -> tuple[tuple[int, int], tuple[DType, ...]]:
    """Shape and types of what the first stage hands to the last."""
    types = (kernel.task.dtype, I64) if kernel.task.is_index else (kernel.task.dtype,)
    return (kernel.task.count, kernel.team.parts), types
