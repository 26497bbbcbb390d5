"""Attention: scores of queries against keys, softmax, and the mixture of the values, tile of queries by tile."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import offset
from nnef_cl.codegen.ctypes import INT_MAX, load, stored_type
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.conv_direct import choose_tile
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec

MOST_SCORES = 4096
"""Scores of one tile of queries at a time: 16 KB of private memory."""
MOST_FEATURES = 512
"""Of a query and a value together: bounds the rest of the private memory."""


@dataclass(frozen=True)
class Matrices:
    """Where matrices lie in a tensor: element strides along the batch axes, the rows and the columns; the first."""

    strides: Shape
    base: int = 0


@dataclass(frozen=True)
class Heads:
    """Sizes of an attention, and where its operands lie. batch: extents of the leading axes.

    query: queries x features; key: keys x features; value: keys x columns; result: queries x columns. operands: of the
    expression that every score passes through, queries x keys each.
    """

    batch: Shape
    queries: int
    keys: int
    features: int
    columns: int
    query: Matrices
    key: Matrices
    value: Matrices
    result: Matrices
    operands: tuple[Matrices, ...]


@dataclass(frozen=True)
class Attention(GridKernel):
    """One work-item = `width` queries, one per lane, against all keys, `block` of them at a time.

    scores: what each score passes through before the softmax. extras: strides of the epilogue's operands.
    keys_tile: scores computed together; rows x vectors: results accumulated together.
    """

    stem: ClassVar[str] = "attention"
    heads: Heads
    scores: Epilogue
    extras: tuple[Shape, ...]
    epilogue: Epilogue
    width: int
    blocks: int
    keys_tile: int
    lanes: int
    rows: int
    vectors: int
    grid: Grid

    @property
    def title(self) -> str:
        h = self.heads
        return f"{h.batch} x {h.queries} queries, {h.keys} keys, {h.features} features, {h.columns} columns, " \
            f"tiles {self.width} x {self.keys_tile} and {self.rows} x {self.vectors} x {self.lanes}"  # fmt: skip

    @property
    def arguments(self) -> str:
        inputs = [f"__global const float *restrict {name}" for name in ("query", "key", "value")]
        for letter, operands in (("s", self.scores.operands), ("e", self.epilogue.operands)):
            inputs += [f"__global const {stored_type(x.dtype)} *restrict {letter}{k}" for k, x in enumerate(operands)]
        return ", ".join([*inputs, "__global float *restrict y"])

    @property
    def batch_axes(self) -> tuple[str, ...]:
        return tuple(f"b{k}" for k in range(len(self.heads.batch)))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.batch_axes, "tile")

    @property
    def counts(self) -> Shape:
        return (*self.heads.batch, -(-self.heads.queries // self.width))

    @property
    def last_tile(self) -> int:
        """First query of the last tile, which overlaps the one before; 0 where there are fewer queries than lanes."""
        return max(0, self.heads.queries - self.width)

    @property
    def used(self) -> int:
        """Lanes that hold a query."""
        return min(self.width, self.heads.queries)

    @property
    def largest_block(self) -> int:
        return -(-self.heads.keys // self.blocks)

    def block_start(self, number: str) -> str:
        keys, blocks = self.heads.keys, self.blocks
        long = "(long)" if (blocks + 1) * keys > INT_MAX else ""
        return f"(int)({long}({number}) * {keys} / {blocks})" if long else f"({number}) * {keys} / {blocks}"

    def start(self, matrices: Matrices) -> str:
        """C text: offset of the current batch's matrix."""
        return offset(self.batch_axes, matrices.strides[:-2], matrices.base)

    @property
    def query_at(self) -> str:
        strides = self.heads.query.strides[-2:]
        row = "(m + lane)" if self.used == self.width else f"min(m + lane, {self.heads.queries - 1})"
        return offset((row, "d"), strides)

    def score(self, value: str, key: str) -> list[str]:
        """C statements: the variable `value`, one key's dot products, becomes its scores."""
        if not self.scores:
            return []
        operands = [value]
        for k, (spec, place) in enumerate(zip(self.scores.operands, self.heads.operands, strict=True)):
            operands.append(self._operand(f"s{k}", spec, place, key))
        steps, result = self.scores.expression.statements(operands, self.width)
        return [*steps, f"{value} = {result};"]

    def _operand(self, name: str, spec: TensorSpec, place: Matrices, key: str) -> str:
        """One key's operand for all lanes: they take neighbouring queries' rows."""
        *batch, row, column = place.strides
        if row == 0:
            at = offset((*self.batch_axes, key), (*batch, column), place.base)
            return _spread(load(name, at, spec.dtype), spec, self.width)
        queries = [f"min(m + {lane}, {self.heads.queries - 1})" if self.used < self.width else f"(m + {lane})"
                   for lane in range(self.width)]  # fmt: skip
        places = [offset((*self.batch_axes, q, key), place.strides, place.base) for q in queries]
        values = ", ".join(load(name, at, spec.dtype) for at in places)
        if spec.dtype.kind == "logical":
            return f"(-(int{self.width})({values}))"
        return f"((float{self.width})({values}))"

    @property
    def row_groups(self) -> list[int]:
        """First lane of every group of rows; the last group overlaps the one before."""
        return overlapping(self.used, self.rows)

    @property
    def column_groups(self) -> list[list[int]]:
        """First columns of the vectors that are accumulated together."""
        starts = overlapping(self.heads.columns, self.lanes)
        return [starts[at : at + self.vectors] for at in range(0, len(starts), self.vectors)]

    @cached_property
    def places(self) -> dict[tuple[int, int, int], int]:
        """(first lane of the rows, row, first column) -> number of the vector that keeps this sum between blocks."""
        columns = [column for group in self.column_groups for column in group]
        every = itertools.product(self.row_groups, range(self.rows), columns)
        return {place: number for number, place in enumerate(every)}

    def kept(self, place: int, lane: int) -> str:
        """C text: what a sum begins with."""
        if self.blocks == 1:
            return f"({self.result_type})(0.0f)"
        text = f"vload{self.lanes}({place}, mixed)" if self.lanes > 1 else f"mixed[{place}]"
        return f"{text} * fade[{lane}]"

    def keep(self, value: str, place: int) -> str:
        """C statement: a sum waits for the next block."""
        return f"vstore{self.lanes}({value}, {place}, mixed);" if self.lanes > 1 else f"mixed[{place}] = {value};"

    def finish(self, value: str, lane: int, column: int) -> list[str]:
        """Epilogue and store of one vector of results."""
        index = (*self.batch_axes, f"(m + {lane})", str(column))
        operands = [value]
        for k, (spec, strides) in enumerate(zip(self.epilogue.operands, self.extras, strict=True)):
            vector = strides[-1] == 1
            text = load(f"e{k}", offset(index, strides), spec.dtype, self.lanes if vector else 1)
            operands.append(text if vector else _spread(text, spec, self.lanes))
        steps, result = self.epilogue.expression.statements(operands, self.lanes)
        *batch, row, step = self.heads.result.strides
        at = offset(index, (*batch, row, step), self.heads.result.base)
        if self.lanes == 1:
            return [*steps, f"y[{at}] = {result};"]
        if step == 1:
            return [*steps, f"vstore{self.lanes}({result}, 0, y + {at});"]
        return [*steps, f"float each[{self.lanes}];", f"vstore{self.lanes}({result}, 0, each);",
                f"for (int lane = 0; lane < {self.lanes}; ++lane) y[{at} + lane * {step}] = each[lane];"]  # fmt: skip

    @cached_property
    def type(self) -> str:
        return f"float{self.width}"

    @property
    def result_type(self) -> str:
        return "float" if self.lanes == 1 else f"float{self.lanes}"

    def value_vector(self, column: int) -> str:
        at = f"row + {column}" if column else "row"
        return f"vload{self.lanes}(0, {at})" if self.lanes > 1 else f"*({at})"


