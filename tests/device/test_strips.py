"""Windows of one pixel whose tiles are handed out in strips: every result is there, and neighbours come together."""

from __future__ import annotations

import pytest
from nnef_cl.codegen.kernels.conv_direct import MOST_REPEATED, ConvDirect

from nnef_cl.conformance.case import Case
from nnef_cl.conformance.harness import compare, interpret
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.device.test_chained import opened
from tests.device.test_winograd import conv, network

pytestmark = pytest.mark.usefixtures("in_blocks")

CASES = [
    conv((1, 16, 7, 24), 32, 1, 1),
    conv((2, 32, 8, 8), 48, 1, 1),
    conv((1, 16, 7, 82), 32, 1, 1),
    conv((1, 24, 410), 16, 1),
    conv((1, 16, 2, 5, 31), 24, 1, 1, 1),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.id)
def test_strips(one: Case, selector: str) -> None:
    graph, inputs = network(one)
    with Session(graph, opened(selector, cache=0), STANDARD | INTERNAL) as session:
        got = session.run(inputs)["y"]
        kernels = [step.kernel for step in session.plan.steps if isinstance(step.kernel, ConvDirect)]
        blocked = session.plan.target.vector_width >= 4
    compare(one.id, got, interpret(graph, inputs)["y"], 2e-5)
    assert any(kernel.strips > 1 for kernel in kernels) == blocked
    for kernel in kernels:
        tiles = -(-kernel.y.spec.shape[4] // kernel.tile)
        if kernel.strips > 1:
            assert 0 <= kernel.counts[-1] * kernel.strips - tiles <= tiles * MOST_REPEATED
