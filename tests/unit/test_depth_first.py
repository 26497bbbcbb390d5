"""Depth-first: which operations take a batch row by row, what becomes of the graph, and that it means the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from nnef_cl.codegen.kernels.by_rows import ByRows, RowPlace
from nnef_cl.codegen.render import render_program
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.commands.dump import graph_facts
from nnef_cl.conformance.case import FAMILIES, cases_of
from nnef_cl.conformance.harness import OPS, compare, family_graph, interpret
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.dump import dump, to_json
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.verify import verify
from nnef_cl.ops import STANDARD
from nnef_cl.ops.rows import keeps_rows
from nnef_cl.ops.work import count_flops
from nnef_cl.passes.depth_first import depth_first
from nnef_cl.plan.build import build_plan
from nnef_cl.plan.records import Buffer

MB = 1 << 20
CPU = replace(Target.generic(16), cache=32 * MB, near_cache=MB, forward_progress=True)
X = "x = external(shape = [6, 16, 8, 8]); "
WEIGHTS = "".join(
    f"{name} = variable(shape = {list(shape)}, label = '{name}'); "
    for name, shape in {"w": (16, 16, 3, 3), "v": (16, 16, 1, 1), "m": (5, 1024)}.items()
)
TEXTS = {
    "a chain": X + WEIGHTS + "a = relu(conv(x, w)); y = conv(a, v);",
    "a branch": X + WEIGHTS + "a = conv(x, w); b = max_pool(a, size = [1, 1, 3, 3]); y = a + conv(b, v);",
    "parts of channels": X + WEIGHTS + "a = conv(x, v); [b, c] = split(a, axis = 1, ratios = [1, 1]); y = concat([c, b, x], axis = 1);",
    "another shape": X + WEIGHTS + "a = relu(x); b = reshape(a, shape = [0, -1]); y = linear(b, m);",
    "another shape outside": X + "a = relu(x); b = reshape(sin(a), shape = [0, -1]); y = reshape(b, shape = [-1]);",
    "another shape twice": X + "a = sin(relu(x)); b = reshape(a, shape = [0, -1]); y = concat([squeeze(unsqueeze(b, axes = [1]), axes = [1]), b], axis = 0);",
    "read inside and outside": X + WEIGHTS + "a = conv(x, v); b = relu(a); y = a - mean_reduce(b, axes = [0]);",
    "rows mixed": X + WEIGHTS + "a = conv(x, v); b = softmax(a, axes = [0]); c = conv(b, v); y = relu(c) * c;",
    "an epilogue with rows": X + WEIGHTS + "y = max(conv(x, v) * x, 0.25) + x;",
    "rows of its own": X + "k = variable(shape = [6, 1, 1, 1], label = 'k'); a = sin(x); y = a * k + a;",
    "normalised rows": X + "a = l2_normalization(x, axes = [1]); y = softmax(a, axes = [1, 2, 3]);",
    "logic": X + "a = sin(x); y = select(a > 0.25, a, x);",
}  # fmt: skip
DEEP = ("a chain", "a branch", "parts of channels", "another shape", "another shape outside", "an epilogue with rows",
        "normalised rows", "logic")  # fmt: skip


def made(text: str, shapes: dict[str, tuple[int, ...]] | None = None) -> Graph:
    document = parse_document(
        "version 1.0; extension KHR_enable_operator_expressions; extension KHR_enable_fragment_definitions; "
        f"graph g( x ) -> ( y ) {{ {text} }}"
    )
    random = np.random.default_rng(3)
    known = {"w": (16, 16, 3, 3), "v": (16, 16, 1, 1), "m": (5, 1024), "k": (6, 1, 1, 1)} | (shapes or {})
    return import_document(document, STANDARD, lambda label, _: random.standard_normal(known[label], np.float32))


def lowered(graph: Graph, target: Target = CPU) -> Graph:
    return passes.run(graph, OPS, target, until="rowwise")


def in_rows(graph: Graph, **settings: Any) -> Graph:
    """The graph after all passes, everything that can be being computed row by row."""
    target = replace(CPU, **settings)
    found = depth_first(lowered(graph, target), OPS, target, eager=True)
    verify(found, "depth_first")
    return found


def rows_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op == "by_rows"]


# Meaning -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", (1, 2, 4, 6))
@pytest.mark.parametrize("name", TEXTS)
def test_results_are_the_same(name: str, workers: int) -> None:
    """Rows that the workers cannot share evenly are computed another way."""
    graph = made(TEXTS[name])
    x = {"x": np.random.default_rng(1).standard_normal(graph.tensors["x"].shape, np.float32)}
    found = in_rows(graph, compute_units=workers)
    assert [node.attrs["rows"] for node in rows_nodes(found)][:1] == [6 - 6 % workers]
    compare(name, interpret(found, x)["y"], interpret(graph, x)["y"], 1e-6)
    if name in DEEP:
        inner = {"by_rows", "reshape", *(("slice", "concat") if 6 % workers else ())}
        assert rows_nodes(found) and (6 % workers or {node.op for node in found.nodes} <= inner)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_rules_allow_holds(family: str) -> None:
    """Every case with several rows; in its graph whatever can be computed row by row."""
    found = 0
    for case in cases_of(family):
        if not case.arrays or case.arrays[0].ndim == 0 or len(case.arrays[0]) < 2:
            continue
        graph, inputs = family_graph([case])
        one = in_rows(graph, compute_units=1)
        if rows_nodes(one):
            found += 1
            with np.errstate(all="ignore"):
                got, expected = interpret(one, dict(inputs)), interpret(graph, dict(inputs))
            for name in map(graph.output_tensor, graph.outputs):
                compare(case.id, got[name], expected[name], 1e-5)
    assert found or family in ("region", "state")


def test_other_rows_are_no_rows() -> None:
    """A filter that happens to have as many results as the batch has rows, and one that is computed."""
    text = "x = external(shape = [8, 8, 6, 6]); w = variable(shape = [8, 8, 1, 1], label = 'w'); a = relu(x); y = conv(sin(a), w);"
    graph = lowered(made(text, {"w": (8, 8, 1, 1)}))
    assert all(keeps_rows(node, graph, OPS, 8) for node in graph.nodes)
    computed = "x = external(shape = [8, 8, 1, 1]); a = relu(x); y = conv(a, sin(x));"
    graph = passes.run(made(computed), OPS, replace(CPU, vector_width=1), until="fuse")
    assert [keeps_rows(node, graph, OPS, 8) for node in graph.nodes if node.op == "conv"] == [False]


def test_a_state_is_read_by_all_rows() -> None:
    text = """version 1.0; extension KHR_enable_operator_expressions; graph g( x ) -> ( y ) {
              x = external(shape = [4, 8]); s = variable(shape = [1, 8], label = 's'); a = sin(x) * s; y = softmax(a);
              t = update(s, s + 1.0); }"""
    graph = import_document(parse_document(text), STANDARD, lambda *_: np.ones((1, 8), np.float32))
    found = in_rows(graph)
    (node,) = rows_nodes(found)
    assert node.attrs["body"].tensors["s"].shape == (1, 8) and node.inputs == ("x", "s")
    x = {"x": np.random.default_rng(0).standard_normal((4, 8), np.float32)}
    compare("state", interpret(found, x)["y"], interpret(graph, x)["y"], 1e-6)


# Choice ------------------------------------------------------------------------------------------------------
def network(rows: int, channels: int, size: int, layers: int, wide: int = 1) -> Graph:
    """3x3 convolutions of so many channels, then 1x1 ones of `wide` times as many on maps of a pixel."""
    lines = [f"x = external(shape = [{rows}, {channels}, {size}, {size}]);"]
    shapes: dict[str, tuple[int, ...]] = {}
    name = "x"
    for number in range(layers):
        shapes[f"w{number}"] = (channels, channels, 3, 3)
        lines.append(f"w{number} = variable(shape = {list(shapes[f'w{number}'])}, label = 'w{number}');")
        lines.append(f"t{number} = relu(conv({name}, w{number}));")
        name = f"t{number}"
    shapes["last"] = (channels * wide, channels, 1, 1)
    lines.append(f"last = variable(shape = {list(shapes['last'])}, label = 'last');")
    lines.append(f"y = conv(mean_reduce({name}, axes = [2, 3]), last);")
    return made(" ".join(lines), shapes)


def chosen(graph: Graph, **settings: Any) -> list[Node]:
    target = replace(CPU, **settings)
    return rows_nodes(passes.run(graph, OPS, target))


def test_large_batches_go_row_by_row() -> None:
    """Of 1.6 MB a row, 13 MB together, in caches of 1 and 32 MB."""
    (node,) = chosen(network(16, 32, 112, 3))
    assert node.attrs["rows"] == 16 and len(node.attrs["body"].nodes) >= 3


@pytest.mark.parametrize("settings", ({"cache": 0}, {"compute_units": 17}))
def test_only_where_there_are_caches_and_rows_for_all(settings: dict[str, int]) -> None:
    assert not chosen(network(16, 32, 112, 3), **settings)


def test_left_over_rows_cost_what_layers_do() -> None:
    """So that small rows gain nothing where there are any."""
    assert chosen(network(16, 32, 12, 3)) and not chosen(network(17, 32, 12, 3))


def test_one_row_stays_whole() -> None:
    assert not chosen(network(1, 32, 112, 3))


def test_large_weights_are_read_once() -> None:
    """37 MB of them for rows of 8 KB."""
    assert not chosen(network(8, 1024, 2, 1))


def test_rows_that_do_not_fit_either_stay_whole() -> None:
    """Of 33 MB each."""
    assert all("t0" not in node.attrs["body"].tensors for node in chosen(network(4, 64, 362, 2)))


@pytest.mark.parametrize("shape", ((4_000_000,), (400_001,), (60_000, 3), (8, 4)))
def test_rows_of_a_few_bytes_stay_whole(shape: tuple[int, ...]) -> None:
    """A kernel's start for each takes longer than they do."""
    assert not chosen(made(f"x = external(shape = {list(shape)}); y = sin(x) * 2.0 + x;"))
    assert not chosen(made(f"x = external(shape = {list(shape)}); a = softmax(x, axes = [{len(shape) - 1}]); y = sqrt(a) + x;"))


