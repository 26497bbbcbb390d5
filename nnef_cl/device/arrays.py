"""Memory of the caller's that is no numpy array: pyopencl's, checked against tensors, and other libraries'."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnef_cl.device.opencl import opencl, translated
from nnef_cl.errors import InputError
from nnef_cl.ir.tensor import TensorSpec

if TYPE_CHECKING:
    from pyopencl import Buffer, CommandQueue

    from nnef_cl.device.manager import Device


@dataclass(frozen=True, eq=False)
class HostArray:
    """array: the memory of another library's. value: what the caller passed."""

    value: Any
    array: np.ndarray


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """bytes of a buffer, from byte `offset` on. value: what the caller passed. queues: whose work so far comes before
    ours."""

    value: Any
    buffer: Buffer
    offset: int
    bytes: int
    queues: Sequence[CommandQueue]

    def settle(self, name: str) -> None:
        """Waits until the caller's work with it is done. name: the device's, for messages."""
        with translated(name, "waiting for an array's queue"):
            if not isinstance(self.value, opencl().Buffer):
                self.value.finish()
            for queue in self.queues:
                queue.finish()

    def overlaps(self, other: DeviceArray) -> bool:
        """Whether they have bytes in common."""
        whole, start = self._place()
        others, begin = other._place()
        return whole == others and start < begin + other.bytes and begin < start + self.bytes

    def _place(self) -> tuple[int, int]:
        """The whole buffer, and where in it this begins."""
        info, buffer = opencl().mem_info, self.buffer
        whole: Any = buffer.get_info(info.ASSOCIATED_MEMOBJECT) or buffer
        begin: Any = buffer.get_info(info.OFFSET)
        return whole.int_ptr, begin + self.offset


def device_array(what: str, value: Any, spec: TensorSpec, devices: Sequence[Device]) -> DeviceArray | None:
    """None where the value is no memory of pyopencl's. devices: the session's. Raises InputError."""
    cl = opencl()
    if isinstance(value, cl.Buffer):
        found = DeviceArray(value, value, 0, value.size, (devices[0].queue.handle,))
        if found.bytes != spec.bytes:
            raise InputError(f"{what}: expected a buffer of {spec.bytes} bytes, got {found.bytes}")
    elif (array := _array_class()) is not None and isinstance(value, array):
        _check(what, value, spec)
        queues = [queue for queue in (devices[0].queue.handle, value.queue) if queue is not None]
        found = DeviceArray(value, value.base_data, value.offset, spec.bytes, queues)
    else:
        return None
    if len(devices) > 1:
        raise InputError(f"{what}: expected an array of the host, because the session has several devices")
    if found.buffer.context != devices[0].context:
        raise InputError(f"{what}: expected memory of the session's context, got another context's")
    return found


def _array_class() -> Any:
    """None where nobody has imported it: it takes long, and there are no such arrays then."""
    module = sys.modules.get("pyopencl.array")
    return None if module is None else module.Array


def _check(what: str, array: Any, spec: TensorSpec) -> None:
    if tuple(array.shape) != spec.shape:
        raise InputError(f"{what}: expected shape {list(spec.shape)}, got {list(array.shape)}")
    if array.dtype != spec.dtype.api:
        raise InputError(f"{what}: expected {spec.dtype.api} ({spec.dtype.kind}), got {array.dtype}")
    if not array.flags.c_contiguous:
        raise InputError(f"{what}: expected a C-contiguous array, got strides {list(array.strides)}")
    if not isinstance(array.base_data, opencl().Buffer):
        raise InputError(f"{what}: expected an array in a buffer, got {type(array.base_data).__name__}")
