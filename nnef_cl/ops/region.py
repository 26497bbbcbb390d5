"""Region-of-interest operations (section 4.6): where the standard is silent, our reading stands in the references."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.codegen.kernels.region import FARTHEST
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.quant import round_half_up
from nnef_cl.ops import indexed
from nnef_cl.ops.base import op
from nnef_cl.ops.resize import METHODS
from nnef_cl.ops.shapes import check_indices, check_length, check_positive, check_rank, require, text


def pooled(input: Shape, rois: Shape, batch_index: Shape, output_size: Sequence[int]) -> Shape:
    """batch_index may be (N, 1), as the standard says, or (N)."""
    check_rank(input, 3)
    spatial = len(input) - 2
    require(len(rois) == 2 and rois[1] == 2 * spatial,
            f"'rois' must be [N,{2 * spatial}] for the input {text(input)}, got {text(rois)}")  # fmt: skip
    require(batch_index in ((rois[0], 1), (rois[0],)),
            f"'batch_index' must be [{rois[0]},1] for the rois {text(rois)}, got {text(batch_index)}")  # fmt: skip
    check_length(output_size, spatial, "output_size")
    check_positive(output_size, "output_size")
    return (rois[0], input[1], *output_size)


def resampled(input: Shape, rois: Shape, batch_index: Shape, output_size: Sequence[int], method: str) -> Shape:
    require(method in METHODS, f"method '{method}' is not one of {', '.join(METHODS)}")
    return pooled(input, rois, batch_index, output_size)


def _pool(
    input: np.ndarray, rois: np.ndarray, batch_index: np.ndarray, output_size: Sequence[int], maximum: bool
) -> np.ndarray:
    """Coordinates are rounded, halves up; a region of r elements from `start` has p cells of ceil(r / p) elements,
    the i-th from start + i * floor(r / p). Of a cell only what lies inside the map counts; one without elements gives
    0, a region with a coordinate that is NaN gives NaN.
    """
    check_indices("batch_index", batch_index, input.shape[0])
    spatial = input.ndim - 2
    output = np.zeros((len(rois), input.shape[1], *output_size))
    for n, (row, batch) in enumerate(zip(rois.astype(np.float64), batch_index.ravel(), strict=True)):
        if np.isnan(row).any():
            output[n] = np.nan
            continue
        starts, ends = np.clip(round_half_up(row), -FARTHEST, FARTHEST).astype(np.int64).reshape(2, spatial)
        lengths = np.maximum(ends - starts, 0)
        for cell in np.ndindex(*output_size):
            first = starts + cell * (lengths // output_size)
            last = first + -(-lengths // output_size)
            inside = zip(np.clip(first, 0, input.shape[2:]), np.clip(last, 0, input.shape[2:]), strict=True)
            part = input[(batch, slice(None), *(slice(a, b) for a, b in inside))].reshape(input.shape[1], -1)
            if part.shape[1]:
                output[(n, slice(None), *cell)] = part.max(axis=1) if maximum else part.mean(axis=1, dtype=np.float64)
    return np.asarray(output, np.float32)


def avg_roi_pool(
    input: np.ndarray, rois: np.ndarray, batch_index: np.ndarray, output_size: Sequence[int]
) -> np.ndarray:
    return _pool(input, rois, batch_index, output_size, maximum=False)


def max_roi_pool(
    input: np.ndarray, rois: np.ndarray, batch_index: np.ndarray, output_size: Sequence[int]
) -> np.ndarray:
    return _pool(input, rois, batch_index, output_size, maximum=True)


def _coordinates(start: float, end: float, count: int, method: str) -> np.ndarray:
    """Where `count` outputs read a region from start to end."""
    at = np.arange(count, dtype=np.float64)
    if method == "symmetric":
        return start + (end - start) * ((at + 0.5) / count) - 0.5
    if method == "asymmetric":
        return start + (end - start) * (at / count)
    return start + (end - start - 1) * (at / (count - 1)) if count > 1 else np.full(1, start)


def roi_resample(
    input: np.ndarray, rois: np.ndarray, batch_index: np.ndarray, output_size: Sequence[int], method: str
) -> np.ndarray:
    """Multilinear interpolation; the regions' lengths take the place of the extents in the methods of up-sampling:
    'aligned' puts the first and last output on the first and last element of the region. Outside, the edge goes on.
    """
    check_indices("batch_index", batch_index, input.shape[0])
    spatial = input.ndim - 2
    results = []
    for row, batch in zip(rois.astype(np.float64), batch_index.ravel(), strict=True):
        values = input[batch].astype(np.float64)
        for axis in range(spatial):
            last = values.shape[1 + axis] - 1
            near = np.clip(_coordinates(row[axis], row[spatial + axis], output_size[axis], method), 0, last)
            low = np.nan_to_num(near).astype(np.int64)
            weight = (near - low).reshape(-1, *(1,) * (spatial - 1 - axis))
            sides = (np.take(values, np.minimum(low + side, last), axis=1 + axis) for side in (0, 1))
            shares = (np.where(w == 0, 0, w * v) for w, v in zip((1 - weight, weight), sides, strict=True))
            values = sum(shares, np.zeros(()))
        results.append(values)
    return np.asarray(results, np.float32)


def flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    """At most: every region may be the whole map."""
    return math.prod(outputs[0]) + outputs[0][0] * math.prod(inputs[0][1:])


REGIONS = "input: tensor<scalar>, rois: tensor<scalar>, batch_index: tensor<integer>, output_size: integer[]"

OPS = (
    op(f"fragment avg_roi_pool( {REGIONS} ) -> ( output: tensor<scalar> );",
       about="Mean over the cells that output_size divides each region into; cells are rounded to whole elements.",
       infer=pooled, reference=avg_roi_pool, lower=indexed.region_pool(maximum=False), flops=flops),
    op(f"fragment max_roi_pool( {REGIONS} ) -> ( output: tensor<scalar> );",
       about="Maximum over the cells that output_size divides each region into; cells are rounded to whole elements.",
       infer=pooled, reference=max_roi_pool, lower=indexed.region_pool(maximum=True), flops=flops),
    op(f"fragment roi_resample( {REGIONS}, method: string = 'symmetric' ) -> ( output: tensor<scalar> );",
       about="Each region resampled to output_size by linear interpolation.",
       infer=resampled, reference=roi_resample, lower=indexed.region_resample, flops=flops),
    *(
        op(f"""fragment {kind}_roi_align( {REGIONS}, sampling_rate: integer[], resize_method: string = 'symmetric' )
               -> ( output: tensor<scalar> )
               {{
                   size = [for i in range_of(output_size) yield output_size[i] * sampling_rate[i]];
                   resized = roi_resample(input, rois, batch_index, output_size = size, method = resize_method);
                   dims = [1,1] + sampling_rate;
                   output = {kind}_pool(resized, size = dims, stride = dims, padding = [(0,0)] * length_of(dims));
               }}""")
        for kind in ("avg", "max")
    ),
)  # fmt: skip
