"""Memory of this process that becomes buffers as it is, on devices that work on the host's memory."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Sequence

import numpy as np

from nnef_cl.errors import OutOfMemoryError

ALIGNMENT = mmap.PAGESIZE
"""Bytes; where a buffer begins."""


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
        self.arrays = [whole[start : start + size] for start, size in zip(starts, sizes, strict=False)]

    def settle(self) -> None:
        """To be called when the arrays are filled: lets the system join their pages to large ones, which kernels read
        faster, when it has time. To begin with large ones can take it several times as long as filling them."""
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._pages.madvise(mmap.MADV_HUGEPAGE)
