"""What a convolution's candidates would cost on a CPU: cycles from multiplications, transforms and bytes moved."""

from __future__ import annotations

import math

from nnef_cl.codegen.kernel import Candidate, Kernel
from nnef_cl.codegen.kernels.conv_direct import ConvDirect
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
EXPOSED = 0.5
"""Share of the time for bytes that arithmetic does not hide."""


def cheapest_first(candidates: list[Candidate], target: Target) -> list[Candidate]:
    """Those whose cost is unknown stay in front, as they are."""
    return sorted(candidates, key=lambda candidate: cycles(candidate, target))


def cycles(candidate: Candidate, target: Target) -> float:
    """Until the last unit is done; 0 for kernels that have no model."""
    return sum(_of_kernel(launch.kernel, target) for launch in candidate.launches)


def _of_kernel(kernel: Kernel, target: Target) -> float:
    """What goes before a kernel for it alone is counted with it."""
    if isinstance(kernel, ConvWinograd):
        return 0.0 if kernel.part == "input" else _winograd(kernel, target)
    if isinstance(kernel, SpaceToDepth):
        return DEALT_CYCLES * kernel.y.spec.layout.volume(kernel.y.spec.shape) / target.compute_units
    return _direct(kernel, target) if isinstance(kernel, ConvDirect) else 0.0


def _transfer(size: float, resident: int) -> float:
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


def _winograd(kernel: ConvWinograd, target: Target) -> float:
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
