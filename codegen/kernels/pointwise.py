"""Element-wise maps and affine rearrangements: y[out] = f(x0[in0], x1[in1], ...)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, join_axes, offset
from nnef_cl.codegen.ctypes import load, spread_lanes, store, stored_type, value_type
from nnef_cl.codegen.expression import Expression, widest
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import I64, DType
from nnef_cl.ir.layout import Shape, row_major_strides
from nnef_cl.ir.tensor import TensorSpec


@dataclass(frozen=True)
class Strided:
    """One operand of a map: element strides per loop axis (0: broadcast) and the offset of the first element."""

    dtype: DType
    strides: Shape
    base: int = 0


@dataclass(frozen=True)
class Guard:
    """Axes `outer` and `lane` count channels (outer * block + lane); those from `limit` on are padding.

    padding: 'mask' (operands are padded too: compute, then write zero), 'zero' (write zero, read nothing) or
    'skip' (write nothing).
    """

    outer: int
    lane: int
    block: int
    limit: int
    padding: str


@dataclass(frozen=True)
class Pointwise(GridKernel):
    """extents: loop axes; the last one advances by `width`, its last step overlaps the one before it where it must.
    what: for people."""

    stem: ClassVar[str] = "pointwise"
    what: str
    extents: Shape
    inputs: tuple[Strided, ...]
    output: Strided
    expression: Expression
    width: int
    guard: Guard | None
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.what} over {' x '.join(map(str, self.extents))}, {self.width} lanes"

    @property
    def wide(self) -> bool:
        return True

    @property
    def arguments(self) -> str:
        inputs = [f"__global const {stored_type(x.dtype)} *restrict x{k}" for k, x in enumerate(self.inputs)]
        return ", ".join([*inputs, f"__global {stored_type(self.output.dtype)} *restrict y"])

    @property
    def counts(self) -> Shape:
        """Loop trip counts."""
        return (*self.extents[:-1], -(-self.extents[-1] // self.width)) if self.extents else ()

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(len(self.extents)))

    @property
    def split_names(self) -> tuple[str, ...]:
        return (*self.axes[:-1], "step") if self.width > 1 else self.axes

    @cached_property
    def body(self) -> list[str]:
        """Loads, the expression, the store."""
        lines = self._early_out()
        for k, x in enumerate(self.inputs):
            stride = x.strides[-1] if x.strides else 0
            if self.width > 1 and stride not in (0, 1):
                lines.append(f"const {self._index(x)} p{k} = {self._at(x)};")
                text = strided_load(f"x{k}", f"p{k}", x.dtype, stride, self.width)
            else:
                text = self._load(k, x, self.width if stride else 1)
            kind = value_type(x.dtype)
            lines.append(f"const {kind}{'' if self.width == 1 else self.width} v{k} = {text};")
        steps, result = self.expression.statements([f"v{k}" for k in range(len(self.inputs))], self.width)
        return [*lines, *steps, *self._store(self._at(self.output), result)]

    def _load(self, k: int, x: Strided, width: int) -> str:
        """C text: neighbours, or one element that stands for all."""
        text = load(f"x{k}", self._at(x), x.dtype, width)
        if width == self.width:
            return text
        return spread_lanes([text], x.dtype, self.width)

    def _index(self, operand: Strided) -> str:
        """C type of the operand's offsets."""
        return "long" if is_wide(self.extents, operand.strides, operand.base) else "int"

    def _at(self, operand: Strided) -> str:
        """C text: offset of the operand's current element."""
        wide = is_wide(self.extents, operand.strides, operand.base)
        return offset(self.axes, operand.strides, operand.base, wide)

    @property
    def inside(self) -> str:
        """C text: the channel (or, for vectors, each lane's) is not padding."""
        guard = self.guard
        assert guard is not None
        lane = f"i{guard.lane}" + (f" + LANES{self.width}" if self.width > 1 else "")
        return f"i{guard.outer} * {guard.block} + {lane} < {guard.limit}"

    def _early_out(self) -> list[str]:
        if self.guard is None or self.guard.padding == "mask":
            return []
        zero = f"y[{self._at(self.output)}] = 0; " if self.guard.padding == "zero" else ""
        return [f"if (!({self.inside})) {{ {zero}continue; }}"]

    def _store(self, at: str, value: str) -> list[str]:
        stride = self.output.strides[-1] if self.output.strides else 1
        if self.width > 1 and stride != 1:
            lanes = [store("y", f"to + {k * stride}", f"{value}.s{k:x}", self.output.dtype) for k in range(self.width)]
            return [f"const {self._index(self.output)} to = {at};", *lanes]
        if self.guard is None or self.guard.padding != "mask":
            return [store("y", at, value, self.output.dtype, self.width)]
        if self.width == 1:
            return [store("y", at, f"({self.inside} ? {value} : 0)", self.output.dtype)]
        kind = "int" if self.output.dtype.kind == "logical" else "float"
        masked = f"select(({kind}{self.width})(0), {value}, {self.inside})"
        return [store("y", at, masked, self.output.dtype, self.width)]


