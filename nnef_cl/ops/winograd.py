"""Convolutions with fewer multiplications: Winograd's algorithm as candidates of conv."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from nnef_cl.codegen.kernel import Candidate, Input, Launch, Output, Packed, Scratch, Sizes, Space
from nnef_cl.codegen.kernels.conv_direct import PackBias
from nnef_cl.codegen.kernels.conv_winograd import (
    ConvWinograd,
    PackWinograd,
    conv_winograd,
    pixels_apart,
    winograd_tiles,
)
from nnef_cl.codegen.kernels.toom_cook import Transform
from nnef_cl.codegen.kernels.window import Geometry, tested
from nnef_cl.codegen.target import Target
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import Accesses, extra_operands

POINTS = {1: (10, 8, 6, 4), 2: (8, 6, 4)}
"""Of a tile along each of so many transformed axes: with more, digits are lost; with fewer, too little is won."""
MOST_OUTPUTS = {1: 6, 2: 5}
"""Of a tile along an axis: with short windows, too, more outputs lose digits."""
MOST_TAPS = 9
MAX_SCRATCH = 1 << 28
"""Bytes of transformed tiles."""


def winograd_candidates(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target
) -> list[Candidate]:
    """None where the windows, groups or layouts do not suit."""
    x, y, _ = accesses
    parts_of_blocks = any(spec.shape[1] // groups % y.block for spec in (x.spec, y.spec))
    if y.block < 2 or (groups > 1 and parts_of_blocks):
        return []
    found = []
    for rows, columns in _transforms(geometry, x.spec, y.spec):
        tiles = tuple(winograd_tiles(y, rows, columns, groups, target, geometry))
        for parts in (("fused",), ("input", "output")):
            make = partial(_candidate, problem, accesses, geometry, groups, target, (rows, columns), parts, tiles)
            found.append(make(tiles[0]))
    return [candidate for candidate in found if candidate is not None]


def _transforms(geometry: Geometry, x: TensorSpec, y: TensorSpec) -> Iterator[tuple[Transform, Transform]]:
    """For windows of up to MOST_TAPS taps along height, width or both, with the same number of points along both; of
    any number along the depth, if nothing but zeros is around."""
    sizes = geometry.size[1:]
    if set(geometry.stride[1:]) != {1} or not 1 < max(sizes) <= MOST_TAPS:
        return
    alone = (geometry.size[0], geometry.stride[0], geometry.before[0], y.shape[2] - x.shape[2]) == (1, 1, 0, 0)
    if len(sizes) != 2 or not (alone or (geometry.size[0] > 1 and tested(geometry.border))):
        return
    axes, apart = sum(taps > 1 for taps in sizes), pixels_apart(geometry)
    for points in POINTS[axes]:
        outputs = [1 if taps == 1 else points + 1 - taps for taps in sizes]
        most = [min(-(-extent // d), MOST_OUTPUTS[axes]) for extent, d in zip(y.shape[3:], apart, strict=True)]
        if all(taps == 1 or 2 <= n <= m for taps, n, m in zip(sizes, outputs, most, strict=True)):
            rows, columns = (Transform(n, taps) for n, taps in zip(outputs, sizes, strict=True))
            yield rows, columns


def _scratch(kernel: ConvWinograd) -> TensorSpec:
    """The transformed tiles: of every group of tiles, or of one for each work-group."""
    groups = kernel.global_size[0] * kernel.depth_taps if kernel.part == "fused" else kernel.tile_groups
    return TensorSpec((groups, kernel.group_size))


def _candidate(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target,
    transforms: tuple[Transform, Transform], parts: tuple[str, ...], tiles: tuple[Sizes, ...], sizes: Sizes,
) -> Candidate | None:  # fmt: skip
    """None where the transformed tiles would need too much memory."""
    kernels = [
        conv_winograd(part, *accesses, problem.epilogue, geometry, *transforms, groups, target, sizes)
        for part in parts
    ]  # fmt: skip
    if _scratch(kernels[0]).bytes > min(MAX_SCRATCH, target.max_allocation):
        return None
    last = kernels[-1]
    lanes = last.width * last.blocks
    weights = (
        Packed(1, PackWinograd(last.rows, last.columns, last.width, last.blocks, last.depth_taps)),
        Packed(2, PackBias(problem.outputs[0].shape[1], 1, lanes)),
    )  # fmt: skip
    rest = (*weights, *extra_operands(problem))
    fused = last.part == "fused"
    name = f"winograd F{last.rows.outputs}x{last.columns.outputs} {'fused' if fused else 'in two steps'}"
    if fused:
        launches: tuple[Launch, ...] = (Launch(last, (Input(0), *rest, Scratch(0), Output())),)
    else:
        launches = Launch(kernels[0], (Input(0), Scratch(0))), Launch(last, (Scratch(0), *rest, Output()))
    make = partial(_candidate, problem, accesses, geometry, groups, target, transforms, parts, tiles)
    return Candidate(name, launches, (_scratch(kernels[0]),), exact=False, space=Space(tiles, make))
