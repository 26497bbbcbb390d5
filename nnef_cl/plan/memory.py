"""Lifetimes -> slots: places in few large buffers, shared by tensors that do not live at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

MANY = 10_000
"""Tensors from which on they are placed in order of execution, which packs less densely and takes less time."""
GOOD = 1.02
"""Times what is needed: no other order is tried."""
STARTS, ENDS, FIRST, LAST = range(4)


@dataclass(frozen=True)
class Lifetime:
    """bytes of one tensor, needed from step `first` to step `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Slot:
    """Part of an arena, a buffer of the device: from byte `offset` on."""

    arena: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Memory:
    """where: of every tensor. arenas: bytes of each buffer. needed: of the largest set of tensors that
    live at the same time, which no assignment can do without."""

    where: Mapping[str, Slot]
    arenas: tuple[int, ...]
    needed: int


def assign_slots(lifetimes: Sequence[Lifetime], alignment: int = 1, capacity: int | None = None) -> Memory:
    """alignment: bytes that offsets are multiples of. capacity: bytes up to which tensors share an arena; None: one
    arena; 0: every tensor has a buffer of its own.

    Tensors are placed one by one, each into the gap it wastes least of among those free over its whole lifetime. No
    order of them is best for every network: the best of three is taken.
    """
    if len(lifetimes) > MANY:
        return _assigned(sorted(lifetimes, key=lambda t: (t.first, -t.bytes)), alignment, capacity, in_order=True)
    fullest, needed = _fullest(lifetimes)
    orders: list[Callable[[Lifetime], tuple[int, ...]]] = [
        lambda t: (-t.bytes, t.first), lambda t: (-t.bytes * (t.last - t.first + 1), t.first),
        lambda t: (max(t.first - fullest, fullest - t.last, 0), -t.bytes, t.first),
    ]  # fmt: skip
    best = None
    for order in orders:
        found = _assigned(sorted(lifetimes, key=order), alignment, capacity)
        if best is None or sum(found.arenas) < sum(best.arenas):
            best = found
        if capacity == 0 or sum(best.arenas) <= GOOD * needed:
            break
    assert best is not None
    return best


def _assigned(
    order: Sequence[Lifetime], alignment: int, capacity: int | None, in_order: bool = False
) -> Memory:
    """in_order: of their first steps."""
    arenas: list[_Arena] = []
    where: dict[str, Slot] = {}
    for life in order:
        slot = where[life.name] = _place(life, arenas, alignment, capacity)
        if in_order:
            arenas[slot.arena].forget(life.first)
    return Memory(where, tuple(arena.bytes for arena in arenas), lower_bound(order))


def _place(life: Lifetime, arenas: list[_Arena], alignment: int, capacity: int | None) -> Slot:
    for number, arena in enumerate(arenas if capacity != 0 else ()):
        offset = arena.gap(life)
        if capacity is None or offset + life.bytes <= capacity:
            arena.put(life, offset)
            return Slot(number, offset, life.bytes)
    arenas.append(_Arena(alignment))
    arenas[-1].put(life, 0)
    return Slot(len(arenas) - 1, 0, life.bytes)


@dataclass
class _Arena:
    """used: a column per tensor that is placed, in order of their starts."""

    alignment: int
    bytes: int = 0
    used: np.ndarray = field(default_factory=lambda: np.zeros((4, 0), np.int64))

    def gap(self, life: Lifetime) -> int:
        """Where the tensor wastes least."""
        alive = self.used[:, (self.used[FIRST] <= life.last) & (self.used[LAST] >= life.first)]
        reached = np.maximum.accumulate(np.append(0, alive[ENDS]))
        room = alive[STARTS] - reached[:-1]
        fitting = np.flatnonzero(room >= life.bytes)
        return int(reached[fitting[np.argmin(room[fitting])]] if fitting.size else reached[-1])

    def put(self, life: Lifetime, offset: int) -> None:
        end = offset + -(-life.bytes // self.alignment) * self.alignment
        at = int(np.searchsorted(self.used[STARTS], offset))
        self.used = np.insert(self.used, at, (offset, end, life.first, life.last), axis=1)
        self.bytes = max(self.bytes, offset + life.bytes)

    def forget(self, step: int) -> None:
        """Tensors of earlier steps, once they are most of them."""
        kept = self.used[LAST] >= step
        if 2 * np.count_nonzero(kept) < kept.size:
            self.used = self.used[:, kept]


def lower_bound(lifetimes: Sequence[Lifetime]) -> int:
    """Bytes of the largest set of tensors that live at the same time."""
    return _fullest(lifetimes)[1]


def _fullest(lifetimes: Sequence[Lifetime]) -> tuple[int, int]:
    """The step at which most bytes are alive, and how many."""
    events: dict[int, int] = {}
    for life in lifetimes:
        events[life.first] = events.get(life.first, 0) + life.bytes
        events[life.last + 1] = events.get(life.last + 1, 0) - life.bytes
    live, fullest, peak = 0, 0, 0
    for step in sorted(events):
        live += events[step]
        if live > peak:
            fullest, peak = step, live
    return fullest, peak
