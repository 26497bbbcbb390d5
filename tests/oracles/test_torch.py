"""References against PyTorch, where it computes the same operation: convolutions, pooling, reductions, activations, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_cl.conformance.case import Case, all_cases
from nnef_cl.conformance.comparison import difference, tolerance
from nnef_cl.ops.windows import down_window

torch = pytest.importorskip("torch", reason="PyTorch is in the extra oracle")
functional: Any = pytest.importorskip("torch.nn.functional")

MODES = {"constant": "constant", "replicate": "replicate", "reflect": "reflect"}
SPATIAL = (1, 2, 3)


def tensors(case: Case) -> list[Any]:
    return [torch.from_numpy(np.array(array, np.float64 if array.dtype.kind == "f" else array.dtype)) for array in case.all_arrays]


def flat(pads: list[tuple[int, int]]) -> list[int]:
    """PyTorch counts axes from the last."""
    return [n for pair in reversed(pads) for n in pair]


def conv(case: Case) -> Any:
    """None where PyTorch cannot: a border it does not know, more padding than it takes, another rank."""
    x, weights, bias = tensors(case)
    attrs, rank = case.all_attrs, x.ndim - 2
    if rank not in SPATIAL or attrs["border"] not in MODES:
        return None
    window = down_window(
        tuple(x.shape[2:]), tuple(weights.shape[2:]), attrs["border"], attrs["padding"], attrs["stride"], attrs["dilation"])
    pads = list(zip(window.before, window.after, strict=True))
    if min(map(min, pads)) < 0:
        return None
    if attrs["border"] == "reflect" and any(max(pair) >= extent for pair, extent in zip(pads, x.shape[2:], strict=True)):
        return None
    padded = functional.pad(x, flat(pads), mode=MODES[attrs["border"]])
    result = getattr(functional, f"conv{rank}d")(
        padded, weights, stride=window.stride, dilation=window.dilation, groups=attrs["groups"] or x.shape[1])
    return result + spread(bias, rank)


def spread(bias: Any, rank: int) -> Any:
    return bias if bias.ndim == 0 else bias.reshape(1, -1, *[1] * rank)


def deconv(case: Case) -> Any:
    x, weights, bias = tensors(case)
    attrs, rank = case.all_attrs, x.ndim - 2
    if rank not in SPATIAL or attrs["border"] != "constant":
        return None
    stride, dilation = attrs["stride"] or [1] * rank, attrs["dilation"] or [1] * rank
    if not attrs["padding"] or attrs["output_shape"]:
        return None
    whole = getattr(functional, f"conv_transpose{rank}d")(
        x, weights, stride=stride, dilation=dilation, groups=attrs["groups"] or x.shape[1])
    for axis, (before, after) in enumerate(attrs["padding"], 2):
        if before < 0 or after < 0:
            return None
        whole = whole.narrow(axis, before, whole.shape[axis] - before - after)
    return whole + spread(bias, rank)


def pooled(case: Case) -> Any:
    """max_pool with the border that PyTorch has, and box sums without padding."""
    (x,) = tensors(case)
    attrs = case.all_attrs
    rank = x.ndim - 2
    if rank not in SPATIAL or attrs["size"][:2] != [1, 1] or not attrs["padding"] or case.op != "max_pool" or attrs["border"] != "ignore":
        return None
    lists = {key: (attrs[key] or [1] * x.ndim)[2:] for key in ("stride", "dilation")}
    pads = attrs["padding"]
    if pads[:2] != [(0, 0), (0, 0)] or any(v != 1 for key in ("stride", "dilation") for v in attrs[key][:2]):
        return None
    padded = functional.pad(x, flat(pads[2:]), value=-math.inf)
    return getattr(functional, f"max_pool{rank}d")(padded, attrs["size"][2:], stride=lists["stride"], dilation=lists["dilation"])


def reduced(name: str) -> Callable[[Case], Any]:
    def compute(case: Case) -> Any:
        (x,) = tensors(case)
        axes = case.all_attrs["axes"]
        if not axes:
            return x
        return getattr(torch, name)(x, dim=tuple(axes), keepdim=True)

    return compute


def summed(case: Case) -> Any:
    attrs = case.all_attrs
    return reduced("mean" if attrs["normalize"] else "sum")(case)


def softmax(case: Case) -> Any:
    (x,) = tensors(case)
    axes = case.all_attrs["axes"]
    return torch.exp(x - torch.logsumexp(x, dim=tuple(axes), keepdim=True)) if axes else torch.ones_like(x)


def matmul(case: Case) -> Any:
    a, b = tensors(case)
    attrs = case.all_attrs
    return torch.matmul(a.mT if attrs["transposeA"] else a, b.mT if attrs["transposeB"] else b)


def unary(function: Callable[[Any], Any]) -> Callable[[Case], Any]:
    return lambda case: function(*tensors(case))


def selu(case: Case) -> Any:
    (x,) = tensors(case)
    attrs = case.all_attrs
    return attrs["lambda"] * torch.where(x < 0, attrs["alpha"] * torch.expm1(x), x)


def upsampled(case: Case) -> Any:
    """Half-pixel centres are the standard's symmetric method, aligned corners its aligned one."""
    (x,) = tensors(case)
    attrs, rank = case.all_attrs, x.ndim - 2
    modes = {1: "linear", 2: "bilinear", 3: "trilinear"}
    methods = {"symmetric": False, "aligned": True}
    if rank not in modes or attrs["method"] not in methods or (attrs["method"] == "symmetric" and attrs["border"] != "replicate"):
        return None
    return functional.interpolate(
        x, scale_factor=[float(f) for f in attrs["factor"]], mode=modes[rank], align_corners=methods[attrs["method"]])


ORACLES: dict[str, Callable[[Case], Any]] = {
    "conv": conv, "deconv": deconv, "max_pool": pooled, "sum_reduce": summed, "mean_reduce": reduced("mean"),
    "max_reduce": reduced("amax"), "min_reduce": reduced("amin"), "softmax": softmax, "matmul": matmul, "selu": selu,
    "multilinear_upsample": upsampled,
    "gelu": unary(lambda x: x * torch.sigmoid(1.702 * x)), "silu": unary(functional.silu),
    "softplus": unary(lambda x: functional.softplus(x, threshold=1e9)), "sigmoid": unary(torch.sigmoid), "relu": unary(torch.relu),
} | {
    name: unary(getattr(torch, name))
    for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh",
                 "abs", "floor", "ceil", "sqrt", "rsqrt", "log2")
}  # fmt: skip
"""Operation -> PyTorch's result in float64, or None where it does not compute the case."""
SKIPPED = {"conv": 40, "deconv": 40, "max_pool": 60, "multilinear_upsample": 45}
"""Cases that PyTorch does not compute, at most."""


@pytest.mark.parametrize("op", ORACLES)
def test_references(op: str) -> None:
    cases = [case for case in all_cases() if case.op == op]
    left_out, wrong = 0, []
    for case in cases:
        result = ORACLES[op](case)
        if result is None:
            left_out += 1
            continue
        (expected,) = case.reference()
        with np.errstate(over="ignore"):
            got = result.numpy().astype(expected.dtype)
        if problem := difference(got, expected).failure(tolerance(op)):
            wrong.append(f"{case.id}: {problem}")
    assert wrong == [] and left_out <= SKIPPED.get(op, 0), left_out
