"""How a tensor lies in memory: plain row-major, or channels (axis 1) in blocks of one vector."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """block 1: row-major. block b > 1: (N, C, rest...) is stored as (N, ceil(C/b), rest..., b).

    The lanes that pad the last block always hold zero: kernels that write the layout write them, kernels
    that read it may count on them.
    """

    block: int = 1

    def physical(self, shape: Shape) -> Shape:
        """The stored array's shape. block 1: the shape itself."""
        if self.block == 1:
            return shape
        n, c, *rest = shape
        return (n, -(-c // self.block), *rest, self.block)

    def volume(self, shape: Shape) -> int:
        """Number of stored elements, padding included."""
        return math.prod(self.physical(shape))

    def padded(self, shape: Shape) -> bool:
        """Whether there are padding lanes."""
        return self.block > 1 and shape[1] % self.block != 0

    def pack(self, array: np.ndarray) -> np.ndarray:
        """Logical array -> stored array, a view where that is possible."""
        if self.block == 1:
            return array
        n, c, *rest = array.shape
        blocks = -(-c // self.block)
        padded = np.zeros((n, blocks * self.block, *rest), array.dtype)
        padded[:, :c] = array
        return np.moveaxis(padded.reshape(n, blocks, self.block, *rest), 2, -1)

    def unpack(self, stored: np.ndarray, shape: Shape) -> np.ndarray:
        """Stored array (any shape of the right volume) -> logical array of `shape`."""
        stored = stored.reshape(self.physical(shape))
        if self.block == 1:
            return stored
        n, c, *rest = shape
        lanes = np.moveaxis(stored, -1, 2)
        return np.ascontiguousarray(lanes.reshape(n, lanes.shape[1] * self.block, *rest)[:, :c])

    def __str__(self) -> str:
        return "plain" if self.block == 1 else f"block{self.block}"


PLAIN = Layout()


def row_major_strides(shape: Shape) -> Shape:
    """Element strides of a contiguous array."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))
