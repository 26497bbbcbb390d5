"""Windows cut into parts: strided, and long ones, as sums of short windows with stride 1 over more channels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from nnef_cl.codegen.kernel import PackFloats, PackInto
from nnef_cl.codegen.kernels.window import Geometry

from nnef_cl.ir.layout import Shape


@dataclass(frozen=True)
class Parts:
    """One axis of a window of `whole` taps. Its taps are dealt out to the phases of the stride, and those of a phase
    are cut into `pieces` of `taps` neighbours. A part may reach beyond the window, where its weights are zero.
    """

    whole: int
    stride: int
    dilation: int
    pieces: int

    @staticmethod
    def of(geometry: Geometry, axis: int, pieces: int) -> Parts:
        """Where there are several taps, the stride or the dilation is 1."""
        size, stride = geometry.size[axis], geometry.stride[axis]
        return Parts(size, stride, geometry.dilation[axis] if size > 1 else 1, pieces)

    @property
    def phases(self) -> int:
        """Phases of the stride that have taps."""
        return min(self.stride, self.whole)

    @property
    def count(self) -> int:
        return self.phases * self.pieces

    @property
    def taps(self) -> int:
        """Of one part."""
        return -(-self.whole // (self.stride * self.pieces))

    @property
    def step(self) -> int:
        """Input elements from one tap of a part to the next."""
        return self.stride * self.dilation

    def tap(self, part: int, index: int) -> int:
        """The window's tap that is tap `index` of a part."""
        piece, phase = divmod(part, self.phases)
        return phase + self.stride * (piece * self.taps + index)

    def offset(self, part: int) -> int:
        """Elements from the window's first tap to that of a part."""
        return self.tap(part, 0) * self.dilation

    def first_read(self, output: str, part: str, before: int) -> str:
        """C text: the element that result `output` reads for the first tap of a part."""
        first = output if self.stride == 1 else f"{output} * {self.stride}"
        if self.count == 1:
            return f"{first} - ({before})"
        if self.pieces == 1:
            return f"{first} + ({part}) * {self.dilation} - ({before})"
        phase = f"({part}) % {self.phases} * {self.dilation} + " if self.phases > 1 else ""
        return f"{first} + {phase}({part}) / {self.phases} * {self.step * self.taps} - ({before})"


def split_filter(filter: np.ndarray, down: Parts, across: Parts, channels: int) -> np.ndarray:
    """(K, C, depth, height, width) -> (K, parts x channels, depth, taps, taps): the weights of part after part, each
    with zeros from C on to `channels`."""
    k, c, depth = filter.shape[:3]
    whole = np.zeros((k, down.count, across.count, channels, depth, down.taps, across.taps), np.float32)
    for row, column in itertools.product(range(down.count), range(across.count)):
        taken = filter[:, :, :, down.tap(row, 0) :: down.stride, across.tap(column, 0) :: across.stride]
        taken = taken[:, :, :, : down.taps, : across.taps]
        whole[:, row, column, :c, :, : taken.shape[3], : taken.shape[4]] = taken
    return whole.reshape(k, down.count * across.count * channels, depth, down.taps, across.taps)


@dataclass(frozen=True)
class PackParts(PackFloats):
    """(K, C, taps...) -> `split_filter`, then `pack`. channels: of a part, padding included."""

    down: Parts
    across: Parts
    channels: int
    pack: PackInto

    def shape(self, filter: Shape) -> Shape:
        depth = filter[2] if len(filter) == 5 else 1
        parts = self.down.count * self.across.count
        return self.pack.shape((filter[0], parts * self.channels, depth, self.down.taps, self.across.taps))

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        return self.pack(self._split(filter))

    def into(self, filter: np.ndarray, out: np.ndarray) -> None:
        """Writes the packed array to `out`."""
        self.pack.into(self._split(filter), out)

    def _split(self, filter: np.ndarray) -> np.ndarray:
        k, c, *taps = filter.shape
        five = filter.reshape(k, c, *(1,) * (3 - len(taps)), *taps)
        return split_filter(five, self.down, self.across, self.channels)
