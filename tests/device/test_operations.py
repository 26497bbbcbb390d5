"""Every case of every operation on every device, against the numpy references; every candidate kernel too."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from nnef_cl.device import open_device
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.harness import compare, family_graph, interpret, nth, result_count, tolerance
from tests.samples import Case
from tests.samples.elements import MATMUL, POINTWISE, REARRANGE, REDUCE
from tests.samples.windows import CONV, POOL, RESIZE

FAMILIES: dict[str, list[Case]] = {
    "pointwise": POINTWISE, "reduce": REDUCE, "matmul": MATMUL, "rearrange": REARRANGE, "conv": CONV, "pool": POOL,
    "resize": RESIZE,
}  # fmt: skip


@functools.cache
def references(family: str) -> dict[str, np.ndarray]:
    graph, inputs = family_graph(FAMILIES[family])
    return interpret(graph, inputs)


@functools.cache
def outputs(family: str, selector: str, candidate: int) -> dict[str, np.ndarray]:
    graph, inputs = family_graph(FAMILIES[family])
    with Session(graph, open_device(selector), STANDARD | INTERNAL, choose=nth(candidate)) as session:
        first, second = session.run(inputs), session.run(inputs)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name], err_msg=f"{name}: two runs differ")
        return first


def check(family: str, number: int, got: dict[str, np.ndarray]) -> None:
    case = FAMILIES[family][number]
    for k in range(result_count(case)):
        name = f"c{number}_y{k}"
        compare(case.id, got[name], references(family)[name], tolerance(case.op))


NUMBERED = [(family, number) for family, cases in FAMILIES.items() for number in range(len(cases))]
IDS = [FAMILIES[family][number].id for family, number in NUMBERED]


@pytest.mark.parametrize(("family", "number"), NUMBERED, ids=IDS)
def test_case(family: str, number: int, selector: str) -> None:
    check(family, number, outputs(family, selector, 0))


@pytest.mark.parametrize("number", range(len(CONV)), ids=[c.id for c in CONV])
def test_second_candidate(number: int, selector: str) -> None:
    check("conv", number, outputs("conv", selector, 1))


VECTORS = [(family, number) for family, number in NUMBERED if FAMILIES[family][number].expected is not None]


@pytest.mark.parametrize(("family", "number"), VECTORS)
def test_reference_agrees_with_the_specification(family: str, number: int) -> None:
    got = references(family)[f"c{number}_y0"]
    np.testing.assert_allclose(got.reshape(-1), FAMILIES[family][number].expected, rtol=1e-6, atol=1e-6)
