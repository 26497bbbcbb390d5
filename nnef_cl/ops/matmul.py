"""Matrix product and the linear layer (sections 4.7, 4.9.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops import matmul_launch
from nnef_cl.ops.base import op
from nnef_cl.ops.shapes import check_rank, require, text


def matmul_shape(A: Shape, B: Shape, transposeA: bool, transposeB: bool) -> Shape:
    require(len(A) == len(B), f"A {text(A)} and B {text(B)} must have the same rank")
    check_rank(A, 2, "A")
    rows, depth = A[-2:][:: -1 if transposeA else 1]
    depth_b, columns = B[-2:][:: -1 if transposeB else 1]
    require(depth == depth_b, f"A {text(A)} has {depth} columns, B {text(B)} has {depth_b} rows")
    fit = all(m == n or 1 in (m, n) for m, n in zip(A[:-2], B[:-2], strict=True))
    require(fit, f"the leading axes of A {text(A)} and B {text(B)} do not broadcast")
    return (*map(max, A[:-2], B[:-2]), rows, columns)


def matmul(A: np.ndarray, B: np.ndarray, transposeA: bool, transposeB: bool) -> np.ndarray:
    a = np.swapaxes(A, -1, -2) if transposeA else A
    b = np.swapaxes(B, -1, -2) if transposeB else B
    return np.asarray(a.astype(np.float64) @ b.astype(np.float64), np.float32)


def matmul_flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    depth = inputs[0][-2 if attrs["transposeA"] else -1]
    return 2 * math.prod(outputs[0]) * depth


OPS = (
    op("""fragment matmul( A: tensor<scalar>, B: tensor<scalar>, transposeA: logical = false,
          transposeB: logical = false ) -> ( C: tensor<scalar> );""",
       about="Matrix products over the last two axes, either side transposed; leading axes are broadcast.",
       infer=matmul_shape, reference=matmul, lower=matmul_launch.matmul, flops=matmul_flops, fusable=True),
    op("""fragment linear( input: tensor<scalar>, filter: tensor<scalar>, bias: tensor<scalar> = 0.0 )
          -> ( output: tensor<scalar> )
          { output = matmul(input, filter, transposeA = false, transposeB = true) + bias; }"""),
)  # fmt: skip
