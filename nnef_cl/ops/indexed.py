"""Lowering of index-based operations and of debox: kernels stay inside the tensors, a run with other indices fails."""

from __future__ import annotations

import math
from collections.abc import Callable

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.kernel import Candidate, Flag, Input, Kernel, Launch, Operand, Output
from nnef_cl.codegen.kernels import lookup, region
from nnef_cl.codegen.kernels import sample as sampling
from nnef_cl.codegen.kernels.argmax_rows import argmax_rows
from nnef_cl.codegen.kernels.spread import spread
from nnef_cl.codegen.kernels.spread_rows import spread_rows
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.target import Target
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import extra_operands
from nnef_cl.ops.lowering import full_rank, geometry_of
from nnef_cl.ops.shapes import check_indices, index_trouble
from nnef_cl.ops.windows import down_window, up_window


def checked(problem: Problem, index: int, limit: int, target: Target) -> tuple[Launch, ...]:
    """Input number `index` holds nothing outside 0 .. limit-1: found out now where it is constant, else after the run.

    Raises RuleError.
    """
    constant = problem.constants[index]
    if constant is not None:
        check_indices(problem.op.tensor_parameters[index].name, constant.array, limit)
        return ()
    kernel = lookup.check_indices(problem.inputs[index].volume, limit, target)
    return (Launch(kernel, (Input(index), Flag(index, index_trouble(limit)))),)


def argmax_pool(problem: Problem, target: Target) -> list[Candidate]:
    """argmax_pool, and max_pool_with_index, whose first result is the maxima."""
    x = problem.inputs[0]
    *values, index = problem.outputs
    arguments = (
        Access("x", x), Access("index", index), Access("values", values[0]) if values else None, _down(problem), target
    )  # fmt: skip
    kernels = filter(None, (argmax_rows(*arguments), sampling.argmax_pool(*arguments)))
    operands: tuple[Operand, ...] = (Input(0), *map(Output, range(len(problem.outputs))))
    return [Candidate(kernel.stem, (Launch(kernel, operands),)) for kernel in kernels]


def sample(problem: Problem, target: Target) -> list[Candidate]:
    x, index = problem.inputs
    geometry = _down(problem)
    kernel = sampling.sample(Access("x", x), Access("places", index), Access("y", problem.outputs[0]), geometry, target)
    check = checked(problem, 1, geometry.taps, target)
    return [Candidate("sample", (*check, Launch(kernel, (Input(0), Input(1), Output()))))]


def debox(problem: Problem, target: Target) -> list[Candidate]:
    divisor = math.prod(problem.attrs["size"]) if problem.attrs["normalize"] else 1
    return _spread(problem, None, divisor, (), target)


def desample(problem: Problem, target: Target) -> list[Candidate]:
    check = checked(problem, 1, math.prod(problem.attrs["size"]), target)
    return _spread(problem, Access("places", problem.inputs[1]), 1, check, target)


def region_pool(maximum: bool) -> Callable[[Problem, Target], list[Candidate]]:
    """avg_roi_pool and max_roi_pool."""

    def lower(problem: Problem, target: Target) -> list[Candidate]:
        x, y = Access("x", problem.inputs[0]), Access("y", problem.outputs[0])
        return _of_regions(problem, region.region_pool(x, y, maximum, target), target)

    return lower


def region_resample(problem: Problem, target: Target) -> list[Candidate]:
    x, y = Access("x", problem.inputs[0]), Access("y", problem.outputs[0])
    return _of_regions(problem, region.region_resample(x, y, problem.attrs["method"], target), target)


def _of_regions(problem: Problem, kernel: Kernel, target: Target) -> list[Candidate]:
    check = checked(problem, 2, problem.inputs[0].shape[0], target)
    return [Candidate(kernel.stem, (*check, Launch(kernel, (Input(0), Input(1), Input(2), Output()))))]


def _down(problem: Problem) -> Geometry:
    attrs = problem.attrs
    window = down_window(
        problem.inputs[0].shape, attrs["size"], attrs["border"], attrs["padding"], attrs["stride"], attrs["dilation"]
    )
    return geometry_of(window, attrs["border"])


def _spread(
    problem: Problem, places: Access | None, divisor: int, check: tuple[Launch, ...], target: Target
) -> list[Candidate]:  # fmt: skip
    """By whole rows first, where there is such a kernel. check: what runs before."""
    x, y, attrs = problem.inputs[0], problem.outputs[0], problem.attrs
    window = up_window(
        x.shape, attrs["size"], attrs["padding"], attrs["stride"], attrs["dilation"], attrs["output_shape"]
    )
    extras = tuple(Access(f"e{k}", full_rank(s, y.rank)) for k, s in enumerate(problem.epilogue.operands))
    arguments = (
        Access("x", x), places, Access("y", y), extras, problem.epilogue, geometry_of(window, attrs["border"]),
        divisor, target,
    )  # fmt: skip
    operands = (*(Input(k) for k in range(len(problem.inputs))), *extra_operands(problem), Output())
    kernels = filter(None, (spread_rows(*arguments), spread(*arguments)))
    return [Candidate(kernel.stem, (*check, Launch(kernel, operands))) for kernel in kernels]


def gather(problem: Problem, target: Target) -> list[Candidate]:
    x, indices = problem.inputs
    axis = problem.attrs["axis"]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    kernel = lookup.gather(x.dtype, outer, x.shape[axis], indices.volume, inner, target)
    check = checked(problem, 1, x.shape[axis], target)
    return [Candidate("gather", (*check, Launch(kernel, (Input(0), Input(1), Output()))))]
