"""From a node's problem to kernels: every lowering function returns correct candidates, best guess first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.expression import CStep, Expression
from nnef_cl.codegen.kernel import Candidate, Input, Kernel, Launch, Operand, Output, Scratch
from nnef_cl.codegen.kernels import lookup
from nnef_cl.codegen.kernels.conv_general import conv_general
from nnef_cl.codegen.kernels.exchange import exchange as exchange_kernel
from nnef_cl.codegen.kernels.interleave import interleave as interleave_kernel
from nnef_cl.codegen.kernels.multilinear import multilinear as multilinear_kernel
from nnef_cl.codegen.kernels.multilinear_rows import multilinear_rows
from nnef_cl.codegen.kernels.pointwise import Guard, Strided, broadcast_strides, channel_guard
from nnef_cl.codegen.kernels.pointwise import pointwise as pointwise_kernel
from nnef_cl.codegen.kernels.pool import pool as pool_kernel
from nnef_cl.codegen.kernels.pool_channels import channels_fit, pool_channels
from nnef_cl.codegen.kernels.pool_rows import pool_rows
from nnef_cl.codegen.kernels.reduce import reduce_parts
from nnef_cl.codegen.kernels.reduce_group import partials, reduce_group
from nnef_cl.codegen.kernels.reduction import Reduction
from nnef_cl.codegen.kernels.softmax import softmax as softmax_kernel
from nnef_cl.codegen.kernels.softmax_group import softmax_group
from nnef_cl.codegen.kernels.transpose import transpose as transpose_kernel
from nnef_cl.codegen.kernels.window import Geometry, five_axes, tested, with_three_axes
from nnef_cl.codegen.target import Target
from nnef_cl.errors import RuleError
from nnef_cl.ir.dtype import F32, DType
from nnef_cl.ir.layout import PLAIN, Layout, Shape, row_major_strides
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_cost import cheapest_first
from nnef_cl.ops.conv_launch import (
    conv_candidate,
    conv_launch,
    extra_operands,
    few_candidate,
    few_launch,
    rows_candidate,
    window_rows_candidate,
)
from nnef_cl.ops.phases import phase_launches
from nnef_cl.ops.rowwise import softmax_rows
from nnef_cl.ops.shapes import require, slice_bounds
from nnef_cl.ops.subpixel import subpixel_candidates
from nnef_cl.ops.tiled_launch import conv_tiles, conv_tiles_launch
from nnef_cl.ops.windows import Window, down_window, up_window
from nnef_cl.ops.winograd import winograd_candidates

FARTHEST = 2**30
"""Sizes, strides, dilations and padding of windows: kernels count with 32 bits."""
MOST_TAPS = 2**26
"""Elements of one window."""
MOST_AXES = 5
"""Of tensors that the fast kernels of convolutions can walk."""
MAX_PHASES = 16
"""A deconvolution with more stride phases than this would be too many kernels."""


def single(algorithm: str, *launches: Launch) -> list[Candidate]:
    return [Candidate(algorithm, launches)]


# Maps and affine rearrangements ----------------------------------------------------------------------------
def pointwise(problem: Problem, target: Target) -> list[Candidate]:
    """The internal operation `map`: its expression over all operands, broadcast to the output."""
    y = problem.outputs[0]
    specs = (*problem.inputs, *problem.epilogue.operands)
    inputs = tuple(Strided(s.dtype, broadcast_strides(s, y)) for s in specs)
    extents = y.layout.physical(y.shape)
    kernel = pointwise_kernel(
        "map " + str(y), extents, inputs, Strided(y.dtype, row_major_strides(extents)),
        problem.epilogue.expression, target, channel_guard(y, "mask"),
    )  # fmt: skip
    operands = tuple(Input(k) for k in range(len(specs)))
    return single("map", Launch(kernel, (*operands, Output())))


def affine_copy(
    what: str, dtype: DType, extents: Shape, x: tuple[Shape, int], y: tuple[Shape, int], target: Target,
    guard: Guard | None = None,
) -> Kernel:  # fmt: skip
    """Copies x[base + strides . i] to y[base + strides . i] for all i in extents."""
    source, result = Strided(dtype, *x), Strided(dtype, *y)
    tiled = None if guard else transpose_kernel(what, extents, source, result, target)
    turned = tiled or exchange_kernel(what, extents, source, result, target, guard)
    mixed = None if turned or guard else interleave_kernel(what, extents, source, result, target)
    return turned or mixed or pointwise_kernel(what, extents, (source,), result, Expression(1, ()), target, guard)


def cast(problem: Problem, target: Target) -> list[Candidate]:
    x, y = problem.inputs[0], problem.outputs[0]
    text = {
        # The saturating conversion leaves NaN to the device.
        ("scalar", "integer"): "convert_long{W}_sat_rtz({select}({0}, ({T})(0.0f), {0} != {0}))",
        ("scalar", "logical"): "({0} != 0)",
        ("integer", "scalar"): "convert_float{W}({0})", ("integer", "logical"): "convert_int{W}({0} != 0)",
        ("logical", "scalar"): "convert_float{W}({0} & 1)", ("logical", "integer"): "convert_long{W}({0} & 1)",
    }.get((x.dtype.kind, y.dtype.kind))  # fmt: skip
    steps = (CStep(text, (0,), y.dtype),) if text else ()
    kernel = pointwise_kernel(
        f"cast {x} to {y.dtype}", x.shape, (Strided(x.dtype, row_major_strides(x.shape)),),
        Strided(y.dtype, row_major_strides(x.shape)), Expression(1, steps), target,
    )  # fmt: skip
    return single("cast", Launch(kernel, (Input(0), Output())))


def reorder(problem: Problem, target: Target) -> list[Candidate]:
    """The internal operation `reorder`: the same values in another layout."""
    x, y = problem.inputs[0], problem.outputs[0]
    blocked = y if y.layout.block > 1 else x
    extents = blocked.layout.physical(blocked.shape)
    strides = row_major_strides(extents), broadcast_strides(x if blocked is y else y, blocked)
    guard = channel_guard(blocked, "zero" if blocked is y else "skip")
    source, result = (strides[1], strides[0]) if blocked is y else strides
    kernel = affine_copy(f"reorder {x} to {y.layout}", x.dtype, extents, (source, 0), (result, 0), target, guard)
    return single("reorder", Launch(kernel, (Input(0), Output())))


def alias(problem: Problem, target: Target) -> list[Candidate]:
    """No kernel: the output is the input's memory."""
    return [Candidate("alias", ())]


