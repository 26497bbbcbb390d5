"""Convolutions with fewer multiplications: Winograd's algorithm as candidates of conv."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.kernel import Candidate, Input, Launch, Operand, Output, Packed, PackInto, Scratch, Sizes, Space
from nnef_cl.codegen.kernels.conv_direct import PackBias
from nnef_cl.codegen.kernels.conv_winograd import (
    Axis,
    ConvWinograd,
    PackWinograd,
    conv_winograd,
    pixels_apart,
    winograd_tiles,
)
from nnef_cl.codegen.kernels.space_to_depth import space_to_depth
from nnef_cl.codegen.kernels.toom_cook import Transform
from nnef_cl.codegen.kernels.window import Geometry, tested
from nnef_cl.codegen.kernels.window_parts import PackParts, Parts
from nnef_cl.codegen.target import Target
from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Layout
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import Accesses, extra_operands

POINTS = {1: (10, 8, 6, 4), 2: (8, 6, 4)}
"""Of a tile along each of so many transformed axes: with more, digits are lost; with fewer, too little is won."""
MOST_OUTPUTS = {1: 6, 2: 5}
"""Of a tile along an axis: with short windows, too, more outputs lose digits."""
MOST_TERMS = {(1, 10): 2048, (2, 8): 512, (2, 6): 4096}
"""Products that are added up for a point, by transformed axes and points along each: of more, digits are lost."""
MOST_PARTS = 36
"""Of a window."""
MAX_SCRATCH = 1 << 28
"""Bytes of transformed tiles, and of parts that are put together before."""


def winograd_candidates(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target
) -> list[Candidate]:
    """None where the windows, groups or layouts do not suit."""
    x, y, _ = accesses
    parts_of_blocks = any(spec.shape[1] // groups % y.block for spec in (x.spec, y.spec))
    if y.block < 2 or (groups > 1 and (parts_of_blocks or x.block == 1)):
        return []
    found = []
    for axes in _axes(geometry, x.spec, y.spec, groups):
        tiles = tuple(winograd_tiles(y, *axes, groups, target, geometry))
        for parts in (("fused",), ("input", "output")):
            found.append(_candidate(problem, accesses, geometry, groups, target, axes, parts, tiles, tiles[0]))
    return [candidate for candidate in found if candidate is not None]


def _axes(geometry: Geometry, x: TensorSpec, y: TensorSpec, groups: int) -> Iterator[tuple[Axis, Axis]]:
    """For windows of several taps along height, width or both, with the same number of points along both; of any number
    along the depth, if nothing but zeros is around."""
    sizes = geometry.size[1:]
    spread = zip(sizes, geometry.stride[1:], geometry.dilation[1:], strict=True)
    if len(sizes) != 2 or max(sizes) == 1 or any(taps > 1 and s > 1 and d > 1 for taps, s, d in spread):
        return
    alone = (geometry.size[0], geometry.stride[0], geometry.before[0], y.shape[2] - x.shape[2]) == (1, 1, 0, 0)
    if not (alone or (geometry.size[0] > 1 and tested(geometry.border))):
        return
    count = sum(taps > s for taps, s in zip(sizes, geometry.stride[1:], strict=True))
    for points in POINTS.get(count, ()):
        rows, columns = (_axis(geometry, a, points, y.shape[2 + a], MOST_OUTPUTS[count]) for a in (1, 2))
        if rows is None or columns is None:
            continue
        parts = rows[1].count * columns[1].count
        terms = parts * geometry.size[0] * x.shape[1] // groups
        if parts <= MOST_PARTS and terms <= MOST_TERMS.get((count, points), terms):
            yield rows, columns


def _axis(geometry: Geometry, axis: int, points: int, extent: int, most: int) -> Axis | None:
    """The parts that take the fewest products of all whose tiles have at most `points` points; None where there is no
    tile of at least two of the `extent` results, and of at most `most`. Parts of one tap are not transformed."""
    best, fewest = None, math.inf
    if geometry.size[axis] <= geometry.stride[axis]:
        return Transform(1, 1), Parts.of(geometry, axis, 1)
    for pieces in range(1, MOST_PARTS + 1):
        parts = Parts.of(geometry, axis, pieces)
        outputs = points + 1 - parts.taps
        if parts.taps == 1:
            break
        if 2 <= outputs <= min(most, -(-extent // pixels_apart(geometry)[axis - 1])):
            products = parts.count * points / outputs
            if products < fewest:
                best, fewest = (Transform(outputs, parts.taps), parts), products
    return best


def _scratch(kernel: ConvWinograd) -> TensorSpec:
    """The transformed tiles: of every group of tiles, or of one for each work-group."""
    groups = kernel.global_size[0] * kernel.depth_taps if kernel.part == "fused" else kernel.tile_groups
    return TensorSpec((groups, kernel.group_size))


@dataclass(frozen=True)
class _Source:
    """What the tiles are read from: the input, or its parts put together before."""

    accesses: Accesses
    geometry: Geometry
    axes: tuple[Axis, Axis]
    before: tuple[Launch, ...] = ()
    scratch: tuple[TensorSpec, ...] = ()

    @property
    def operand(self) -> Operand:
        return Scratch(0) if self.scratch else Input(0)


def _source(accesses: Accesses, geometry: Geometry, axes: tuple[Axis, Axis], target: Target) -> _Source:
    """Channels of a plain tensor are gathered to vectors: once for all tiles where there are several parts, whose
    channels fill vectors together."""
    (x, y, extras), ((rows, down), (columns, across)) = accesses, axes
    parts = down.count * across.count
    if parts == 1 or x.block > 1:
        return _Source(accesses, geometry, axes)
    apart = pixels_apart(geometry)
    n, channels, depth = x.spec.shape[:3]
    reached = (
        extent + (transform.taps - 1) * step
        for extent, transform, step in zip(y.spec.shape[3:], (rows, columns), apart, strict=True)
    )
    spec = TensorSpec((n, parts * channels, depth, *reached), F32, Layout(y.block))
    whole = Geometry(
        (geometry.size[0], rows.taps, columns.taps), (geometry.stride[0], 1, 1), (geometry.dilation[0], *apart),
        (geometry.before[0], 0, 0), "replicate",
    )  # fmt: skip
    kernel = space_to_depth(x, Access("y", spec), (down, across), geometry, target)
    one = (rows, Parts.of(whole, 1, 1)), (columns, Parts.of(whole, 2, 1))
    return _Source((Access("x", spec), y, extras), whole, one, (Launch(kernel, (Input(0), Scratch(0))),), (spec,))


def _candidate(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target,
    axes: tuple[Axis, Axis], parts: tuple[str, ...], tiles: tuple[Sizes, ...], sizes: Sizes,
) -> Candidate | None:  # fmt: skip
    """None where what is between the launches would need too much memory."""
    source = _source(accesses, geometry, axes, target)
    kernels = [
        conv_winograd(part, *source.accesses, problem.epilogue, source.geometry, *source.axes, groups, target, sizes)
        for part in parts
    ]  # fmt: skip
    scratch = (*source.scratch, _scratch(kernels[0]))
    if max(spec.bytes for spec in scratch) > min(MAX_SCRATCH, target.max_allocation):
        return None
    last, transformed = kernels[-1], Scratch(len(scratch) - 1)
    weights = _weights(problem, last, axes, source)
    rest = (*weights, *extra_operands(problem))
    if last.part == "fused":
        launches: tuple[Launch, ...] = (Launch(last, (source.operand, *rest, transformed, Output())),)
    else:
        launches = (
            Launch(kernels[0], (source.operand, transformed)), Launch(last, (transformed, *rest, Output()))
        )  # fmt: skip
    make = partial(_candidate, problem, accesses, geometry, groups, target, axes, parts, tiles)
    return Candidate(
        _name(axes, last.part), (*source.before, *launches), scratch, exact=False, space=Space(tiles, make)
    )  # fmt: skip


def _weights(
    problem: Problem, kernel: ConvWinograd, axes: tuple[Axis, Axis], source: _Source
) -> tuple[Operand, Operand]:
    (_, down), (_, across) = axes
    pack: PackInto = PackWinograd(kernel.rows, kernel.columns, kernel.width, kernel.blocks, kernel.depth_taps)
    if down.count * across.count > 1:
        channels = kernel.in_channels // (down.count * across.count)
        padded = channels if source.scratch else -(-channels // kernel.width) * kernel.width
        pack = PackParts(down, across, padded, pack)
    bias = PackBias(problem.outputs[0].shape[1], 1, kernel.width * kernel.blocks)
    return Packed(1, pack), Packed(2, bias)


def _name(axes: tuple[Axis, Axis], part: str) -> str:
    (rows, down), (columns, across) = axes
    parts = f" of {down.count}x{across.count} parts" if down.count * across.count > 1 else ""
    return f"winograd F{rows.outputs}x{columns.outputs}{parts} {'fused' if part == 'fused' else 'in two steps'}"
