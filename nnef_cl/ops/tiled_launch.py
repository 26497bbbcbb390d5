"""Matrix products and convolutions on work-group tiles, for devices with real local memory and many lanes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.expression import IDENTITY
from nnef_cl.codegen.kernel import Candidate, Input, Launch, Output, Pack, Packed, Scratch
from nnef_cl.codegen.kernels.conv_tiled import ConvTiled, PackTiles, conv_tiled
from nnef_cl.codegen.kernels.matmul_tiled import MatmulTiled
from nnef_cl.codegen.kernels.pointwise import broadcast_strides
from nnef_cl.codegen.kernels.reduce import reduce
from nnef_cl.codegen.kernels.reduction import Reduction
from nnef_cl.codegen.kernels.tiled import Tiled
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.target import Target
from nnef_cl.codegen.tile import choose_tile
from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape, row_major_strides
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import Accesses, extra_operands


def matmul_tiles(problem: Problem, target: Target) -> list[Candidate]:
    """The product, each operand constant or not; nothing where the device is not one for tiles."""
    if not target.tiles:
        return []
    y, attrs = problem.outputs[0], problem.attrs
    (*batch, rows, columns), left = y.shape, problem.inputs[0].shape
    depth = left[-2 if attrs["transposeA"] else -1]
    tile = choose_tile(rows, columns, depth, math.prod(batch), target, sliced=True)
    if tile is None:
        return []
    epilogue = problem.epilogue if tile.slices == 1 else IDENTITY
    extras = tuple(broadcast_strides(e, y) for e in epilogue.operands)
    strides = [_matrices(x.shape, attrs[f"transpose{name}"]) for x, name in zip(problem.inputs, "AB", strict=True)]
    kernel = MatmulTiled(tile, rows, columns, tuple(batch), depth, strides[0], strides[1], extras, epilogue)
    return [_candidate(problem, kernel, (Input(0), Input(1)), target)]


def _matrices(shape: Shape, transposed: bool) -> Shape:
    """Element strides of (batch..., row, column); batch axes of extent 1 have stride 0."""
    *batch, row, column = row_major_strides(shape)
    each = (0 if n == 1 else s for n, s in zip(shape, batch, strict=False))
    return (*each, column, row) if transposed else (*each, row, column)


def conv_tiles(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target
) -> list[Candidate]:
    """The convolution with any filter and bias, constant or not; nothing where the device is not one for tiles."""
    kernel = _conv_kernel(problem, accesses, geometry, groups, target, sliced=True)
    if kernel is None:
        return []
    filter = Packed(1, kernel.pack) if kernel.packed else Input(1)
    return [_candidate(problem, kernel, (Input(0), filter, Input(2)), target)]


def conv_tiles_launch(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target,
    arrange: Callable[[PackTiles], Pack],
) -> Launch | None:  # fmt: skip
    """One phase of a deconvolution with a constant filter, whole: phases write to one tensor, slices could not.

    arrange: as for conv_launch.
    """
    kernel = _conv_kernel(problem, accesses, geometry, groups, target, sliced=False)
    if kernel is None:
        return None
    return Launch(kernel, (Input(0), Packed(1, arrange(kernel.pack)), Input(2), *extra_operands(problem), Output()))


def _candidate(problem: Problem, kernel: Tiled, inputs: tuple[Input | Packed, ...], target: Target) -> Candidate:
    """One launch; where the depth is sliced, another one adds the slices and applies the epilogue."""
    extras = extra_operands(problem)
    if kernel.tile.slices == 1:
        return Candidate(kernel.stem, (Launch(kernel, (*inputs, *extras, Output())),))
    y, slices = problem.outputs[0], kernel.tile.slices
    strides = row_major_strides(y.shape)
    task = Reduction(
        "sum", F32, F32, y.shape, strides, strides, (slices,), (y.volume,),
        tuple(broadcast_strides(e, y) for e in problem.epilogue.operands), problem.epilogue, 1,
    )  # fmt: skip
    launches = (
        Launch(kernel, (*inputs, Scratch(0))), Launch(reduce(task, target), (Scratch(0), *extras, Output())),
    )  # fmt: skip
    return Candidate(f"{kernel.stem}_sliced", launches, (TensorSpec((slices, *y.shape)),))


def _conv_kernel(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target, *, sliced: bool
) -> ConvTiled | None:
    if not target.tiles:
        return None
    bias = problem.inputs[2]
    values = Access("bias", replace(bias, shape=(1, bias.volume, 1, 1, 1)))
    packed = problem.constants[1] is not None
    return conv_tiled(*accesses, problem.epilogue, values, geometry, groups, packed, target, sliced=sliced)