def _copy(what: str, problem: Problem, target: Target, extents: Shape, x: tuple[Shape, int]) -> list[Candidate]:
    """One copy that fills the whole (plain) output in order of `extents`."""
    kernel = affine_copy(what, problem.inputs[0].dtype, extents, x, (row_major_strides(extents), 0), target)
    return single(what, Launch(kernel, (Input(0), Output())))


def transpose(problem: Problem, target: Target) -> list[Candidate]:
    x, y = problem.inputs[0], problem.outputs[0]
    axes = (*problem.attrs["axes"], *range(len(problem.attrs["axes"]), x.rank))
    strides = row_major_strides(x.shape)
    return _copy("transpose", problem, target, y.shape, (tuple(strides[a] for a in axes), 0))


def slice(problem: Problem, target: Target) -> list[Candidate]:
    x, y = problem.inputs[0], problem.outputs[0]
    strides, base = list(row_major_strides(x.layout.physical(x.shape))), 0
    for axis, (begin, _, step) in slice_bounds(x.shape, **problem.attrs).items():
        base += begin // (x.layout.block if axis == 1 else 1) * strides[axis]
        strides[axis] *= step
    return _copy("slice", problem, target, y.layout.physical(y.shape), (tuple(strides), base))


def slice_blocked(problem: Problem, lanes: int) -> bool:
    """Of channels, whole blocks, behind which there may be nothing but zeros."""
    channels = problem.inputs[0].shape[1]
    begin, count, step = slice_bounds(problem.inputs[0].shape, **problem.attrs).get(1, (0, channels, 1))
    return step == 1 and begin % lanes == 0 and (count % lanes == 0 or begin + count == channels)


