"""Reductions over any axes, and the index of an extreme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import offset
from nnef_cl.codegen.ctypes import literal, load, store, stored_type
from nnef_cl.codegen.expression import Epilogue, widest
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32, I64, DType
from nnef_cl.ir.layout import Shape

START = {
    "sum": "0.0f", "max": "-INFINITY", "min": "INFINITY", "argmax": "0", "argmin": "0", "any": "0", "all": "-1",
}  # fmt: skip


@dataclass(frozen=True)
class Reduce(Kernel):
    """kept, reduced: extents; x_kept, x_reduced, y_kept: element strides along them; factor: multiplies a sum.

    extras: strides along the kept axes of the epilogue's operands. The last kept axis advances by `width`.
    """

    stem: ClassVar[str] = "reduce"
    kind: str
    dtype: DType
    result: DType
    kept: Shape
    x_kept: Shape
    y_kept: Shape
    reduced: Shape
    x_reduced: Shape
    extras: tuple[Shape, ...]
    epilogue: Epilogue
    divisor: int
    width: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.kind} of {self.reduced}, kept {self.kept}, {self.width} lanes"

    @property
    def global_size(self) -> tuple[int, ...]:
        return self.grid.global_size

    @property
    def local_size(self) -> tuple[int, ...]:
        return self.grid.local_size

    @property
    def arguments(self) -> str:
        extras = [
            f"__global const {stored_type(s.dtype)} *restrict e{k}" for k, s in enumerate(self.epilogue.operands)
        ]
        x = f"__global const {stored_type(self.dtype)} *restrict x"
        return ", ".join([x, *extras, f"__global {stored_type(self.result)} *restrict y"])

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(len(self.kept)))

    @property
    def split_names(self) -> tuple[str, ...]:
        return (*self.axes[:-1], "step") if self.width > 1 else self.axes

    @property
    def counts(self) -> Shape:
        return (*self.kept[:-1], self.kept[-1] // self.width) if self.kept else ()

    @property
    def suffix(self) -> str:
        return "" if self.width == 1 else str(self.width)

    @property
    def type(self) -> str:
        return {"scalar": "float", "logical": "int", "integer": "long"}[self.dtype.kind] + self.suffix

    @property
    def start(self) -> str:
        return f"({self.type})({START[self.kind]})"

    @property
    def value(self) -> str:
        """C text: the element (or vector) at the current kept and reduced indices."""
        at = offset((*self.axes, *(f"r{k}" for k in range(len(self.reduced)))), (*self.x_kept, *self.x_reduced))
        return load("x", at, self.dtype, self.width)

    @property
    def select(self) -> str:
        return "SELECT" if self.width == 1 else "select"

    @property
    def combine(self) -> list[str]:
        """C statements: take `value` into the accumulators; a NaN makes a maximum or minimum NaN."""
        comparison = ">" if "max" in self.kind else "<"
        if self.kind == "sum":
            return ["part += value;"]
        if self.kind in ("max", "min"):
            return [f"sum = {self.select}(sum, value, value {comparison} sum || value != value);"]
        if self.kind in ("any", "all"):
            return [f"sum = sum {'||' if self.kind == 'any' else '&&'} value;"]
        better = f"position == 0 || value {comparison} best || (value != value && best == best)"
        return [f"if ({better}) {{ best = value; sum = position; }}", "++position;"]

    @property
    def is_index(self) -> bool:
        return self.kind.startswith("arg")

    @property
    def finish(self) -> list[str]:
        lines = [] if self.divisor == 1 else [f"sum /= ({self.type})({literal(float(self.divisor), F32)});"]
        operands = ["sum"]
        for k, (spec, strides) in enumerate(zip(self.epilogue.operands, self.extras, strict=True)):
            vector = self.width > 1 and strides and strides[-1] == 1
            text = load(f"e{k}", offset(self.axes, strides), spec.dtype, self.width if vector else 1)
            if self.width > 1 and not vector:
                sign = "-" if spec.dtype.kind == "logical" else ""
                text = f"({sign}({'int' if sign else 'float'}{self.width})({text}))"
            operands.append(text)
        steps, result = self.epilogue.expression.statements(operands, self.width)
        return [*lines, *steps, store("y", offset(self.axes, self.y_kept), result, self.result, self.width)]


def reduce(
    kind: str, dtype: DType, result: DType, kept: Shape, x_kept: Shape, y_kept: Shape, reduced: Shape,
    x_reduced: Shape, extras: tuple[Shape, ...], epilogue: Epilogue, divisor: int, target: Target,
) -> Reduce:  # fmt: skip
    """The kernel; vectors along the last kept axis where it is contiguous."""
    width, count, length = 1, 1, 1
    contiguous = kept and x_kept[-1] == 1 and y_kept[-1] == 1 and all(e[-1] in (0, 1) for e in extras)
    if contiguous and not kind.startswith("arg") and I64 not in (dtype, result):
        width = widest(target.vector_width, kept[-1])
    for extent in kept:
        count *= extent
    for extent in reduced:
        length *= extent
    grid = Grid.of(count // width, target, width, length)
    return Reduce(
        kind, dtype, result, kept, x_kept, y_kept, reduced, x_reduced, extras, epilogue, divisor, width, grid
    )
