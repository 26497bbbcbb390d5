"""Memory of this process that becomes buffers as it is, on devices that work on the host's memory."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import threading
import time
import weakref
from collections.abc import Sequence

import numpy as np

from nnef_cl.errors import OutOfMemoryError

ALIGNMENT = mmap.PAGESIZE
"""Bytes; where a buffer begins."""
LATER = 1.0
"""Seconds until pages are joined: what a program does first, perhaps only once, comes before it."""
LARGE = 2 << 20
"""Bytes of a large page."""
PART, PAUSE = 2 * LARGE, 0.01
"""Bytes joined at a time, and seconds in between: a run that reads them waits."""
MADV_COLLAPSE = 25
"""Linux's number."""


class HostMemory:
    """One piece of memory, which is free when its arrays are.

    arrays: of bytes, of the sizes asked for, zero at first.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        """Raises OutOfMemoryError."""
        starts = list(itertools.accumulate((-(-size // ALIGNMENT) * ALIGNMENT for size in sizes), initial=0))
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
        try:
            self._pages = mmap.mmap(-1, max(1, starts[-1]), **private)
        except (OSError, OverflowError, MemoryError) as error:
            raise OutOfMemoryError(f"{starts[-1]} bytes of the host's memory cannot be had: {error}") from None
        whole = np.frombuffer(self._pages, np.uint8)
        self._address = whole.ctypes.data
        self.arrays = [whole[start : start + size] for start, size in zip(starts, sizes, strict=False)]

    def settle(self) -> None:
        """To be called when the arrays are filled: their pages become large ones, which kernels read faster, a little
        later and in another thread. To begin with large ones can take several times as long as filling them, and left
        to itself the system takes minutes."""
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._pages.madvise(mmap.MADV_HUGEPAGE)
            later = threading.Timer(LATER, _join, (weakref.ref(self._pages), self._address))
            later.daemon = True
            later.start()


def _join(pages: weakref.ref[mmap.mmap], address: int) -> None:
    """Joins small pages to large ones where the system can (Linux 6.1), as long as somebody has the memory."""
    advise = getattr(ctypes.CDLL(None), "madvise", None)  # unlike mmap's method it lets other threads run
    start = -address % LARGE
    while advise is not None and (memory := pages()) is not None and start < len(memory):
        size = min(PART, len(memory) - start)
        if advise(ctypes.c_void_p(address + start), ctypes.c_size_t(size), MADV_COLLAPSE) != 0:
            return
        start += size
        del memory  # nobody else may need it any more
        time.sleep(PAUSE)