def tile(problem: Problem, target: Target) -> list[Candidate]:
    x = problem.inputs[0]
    strides = row_major_strides(x.shape)
    extents = tuple(e for n, r in zip(x.shape, problem.attrs["repeats"], strict=True) for e in (r, n))
    return _copy("tile", problem, target, extents, (tuple(s for k in strides for s in (0, k)), 0))


def nearest_upsample(problem: Problem, target: Target) -> list[Candidate]:
    x = problem.inputs[0]
    factors = (1, 1, *problem.attrs["factor"])
    physical = x.layout.physical(x.shape)
    strides = row_major_strides(physical)
    factors += (1,) * (len(physical) - len(factors))
    extents = tuple(e for n, f in zip(physical, factors, strict=True) for e in (n, f))
    return _copy("nearest_upsample", problem, target, extents, (tuple(s for k in strides for s in (k, 0)), 0))


def nearest_downsample(problem: Problem, target: Target) -> list[Candidate]:
    x, y = problem.inputs[0], problem.outputs[0]
    factors = (1, 1, *problem.attrs["factor"])
    strides = tuple(s * f for s, f in zip(row_major_strides(x.shape), factors, strict=True))
    return _copy("nearest_downsample", problem, target, y.shape, (strides, 0))


def _parts(whole: TensorSpec, parts: tuple[TensorSpec, ...], axis: int) -> list[tuple[Shape, Shape, int]]:
    """Per part: stored extents, strides in the whole, and offset there."""
    strides = row_major_strides(whole.layout.physical(whole.shape))
    result, at = [], 0
    for part in parts:
        extents = part.layout.physical(part.shape)
        result.append((extents, strides, at * strides[axis]))
        at += extents[axis]
    return result


def concat(problem: Problem, target: Target) -> list[Candidate]:
    y, axis = problem.outputs[0], problem.attrs["axis"]
    launches = []
    for k, (extents, strides, base) in enumerate(_parts(y, problem.inputs, axis)):
        source = row_major_strides(extents)
        kernel = affine_copy("concat", y.dtype, extents, (source, 0), (strides, base), target)
        launches.append(Launch(kernel, (Input(k), Output())))
    return single("concat", *launches)


def split(problem: Problem, target: Target) -> list[Candidate]:
    x, axis = problem.inputs[0], problem.attrs["axis"]
    launches = []
    for k, (extents, strides, base) in enumerate(_parts(x, problem.outputs, axis)):
        kernel = affine_copy("split", x.dtype, extents, (strides, base), (row_major_strides(extents), 0), target)
        launches.append(Launch(kernel, (Input(0), Output(k))))
    return single("split", *launches)


def stack(problem: Problem, target: Target) -> list[Candidate]:
    axis = problem.attrs["axis"]
    inputs = tuple(replace(x, shape=(*x.shape[:axis], 1, *x.shape[axis:])) for x in problem.inputs)
    return concat(replace(problem, inputs=inputs), target)


def unstack(problem: Problem, target: Target) -> list[Candidate]:
    axis = problem.attrs["axis"]
    outputs = tuple(replace(y, shape=(*y.shape[:axis], 1, *y.shape[axis:])) for y in problem.outputs)
    return split(replace(problem, outputs=outputs), target)


def copies(problem: Problem, target: Target) -> list[Candidate]:
    """copy_n: the same tensor several times."""
    x = problem.inputs[0]
    strides = row_major_strides(x.shape)
    kernel = affine_copy("copy_n", x.dtype, x.shape, (strides, 0), (strides, 0), target)
    return single("copy_n", *(Launch(kernel, (Input(0), Output(k))) for k in range(len(problem.outputs))))


