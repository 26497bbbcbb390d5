"""Reductions over axes, which stay with extent 1 (section 4.4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ops import lowering
from nnef_cl.ops.base import Op, op
from nnef_cl.ops.shapes import reduced


def sum_reduce(input: np.ndarray, axes: Sequence[int], normalize: bool) -> np.ndarray:
    total = np.sum(input, axis=tuple(axes), keepdims=True, dtype=np.float64)
    count = math.prod(input.shape[a] for a in axes) if normalize else 1
    return np.asarray(total / count, np.float32)


def mean_reduce(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return sum_reduce(input, axes, normalize=True)


def max_reduce(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return np.max(input, axis=tuple(axes), keepdims=True)


def min_reduce(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return np.min(input, axis=tuple(axes), keepdims=True)


def _index_of(find: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Row-major position among the reduced axes, the first extreme wins."""

    def reference(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        order = sorted(axes)
        moved = np.moveaxis(input, order, range(-len(order), 0)) if order else input[..., None]
        flat = moved.reshape(*(n for a, n in enumerate(input.shape) if a not in order), -1)
        shape = [1 if a in order else n for a, n in enumerate(input.shape)]
        return np.asarray(find(flat, axis=-1), np.int64).reshape(shape)

    return reference


def any_reduce(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return np.any(input, axis=tuple(axes), keepdims=True)


def all_reduce(input: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    return np.all(input, axis=tuple(axes), keepdims=True)


def flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    return math.prod(inputs[0])


ABOUT = {
    "sum": "Sums over some axes, which stay with extent 1; normalised: means.",
    "max": "Largest elements along some axes.", "min": "Smallest elements along some axes.",
    "argmax": "Where the largest element stands: its index, the first of equal ones; over several axes a flat one.",
    "argmin": "Where the smallest element stands: its index, the first of equal ones; over several axes a flat one.",
    "any": "Whether any element along some axes is true.", "all": "Whether all elements along some axes are true.",
    "mean": "Means over some axes.",
}  # fmt: skip


def reduction(
    name: str, reference: Callable[..., np.ndarray], element: str = "scalar", result: str = "", more: str = ""
) -> Op:
    kind = name.removesuffix("_reduce")
    plain = kind in ("sum", "mean", "max", "min")
    return op(
        f"""fragment {name}( input: tensor<{element}>, axes: integer[]{more} )
            -> ( output: tensor<{result or element}> );""",
        about=ABOUT[kind],
        infer=reduced, reference=reference, lower=lowering.reduction(kind), flops=flops, fusable=plain,
        blocked=lowering.reduction_blocked if plain else None,
    )  # fmt: skip


OPS = (
    reduction("sum_reduce", sum_reduce, more=", normalize: logical = false"),
    reduction("max_reduce", max_reduce),
    reduction("min_reduce", min_reduce),
    reduction("argmax_reduce", _index_of(np.argmax), result="integer"),
    reduction("argmin_reduce", _index_of(np.argmin), result="integer"),
    reduction("any_reduce", any_reduce, "logical"),
    reduction("all_reduce", all_reduce, "logical"),
    reduction("mean_reduce", mean_reduce),
)
