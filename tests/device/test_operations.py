"""Every case of every operation on every device, against the numpy references; every candidate kernel too."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pytest

from nnef_cl.conformance.case import FAMILIES, Case, cases_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import candidates, compare, family_graph, nth
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.conftest import OCLGRIND, first_device, selectors
from tests.device.shapes import open_shaped

GPU = "gpu small" if OCLGRIND else "gpu"
ALTERNATIVES = (("conv", "own"), pytest.param("conv", GPU, marks=pytest.mark.slow), ("matmul", GPU))
"""Families with operations that have several candidate kernels, and the shape of the device where they do."""
shapes = pytest.mark.parametrize("shape", ("own", GPU))


def run(cases: Sequence[Case], selector: str, shape: str, candidate: int) -> dict[str, np.ndarray]:
    """The cases' results on a device; two runs of one session must be bit-equal."""
    graph, inputs = family_graph(cases)
    with Session(graph, open_shaped(selector, shape), STANDARD | INTERNAL, choose=nth(candidate)) as session:
        first, second = session.run(inputs), session.run(inputs)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
        return first


@functools.cache
def outputs(family: str, selector: str, shape: str) -> dict[str, np.ndarray]:
    return run(cases_of(family), selector, shape, 0)


def check(case: Case, number: int, got: dict[str, np.ndarray]) -> None:
    for k, expected in enumerate(case.reference()):
        compare(case.id, got[f"c{number}_y{k}"], expected, tolerance(case.op))


NUMBERED = [
    pytest.param(family, number, id=f"{family}-{one.id}") for family in FAMILIES for number, one in enumerate(cases_of(family))
]


@pytest.mark.many_kernels
@shapes
@pytest.mark.parametrize(("family", "number"), NUMBERED)
def test_case(family: str, number: int, selector: str, shape: str) -> None:
    case = cases_of(family)[number]
    if OCLGRIND:  # alone, so that a report belongs to the case
        check(case, 0, run([case], selector, shape, 0))
    else:
        check(case, number, outputs(family, selector, shape))


@pytest.mark.parametrize("other", [one for one in selectors() if one != first_device()])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_case_of_every_operation(family: str, other: str) -> None:
    """What the quick tests run on devices that are not the first one; all tests run `test_case` there too."""
    cases = list({case.op: case for case in reversed(cases_of(family))}.values())
    got = run(cases, other, "own", 0)
    for number, case in enumerate(cases):
        check(case, number, got)


@pytest.mark.skipif(OCLGRIND, reason="the simulator takes scratch that kernels have written for uninitialised")
@pytest.mark.many_kernels
@pytest.mark.parametrize(("family", "shape"), ALTERNATIVES)
def test_other_candidates(family: str, selector: str, shape: str) -> None:
    target = open_shaped(selector, shape).target
    counts = [candidates(one, target) for one in cases_of(family)]
    assert max(counts) > 1
    for candidate in range(1, max(counts)):
        cases = [one for one, count in zip(cases_of(family), counts, strict=True) if count > candidate]
        got = run(cases, selector, shape, candidate)
        for number, one in enumerate(cases):
            check(one, number, got)
