"""Reductions over the last axes and the maps around them as one operation, which a pass makes of the separate ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.codegen.expression import CStep, Expression
from nnef_cl.codegen.kernel import Candidate, Input, Launch, Output
from nnef_cl.codegen.kernels.pointwise import broadcast_strides
from nnef_cl.codegen.kernels.rowwise import Rowwise, Stage, rowwise
from nnef_cl.codegen.target import Target
from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape, row_major_strides
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem, op
from nnef_cl.ops.pointwise import align

REDUCE: Mapping[str, Callable[..., np.ndarray]] = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}


def kernel_of(
    y: TensorSpec, axes: Sequence[int], operands: Sequence[TensorSpec], kinds: Sequence[str],
    programs: Sequence[Expression], target: Target,
) -> Rowwise | None:  # fmt: skip
    """None where there is no kernel. programs: of the stages, and of the map behind them."""
    stages = tuple(Stage(kind, program) for kind, program in zip(kinds, programs[:-1], strict=True))
    placed = [(x.dtype, broadcast_strides(x, y)) for x in operands]
    return rowwise(y.shape, axes, placed, row_major_strides(y.shape), stages, programs[-1], target)


def lower(problem: Problem, target: Target) -> list[Candidate]:
    """The pass has asked whether there is a kernel."""
    attrs = problem.attrs
    kernel = kernel_of(
        problem.outputs[0], attrs["axes"], problem.inputs, attrs["kinds"], attrs["programs"], target
    )
    assert kernel is not None
    inputs = tuple(Input(k) for k in range(len(problem.inputs)))
    return [Candidate("rowwise", (Launch(kernel, (*inputs, Output())),))]


def softmax_rows(x: TensorSpec, axes: Sequence[int], target: Target) -> Candidate | None:
    """Softmax over the last axes, with vectors along them; exponentials are computed twice."""
    if target.vector_width < 4:
        return None
    exponential = (CStep("exp({0} - {1})", (0, 1), F32),)
    programs = (
        Expression(1, (CStep("{0}", (0,), F32),)), Expression(2, exponential),
        Expression(3, (*exponential, CStep("{0} / {1}", (3, 2), F32))),
    )  # fmt: skip
    kernel = kernel_of(x, axes, (x,), ("max", "sum"), programs, target)
    return None if kernel is None else Candidate("softmax_rows", (Launch(kernel, (Input(0), Output())),))


def reference(
    operands: Sequence[np.ndarray], shape: Shape, axes: Sequence[int], kinds: Sequence[str],
    programs: Sequence[Callable[..., np.ndarray]],
) -> np.ndarray:  # fmt: skip
    """shape: of the result; every program takes the operands and the numbers of the stages before it."""
    values = list(align(np.zeros(shape, np.float32), *operands)[1:])
    for kind, program in zip(kinds, programs[:-1], strict=True):
        value = program(*values)
        if kind != "map":
            rows = np.broadcast_to(value, shape).astype(np.float64)
            value = np.asarray(REDUCE[kind](rows, axis=tuple(axes), keepdims=True), np.float32)
        values.append(value)
    return np.broadcast_to(programs[-1](*values), shape)


def flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Mapping[str, Any]) -> int:
    """One operation per step and element, and one per element of every reduction."""
    steps = [len(program.steps) for program in attrs["programs"]]
    reductions = len(attrs["kinds"]) - attrs["kinds"].count("map")
    narrow = sum(n for kind, n in zip(attrs["kinds"], steps[:-1], strict=True) if kind == "map")
    return math.prod(outputs[0]) * (sum(steps) - narrow + reductions)


OPS = (
    op("fragment rowwise( operands: tensor<>[] ) -> ( result: tensor<scalar> );",
       reference=reference, lower=lower, flops=flops),
)  # fmt: skip
