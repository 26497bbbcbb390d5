"""Operations that move elements and compute nothing, with cast and add_n (sections 4.5, 4.9.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnef_cl.errors import RuleError
from nnef_cl.ir.layout import Shape
from nnef_cl.ops import indexed, lowering
from nnef_cl.ops.base import op
from nnef_cl.ops.shapes import (
    check_axes,
    check_indices,
    check_length,
    check_positive,
    checked,
    require,
    reshaped,
    slice_bounds,
    text,
)
from nnef_cl.ops.windows import CONV_BORDERS, Padding, border_source, check_border, check_reflection


def reshape(input: np.ndarray, shape: Sequence[int], axis_start: int, axis_count: int) -> np.ndarray:
    return input.reshape(reshaped(input.shape, shape, axis_start, axis_count))


def squeezed(input: Shape, axes: Sequence[int]) -> Shape:
    check_axes(axes, len(input))
    for axis in axes:
        require(input[axis] == 1, f"axis {axis} has extent {input[axis]}, only 1 can be squeezed")
    return tuple(n for a, n in enumerate(input) if a not in axes)


def squeeze(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return np.squeeze(input, tuple(axes))


def unsqueezed(input: Shape, axes: Sequence[int]) -> Shape:
    """axes are positions in the result, in any order."""
    rank = len(input) + len(axes)
    check_axes(axes, rank)
    rest = iter(input)
    return checked(tuple(1 if a in axes else next(rest) for a in range(rank)))


def unsqueeze(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return input.reshape(unsqueezed(input.shape, axes))


def transposed(input: Shape, axes: Sequence[int]) -> Shape:
    count = len(axes)
    valid = count <= len(input) and sorted(axes) == list(range(count))
    require(valid, f"'axes' {list(axes)} is not a permutation of the first axes of {text(input)}")
    return (*(input[a] for a in axes), *input[count:])


def transpose(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return np.transpose(input, (*axes, *range(len(axes), input.ndim)))


def split_shapes(value: Shape, axis: int, ratios: Sequence[int]) -> list[Shape]:
    check_axes([axis], len(value))
    require(len(ratios) > 0, "'ratios' must not be empty")
    check_positive(ratios, "ratios")
    total = sum(ratios)
    require(value[axis] % total == 0, f"ratios {list(ratios)} (sum {total}) do not divide extent {value[axis]}")
    unit = value[axis] // total
    return [(*value[:axis], r * unit, *value[axis + 1 :]) for r in ratios]


def split(value: np.ndarray, axis: int, ratios: Sequence[int]) -> list[np.ndarray]:
    unit = value.shape[axis] // sum(ratios)
    return np.split(value, np.cumsum(ratios)[:-1] * unit, axis=axis)


def concatenated(values: list[Shape], axis: int) -> Shape:
    require(len(values) > 0, "'values' must not be empty")
    first = values[0]
    check_axes([axis], len(first))
    for shape in values[1:]:
        same = len(shape) == len(first) and (*shape[:axis], *shape[axis + 1 :]) == (*first[:axis], *first[axis + 1 :])
        require(same, f"shapes {text(first)} and {text(shape)} differ outside axis {axis}")
    return (*first[:axis], sum(s[axis] for s in values), *first[axis + 1 :])


def concat(values: list[np.ndarray], axis: int) -> np.ndarray:
    return np.concatenate(values, axis)


def stacked(values: list[Shape], axis: int) -> Shape:
    require(len(values) > 0, "'values' must not be empty")
    first = values[0]
    check_axes([axis], len(first) + 1)
    for shape in values[1:]:
        require(shape == first, f"shapes {text(first)} and {text(shape)} differ")
    return checked((*first[:axis], len(values), *first[axis:]))


def stack(values: list[np.ndarray], axis: int) -> np.ndarray:
    return np.stack(values, axis)


def unstacked(value: Shape, axis: int) -> list[Shape]:
    check_axes([axis], len(value))
    if value[axis] > 65536:
        raise RuleError(f"axis {axis} of extent {value[axis]} is too long to be unstacked")
    return [(*value[:axis], *value[axis + 1 :])] * value[axis]


def unstack(value: np.ndarray, axis: int) -> list[np.ndarray]:
    return list(np.moveaxis(value, axis, 0))


def sliced(
    input: Shape, axes: Sequence[int], begin: Sequence[int], end: Sequence[int], stride: Sequence[int]
) -> Shape:
    bounds = slice_bounds(input, axes, begin, end, stride)
    return tuple(bounds[a][1] if a in bounds else n for a, n in enumerate(input))


def slice_(
    input: np.ndarray, axes: Sequence[int], begin: Sequence[int], end: Sequence[int], stride: Sequence[int]
) -> np.ndarray:
    for axis, (first, count, step) in slice_bounds(input.shape, axes, begin, end, stride).items():
        input = np.take(input, first + step * np.arange(count), axis=axis)
    return input


def padded(input: Shape, padding: Padding, border: str, value: float) -> Shape:
    check_border(border, CONV_BORDERS)
    check_length(padding, len(input), "padding")
    result = tuple(n + p + q for n, (p, q) in zip(input, padding, strict=True))
    for axis, (n, (p, q)) in enumerate(zip(input, padding, strict=True)):
        require(result[axis] > 0, f"axis {axis}: padding ({p},{q}) leaves nothing of {n} elements")
        check_reflection(border, axis, n, p, q)
    return result


def pad(input: np.ndarray, padding: Padding, border: str, value: float) -> np.ndarray:
    inside = np.ones((1,) * input.ndim, bool)
    result = input
    for axis, (before, after) in enumerate(padding):
        extent = input.shape[axis]
        index = np.arange(-before, extent + after)
        result = np.take(result, border_source(border, index, extent), axis=axis)
        shape = [1] * input.ndim
        shape[axis] = -1
        inside = inside & ((index >= 0) & (index < extent)).reshape(shape)
    return np.where(inside, result, np.float32(value)) if border == "constant" else result


def tiled(input: Shape, repeats: Sequence[int]) -> Shape:
    check_length(repeats, len(input), "repeats")
    check_positive(repeats, "repeats")
    return tuple(n * r for n, r in zip(input, repeats, strict=True))


def tile(input: np.ndarray, repeats: Sequence[int]) -> np.ndarray:
    return np.tile(input, tuple(repeats))


def gathered(input: Shape, indices: Shape, axis: int) -> Shape:
    check_axes([axis], len(input))
    return checked((*input[:axis], *indices, *input[axis + 1 :]))


def gather(input: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    check_indices("indices", indices, input.shape[axis])
    return np.take(input, indices, axis=axis)


def same(input: Shape) -> Shape:
    return input


def repeated(x: Shape, times: int) -> list[Shape]:
    require(0 < times <= 65536, f"'times' must be from 1 to 65536, got {times}")
    return [x] * times


def copy_n(x: np.ndarray, times: int) -> list[np.ndarray]:
    return [x] * times


OPS = (
    op("""fragment reshape<?>( input: tensor<?>, shape: integer[], axis_start: integer = 0, axis_count: integer = -1 )
          -> ( output: tensor<?> );""",
       about="The same elements in the same order with other extents; 0 keeps an extent, -1 stands for what is left.",
       infer=reshaped, reference=reshape, lower=lowering.alias),
    op("fragment squeeze<?>( input: tensor<?>, axes: integer[] ) -> ( output: tensor<?> );",
       about="Axes of extent 1 removed.",
       infer=squeezed, reference=squeeze, lower=lowering.alias),
    op("fragment unsqueeze<?>( input: tensor<?>, axes: integer[] ) -> ( output: tensor<?> );",
       about="Axes of extent 1 inserted, numbered as in the result.",
       infer=unsqueezed, reference=unsqueeze, lower=lowering.alias),
    op("fragment transpose<?>( input: tensor<?>, axes: integer[] ) -> ( output: tensor<?> );",
       about="Axes in another order; axes that are not listed stay at the end.",
       infer=transposed, reference=transpose, lower=lowering.transpose),
    op("fragment split<?>( value: tensor<?>, axis: integer, ratios: integer[] ) -> ( values: tensor<?>[] );",
       about="Parts along an axis in the proportions of ratios.",
       infer=split_shapes, reference=split, lower=lowering.split),
    op("fragment concat<?>( values: tensor<?>[], axis: integer ) -> ( value: tensor<?> );",
       about="Tensors one behind another along an axis.",
       infer=concatenated, reference=concat, lower=lowering.concat, blocked=lowering.concat_blocked),
    op("fragment stack<?>( values: tensor<?>[], axis: integer ) -> ( value: tensor<?> );",
       about="Tensors one behind another along a new axis.",
       infer=stacked, reference=stack, lower=lowering.stack),
    op("fragment unstack<?>( value: tensor<?>, axis: integer ) -> ( values: tensor<?>[] );",
       about="One tensor for each index of an axis, which disappears.",
       infer=unstacked, reference=unstack, lower=lowering.unstack),
    op("""fragment slice<?>( input: tensor<?>, axes: integer[], begin: integer[], end: integer[],
          stride: integer[] = [] ) -> ( output: tensor<?> );""",
       about="Ranges of some axes, with strides of either sign; an end of 0 means the end where every stride is 1.",
       infer=sliced, reference=slice_, lower=lowering.slice, blocked=lowering.slice_blocked),
    op("""fragment pad( input: tensor<scalar>, padding: (integer,integer)[], border: string = 'constant',
          value: scalar = 0.0 ) -> ( output: tensor<scalar> );""",
       about="Elements added around: constant values, or the input replicated or reflected.",
       infer=padded, reference=pad, lower=lowering.pad, blocked=lowering.pad_blocked),
    op("fragment tile<?>( input: tensor<?>, repeats: integer[] ) -> ( output: tensor<?> );",
       about="The input repeated along each axis.",
       infer=tiled, reference=tile, lower=lowering.tile),
    op("""fragment gather<?>( input: tensor<?>, indices: tensor<integer>, axis: integer = 0 )
          -> ( output: tensor<?> );""",
       about="Slices of an axis by number; a number outside is an error after the run.",
       infer=gathered, reference=gather, lower=indexed.gather),
    op("fragment cast<?>( input: tensor<> ) -> ( output: tensor<?> );",
       about="Another type: to integer truncates towards zero and saturates, to logical asks for not zero.",
       infer=same, lower=lowering.cast),
    op("fragment copy_n<?>( x: tensor<?>, times: integer ) -> ( y: tensor<?>[] );",
       about="The same tensor several times.",
       infer=repeated, reference=copy_n, lower=lowering.copies),
    op("""fragment add_n( x: tensor<scalar>[] ) -> ( y: tensor<scalar> )
          { y = x[0] + add_n(x[1:]) if length_of(x) > 1 else x[0] if length_of(x) > 0 else 0.0; }"""),
)  # fmt: skip
