"""Lowering of operations whose indices come from data: kernels stay inside the tensors, a run with others fails."""

from __future__ import annotations

import math

from nnef_cl.codegen.kernel import Candidate, Flag, Input, Launch, Output
from nnef_cl.codegen.kernels import lookup
from nnef_cl.codegen.target import Target
from nnef_cl.ops.base import Problem
from nnef_cl.ops.shapes import check_indices, index_trouble


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


def gather(problem: Problem, target: Target) -> list[Candidate]:
    x, indices = problem.inputs
    axis = problem.attrs["axis"]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    kernel = lookup.gather(x.dtype, outer, x.shape[axis], indices.volume, inner, target)
    check = checked(problem, 1, x.shape[axis], target)
    return [Candidate("gather", (*check, Launch(kernel, (Input(0), Input(1), Output()))))]
