"""Softmax by work-groups that meet in local memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import join_axes
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.kernels.softmax import softmax_offset
from nnef_cl.codegen.target import Target
from nnef_cl.codegen.team import Team, team

from nnef_cl.ir.layout import Shape

KEPT = 8
"""Elements that a work-item keeps in registers between the passes."""


@dataclass(frozen=True)
class SoftmaxGroup(Kernel):
    """kept, reduced: extents; kept_strides, reduced_strides: element strides, equal for x and y."""

    stem: ClassVar[str] = "softmax_group"
    kept: Shape
    kept_strides: Shape
    reduced: Shape
    reduced_strides: Shape
    team: Team

    @property
    def title(self) -> str:
        team = self.team
        return (
            f"over {self.reduced}, kept {self.kept}, {team.lanes} work-items to a row, {team.rows} rows to a group"
        )

    @property
    def wide(self) -> bool:
        return True

    @property
    def global_size(self) -> tuple[int, ...]:
        return self.team.global_size

    @property
    def local_size(self) -> tuple[int, ...]:
        return self.team.local_size

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(len(self.kept)))

    @property
    def reduced_axes(self) -> tuple[str, ...]:
        return tuple(f"r{k}" for k in range(len(self.reduced)))

    @property
    def at(self) -> str:
        return softmax_offset(self.kept, self.kept_strides, self.reduced, self.reduced_strides)

    @property
    def in_registers(self) -> bool:
        """Whether a work-item keeps its elements between the passes instead of reading them again."""
        return self.team.each <= KEPT


def softmax_group(
    kept: Shape, kept_strides: Shape, reduced: Shape, reduced_strides: Shape, target: Target
) -> SoftmaxGroup | None:  # fmt: skip
    """None where each work-item had better compute whole rows."""
    kept, (kept_strides,) = join_axes(kept, [kept_strides])
    reduced, (reduced_strides,) = join_axes(reduced, [reduced_strides])
    inner = bool(reduced) and reduced_strides[-1] == 1
    run = kept[-1] if kept and kept_strides[-1] == 1 else 1
    shape = team(math.prod(kept), math.prod(reduced), run, inner, 4, target)
    return SoftmaxGroup(kept, kept_strides, reduced, reduced_strides, shape) if shape else None
