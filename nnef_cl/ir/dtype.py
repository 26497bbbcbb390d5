"""Element types: NNEF's logical kinds and how they are stored on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DType:
    """name: storage; kind: NNEF element type; api: numpy type at the Python API; storage: numpy type on the device.
    A value has the same bytes in both."""

    name: str
    kind: str
    api: str
    storage: str

    @property
    def bytes(self) -> int:
        return np.dtype(self.storage).itemsize

    def __str__(self) -> str:
        return self.name


F32 = DType("f32", "scalar", "float32", "float32")
I64 = DType("i64", "integer", "int64", "int64")
BOOL = DType("bool", "logical", "bool", "uint8")
BYTE = DType("u8", "integer", "uint8", "uint8")
"""Of inputs that hold images, and of nothing else."""

DEFAULT = {dtype.kind: dtype for dtype in (F32, I64, BOOL)}
"""NNEF element type -> the type tensors of that kind have in a graph."""
