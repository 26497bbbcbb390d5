"""A plan for one row -> the kernel that computes many, worker by worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from nnef_cl.codegen.kernels.by_rows import ByRows, RowPlace, RowStage
from nnef_cl.plan.records import Buffer, Step

ALIGNMENT = 4096
"""Bytes: workers share no page."""

OWN = Buffer("own", 0)
"""The workers' memory, among a kernel's arguments."""


@dataclass(frozen=True)
class Row:
    """The plan for one row. steps: their buffers are weights and flags of the whole plan, arenas of this one, and as
    loans its inputs, `inputs` of them, and its results."""

    steps: Sequence[Step]
    arenas: Sequence[int]
    inputs: int


def row_kernel(row: Row, strides: Sequence[int], rows: int, workers: int) -> tuple[ByRows, tuple[Buffer, ...]]:
    """The kernel and its arguments. strides: of each loan the bytes from a row to the next."""
    wholes = dict.fromkeys(buffer.whole for step in row.steps for buffer in step.arguments if buffer.kind != "arena")
    written = [buffer for buffer in wholes if buffer.kind == "loan" and buffer.index >= row.inputs]
    read = [buffer for buffer in wholes if buffer not in written]
    arguments = (*read, OWN, *written)
    numbers = {buffer: number for number, buffer in enumerate(arguments)}
    starts = list(accumulate(map(_aligned, row.arenas), initial=0))

    def place(buffer: Buffer) -> RowPlace:
        if buffer.kind == "arena":
            return RowPlace(None, starts[buffer.index] + buffer.offset)
        return RowPlace(numbers[buffer.whole], buffer.offset, strides[buffer.index] if buffer.kind == "loan" else 0)

    stages = tuple(RowStage(step.kernel, tuple(map(place, step.arguments))) for step in row.steps)
    return ByRows(stages, len(read), len(written), rows, workers, max(starts[-1], ALIGNMENT)), arguments


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
