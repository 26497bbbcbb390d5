"""Attention as one operation, which a pass makes of two matrix products with a softmax between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.kernel import Candidate, Input, Launch, Output
from nnef_cl.codegen.kernels.attention import Heads, Matrices, attention
from nnef_cl.codegen.kernels.pointwise import broadcast_strides
from nnef_cl.codegen.target import Target
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem, op
from nnef_cl.ops.conv_launch import extra_operands


def lower(problem: Problem, target: Target) -> list[Candidate]:
    """inputs: query, key, value, the operands of the expression `scores`."""
    heads: Heads = problem.attrs["heads"]
    scores = Epilogue(problem.attrs["scores"], problem.inputs[3:])
    y = TensorSpec((*heads.batch, heads.queries, heads.columns))
    extras = tuple(broadcast_strides(e, y) for e in problem.epilogue.operands)
    kernel = attention(heads, scores, extras, problem.epilogue, target)
    inputs = tuple(Input(k) for k in range(len(problem.inputs)))
    return [Candidate("attention", (Launch(kernel, (*inputs, *extra_operands(problem), Output())),))]


def reference(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, operands: Sequence[np.ndarray], heads: Heads,
    scores: Callable[..., np.ndarray], shape: Shape,
) -> np.ndarray:  # fmt: skip
    """The result's tensor, of that shape. scores: of the dot products and the operands."""
    q = matrices(query, heads, heads.query, heads.queries, heads.features)
    k = matrices(key, heads, heads.key, heads.keys, heads.features)
    v = matrices(value, heads, heads.value, heads.keys, heads.columns)
    places = zip(operands, heads.operands, strict=True)
    others = [matrices(array, heads, place, heads.queries, heads.keys) for array, place in places]
    s = scores((q.astype(np.float64) @ np.swapaxes(k, -1, -2)).astype(np.float32), *others).astype(np.float64)
    weights = np.exp(s - s.max(axis=-1, keepdims=True))
    result = np.zeros(shape, np.float32)
    lying = matrices(result, heads, heads.result, heads.queries, heads.columns, writeable=True)
    lying[...] = weights / weights.sum(axis=-1, keepdims=True) @ v.astype(np.float64)
    return result


def matrices(
    array: np.ndarray, heads: Heads, place: Matrices, rows: int, columns: int, writeable: bool = False
) -> np.ndarray:
    """A view of the tensor by the logical axes: (batch..., rows, columns)."""
    flat = (array if writeable else np.ascontiguousarray(array)).reshape(-1)[place.base :]
    strides = tuple(s * array.itemsize for s in place.strides)
    return np.lib.stride_tricks.as_strided(flat, (*heads.batch, rows, columns), strides, writeable=writeable)


def flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    """Of both products."""
    heads: Heads = attrs["heads"]
    results = int(np.prod(heads.batch, dtype=np.int64)) * heads.queries
    return 2 * results * heads.keys * (heads.features + heads.columns)


OPS = (
    op("""fragment attention( query: tensor<scalar>, key: tensor<scalar>, value: tensor<scalar>, operands: tensor<>[] )
          -> ( result: tensor<scalar> );""",
       reference=reference, lower=lower, flops=flops, fusable=True),
)  # fmt: skip
