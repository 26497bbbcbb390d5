"""Box filters, index-based sampling and pooling (sections 4.3.2, 4.3.3, 4.9.3); lists have full rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops import indexed, lowering
from nnef_cl.ops.base import op
from nnef_cl.ops.shapes import check_indices, require, text
from nnef_cl.ops.windows import (
    CONV_BORDERS,
    POOL_BORDERS,
    Padding,
    check_border,
    check_up_reflection,
    down_window,
    taps,
    up_taps,
    up_window,
)


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


def argmax_shape(
    input: Shape, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int], dilation: Sequence[int]
) -> Shape:
    return pool_shape(input, size, border, padding, stride, dilation)


def with_index_shape(
    input: Shape, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int], dilation: Sequence[int]
) -> list[Shape]:
    return [pool_shape(input, size, border, padding, stride, dilation)] * 2


def max_pool_with_index(
    input: np.ndarray, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int],
) -> list[np.ndarray]:  # fmt: skip
    """Maxima and their row-major places in the windows: the first of equal ones, and a NaN is larger than all numbers.

    Border 'ignore' is allowed here although the standard's definition by `sample` excludes it.
    """
    window = down_window(input.shape, size, border, padding, stride, dilation)
    largest = np.full(window.output, -np.inf, np.float32)
    index = np.full(window.output, -1, np.int64)
    for place, (_, values, inside) in enumerate(taps(input, window, border, range(input.ndim))):
        value = np.where(inside, values, np.float32(0.0))
        better = (index < 0) | (value > largest) | (np.isnan(value) & ~np.isnan(largest))
        if border == "ignore":
            better = better & inside
        largest, index = np.where(better, value, largest), np.where(better, place, index)
    return [largest, np.maximum(index, 0)]


def argmax_pool(
    input: np.ndarray, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int],
) -> np.ndarray:  # fmt: skip
    return max_pool_with_index(input, size, border, padding, stride, dilation)[1]


def sample_shape(
    input: Shape, index: Shape, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int],
) -> Shape:  # fmt: skip
    check_border(border, CONV_BORDERS)
    output = down_window(input, size, border, padding, stride, dilation).output
    require(index == output, f"'index' must have a place for each of the windows {text(output)}, got {text(index)}")
    return output


def sample(
    input: np.ndarray, index: np.ndarray, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int],
) -> np.ndarray:  # fmt: skip
    """Of every window the element at the row-major place that `index` says; zero outside with border 'constant'."""
    check_indices("index", index, math.prod(size))
    window = down_window(input.shape, size, border, padding, stride, dilation)
    output = np.zeros(window.output, np.float32)
    for place, (_, values, inside) in enumerate(taps(input, window, border, range(input.ndim))):
        output = np.where((index == place) & inside, values, output)
    return output


def debox_shape(
    input: Shape, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int], dilation: Sequence[int],
    output_shape: Sequence[int], normalize: bool,
) -> Shape:  # fmt: skip
    check_border(border, POOL_BORDERS)
    window = up_window(input, size, padding, stride, dilation, output_shape)
    check_up_reflection(border, window)
    return window.input


def debox(
    input: np.ndarray, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], output_shape: Sequence[int], normalize: bool,
) -> np.ndarray:  # fmt: skip
    """Each element of the result: the sum of the windows that cover it; `normalize` divides by their volume."""
    window = up_window(input.shape, size, padding, stride, dilation, output_shape)
    total = np.zeros(window.input)
    for _, values, used in up_taps(input.astype(np.float64), window, border, range(input.ndim)):
        total += np.where(used, values, 0.0)
    return np.asarray(total / (math.prod(size) if normalize else 1), np.float32)


def desample_shape(
    input: Shape, index: Shape, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], output_shape: Sequence[int],
) -> Shape:  # fmt: skip
    check_border(border, ("constant",))
    require(index == input, f"'index' must have the shape of the input {text(input)}, got {text(index)}")
    return up_window(input, size, padding, stride, dilation, output_shape).input


def desample(
    input: np.ndarray, index: np.ndarray, size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], output_shape: Sequence[int],
) -> np.ndarray:  # fmt: skip
    """Every value goes to its place in the window: values that meet add up, those outside the result are lost."""
    check_indices("index", index, math.prod(size))
    window = up_window(input.shape, size, padding, stride, dilation, output_shape)
    total = np.zeros(window.input)
    places = up_taps(index, window, border, range(index.ndim))
    for place, (_, values, used) in enumerate(up_taps(input.astype(np.float64), window, border, range(input.ndim))):
        total += np.where(used & (next(places)[1] == place), values, 0.0)
    return np.asarray(total, np.float32)


def pool_flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    return math.prod(outputs[0]) * math.prod(attrs["size"])


WINDOW = """size: integer[], border: string = 'constant', padding: (integer,integer)[] = [],
            stride: integer[] = [], dilation: integer[] = []"""
PASSED = "size = size, border = border, padding = padding, stride = stride, dilation = dilation"

OPS = (
    op(f"fragment box( input: tensor<scalar>, {WINDOW}, normalize: logical = false ) -> ( output: tensor<scalar> );",
       about="Sums over windows of any axes; normalised by their volume, with border 'ignore' by the elements inside.",
       infer=pool_shape, reference=box, lower=lowering.pool(maximum=False), flops=pool_flops,
       blocked=lowering.pool_blocked, fusable=True),
    op(f"fragment max_pool( input: tensor<scalar>, {WINDOW} ) -> ( output: tensor<scalar> );",
       about="Largest element of every window; outside counts as 0 with border 'constant', not at all with 'ignore'.",
       infer=pool_shape, reference=max_pool, lower=lowering.pool(maximum=True), flops=pool_flops,
       blocked=lowering.pool_blocked, fusable=True),
    op(f"fragment argmax_pool( input: tensor<scalar>, {WINDOW} ) -> ( index: tensor<integer> );",
       about="Where in its window the largest element stands: the flat index into the window, the first of equal ones.",
       infer=argmax_shape, reference=argmax_pool, lower=indexed.argmax_pool, flops=pool_flops),
    op(f"""fragment max_pool_with_index( input: tensor<scalar>, {WINDOW} )
           -> ( output: tensor<scalar>, index: tensor<integer> );""",
       about="max_pool and argmax_pool of the same windows.",
       infer=with_index_shape, reference=max_pool_with_index, lower=indexed.argmax_pool, flops=pool_flops),
    op(f"fragment sample( input: tensor<scalar>, index: tensor<integer>, {WINDOW} ) -> ( output: tensor<scalar> );",
       about="Of every window the element that the index names: the inverse look-up of argmax_pool.",
       infer=sample_shape, reference=sample, lower=indexed.sample, flops=pool_flops),
    op(f"""fragment debox( input: tensor<scalar>, {WINDOW}, output_shape: integer[] = [], normalize: logical = false )
           -> ( output: tensor<scalar> );""",
       about="The transpose of box: every element is added to all places of its window.",
       infer=debox_shape, reference=debox, lower=indexed.debox, flops=pool_flops, fusable=True),
    op(f"""fragment desample( input: tensor<scalar>, index: tensor<integer>, {WINDOW},
           output_shape: integer[] = [] ) -> ( output: tensor<scalar> );""",
       about="The transpose of sample: every element is added to the place of its window that the index names.",
       infer=desample_shape, reference=desample, lower=indexed.desample, flops=pool_flops, fusable=True),
    op(f"""fragment avg_pool( input: tensor<scalar>, {WINDOW} ) -> ( output: tensor<scalar> )
           {{ output = box(input, {PASSED}, normalize = true); }}"""),
    op(f"""fragment rms_pool( input: tensor<scalar>, {WINDOW} ) -> ( output: tensor<scalar> )
           {{ output = sqrt(avg_pool(sqr(input), {PASSED})); }}"""),
)  # fmt: skip
