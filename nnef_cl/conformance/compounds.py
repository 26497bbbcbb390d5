"""Numpy results of the operations that nnef-cl defines by an NNEF body only: what expansion must compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnef_cl.ops import STANDARD


def run(op: str, **arguments: Any) -> np.ndarray:
    """Another operation's reference."""
    reference = STANDARD[op].reference
    assert reference is not None, op
    return np.asarray(reference(**arguments))


def aligned(array: np.ndarray, rank: int) -> np.ndarray:
    """Trailing axes of extent 1 added, in float64."""
    return array.reshape(array.shape + (1,) * (rank - array.ndim)).astype(np.float64)


def single(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)


def cast(input: np.ndarray, generic: str) -> np.ndarray:
    """Section 3.2.1: to integer truncates towards zero and saturates, NaN is 0; to logical is 'not zero'."""
    if generic != "integer":
        return input.astype({"scalar": np.float32, "logical": np.bool_}[generic])
    if input.dtype.kind != "f":
        return input.astype(np.int64)
    limit = 2.0**63
    inside = np.where(np.isfinite(input) & (np.abs(input) < limit), input, 0).astype(np.int64)
    largest = np.iinfo(np.int64)
    return np.where(input >= limit, largest.max, np.where(input <= -limit, largest.min, inside))


def avg_pool(input: np.ndarray, **window: Any) -> np.ndarray:
    return run("box", input=input, normalize=True, **window)


def rms_pool(input: np.ndarray, **window: Any) -> np.ndarray:
    return single(np.sqrt(avg_pool(np.square(input.astype(np.float64)), **window)))


def linear(input: np.ndarray, filter: np.ndarray, bias: np.ndarray) -> np.ndarray:
    product = input.astype(np.float64) @ np.swapaxes(filter.astype(np.float64), -1, -2)
    return single(product + aligned(bias, product.ndim))


def separable_conv(
    input: np.ndarray, plane_filter: np.ndarray, point_filter: np.ndarray, bias: np.ndarray, groups: int, **window: Any
) -> np.ndarray:
    zero = np.zeros((), np.float32)
    plane = run("conv", input=input, filter=plane_filter, bias=zero, groups=0, **window)
    point = {"border": "constant", "padding": [], "stride": [], "dilation": []}
    return run("conv", input=plane, filter=point_filter, bias=bias, groups=groups, **point)


def separable_deconv(
    input: np.ndarray, plane_filter: np.ndarray, point_filter: np.ndarray, bias: np.ndarray, groups: int, **window: Any
) -> np.ndarray:
    zero = np.zeros((), np.float32)
    point = {"border": "constant", "padding": [], "stride": [], "dilation": [], "output_shape": []}
    mixed = run("deconv", input=input, filter=point_filter, bias=zero, groups=groups, **point)
    return run("deconv", input=mixed, filter=plane_filter, bias=bias, groups=0, **window)


def area_downsample(input: np.ndarray, factor: list[int]) -> np.ndarray:
    """The mean of every block."""
    shape = [e for n, f in zip(input.shape[2:], factor, strict=True) for e in (n // f, f)]
    blocks = input.astype(np.float64).reshape(*input.shape[:2], *shape)
    return single(blocks.mean(axis=tuple(range(3, blocks.ndim, 2))))


def linear_quantize(x: np.ndarray, min: np.ndarray, max: np.ndarray, bits: int) -> np.ndarray:
    return run("min_max_linear_quantize", x=x, min=min, max=max, bits=bits, signed=False, symmetric=False)


def roi_align(
    pool: str, input: np.ndarray, rois: np.ndarray, batch_index: np.ndarray, output_size: list[int],
    sampling_rate: list[int], resize_method: str,
) -> np.ndarray:  # fmt: skip
    """Resampled to `sampling_rate` elements for each output along every axis, which are joined."""
    size = [n * r for n, r in zip(output_size, sampling_rate, strict=True)]
    large = run("roi_resample", input=input, rois=rois, batch_index=batch_index, output_size=size, method=resize_method)
    shape = [e for n, r in zip(output_size, sampling_rate, strict=True) for e in (n, r)]
    blocks = large.astype(np.float64).reshape(*large.shape[:2], *shape)
    axes = tuple(range(3, blocks.ndim, 2))
    return single(blocks.max(axis=axes) if pool == "max" else blocks.mean(axis=axes))


def avg_roi_align(**arguments: Any) -> np.ndarray:
    return roi_align("avg", **arguments)


def max_roi_align(**arguments: Any) -> np.ndarray:
    return roi_align("max", **arguments)


def mean_box(values: np.ndarray, size: list[int]) -> np.ndarray:
    """Automatic padding, zeros outside, divided by the whole window."""
    window = {"border": "constant", "padding": [], "stride": [], "dilation": []}
    return run("box", input=values, size=size, normalize=True, **window).astype(np.float64)


def local_response_normalization(
    input: np.ndarray, size: list[int], alpha: float, beta: float, bias: float
) -> np.ndarray:
    x = input.astype(np.float64)
    return single(x / (bias + alpha * mean_box(x * x, size)) ** beta)


def local_mean_normalization(input: np.ndarray, size: list[int]) -> np.ndarray:
    return single(input - mean_box(input, size))


def local_variance_normalization(input: np.ndarray, size: list[int], bias: float, epsilon: float) -> np.ndarray:
    x = input.astype(np.float64)
    return single(x / np.maximum(np.sqrt(mean_box(x * x, size)) + bias, epsilon))


def local_contrast_normalization(input: np.ndarray, size: list[int], bias: float, epsilon: float) -> np.ndarray:
    return local_variance_normalization(input - mean_box(input, size), size, bias, epsilon)


def l1_normalization(input: np.ndarray, axes: list[int], bias: float, epsilon: float) -> np.ndarray:
    x = input.astype(np.float64)
    return single(x / np.maximum(np.abs(x).sum(axis=tuple(axes), keepdims=True) + bias, epsilon))


def l2_normalization(input: np.ndarray, axes: list[int], bias: float, epsilon: float) -> np.ndarray:
    x = input.astype(np.float64)
    return single(x / np.maximum(np.sqrt((x * x).sum(axis=tuple(axes), keepdims=True)) + bias, epsilon))


def batch_normalization(
    input: np.ndarray, mean: np.ndarray, variance: np.ndarray, offset: np.ndarray, scale: np.ndarray, epsilon: float
) -> np.ndarray:
    rank = max(a.ndim for a in (input, mean, variance, offset, scale))
    x, mean, variance, offset, scale = (aligned(a, rank) for a in (input, mean, variance, offset, scale))
    return single(offset + scale * (x - mean) / np.sqrt(variance + epsilon))


def moments(input: np.ndarray, axes: list[int]) -> list[np.ndarray]:
    """Mean and biased variance."""
    x = input.astype(np.float64)
    return [single(f(axis=tuple(axes), keepdims=True)) for f in (x.mean, x.var)]


def add_n(x: list[np.ndarray]) -> np.ndarray:
    rank = max((a.ndim for a in x), default=0)
    return single(sum((aligned(a, rank) for a in x), np.zeros(())))


COMPOUNDS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        add_n, area_downsample, avg_pool, avg_roi_align, batch_normalization, l1_normalization, l2_normalization, linear,
        linear_quantize, local_contrast_normalization, local_mean_normalization, local_response_normalization,
        local_variance_normalization, max_roi_align, moments, rms_pool, separable_conv, separable_deconv,
    )
}  # fmt: skip
"""Name of the operation -> its result."""
