"""Lifetimes -> slots: whole buffers reused by tensors that do not live at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lifetime:
    """bytes of one tensor, needed from step `first` to step `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int


def assign_slots(lifetimes: Sequence[Lifetime]) -> tuple[dict[str, int], tuple[int, ...]]:
    """Tensor -> slot number, and the slots' sizes in bytes.

    Larger tensors first, each into the slot it wastes least in among those free over its whole lifetime: with
    descending sizes a slot never has to grow.
    """
    slots: list[tuple[int, list[Lifetime]]] = []
    where: dict[str, int] = {}
    for life in sorted(lifetimes, key=lambda t: (-t.bytes, t.first, t.name)):
        fitting = [k for k, (_, users) in enumerate(slots) if not any(_overlap(life, u) for u in users)]
        if fitting:
            best = min(fitting, key=lambda k: slots[k][0])
            slots[best][1].append(life)
        else:
            best = len(slots)
            slots.append((life.bytes, [life]))
        where[life.name] = best
    return where, tuple(size for size, _ in slots)


def _overlap(a: Lifetime, b: Lifetime) -> bool:
    return a.first <= b.last and b.first <= a.last


def lower_bound(lifetimes: Sequence[Lifetime]) -> int:
    """Bytes of the largest set of tensors that live at the same time."""
    events: dict[int, int] = {}
    for life in lifetimes:
        events[life.first] = events.get(life.first, 0) + life.bytes
        events[life.last + 1] = events.get(life.last + 1, 0) - life.bytes
    live = peak = 0
    for step in sorted(events):
        live += events[step]
        peak = max(peak, live)
    return peak