def pad(problem: Problem, target: Target) -> list[Candidate]:
    x, y, attrs = problem.inputs[0], problem.outputs[0], problem.attrs
    require(all(abs(p) <= FARTHEST for pair in attrs["padding"] for p in pair),
            f"padding beyond {FARTHEST} elements is not supported")  # fmt: skip
    before = tuple(p for p, _ in attrs["padding"]) + (0,) * (x.layout.block > 1)
    shapes = x.layout.physical(x.shape), y.layout.physical(y.shape)
    kernel = lookup.pad(x.dtype, *shapes, before, attrs["border"], float(attrs["value"]), target)
    return single("pad", Launch(kernel, (Input(0), Output())))


def pad_blocked(problem: Problem, lanes: int) -> bool:
    """Only spatial axes grow; lanes behind the last channel stay zero."""
    x, attrs = problem.inputs[0], problem.attrs
    zeros = attrs["border"] != "constant" or float(attrs["value"]) == 0.0 or x.shape[1] % lanes == 0
    return x.rank > 2 and not any(map(any, attrs["padding"][:2])) and zeros


# Windows ---------------------------------------------------------------------------------------------------
def geometry_of(window: Window, border: str) -> Geometry:
    """Raises RuleError where no kernel could count that far or ever be done."""
    numbers = (*window.size, *window.stride, *window.dilation, *window.before, *window.after)
    near = all(abs(n) <= FARTHEST for n in numbers)
    require(near, f"windows and padding beyond {FARTHEST} elements are not supported")
    taps = math.prod(window.size)
    require(taps <= MOST_TAPS, f"windows of more than {MOST_TAPS} elements are not supported, got {taps}")
    return Geometry(window.size, window.stride, window.dilation, window.before, border)


def pool(maximum: bool) -> Callable[[Problem, Target], list[Candidate]]:
    """box and max_pool."""

    def lower(problem: Problem, target: Target) -> list[Candidate]:
        x, y, attrs = problem.inputs[0], problem.outputs[0], problem.attrs
        window = down_window(
            x.shape, attrs["size"], attrs["border"], attrs["padding"], attrs["stride"], attrs["dilation"]
        )
        whole = _whole_axes(window, x) if x.layout.block == 1 else None
        if whole is not None:
            task = reduction_task("max" if maximum else "sum", problem, whole, attrs.get("normalize", False))
            return reduction_candidates(task, extra_operands(problem), target)
        normalize = "none"
        if attrs.get("normalize"):
            normalize = "valid" if attrs["border"] == "ignore" else "volume"
        extras = tuple(Access(f"e{k}", full_rank(s, y.rank)) for k, s in enumerate(problem.epilogue.operands))
        accesses = Access("x", x), Access("y", y), extras
        kernels: list[Kernel | None]
        if x.layout.block > 1 and window.size[1] > 1:
            kernels = [pool_channels(
                *accesses, problem.epilogue, window.size[1], window.before[1], attrs["border"], maximum, normalize,
                target,
            )]  # fmt: skip
        else:
            arguments = (
                *accesses, problem.epilogue, geometry_of(window, attrs["border"]), maximum, normalize, target
            )  # fmt: skip
            kernels = [pool_rows(*arguments), pool_kernel(*arguments)]
        operands = (Input(0), *extra_operands(problem), Output())
        return [Candidate(kernel.stem, (Launch(kernel, operands),)) for kernel in kernels if kernel is not None]

    return lower


def full_rank(spec: TensorSpec, rank: int) -> TensorSpec:
    """Trailing axes of extent 1 added up to `rank`."""
    return replace(spec, shape=spec.shape + (1,) * (rank - spec.rank))


