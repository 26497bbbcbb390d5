"""Plans: slots are never overwritten while needed, aliases, shared weights."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from nnef_cl.codegen.kernel import Candidate
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.conformance.case import FAMILIES, cases_of
from nnef_cl.conformance.harness import family_graph
from nnef_cl.errors import ModelError
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document, import_model
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Problem
from nnef_cl.plan.build import build_plan
from nnef_cl.plan.records import Buffer, Plan

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import zoo

OPS = STANDARD | INTERNAL
TARGET = Target.generic(8)


def plan_of(graph: Graph, lend: int | None = None) -> Plan:
    return build_plan(passes.run(graph, OPS, TARGET), OPS, TARGET, lend=lend)


def model(text: str, outputs: str = "y", lend: int | None = None) -> Plan:
    source = f"version 1.0;\ngraph g( x ) -> ( {outputs} )\n{{\nx = external(shape = [4, 6]);\n{text}\n}}\n"
    arrays = {
        "w": np.arange(36, dtype=np.float32).reshape(6, 6), "f": np.ones((16, 6, 1), np.float32),
        "v": np.ones((4, 6), np.float32),
    }  # fmt: skip
    return plan_of(import_document(parse_document(source), STANDARD, lambda label, position: arrays[label]), lend)


def operands(plan: Plan) -> list[tuple[tuple[Buffer, ...], Buffer]]:
    """Per step the buffers it reads, and the one it writes (a kernel's last argument)."""
    return [(step.arguments[: -1 - step.kernel.workspaces], step.arguments[-1]) for step in plan.steps]


def extent(plan: Plan, buffer: Buffer) -> range:
    return range(buffer.offset, buffer.offset + plan.bytes_of(buffer))


def overlap(plan: Plan, a: Buffer, b: Buffer) -> bool:
    """Whether they share bytes."""
    x, y = extent(plan, a), extent(plan, b)
    return a.whole == b.whole and x.start < y.stop and y.start < x.stop


def without(plan: Plan, buffer: Buffer, changed: Sequence[Buffer]) -> list[Buffer]:
    """The parts of a buffer that lie outside the others."""
    parts = [buffer]
    for other in changed:
        if not overlap(plan, buffer, other):
            continue
        cut, left = extent(plan, other), []
        for part in parts:
            at = extent(plan, part)
            for start, stop in ((at.start, min(at.stop, cut.start)), (max(at.start, cut.stop), at.stop)):
                if start < stop:
                    left.append(Buffer(part.kind, part.index, start, stop - start))
        parts = left
    return parts


def covered(plan: Plan, buffer: Buffer, written: Iterable[Buffer]) -> bool:
    """Whether every byte has been written."""
    return not without(plan, buffer, [one for one in written if overlap(plan, buffer, one)])


def check_no_hazards(plan: Plan) -> None:
    """No step writes what it reads, a weight, or (but for the inputs) reads what nothing has written since other
    tensors were in its memory."""
    written = {buffer for buffer, _ in plan.inputs.values()}

    def is_written(buffer: Buffer) -> bool:
        return buffer.kind == "weight" or covered(plan, buffer, written)

    for step, (reads, result) in zip(plan.steps, operands(plan), strict=True):
        assert len(set(step.arguments[len(reads) :]) - set(reads)) == 1 + step.kernel.workspaces
        assert result.kind in ("arena", "fault") and not any(overlap(plan, result, one) for one in reads)
        assert all(map(is_written, reads))
        changed = step.arguments[len(reads) :]
        written = {rest for one in written for rest in without(plan, one, changed)} | {*changed}
    assert all(is_written(buffer) for buffer, _ in plan.outputs.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_cases_have_no_hazards(family: str) -> None:
    check_no_hazards(plan_of(family_graph(cases_of(family))[0]))


@cache
def network(name: str, folder: str) -> Plan:
    return plan_of(import_model(zoo.build(name, folder, size=64, width=0.25).nnef))


@pytest.mark.parametrize("name", ["resnet50", "googlenet", "unet"])
def test_networks_have_no_hazards(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    plan = network(name, str(tmp_path_factory.mktemp(name)))
    check_no_hazards(plan)
    assert plan.arena_bytes < 0.4 * sum(plan.bytes_of(result) for _, result in operands(plan)), "memory is not shared"


def test_a_slot_lives_until_its_last_reader() -> None:
    plan = model("a = softmax(x); b = softmax(a); c = softmax(b); d = softmax(c); y = add(d, a);")
    last_read = max(k for k, (reads, _) in enumerate(operands(plan)) if plan.steps[0].arguments[-1] in reads)
    first = plan.steps[0].arguments[-1]
    assert last_read == len(plan.steps) - 1
    assert all(result != first for _, result in operands(plan)[1:last_read])


def test_what_is_between_launches_lives_no_longer_than_they_need_it() -> None:
    text = """version 1.0; graph g( x ) -> ( y ) { x = external(shape = [1, 64, 14, 14]); f = variable(shape = [64, 64, 3, 3], label = 'f');
              y = conv(relu(conv(x, f)), f); }"""
    filter = np.ones((64, 64, 3, 3), np.float32)
    graph = passes.run(import_document(parse_document(text), STANDARD, lambda label, position: filter), OPS, TARGET)

    def in_two_steps(problem: Problem, candidates: list[Candidate]) -> Candidate:
        return next((c for c in candidates if "in two steps" in c.algorithm), candidates[0])

    plan = build_plan(graph, OPS, TARGET, choose=in_two_steps)
    check_no_hazards(plan)
    image, tiles = 4 * 64 * 14 * 14, max(plan.bytes_of(result) for _, result in operands(plan))
    assert tiles > image and plan.needed == tiles + image


def test_reshapes_share_their_operand() -> None:
    plan = model("a = reshape(x, shape = [24]); b = reshape(a, shape = [2, 12]); y = softmax(b, axes = [1]);")
    assert len(plan.steps) == 1 and plan.steps[0].arguments[0] == plan.inputs["x"][0]


def test_an_input_under_another_name_is_an_output() -> None:
    plan = model("y = reshape(x, shape = [24]); z = softmax(x);", "y, z")
    assert plan.outputs["y"][0] == plan.inputs["x"][0] and plan.outputs["y"][1].shape == (24,)
    assert plan.outputs["z"][0] != plan.inputs["x"][0]


def test_outputs_outlive_later_steps() -> None:
    plan = model("y = softmax(x); a = softmax(y); b = softmax(a); c = softmax(b); z = softmax(c);", "y, z")
    y = plan.outputs["y"][0]
    assert [result for _, result in operands(plan)].count(y) == 1


def test_constants_packed_alike_share_a_buffer() -> None:
    text = "w = variable(shape = [6, 6], label = 'w'); y = matmul(matmul(x, w), w);"
    plan = model(text)
    assert len(plan.weights) == 1 and len(plan.steps) == 2
    assert plan.bytes == sum(plan.arenas) + plan.weights[0].bytes


def test_an_output_that_is_a_constant() -> None:
    plan = model("w = variable(shape = [6, 6], label = 'w'); y = softmax(x);", "y, w")
    buffer, spec = plan.outputs["w"]
    assert buffer.kind == "weight" and spec.shape == (6, 6) and plan.weights[buffer.index].bytes == 144


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y = max_pool(x, size = [1, 4611686018427387904]);", "windows and padding beyond 1073741824 elements"),
        ("y = box(x, size = [1, 1], padding = [(0, 0), (1099511627776, -1099511627776)]);", "windows and padding beyond"),
        ("y = box(x, size = [1, 1], stride = [1, 4611686018427387904]);", "windows and padding beyond"),
        ("y = debox(x, size = [1048576, 1048576]);", "windows of more than 67108864 elements are not supported"),
        ("f = variable(shape = [16, 6, 1], label = 'f'); r = reshape(x, shape = [1, 6, 4]); "
         "y = conv(r, f, padding = [(1099511627776, -1099511627776)]);", "windows and padding beyond"),
        ("y = pad(x, padding = [(0, 0), (-1099511627776, 1099511627776)]);", "padding beyond 1073741824 elements"),
    ],
)
def test_windows_beyond_what_kernels_count(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^graph.nnef:5:\d+: \w+ 'y': {message}"):
        model(text)


def test_plans_print_a_line_for_each_launch() -> None:
    plan = model("a = softmax(x); y = sum_reduce(a, axes = [0]);")
    lines = str(plan).splitlines()
    assert len(lines) == 1 + len(plan.steps) and "softmax" in lines[1] and "sum_reduce" in lines[2]


# What is lent ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("body", "outputs", "lent"), [
    ("y = relu(x);", "y", {"x", "y"}),
    ("y = relu(x); z = tanh(y);", "y, z", {"x", "y", "z"}),
    ("y = reshape(relu(x), shape = [24]);", "y", {"x", "y"}),
    ("r = relu(x); y = reshape(r, shape = [24]);", "r, y", {"x"}),
    ("y = reshape(x, shape = [24]);", "y", set()),
    ("y = relu(x); z = x;", "x, y", {"y"}),
    ("[a, b] = split(x, axis = 0, ratios = [1, 1]); y = concat([relu(a), tanh(b)], axis = 0);", "y", {"x", "y"}),
    ("r = relu(x); [y, z] = split(r, axis = 0, ratios = [1, 1]); s = sum_reduce(r, axes = [0]);", "y, s", {"x", "s"}),
    ("y = mean_reduce(relu(x), axes = [0, 1]);", "y", {"x"}),
    ("w = variable(shape = [6, 6], label = 'w'); y = w;", "y", {"x"}),
    ("w = variable(shape = [6, 6], label = 'w'); v = variable(shape = [4, 6], label = 'v'); y = v + x; u = update(v, x);", "y", {"y"}),
])  # fmt: skip
def test_what_is_lent(body: str, outputs: str, lent: set[str]) -> None:
    """Memory of one input or output alone, larger than asked for, that nobody reads after the run."""
    assert {name for name, place in outer(model(body, outputs)) if place.kind == "loan"} == set()
    plan = model(body, outputs, lend=4)
    assert {name for name, place in outer(plan) if place.kind == "loan"} == lent
    assert plan.stream_bytes >= sum(plan.loans) == sum(plan.bytes_of(p) for _, p in outer(plan) if p.kind == "loan")
    assert {b.index for step in plan.launches for b in step.arguments if b.kind == "loan"} <= set(range(len(plan.loans)))


def outer(plan: Plan) -> list[tuple[str, Buffer]]:
    return [(name, place) for name, (place, _) in (*plan.inputs.items(), *plan.outputs.items())]
