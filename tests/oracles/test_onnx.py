"""References against ONNX Runtime, where ONNX has the operation: every case becomes a model of one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from nnef_cl.conformance.case import Case, all_cases
from nnef_cl.conformance.comparison import difference, tolerance
from nnef_cl.ops.windows import Window, down_window

SLACK = 5
"""ONNX Runtime adds in float32, in an order of its own."""
OPSET, IR = 19, 9
TYPES = {"f": onnx.TensorProto.FLOAT, "i": onnx.TensorProto.INT64, "b": onnx.TensorProto.BOOL}
REFUSALS = (errors.NotImplemented, errors.Fail, errors.InvalidArgument)


@dataclass(frozen=True)
class Node:
    """One ONNX operator on arrays."""

    op: str
    arrays: Sequence[np.ndarray]
    attrs: dict[str, Any] = field(default_factory=dict)


def compute(node: Node) -> np.ndarray | None:
    """The first result; None where ONNX Runtime has no kernel for it."""
    names = [f"x{k}" for k in range(len(node.arrays))]
    inputs = [
        helper.make_tensor_value_info(name, TYPES[array.dtype.kind], array.shape)
        for name, array in zip(names, node.arrays, strict=True)
    ]
    outputs = [onnx.ValueInfoProto(name="y")]
    graph = helper.make_graph([helper.make_node(node.op, names, ["y"], **node.attrs)], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, dict(zip(names, map(np.asarray, node.arrays), strict=True)))[0])
    except REFUSALS:
        return None


def int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def special(case: Case) -> bool:
    return any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in case.arrays)


# Windows ---------------------------------------------------------------------------------------------------
def pads(window: Window, skip: int = 0) -> list[int]:
    return [*window.before[skip:], *window.after[skip:]]


def spread(bias: np.ndarray, channels: int) -> np.ndarray:
    return np.broadcast_to(bias.reshape(-1), (channels,)).astype(np.float32)


def conv(case: Case) -> Node | None:
    x, weights, bias = case.all_arrays
    attrs = case.all_attrs
    if attrs["border"] != "constant" or x.ndim < 3:
        return None
    window = down_window(x.shape[2:], weights.shape[2:], "constant", attrs["padding"], attrs["stride"], attrs["dilation"])
    if min(pads(window)) < 0:
        return None
    given = {"strides": window.stride, "dilations": window.dilation, "group": attrs["groups"] or x.shape[1]}
    return Node("Conv", [x, weights, spread(bias, len(weights))], given | {"pads": pads(window)})


def deconv(case: Case) -> Node | None:
    x, weights, bias = case.all_arrays
    attrs = case.all_attrs
    if attrs["border"] != "constant" or x.ndim < 3 or attrs["output_shape"] or not attrs["padding"]:
        return None
    if min(map(min, attrs["padding"])) < 0:
        return None
    groups, ones = attrs["groups"] or x.shape[1], [1] * (x.ndim - 2)
    given = {"strides": attrs["stride"] or ones, "dilations": attrs["dilation"] or ones, "group": groups}
    before, after = zip(*attrs["padding"], strict=True)
    return Node("ConvTranspose", [x, weights, spread(bias, weights.shape[1] * groups)], given | {"pads": [*before, *after]})


def pool(case: Case) -> Node | None:
    """Windows over the axes behind the first two; padding smaller than the window, as ONNX asks."""
    [x] = case.all_arrays
    attrs = case.all_attrs
    border, average = attrs["border"], case.op != "max_pool"
    if x.ndim < 3 or border not in (("constant", "ignore") if average else ("ignore",)) or special(case):
        return None
    if case.op == "box" and not attrs["normalize"]:
        return None
    window = down_window(x.shape, attrs["size"], border, attrs["padding"], attrs["stride"], attrs["dilation"])
    plain = all(values[:2] == (one, one) for values, one in ((window.before, 0), (window.after, 0), (window.stride, 1)))
    small = all(0 <= pad < size for pad, size in zip(pads(window), 2 * list(attrs["size"]), strict=True))
    if not plain or list(attrs["size"][:2]) != [1, 1] or not small:
        return None
    given = {"kernel_shape": attrs["size"][2:], "strides": window.stride[2:], "dilations": window.dilation[2:]}
    given |= {"pads": pads(window, 2)} | ({"count_include_pad": int(border == "constant")} if average else {})
    return Node("AveragePool" if average else "MaxPool", [x], given)


def resized(case: Case) -> Node | None:
    """ONNX Runtime interpolates along the last two of four axes."""
    [x] = case.all_arrays
    attrs = case.all_attrs
    scales = np.float32([1, 1, *attrs["factor"]])
    if case.op == "nearest_upsample":
        way = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return Node("Resize", [x, np.zeros(0, np.float32), scales], way) if x.ndim > 2 else None
    way = {"symmetric": "half_pixel", "asymmetric": "asymmetric", "aligned": "align_corners"}
    if x.ndim != 4 or (attrs["border"] != "replicate" and attrs["method"] != "aligned"):
        return None
    given = {"mode": "linear", "coordinate_transformation_mode": way[attrs["method"]]}
    return Node("Resize", [x, np.zeros(0, np.float32), scales], given)


# Other operations ------------------------------------------------------------------------------------------
def reduced(op: str) -> Callable[[Case], Node | None]:
    def node(case: Case) -> Node | None:
        name = "ReduceMean" if case.all_attrs.get("normalize") else op
        if special(case) and name in ("ReduceMax", "ReduceMin"):
            return None
        [x], axes = case.all_arrays, case.all_attrs["axes"]
        return Node(name, [x, int64(*axes)], {"keepdims": 1, "noop_with_empty_axes": 1})

    return node


def place(op: str) -> Callable[[Case], Node | None]:
    def node(case: Case) -> Node | None:
        axes = case.all_attrs["axes"]
        return Node(op, case.all_arrays, {"axis": axes[0], "keepdims": 1}) if len(axes) == 1 and not special(case) else None

    return node


def softmax(case: Case) -> Node | None:
    axes = case.all_attrs["axes"]
    return Node("Softmax", case.all_arrays, {"axis": axes[0]}) if len(axes) == 1 else None


def matmul(case: Case) -> Node:
    flags = case.all_attrs["transposeA"], case.all_attrs["transposeB"]
    return Node("MatMul", [x.swapaxes(-1, -2) if flag else x for x, flag in zip(case.all_arrays, flags, strict=True)])


def lrn(case: Case) -> Node | None:
    [x], attrs = case.all_arrays, case.all_attrs
    across = [attrs["size"][1] if axis == 1 else 1 for axis in range(x.ndim)]
    given = {name: attrs[name] for name in ("alpha", "beta", "bias")}
    return Node("LRN", [x], given | {"size": across[1]}) if x.ndim == 4 and attrs["size"] == across else None


def batch_normalization(case: Case) -> Node | None:
    x, mean, variance, offset, scale = case.all_arrays
    own = [spread(part, x.shape[1]) for part in (scale, offset, mean, variance) if part.size in (1, x.shape[1])]
    return Node("BatchNormalization", [x, *own], {"epsilon": case.all_attrs["epsilon"]}) if len(own) == 4 else None


def gather(case: Case) -> Node:
    return Node("Gather", case.all_arrays, {"axis": case.all_attrs["axis"]})


def pad(case: Case) -> Node | None:
    [x], attrs = case.all_arrays, case.all_attrs
    modes = {"constant": "constant", "replicate": "edge", "reflect": "reflect"}
    if attrs["border"] not in modes or not x.ndim:
        return None
    before, after = zip(*attrs["padding"], strict=True)
    return Node("Pad", [x, int64(*before, *after), np.asarray(attrs["value"], x.dtype)], {"mode": modes[attrs["border"]]})


def sliced(case: Case) -> Node | None:
    """An end of 0 is that of the axis."""
    [x], attrs = case.all_arrays, case.all_attrs
    stride = attrs["stride"] or [1] * len(attrs["axes"])
    if min(stride, default=1) < 0 or not stride:
        return None
    ends = [end or x.shape[axis] for axis, end in zip(attrs["axes"], attrs["end"], strict=True)]
    return Node("Slice", [x, *(int64(*part) for part in (attrs["begin"], ends, attrs["axes"], stride))])


def transposed(case: Case) -> Node | None:
    [x], axes = case.all_arrays, case.all_attrs["axes"]
    return Node("Transpose", [x], {"perm": [*axes, *range(len(axes), x.ndim)]}) if x.ndim else None


def tiled(case: Case) -> Node:
    return Node("Tile", [*case.all_arrays, int64(*case.all_attrs["repeats"])])


def joined(case: Case) -> Node:
    return Node("Concat", case.all_arrays, {"axis": case.all_attrs["axis"]})


def same(op: str, *names: str) -> Callable[[Case], Node | None]:
    """Operands broadcast from the first axis in NNEF. names: attributes that are called the same, or nnef=onnx."""

    def node(case: Case) -> Node | None:
        if op in ("Max", "Min") and special(case):
            return None
        rank = max(array.ndim for array in case.all_arrays)
        arrays = [array.reshape(array.shape + (1,) * (rank - array.ndim)) for array in case.all_arrays]
        pairs = [name.split("=") for name in names]
        return Node(op, arrays, {pair[-1]: case.all_attrs[pair[0]] for pair in pairs})

    return node


ORACLES: dict[str, Callable[[Case], Node | None]] = {
    "conv": conv, "deconv": deconv, "max_pool": pool, "avg_pool": pool, "box": pool, "nearest_upsample": resized,
    "multilinear_upsample": resized, "sum_reduce": reduced("ReduceSum"), "mean_reduce": reduced("ReduceMean"),
    "max_reduce": reduced("ReduceMax"), "min_reduce": reduced("ReduceMin"), "argmax_reduce": place("ArgMax"),
    "argmin_reduce": place("ArgMin"), "softmax": softmax, "matmul": matmul, "local_response_normalization": lrn,
    "batch_normalization": batch_normalization, "gather": gather, "pad": pad, "slice": sliced, "transpose": transposed,
    "tile": tiled, "concat": joined, "elu": same("Elu", "alpha"), "selu": same("Selu", "alpha", "lambda=gamma"),
    "leaky_relu": same("LeakyRelu", "alpha"), "prelu": same("PRelu"), "softplus": same("Softplus"), "select": same("Where"),
} | {
    name: same(op)
    for name, op in {
        "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "min": "Min", "max": "Max", "lt": "Less",
        "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual", "eq": "Equal", "and": "And", "or": "Or", "not": "Not",
        "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
        "rcp": "Reciprocal", "sin": "Sin", "cos": "Cos", "tan": "Tan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh",
        "asin": "Asin", "acos": "Acos", "atan": "Atan", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
        "sigmoid": "Sigmoid", "relu": "Relu",
    }.items()
}  # fmt: skip
"""Operation -> the same as an ONNX node, or None where ONNX has no such case."""

LEAST = {
    "conv": 90, "deconv": 15, "max_pool": 5, "avg_pool": 10, "multilinear_upsample": 20, "sum_reduce": 40, "softmax": 12,
    "matmul": 30, "pad": 15, "slice": 15,
}  # fmt: skip
"""Cases that ONNX Runtime computes, at least."""


@pytest.mark.parametrize("op", ORACLES)
def test_references(op: str) -> None:
    cases = [case for case in all_cases() if case.op == op]
    compared, wrong = 0, []
    for case in cases:
        node = ORACLES[op](case)
        got = None if node is None else compute(node)
        if got is None:
            continue
        compared += 1
        (expected,) = case.reference()
        if problem := difference(got.astype(expected.dtype), expected).failure(SLACK * tolerance(op)):
            wrong.append(f"{case.id}: {problem}")
    assert wrong == []
    assert compared >= min(len(cases), LEAST.get(op, 1))
