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
                size: Sequence[int], result: str) -> Shape:  # fmt: skip
    image = (len(order), *size) if result == "NCHW" else (*size, len(order))
    return (input[0], *image) if len(input) == 4 else image


def image(input: np.ndarray, layout: str, order: Sequence[int], scale: Sequence[float], bias: Sequence[float],
          size: Sequence[int], result: str) -> np.ndarray:  # fmt: skip
    """input: bytes [N, H, W, C] or, layout 'NCHW', [N, C, H, W]; both without N, too. Channel k of the result, which
    has the layout `result`, is channel order[k], resized, times scale[k] plus bias[k]."""
    channels_first = np.moveaxis(input, -1, -3) if layout == "NHWC" else input
    planes = channels_first[..., list(order), :, :].astype(np.float64)
    rows, columns = (weights(n, m) for n, m in zip(planes.shape[-2:], size, strict=True))
    resized = rows @ planes @ columns.T
    factors, terms = (np.reshape(np.asarray(values, np.float32), (-1, 1, 1)) for values in (scale, bias))
    values = np.asarray(resized * factors + terms, np.float32)
    return np.ascontiguousarray(np.moveaxis(values, -3, -1)) if result == "NHWC" else values


def weights(source: int, result: int) -> np.ndarray:
    """[result, source]: a triangle around each place, as wide as two pixels of the coarser side; rows add up to 1."""
    place = (2 * np.arange(result) + 1)[:, None] * source
    near = 2 * max(source, result) - abs((2 * np.arange(source) + 1) * result - place)
    positive = np.maximum(near, 0).astype(np.float64)
    return positive / positive.sum(axis=1, keepdims=True)


def lower(problem: Problem, target: Target) -> list[Candidate]:
    x, attrs = problem.inputs[0].shape, problem.attrs
    count, *image = x if len(x) == 4 else (1, *x)
    channels = image.pop(2 if attrs["layout"] == "NHWC" else 0)
    rows, columns = (Resized(n, m) for n, m in zip(image, attrs["size"], strict=True))
    items = count * rows.result * columns.result
    kernel = ImageInput(
        count, rows, columns, channels, attrs["layout"], attrs["result"], tuple(attrs["order"]),
        tuple(attrs["scale"]), tuple(attrs["bias"]), Grid.of(items, target, 1, len(attrs["order"])),
    )  # fmt: skip
    return [Candidate("image", (Launch(kernel, (Input(0), Output())),))]


OPS = (
    op("""fragment image( input: tensor<integer>, layout: string, order: integer[], scale: scalar[], bias: scalar[],
          size: integer[], result: string ) -> ( output: tensor<scalar> );""",
       about="Bytes of images as values: resized, channels in another order, scaled.",
       infer=image_shape, reference=image, lower=lower),
)  # fmt: skip
