"""A deconvolution as one ordinary convolution per stride phase, each writing every stride-th output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from nnef_cl.codegen.access import Access, View
from nnef_cl.codegen.kernel import Launch, PackFloats
from nnef_cl.codegen.kernels.conv_few import PackFew
from nnef_cl.codegen.kernels.conv_tiled import PackTiles
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.target import Target
from nnef_cl.ir.layout import Shape
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import Accesses, Packing


@dataclass(frozen=True)
class Phase:
    """Outputs start, start + stride, ... along one axis: `outputs` of them, computed from `taps` (in input order).

    before, dilation: of the equivalent stride-1 convolution.
    """

    start: int
    outputs: int
    taps: Shape
    before: int
    dilation: int


def axis_phases(size: int, stride: int, dilation: int, before: int, outputs: int) -> list[Phase]:
    """The phases of one axis (output i reads input (i + before - tap * dilation) / stride where that is whole)."""
    phases = []
    for start in range(min(stride, outputs)):
        taps = [j for j in range(size) if (start + before - j * dilation) % stride == 0]
        taps.reverse()
        offset = (start + before - taps[0] * dilation) // stride if taps else 0
        step = dilation // math.gcd(dilation, stride)
        phases.append(Phase(start, -(-(outputs - start) // stride), tuple(taps), -offset, step))
    return phases


@dataclass(frozen=True)
class PackPhase(PackFloats):
    """(C, K/groups, taps...) -> the phase's taps as a convolution filter (K, C/groups, taps...), then `pack`."""

    taps: tuple[Shape, ...]
    groups: int
    pack: Packing | PackFew | PackTiles

    def shape(self, filter: Shape) -> Shape:
        c, k = filter[:2]
        return self.pack.shape((self.groups * k, c // self.groups, *(max(1, len(taps)) for taps in self.taps)))

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        c, k, *spatial = filter.shape
        full = filter.reshape(c, k, *(1,) * (3 - len(spatial)), *spatial)
        chosen = full
        for axis, taps in enumerate(self.taps):
            chosen = np.take(chosen, taps, axis=2 + axis) if taps else np.zeros_like(chosen.take([0], 2 + axis))
        grouped = chosen.reshape(self.groups, c // self.groups, k, *chosen.shape[2:])
        return self.pack(np.swapaxes(grouped, 1, 2).reshape(self.groups * k, c // self.groups, *chosen.shape[2:]))


def phase_launches(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target,
    convolve: Callable[..., Launch | None],
) -> list[Launch]:  # fmt: skip
    """One launch per phase; none where a phase has no kernel. convolve: conv_launch, or another of its kind."""
    x, y, extras = accesses
    full = y.spec.shape[2:]
    if any(e.spec.shape[2:] not in (full, (1, 1, 1)) for e in extras):
        return []
    launches = []
    for phases in _combinations(geometry, full):
        start = tuple(p.start for p in phases)
        shape = (*y.spec.shape[:2], *(p.outputs for p in phases))
        part = _viewed(y, shape, geometry.stride, start)
        operands = tuple(
            e if e.spec.shape[2:] == (1, 1, 1) else _viewed(e, (*e.spec.shape[:2], *shape[2:]), geometry.stride, start)
            for e in extras
        )
        windows = Geometry(
            tuple(max(1, len(p.taps)) for p in phases), (1, 1, 1), tuple(p.dilation for p in phases),
            tuple(p.before for p in phases), geometry.border,
        )  # fmt: skip
        arrange = partial(PackPhase, tuple(p.taps for p in phases), groups)
        launch = convolve(problem, (x, part, operands), windows, groups, target, arrange)
        if launch is None:
            return []
        launches.append(launch)
    return launches


def _combinations(geometry: Geometry, outputs: Shape) -> Iterator[tuple[Phase, ...]]:
    axes = zip(geometry.size, geometry.stride, geometry.dilation, geometry.before, outputs, strict=True)
    return product(*(axis_phases(*axis) for axis in axes))


def _viewed(access: Access, shape: Shape, step: Shape, start: Shape) -> Access:
    """Every step-th spatial element from start on; the same tensor where that is all of it."""
    if shape == access.spec.shape:
        return access
    return Access(access.name, replace(access.spec, shape=shape), View(access.spec, step, start))
