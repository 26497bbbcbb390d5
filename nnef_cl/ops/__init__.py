"""What operations mean: STANDARD is the explicit table of all families."""

from __future__ import annotations

from nnef_cl.ops import (
    activation,
    attention,
    conv,
    image,
    internal,
    matmul,
    normalize,
    pointwise,
    pool,
    quantize,
    rearrange,
    reduce,
    region,
    resize,
    rowwise,
    state,
)
from nnef_cl.ops.base import Table, table

STANDARD = table(
    state.OPS, pointwise.OPS, activation.OPS, conv.OPS, pool.OPS, reduce.OPS, matmul.OPS, normalize.OPS, resize.OPS,
    rearrange.OPS, quantize.OPS, region.OPS,
)  # fmt: skip
"""The standard's operations that nnef-cl runs."""

INTERNAL = table(internal.OPS, attention.OPS, rowwise.OPS, image.OPS)
"""Operations that passes insert."""


def is_custom(name: str, ops: Table) -> bool:
    """Whether it is an operation of the user's."""
    return name in ops and name not in STANDARD and name not in INTERNAL
