"""Three operations of one's own, each made in another way, and a reader for an item type of one's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import Candidate, Input, Kernel, Launch, Output
from nnef_cl.codegen.target import Target

import nnef_cl
from nnef_cl.ops.base import Problem

Shape = tuple[int, ...]

# 1. A body: NNEF that puts other operations together.
hard_gelu = nnef_cl.op("""
    fragment hard_gelu( x: tensor<scalar>, slope: scalar = 1.702 ) -> ( y: tensor<scalar> )
    { y = x * clamp(slope * x / 6.0 + 0.5, 0.0, 1.0); }
""")


# 2. An expression: C for one element, which fuses with what stands around it.
def shrink_reference(x: np.ndarray, lambd: float) -> np.ndarray:
    return np.where(np.abs(x) > lambd, x, np.float32(0))


shrink = nnef_cl.op(
    "fragment hard_shrink( x: tensor<scalar>, lambd: scalar = 0.5 ) -> ( y: tensor<scalar> );",
    reference=shrink_reference,
    expression="{select}(({T})(0.0f), {x}, fabs({x}) > ({T})({lambd}))",
)


# 3. A template: a kernel of its own, here one work-item for each line along the axis.
@dataclass(frozen=True)
class CumulativeSum(Kernel):
    """Lines of `length` elements, `step` elements apart; there are `grid.count` of them."""

    stem: ClassVar[str] = "cumulative_sum"
    folder: ClassVar[Path] = Path(__file__).parent
    length: int
    step: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.grid.count} lines of {self.length}, {self.step} apart"

    @property
    def global_size(self) -> Shape:
        return self.grid.global_size

    @property
    def local_size(self) -> Shape:
        return self.grid.local_size


def cumulative_shape(x: Shape, axis: int) -> Shape:
    if not 0 <= axis < len(x):
        raise ValueError(f"axis {axis} is outside of rank {len(x)}")
    return x


def cumulative_reference(x: np.ndarray, axis: int) -> np.ndarray:
    return np.cumsum(x, axis, dtype=np.float32)


def cumulative_kernels(problem: Problem, target: Target) -> list[Candidate]:
    shape, axis = problem.inputs[0].shape, problem.attrs["axis"]
    lines = math.prod(shape) // shape[axis]
    kernel = CumulativeSum(shape[axis], math.prod(shape[axis + 1 :]), Grid.of(lines, target, cost=shape[axis]))
    return [Candidate("lines", (Launch(kernel, (Input(0), Output())),))]


def cumulative_flops(inputs: Sequence[Shape], outputs: Sequence[Shape], attrs: Any) -> int:
    return math.prod(outputs[0])


cumulative_sum = nnef_cl.op(
    "fragment cumulative_sum( x: tensor<scalar>, axis: integer ) -> ( y: tensor<scalar> );",
    infer=cumulative_shape, reference=cumulative_reference, lower=cumulative_kernels, flops=cumulative_flops,
)  # fmt: skip

OPS = (hard_gelu, shrink, cumulative_sum)


# An item type: logarithms to the base 2 in one signed byte, in steps of 1/8; the parameters hold nothing.
def read_logarithms(payload: memoryview, header: Any) -> np.ndarray:
    return np.exp2(np.frombuffer(payload, np.int8) / np.float32(8))


ITEMS = (nnef_cl.ItemReader(vendor=0x4D59, code=1, kind="scalar", read=read_logarithms),)