def _whole_axes(window: Window, x: TensorSpec) -> list[int] | None:
    """The axes that one window covers whole, where it is a single element on the others; None for other windows."""
    whole = [a for a in range(x.rank) if window.size[a] > 1]
    covering = all(
        window.size[a] == x.shape[a] and window.output[a] == 1 and window.before[a] == 0 and window.dilation[a] == 1
        for a in whole
    )
    single = all(window.output[a] == x.shape[a] and window.before[a] == 0 for a in range(x.rank) if a not in whole)
    return whole if whole and covering and single else None


def pool_blocked(problem: Problem, lanes: int) -> bool:
    """Channel blocks work where the window leaves batch and channels alone, or moves over nothing but channels."""
    x, attrs = problem.inputs[0], problem.attrs
    if x.rank < 3:
        return False
    window = down_window(x.shape, attrs["size"], attrs["border"], attrs["padding"], attrs["stride"], attrs["dilation"])
    alone = [
        window.size[a] == 1 and window.stride[a] == 1 and window.before[a] == 0 and window.output[a] == x.shape[a]
        for a in range(x.rank)
    ]
    return all(alone[:2]) or (alone[0] and all(alone[2:]) and _slides_over_channels(window, attrs["border"], lanes))


def _slides_over_channels(window: Window, border: str, lanes: int) -> bool:
    """Whether every channel gets a window of its own, of neighbours; what is outside is one value."""
    same = window.output[1] == window.input[1] and window.stride[1] == 1 and window.dilation[1] == 1
    return same and tested(border) and channels_fit(window.input[1], window.size[1], window.before[1], lanes)


def upsample_blocked(problem: Problem, lanes: int) -> bool:
    """Only spatial axes grow."""
    return problem.inputs[0].rank > 2


def concat_blocked(problem: Problem, lanes: int) -> bool:
    """Parts must begin on whole blocks where they are joined along the channels."""
    if problem.inputs[0].rank < 3 or problem.attrs["axis"] == 0:
        return False
    return problem.attrs["axis"] != 1 or all(x.shape[1] % lanes == 0 for x in problem.inputs)


def conv_geometry(problem: Problem) -> Geometry:
    """Windows along three axes or more. Raises RuleError."""
    x, filter, _ = problem.inputs
    attrs = problem.attrs
    border = "constant" if attrs["border"] == "ignore" else attrs["border"]
    window = down_window(
        x.shape[2:], filter.shape[2:], border, attrs["padding"], attrs["stride"], attrs["dilation"]
    )
    return with_three_axes(geometry_of(window, border))


def conv(problem: Problem, target: Target) -> list[Candidate]:
    x, y = problem.inputs[0], problem.outputs[0]
    groups, geometry = _groups(problem), conv_geometry(problem)
    candidates = _fast_convolutions(problem, geometry, groups, target) if x.rank <= MOST_AXES else []
    if x.layout.block == 1 and y.layout.block == 1:
        candidates.append(_general(problem, geometry, groups, False, target))
    return candidates


def _fast_convolutions(problem: Problem, geometry: Geometry, groups: int, target: Target) -> list[Candidate]:
    """Tiles first where the device is one for them, except where every channel is a group of its own. Algorithms that
    are not exact only beside one that is."""
    accesses, found = _accesses(problem, _flat(problem, geometry)), list[Candidate]()
    if problem.constants[1] is not None and problem.constants[2] is not None:
        direct = conv_candidate(problem, accesses, geometry, groups, target)
        if direct is not None:
            faster = winograd_candidates(problem, accesses, geometry, groups, target)
            found = cheapest_first([direct, *faster], target)
        for special in (few_candidate, window_rows_candidate, rows_candidate):
            one = special(problem, accesses, geometry, groups, target)
            found = found if one is None else [one, *found]
    tiled = conv_tiles(problem, accesses, geometry, groups, target)
    return [*found, *tiled] if groups == problem.inputs[0].shape[1] else [*tiled, *found]


