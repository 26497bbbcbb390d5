"""Stages over rows: reductions of a row, numbers made of them, and a map over the row, all while it is in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, join_axes, offset
from nnef_cl.codegen.ctypes import index_type, literal, load, store, stored_type
from nnef_cl.codegen.expression import Expression
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.reduction import START, combine
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32, DType
from nnef_cl.ir.layout import Shape

RUN = 64
"""Vectors of one partial sum, which keeps long sums accurate."""
KINDS = ("sum", "mean", "max", "min", "map")


@dataclass(frozen=True)
class Operand:
    """kept: element strides along the kept axes; step: along the row, 0 or 1."""

    dtype: DType
    kept: Shape
    step: int


@dataclass(frozen=True)
class Stage:
    """One number per row: what `expression` makes of the operands and the numbers of the stages before, reduced by
    `kind` along the row; 'map': of operands that do not change along the row."""

    kind: str
    expression: Expression


@dataclass(frozen=True)
class Rowwise(GridKernel):
    """kept: extents; length: elements of a row. result: strides of y along the kept axes."""

    stem: ClassVar[str] = "rowwise"
    kept: Shape
    length: int
    operands: tuple[Operand, ...]
    result: Shape
    stages: tuple[Stage, ...]
    final: Expression
    width: int
    grid: Grid

    @property
    def title(self) -> str:
        kinds = ", ".join(stage.kind for stage in self.stages)
        return f"{kinds} and a map over {self.kept} rows of {self.length}, {self.width} lanes"

    @property
    def wide(self) -> bool:
        return True

    @property
    def arguments(self) -> str:
        inputs = [f"__global const {stored_type(x.dtype)} *restrict x{k}" for k, x in enumerate(self.operands)]
        return ", ".join([*inputs, "__global float *restrict y"])

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(len(self.kept)))

    @property
    def index(self) -> str:
        """C type of the place in a row, which may pass the end by one run."""
        return index_type(self.length + RUN * self.width)

    @property
    def vectors_end(self) -> int:
        """The elements behind the last whole vector are taken one by one."""
        return self.length - self.length % self.width

    @cached_property
    def pieces(self) -> list[tuple[str, int, int, int]]:
        """Of a row: suffix of their names, lanes, first element, end."""
        whole, end = self.vectors_end, self.length
        vectors = [("v", self.width, 0, whole)] if self.width > 1 else []
        return [*vectors, ("s", 1, whole if vectors else 0, end)] if whole < end or not vectors else vectors

    def start(self, strides: Shape) -> str:
        """C text: offset of the current row."""
        return offset(self.axes, strides, wide=is_wide(self.kept, strides))

    def type(self, width: int) -> str:
        return "float" if width == 1 else f"float{width}"

    def initial(self, stage: int, width: int) -> str:
        kind = self.stages[stage].kind
        return f"({self.type(width)})({START['sum' if kind == 'mean' else kind]})"

    def value(self, stage: int | None, width: int) -> tuple[list[str], str]:
        """C statements and the result of a stage's expression at element `r` of the row; None: of the final map."""
        number = len(self.stages) if stage is None else stage
        expression = self.final if stage is None else self.stages[number].expression
        read = {argument for step in expression.steps for argument in step.args}
        names = []
        for k, x in enumerate(self.operands):
            names.append(self._operand(k, x, width) if k in read else "")
        names += [f"n{k}" if width == 1 else f"(({self.type(width)})(n{k}))" for k in range(number)]
        return expression.statements(names, width)

    def _operand(self, k: int, x: Operand, width: int) -> str:
        text = load(f"row{k}", "r" if x.step else "0", x.dtype, width if x.step else 1)
        if x.step or width == 1:
            return text
        return f"(-(int{width})({text}))" if x.dtype.kind == "logical" else f"(({self.type(width)})({text}))"

    def combine(self, stage: int, total: str, value: str, width: int) -> str:
        kind = self.stages[stage].kind
        return combine("sum" if kind == "mean" else kind, total, value, width)

    def reduce(self, stage: int) -> list[str]:
        """C statements: the totals of the row's pieces become the number n<stage>, vectors by halves."""
        lines, results = [], []
        for suffix, lanes, _, _ in self.pieces:
            name, width = f"t{stage}{suffix}", lanes // 2
            while width:
                half = f"t{stage}_{width}"
                lines += [f"{self.type(width)} {half} = {name}.lo;", self.combine(stage, half, f"{name}.hi", width)]
                name, width = half, width // 2
            results.append(name)
        lines.append(f"float n{stage} = {results[0]};")
        lines += [self.combine(stage, f"n{stage}", name, 1) for name in results[1:]]
        mean = self.stages[stage].kind == "mean"
        return [*lines, f"n{stage} /= {literal(float(self.length), F32)};"] if mean else lines

    def store(self, value: str, width: int) -> str:
        return store("result", "r", value, F32, width)

    def operand_type(self, k: int) -> str:
        return stored_type(self.operands[k].dtype)

    @property
    def run(self) -> int:
        return RUN


def rowwise(
    shape: Shape, axes: Sequence[int], operands: Sequence[tuple[DType, Shape]], result: Shape,
    stages: tuple[Stage, ...], final: Expression, target: Target,
) -> Rowwise | None:  # fmt: skip
    """The kernel; None where a row is no single run of elements. axes: of the rows, the last ones of `shape`.

    operands: type and element strides along the axes of `shape`; result: strides of y.
    """
    first = len(shape) - len(axes)
    strides = [each for _, each in operands]
    row, steps = join_axes(shape[first:], [result[first:], *(each[first:] for each in strides)])
    if sorted(axes) != list(range(first, len(shape))) or len(row) > 1 or any(s not in ((), (0,), (1,)) for s in steps):
        return None
    kept, outer = join_axes(shape[:first], [result[:first], *(each[:first] for each in strides)])
    length = math.prod(shape[first:])
    width = min(target.vector_width, 1 << (length.bit_length() - 1))
    placed = tuple(
        Operand(dtype, out, step[0] if step else 0)
        for (dtype, _), out, step in zip(operands, outer[1:], steps[1:], strict=True)
    )
    cost = sum(1 + len(e.steps) for e in (final, *(stage.expression for stage in stages)))
    grid = Grid.of(math.prod(kept), target, width, max(1, length * cost // width))
    return Rowwise(kept, length, placed, outer[0], stages, final, width, grid)
