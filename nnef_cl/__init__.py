"""Runs NNEF neural networks on any OpenCL device; public names are resolved lazily."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nnef_cl.errors import (
    DeviceError,
    Error,
    ExtensionError,
    FileFormatError,
    InputError,
    ModelError,
    ModelSyntaxError,
    OutOfMemoryError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from nnef_cl.binding import Binding
    from nnef_cl.format.tensor_file import ItemReader
    from nnef_cl.gathering import Batching
    from nnef_cl.images import Image
    from nnef_cl.ops import STANDARD
    from nnef_cl.ops.custom import op
    from nnef_cl.ops.custom import user_table as table
    from nnef_cl.session import Session, load

__version__ = "0.1.0"

_LAZY = {
    "load": ("nnef_cl.session", "load"),
    "Session": ("nnef_cl.session", "Session"),
    "Binding": ("nnef_cl.binding", "Binding"),
    "Batching": ("nnef_cl.gathering", "Batching"),
    "Image": ("nnef_cl.images", "Image"),
    "ItemReader": ("nnef_cl.format.tensor_file", "ItemReader"),
    "STANDARD": ("nnef_cl.ops", "STANDARD"),
    "op": ("nnef_cl.ops.custom", "op"),
    "table": ("nnef_cl.ops.custom", "user_table"),
}
"""Public name -> module and name in it."""

__all__ = [
    "STANDARD", "Batching", "Binding", "DeviceError", "Error", "ExtensionError", "FileFormatError", "Image",
    "InputError", "ItemReader", "ModelError", "ModelSyntaxError", "OutOfMemoryError", "Session", "UnsupportedError",
    "__version__", "load", "op", "table",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, own = _LAZY[name]
        return getattr(import_module(module), own)
    raise AttributeError(f"module 'nnef_cl' has no attribute '{name}'")
