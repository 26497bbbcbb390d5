"""One converter per operation: what it is in ONNX, operators that engines recognise where there is a choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops.shapes import slice_bounds
from nnef_cl.ops.windows import Window, down_window, up_window
from nnef_cl.peers.onnx_export import ELEMENTS, Site, without_leading_ones

Converter = Callable[[Site], None]
PADS = {"constant": "constant", "replicate": "edge", "reflect": "reflect"}
WHOLE = (1 << 63) - 1
"""The end of an axis, whatever its extent."""
NARROWEST, WIDEST = 3, 5
"""Ranks of what ONNX pools and resizes, batch and channels included."""


# Element by element ----------------------------------------------------------------------------------------
def same(op: str, *names: str) -> Converter:
    """The ONNX operator of the same meaning. names: attributes that are called the same, or nnef=onnx."""
    pairs = [(name.split("=")[0], name.split("=")[-1]) for name in names]

    def convert(site: Site) -> None:
        site.put(op, *site.aligned(), **{onnx: float(site.attrs[nnef]) for nnef, onnx in pairs})

    return convert


def inverse_square(site: Site) -> None:
    site.put("Reciprocal", site.step("Mul", site.input, site.input))


def unequal(site: Site) -> None:
    site.put("Not", site.step("Equal", *site.aligned()))


def rounded(site: Site) -> None:
    """Halves go up; ONNX's Round takes them to even."""
    floor = site.step("Floor", site.input)
    up = site.step("GreaterOrEqual", site.step("Sub", site.input, floor), site.floats(0.5))
    site.put("Add", floor, site.step("Cast", up, to=ELEMENTS["scalar"]))


def square(site: Site) -> None:
    """Engines know the variance of a normalisation by its Pow."""
    site.put("Pow", site.input, site.floats(2.0))


def log2(site: Site) -> None:
    site.put("Mul", site.step("Log", site.input), site.floats(1 / math.log(2)))


def product(site: Site) -> None:
    """x * rsqrt(y), where nobody else reads the root, is a division: engines know normalisations by it."""
    x, y = site.aligned()
    for name, operand, other in zip(site.node.inputs, (x, y), (y, x), strict=True):
        root = site.exporter.roots.get(operand)
        if root is not None and site.exporter.readers[name] == 1 and x != y:
            site.put("Div", other, root)
            return
    site.put("Mul", x, y)


def inverse_root(site: Site) -> None:
    root = site.exporter.roots[site.node.name] = site.step("Sqrt", site.input)
    site.put("Reciprocal", root)


def clamp(site: Site) -> None:
    low, high = site.array(1), site.array(2)
    if low is not None and high is not None and low.size == high.size == 1 and low.item() <= high.item():
        site.put("Clip", site.input, site.reshaped(1, ()), site.reshaped(2, ()))
        return
    operand, least, most = site.aligned()
    site.put("Max", site.step("Min", operand, most), least)


def prelu(site: Site) -> None:
    x, alpha = site.aligned()
    if site.shapes[0] == site.result:
        site.put("PRelu", x, alpha)
        return
    negative = site.step("Less", x, site.floats(0.0))
    site.put("Where", negative, site.step("Mul", alpha, x), x)


def select(site: Site) -> None:
    """Engines choose between numbers only."""
    condition, x, y = site.aligned()
    if site.kind != "logical":
        site.put("Where", condition, x, y)
        return
    chosen = site.step("And", condition, x)
    site.put("Or", chosen, site.step("And", site.step("Not", condition), y))


def gated(factor: float) -> Converter:
    """x * sigmoid(factor x)."""

    def convert(site: Site) -> None:
        inner = site.input if factor == 1 else site.step("Mul", site.input, site.floats(factor))
        site.put("Mul", site.input, site.step("Sigmoid", inner))

    return convert


def cast(site: Site) -> None:
    site.put("Cast", site.input, to=ELEMENTS[site.kind])


def copies(site: Site) -> None:
    for name in site.node.outputs:
        site.exporter.add("Identity", [site.input], [name], {})


