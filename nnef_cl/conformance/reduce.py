"""Cases of the reductions: ranks 0 to 8, every kind of axes, ties and NaN."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from nnef_cl.conformance.case import Case, case, constant, f32, given, mask, weights

SCALAR = ("sum_reduce", "mean_reduce", "max_reduce", "min_reduce", "argmax_reduce", "argmin_reduce")
LOGICAL = ("any_reduce", "all_reduce")

ARGUMENTS: tuple[tuple[tuple[int, ...], list[int]], ...] = (
    ((2, 5, 3, 4), [0]), ((2, 5, 3, 4), [1]), ((2, 5, 3, 4), [3]), ((2, 5, 3, 4), [2, 3]), ((2, 5, 3, 4), [3, 1]),
    ((2, 5, 3, 4), [0, 1, 2, 3]), ((2, 5, 3, 4), []), ((2, 16, 7, 7), [2, 3]), ((1, 33, 4, 4), [3, 2]),
    ((1, 16, 1, 1), [2, 3]), ((300,), [0]), ((1000, 2), [0]), ((3, 257), [1]), ((), []), ((1,), [0]),
    ((2, 1, 2, 3, 1, 2, 2, 3), [1, 3, 7]), ((2, 1, 2, 3, 1, 2, 2, 3), [0, 2, 4, 6]), ((16, 3), [0, 1]),
    ((3, 6, 37), [1]), ((2, 3, 37), [0, 2]),
)  # fmt: skip
"""Shape and axes; axes in any order."""

GRID = [[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]


def known(op: str, values: Any, axes: list[int], expected: Any, kind: str = "f", **attrs: Any) -> Case:
    return case(op, given(values, kind), axes=axes, expected=expected, **attrs)


def vectors() -> list[Case]:
    ties = [[1.0, 7.0, 7.0], [7.0, 1.0, 1.0]]
    return [
        known("sum_reduce", GRID, [1], [[6.0], [9.0]]),
        known("sum_reduce", GRID, [0, 1], [[2.5]], normalize=True),
        known("mean_reduce", GRID, [0], [[1.5, 3.0, 3.0]]),
        known("max_reduce", GRID, [1], [[3.0], [5.0]]),
        known("min_reduce", GRID, [0], [[0.0, 1.0, 2.0]]),
        known("argmax_reduce", ties, [1], [[1], [0]]),
        known("argmin_reduce", ties, [1], [[0], [1]]),
        known("argmax_reduce", ties, [0], [[1, 0, 0]]),
        known("argmax_reduce", GRID, [0, 1], [[4]]),
        known("argmin_reduce", GRID, [1, 0], [[3]]),
        known("argmax_reduce", [[[0.0, 1], [2, 2]], [[5, 1], [2, 9]]], [0, 2], [[[2], [3]]]),
        known("argmax_reduce", [[5.0], [6.0]], [], [[0], [0]]),
        known("max_reduce", [[1.0, nan], [inf, -inf]], [1], [[nan], [inf]]),
        known("min_reduce", [[nan, 1.0], [inf, -inf]], [1], [[nan], [-inf]]),
        known("max_reduce", [-inf, -inf], [0], [-inf]),
        known("sum_reduce", [inf, 1.0], [0], [inf]),
        known("any_reduce", [[True, False], [False, False]], [1], [[True], [False]], "b"),
        known("all_reduce", [[True, False], [True, True]], [1], [[False], [True]], "b"),
        known("any_reduce", [[False, False], [True, False]], [0, 1], [[True]], "b"),
        known("all_reduce", [[True, False], [True, True]], [0], [[True, False]], "b"),
    ]


def shapes() -> list[Case]:
    found = [case(op, f32(*shape), axes=axes) for op in SCALAR for shape, axes in ARGUMENTS]
    found += [case("sum_reduce", f32(*shape), axes=axes, normalize=True) for shape, axes in ARGUMENTS]
    found += [case(op, mask(*shape), axes=axes) for op in LOGICAL for shape, axes in ARGUMENTS]
    found += [case(op, weights(3, 5), axes=[1]) for op in SCALAR]
    found.append(case("any_reduce", constant(mask(3, 5)), axes=[1]))
    return found


def long() -> list[Case]:
    """Long enough for several work-groups to share one result."""
    found = [
        case(op, f32(*shape), axes=axes)
        for op in ("sum_reduce", "max_reduce", "argmin_reduce")
        for shape, axes in (((9001,), [0]), ((2, 4500), [1]), ((3001, 3), [0]), ((2, 3, 30, 51), [0, 2, 3]))
    ]
    found += [
        case(op, f32(*shape), axes=axes)
        for op in ("mean_reduce", "max_reduce")
        for shape, axes in (((70001,), [0]), ((3, 30011), [1]), ((40000, 2), [0]), ((3, 100, 2, 161), [0, 1, 3]))
    ]
    late, rising = [float(n % 7) for n in range(9000)], [float(n) for n in range(9000)]
    late[4321] = late[8765] = nan
    found += [
        known("argmax_reduce", late, [0], [4321]),
        known("max_reduce", late, [0], [nan]),
        known("argmax_reduce", [3.0] * 9000, [0], [0]),
        known("argmin_reduce", [-inf] * 9000, [0], [0]),
        known("argmax_reduce", [-inf] * 9000, [0], [0]),
        known("argmax_reduce", rising, [0], [8999]),
        known("any_reduce", [n == 8999 for n in range(9000)], [0], [True], "b"),
        known("all_reduce", [n != 1 for n in range(9000)], [0], [False], "b"),
        known("any_reduce", [False] * 9000, [0], [False], "b"),
        known("all_reduce", [True] * 9000, [0], [True], "b"),
    ]
    return found


CASES = [*vectors(), *shapes(), *long()]