def pointwise(
    what: str, extents: Shape, inputs: tuple[Strided, ...], output: Strided, expression: Expression,
    target: Target, guard: Guard | None = None,
) -> Pointwise:  # fmt: skip
    """The kernel for a map over `extents`: axes merged where all operands allow it, vectors along the last one."""
    if guard is None:
        extents, (output, *rest) = merge_axes(extents, (output, *inputs))
        inputs = tuple(rest)
    width = 1
    scalars = expression.needs_scalars or (not expression.converts and any(t.dtype == I64 for t in (output, *inputs)))
    if extents and not scalars and (guard is None or guard.padding == "mask"):
        width = widest(target.vector_width, extents[-1])
    steps = math.prod(extents[:-1]) * -(-extents[-1] // width) if extents else 1
    grid = Grid.of(steps, target, width, 1 + len(expression.steps))
    return Pointwise(what, extents, inputs, output, expression, width, guard, grid)


FEWEST_SHUFFLED = 8
"""Lanes from which on half of two vectors is faster than loads one by one; what compilers make of fewer stops the
simulator's check for uninitialised values."""


def strided_load(name: str, at: str, dtype: DType, stride: int, width: int) -> str:
    """C text: every stride-th of the buffer's elements from `at` on, as a vector; nothing beyond them is read."""
    if stride == -1:
        order = "".join(f"{lane:x}" for lane in reversed(range(width)))
        return f"({load(name, f'{at} - {width - 1}', dtype, width)}).s{order}"
    if stride == 2 and width >= FEWEST_SHUFFLED:
        low, high = load(name, at, dtype, width), load(name, f"{at} + {width - 1}", dtype, width)
        return f"(({value_type(dtype, width)})(({low}).even, ({high}).odd))"
    return spread_lanes([load(name, f"{at} + {lane * stride}", dtype) for lane in range(width)], dtype, width)


def merge_axes(extents: Shape, operands: tuple[Strided, ...]) -> tuple[Shape, tuple[Strided, ...]]:
    """The fewest axes over which every operand is still strided; operand 0 is the result."""
    kept, strides = join_axes(extents, [o.strides for o in operands])
    if not kept:
        kept, strides = (1,), [(1,), *[(0,)] * (len(operands) - 1)]
    return kept, tuple(Strided(o.dtype, s, o.base) for o, s in zip(operands, strides, strict=True))


def broadcast_strides(spec: TensorSpec, like: TensorSpec) -> Shape:
    """Strides of `spec` along the stored axes of `like` (same or plain layout, missing axes trailing)."""
    block = like.layout.block
    shape = spec.shape + (1,) * (like.rank - spec.rank)
    if block == 1:
        strides = row_major_strides(shape)
        return tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
    if spec.layout.block == block:
        physical = spec.layout.physical(shape[: max(2, spec.rank)])
        *outer, lane = row_major_strides(physical)
        full = [*outer, *[0] * (like.rank - len(outer)), lane]
        return tuple(0 if a < like.rank and _one(shape, a, block) else s for a, s in enumerate(full))
    plain = row_major_strides(shape)
    steps = [0 if n == 1 else s for n, s in zip(shape, plain, strict=True)]
    return (steps[0], steps[1] * block, *steps[2:], steps[1])


def _one(shape: Shape, axis: int, block: int) -> bool:
    return (-(-shape[1] // block) if axis == 1 else shape[axis]) == 1


def channel_guard(spec: TensorSpec, padding: str) -> Guard | None:
    """The guard for loops over the stored axes of a padded blocked tensor, None where nothing is padded."""
    if not spec.layout.padded(spec.shape):
        return None
    return Guard(outer=1, lane=spec.rank, block=spec.layout.block, limit=spec.shape[1], padding=padding)
