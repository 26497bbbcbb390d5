"""Every case whose operation takes channel blocks, computed in blocks though nothing before it asks for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nnef_cl import passes
from nnef_cl.conformance.case import FAMILIES, Case, cases_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import OPS, compare, family_graph, interpret
from nnef_cl.device import Device, open_device
from nnef_cl.executor import Executable
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.verify import verify
from nnef_cl.ops import STANDARD
from nnef_cl.passes.layout import layout
from nnef_cl.plan.build import build_plan
from nnef_cl.session import Session
from nnef_cl.stream import Stream
from tests.conftest import OCLGRIND

pytestmark = [pytest.mark.many_kernels, pytest.mark.skipif(OCLGRIND, reason="families are too large for the simulator")]


def in_blocks(graph: Graph, device: Device) -> Graph:
    """The graph after all passes, the layout pass being eager."""
    eager = layout(passes.run(graph, OPS, device.target, until="fuse"), OPS, device.target, eager=True)
    verify(eager, "layout")
    return eager


def run(cases: Sequence[Case], device: Device) -> dict[str, np.ndarray]:
    graph, inputs = family_graph(cases)
    graph = in_blocks(graph, device)
    executable = Executable(build_plan(graph, OPS, device.target), device)
    try:
        executable.compile()
        executable.upload()
        return Stream(executable).run(inputs)
    finally:
        executable.close()


def test_what_lies_in_blocks(selector: str) -> None:
    device = open_device(selector)
    graph = in_blocks(family_graph([case for case in cases_of("pool") if ranked(case)])[0], device)
    found = {node.op for node in graph.nodes if graph.tensors[node.outputs[0]].layout.block > 1}
    assert {"box", "max_pool", "map"} <= found or device.target.vector_width < 4


def test_a_single_channel_stays_plain(selector: str) -> None:
    """Also where a convolution has put the pool's input into blocks."""
    text = """version 1.0; graph g( x ) -> ( y, z ) { x = external(shape = [1, 1, 6, 7]);
              f = variable(shape = [16, 1, 3, 3], label = 'f'); y = conv(x, f, groups = 0);
              z = max_pool(x, size = [1, 1, 3, 1], padding = [(0, 0), (0, 0), (1, 0), (2, 1)], border = 'reflect'); }"""
    rng = np.random.default_rng(1)
    filter, x = (rng.standard_normal(shape, np.float32) for shape in ((16, 1, 3, 3), (1, 1, 6, 7)))
    graph = import_document(parse_document(text), STANDARD, lambda label, position: filter)
    with Session(graph, open_device(selector), OPS) as session:
        got = session.run({"x": x})
    expected = interpret(graph, {"x": x})
    for name, result in got.items():
        compare(name, result, expected[name], 1e-5)


def ranked(case: Case) -> bool:
    return case.arrays[0].ndim >= 3 and case.arrays[0].dtype == np.float32


@pytest.mark.parametrize("step", (5, pytest.param(1, marks=pytest.mark.slow)))
@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "conv" and any(map(ranked, cases_of(f)))])
def test_family(family: str, step: int, selector: str) -> None:
    device = open_device(selector)
    if device.target.vector_width < 4:
        pytest.skip("no channel blocks on this device")
    cases = [case for case in cases_of(family) if ranked(case)][::step]
    got = run(cases, device)
    for number, case in enumerate(cases):
        for k, expected in enumerate(case.reference()):
            compare(case.id, got[f"c{number}_y{k}"], expected, tolerance(case.op))