def test_a_device_with_tiles_computes_layers() -> None:
    """Work-groups there are no workers."""
    target = replace(Target.gpu(), cache=CPU.cache, near_cache=CPU.near_cache)
    graph = lowered(made(TEXTS["a branch"]), target)
    assert depth_first(graph, OPS, target, eager=True) is graph


def test_the_most_common_extent_counts() -> None:
    text = X + "z = external(shape = [1, 16, 1, 1]); a = sin(x) * z; y = softmax(a);"
    document = parse_document(
        f"version 1.0; extension KHR_enable_operator_expressions; graph g( x, z ) -> ( y ) {{ {text} }}"
    )
    graph = import_document(document, STANDARD, lambda *_: np.empty(0))
    (node,) = rows_nodes(in_rows(graph))
    body = node.attrs["body"]
    assert body.tensors["x"].shape[0] == 1 and body.tensors["z"].shape == (1, 16, 1, 1)


@pytest.mark.parametrize("most", (6, 9, 40))
def test_few_enough_arguments(most: int) -> None:
    """Of a kernel with as many as the device can pass."""
    graph = network(4, 16, 16, 12)
    bytes = 8 * most
    found = in_rows(graph, max_argument_bytes=bytes)
    assert len(rows_nodes(found)) > 1 or most == 40
    plan = build_plan(found, OPS, replace(CPU, max_argument_bytes=bytes))
    assert all(len(launch.arguments) <= most for launch in plan.launches)
    x = {"x": np.random.default_rng(1).standard_normal(graph.tensors["x"].shape, np.float32)}
    compare("split", interpret(found, x)["y"], interpret(graph, x)["y"], 1e-6)


