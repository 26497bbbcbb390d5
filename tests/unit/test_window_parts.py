"""Windows cut into parts: their sum is the whole window, for every stride, dilation and number of pieces."""

from __future__ import annotations

import numpy as np
import pytest
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.kernels.window_parts import Parts, split_filter

BEFORE = 2


def parts_along(taps: int, stride: int, dilation: int, pieces: int) -> Parts:
    return Parts.of(Geometry((taps,), (stride,), (dilation,), (BEFORE,)), 0, pieces)


@pytest.mark.parametrize(
    ("taps", "stride", "dilation", "pieces"),
    [(3, 1, 1, 1), (7, 1, 1, 2), (9, 1, 3, 3), (7, 2, 1, 1), (11, 4, 1, 1), (31, 2, 1, 6), (3, 4, 1, 1), (1, 3, 5, 1), (13, 3, 1, 2)],
)
def test_parts_add_up_to_the_window(taps: int, stride: int, dilation: int, pieces: int) -> None:
    parts, rng = parts_along(taps, stride, dilation, pieces), np.random.default_rng(taps)
    weights = rng.standard_normal(taps).astype(np.float32)
    cut = split_filter(weights.reshape(1, 1, 1, 1, taps), parts_along(1, 1, 1, 1), parts, 2).reshape(parts.count, 2, parts.taps)
    assert not cut[:, 1].any()
    data = np.zeros(200)
    data[:100] = rng.standard_normal(100)
    for output in (0, 1, 7):
        first = [eval(parts.first_read(str(output), str(part), BEFORE).replace("/", "//")) for part in range(parts.count)]
        read = [data[at + BEFORE + parts.step * np.arange(parts.taps)] for at in first]
        expected = weights @ data[output * stride + dilation * np.arange(taps)]
        np.testing.assert_allclose(np.sum(cut[:, 0] * read), expected, atol=1e-5)


def test_filters_of_two_axes_are_cut_along_both() -> None:
    filter = np.arange(2 * 3 * 5 * 4, dtype=np.float32).reshape(2, 3, 1, 5, 4)
    cut = split_filter(filter, parts_along(5, 2, 1, 1), parts_along(4, 1, 1, 2), 4).reshape(2, 2, 2, 4, 3, 2)
    np.testing.assert_array_equal(cut[:, 1, 0, :3, :2], filter[:, :, 0, 1::2, :2])
    np.testing.assert_array_equal(cut[:, 0, 1, :3], filter[:, :, 0, ::2, 2:])
    assert not cut[:, 1, :, :, 2].any() and not cut[:, :, :, 3].any()
