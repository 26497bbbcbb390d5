"""Every case of every operation on every device, against the numpy references; every candidate kernel too."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from nnef_cl.device import open_device
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.cases import FAMILIES, Case, cases_of
from tests.harness import compare, family_graph, nth, tolerance

ALTERNATIVES = ("conv",)
"""Families with operations that have a second candidate kernel."""


@functools.cache
def outputs(family: str, selector: str, candidate: int) -> dict[str, np.ndarray]:
    """The family's results on a device; two runs of one session must be bit-equal."""
    graph, inputs = family_graph(cases_of(family))
    with Session(graph, open_device(selector), STANDARD | INTERNAL, choose=nth(candidate)) as session:
        first, second = session.run(inputs), session.run(inputs)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name], err_msg=f"{name}: two runs differ")
        return first


def check(case: Case, number: int, got: dict[str, np.ndarray]) -> None:
    for k, expected in enumerate(case.reference()):
        compare(case.id, got[f"c{number}_y{k}"], expected, tolerance(case.op))


def numbered(families: tuple[str, ...]) -> list[object]:
    return [
        pytest.param(family, number, id=one.id) for family in families for number, one in enumerate(cases_of(family))
    ]


@pytest.mark.parametrize(("family", "number"), numbered(FAMILIES))
def test_case(family: str, number: int, selector: str) -> None:
    check(cases_of(family)[number], number, outputs(family, selector, 0))


@pytest.mark.parametrize(("family", "number"), numbered(ALTERNATIVES))
def test_second_candidate(family: str, number: int, selector: str) -> None:
    check(cases_of(family)[number], number, outputs(family, selector, 1))