def test_what_has_too_many_arguments_alone_stays_whole() -> None:
    parts = ", ".join(f"sin(x * {number}.5)" for number in range(40))
    graph = made(X + f"y = concat([{parts}], axis = 1);")
    found = in_rows(graph, max_argument_bytes=8 * 24)
    assert [node.op for node in found.nodes][-1] == "concat"
    x = {"x": np.random.default_rng(1).standard_normal(graph.tensors["x"].shape, np.float32)}
    compare("parts", interpret(found, x)["y"], interpret(graph, x)["y"], 1e-6)


def test_faults_name_the_users_tensors() -> None:
    """Whichever rows they are found in."""
    text = "x = external<integer>(shape = [5]); t = variable(shape = [6, 3], label = 't'); y = softmax(sin(gather(t, x, axis = 0)));"
    graph = in_rows(made(text, {"t": (6, 3)}), compute_units=2)
    assert rows_nodes(graph)
    plan = build_plan(graph, OPS, CPU)
    assert plan.faults and all(fault.message.startswith("'x' holds") for fault in plan.faults)


# Plan --------------------------------------------------------------------------------------------------------
def test_places() -> None:
    """Rows of inputs and results lie one behind the other, weights are everybody's, the rest is the worker's own."""
    plan = build_plan(in_rows(made(TEXTS["a branch"])), OPS, CPU)
    (step,) = [step for step in plan.steps if isinstance(step.kernel, ByRows)]
    kernel, row = step.kernel, 4 * 16 * 8 * 8
    assert (kernel.rows, kernel.workers, kernel.global_size, kernel.stage_groups) == (6, 2, (2,), 6)
    places = [place for stage in kernel.stages for place in stage.places]
    assert {place.stride for place in places} == {0, row} and places[0] == RowPlace(0, 0, row)
    own = [place for place in places if place.pointer is None]
    assert own and max(place.offset for place in own) + row <= kernel.bytes
    assert len(step.arguments) == kernel.reads + 1 + kernel.writes and kernel.workspaces == kernel.writes
    assert plan.bytes_of(step.arguments[kernel.reads]) == 2 * kernel.bytes
    assert plan.inputs["x"][0] == step.arguments[0] and plan.outputs["y"][0] == step.arguments[-1]
    assert [b.kind for b in step.arguments[1 : kernel.reads]] == ["weight"] * (kernel.reads - 1)


