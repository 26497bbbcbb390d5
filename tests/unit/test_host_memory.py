"""Memory that becomes buffers: pieces of the sizes asked for, joined to large pages later, free when nobody has them."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from nnef_cl.device import memory
from nnef_cl.device.memory import ALIGNMENT, LARGE, HostMemory

ROLLUP = Path("/proc/self/smaps_rollup")


def large_pages() -> int:
    """Bytes of this process in large pages."""
    line = next(line for line in ROLLUP.read_text().splitlines() if line.startswith("AnonHugePages"))
    return int(line.split()[1]) << 10


def test_pieces_have_their_sizes_and_begin_on_pages() -> None:
    arrays = HostMemory([5, 0, ALIGNMENT + 1]).arrays
    assert [array.size for array in arrays] == [5, 0, ALIGNMENT + 1] and not any(array.any() for array in arrays)
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in arrays if array.size)


@pytest.mark.skipif(not ROLLUP.exists(), reason="the system does not say how large pages are")
def test_pages_are_joined_and_keep_their_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LATER", 0.0)
    joined = HostMemory([7 * LARGE])
    values = joined.arrays[0].view(np.int32)
    values[:] = np.arange(values.size)
    before = large_pages()
    joined.settle()
    end = time.monotonic() + 5.0
    while large_pages() < before + 4 * LARGE and time.monotonic() < end:
        time.sleep(0.02)
    if large_pages() <= before:
        pytest.skip("this system joins no pages when it is asked to")
    assert np.array_equal(values, np.arange(values.size))


def test_nobody_holds_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LATER", 0.1)
    held = HostMemory([8 * LARGE])
    held.settle()
    pages = weakref.ref(held._pages)
    del held
    gc.collect()
    assert pages() is None
    time.sleep(0.2)  # the thread finds nothing to do
