"""Team: how the work-items of a group share results that each need many elements, on devices with local memory."""

from __future__ import annotations

from dataclasses import dataclass

from nnef_cl.codegen.ctypes import index_literal, index_type
from nnef_cl.codegen.target import Target

SHORT = 8
"""Elements of one result that one work-item takes as fast alone."""
ALONG = 32
"""Neighbouring results of one work-group: their loads join into whole transfers."""
GROUPS_PER_UNIT = 8
FEWEST = 16
"""Elements that a work-item takes at least before one result is spread over several work-groups."""


@dataclass(frozen=True)
class Team:
    """A work-group computes `rows` of `count` results of `length` elements each, `lanes` work-items to a result.

    parts: work-groups to a result, each with its share of the elements. across: neighbouring work-items belong to
    neighbouring results, because those lie side by side in memory; otherwise to the same result.
    """

    count: int
    length: int
    lanes: int
    rows: int
    parts: int
    across: bool

    @property
    def local(self) -> int:
        return self.lanes * self.rows

    @property
    def number(self) -> str:
        """C text: the work-item's result, which may lie beyond the last one."""
        tile = f"get_group_id(0) / {self.parts}" if self.parts > 1 else "get_group_id(0)"
        return f"{tile} * {self.rows} + row" if self.rows > 1 else tile

    @property
    def last(self) -> str:
        """C text: number of the last result."""
        return index_literal(self.count - 1, self.item)

    @property
    def other(self) -> str:
        """C text: the work-item `step` lanes further along the same result."""
        return f"me + step * {self.rows}" if self.across and self.rows > 1 else "me + step"

    @property
    def first_lane(self) -> str:
        """C text: the work-item that holds what the tree came to."""
        return "row" if self.across else f"row * {self.lanes}" if self.rows > 1 else "0"

    @property
    def inside(self) -> str:
        """C text: the result is not beyond the last one; empty where none is."""
        return f"number < {self.count}" if self.count % self.rows else ""

    @property
    def span(self) -> int:
        """Elements of one part."""
        return -(-self.length // self.parts)

    @property
    def each(self) -> int:
        """The most elements one work-item takes."""
        return -(-self.span // self.lanes)

    @property
    def index(self) -> str:
        """C type of an element's position, rounded up to whole rounds of the work-group."""
        return index_type(self.parts * self.span + 64 * self.lanes)

    @property
    def item(self) -> str:
        """C type of a result's number."""
        return index_type(self.count + self.rows)

    @property
    def global_size(self) -> tuple[int]:
        return (-(-self.count // self.rows) * self.parts * self.local,)

    @property
    def local_size(self) -> tuple[int]:
        return (self.local,)


def team(
    count: int, length: int, run: int, inner: bool, bytes_each: int, target: Target, spread: bool = False
) -> Team | None:  # fmt: skip
    """None where work-items that take one result each do as well.

    run: results side by side in memory; inner: a result's elements lie side by side; bytes_each: local memory that one
    work-item needs; spread: whether several groups may share a result.
    """
    local = _local(bytes_each, target)
    if local < 2 or length < SHORT:
        return None
    full = target.compute_units * GROUPS_PER_UNIT * local
    if not inner and count >= full:
        return None
    rows = 1 if inner else min(local, ALONG, _power_above(run))
    lanes = min(local // rows, _power_below(length))
    if inner:
        rows = min(local // lanes, _power_above(count))
    if lanes == 1:
        return None
    parts = 1
    if spread:
        groups = -(-count // rows)
        parts = max(1, min(target.compute_units * GROUPS_PER_UNIT // groups, length // (lanes * FEWEST)))
    return Team(count, length, lanes, rows, parts, across=not inner)


def _local(bytes_each: int, target: Target) -> int:
    """Work-items of a group: a power of two within the device's limits, 1 where there is no local memory to meet in."""
    if target.vector_width > 1:
        return 1
    return _power_below(max(1, min(target.work_group, target.max_work_group, target.local_memory // bytes_each)))


def _power_below(value: int) -> int:
    return 1 << (value.bit_length() - 1)


def _power_above(value: int) -> int:
    return 1 << (value - 1).bit_length()
