"""Convolutions with fewer multiplications: Winograd's algorithm as candidates of conv."""

from __future__ import annotations

from collections.abc import Iterator

from nnef_cl.codegen.kernel import Candidate, Input, Launch, Output, Packed, Scratch
from nnef_cl.codegen.kernels.conv_direct import PackBias
from nnef_cl.codegen.kernels.conv_winograd import ConvWinograd, PackWinograd, conv_winograd
from nnef_cl.codegen.kernels.toom_cook import Transform
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.target import Target
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem
from nnef_cl.ops.conv_launch import Accesses, extra_operands

TILES = (4, 2)
"""Outputs of a tile along an axis with three taps."""
MAX_SCRATCH = 1 << 28
"""Bytes of transformed tiles."""


def winograd_candidates(
    problem: Problem, accesses: Accesses, geometry: Geometry, groups: int, target: Target
) -> list[Candidate]:
    """None where the windows, groups or layouts do not suit."""
    x, y, extras = accesses
    if groups > 1 or y.block < 2:
        return []
    found = []
    for rows, columns in _transforms(geometry, y.spec):
        for parts in (("fused",), ("input", "output")):
            kernels = [
                conv_winograd(part, x, y, extras, problem.epilogue, geometry, rows, columns, target) for part in parts
            ]
            if _scratch(kernels[0]).bytes <= min(MAX_SCRATCH, target.max_allocation):
                found.append(_candidate(problem, kernels))
    return found


def _transforms(geometry: Geometry, y: TensorSpec) -> Iterator[tuple[Transform, Transform]]:
    """Three taps along both axes, or along one where the other has one."""
    if geometry.size[0] != 1 or set(geometry.stride) != {1} or set(geometry.dilation) != {1} or geometry.before[0]:
        return
    if y.shape[2] != 1 or not set(geometry.size[1:]) <= {1, 3} or geometry.taps == 1:
        return
    for outputs in TILES:
        if all(size == 1 or extent >= outputs for size, extent in zip(geometry.size[1:], y.shape[3:], strict=True)):
            rows, columns = (Transform(1 if size == 1 else outputs, size) for size in geometry.size[1:])
            yield rows, columns


def _scratch(kernel: ConvWinograd) -> TensorSpec:
    """The transformed tiles: of every group of tiles, or of one for each work-group."""
    groups = kernel.global_size[0] if kernel.part == "fused" else kernel.groups
    return TensorSpec((groups, kernel.group_size))


def _candidate(problem: Problem, kernels: list[ConvWinograd]) -> Candidate:
    last = kernels[-1]
    lanes = last.width * last.blocks
    weights = (
        Packed(1, PackWinograd(last.rows, last.columns, last.width, last.blocks)),
        Packed(2, PackBias(problem.outputs[0].shape[1], 1, lanes)),
    )  # fmt: skip
    rest = (*weights, *extra_operands(problem))
    name = f"winograd F{last.rows.outputs}x{last.columns.outputs}"
    if last.part == "fused":
        launches: tuple[Launch, ...] = (Launch(last, (Input(0), *rest, Scratch(0), Output())),)
    else:
        launches = Launch(kernels[0], (Input(0), Scratch(0))), Launch(last, (Scratch(0), *rest, Output()))
    return Candidate(name, launches, (_scratch(kernels[0]),), exact=False)
