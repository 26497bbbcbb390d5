"""What a tensor is (TensorSpec) and the data of one that never changes (Constant)."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from nnef_cl.ir.dtype import F32, DType
from nnef_cl.ir.layout import PLAIN, Layout, Shape
from nnef_cl.ir.quant import Quant


@dataclass(frozen=True)
class TensorSpec:
    """shape: logical (N, C, spatial...) extents, whatever the layout. quant: how the values were rounded; they are
    float32 all the same, so tensors that differ in it alone are alike for kernels."""

    shape: Shape
    dtype: DType = F32
    layout: Layout = PLAIN
    quant: Quant | None = field(default=None, compare=False, repr=False)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def volume(self) -> int:
        """Number of logical elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size on the device, padding included."""
        return self.layout.volume(self.shape) * self.dtype.bytes

    def with_layout(self, layout: Layout) -> TensorSpec:
        return replace(self, layout=layout)

    def __str__(self) -> str:
        layout = "" if self.layout == PLAIN else f" {self.layout}"
        return f"{self.dtype}[{','.join(map(str, self.shape))}]{layout}"


@dataclass(frozen=True, eq=False)
class Constant:
    """stored: logical shape, in the API dtype of its tensor. label: of the NNEF variable, '' for others. factors: the
    values are the product of `stored` with each of them in turn; they have its rank, and extent 1 along some axes."""

    stored: np.ndarray = field(repr=False)
    label: str = ""
    factors: tuple[np.ndarray, ...] = field(default=(), repr=False)

    @property
    def array(self) -> np.ndarray:
        """The values. Those with factors are computed at every look, so that nothing keeps them."""
        return functools.reduce(np.multiply, self.factors, self.stored)

    @property
    def shape(self) -> Shape:
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.stored.dtype

    @cached_property
    def digest(self) -> str:
        """Content hash: equal constants may share packed copies."""
        array = np.ascontiguousarray(self.array)
        return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()

    @property
    def is_literal(self) -> bool:
        """One number, whatever the rank: it can be written into the kernel."""
        return self.stored.size == 1


def unrepeated(array: np.ndarray) -> np.ndarray:
    """Extent 1 along the axes where the array repeats without taking memory."""
    return array[tuple(slice(1 if stride == 0 else None) for stride in array.strides)]
