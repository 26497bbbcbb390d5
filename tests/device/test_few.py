"""Convolutions with fewer results than lanes, of inputs in channel blocks, on every device."""

from __future__ import annotations

import pytest
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.kernel import Candidate
from nnef_cl.codegen.kernels.conv_few import few_tiles

from nnef_cl.conformance.case import Case
from nnef_cl.conformance.conv import deconv
from nnef_cl.conformance.harness import compare, interpret
from nnef_cl.device import open_device
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Problem
from nnef_cl.session import Session
from tests.conftest import OCLGRIND
from tests.device.test_chained import opened
from tests.device.test_winograd import conv, network

pytestmark = pytest.mark.usefixtures("in_blocks")

CASES = [
    conv((2, 20, 5, 4), 1, 3, 3, padding=[(1, 1), (0, 2)]),
    conv((1, 16, 7, 30), 3, 5, 3, padding=[(2, 2), (1, 1)], border="reflect"),
    conv((1, 33, 9, 11), 2, 3, 3, padding=[(4, 5), (3, 3)], border="replicate", stride=[2, 3]),
    conv((1, 16, 6, 8), 1, 3, 3, padding=[(3, 2), (2, 3)], border="reflect-even", dilation=[2, 2]),
    conv((1, 17, 6, 7), 3, 1, 1),
    conv((3, 16, 9, 10), 1, 3, 3, padding=[(-1, -2), (-1, 1)]),
    conv((1, 16, 4, 5), 2, 3, 3, padding=[(6, 6), (7, 7)]),
    conv((2, 32, 40), 1, 9, padding=[(4, 4)]),
    conv((1, 16, 3, 4, 9), 3, 3, 3, 3, padding=[(1, 1), (1, 1), (1, 1)]),
    conv((1, 24, 3, 30), 7, 3, 3, padding=[(1, 1), (1, 1)]),
]


DECONVOLUTIONS = [
    deconv((1, 32, 4, 5), (32, 1, 4, 4), stride=[2, 2], padding=[(1, 1), (1, 1)]),
    deconv((2, 20, 5, 4), (20, 3, 3, 3), stride=[2, 3]),
    deconv((1, 16, 3, 4), (16, 2, 2, 2), stride=[3, 3], padding=[(0, 0), (0, 0)]),
    deconv((1, 16, 9), (16, 2, 5), stride=[4]),
    deconv((1, 24, 4, 3), (24, 7, 3, 3), stride=[1, 2], dilation=[2, 1]),
]


@pytest.mark.parametrize("one", [CASES[0], DECONVOLUTIONS[0]] if OCLGRIND else CASES + DECONVOLUTIONS, ids=lambda one: one.id)
def test_few_results(one: Case, selector: str) -> None:
    graph, inputs = network(one)
    with Session(graph, opened(selector, cache=0), STANDARD | INTERNAL) as session:
        got = session.run(inputs)["y"]
        width = session.plan.target.vector_width
        algorithms = {step.algorithm for step in session.plan.steps}
    compare(one.id, got, interpret(graph, inputs)["y"], 2e-5)
    few = {"conv": "conv_few", "deconv": "deconv_few_phases"}[one.op]
    assert (few in algorithms) == (2 * session.outputs["y"].shape[1] < width)


@pytest.mark.skipif(OCLGRIND, reason="the simulator mistakes what an earlier program left behind for this one's")
def test_every_tile(selector: str) -> None:
    graph, inputs = network(CASES[0])
    expected = interpret(graph, inputs)["y"]
    tried: set[tuple[int, ...]] = set()

    def choose(problem: Problem, candidates: list[Candidate]) -> Candidate:
        space = candidates[0].space
        if candidates[0].algorithm != "conv_few" or space is None:
            return candidates[0]
        sizes = next(sizes for sizes in (*space.sizes, space.sizes[0]) if sizes not in tried)
        tried.add(sizes)
        made = space.make(sizes)
        assert made is not None
        return made

    count = len(few_tiles(Access("y", TensorSpec((2, 1, 1, 3, 4))), open_device(selector).target))
    for _ in range(count):
        with Session(graph, open_device(selector), STANDARD | INTERNAL, choose=choose) as session:
            compare("tile", session.run(inputs)["y"], expected, 2e-5)
    assert count > 1 and len(tried) == (count if open_device(selector).target.vector_width >= 4 else 0)
