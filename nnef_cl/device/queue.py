"""A device's commands in order: launches, copies to, from and on the device, and waiting for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nnef_cl.device.opencl import opencl, translated

if TYPE_CHECKING:
    from pyopencl import Buffer, CommandQueue, Context, Kernel


class Queue:
    """Executes in the order of the calls. Queues of one device run beside each other.

    handle: pyopencl's. Methods may be called from any thread and raise DeviceError.
    """

    def __init__(self, context: Context, device: Any, name: str, *, profiling: bool, in_place: bool) -> None:
        """device: pyopencl's; name: for messages; in_place: the host can write to buffers."""
        cl = opencl()
        self.name, self._in_place = name, in_place
        properties = cl.command_queue_properties.PROFILING_ENABLE if profiling else 0
        with translated(name, "making a queue"):
            self.handle: CommandQueue = cl.CommandQueue(context, device, properties=properties)

    def launch(self, kernel: Kernel, global_size: tuple[int, ...], local_size: tuple[int, ...]) -> None:
        """Enqueues one kernel."""
        with translated(self.name, f"running {kernel.function_name}"):
            opencl().enqueue_nd_range_kernel(self.handle, kernel, global_size, local_size)

    def write(self, buffer: Buffer, array: np.ndarray) -> None:
        """Host array (any strides) -> start of the buffer; returns when the array may be changed."""
        if not array.nbytes:
            return
        with translated(self.name, "copying to the device"):
            if self._in_place and not array.flags.c_contiguous:
                self._write_in_place(buffer, array)
            else:
                opencl().enqueue_copy(self.handle, buffer, np.ascontiguousarray(array), is_blocking=True)

    def send(self, buffer: Buffer, array: np.ndarray) -> Any:
        """Starts to copy a C-contiguous host array to the start of the buffer, before all work enqueued later. Neither
        the array nor what is returned may go before some of that work is done."""
        with translated(self.name, "copying to the device"):
            return opencl().enqueue_copy(self.handle, buffer, array, is_blocking=False)

    def _write_in_place(self, buffer: Buffer, array: np.ndarray) -> None:
        """Without a contiguous copy of the array in between."""
        cl = opencl()
        mapped, _ = cl.enqueue_map_buffer(
            self.handle, buffer, cl.map_flags.WRITE_INVALIDATE_REGION, 0, array.shape, array.dtype, is_blocking=True
        )
        try:
            np.copyto(mapped, array)
        finally:
            mapped.base.release(self.handle)

    def read(self, buffer: Buffer, array: np.ndarray) -> np.ndarray:
        """Start of the buffer -> C-contiguous host array, after all work enqueued before; returns it."""
        if array.nbytes:
            with translated(self.name, "copying from the device"):
                opencl().enqueue_copy(self.handle, array, buffer, is_blocking=True)
        return array

    def map(self, buffer: Buffer, nbytes: int) -> Any:
        """The host may read and write the buffer's first bytes, after all work enqueued before, until the handle that
        is returned is given to `unmap`."""
        cl = opencl()
        flags = cl.map_flags.READ | cl.map_flags.WRITE
        with translated(self.name, "mapping a buffer"):
            mapped, _ = cl.enqueue_map_buffer(self.handle, buffer, flags, 0, (nbytes,), np.uint8, is_blocking=True)
        return mapped.base

    def unmap(self, mapping: Any) -> None:
        """The buffer is the device's again, for all work enqueued later."""
        with translated(self.name, "unmapping a buffer"):
            mapping.release(self.handle)

    def copy(self, source: Buffer, target: Buffer, nbytes: int, begin: int = 0, to: int = 0) -> None:
        """Bytes of one buffer, from `begin` on -> another, from byte `to` on, after all work enqueued before; does not
        wait."""
        with translated(self.name, "copying on the device"):
            opencl().enqueue_copy(self.handle, target, source, byte_count=nbytes, src_offset=begin, dst_offset=to)

    def finish(self) -> None:
        """Waits until all enqueued work is done."""
        with translated(self.name, "waiting for the device"):
            self.handle.finish()