def test_weights_are_there_once() -> None:
    """Whichever rows read them."""
    plan = build_plan(in_rows(made(TEXTS["a chain"]), compute_units=4), OPS, replace(CPU, compute_units=4))
    whole = build_plan(lowered(made(TEXTS["a chain"])), OPS, CPU)
    assert len(plan.weights) == len(whole.weights)


def test_memory_is_that_of_a_row_for_each_worker() -> None:
    graph = network(16, 32, 32, 6)
    whole, rows = (build_plan(each, OPS, CPU) for each in (lowered(graph), in_rows(graph)))
    assert rows.arena_bytes < 0.7 * whole.arena_bytes


def test_a_chain_hands_out_rows() -> None:
    plan = build_plan(in_rows(made(TEXTS["a chain"])), OPS, CPU)
    (launch,) = plan.launches
    text = render_program([launch.kernel])
    (kernel,) = [step.kernel for step in plan.steps if isinstance(step.kernel, ByRows)]
    assert text.count(f"void {kernel.stage_name}(") == 1 and all(
        text.count(f"void {stage.kernel.stage_name}(") == 1 for stage in kernel.stages
    )
    assert isinstance(launch.arguments[-1], Buffer) and launch.arguments[-1].kind == "counter"


def test_one_can_look_at_it() -> None:
    graph = in_rows(made(TEXTS["a chain"]))
    lines = dump(graph).splitlines()
    (at,) = [number for number, line in enumerate(lines) if "by_rows(" in line]
    assert "body = 4 nodes, rows = 6" in lines[at] and [" = conv(" in line for line in lines].count(True) == 2
    (entry,) = [node for node in to_json(graph)["nodes"] if node["op"] == "by_rows"]
    assert [node["op"] for node in entry["attributes"]["body"]["nodes"]].count("conv") == 2
    (facts,) = [node for node in graph_facts(graph)["nodes"] if node["op"] == "by_rows"]
    assert [node["op"] for node in facts["attributes"]["body"]["nodes"]].count("conv") == 2
    assert count_flops(graph, OPS) == count_flops(lowered(made(TEXTS["a chain"])), OPS)
