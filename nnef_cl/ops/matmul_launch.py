"""Matrix products -> launches: B packed in panels, batches that share one matrix B as more rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

from nnef_cl.codegen.access import join_axes
from nnef_cl.codegen.ctypes import INT_MAX
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import Candidate, Input, Kernel, Launch, Output, Packed, Scratch, Sizes, Space
from nnef_cl.codegen.kernels.matmul import Matmul, PackPanels, panel_tiles
from nnef_cl.codegen.kernels.pointwise import Guard, broadcast_strides
from nnef_cl.codegen.target import Target
from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape, row_major_strides
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import extra_operands
from nnef_cl.ops.lowering import affine_copy
from nnef_cl.ops.tiled_launch import matmul_tiles

MOST_ROWS = INT_MAX // 4
"""Of a product, so that kernels can count them with 32 bits."""
CACHE_SPAN, CACHE_WAYS = 4096, 8
"""Bytes so far apart share a set of the nearest cache, and lines that one holds."""


def matmul(problem: Problem, target: Target) -> list[Candidate]:
    """On work-group tiles where the device is one for them; on register tiles."""
    product = _product(problem)
    tiles = sorted(panel_tiles(product.rows, product.columns, target)[1], key=partial(_collides, product))
    plain = _candidate(problem, product, target, tiles[0])
    space = Space(tuple(tiles), partial(_candidate, problem, product, target))
    return [*matmul_tiles(problem, target), replace(plain, space=space)]


@dataclass(frozen=True)
class _Product:
    """The loops of a product, as few as there can be.

    a: element strides along (batch..., rows, depth); b: matrices along (batch...); extras: element strides along
    (batch..., rows, columns).
    """

    batch: Shape
    rows: int
    columns: int
    depth: int
    a: Shape
    b: Shape
    extras: tuple[Shape, ...]


def _product(problem: Problem) -> _Product:
    """Axes that all operands walk as one are joined, the rows with batches that share one matrix B among them."""
    (a, b), y = problem.inputs, problem.outputs[0]
    *batch, rows, columns = y.shape
    *places, row, step = row_major_strides(a.shape)
    depth = a.shape[-1]
    if problem.attrs["transposeA"]:
        row, step, depth = step, row, a.shape[-2]
    left = tuple(0 if n == 1 else s for n, s in zip(a.shape, places, strict=False))
    right = tuple(0 if n == 1 else s for n, s in zip(b.shape, row_major_strides(b.shape[:-2]), strict=False))
    extras = [broadcast_strides(e, y) for e in problem.epilogue.operands]
    extents, (left, right, *others) = _joined((*batch, rows), [(*left, row), (*right, 0), *(e[:-1] for e in extras)])
    ends = tuple((*start, e[-1]) for start, e in zip(others, extras, strict=True))
    return _Product(extents[:-1], extents[-1], columns, depth, (*left, step), right[:-1], ends)


def _collides(product: _Product, sizes: Sizes) -> bool:
    """Whether rows of A that a tile reads side by side drive each other out of the nearest cache: those of a depth of
    1024 all begin in the same set."""
    row, step = (F32.bytes * stride for stride in product.a[-2:])
    apart = CACHE_SPAN // math.gcd(row, CACHE_SPAN)
    return step < row and -(-sizes[1] // apart) > CACHE_WAYS


def _joined(extents: Shape, operands: list[Shape]) -> tuple[Shape, list[Shape]]:
    """Of axes (batch..., rows) and the strides of A, B and others; the last axis stays one that B does not have."""
    if math.prod(extents) > MOST_ROWS:
        return extents, operands
    kept, strides = join_axes(extents, operands)
    if kept and strides[1][-1] == 0:
        return kept, strides
    return (*kept, 1), [(*one, 0) for one in strides]


def _candidate(problem: Problem, product: _Product, target: Target, sizes: Sizes) -> Candidate:
    """B packed in panels: once at load where it is constant, by a copy kernel before each product otherwise."""
    b, transposed = problem.inputs[1], problem.attrs["transposeB"]
    width, (blocks, tile) = panel_tiles(product.rows, product.columns, target)[0], sizes
    tiles = -(-product.columns // (width * blocks))
    packed_shape = (*b.shape[:-2], tiles, product.depth, width * blocks)
    panels = tuple(s * math.prod(packed_shape[-3:]) for s in product.b)
    count = math.prod(product.batch) * tiles * -(-product.rows // tile)
    kernel = Matmul(
        product.batch, product.rows, product.columns, product.depth, product.a, panels, product.extras,
        problem.epilogue, width, blocks, tile, Grid.of(count, target, max(2, width), product.depth * tile),
    )  # fmt: skip
    rest = (*extra_operands(problem), Output())
    if problem.constants[1] is not None:
        packed = Packed(1, PackPanels(width, blocks, transposed))
        return Candidate("matmul", (Launch(kernel, (Input(0), packed, *rest)),))
    copies = _panel_copies(b, transposed, packed_shape, width, target)
    packing = [Launch(copy, (Input(1), Scratch(0))) for copy in copies]
    launches = (*packing, Launch(kernel, (Input(0), Scratch(0), *rest)))
    return Candidate("matmul", launches, (TensorSpec(packed_shape),))


def _panel_copies(b: TensorSpec, transposed: bool, packed: Shape, width: int, target: Target) -> list[Kernel]:
    """Kernels that pack B at run time: whole panels, then the last one's vectors, of which those at the end overlap."""
    *batch, tiles, depth, lanes = packed
    *outer, row, column = row_major_strides(b.shape)
    columns, k, n = (b.shape[-2], column, row) if transposed else (b.shape[-1], row, column)
    results = row_major_strides(packed)
    whole = columns // lanes

    def copy(vectors: int, size: int, step: int, first: int, place: int, guard: Guard | None = None) -> Kernel:
        """vectors of `size` lanes from column `first` on, each `step` columns behind the one before."""
        extents = (*batch, vectors, depth, size)
        source, result = (*outer, step * n, k, n), (*results[:-3], results[-3] if size == lanes else size, lanes, 1)
        return affine_copy("pack panels", F32, extents, (source, first * n), (result, place), target, guard)

    if columns < width:
        return [copy(1, lanes, 0, 0, 0, Guard(len(batch), len(batch) + 2, lanes, columns, "zero"))]
    found = [copy(whole, lanes, lanes, 0, 0)] if whole else []
    inner, end = -(-columns // width) - 1, whole * results[-3]
    if whole < tiles and inner > whole * lanes // width:
        count = inner - whole * lanes // width
        found.append(copy(count, width, width, whole * lanes, end))
        end += count * width
    if whole < tiles:
        found.append(copy(tiles * lanes // width - inner, width, 0, columns - width, end))
    return found