def conv_blocked(problem: Problem, lanes: int) -> bool:
    """Constant weights; where every channel is a group of its own it must have one result."""
    x, y = problem.inputs[0], problem.outputs[0]
    if problem.constants[1] is None or problem.constants[2] is None or x.rank > MOST_AXES:
        return False
    return x.shape[1] > _groups(problem) or _groups(problem) in (1, y.shape[1])


def conv_gathers(problem: Problem) -> bool:
    """Whether windows reach beyond the input, so that their pixels are put together before they are multiplied."""
    x, y = problem.inputs[0].shape[2:], problem.outputs[0].shape[2:]
    geometry = conv_geometry(problem)
    first = len(geometry.size) - len(x)
    return not all(geometry.inside(axis, *extents) for axis, extents in enumerate(zip(x, y, strict=True), first))


def conv_by_rows(problem: Problem, target: Target) -> Candidate | None:
    """What computes plain tensors by rows, as fast as others do blocks; None where there is no such kernel."""
    found = _best(conv_in_layouts(problem, PLAIN, PLAIN), target)
    return found if found is not None and found.algorithm in ("conv_rows", "conv_window_rows") else None


def conv_in_blocks(problem: Problem, block: Layout, target: Target) -> Candidate | None:
    """What computes in blocks; None where no kernel does. Inputs and results that fill no block are plain."""
    read, written = (block if fills(s, block) else PLAIN for s in (problem.inputs[0], problem.outputs[0]))
    return _best(conv_in_layouts(problem, read, written), target)


def fills(spec: TensorSpec, block: Layout) -> bool:
    """Whether channels are many enough for blocks."""
    return spec.rank >= 2 and 2 * spec.shape[1] >= block.block


def conv_in_layouts(problem: Problem, read: Layout, written: Layout) -> Problem:
    """The same convolution with its first input, and its results and what is added to them, in these layouts."""
    x, *weights = problem.inputs
    operands = tuple(s.with_layout(written) if s.rank >= 2 and s.shape[1] > 1 else s for s in problem.epilogue.operands)
    return replace(
        problem, inputs=(x.with_layout(read), *weights), outputs=tuple(y.with_layout(written) for y in problem.outputs),
        epilogue=replace(problem.epilogue, operands=operands),
    )  # fmt: skip


def _best(problem: Problem, target: Target) -> Candidate | None:
    try:
        return next(iter(conv(problem, target)), None)
    except RuleError:  # the plan says it with the place
        return None


def deconv_blocked(problem: Problem, lanes: int) -> bool:
    """As for conv, where the phases are few enough to be kernels of their own."""
    return math.prod(problem.attrs["stride"]) <= MAX_PHASES and conv_blocked(problem, lanes)


def _groups(problem: Problem) -> int:
    return groups_of(problem.attrs, problem.inputs[0].shape)


def groups_of(attrs: Mapping[str, Any], x: Shape) -> int:
    """groups = 0 means one group per channel; of a deconvolution, per output channel where that is given."""
    groups: int = attrs["groups"]
    shape = attrs.get("output_shape")
    return groups or (shape[1] if shape else x[1])


def deconv_window(attrs: Mapping[str, Any], x: Shape, filter: Shape) -> Window:
    """Of the input's and the filter's shape."""
    return up_window(
        x[2:], filter[2:], attrs["padding"], attrs["stride"], attrs["dilation"], attrs["output_shape"][2:]
    )


def _flat(problem: Problem, geometry: Geometry) -> bool:
    """Whether all spatial axes can be walked as one: nothing but single pixels."""
    y = problem.outputs[0]
    pixels = geometry.taps == 1 and set(geometry.stride) == {1} and not any(geometry.before)
    same = y.shape[2:] == problem.inputs[0].shape[2:]
    spatial = {s.shape[2:] for s in (full_rank(e, y.rank) for e in problem.epilogue.operands)}
    return pixels and same and spatial <= {y.shape[2:], (1,) * (y.rank - 2)}


