"""Space to depth: what each part of a window reads of a plain tensor, borders resolved, as channels of blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.window import Geometry, clamped_index, tested
from nnef_cl.codegen.kernels.window_parts import Parts
from nnef_cl.codegen.target import Target


@dataclass(frozen=True)
class SpaceToDepth(GridKernel):
    """x: plain (N, C, depth, H, W), one group. y: (N, parts x C, depth, height, width) in channel blocks: pixel (i, j)
    of a part is what the window of result (i, j) reads for the part's first tap. A work-item makes a row of a block."""

    stem: ClassVar[str] = "space_to_depth"
    x: Access
    y: Access
    down: Parts
    across: Parts
    before: tuple[int, int]
    border: str
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.down.count}x{self.across.count} parts, x {self.x.spec}, y {self.y.spec}"

    @property
    def arguments(self) -> str:
        return f"{self.x.argument}, {self.y.result_argument}"

    @property
    def names(self) -> tuple[str, ...]:
        return ("n", "block", "depth", "row")

    @property
    def counts(self) -> tuple[int, ...]:
        n, channels, depth, height, _ = self.y.spec.shape
        return (n, -(-channels // self.y.block), depth, height)

    @property
    def row(self) -> str:
        """C text: the row of x that part `part` reads."""
        return self.down.first_read("row", f"part / {self.across.count}", self.before[0])

    @property
    def left(self) -> str:
        """C text: the column of x that part `part` reads for the first column of y."""
        return self.across.first_read("0", f"part % {self.across.count}", self.before[1])

    @property
    def inner(self) -> tuple[int, int]:
        """First column of y for which every part reads inside x, and the one behind the last."""
        offsets = [self.across.offset(part) - self.before[1] for part in range(self.across.count)]
        stride, columns = self.across.stride, self.y.spec.shape[-1]
        first = min(columns, max(0, -(min(offsets) // stride)))
        return first, max(first, min(columns, (self.x.spec.shape[-1] - 1 - max(offsets)) // stride + 1))

    def source(self, axis: int, index: str) -> str:
        """C text: where a coordinate reads."""
        return clamped_index(self.border, index, self.x.spec.shape[2 + axis])

    @property
    def tested(self) -> bool:
        return tested(self.border)


def space_to_depth(
    x: Access, y: Access, parts: tuple[Parts, Parts], geometry: Geometry, target: Target
) -> SpaceToDepth:
    """geometry: of the whole windows."""
    top, left = geometry.before[1:]
    kernel = SpaceToDepth(x, y, *parts, (top, left), geometry.border, Grid.of(1, target, y.block))
    return replace(kernel, grid=Grid.of(math.prod(kernel.counts), target, y.block, y.spec.shape[-1]))
