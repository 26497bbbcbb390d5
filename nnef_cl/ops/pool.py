"""Box filters and pooling (sections 4.3.2, 4.9.3); lists have full rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops import lowering
from nnef_cl.ops.base import op
from nnef_cl.ops.windows import POOL_BORDERS, Padding, check_border, down_window, taps


def pool_shape(
    input: Shape, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], normalize: bool = False,
) -> Shape:  # fmt: skip
    check_border(border, POOL_BORDERS)
    return down_window(input, size, border, padding, stride, dilation).output


def box(
    input: np.ndarray, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], normalize: bool,
) -> np.ndarray:  # fmt: skip
    """With border 'ignore', normalisation divides by the taps inside the input, otherwise by the window's volume."""
    window = down_window(input.shape, size, border, padding, stride, dilation)
    total, count = np.zeros(window.output), np.zeros(window.output)
    for _, values, inside in taps(input.astype(np.float64), window, border, range(input.ndim)):
        total += np.where(inside, values, 0.0)
        count += inside
    if normalize:
        with np.errstate(invalid="ignore"):
            total = total / (count if border == "ignore" else math.prod(window.size))
    return np.asarray(total, np.float32)


def max_pool(
    input: np.ndarray, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int],
) -> np.ndarray:  # fmt: skip
    """With border 'constant' zeros take part in the maximum; with 'ignore' nothing outside does."""
    window = down_window(input.shape, size, border, padding, stride, dilation)
    largest = np.full(window.output, -np.inf, np.float32)
    outside = np.float32(0.0 if border == "constant" else -np.inf)
    for _, values, inside in taps(input, window, border, range(input.ndim)):
        largest = np.maximum(largest, np.where(inside, values, outside))
    return largest


def pool_flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    return math.prod(outputs[0]) * math.prod(attrs["size"])


WINDOW = """size: integer[], border: string = 'constant', padding: (integer,integer)[] = [],
            stride: integer[] = [], dilation: integer[] = []"""
PASSED = "size = size, border = border, padding = padding, stride = stride, dilation = dilation"

OPS = (
    op(f"fragment box( input: tensor<scalar>, {WINDOW}, normalize: logical = false ) -> ( output: tensor<scalar> );",
       infer=pool_shape, reference=box, lower=lowering.pool(maximum=False), flops=pool_flops,
       blocked=lowering.pool_blocked, fusable=True),
    op(f"fragment max_pool( input: tensor<scalar>, {WINDOW} ) -> ( output: tensor<scalar> );",
       infer=pool_shape, reference=max_pool, lower=lowering.pool(maximum=True), flops=pool_flops,
       blocked=lowering.pool_blocked, fusable=True),
    op(f"""fragment avg_pool( input: tensor<scalar>, {WINDOW} ) -> ( output: tensor<scalar> )
           {{ output = box(input, {PASSED}, normalize = true); }}"""),
    op(f"""fragment rms_pool( input: tensor<scalar>, {WINDOW} ) -> ( output: tensor<scalar> )
           {{ output = sqrt(avg_pool(sqr(input), {PASSED})); }}"""),
)  # fmt: skip
