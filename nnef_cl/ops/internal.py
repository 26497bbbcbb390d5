"""Operations that passes insert and no NNEF text can name: fused maps and changes of layout."""

from __future__ import annotations

from nnef_cl.ops import lowering
from nnef_cl.ops.base import op

OPS = (
    op("fragment map( operand: tensor<> ) -> ( result: tensor<> );", lower=lowering.pointwise),
    op("fragment reorder<?>( input: tensor<?> ) -> ( output: tensor<?> );", lower=lowering.reorder),
)
