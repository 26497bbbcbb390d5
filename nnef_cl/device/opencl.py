"""pyopencl, imported on first use and only in the process that used it first; its errors as ours."""

from __future__ import annotations

import os
from types import ModuleType, TracebackType

from nnef_cl.errors import DeviceError, OutOfMemoryError

LOG_LINES = 20
MEMORY_CODES = (-4, -6, -61)
"""MEM_OBJECT_ALLOCATION_FAILURE, OUT_OF_HOST_MEMORY, INVALID_BUFFER_SIZE."""

FORK_MESSAGE = (
    "OpenCL was used before this process was forked and cannot be used in the child; "
    "start workers with multiprocessing's 'spawn' method"
)

_owner_pid: int | None = None


def opencl() -> ModuleType:
    """pyopencl, imported on first use; DeviceError where it cannot be loaded or in a forked child."""
    global _owner_pid  # noqa: PLW0603 - a process has one OpenCL, and a child must know it is not its owner
    if _owner_pid is None:
        _owner_pid = os.getpid()
    check_process()
    try:
        import pyopencl  # noqa: PLC0415 - `import nnef_cl` must not load OpenCL
    except ImportError as error:
        raise DeviceError(f"pyopencl cannot be loaded: {error}") from error
    return pyopencl


def check_process() -> None:
    """DeviceError in a child forked after OpenCL was used: some runtimes would hang there."""
    if _owner_pid not in (None, os.getpid()):
        raise DeviceError(FORK_MESSAGE)


class translated:
    """Turns errors of pyopencl inside the block into ours; device, action: what was tried where, for the message.

    A class, because a generator takes three times as long, and every run has several of these.
    """

    __slots__ = ("_action", "_device")

    def __init__(self, device: str, action: str) -> None:
        self._device, self._action = device, action

    def __enter__(self) -> None:
        check_process()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        cl = opencl()
        if isinstance(error, cl.Error):
            ours = OutOfMemoryError if error.code in MEMORY_CODES else DeviceError
            raise ours(f"{self._device}: {self._action} failed: {shortened(str(error))}") from error


def shortened(text: str) -> str:
    """The first lines of a compiler's log."""
    lines = [line for line in text.splitlines() if line.strip()]
    more = [f"... ({len(lines) - LOG_LINES} more lines)"] if len(lines) > LOG_LINES else []
    return "\n".join(lines[:LOG_LINES] + more)