# Windows ---------------------------------------------------------------------------------------------------
def padded(site: Site, name: str, before: Sequence[int], after: Sequence[int], border: str, value: float = 0.0) -> str:
    """The tensor with these elements around it; negative ones are cut off, not by Pad, which breaks some engines."""
    more = [max(count, 0) for count in (*before, *after)]
    if any(more):
        if border not in PADS:
            raise site.refused(f"has no counterpart in ONNX with border '{border}'")
        name = site.step("Pad", name, site.ints(more), site.floats(value), mode=PADS[border])
    if min((*before, *after), default=0) < 0:
        begins, ends = [max(-p, 0) for p in before], [min(q, 0) or WHOLE for q in after]
        name = site.step("Slice", name, *map(site.ints, (begins, ends, range(len(begins)))))
    return name


def reach_after(window: Window) -> Shape:
    """Elements behind each axis that windows touch: borders other than zeros are padded no further."""
    touched = [
        (o - 1) * s + (f - 1) * d + 1 - p - x
        for o, s, f, d, p, x in zip(
            window.output, window.stride, window.size, window.dilation, window.before, window.input, strict=True
        )
    ]
    return tuple(q if q < 0 else min(q, max(t, 0)) for q, t in zip(window.after, touched, strict=True))


def bias_of(site: Site, index: int, channels: int) -> list[str]:
    """The bias as ONNX wants it, a vector; nothing where it is zero."""
    array, shape = site.array(index), site.shapes[index]
    if array is not None:
        flat = np.broadcast_to(array.reshape(-1), (channels,)).astype(np.float32)
        return [site.floats(flat)] if flat.any() else []
    if math.prod(shape) == channels:
        return [site.reshaped(index, (channels,))]
    return [site.step("Expand", site.reshaped(index, (1,)), site.ints([channels]))]


def conv(site: Site) -> None:
    shape, filter_shape, _ = site.shapes
    attrs = site.attrs
    if len(shape) < NARROWEST:
        raise site.refused("has no counterpart in ONNX without spatial axes")
    border = attrs["border"]
    window = down_window(
        shape[2:], filter_shape[2:], border, attrs["padding"], attrs["stride"], attrs["dilation"], 2
    )  # fmt: skip
    x, before, after = site.input, list(window.before), list(window.after)
    if border != "constant" or min(before + after) < 0:
        x = padded(site, x, [0, 0, *before], [0, 0, *reach_after(window)], border)
        before = after = [0] * len(before)
    site.put(
        "Conv", x, site.inputs[1], *bias_of(site, 2, filter_shape[0]), kernel_shape=window.size, strides=window.stride,
        dilations=window.dilation, pads=[*before, *after], group=attrs["groups"] or shape[1],
    )  # fmt: skip


def deconv(site: Site) -> None:
    shape, filter_shape, _ = site.shapes
    attrs = site.attrs
    if len(shape) < NARROWEST or attrs["border"] != "constant":
        raise site.refused("has no counterpart in ONNX with this border, or without spatial axes")
    window = up_window(
        shape[2:], filter_shape[2:], attrs["padding"], attrs["stride"], attrs["dilation"],
        attrs["output_shape"][2:], 2,
    )  # fmt: skip
    if min(window.before) < 0:
        raise site.refused("has no counterpart in ONNX with negative padding")
    after = [
        (n - 1) * s + (f - 1) * d + 1 - p - large
        for n, s, f, d, p, large in zip(
            window.output, window.stride, window.size, window.dilation, window.before, window.input, strict=True
        )
    ]
    more = [max(-q, 0) for q in after]
    if any(m >= max(s, d) for m, s, d in zip(more, window.stride, window.dilation, strict=True)):
        raise site.refused("has no counterpart in ONNX with a result that large")
    channels = site.result[1]
    site.put(
        "ConvTranspose", site.input, site.inputs[1], *bias_of(site, 2, channels), strides=window.stride,
        dilations=window.dilation, pads=[*window.before, *(max(q, 0) for q in after)], output_padding=more,
        group=channels // filter_shape[1], kernel_shape=window.size,
    )  # fmt: skip


def pool(site: Site) -> None:
    """Over the spatial axes; windows over others are brought there."""
    [shape], attrs = site.shapes, site.attrs
    border, average = attrs["border"], site.node.op == "box"
    window = down_window(shape, attrs["size"], border, attrs["padding"], attrs["stride"], attrs["dilation"])
    parts = zip(window.size, window.stride, window.before, window.after, strict=True)
    sliding = [axis for axis, part in enumerate(parts) if part != (1, 1, 0, 0)]
    if not shape or len(sliding) > WIDEST - 2:
        raise site.refused(f"has no counterpart in ONNX over {len(sliding)} axes")
    name, before, after = site.input, window.before, window.after
    known = border == "ignore" or (average and border == "constant")
    if not known or any(not 0 <= p < f for p, f in zip((*before, *after), window.size * 2, strict=True)):
        if average and border == "ignore":
            raise site.refused("has no counterpart in ONNX with border 'ignore' and padding as wide as the window")
        after = reach_after(window)
        fill = -math.inf if border == "ignore" else 0.0
        name = padded(site, name, before, after, "constant" if border == "ignore" else border, fill)
        shape = tuple(p + n + q for p, n, q in zip(before, shape, after, strict=True))
        before = after = (0,) * len(shape)
    _pool_over(site, name, shape, window, sliding, (before, after))


