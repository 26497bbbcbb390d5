"""Images as inputs: bytes become the values a network reads, resized, reordered and scaled in one operation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import Candidate, Input, Launch, Output
from nnef_cl.codegen.kernels.image import ImageInput, Resized
from nnef_cl.codegen.target import Target
from nnef_cl.ir.layout import Shape
from nnef_cl.ops.base import Problem, op

LARGEST_SIDE = 2**14
"""Pixels: kernels compute places with 32 bits."""


def image_shape(input: Shape, layout: str, order: Sequence[int], scale: Sequence[float], bias: Sequence[float],
                size: Sequence[int]) -> Shape:  # fmt: skip
    return (input[0], len(order), *size)


def image(input: np.ndarray, layout: str, order: Sequence[int], scale: Sequence[float], bias: Sequence[float],
          size: Sequence[int]) -> np.ndarray:  # fmt: skip
    """input: bytes [N, H, W, C] or, layout 'NCHW', [N, C, H, W]. Channel k of the result is channel order[k], resized,
    times scale[k] plus bias[k]."""
    planes = (input.transpose(0, 3, 1, 2) if layout == "NHWC" else input)[:, list(order)].astype(np.float64)
    rows, columns = (weights(n, m) for n, m in zip(planes.shape[2:], size, strict=True))
    resized = rows @ planes @ columns.T
    factors, terms = (np.reshape(np.asarray(values, np.float32), (-1, 1, 1)) for values in (scale, bias))
    return np.asarray(resized * factors + terms, np.float32)


def weights(source: int, result: int) -> np.ndarray:
    """[result, source]: a triangle around each place, as wide as two pixels of the coarser side; rows add up to 1."""
    place = (2 * np.arange(result) + 1)[:, None] * source
    near = 2 * max(source, result) - abs((2 * np.arange(source) + 1) * result - place)
    positive = np.maximum(near, 0).astype(np.float64)
    return positive / positive.sum(axis=1, keepdims=True)


def lower(problem: Problem, target: Target) -> list[Candidate]:
    x, y, attrs = problem.inputs[0].shape, problem.outputs[0].shape, problem.attrs
    first = 1 if attrs["layout"] == "NHWC" else 2
    sides = tuple(Resized(n, m) for n, m in zip(x[first : first + 2], y[2:], strict=True))
    count = y[0] * y[2] * y[3]
    kernel = ImageInput(
        y[0], sides[0], sides[1], x[3] if first == 1 else x[1], attrs["layout"], tuple(attrs["order"]),
        tuple(attrs["scale"]), tuple(attrs["bias"]), Grid.of(count, target, 1, len(attrs["order"])),
    )  # fmt: skip
    return [Candidate("image", (Launch(kernel, (Input(0), Output())),))]


OPS = (
    op("""fragment image( input: tensor<integer>, layout: string, order: integer[], scale: scalar[], bias: scalar[],
          size: integer[] ) -> ( output: tensor<scalar> );""",
       about="Bytes of images as values: resized, channels in another order, scaled.",
       infer=image_shape, reference=image, lower=lower),
)  # fmt: skip
