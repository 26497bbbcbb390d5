"""What operations mean: STANDARD is the explicit table of all families."""

from __future__ import annotations

from nnef_cl.ops import activation, conv, internal, matmul, normalize, pointwise, pool, rearrange, reduce, resize, state
from nnef_cl.ops.base import table

STANDARD = table(
    state.OPS, pointwise.OPS, activation.OPS, conv.OPS, pool.OPS, reduce.OPS, matmul.OPS, normalize.OPS, resize.OPS,
    rearrange.OPS,
)  # fmt: skip
"""The standard's operations that nnef-cl runs."""

INTERNAL = table(internal.OPS)
"""Operations that passes insert."""

MISSING = (
    "argmax_pool", "avg_roi_align", "avg_roi_pool", "debox", "desample", "linear_quantize", "logarithmic_quantize",
    "max_pool_with_index", "max_roi_align", "max_roi_pool", "min_max_linear_quantize", "roi_resample", "sample",
    "update", "zero_point_linear_quantize",
)  # fmt: skip
"""The standard's operations that are not there yet."""