def _pool_over(
    site: Site, name: str, shape: Shape, window: Window, sliding: list[int], pads: tuple[Shape, Shape]
) -> None:
    """The pooling of a tensor of this shape; the axes where windows slide come last for it."""
    attrs, rank = site.attrs, len(shape)
    spatial = rank in range(NARROWEST, WIDEST + 1) and all(axis >= 2 for axis in sliding)
    axes = list(range(2, rank)) if spatial else sliding or [0]
    rest = [axis for axis in range(rank) if axis not in axes]
    if not spatial:
        turned = site.step("Transpose", name, perm=rest + axes)
        extents = [1, math.prod(shape[a] for a in rest), *(shape[a] for a in axes)]
        name = site.step("Reshape", turned, site.ints(extents))
    given: dict[str, Any] = {
        "kernel_shape": [window.size[a] for a in axes], "strides": [window.stride[a] for a in axes],
        "dilations": [window.dilation[a] for a in axes], "pads": [side[a] for side in pads for a in axes],
    }  # fmt: skip
    average = site.node.op == "box"
    if average:
        summed = not attrs["normalize"]
        given["count_include_pad"] = int(summed or attrs["border"] != "ignore")
    name = site.step("AveragePool" if average else "MaxPool", name, **given)
    if not spatial:
        name = site.step("Reshape", name, site.ints([site.result[a] for a in rest + axes]))
        name = site.step("Transpose", name, perm=[(rest + axes).index(a) for a in range(rank)])
    if average and not attrs["normalize"]:
        name = site.step("Mul", name, site.floats(math.prod(window.size)))
    site.put("Identity", name)


