"""How many work-items run a loop over independent elements, and in what groups."""

from __future__ import annotations

from dataclasses import dataclass

from nnef_cl.codegen.ctypes import index_literal, index_type
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.target import Target

GROUPS_PER_UNIT = 8
SMALLEST_GROUP = 2048
FEW_ITEMS = 4096
"""So many are done soon, even if no compiler joins them to vectors."""
MOST_GROUPS = 1 << 24
"""Numbers of groups that stages of a chain can count."""


@dataclass(frozen=True)
class Grid:
    """`count` independent items; a group of `local` work-items takes `chunk` x `local` of them."""

    count: int
    chunk: int
    local: int

    @classmethod
    def of(cls, count: int, target: Target, width: int = 1, cost: int = 1) -> Grid:
        """Few large groups on devices with few units; one item per work-item elsewhere.

        width: lanes of one item (explicit vectors run in groups of one work-item); cost: operations per lane.
        """
        local = 1 if width > 1 else min(target.work_group, target.max_work_group)
        if target.vector_width == 1:
            return cls(count, 1, local)
        groups = target.compute_units * GROUPS_PER_UNIT
        smallest = max(1, SMALLEST_GROUP // (local * width * cost))
        return cls(count, max(smallest, -(-count // (groups * local))), local)

    @property
    def index(self) -> str:
        """C type of an item's number, rounded up to whole groups."""
        return index_type((self.global_size[0] + self.local) * self.chunk)

    @property
    def end(self) -> str:
        return index_literal(self.count, self.index)

    @property
    def global_size(self) -> tuple[int]:
        return (-(-self.count // (self.chunk * self.local)) * self.local,)

    @property
    def local_size(self) -> tuple[int]:
        return (self.local,)


class GridKernel(Kernel):
    """Base of the kernels that loop over independent items; the records have the field `grid`, last as a rule."""

    grid: Grid

    @property
    def stageable(self) -> bool:
        alone = self.grid.local == 1 or self.grid.count <= FEW_ITEMS
        return self.folder is None and alone and self.grid.global_size[0] <= MOST_GROUPS

    @property
    def global_size(self) -> tuple[int, ...]:
        return self.grid.global_size

    @property
    def local_size(self) -> tuple[int, ...]:
        return self.grid.local_size
