"""Sliding windows: resolved geometry for shape rules and kernels, and padded window views for references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from nnef_cl.errors import RuleError
from nnef_cl.ir.layout import Shape
from nnef_cl.ops.shapes import check_length, check_positive, require

Padding = Sequence[tuple[int, int]]
CONV_BORDERS = ("constant", "replicate", "reflect", "reflect-even")
POOL_BORDERS = (*CONV_BORDERS, "ignore")


@dataclass(frozen=True)
class Window:
    """Per axis. input: extents on the side the windows slide over; output: number of windows (section 4.3.1)."""

    size: Shape
    stride: Shape
    dilation: Shape
    before: Shape
    after: Shape
    input: Shape
    output: Shape


def down_window(
    extents: Sequence[int], size: Sequence[int], border: str, padding: Padding, stride: Sequence[int],
    dilation: Sequence[int], first: int = 0,
) -> Window:  # fmt: skip
    """Windows over `extents`; empty stride and dilation are ones, empty padding is automatic.

    first: the tensor's axis that extents[0] belongs to, for the messages.
    """
    rank = len(extents)
    steps, holes = _defaults(size, padding, stride, dilation, rank)
    pads = []
    for x, f, s, d, k in zip(extents, size, steps, holes, range(rank), strict=True):
        reach = (f - 1) * d + 1
        if padding:
            pads.append(tuple(padding[k]))
        else:
            total = max((-(-x // s) - 1) * s + reach - x, 0)
            pads.append((total // 2, total - total // 2))
    output = []
    for axis, (x, f, s, d, (p, q)) in enumerate(zip(extents, size, steps, holes, pads, strict=True), first):
        reach = (f - 1) * d + 1
        room = p + x + q - reach
        require(room >= 0, f"axis {axis}: a window of {reach} does not fit into {x} elements with padding ({p},{q})")
        output.append(room // s + 1)
        check_reflection(border, axis, x, p, (output[-1] - 1) * s + reach - p - x)
    before, after = zip(*pads, strict=True) if pads else ((), ())
    return Window(tuple(size), steps, holes, before, after, tuple(extents), tuple(output))


def up_window(
    extents: Sequence[int], size: Sequence[int], padding: Padding, stride: Sequence[int], dilation: Sequence[int],
    output_shape: Sequence[int], first: int = 0,
) -> Window:  # fmt: skip
    """The windows of a deconvolution: `extents` is the down-scaled side (Window.output), the result Window.input.

    first: as for down_window.
    """
    rank = len(extents)
    steps, holes = _defaults(size, padding, stride, dilation, rank)
    if output_shape:
        check_length(output_shape, rank, "output_shape")
        check_positive(output_shape, "output_shape")
    up, pads = [], []
    for axis, (x, f, s, d) in enumerate(zip(extents, size, steps, holes, strict=True)):
        reach = (f - 1) * d + 1
        if padding:
            p, q = padding[axis]
            large = output_shape[axis] if output_shape else (x - 1) * s + reach - p - q
        else:
            large = output_shape[axis] if output_shape else x * s
            total = max((x - 1) * s + reach - large, 0)
            p, q = total // 2, total - total // 2
        require(large > 0, f"axis {first + axis}: padding ({p},{q}) leaves nothing of the result")
        room = p + large + q - reach
        fits = room >= 0 and room // s + 1 == x
        require(fits, f"axis {first + axis}: a result of {large} does not come from {x} elements with stride {s}")
        up.append(large)
        pads.append((p, q))
    before, after = zip(*pads, strict=True) if pads else ((), ())
    return Window(tuple(size), steps, holes, before, after, tuple(up), tuple(extents))


def check_up_reflection(border: str, window: Window, first: int = 0) -> None:
    """As check_reflection, for an up_window, whose border concerns the down-scaled side."""
    for axis, (x, large, f) in enumerate(zip(window.output, window.input, window.size, strict=True)):
        s, d, p = window.stride[axis], window.dilation[axis], window.before[axis]
        check_reflection(border, first + axis, x, ((f - 1) * d - p) // s, (large - 1 + p) // s - (x - 1))


def _defaults(
    size: Sequence[int], padding: Padding, stride: Sequence[int], dilation: Sequence[int], rank: int
) -> tuple[Shape, Shape]:
    check_length(size, rank, "size")
    check_positive(size, "size")
    for values, name in ((stride, "stride"), (dilation, "dilation")):
        if values:
            check_length(values, rank, name)
            check_positive(values, name)
    if padding:
        check_length(padding, rank, "padding")
    return tuple(stride) or (1,) * rank, tuple(dilation) or (1,) * rank


def check_reflection(border: str, axis: int, extent: int, before: int, after: int) -> None:
    """Reflection is defined only as far as the input reaches."""
    limit = {"reflect": extent - 1, "reflect-even": extent}.get(border)
    if limit is not None and max(before, after) > limit:
        raise RuleError(f"axis {axis}: border '{border}' allows padding up to {limit}, got ({before},{after})")


def check_border(border: str, allowed: Sequence[str]) -> None:
    require(border in allowed, f"border '{border}' is not one of {', '.join(allowed)}")


def border_source(border: str, index: np.ndarray, extent: int) -> np.ndarray:
    """Where indices outside 0 .. extent-1 read (section 4.3.1); 'constant' and 'ignore' are clipped: mask them."""
    if border == "reflect":
        index = np.where(index < 0, -index, np.where(index >= extent, 2 * (extent - 1) - index, index))
    if border == "reflect-even":
        index = np.where(index < 0, -index - 1, np.where(index >= extent, 2 * extent - 1 - index, index))
    return np.clip(index, 0, extent - 1)


def taps(
    input: np.ndarray, window: Window, border: str, axes: Sequence[int]
) -> Iterator[tuple[Shape, np.ndarray, np.ndarray]]:
    """Per window tap: its position, the values all windows see there, and where they lie inside the input."""
    for tap in product(*(range(f) for f in window.size)):
        values, inside = input, np.ones((1,) * input.ndim, bool)
        for k, axis in enumerate(axes):
            index = np.arange(window.output[k]) * window.stride[k] + tap[k] * window.dilation[k] - window.before[k]
            extent = input.shape[axis]
            values = np.take(values, border_source(border, index, extent), axis=axis)
            if border in ("constant", "ignore"):
                shape = [1] * input.ndim
                shape[axis] = -1
                inside = inside & ((index >= 0) & (index < extent)).reshape(shape)
        yield tap, values, np.broadcast_to(inside, values.shape)


def up_taps(
    input: np.ndarray, window: Window, border: str, axes: Sequence[int]
) -> Iterator[tuple[Shape, np.ndarray, np.ndarray]]:
    """As taps, for an up_window: what each element of the larger side gets through a tap, and where it gets any."""
    for tap in product(*(range(f) for f in window.size)):
        values, used = input, np.ones((1,) * input.ndim, bool)
        for k, axis in enumerate(axes):
            shifted = np.arange(window.input[k]) + window.before[k] - tap[k] * window.dilation[k]
            index, extent = shifted // window.stride[k], input.shape[axis]
            valid = shifted % window.stride[k] == 0
            if border in ("constant", "ignore"):
                valid = valid & (index >= 0) & (index < extent)
            values = np.take(values, border_source(border, index, extent), axis=axis)
            shape = [1] * input.ndim
            shape[axis] = -1
            used = used & valid.reshape(shape)
        yield tap, values, np.broadcast_to(used, values.shape)