def _accesses(problem: Problem, flat: bool) -> tuple[Access, Access, tuple[Access, ...]]:
    rank = problem.outputs[0].rank

    def axes(spec: TensorSpec) -> TensorSpec:
        five = five_axes(spec, rank)
        return replace(five, shape=(*five.shape[:2], 1, 1, math.prod(five.shape[2:]))) if flat else five

    extras = tuple(Access(f"e{k}", axes(s)) for k, s in enumerate(problem.epilogue.operands))
    return Access("x", axes(problem.inputs[0])), Access("y", axes(problem.outputs[0])), extras


def _general(problem: Problem, geometry: Geometry, groups: int, transposed: bool, target: Target) -> Candidate:
    x, y, extras = _accesses(problem, False)
    rank = problem.outputs[0].rank
    filter = Access("filter", five_axes(problem.inputs[1], rank))
    kernel = conv_general(
        x, filter, Access("bias", _bias_axes(problem.inputs[2])), y, extras, problem.epilogue, geometry, groups,
        transposed, target,
    )  # fmt: skip
    operands = (Input(0), Input(1), Input(2), *extra_operands(problem), Output())
    return Candidate(kernel.stem, (Launch(kernel, operands),))


def _bias_axes(bias: TensorSpec) -> TensorSpec:
    """(1, K), (K,) or one value as (1, K, 1, 1, 1)."""
    return replace(bias, shape=(1, bias.volume, 1, 1, 1))


def deconv(problem: Problem, target: Target) -> list[Candidate]:
    """One convolution per stride phase, each writing every stride-th output; the gather form otherwise."""
    x, filter, _ = problem.inputs
    y, attrs = problem.outputs[0], problem.attrs
    border = "constant" if attrs["border"] == "ignore" else attrs["border"]
    groups = groups_of(attrs, x.shape)
    geometry = with_three_axes(geometry_of(deconv_window(attrs, x.shape, filter.shape), border))
    phased = _phases(problem, geometry, groups, target)
    plain = x.layout.block == 1 and y.layout.block == 1
    general = [_general(problem, geometry, groups, True, target)] if plain else []
    return [*phased, *general]


def _phases(problem: Problem, geometry: Geometry, groups: int, target: Target) -> list[Candidate]:
    variable = problem.constants[1] is None or problem.constants[2] is None
    if variable or math.prod(geometry.stride) > MAX_PHASES or problem.inputs[0].rank > MOST_AXES:
        return []
    accesses = _accesses(problem, False)
    tiled, few, direct = (
        Candidate(name, tuple(phase_launches(problem, accesses, geometry, groups, target, convolve)))
        for name, convolve in (
            ("deconv_tiled_phases", conv_tiles_launch), ("deconv_few_phases", few_launch),
            ("deconv_phases", conv_launch),
        )
    )  # fmt: skip
    others = [] if groups > 1 else subpixel_candidates(problem, accesses, geometry, target)
    found = [tiled, few, *cheapest_first([direct, *others], target)]
    return [candidate for candidate in found if candidate.launches]


def multilinear_upsample(problem: Problem, target: Target) -> list[Candidate]:
    x, y, attrs = problem.inputs[0], problem.outputs[0], problem.attrs
    extras = tuple(Access(f"e{k}", full_rank(s, y.rank)) for k, s in enumerate(problem.epilogue.operands))
    arguments = (
        Access("x", x), Access("y", y), extras, problem.epilogue, tuple(attrs["factor"]), attrs["method"],
        attrs["border"], target,
    )  # fmt: skip
    kernels = filter(None, (multilinear_rows(*arguments), multilinear_kernel(*arguments)))
    operands = (Input(0), *extra_operands(problem), Output())
    return [Candidate(kernel.stem, (Launch(kernel, operands),)) for kernel in kernels]


