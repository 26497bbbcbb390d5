"""Work-group tiles of a matrix product: their shape for a problem and a device, and the copies to local memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from nnef_cl.codegen.ctypes import INT_MAX
from nnef_cl.codegen.target import Target

VECTOR = 4
"""Floats of the widest load that devices with many lanes make."""
LARGEST_TILE = 1024
"""No side of a tile, and no step of one, is larger."""
UNIT_LANES, TOGETHER = 128, 32
"""Work-items that one compute unit advances at a time, and how many of them at least belong to one work-group."""
LOCAL_READ, GLOBAL_READ, STEP, LAUNCH = 1.0, 8.0, 100.0, 8000.0
"""Costs in multiply-adds of one work-item: a float from local memory; one from global memory with its address;
a barrier and what its wait leaves unhidden; another kernel."""


@dataclass(frozen=True)
class Side:
    """One side of a tile: `lanes` work-items that keep `each` elements, as vectors which alternate between lanes."""

    lanes: int
    each: int

    @property
    def extent(self) -> int:
        return self.lanes * self.each

    @property
    def width(self) -> int:
        return VECTOR if self.each % VECTOR == 0 else 1

    @property
    def vectors(self) -> int:
        return self.each // self.width

    def place(self, lane: str, vector: int) -> str:
        """C text: where in the tile a lane's vector begins."""
        turn = f"({lane} + {vector * self.lanes})" if vector else lane
        return turn if self.width == 1 else f"{turn} * {self.width}"


@dataclass(frozen=True)
class Tile:
    """rows x columns results per work-group, `depth` products of each between two barriers.

    slices: work-groups that share the depth of one tile; their sums are added by another kernel.
    """

    rows: Side
    columns: Side
    depth: int
    slices: int = 1

    @property
    def items(self) -> int:
        return self.rows.lanes * self.columns.lanes

    @property
    def local_bytes(self) -> int:
        """Most local memory that the copies of both operands take."""
        return 2 * 4 * self.depth * (self.rows.extent + self.columns.extent + 2 * VECTOR)

    def groups(self, rows: int, columns: int) -> int:
        """Work-groups of one product."""
        return -(-rows // self.rows.extent) * -(-columns // self.columns.extent) * self.slices

    def __str__(self) -> str:
        slices = f", {self.slices} slices" if self.slices > 1 else ""
        each = f"{self.rows.each} x {self.columns.each}"
        return f"tile {self.rows.extent} x {self.columns.extent}, {self.items} work-items of {each}{slices}"


@dataclass(frozen=True)
class Staging:
    """How `items` work-items copy one operand's share of a step to local memory, as [depth][extent].

    along_depth: neighbouring work-items read neighbouring elements of the depth, `width` at a time; else of the extent.
    """

    extent: int
    depth: int
    items: int
    along_depth: bool
    width: int

    @property
    def stride(self) -> int:
        """Floats from one k to the next; padded where work-items write one below the other."""
        return self.extent + (VECTOR if self.along_depth and self.extent % VECTOR == 0 else 0)

    @property
    def size(self) -> int:
        return self.depth * self.stride

    @property
    def loads(self) -> int:
        return self.extent * self.depth // self.width

    @property
    def count(self) -> int:
        """Loads of one work-item."""
        return -(-self.loads // self.items)

    @property
    def guard(self) -> str:
        """C text: whether the work-item's load number i is one, or nothing where all are."""
        return f"lane + i * {self.items} < {self.loads}" if self.loads % self.items else ""

    @property
    def place(self) -> list[str]:
        """C declarations of k and t, the place in the tile of load number i."""
        pieces = (self.depth if self.along_depth else self.extent) // self.width
        inner, outer = ("k", "t") if self.along_depth else ("t", "k")
        scale = f" * {self.width}" if self.width > 1 else ""
        if self.items % pieces == 0:
            rows = self.items // pieces
            first = f"lane / {pieces}" if pieces > 1 else "lane"
            return [f"const int {inner} = {f'lane % {pieces}{scale}' if pieces > 1 else '0'};",
                    f"const int {outer} = {first} + i * {rows};"]  # fmt: skip
        return [f"const int load = lane + i * {self.items};",
                f"const int {inner} = load % {pieces}{scale}, {outer} = load / {pieces};"]  # fmt: skip


@lru_cache(maxsize=4096)
def choose_tile(
    rows: int, columns: int, depth: int, batch: int, target: Target, sliced: bool = False
) -> Tile | None:
    """The tile that is expected to be fastest for `batch` products of rows x depth by depth x columns; None where the
    device has too little local memory for any, or an index would not fit into an int. sliced: whether several
    work-groups may share the depth."""
    if max(rows, columns, depth) > INT_MAX - LARGEST_TILE:
        return None
    best: tuple[float, Tile] | None = None
    for tile in _tiles(depth, target, sliced):
        groups = tile.groups(rows, columns) * batch
        if groups * tile.items > INT_MAX or (tile.slices > 1 and groups > target.compute_units * tile.slices):
            continue  # slices are for units that have nothing to do otherwise
        cost = _cost(tile, rows, columns, depth, batch, target.compute_units)
        if best is None or cost < best[0]:
            best = cost, tile
    return best[1] if best else None


SIDES = ((16, 8, 16, 8), (8, 8, 16, 8), (8, 8, 8, 8), (16, 4, 16, 4), (8, 4, 16, 4), (8, 4, 8, 4), (4, 4, 8, 4),
         (4, 4, 4, 4), (2, 4, 64, 4), (1, 4, 64, 1), (1, 1, 64, 4), (1, 1, 64, 1), (1, 1, 16, 1), (4, 1, 4, 1),
         (2, 1, 2, 1))  # fmt: skip
"""Lanes and elements of the two sides of a tile, whichever is the rows; from large to small."""
DEPTHS = (8, 16, 32)
SLICES = (1, 2, 4, 8, 16, 32, 64)
LEAST_STEPS = 4
"""Steps of the shortest slice."""


def _tiles(depth: int, target: Target, sliced: bool) -> Iterator[Tile]:
    """Every tile within the device's limits."""
    for first_lanes, first_each, lanes, each in SIDES:
        first, second = Side(first_lanes, first_each), Side(lanes, each)
        if first.lanes * second.lanes > target.max_work_group:
            continue
        for step in DEPTHS:
            for pair in dict.fromkeys(((first, second), (second, first))):
                for slices in SLICES if sliced else (1,):
                    tile = Tile(*pair, step, slices)
                    short = slices > 1 and depth < slices * step * LEAST_STEPS
                    if tile.local_bytes <= target.local_memory and not short:
                        yield tile


def _cost(tile: Tile, rows: int, columns: int, depth: int, batch: int, units: int) -> float:
    """Time on the busiest compute unit, in multiply-adds of one work-item."""
    r, c = tile.rows, tile.columns
    groups = batch * tile.groups(rows, columns)
    steps = -(-depth // (tile.depth * tile.slices))
    products = tile.depth * (r.each * c.each + (r.each + c.each) * LOCAL_READ)
    loads = -(-tile.depth * r.extent // tile.items) + -(-tile.depth * c.extent // tile.items)
    item = steps * (products + loads * GLOBAL_READ + STEP) + r.each * c.each * GLOBAL_READ
    lanes = -(-tile.items // TOGETHER) * TOGETHER
    cost = item * max(1.0, -(-groups // units) * lanes / UNIT_LANES)
    if tile.slices > 1:
        sums = batch * rows * columns / (units * UNIT_LANES)
        cost += LAUNCH + max(1.0, sums) * (tile.slices + 1) * GLOBAL_READ
    return cost
