"""Reduction: what is reduced over which axes, and its C text, for every kernel that reduces."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from nnef_cl.codegen.access import is_wide, join_axes, offset
from nnef_cl.codegen.ctypes import literal, load, store, stored_type
from nnef_cl.codegen.expression import Epilogue

from nnef_cl.ir.dtype import F32, DType
from nnef_cl.ir.layout import Shape

START = {
    "sum": "0.0f", "max": "-INFINITY", "min": "INFINITY", "argmax": "-INFINITY", "argmin": "INFINITY",
    "any": "0", "all": "-1",
}  # fmt: skip


@dataclass(frozen=True)
class Reduction:
    """kept, reduced: extents; x_kept, x_reduced, y_kept: element strides along them; divisor: of a sum.

    kind: sum, max, min, argmax, argmin, any or all. extras: strides along the kept axes of the epilogue's operands.
    width: lanes along the last kept axis.
    """

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
    width: int = 1

    @property
    def count(self) -> int:
        """Results."""
        return math.prod(self.kept)

    @property
    def length(self) -> int:
        """Elements of one result."""
        return math.prod(self.reduced)

    @cached_property
    def joined(self) -> Reduction:
        """The same with as few axes as possible."""
        kept, (x, y, *extras) = join_axes(self.kept, [self.x_kept, self.y_kept, *self.extras])
        reduced, (x_reduced,) = join_axes(self.reduced, [self.x_reduced])
        return replace(
            self, kept=kept, x_kept=x, y_kept=y, extras=tuple(extras), reduced=reduced or (1,),
            x_reduced=x_reduced or (0,),
        )  # fmt: skip

    @property
    def is_index(self) -> bool:
        return self.kind.startswith("arg")

    @property
    def arguments(self) -> tuple[list[str], list[str]]:
        """C parameters: what is read, what is written."""
        extras = [
            f"__global const {stored_type(s.dtype)} *restrict e{k}" for k, s in enumerate(self.epilogue.operands)
        ]
        x = f"__global const {stored_type(self.dtype)} *restrict x"
        return [x, *extras], [f"__global {stored_type(self.result)} *restrict y"]

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(len(self.kept)))

    @property
    def reduced_axes(self) -> tuple[str, ...]:
        return tuple(f"r{k}" for k in range(len(self.reduced)))

    @property
    def split_names(self) -> tuple[str, ...]:
        return (*self.axes[:-1], "step") if self.width > 1 else self.axes

    @property
    def counts(self) -> Shape:
        return (*self.kept[:-1], -(-self.kept[-1] // self.width)) if self.kept else ()

    @property
    def type(self) -> str:
        suffix = "" if self.width == 1 else str(self.width)
        return {"scalar": "float", "logical": "int", "integer": "long"}[self.dtype.kind] + suffix

    @property
    def start(self) -> str:
        return f"({self.type})({START[self.kind]})"

    @property
    def place(self) -> str:
        """C text: offset in x of the current kept and reduced indices."""
        extents, strides = (*self.kept, *self.reduced), (*self.x_kept, *self.x_reduced)
        return offset((*self.axes, *self.reduced_axes), strides, wide=is_wide(extents, strides))

    @property
    def value(self) -> str:
        """C text: the element (or vector) at the current kept and reduced indices."""
        return load("x", self.place, self.dtype, self.width)

    def combine(self, total: str, value: str) -> str:
        """C statement: takes `value` into `total`."""
        return combine(self.kind, total, value, self.width)

    def better(self, value: str, best: str) -> str:
        """C condition of argmax and argmin: `value` beats `best`; the first NaN beats everything."""
        comparison = ">" if self.kind == "argmax" else "<"
        return f"{value} {comparison} {best} || ({value} != {value} && {best} == {best})"

    def ahead(self, candidate: tuple[str, str], best: tuple[str, str]) -> str:
        """C condition of argmax and argmin: `candidate` (value, position) beats `best`, the lower of equals."""
        (value, position), (other, place) = candidate, best
        tied = f"{value} == {other} || ({value} != {value} && {other} != {other})"
        return f"{self.better(value, other)} || ({position} < {place} && ({tied}))"

    def finish(self, total: str) -> list[str]:
        """C statements: division, epilogue, store of the result that `total` names."""
        lines = [] if self.divisor == 1 else [f"{total} /= ({self.type})({literal(float(self.divisor), F32)});"]
        operands = [total]
        for k, (spec, strides) in enumerate(zip(self.epilogue.operands, self.extras, strict=True)):
            vector = self.width > 1 and strides and strides[-1] == 1
            at = offset(self.axes, strides, wide=is_wide(self.kept, strides))
            text = load(f"e{k}", at, spec.dtype, self.width if vector else 1)
            if self.width > 1 and not vector:
                sign = "-" if spec.dtype.kind == "logical" else ""
                text = f"({sign}({'int' if sign else 'float'}{self.width})({text}))"
            operands.append(text)
        steps, result = self.epilogue.expression.statements(operands, self.width)
        at = offset(self.axes, self.y_kept, wide=is_wide(self.kept, self.y_kept))
        return [*lines, *steps, store("y", at, result, self.result, self.width)]


def combine(kind: str, total: str, value: str, width: int) -> str:
    """C statement: takes `value` into `total`; a NaN makes a maximum or minimum NaN."""
    if kind == "sum":
        return f"{total} += {value};"
    if kind in ("any", "all"):
        return f"{total} = {total} {'||' if kind == 'any' else '&&'} {value};"
    comparison, select = ">" if kind == "max" else "<", "SELECT" if width == 1 else "select"
    return f"{total} = {select}({total}, {value}, {value} {comparison} {total} || {value} != {value});"
