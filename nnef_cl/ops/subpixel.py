"""A deconvolution as one convolution with results for every phase of the stride (Shi et al., 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from nnef_cl.codegen.access import Access, Shuffled
from nnef_cl.codegen.kernel import Candidate, Launch, Operand, Pack, Packed, PackFloats, Sizes, Space
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.target import Target
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import Accesses, conv_candidate
from nnef_cl.ops.windows import Window
from nnef_cl.ops.winograd import winograd_candidates


@dataclass(frozen=True)
class Taps:
    """One axis of a deconvolution: where each tap's weight goes. Result row * stride + phase reads the inputs
    row + first .. row + last, through the tap at `place` of its phase."""

    stride: int
    phase: Shape
    place: Shape
    first: int
    last: int

    @property
    def reach(self) -> int:
        """Taps of the convolution."""
        return self.last - self.first + 1

    @staticmethod
    def of(window: Window | Geometry, axis: int) -> Taps:
        stride, before, dilation = window.stride[axis], window.before[axis], window.dilation[axis]
        taps = range(window.size[axis])
        phase = tuple((tap * dilation - before) % stride for tap in taps)
        read = [(p + before - tap * dilation) // stride for p, tap in zip(phase, taps, strict=True)]
        return Taps(stride, phase, tuple(r - min(read) for r in read), min(read), max(read))


def spread(filter: np.ndarray, groups: int, taps: tuple[Taps, ...]) -> np.ndarray:
    """(C, K/groups, taps...) -> (groups, K/groups, phases..., C/groups, taps of the convolution...)."""
    c, k, axes = filter.shape[0] // groups, filter.shape[1], len(taps)
    given = filter.reshape(groups, c, k, *filter.shape[2:]).swapaxes(1, 2)
    pairs = [n for one in taps for n in (one.stride, one.reach)]
    whole = np.zeros((groups, k, c, *pairs), np.float32)
    index = [
        np.reshape(i, [-1 if a == axis else 1 for a in range(axes)])
        for axis, one in enumerate(taps) for i in (one.phase, one.place)
    ]  # fmt: skip
    whole[(slice(None),) * 3 + tuple(index)] = given
    return whole.transpose(0, 1, *range(3, 3 + 2 * axes, 2), 2, *range(4, 4 + 2 * axes, 2))


@dataclass(frozen=True)
class PackSpread(PackFloats):
    """(C, K, taps...) -> the filter of the convolution, phase after phase, then `pack`."""

    taps: tuple[Taps, ...]
    pack: Pack

    def shape(self, filter: Shape) -> Shape:
        c, k = filter[:2]
        return self.pack.shape((_phases(self.taps) * k, c, *(one.reach for one in self.taps)))

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        c, k, *sizes = filter.shape
        whole = spread(filter.reshape(c, k, *(1,) * (len(self.taps) - len(sizes)), *sizes), 1, self.taps)[0]
        ordered = np.moveaxis(whole, 0, len(self.taps))
        return self.pack(np.ascontiguousarray(ordered).reshape(-1, c, *(one.reach for one in self.taps)))


@dataclass(frozen=True)
class PackRepeated(PackFloats):
    """A bias for `channels` channels -> the same for every phase, then `pack`."""

    channels: int
    phases: int
    pack: Pack

    def shape(self, bias: Shape) -> Shape:
        return self.pack.shape((1, self.channels * self.phases))

    def __call__(self, bias: np.ndarray) -> np.ndarray:
        each = np.broadcast_to(bias.reshape(-1), (self.channels,))
        return self.pack(np.tile(each, self.phases).reshape(1, -1))


def subpixel_candidates(problem: Problem, accesses: Accesses, geometry: Geometry, target: Target) -> list[Candidate]:
    """Of a deconvolution without groups. None where the results are not whole blocks of channels, or phases have not
    equally many."""
    x, y, extras = accesses
    spatial = y.spec.shape[2:]
    taps = tuple(Taps.of(geometry, axis) for axis in range(len(spatial)))
    whole = y.block > 1 and y.spec.shape[1] % y.block == 0 and x.spec.shape[1] > 1
    if not whole or _phases(taps) == 1 or any(n % one.stride for n, one in zip(spatial, taps, strict=True)):
        return []
    if not all(_follows(extra, y) for extra in extras):
        return []
    windows = Geometry(
        tuple(one.reach for one in taps), (1,) * len(taps), (1,) * len(taps), tuple(-one.first for one in taps),
        geometry.border,
    )  # fmt: skip
    shuffled = x, _shuffled(y, taps), tuple(_shuffled(extra, taps) for extra in extras)
    posed = replace(problem, outputs=(TensorSpec((y.spec.shape[0], y.spec.shape[1] * _phases(taps))),))
    found = winograd_candidates(posed, shuffled, windows, 1, target)
    if all(one.reach * one.stride == len(one.phase) for one in taps):  # no phase has weights of zero
        direct = conv_candidate(posed, shuffled, windows, 1, target)
        found += [] if direct is None else [direct]
    return [_arranged(candidate, partial(_operand, taps, y.spec.shape[1])) for candidate in found]


def _phases(taps: tuple[Taps, ...]) -> int:
    return math.prod(one.stride for one in taps)


def _follows(extra: Access, y: Access) -> bool:
    """Whether an operand of the epilogue can be read as the result is stored."""
    return extra.block == y.block and extra.spec.shape in (y.spec.shape, (1, y.spec.shape[1], 1, 1, 1))


def _shuffled(access: Access, taps: tuple[Taps, ...]) -> Access:
    n, channels, *spatial = access.spec.shape
    rows = (extent if extent == 1 else extent // one.stride for extent, one in zip(spatial, taps, strict=True))
    spec = replace(access.spec, shape=(n, channels * _phases(taps), *rows))
    return Access(access.name, spec, shuffled=Shuffled(access.spec, tuple(one.stride for one in taps)))


def _operand(taps: tuple[Taps, ...], channels: int, operand: Operand) -> Operand:
    """Packings of the convolution's filter and bias as those of the deconvolution's."""
    if not isinstance(operand, Packed):
        return operand
    if operand.input == 1:
        return Packed(1, PackSpread(taps, operand.pack))
    return Packed(2, PackRepeated(channels, _phases(taps), operand.pack))


def _arranged(candidate: Candidate, arrange: Callable[[Operand], Operand]) -> Candidate:
    launches = tuple(Launch(one.kernel, tuple(map(arrange, one.operands))) for one in candidate.launches)
    space = candidate.space
    return replace(
        candidate, algorithm=f"subpixel {candidate.algorithm}", launches=launches,
        space=None if space is None else Space(space.sizes, partial(_made, space, arrange)),
    )  # fmt: skip


def _made(space: Space, arrange: Callable[[Operand], Operand], sizes: Sizes) -> Candidate | None:
    candidate = space.make(sizes)
    return None if candidate is None else _arranged(candidate, arrange)
