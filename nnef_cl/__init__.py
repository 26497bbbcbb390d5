"""Runs NNEF neural networks on any OpenCL device; public names are resolved lazily."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nnef_cl.errors import (
    DeviceError,
    Error,
    FileFormatError,
    InputError,
    ModelError,
    ModelSyntaxError,
    OutOfMemoryError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from nnef_cl.session import Session, load

__version__ = "0.1.0"

_LAZY = {"load": "nnef_cl.session", "Session": "nnef_cl.session"}

__all__ = [
    "DeviceError", "Error", "FileFormatError", "InputError", "ModelError", "ModelSyntaxError", "OutOfMemoryError",
    "Session", "UnsupportedError", "__version__", "load",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'nnef_cl' has no attribute '{name}'")
