"""Every case of every operation on every device, against the numpy references; every candidate kernel too."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pytest
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.conformance.case import FAMILIES, Case, cases_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import candidates, compare, family_graph, nth
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan.build import build_plan
from nnef_cl.session import Session
from tests.conftest import OCLGRIND, first_device, selectors
from tests.device.shapes import open_shaped

GPU = "gpu small" if OCLGRIND else "gpu"
EVERY = 4
"""Quick tests have one in so many cases on a device programmed as a GPU, and of further candidates."""
LARGEST = "conv"
"""The family that takes longest to compile: quick tests have every third case."""
ALTERNATIVES = (
    ("conv", "own", EVERY), ("matmul", GPU, EVERY),
    *(pytest.param(*one, 1, marks=pytest.mark.slow) for one in (("conv", "own"), ("conv", GPU), ("matmul", GPU))),
)  # fmt: skip
"""Families with operations that have several candidate kernels, the shape of the device where they do, and how many of
their cases: 1 in so many."""


MOST_SIMULATED = 17_500
"""Elements of a tensor; larger ones take minutes."""


def run(cases: Sequence[Case], selector: str, shape: str, candidate: int) -> dict[str, np.ndarray]:
    """The cases' results on a device; two runs of one session must be bit-equal."""
    graph, inputs = family_graph(cases)
    with Session(graph, open_shaped(selector, shape), STANDARD | INTERNAL, choose=nth(candidate)) as session:
        first, second = session.run(inputs), session.run(inputs)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
        return first


@functools.cache
def numbers(family: str, shape: str, quick: bool) -> tuple[int, ...]:
    """The cases that the quick tests run on a device of that shape, or the others. The first of every operation is
    among them; on the simulator nothing is slow."""
    ops = [case.op for case in cases_of(family)]
    step = EVERY if shape != "own" else 3 if family == LARGEST else 1
    return tuple(
        number for number, op in enumerate(ops)
        if (OCLGRIND or number % step == step // 2 or ops.index(op) == number) == quick
    )  # fmt: skip


@functools.cache
def outputs(family: str, selector: str, shape: str, quick: bool) -> dict[int, list[np.ndarray]]:
    """By the number of the case: its results, one array each."""
    chosen = numbers(family, shape, quick)
    cases = [cases_of(family)[number] for number in chosen]
    got = run(cases, selector, shape, 0)
    return {number: results(case, k, got) for k, (number, case) in enumerate(zip(chosen, cases, strict=True))}


def results(case: Case, number: int, got: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [got[f"c{number}_y{k}"] for k in range(len(case.reference()))]


def check(case: Case, got: Sequence[np.ndarray]) -> None:
    for array, expected in zip(got, case.reference(), strict=True):
        compare(case.id, array, expected, tolerance(case.op))


NUMBERED = [
    pytest.param(family, number, shape, quick, id=f"{family}-{cases_of(family)[number].id}-{shape}",
                 marks=() if quick else pytest.mark.slow)
    for family in FAMILIES for shape in ("own", GPU) for quick in (True, False)
    for number in numbers(family, shape, quick)
]  # fmt: skip


@pytest.mark.many_kernels
@pytest.mark.parametrize(("family", "number", "shape", "quick"), NUMBERED)
def test_case(family: str, number: int, shape: str, quick: bool, selector: str) -> None:
    case = cases_of(family)[number]
    if OCLGRIND and max(array.size for array in (*case.arrays, *case.reference())) > MOST_SIMULATED:
        pytest.skip("too large for the simulator")
    if OCLGRIND:  # alone, so that a report belongs to the case
        check(case, results(case, 0, run([case], selector, shape, 0)))
    else:
        check(case, outputs(family, selector, shape, quick)[number])


@pytest.mark.parametrize(("family", "shape"), [(LARGEST, "own"), *((family, GPU) for family in FAMILIES)])
def test_quick_cases_have_every_kind_of_kernel(family: str, shape: str) -> None:
    def kinds(cases: Sequence[Case]) -> set[tuple[str, str]]:
        graph = passes.run(family_graph(cases)[0], STANDARD | INTERNAL, target)
        steps = build_plan(graph, STANDARD | INTERNAL, target, nth(0)).steps
        return {(step.algorithm, type(step.kernel).__name__) for step in steps}

    target, cases = Target.generic(16) if shape == "own" else Target.gpu(), cases_of(family)
    assert kinds([cases[number] for number in numbers(family, shape, True)]) == kinds(cases)


@pytest.mark.parametrize("other", [one for one in selectors() if one != first_device()])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_case_of_every_operation(family: str, other: str) -> None:
    """What the quick tests run on devices that are not the first one; all tests run `test_case` there too."""
    cases = list({case.op: case for case in reversed(cases_of(family))}.values())
    got = run(cases, other, "own", 0)
    for number, case in enumerate(cases):
        check(case, results(case, number, got))


@pytest.mark.skipif(OCLGRIND, reason="the simulator takes scratch that kernels have written for uninitialised")
@pytest.mark.many_kernels
@pytest.mark.parametrize(("family", "shape", "step"), ALTERNATIVES)
def test_other_candidates(family: str, shape: str, step: int, selector: str) -> None:
    target = open_shaped(selector, shape).target
    counts = [candidates(one, target) for one in cases_of(family)]
    assert max(counts) > 1
    for candidate in range(1, max(counts)):
        having = [one for one, count in zip(cases_of(family), counts, strict=True) if count > candidate]
        cases = having[candidate % step :: step]
        got = run(cases, selector, shape, candidate)
        for number, case in enumerate(cases):
            check(case, results(case, number, got))