# Reductions ------------------------------------------------------------------------------------------------
def reduction(kind: str) -> Callable[[Problem, Target], list[Candidate]]:
    """sum, max, min, argmax, argmin, any, all; sum divides by the count where `normalize` is set."""

    def lower(problem: Problem, target: Target) -> list[Candidate]:
        mean = problem.attrs.get("normalize") or kind == "mean"
        task = reduction_task("sum" if kind == "mean" else kind, problem, problem.attrs["axes"], bool(mean))
        return reduction_candidates(task, extra_operands(problem), target)

    return lower


def reduction_task(kind: str, problem: Problem, axes: Sequence[int], mean: bool) -> Reduction:
    """The problem's first input reduced over `axes` into its output. mean: a sum divided by the count."""
    x, y, axes = problem.inputs[0], problem.outputs[0], sorted(axes)
    stored = x.layout.physical(x.shape)
    strides, results = row_major_strides(stored), row_major_strides(y.layout.physical(y.shape))
    kept = [a for a in range(len(stored)) if a not in axes]
    extras = tuple(tuple(s[a] for a in kept) for s in (broadcast_strides(e, y) for e in problem.epilogue.operands))
    return Reduction(
        kind, x.dtype, y.dtype, tuple(stored[a] for a in kept), tuple(strides[a] for a in kept),
        tuple(results[a] for a in kept), tuple(stored[a] for a in axes) or (1,),
        tuple(strides[a] for a in axes) or (0,), extras, problem.epilogue,
        math.prod(x.shape[a] for a in axes) if mean else 1,
    )  # fmt: skip


def reduction_candidates(task: Reduction, extras: tuple[Operand, ...], target: Target) -> list[Candidate]:
    """By work-groups where the device has local memory and that pays; one result, or one part, per work-item."""
    match reduce_parts(task, target):
        case [whole]:
            candidates = [Candidate("reduce", (Launch(whole, (Input(0), *extras, Output())),))]
        case [parts, whole]:
            chained = Launch(parts, (Input(0), Scratch(0))), Launch(whole, (Scratch(0), *extras, Output()))
            candidates = [Candidate("reduce", chained, (TensorSpec(parts.task.kept, parts.task.result),))]
    match reduce_group(task, target):
        case [one]:
            candidates.insert(0, Candidate("reduce_group", (Launch(one, (Input(0), *extras, Output())),)))
        case [first, last]:
            shape, types = partials(first)
            handed = tuple(Scratch(k) for k in range(len(types)))
            launches = Launch(first, (Input(0), *handed)), Launch(last, (*handed, *extras, Output()))
            scratch = tuple(TensorSpec(shape, dtype) for dtype in types)
            candidates.insert(0, Candidate("reduce_two_stages", launches, scratch))
    return candidates


def reduction_blocked(problem: Problem, lanes: int) -> bool:
    """Channel blocks work where only spatial axes are reduced; zeros of padding lanes give zero unless an epilogue
    follows."""
    x = problem.inputs[0]
    whole = x.shape[1] % lanes == 0 or not problem.epilogue
    return x.rank > 2 and x.dtype == F32 and whole and min(problem.attrs["axes"], default=0) > 1


def softmax(problem: Problem, target: Target) -> list[Candidate]:
    x, axes = problem.inputs[0], sorted(problem.attrs["axes"])
    strides = row_major_strides(x.shape)
    kept = [a for a in range(x.rank) if a not in axes]
    rows = (
        tuple(x.shape[a] for a in kept), tuple(strides[a] for a in kept),
        tuple(x.shape[a] for a in axes), tuple(strides[a] for a in axes),
    )  # fmt: skip
    grouped = softmax_group(*rows, target)
    kernels = [grouped, softmax_kernel(*rows, target)] if grouped else [softmax_kernel(*rows, target)]
    along = softmax_rows(x, axes, target)
    others = [Candidate(kernel.stem, (Launch(kernel, (Input(0), Output())),)) for kernel in kernels]
    return others if along is None else [along, *others]
