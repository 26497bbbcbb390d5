"""Slots: no two tensors that live together share memory, and little is wasted."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.importer import import_model
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan import memory
from nnef_cl.plan.build import build_plan
from nnef_cl.plan.memory import Lifetime, Memory, Slot, assign_slots, lower_bound

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

pytest.importorskip("onnx")
import zoo

ALIGNMENT = 256


def overlap(a: Slot, b: Slot) -> bool:
    return a.arena == b.arena and a.offset < b.offset + b.bytes and b.offset < a.offset + a.bytes


def check(lives: list[Lifetime], found: Memory) -> None:
    """Every tensor in its slot, every slot in its arena, and no memory in two uses."""
    for a in lives:
        slot = found.where[a.name]
        assert slot.bytes == a.bytes and slot.offset % ALIGNMENT == 0
        assert slot.offset + slot.bytes <= found.arenas[slot.arena]
        for b in lives:
            if a is not b and a.first <= b.last and b.first <= a.last:
                assert not overlap(slot, found.where[b.name])
    assert sum(found.arenas) >= found.needed == lower_bound(lives)


def drawn(seed: int, count: int = 40) -> list[Lifetime]:
    random.seed(seed)
    lives = []
    for k in range(count):
        first = random.randrange(60)
        lives.append(Lifetime(f"t{k}", random.randrange(1, 1 << 20), first, first + random.randrange(6)))
    return lives


def test_tensors_that_follow_each_other_share_memory() -> None:
    lives = [Lifetime("a", 100, 0, 1), Lifetime("b", 60, 1, 2), Lifetime("c", 80, 2, 3)]
    found = assign_slots(lives, ALIGNMENT)
    a, b, c = (found.where[name] for name in "abc")
    assert a == Slot(0, 0, 100) and c == Slot(0, 0, 80) and b == Slot(0, ALIGNMENT, 60)
    assert found.arenas == (ALIGNMENT + 60,) and found.needed == 160


def test_two_small_ones_take_the_place_of_a_large_one() -> None:
    """Whole buffers could not: 8 + 4 of them would be needed."""
    lives = [Lifetime("a", 8, 0, 1), Lifetime("b", 4, 2, 3), Lifetime("c", 4, 2, 3)]
    assert assign_slots(lives).arenas == (8,)


@pytest.mark.parametrize("capacity", [None, 1 << 30, 3 << 20, 1 << 20, 1000, 0])
def test_random_lifetimes_never_collide(capacity: int | None) -> None:
    for seed in range(20):
        lives = drawn(seed)
        found = assign_slots(lives, ALIGNMENT, capacity)
        check(lives, found)
        assert len(found.arenas) == 1 or capacity is not None
        for number, arena in enumerate(found.arenas):
            largest = max(slot.bytes for slot in found.where.values() if slot.arena == number)
            assert capacity is None or arena <= max(capacity, largest)


def test_capacity_0_gives_every_tensor_its_buffer() -> None:
    lives = drawn(0)
    found = assign_slots(lives, capacity=0)
    assert sorted(found.arenas) == sorted(life.bytes for life in lives)


def test_order_of_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MANY", 10)
    for seed in range(20):
        lives = drawn(seed)
        check(lives, assign_slots(lives, ALIGNMENT))


@pytest.mark.parametrize("last", [2, 15_000])
def test_many_tensors_take_no_long_time(last: int) -> None:
    """A chain, and one whose tensors all live to the end."""
    lives = [Lifetime(f"t{k}", 1000 + k % 7, k, max(k + 1, last)) for k in range(15_000)]
    started = time.process_time()
    found = assign_slots(lives)
    assert time.process_time() - started < 60
    assert found.needed <= sum(found.arenas)


def test_lower_bound_is_the_largest_live_set() -> None:
    assert lower_bound([Lifetime("a", 5, 0, 2), Lifetime("b", 7, 1, 1), Lifetime("c", 4, 3, 4)]) == 12


@pytest.mark.parametrize("name", zoo.NETWORKS)
@pytest.mark.parametrize(
    "target", [replace(Target.generic(16), alignment=128), replace(Target.gpu(), alignment=512)], ids=["cpu", "gpu"]
)
def test_networks_take_little_more_than_they_must(name: str, target: Target, tmp_path: Path) -> None:
    ops = STANDARD | INTERNAL
    built = zoo.build(name, tmp_path, width=0.5, size=zoo.NETWORKS[name].small)
    plan = build_plan(passes.run(import_model(built.nnef), ops, target), ops, target)
    assert plan.needed <= plan.arena_bytes <= 1.15 * plan.needed
