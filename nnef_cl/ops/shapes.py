"""Shape rules shared by families: broadcasting, axes, reshape, slice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.errors import RuleError
from nnef_cl.ir.layout import Shape

MAX_RANK = 8
"""The limit of the tensor file (section 5.2), kept everywhere."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise RuleError(message)


def text(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def broadcast(*shapes: Shape) -> Shape:
    """Left-aligned: missing axes are trailing ones (section 4.2)."""
    rank = max(map(len, shapes))
    result = []
    for axis in range(rank):
        extents = {s[axis] for s in shapes if axis < len(s)} - {1}
        if len(extents) > 1:
            listed = " and ".join(text(s) for s in shapes)
            raise RuleError(f"shapes {listed} do not broadcast: axis {axis} has extents {sorted(extents)} "
                            "(NNEF aligns the first axes)")  # fmt: skip
        result.append(extents.pop() if extents else 1)
    return tuple(result)


def pointwise(**arguments: Any) -> Shape:
    """The shape rule of every element-wise operation; attributes play no part."""
    return broadcast(*(value for value in arguments.values() if isinstance(value, tuple)))


def element_flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    """One operation per computed element."""
    return sum(map(math.prod, outputs))


def check_rank(shape: Shape, least: int, what: str = "input") -> None:
    require(len(shape) >= least, f"{what} needs at least {least} axes, got shape {text(shape)}")


def check_axes(axes: Sequence[int], rank: int) -> None:
    """Unique and 0 <= axis < rank."""
    require(len(set(axes)) == len(axes), f"axes {list(axes)} are not unique")
    for axis in axes:
        require(rank > 0, f"axis {axis} is given, a tensor of rank 0 has none")
        require(0 <= axis < rank, f"axis {axis} is outside 0..{rank - 1}")


def index_trouble(limit: int) -> str:
    """What is wrong with a tensor of indices that must be from 0 to limit - 1."""
    return f"holds an index outside 0..{limit - 1}"


def check_indices(name: str, indices: np.ndarray, limit: int) -> None:
    once = indices[tuple(slice(1 if stride == 0 else None) for stride in indices.strides)]
    outside = once[(once < 0) | (once >= limit)]
    require(outside.size == 0, f"'{name}' {index_trouble(limit)}: {outside[:1].tolist()}")


def check_length(values: Sequence[Any], length: int, name: str) -> None:
    require(len(values) == length, f"'{name}' needs {length} entries, got {len(values)}")


def check_positive(values: Sequence[int], name: str) -> None:
    require(all(v > 0 for v in values), f"'{name}' entries must be positive, got {list(values)}")


def reduced(input: Shape, axes: Sequence[int], **_: Any) -> Shape:
    """Reduced axes stay with extent 1."""
    check_axes(axes, len(input))
    return tuple(1 if a in axes else n for a, n in enumerate(input))


def reshaped(input: Shape, shape: Sequence[int], axis_start: int = 0, axis_count: int = -1) -> Shape:
    """Section 4.5.1: 0 copies the extent at the same offset from axis_start, one -1 is derived."""
    rank = len(input)
    require(0 <= axis_start <= rank, f"axis_start {axis_start} is outside 0..{rank}")
    count = rank - axis_start if axis_count == -1 else axis_count
    require(count >= 0 and axis_start + count <= rank, f"axis_count {axis_count} reaches beyond rank {rank}")
    old = input[axis_start : axis_start + count]
    new = []
    for k, extent in enumerate(shape):
        if extent == 0:
            require(axis_start + k < rank, f"'shape' entry {k} copies axis {axis_start + k}, the input has rank {rank}")
        new.append(input[axis_start + k] if extent == 0 else extent)
    require(all(n > 0 or n == -1 for n in new), f"'shape' {list(shape)} has a negative extent")
    require(new.count(-1) <= 1, f"'shape' {list(shape)} has more than one -1")
    volume = math.prod(old)
    known = math.prod(n for n in new if n != -1)
    if -1 in new:
        require(volume % known == 0, f"{text(old)} ({volume} elements) does not divide into 'shape' {list(shape)}")
        new[new.index(-1)] = volume // known
    require(math.prod(new) == volume, f"{text(old)} has {volume} elements, 'shape' {list(shape)} has {math.prod(new)}")
    return checked((*input[:axis_start], *new, *input[axis_start + count :]))


def checked(shape: Shape) -> Shape:
    require(len(shape) <= MAX_RANK, f"result {text(shape)} has more than {MAX_RANK} axes")
    return shape


def slice_bounds(
    input: Shape, axes: Sequence[int], begin: Sequence[int], end: Sequence[int], stride: Sequence[int] = ()
) -> dict[int, tuple[int, int, int]]:
    """Axis -> (first index, extent, step), section 4.5.9: negative bounds count from the end, then are clamped."""
    check_axes(axes, len(input))
    for values, name in ((begin, "begin"), (end, "end")):
        check_length(values, len(axes), name)
    if stride:
        check_length(stride, len(axes), "stride")
        require(0 not in stride, "'stride' entries must not be zero")
    steps = tuple(stride) or (1,) * len(axes)
    plain = set(steps) <= {1}
    bounds = {}
    for axis, first, last, step in zip(axes, begin, end, steps, strict=True):
        extent = input[axis]
        low = _clamped(first, extent)
        high = extent if last == 0 and plain else _clamped(last, extent)
        if step > 0:
            require(low >= 0, f"'begin' {first} is before the first element of axis {axis} ({extent} elements)")
        else:
            low = min(low, extent - 1)
        count = -(-(high - low) // step)
        require(count > 0, f"axis {axis}: begin {first}, end {last}, stride {step} select nothing of {extent} elements")
        bounds[axis] = (low, count, step)
    return bounds


def _clamped(bound: int, extent: int) -> int:
    shifted = bound + extent if bound < 0 else bound
    return min(max(shifted, -1), extent)