def nearest_upsample(site: Site) -> None:
    [shape] = site.shapes
    if len(shape) < NARROWEST:
        site.put("Identity", site.input)
        return
    site.put(
        "Resize", site.input, "", site.floats([1, 1, *site.attrs["factor"]]), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


def nearest_downsample(site: Site) -> None:
    [shape] = site.shapes
    axes = range(2, len(shape))
    parts = ([0] * len(axes), shape[2:], axes, site.attrs["factor"])
    site.put("Slice", site.input, *map(site.ints, parts))


def multilinear_upsample(site: Site) -> None:
    [shape], attrs = site.shapes, site.attrs
    if attrs["border"] != "replicate" and attrs["method"] != "aligned":
        raise site.refused(f"has no counterpart in ONNX with border '{attrs['border']}'")
    if len(shape) not in (NARROWEST, NARROWEST + 1):
        raise site.refused("has no counterpart in ONNX except over one or two spatial axes")
    modes = {"symmetric": "half_pixel", "asymmetric": "asymmetric", "aligned": "align_corners"}
    given = {"mode": "linear", "coordinate_transformation_mode": modes[attrs["method"]]}
    if len(shape) == NARROWEST:
        line = site.reshaped(0, (*shape[:2], 1, shape[2]))
        larger = site.step("Resize", line, "", site.floats([1, 1, 1, *attrs["factor"]]), **given)
        site.put("Reshape", larger, site.ints(site.result))
        return
    site.put("Resize", site.input, "", site.floats([1, 1, *attrs["factor"]]), **given)


# Sums over axes --------------------------------------------------------------------------------------------
def reduction(op: str) -> Converter:
    def convert(site: Site) -> None:
        name = "ReduceMean" if site.attrs.get("normalize") else op
        site.put(name, site.input, site.ints(site.attrs["axes"]), keepdims=1, noop_with_empty_axes=1)

    return convert


def place(op: str) -> Converter:
    def convert(site: Site) -> None:
        axes = site.attrs["axes"]
        if len(axes) != 1:
            raise site.refused(f"has no counterpart in ONNX over {len(axes)} axes")
        site.put(op, site.input, axis=axes[0], keepdims=1)

    return convert


def logical_reduction(op: str) -> Converter:
    def convert(site: Site) -> None:
        numbers = site.step("Cast", site.input, to=ELEMENTS["scalar"])
        found = site.step(op, numbers, site.ints(site.attrs["axes"]), keepdims=1, noop_with_empty_axes=1)
        site.put("Cast", found, to=ELEMENTS["logical"])

    return convert


def softmax(site: Site) -> None:
    axes = site.attrs["axes"]
    if len(axes) == 1:
        site.put("Softmax", site.input, axis=axes[0])
        return
    over, kept = site.ints(axes), {"keepdims": 1, "noop_with_empty_axes": 1}
    above = site.step("Exp", site.step("Sub", site.input, site.step("ReduceMax", site.input, over, **kept)))
    site.put("Div", above, site.step("ReduceSum", above, over, **kept))


# Matrices and normalisation --------------------------------------------------------------------------------
def transposed_matrix(site: Site, name: str, rank: int) -> str:
    return site.step("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


def matrix(site: Site, index: int, transposed: bool) -> str:
    """An operand of a product; constant ones lose leading axes of extent 1, because engines want a matrix."""
    shape = site.shapes[index]
    if index == 1 and site.array(1) is not None:
        shape = (*without_leading_ones(shape[:-2]), *shape[-2:])
    name = site.reshaped(index, shape)
    return transposed_matrix(site, name, len(shape)) if transposed else name


def matmul(site: Site) -> None:
    site.put("MatMul", *(matrix(site, k, site.attrs[flag]) for k, flag in enumerate(("transposeA", "transposeB"))))


def linear(site: Site) -> None:
    shape, _, bias_shape = site.shapes
    bias = site.array(2)
    absent = bias is not None and not bias.any() and math.prod(bias_shape) == 1
    if len(shape) == 2 and (absent or (bias is not None and bias_shape == (1, site.result[1]))):
        operands = [] if absent else [site.reshaped(2, bias_shape[1:])]
        site.put("Gemm", site.input, site.inputs[1], *operands, transB=1)
        return
    product = site.step("MatMul", site.input, matrix(site, 1, True))
    site.put("Add", product, site.aligned()[2])


def batch_normalization(site: Site) -> None:
    """Inputs: input, mean, variance, offset, scale."""
    shape = site.shapes[0]
    channels = shape[1] if len(shape) > 1 else 0
    statistics = [site.array(k) for k in range(1, 5)]
    per_channel = all(s in ((), (1,) * len(s), (1, channels, *(1,) * (len(s) - 2))) for s in site.shapes[1:])
    if shape == site.result and per_channel and all(a is not None for a in statistics) and len(shape) >= NARROWEST:
        mean, variance, offset, scale = (
            site.floats(np.broadcast_to(a.reshape(-1), (channels,))) for a in statistics if a is not None
        )
        site.put(
            "BatchNormalization", site.input, scale, offset, mean, variance, epsilon=float(site.attrs["epsilon"])
        )  # fmt: skip
        return
    x, mean, variance, offset, scale = site.aligned()
    deviation = site.step("Sqrt", site.step("Add", variance, site.floats(site.attrs["epsilon"])))
    normal = site.step("Div", site.step("Sub", x, mean), deviation)
    site.put("Add", site.step("Mul", normal, scale), offset)


def local_response_normalization(site: Site) -> None:
    [shape], attrs = site.shapes, site.attrs
    size = [attrs["size"][axis] if axis == 1 else 1 for axis in range(len(shape))]
    if len(shape) < NARROWEST or list(attrs["size"]) != size or size[1] % 2 == 0:
        raise site.refused(f"has no counterpart in ONNX with size {list(attrs['size'])}")
    given = {name: float(attrs[name]) for name in ("alpha", "beta", "bias")}
    site.put("LRN", site.input, size=size[1], **given)


# Elements moved --------------------------------------------------------------------------------------------
def reshape(site: Site) -> None:
    site.put("Reshape", site.input, site.ints(site.result))


def transpose(site: Site) -> None:
    axes, rank = site.attrs["axes"], len(site.result)
    site.put("Transpose", site.input, perm=[*axes, *range(len(axes), rank)])


def split(site: Site) -> None:
    axis = site.attrs["axis"]
    extents = [site.exporter.graph.tensors[name].shape[axis] for name in site.node.outputs]
    site.put("Split", site.input, site.ints(extents), axis=axis)


def unstack(site: Site) -> None:
    axis, count = site.attrs["axis"], len(site.node.outputs)
    parts = site.steps(count, "Split", site.input, site.ints([1] * count), axis=axis)
    for part, name in zip(parts, site.node.outputs, strict=True):
        site.exporter.add("Reshape", [part, site.ints(site.result)], [name], {})


def concat(site: Site) -> None:
    site.put("Concat", *site.inputs, axis=site.attrs["axis"])


def stack(site: Site) -> None:
    axis = site.attrs["axis"]
    shape = (*site.result[:axis], 1, *site.result[axis + 1 :])
    parts = [site.reshaped(k, shape) for k in range(len(site.inputs))]
    site.put("Concat", *parts, axis=axis)


def sliced(site: Site) -> None:
    [shape], attrs = site.shapes, site.attrs
    bounds = slice_bounds(shape, attrs["axes"], attrs["begin"], attrs["end"], attrs["stride"])
    ends = [
        end if end >= 0 else -shape[axis] - 1
        for axis, end in ((axis, first + count * step) for axis, (first, count, step) in bounds.items())
    ]
    if not bounds:
        site.put("Identity", site.input)
        return
    begins, _, steps = zip(*bounds.values(), strict=True)
    site.put("Slice", site.input, *map(site.ints, (begins, ends, list(bounds), steps)))


def pad(site: Site) -> None:
    before, after = zip(*site.attrs["padding"], strict=True) if site.attrs["padding"] else ((), ())
    name = padded(site, site.input, before, after, site.attrs["border"], site.attrs["value"])
    site.put("Identity", name)


def tile(site: Site) -> None:
    site.put("Tile", site.input, site.ints(site.attrs["repeats"]))


def gather(site: Site) -> None:
    site.put("Gather", *site.inputs, axis=site.attrs["axis"])


CONVERTERS: Mapping[str, Converter] = {
    "copy": same("Identity"), "copy_n": copies, "cast": cast, "round": rounded, "sqr": square, "log2": log2,
    "rsqr": inverse_square, "rsqrt": inverse_root, "mul": product, "ne": unequal,
    "clamp": clamp, "prelu": prelu, "elu": same("Elu", "alpha"), "selu": same("Selu", "alpha", "lambda=gamma"),
    "leaky_relu": same("LeakyRelu", "alpha"), "gelu": gated(1.702), "silu": gated(1.0), "select": select,
    "conv": conv, "deconv": deconv, "box": pool, "max_pool": pool, "nearest_upsample": nearest_upsample,
    "nearest_downsample": nearest_downsample, "multilinear_upsample": multilinear_upsample,
    "sum_reduce": reduction("ReduceSum"), "mean_reduce": reduction("ReduceMean"),
    "max_reduce": reduction("ReduceMax"), "min_reduce": reduction("ReduceMin"), "argmax_reduce": place("ArgMax"),
    "argmin_reduce": place("ArgMin"), "any_reduce": logical_reduction("ReduceMax"),
    "all_reduce": logical_reduction("ReduceMin"), "softmax": softmax, "matmul": matmul, "linear": linear,
    "batch_normalization": batch_normalization, "local_response_normalization": local_response_normalization,
    "reshape": reshape, "squeeze": reshape, "unsqueeze": reshape, "transpose": transpose, "split": split,
    "unstack": unstack, "concat": concat, "stack": stack, "slice": sliced, "pad": pad, "tile": tile, "gather": gather,
} | {
    name: same(op)
    for name, op in {
        "add": "Add", "sub": "Sub", "div": "Div", "pow": "Pow", "min": "Min", "max": "Max", "lt": "Less",
        "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual", "eq": "Equal", "and": "And", "or": "Or",
        "not": "Not", "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "exp": "Exp",
        "log": "Log", "sqrt": "Sqrt", "rcp": "Reciprocal", "sin": "Sin", "cos": "Cos", "tan": "Tan", "sinh": "Sinh",
        "cosh": "Cosh", "tanh": "Tanh", "asin": "Asin", "acos": "Acos", "atan": "Atan", "asinh": "Asinh",
        "acosh": "Acosh", "atanh": "Atanh", "sigmoid": "Sigmoid", "relu": "Relu", "softplus": "Softplus",
    }.items()
}  # fmt: skip
"""Operation -> what writes it. The others have no counterpart."""
