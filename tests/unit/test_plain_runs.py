"""Plain runs: convolutions whose channels would leave blocks empty stay plain, where that pays for the whole run."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.conformance.harness import OPS
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.layout import PLAIN
from nnef_cl.ops import STANDARD
from nnef_cl.ops.problem import make_problem
from nnef_cl.passes.plain_runs import pays_alone, plain_runs

CPU = replace(Target.generic(16), compute_units=2)


def network(shape: tuple[int, ...], *layers: str, merged: str = "") -> Graph:
    """layers: 'results size stride groups' of convolutions c0, c1, ..., groups 0: depthwise. merged: statement that
    makes y of them; else y is the last one."""
    lines, shapes = [f"x = external(shape = {list(shape)});"], dict[str, tuple[int, ...]]()
    channels, name = shape[1], "x"
    for number, layer in enumerate(layers):
        results, size, stride, groups = map(int, layer.split())
        filter = f"w{number}"
        shapes[filter] = (results, channels // (groups or channels), size, size)
        lines.append(f"{filter} = variable(shape = {list(shapes[filter])}, label = '{filter}');")
        lines.append(f"c{number} = relu(conv({name}, {filter}, stride = [{stride}, {stride}], groups = {groups}));")
        channels, name = results, f"c{number}"
    lines.append(merged or f"y = {name} * 2.0;")
    text = f"version 1.0; extension KHR_enable_operator_expressions; graph g( x ) -> ( y ) {{ {' '.join(lines)} }}"
    return import_document(parse_document(text), STANDARD, lambda label, _: np.ones(shapes[label], np.float32))


def stay_plain(graph: Graph, target: Target = CPU) -> list[bool]:
    """Of each convolution, in order."""
    fused = passes.run(graph, OPS, target, until="fuse")
    found = plain_runs(fused, OPS, target)
    laid = passes.run(graph, OPS, target, until="layout")
    left = [laid.tensors[node.outputs[0]].layout == PLAIN for node in laid.nodes if node.op == "conv"]
    in_runs = [node.outputs[0] in found for node in fused.nodes if node.op == "conv"]
    read = [laid.tensors[node.inputs[0]].layout == PLAIN for node in laid.nodes if node.op == "conv"]
    assert all((plain and as_is) or not in_run for plain, as_is, in_run in zip(left, read, in_runs, strict=True))
    return in_runs


DEPTHWISE_17 = ("17 3 2 1", "17 3 1 0", "17 1 1 1", "17 5 1 0", "17 1 1 1")


def test_runs_of_17_channels_stay_plain() -> None:
    assert stay_plain(network((3, 3, 150, 150), *DEPTHWISE_17)) == [True] * 5


def test_so_do_their_sums() -> None:
    graph = network((1, 3, 120, 120), *DEPTHWISE_17, merged="y = c4 + c2;")
    assert stay_plain(graph) == [True] * 5
    assert not any(node.op == "reorder" for node in passes.run(graph, OPS, CPU, until="layout").nodes)


@pytest.mark.parametrize("channels", (16, 48, 64))
def test_full_blocks_are_blocks(channels: int) -> None:
    layers = [layer.replace("17", str(channels)) for layer in DEPTHWISE_17]
    assert stay_plain(network((3, 3, 150, 150), *layers)) == [False] * 5


@pytest.mark.parametrize("last", ("3 1 1 1", "3 3 1 1"))
def test_few_results_belong_to_the_run(last: str) -> None:
    """Which other kernels would compute from blocks."""
    assert stay_plain(network((1, 3, 100, 100), "17 3 1 1", "17 3 1 0", "17 1 1 1", "17 3 1 0", last)) == [True] * 5


def test_one_layer_is_not_worth_the_way_there_and_back() -> None:
    """Between 3x3 convolutions, which read and leave blocks."""
    layers = ("64 3 1 1", "17 3 1 1", "17 3 1 0", "64 3 1 1")
    assert stay_plain(network((1, 64, 60, 60), *layers)) == [False] * 4


def test_many_products_per_byte_are_made_in_blocks() -> None:
    """By fewer multiplications, where 17 channels are multiplied with 17."""
    assert stay_plain(network((1, 17, 60, 60), *["17 5 1 1"] * 3)) == [False] * 3


def test_many_runs_in_steps_as_many_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these groups is a run of its own; no run looks at what the others read."""
    steps: list[str] = []
    module = importlib.import_module("nnef_cl.passes.plain_runs")
    monkeypatch.setattr(module, "_crosses", lambda read, run, runs, real=module._crosses: steps.append(run) or real(read, run, runs))
    counts = []
    for blocks in (10, 60):
        steps.clear()
        graph = network((1, 240, 160, 160), *("240 1 1 1", "240 3 1 24") * blocks)
        assert stay_plain(graph) == [False, True] * blocks
        counts.append(len(steps) / blocks)
    assert 0 < counts[1] <= 1.1 * counts[0]


@pytest.mark.parametrize(("groups", "plain"), ((24, True), (8, True), (60, False), (15, False)))
def test_groups_that_fill_no_block(groups: int, plain: bool) -> None:
    """Of 10 and of 30 channels; 4 are shuffled, 16 fill one."""
    graph = network((1, 240, 60, 60), "240 1 1 1", f"240 3 1 {groups}", "240 1 1 1")
    assert stay_plain(graph) == [False, plain, False]


def test_short_rows_are_blocks() -> None:
    """Shorter than a vector."""
    assert stay_plain(network((8, 17, 12, 12), "17 3 1 0", "17 3 1 0")) == [False] * 2


def test_without_vectors_there_are_no_blocks() -> None:
    fused = passes.run(network((3, 3, 150, 150), *DEPTHWISE_17), OPS, CPU, until="fuse")
    assert passes.run(fused, OPS, replace(CPU, vector_width=1), until="layout").nodes == fused.nodes


@pytest.mark.parametrize(
    ("channels", "layer", "plain"),
    ((3, "24 3 1 1", True), (1, "24 5 1 1", True), (20, "20 7 1 0", True), (3, "64 7 2 1", False), (1, "64 9 1 1", False)),
)
def test_alone(channels: int, layer: str, plain: bool) -> None:
    """Between plain tensors; large windows and many results take fewer multiplications in blocks."""
    graph = passes.run(network((1, channels, 100, 100), layer), OPS, CPU, until="fuse")
    (node,) = [node for node in graph.nodes if node.op == "conv"]
    assert pays_alone(make_problem(node, graph.tensors, graph.constants, OPS), CPU) == plain
    laid = passes.run(graph, OPS, CPU, until="layout")
    assert [laid.tensors[node.outputs[0]].layout == PLAIN for node in laid.nodes if node.op == "conv"] == [plain]
