"""Convolution and deconvolution, with their separable forms (sections 4.3.1, 4.9.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops import lowering
from nnef_cl.ops.base import op
from nnef_cl.ops.shapes import check_rank, require, text
from nnef_cl.ops.windows import (
    CONV_BORDERS,
    Padding,
    check_border,
    check_up_reflection,
    down_window,
    taps,
    up_taps,
    up_window,
)

LENIENT_BORDERS = (*CONV_BORDERS, "ignore")
"""Exporters write 'ignore' for zero padding; it is read as 'constant'."""


def _check(input: Shape, filter: Shape, border: str) -> None:
    check_rank(input, 2)
    require(len(filter) == len(input), f"filter {text(filter)} and input {text(input)} must have the same rank")
    check_border(border, LENIENT_BORDERS)


def _check_bias(bias: Shape, channels: int) -> None:
    allowed = math.prod(bias) in (1, channels) and max(bias, default=1) == math.prod(bias)
    place = len(bias) == 1 or math.prod(bias) == 1 or bias[1] == channels
    require(allowed and place, f"bias must be [1,{channels}] or one value, got {text(bias)}")


def conv_shape(
    input: Shape, filter: Shape, bias: Shape, border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> Shape:  # fmt: skip
    _check(input, filter, border)
    groups = groups or input[1]
    require(groups > 0, f"'groups' must not be negative, got {groups}")
    require(input[1] % groups == 0 and filter[0] % groups == 0,
            f"groups = {groups} must divide the {input[1]} input and {filter[0]} output channels")  # fmt: skip
    require(filter[1] == input[1] // groups,
            f"filter expects {filter[1] * groups} input channels, input has {input[1]} (groups = {groups})")
    _check_bias(bias, filter[0])
    window = down_window(input[2:], filter[2:], border, padding, stride, dilation, first=2)
    return (input[0], filter[0], *window.output)


def deconv_shape(
    input: Shape, filter: Shape, bias: Shape, border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], output_shape: Sequence[int], groups: int,
) -> Shape:  # fmt: skip
    _check(input, filter, border)
    if output_shape:
        require(len(output_shape) == len(input), f"'output_shape' needs {len(input)} entries, got {len(output_shape)}")
    groups = groups or (output_shape[1] if output_shape else input[1])
    require(groups > 0, f"'groups' must not be negative, got {groups}")
    require(filter[0] == input[1], f"filter expects {filter[0]} input channels, input has {input[1]}")
    require(input[1] % groups == 0, f"groups = {groups} must divide the {input[1]} input channels")
    channels = filter[1] * groups
    if output_shape:
        begin, expected = list(output_shape[:2]), [input[0], channels]
        require(begin == expected, f"'output_shape' begins {begin}, expected {expected}")
    _check_bias(bias, channels)
    window = up_window(input[2:], filter[2:], padding, stride, dilation, output_shape[2:], first=2)
    check_up_reflection(border, window, first=2)
    return (input[0], channels, *window.input)


def _with_bias(output: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.asarray(output + bias.reshape(1, -1, *(1,) * (output.ndim - 2)), np.float32)


def conv(
    input: np.ndarray, filter: np.ndarray, bias: np.ndarray, border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> np.ndarray:  # fmt: skip
    border = "constant" if border == "ignore" else border
    window = down_window(input.shape[2:], filter.shape[2:], border, padding, stride, dilation)
    groups = groups or input.shape[1]
    n, k = input.shape[0], filter.shape[0]
    x = input.astype(np.float64)
    weights = filter.astype(np.float64).reshape(groups, k // groups, *filter.shape[1:])
    output = np.zeros((n, groups, k // groups, *window.output))
    for tap, values, inside in taps(x, window, border, range(2, x.ndim)):
        masked = np.where(inside, values, 0.0).reshape(n, groups, -1, *window.output)
        output += np.einsum("ngc...,gkc->ngk...", masked, _tap(weights, tap))
    return _with_bias(output.reshape(n, k, *window.output), bias)


def deconv(
    input: np.ndarray, filter: np.ndarray, bias: np.ndarray, border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], output_shape: Sequence[int], groups: int,
) -> np.ndarray:  # fmt: skip
    """out[i] = sum over taps j with (i + before - j * dilation) divisible by stride, of in[that / stride] * w[j]."""
    border = "constant" if border == "ignore" else border
    window = up_window(input.shape[2:], filter.shape[2:], padding, stride, dilation, output_shape[2:])
    groups = groups or (output_shape[1] if output_shape else input.shape[1])
    n, c = input.shape[:2]
    weights = filter.astype(np.float64).reshape(groups, c // groups, *filter.shape[1:])
    output = np.zeros((n, groups, filter.shape[1], *window.input))
    for tap, values, used in up_taps(input.astype(np.float64), window, border, range(2, input.ndim)):
        masked = np.where(used, values, 0.0).reshape(n, groups, -1, *window.input)
        output += np.einsum("ngc...,gck->ngk...", masked, _tap(weights, tap))
    return _with_bias(output.reshape(n, -1, *window.input), bias)


def _tap(weights: np.ndarray, tap: tuple[int, ...]) -> np.ndarray:
    """The weights of one tap: (groups, ., .)."""
    index: Any = (..., *tap)
    return weights[index]


def conv_flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    """Two per multiply-add."""
    return 2 * math.prod(outputs[0]) * math.prod(inputs[1][1:])


def deconv_flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])


WINDOW = """border: string = 'constant', padding: (integer,integer)[] = [], stride: integer[] = [],
            dilation: integer[] = []"""

OPS = (
    op(f"""fragment conv( input: tensor<scalar>, filter: tensor<scalar>, bias: tensor<scalar> = 0.0, {WINDOW},
           groups: integer = 1 ) -> ( output: tensor<scalar> );""",
       about="Sums of products over spatial windows and bias; filter (out, in / groups, size...); groups 0: depthwise.",
       infer=conv_shape, reference=conv, lower=lowering.conv, flops=conv_flops, blocked=lowering.conv_blocked,
       fusable=True),
    op(f"""fragment deconv( input: tensor<scalar>, filter: tensor<scalar>, bias: tensor<scalar> = 0.0, {WINDOW},
           output_shape: integer[] = [], groups: integer = 1 ) -> ( output: tensor<scalar> );""",
       about="The transpose of conv: every input element spreads over a window. filter: (in, out / groups, size...).",
       infer=deconv_shape, reference=deconv, lower=lowering.deconv, flops=deconv_flops,
       blocked=lowering.deconv_blocked, fusable=True),
    op(f"""fragment separable_conv( input: tensor<scalar>, plane_filter: tensor<scalar>, point_filter: tensor<scalar>,
           bias: tensor<scalar> = 0.0, {WINDOW}, groups: integer = 1 ) -> ( output: tensor<scalar> )
           {{
               filtered = conv(input, plane_filter, border = border, padding = padding, stride = stride,
                               dilation = dilation, groups = 0);
               output = conv(filtered, point_filter, bias, groups = groups);
           }}"""),
    op(f"""fragment separable_deconv( input: tensor<scalar>, plane_filter: tensor<scalar>,
           point_filter: tensor<scalar>, bias: tensor<scalar> = 0.0, {WINDOW}, output_shape: integer[] = [],
           groups: integer = 1 ) -> ( output: tensor<scalar> )
           {{
               filtered = deconv(input, point_filter, groups = groups);
               output = deconv(filtered, plane_filter, bias, border = border, padding = padding, stride = stride,
                               dilation = dilation, output_shape = output_shape, groups = 0);
           }}"""),
)  # fmt: skip
