"""pyopencl, imported on first use and only in the process that used it first."""

from __future__ import annotations

import os
from types import ModuleType

from nnef_cl.errors import DeviceError

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
