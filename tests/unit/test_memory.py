"""Slots: no two tensors that live together share one, and little is wasted."""

from __future__ import annotations

import random

from nnef_cl.plan.memory import Lifetime, assign_slots, lower_bound


def test_tensors_that_follow_each_other_share_a_slot() -> None:
    where, slots = assign_slots([Lifetime("a", 100, 0, 1), Lifetime("b", 60, 1, 2), Lifetime("c", 80, 2, 3)])
    assert where["a"] == where["c"] != where["b"]
    assert sorted(slots) == [60, 100]


def test_random_lifetimes_never_collide() -> None:
    random.seed(0)
    for _ in range(50):
        lives = []
        for k in range(40):
            first = random.randrange(60)
            lives.append(Lifetime(f"t{k}", random.randrange(1, 1000), first, first + random.randrange(6)))
        where, slots = assign_slots(lives)
        for a in lives:
            assert slots[where[a.name]] >= a.bytes
            for b in lives:
                if a is not b and where[a.name] == where[b.name]:
                    assert a.last < b.first or b.last < a.first
        assert sum(slots) >= lower_bound(lives)


def test_lower_bound_is_the_largest_live_set() -> None:
    assert lower_bound([Lifetime("a", 5, 0, 2), Lifetime("b", 7, 1, 1), Lifetime("c", 4, 3, 4)]) == 12
