"""Up- and down-sampling by whole factors (section 4.3.4); factors are spatial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops import lowering
from nnef_cl.ops.base import op
from nnef_cl.ops.shapes import check_length, check_positive, check_rank, element_flops, require
from nnef_cl.ops.windows import CONV_BORDERS, border_source, check_border

METHODS = ("symmetric", "asymmetric", "aligned")


def _factors(input: Shape, factor: Sequence[int]) -> Shape:
    check_rank(input, 2)
    check_length(factor, len(input) - 2, "factor")
    check_positive(factor, "factor")
    return (1, 1, *factor)


def larger(input: Shape, factor: Sequence[int]) -> Shape:
    return tuple(n * f for n, f in zip(input, _factors(input, factor), strict=True))


def smaller(input: Shape, factor: Sequence[int]) -> Shape:
    for axis, (n, f) in enumerate(zip(input, _factors(input, factor), strict=True)):
        require(n % f == 0, f"axis {axis}: factor {f} does not divide extent {n}")
    return tuple(n // f for n, f in zip(input, _factors(input, factor), strict=True))


def multilinear_shape(input: Shape, factor: Sequence[int], method: str, border: str) -> Shape:
    require(method in METHODS, f"method '{method}' is not one of {', '.join(METHODS)}")
    check_border(border, CONV_BORDERS)
    return larger(input, factor)


def nearest_upsample(input: np.ndarray, factor: Sequence[int]) -> np.ndarray:
    for axis, f in enumerate(factor, 2):
        input = np.repeat(input, f, axis=axis)
    return input


def nearest_downsample(input: np.ndarray, factor: Sequence[int]) -> np.ndarray:
    """The first element of every block."""
    return input[(slice(None), slice(None), *(slice(None, None, f) for f in factor))]


def multilinear_upsample(input: np.ndarray, factor: Sequence[int], method: str, border: str) -> np.ndarray:
    """The product of one-dimensional interpolations between in[floor(x)] and in[floor(x) + 1]."""
    values = input.astype(np.float64)
    for axis, f in enumerate(factor, 2):
        extent = values.shape[axis]
        at = np.arange(extent * f, dtype=np.float64)
        if method == "symmetric":
            at = (at - (f - 1) / 2) / f
        elif method == "asymmetric" or f == 1:
            at = at / f
        else:
            at = at * (extent - 1) / (extent * f - 1) if extent > 1 else at * 0
        low = np.floor(at).astype(np.int64)
        shape = [1] * values.ndim
        shape[axis] = -1
        upper = (at - low).reshape(shape)
        total = np.zeros(())
        for index, weight in ((low, 1 - upper), (low + 1, upper)):
            if border == "constant":
                weight = weight * ((index >= 0) & (index < extent)).reshape(shape)  # noqa: PLW2901
            total = total + np.take(values, border_source(border, index, extent), axis=axis) * weight
        values = total
    return np.asarray(values, np.float32)


OPS = (
    op("fragment nearest_downsample( input: tensor<scalar>, factor: integer[] ) -> ( output: tensor<scalar> );",
       about="Every factor-th element of each axis, from the first.",
       infer=smaller, reference=nearest_downsample, lower=lowering.nearest_downsample),
    op("""fragment area_downsample( input: tensor<scalar>, factor: integer[] ) -> ( output: tensor<scalar> )
          {
              dims = [1,1] + factor;
              output = box(input, size = dims, stride = dims, padding = [(0,0)] * length_of(dims), normalize = true);
          }"""),
    op("fragment nearest_upsample( input: tensor<scalar>, factor: integer[] ) -> ( output: tensor<scalar> );",
       about="Every element repeated factor times along each axis.",
       infer=larger, reference=nearest_upsample, lower=lowering.nearest_upsample, blocked=lowering.upsample_blocked),
    op("""fragment multilinear_upsample( input: tensor<scalar>, factor: integer[], method: string = 'symmetric',
          border: string = 'replicate' ) -> ( output: tensor<scalar> );""",
       about="Linear interpolation along each spatial axis: aligned, symmetric or asymmetric; any integer factor.",
       infer=multilinear_shape, reference=multilinear_upsample, lower=lowering.multilinear_upsample,
       blocked=lowering.upsample_blocked, flops=element_flops, fusable=True),
)  # fmt: skip
