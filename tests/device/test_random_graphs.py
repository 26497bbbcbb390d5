"""Random networks: whatever the passes, layouts and slots make of them, the references' results come out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnef_cl.conformance.harness import compare, interpret, literal
from nnef_cl.device import open_device
from nnef_cl.format.parser import parse_document
from nnef_cl.format.printer import print_document
from nnef_cl.importer import import_document
from nnef_cl.importer.flatten import flatten
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session

Shape = tuple[int, int, int, int]


@dataclass
class Writer:
    """An NNEF text in the making; every tensor has four axes: N, C, H, W."""

    lines: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    variables: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, text: str, *shapes: Shape) -> list[str]:
        """`text` has a {} for the results' names."""
        names = [f"t{len(self.shapes) + k}" for k in range(len(shapes))]
        self.lines.append(text.format(", ".join(names)))
        self.shapes.update(zip(names, shapes, strict=True))
        return names

    def variable(self, *shape: int) -> str:
        name = f"w{len(self.variables)}"
        random = np.random.default_rng(len(self.variables))
        fan_in = max(1, int(np.prod(shape[1:])))
        self.variables[name] = (random.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
        self.lines.append(f"{name} = variable<scalar>(shape = {literal(list(shape))}, label = '{name}');")
        return name

    def model(self, outputs: list[str]) -> Graph:
        text = "\n".join(["version 1.0;", f"graph g( t0 ) -> ( {', '.join(outputs)} )", "{", *self.lines, "}"])
        return import_document(parse_document(text), STANDARD, lambda label, position: self.variables[label])


@st.composite
def graphs(draw: st.DrawFn, rows: tuple[int, int] = (1, 3)) -> Graph:
    """rows: the first extent of the input, at least and at most."""
    writer = Writer()
    first = (draw(st.integers(*rows)), draw(st.sampled_from((1, 3, 8, 16, 24))), *draw(st.tuples(*[st.integers(1, 9)] * 2)))
    writer.add(f"{{}} = external<scalar>(shape = {literal(list(first))});", first)
    for _ in range(draw(st.integers(1, 10))):
        names = list(writer.shapes)
        x = draw(st.sampled_from(names[-3:]))
        draw(st.sampled_from(STEPS))(draw, writer, x)
    others = draw(st.lists(st.sampled_from([name for name in writer.shapes if name != "t0"] or ["t0"]), max_size=3))
    return writer.model(list(dict.fromkeys([list(writer.shapes)[-1], *others])))


def unary(draw: st.DrawFn, w: Writer, x: str) -> None:
    op = draw(st.sampled_from(("relu", "tanh", "sigmoid", "neg", "abs", "copy", "elu", "sin")))
    w.add(f"{{}} = {op}({x});", w.shapes[x])


def binary(draw: st.DrawFn, w: Writer, x: str) -> None:
    shape = w.shapes[x]
    others = [name for name, s in w.shapes.items() if all(a in (b, 1) for a, b in zip(s, shape, strict=True))]
    if draw(st.booleans()):
        others = [w.variable(1, shape[1]), "0.75"]
    op = draw(st.sampled_from(("add", "sub", "mul", "min", "max")))
    pair = draw(st.permutations([x, draw(st.sampled_from(others))]))
    w.add(f"{{}} = {op}({', '.join(pair)});", shape)


def conv(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    groups = draw(st.sampled_from([g for g in (1, 2, c) if c % g == 0]))
    k = draw(st.sampled_from((1, 3)))
    stride = draw(st.sampled_from((1, 2)))
    outputs = groups * draw(st.sampled_from((1, 2, 5)) if groups > 1 else st.sampled_from((1, 8, 16, 19)))
    filters, bias = w.variable(outputs, c // groups, k, k), w.variable(1, outputs)
    shape = (n, outputs, -(-h // stride), -(-width // stride))
    w.add(f"{{}} = conv({x}, {filters}, {bias}, stride = [{stride}, {stride}], groups = {groups});", shape)
    if draw(st.booleans()):
        normalize(w, list(w.shapes)[-1])
    if draw(st.booleans()):
        binary(draw, w, list(w.shapes)[-1])


def normalize(w: Writer, x: str) -> None:
    c = w.shapes[x][1]
    w.add(f"{{}} = batch_normalization({x}, {w.variable(1, c)}, 1.5, {w.variable(1, c)}, 0.5, epsilon = 0.01);", w.shapes[x])


def deconv(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    outputs = draw(st.sampled_from((1, 8, 9)))
    filters = w.variable(c, outputs, 2, 2)
    w.add(f"{{}} = deconv({x}, {filters}, stride = [2, 2], padding = [(0, 0), (0, 0)]);", (n, outputs, 2 * h, 2 * width))


def pool(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    op, border = draw(st.sampled_from((("max_pool", "ignore"), ("avg_pool", "ignore"), ("avg_pool", "constant"))))
    shape = (n, c, -(-h // 2), -(-width // 2))
    w.add(f"{{}} = {op}({x}, size = [1, 1, 3, 3], stride = [1, 1, 2, 2], border = '{border}');", shape)


def reduce(draw: st.DrawFn, w: Writer, x: str) -> None:
    axes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True).map(sorted))
    op = draw(st.sampled_from(("mean_reduce", "max_reduce", "min_reduce")))
    n, c, h, width = (1 if axis in axes else extent for axis, extent in enumerate(w.shapes[x]))
    w.add(f"{{}} = {op}({x}, axes = {axes});", (n, c, h, width))


def softmax(draw: st.DrawFn, w: Writer, x: str) -> None:
    w.add(f"{{}} = softmax({x}, axes = [{draw(st.integers(0, 3))}]);", w.shapes[x])


def transpose(draw: st.DrawFn, w: Writer, x: str) -> None:
    axes = list(draw(st.permutations(range(4))))
    a, b, c, d = (w.shapes[x][axis] for axis in axes)
    w.add(f"{{}} = transpose({x}, axes = {axes});", (a, b, c, d))


def reshape(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    shape = draw(st.sampled_from(((n, c, h * width, 1), (n, 1, c * h, width), (1, n * c, h, width))))
    w.add(f"{{}} = reshape({x}, shape = {literal(list(shape))});", shape)


def concat(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    alike = [name for name, s in w.shapes.items() if (s[0], *s[2:]) == (n, h, width) and s[1] + c <= 48]
    if alike:
        other = draw(st.sampled_from(alike))
        w.add(f"{{}} = concat([{x}, {other}], axis = 1);", (n, c + w.shapes[other][1], h, width))


def split(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    if c > 1:
        cut = draw(st.integers(1, c - 1))
        w.add(f"[{{}}] = split({x}, axis = 1, ratios = [{cut}, {c - cut}]);", (n, cut, h, width), (n, c - cut, h, width))


def pad(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    border = draw(st.sampled_from(("constant", "replicate")))
    w.add(f"{{}} = pad({x}, padding = [(0, 0), (0, 0), (1, 0), (0, 2)], border = '{border}');", (n, c, h + 1, width + 2))


def upsample(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    if h * width <= 100:
        w.add(f"{{}} = nearest_upsample({x}, factor = [2, 2]);", (n, c, 2 * h, 2 * width))


def matmul(draw: st.DrawFn, w: Writer, x: str) -> None:
    n, c, h, width = w.shapes[x]
    columns = draw(st.sampled_from((1, 8, 17)))
    w.add(f"{{}} = matmul({x}, {w.variable(1, 1, width, columns)});", (n, c, h, columns))


STEPS = (unary, binary, conv, deconv, pool, reduce, softmax, transpose, reshape, concat, split, pad, upsample, matmul)


@pytest.mark.parametrize("count", (10, pytest.param(30, marks=pytest.mark.slow)))
def test_random_graph(count: int, selector: str) -> None:
    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(graphs())
    def check(graph: Graph) -> None:
        computes_what_the_references_do(graph, selector)

    check()


def computes_what_the_references_do(graph: Graph, selector: str) -> None:
    x = {"t0": np.random.default_rng(0).standard_normal(graph.tensors["t0"].shape, np.float32)}
    expected = interpret(graph, x)
    with Session(graph, open_device(selector), STANDARD | INTERNAL) as session:
        got = session.run(x)
    for name in graph.outputs:
        compare(name, got[name], expected[name], 5e-5)


@given(graphs())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_flat_text_computes_the_same(graph: Graph) -> None:
    arrays = {constant.label: constant.array for constant in graph.constants.values() if constant.label}
    text = print_document(flatten(graph, STANDARD))
    flat = import_document(parse_document(text), STANDARD, lambda label, position: arrays[label])
    assert [(node.op, dict(node.attrs)) for node in flat.nodes] == [(node.op, dict(node.attrs)) for node in graph.nodes]
    inputs = {"t0": np.random.default_rng(0).standard_normal(graph.tensors["t0"].shape).astype(np.float32)}
    with np.errstate(all="ignore"):
        results, expected = interpret(flat, inputs), interpret(graph, inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(results[name], expected[name])
