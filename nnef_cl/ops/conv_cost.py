"""What a convolution's candidates would cost on a CPU: cycles from multiplications, transforms and bytes moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from nnef_cl.codegen.kernel import Candidate, Kernel
from nnef_cl.codegen.kernels.conv_depthwise import ConvDepthwise
from nnef_cl.codegen.kernels.conv_direct import ConvDirect
from nnef_cl.codegen.kernels.conv_few import ConvFew
from nnef_cl.codegen.kernels.conv_rows import ConvRows
from nnef_cl.codegen.kernels.conv_window_rows import UNALIGNED_LOAD, ConvWindowRows
from nnef_cl.codegen.kernels.conv_winograd import ConvWinograd
from nnef_cl.codegen.kernels.space_to_depth import SpaceToDepth
from nnef_cl.codegen.target import Target

FMAS = 2
"""Fused multiply-adds of one vector that a unit starts per cycle."""
EFFICIENCY = 0.85
"""Of the products, while their operands come from the nearest caches."""
INPUT_CYCLES, OUTPUT_CYCLES = 6, 6
"""Per transformed vector and point."""
DEALT_CYCLES = 1.2
"""Per element that is put where a part of a window reads it."""
NEAR, SHARED = 768 << 10, 10 << 20
"""Bytes that stay in a unit's own cache, and in the cache of all."""
SHARED_BYTES, MEMORY_BYTES = 24, 9
"""Per cycle and unit, from the shared cache and from memory."""
DEPTHWISE_LOADS = 1.5
"""Products are as many times slower where each needs an input of its own."""
ROWS_WAIT = 1.35
"""The same where rows of all channels come from as many places."""
COPIED_CYCLES = 4
"""Per vector of a row that is put where windows reach it."""
EXPOSED = 0.5
"""Share of the time for bytes that arithmetic does not hide."""


def cheapest_first(candidates: list[Candidate], target: Target) -> list[Candidate]:
    """Those whose cost is unknown stay in front, as they are."""
    return sorted(candidates, key=lambda candidate: cycles(candidate, target))


def cycles(candidate: Candidate, target: Target) -> float:
    """Until the last unit is done; 0 for kernels that have no model."""
    return sum(_of_kernel(launch.kernel, target) for launch in candidate.launches)


def bytes_cycles(size: int, target: Target) -> float:
    """Of all units that together read or write so many bytes once, as far as arithmetic does not hide it."""
    each = size / target.compute_units
    return EXPOSED * _transfer(each, 0 if each <= NEAR else size)


def _of_kernel(kernel: Kernel, target: Target) -> float:
    model = MODELS.get(type(kernel))
    return 0.0 if model is None else model(kernel, target)


def _transfer(size: float, resident: float) -> float:
    """Cycles of one unit that reads `size` bytes out of a working set of `resident` bytes."""
    if resident <= NEAR:
        return 0.0
    return size / (SHARED_BYTES if resident <= SHARED else MEMORY_BYTES)


def _balanced(items: int, target: Target) -> float:
    """Units' time per item: the last round may leave some idle."""
    return math.ceil(items / target.compute_units) / items


def _tile_cycles(tile: int, blocks: int) -> float:
    """One step of a register tile: products, or the loads of its operands where these are more."""
    return max(tile * blocks, tile + blocks) / (FMAS * EFFICIENCY)


def _direct(kernel: ConvDirect, target: Target) -> float:
    steps = kernel.depth * kernel.geometry.taps
    items, tiles = kernel.grid.count, kernel.channel_groups if kernel.all_channels else 1
    weights = 4 * kernel.channel_groups * steps * kernel.width * kernel.blocks
    compute = items * tiles * steps * _tile_cycles(kernel.tile, kernel.blocks) * _balanced(items, target)
    return compute + EXPOSED * weights / MEMORY_BYTES / target.compute_units


def _depthwise(kernel: ConvDepthwise, target: Target) -> float:
    items = math.prod(kernel.counts)
    steps = items * kernel.tile * kernel.per_group * kernel.geometry.taps
    return DEPTHWISE_LOADS * steps / (FMAS * EFFICIENCY) * _balanced(items, target)


def _few(kernel: ConvFew, target: Target) -> float:
    items = math.prod(kernel.counts)
    steps = items * kernel.tile * kernel.results * kernel.in_blocks * kernel.geometry.taps
    return steps / (FMAS * EFFICIENCY) * _balanced(items, target)


def _rows(kernel: ConvRows, target: Target) -> float:
    items = math.prod(kernel.counts)
    steps = items * kernel.in_channels
    return ROWS_WAIT * steps * _tile_cycles(kernel.channels, kernel.vectors) * _balanced(items, target)


def _window_rows(kernel: ConvWindowRows, target: Target) -> float:
    size, items = kernel.geometry.size, math.prod(kernel.counts)
    slices, rows, span = kernel.band
    tiles = -(-kernel.results // kernel.channels) * -(-kernel.height // kernel.rows)
    vectors = -(-kernel.y.spec.shape[4] // kernel.lanes)
    column = size[1] * kernel.channels * kernel.rows + UNALIGNED_LOAD * len(kernel.places)
    products = tiles * vectors * size[2] * column / FMAS
    copied = COPIED_CYCLES * rows * span / kernel.lanes
    return items * kernel.in_channels * slices * (products + copied) * _balanced(items, target)


def _winograd(kernel: ConvWinograd, target: Target) -> float:
    """The transform of the inputs is counted with the products behind it."""
    if kernel.part == "input":
        return 0.0
    units, tiles, fused = target.compute_units, kernel.tile_groups * kernel.tile, kernel.part == "fused"
    depth = kernel.depth_taps * kernel.in_channels
    panel = 4 * kernel.points * depth * kernel.blocks * kernel.width
    weights, transformed = panel * kernel.channel_tiles, 4 * kernel.group_size * (kernel.depth_taps if fused else 1)
    per_group = kernel.channel_tiles * kernel.points * depth * _tile_cycles(kernel.tile, kernel.blocks)
    inputs = INPUT_CYCLES * kernel.points * tiles * kernel.in_blocks * (kernel.depth_taps if fused else 1)
    outputs = OUTPUT_CYCLES * kernel.points * tiles * kernel.channel_tiles * kernel.blocks
    arithmetic = per_group * kernel.tile_groups + inputs + outputs
    if fused:
        items = kernel.tile_groups
        moved = items * _transfer(weights, transformed + weights)
        moved += items * kernel.channel_tiles * _transfer(transformed, transformed)
    else:
        items, everything = kernel.tile_groups * kernel.channel_tiles, transformed * kernel.tile_groups
        moved = (1 + kernel.channel_tiles * kernel.depth_taps) * _transfer(everything, everything + panel)
        moved += kernel.tile_groups * _transfer(weights, panel)
    moved += weights / MEMORY_BYTES
    return arithmetic * _balanced(items, target) + EXPOSED * moved / units


def _space_to_depth(kernel: SpaceToDepth, target: Target) -> float:
    return DEALT_CYCLES * kernel.y.spec.layout.volume(kernel.y.spec.shape) / target.compute_units


MODELS: Mapping[type[Kernel], Callable[[Any, Target], float]] = {
    ConvWinograd: _winograd, SpaceToDepth: _space_to_depth, ConvDirect: _direct, ConvDepthwise: _depthwise,
    ConvFew: _few, ConvRows: _rows, ConvWindowRows: _window_rows,
}  # fmt: skip
