"""Every case of every operation on every device, against the numpy references; every candidate kernel too."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pytest

from nnef_cl.conformance.case import FAMILIES, Case, cases_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import candidates, compare, family_graph, nth
from nnef_cl.device import open_device
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.conftest import OCLGRIND

ALTERNATIVES = ("conv",)
"""Families with operations that have a second candidate kernel."""


def run(cases: Sequence[Case], selector: str, candidate: int) -> dict[str, np.ndarray]:
    """The cases' results on a device; two runs of one session must be bit-equal."""
    graph, inputs = family_graph(cases)
    with Session(graph, open_device(selector), STANDARD | INTERNAL, choose=nth(candidate)) as session:
        first, second = session.run(inputs), session.run(inputs)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
        return first


@functools.cache
def outputs(family: str, selector: str) -> dict[str, np.ndarray]:
    return run(cases_of(family), selector, 0)


def check(case: Case, number: int, got: dict[str, np.ndarray]) -> None:
    for k, expected in enumerate(case.reference()):
        compare(case.id, got[f"c{number}_y{k}"], expected, tolerance(case.op))


NUMBERED = [
    pytest.param(family, number, id=one.id) for family in FAMILIES for number, one in enumerate(cases_of(family))
]


@pytest.mark.parametrize(("family", "number"), NUMBERED)
def test_case(family: str, number: int, selector: str) -> None:
    case = cases_of(family)[number]
    if OCLGRIND:  # alone, so that a report belongs to the case
        check(case, 0, run([case], selector, 0))
    else:
        check(case, number, outputs(family, selector))


@pytest.mark.parametrize("family", ALTERNATIVES)
def test_second_candidates(family: str, selector: str) -> None:
    cases = [one for one in cases_of(family) if candidates(one, open_device(selector).target) > 1]
    assert cases
    got = run(cases, selector, 1)
    for number, one in enumerate(cases):
        check(one, number, got)
