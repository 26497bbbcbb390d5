"""Element-wise maps and affine rearrangements: y[out] = f(x0[in0], x1[in1], ...)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, join_axes, offset
from nnef_cl.codegen.ctypes import load, store, stored_type
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
            broadcast = self.width > 1 and (not x.strides or x.strides[-1] == 0)
            width = 1 if broadcast else self.width
            text = load(f"x{k}", self._at(x), x.dtype, width)
            if broadcast:
                text = f"({'int' if x.dtype.kind == 'logical' else 'float'}{self.width})({text})"
                text = f"-({text})" if x.dtype.kind == "logical" else text
            kind = {"scalar": "float", "integer": "long", "logical": "int"}[x.dtype.kind]
            lines.append(f"const {kind}{'' if self.width == 1 else self.width} v{k} = {text};")
        steps, result = self.expression.statements([f"v{k}" for k in range(len(self.inputs))], self.width)
        return [*lines, *steps, *self._store(self._at(self.output), result)]

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
    """The kernel for a map over `extents`: axes merged where all operands allow it, vectors along contiguous ones."""
    if guard is None:
        extents, (output, *rest) = merge_axes(extents, (output, *inputs))
        inputs = tuple(rest)
    width = 1
    scalars = expression.needs_scalars or any(t.dtype == I64 for t in (output, *inputs))
    contiguous = extents and output.strides[-1] == 1 and all(x.strides[-1] in (0, 1) for x in inputs)
    if contiguous and not scalars and (guard is None or guard.padding == "mask"):
        width = widest(target.vector_width, extents[-1])
    steps = math.prod(extents[:-1]) * -(-extents[-1] // width) if extents else 1
    grid = Grid.of(steps, target, width, 1 + len(expression.steps))
    return Pointwise(what, extents, inputs, output, expression, width, guard, grid)


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
