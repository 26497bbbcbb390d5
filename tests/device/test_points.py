"""Every point of a kernel's space computes the same: quickly some of small spaces, slowly all of them and of every case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nnef_cl.codegen.kernel import Candidate

from nnef_cl.conformance.case import Case, case, cases_of, f32, weights
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import compare, family_graph
from nnef_cl.device import open_device
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Problem
from nnef_cl.session import Session
from tests.device.shapes import open_shaped

pytestmark = pytest.mark.many_kernels

ROUNDS = 4
"""Of points drawn for every case."""
QUICK = 6
"""Points of one space that the quick tests draw."""


def every(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates at all of their points."""
    found = [candidate.at(point) for candidate in candidates for point in candidate.points]
    return [one for one in found if one is not None]


def conv(shape: tuple[int, ...], filter: tuple[int, ...], **attrs: Any) -> Case:
    return case("conv", f32(*shape), weights(*filter), weights(1, filter[0]), **attrs)


SMALL = {
    "pixels": conv((1, 20, 3, 5), (33, 20, 1, 1)),
    "patches": conv((2, 17, 5, 9), (64, 17, 3, 3), padding=[(1, 1), (2, 0)], stride=[1, 2]),
    "transformed": conv((1, 16, 7, 6), (32, 16, 3, 3), padding=[(1, 1), (1, 1)]),
    "groups": conv((1, 64, 5, 6), (96, 32, 3, 3), groups=2, padding=[(1, 1), (1, 1)]),
    "depthwise": conv((1, 33, 6, 11), (33, 1, 3, 3), groups=33, padding=[(1, 1), (1, 1)]),
    "weights": case("matmul", f32(1, 11, 7), weights(1, 7, 70)),
    "two inputs": case("matmul", f32(2, 5, 9), f32(2, 130, 9), transposeB=True),
}


def run(cases: list[Case], device: Any, choose: Any) -> dict[str, np.ndarray]:
    graph, inputs = family_graph(cases)
    with Session(graph, device, STANDARD | INTERNAL, choose=choose) as session:
        first, second = session.run(inputs), session.run(inputs)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    return first


@pytest.mark.parametrize("name", SMALL)
def test_some_points(name: str, selector: str) -> None:
    check(name, selector, "own", QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ("own", "gpu"))
@pytest.mark.parametrize("name", SMALL)
def test_every_point(name: str, selector: str, shape: str) -> None:
    check(name, selector, shape, None)


def check(name: str, selector: str, shape: str, most: int | None) -> None:
    """The case as often as it has points, each time with another one; or as `most` drawn ones."""
    spaces: list[list[Candidate]] = []
    used: list[Candidate] = []

    def measure(problem: Problem, candidates: list[Candidate]) -> Candidate:
        spaces.append(every(candidates))
        return candidates[0]

    def choose(problem: Problem, candidates: list[Candidate]) -> Candidate:
        if problem.op.name != SMALL[name].op:
            return candidates[0]
        used.append(every(candidates)[numbers[len(used)]])
        return used[-1]

    device = open_shaped(selector, shape)
    expected = SMALL[name].reference()[0]
    first = run([SMALL[name]], device, measure)
    compare(name, first["c0_y0"], expected, tolerance("conv"))
    numbers = list(range(max(map(len, spaces))))
    if most is not None:
        numbers = np.random.default_rng(len(name)).permutation(numbers)[:most].tolist()
    got = run([SMALL[name]] * len(numbers), device, choose)
    assert len({repr(one.launches) for one in used}) == len(numbers)
    for number, one in enumerate(used):
        compare(f"{name}, {one}"[:300], got[f"c{number}_y0"], expected, tolerance("conv") if one.exact else 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("family", ("conv", "matmul"))
def test_drawn_points_of_every_case(family: str, number: int, selector: str) -> None:
    rng = np.random.default_rng(number)

    def choose(problem: Problem, candidates: list[Candidate]) -> Candidate:
        points = every(candidates)
        return points[int(rng.integers(len(points)))]

    cases = list(cases_of(family))
    got = run(cases, open_device(selector), choose)
    for k, one in enumerate(cases):
        compare(one.id, got[f"c{k}_y0"], one.reference()[0], 1e-4)