def _spread(scalar: str, spec: TensorSpec, width: int) -> str:
    """One value in all lanes; a logical one as a mask."""
    if width == 1:
        return scalar
    if spec.dtype.kind == "logical":
        return f"(-(int{width})({scalar}))"
    return f"((float{width})({scalar}))"


def overlapping(count: int, size: int) -> list[int]:
    """Starts of pieces of `size` that cover `count` elements; the last one may overlap the one before."""
    return [min(at, count - size) for at in range(0, count, size)]


def attention_fits(heads: Heads, specs: Sequence[TensorSpec], target: Target) -> bool:
    """Whether the kernel computes this, and better than separate ones do. specs: of all tensors."""
    lanes = target.vector_width >= 4 and heads.queries * 2 > target.vector_width
    small = heads.features + heads.columns <= MOST_FEATURES and all(x.volume <= INT_MAX for x in specs)
    return lanes and small and heads.value.strides[-1] == 1


def attention(
    heads: Heads, scores: Epilogue, extras: tuple[Shape, ...], epilogue: Epilogue, target: Target
) -> Attention:
    """The kernel; `attention_fits` must hold."""
    width = min(16, target.vector_width)
    blocks = -(-heads.keys // (MOST_SCORES // width))
    _, keys_tile = choose_tile(1, heads.keys // blocks, target.vector_registers)
    lanes = min(width, 1 << (heads.columns.bit_length() - 1))
    rows, vectors = _result_tile(min(width, heads.queries), -(-heads.columns // lanes), target.vector_registers)
    items = math.prod(heads.batch) * -(-heads.queries // width)
    grid = Grid.of(items, target, width, heads.keys * (heads.features + heads.columns))
    return Attention(
        heads, scores, extras, epilogue, width, blocks, keys_tile, lanes, rows, vectors, grid
    )  # fmt: skip


def _result_tile(rows: int, vectors: int, registers: int) -> tuple[int, int]:
    """(rows, vectors) that take the least time for all of them: loads and multiplications counted."""

    def cost(tile: tuple[int, int]) -> float:
        height, breadth = tile
        steps = -(-rows // height) * -(-vectors // breadth)
        return steps * (max(height * breadth, height + breadth) + 2)

    tiles = [(h, b) for h in range(1, rows + 1) for b in range(1, min(4, vectors) + 1) if (h + 1) * b < registers]
    return min(tiles, key=cost)
