"""Rows of a batch: which networks compute each from itself alone; what the rules allow is tried with the references."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from nnef_cl.conformance.case import FAMILIES, cases_of
from nnef_cl.conformance.harness import OPS, family_graph, interpret
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import STANDARD
from nnef_cl.ops.rows import difference, mixing

X = "x = external(shape = [4, 3, 6, 6]); "
ALONE = {
    "convolution": X + "w = variable(shape = [8, 3, 3, 3], label = 'w'); y = relu(conv(x, w));",
    "linear": X + "w = variable(shape = [5, 108], label = 'w'); y = linear(reshape(x, shape = [0, -1]), w, 0.5);",
    "normalisation": X + "y = l2_normalization(local_response_normalization(x, size = [1, 3, 1, 1]), axes = [1]);",
    "constants without rows": X + "c = variable(shape = [1, 3, 1, 1], label = 'c'); y = max(x * c, 0.0);",
    "equal rows": X + "c = variable(shape = [1, 3, 6, 6], label = 'c'); "
                  "y = concat([tile(c, repeats = [4, 1, 1, 1]), x], axis = 1);",
    "attention": "x = external(shape = [4, 7, 8]); y = matmul(softmax(matmul(x, x, transposeB = true), axes = [2]), x);",
    "table": "x = external<integer>(shape = [4, 7]); t = variable(shape = [9, 5], label = 't'); y = gather(t, x, axis = 0);",
}  # fmt: skip
MIXED = {
    "reduction": (X + "y = x - mean_reduce(x, axes = [0]);", "mean_reduce"),
    "softmax": (X + "y = softmax(x, axes = [0]);", "softmax"),
    "product with itself": ("x = external(shape = [4, 4]); y = matmul(x, transpose(x, axes = [1, 0]));", "transpose"),
    "folded batch": (X + "y = reshape(softmax(reshape(x, shape = [2, 6, 6, 6])), shape = [4, 3, 6, 6]);", "reshape"),
    "window over rows": (X + "y = max_pool(x, size = [2, 1, 1, 1], padding = [(0, 1), (0, 0), (0, 0), (0, 0)]);", "max_pool"),
    "constant per row": (X + "c = variable(shape = [4, 1, 1, 1], label = 'c'); y = x + c;", "add"),
    "rows turned": (X + "y = concat([slice(x, axes = [0], begin = [1], end = [0]), slice(x, axes = [0], begin = [0], end = [1])], "
                    "axis = 0);", "slice"),
    "no rows": (X + "y = sum_reduce(x, axes = [0, 1, 2, 3]);", "sum_reduce"),
    "indices": (X + "y, i = max_pool_with_index(x, size = [1, 1, 2, 2]);", "max_pool_with_index"),
    "state": ("x = external(shape = [4, 3]); v = variable(shape = [4, 3], label = 'v'); y = update(v, v + x);",
              "updates variables"),
}  # fmt: skip


def made(text: str, shapes: dict[str, tuple[int, ...]] | None = None) -> Graph:
    """shapes: other extents for inputs."""
    results = "y, i" if "y, i" in text else "y"
    document = parse_document(
        "version 1.0; extension KHR_enable_operator_expressions; extension KHR_enable_fragment_definitions; "
        f"graph g( x ) -> ( {results} ) {{ {text} }}"
    )
    random = np.random.default_rng(3)

    def variable(label: str, place: object) -> np.ndarray:
        return random.standard_normal(VARIABLES[label], np.float32)

    return import_document(document, STANDARD, variable, shapes=shapes)


VARIABLES = {"w": (8, 3, 3, 3), "c": (1, 3, 1, 1), "t": (9, 5), "v": (4, 3)}


@pytest.mark.parametrize("name", ALONE)
def test_rows_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = {"linear": {"w": (5, 108)}, "equal rows": {"c": (1, 3, 6, 6)}}
    monkeypatch.setattr(f"{__name__}.VARIABLES", VARIABLES | shapes.get(name, {}))
    graph = made(ALONE[name])
    assert mixing(graph, OPS) == ""
    spec, random = graph.tensors["x"], np.random.default_rng(0)
    x = random.integers(0, 9, spec.shape) if "integer" in ALONE[name] else random.standard_normal(spec.shape, np.float32)
    assert rows_are_alone(graph, {"x": x}, ["x"])


@pytest.mark.parametrize("name", MIXED)
def test_rows_mixed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.VARIABLES", VARIABLES | ({"c": (4, 1, 1, 1)} if name == "constant per row" else {}))
    text, word = MIXED[name]
    assert word in mixing(made(text), OPS)


def test_a_model_with_more_rows() -> None:
    text = X + "z = concat([x, x], axis = 1); y = reshape(max(z, 0.5), shape = [shape_of(x)[0], -1]);"
    one, many = made(text), made(text, {"x": (8, 3, 6, 6)})
    assert difference(one, many, 2) == ""
    assert "expected shape [12, 6, 6, 6], got [8, 6, 6, 6]" in difference(one, many, 3)
    assert "other operations" in difference(one, replace(many, nodes=many.nodes[1:]), 2)
    name = next(iter(one.constants))
    constants = {**many.constants, name: replace(many.constants[name], stored=np.float32(0.75))}
    assert difference(one, replace(many, constants=constants), 2) == f"with more rows '{name}' has other values"
    turned = (replace(many.nodes[0], attrs={"axis": 2}), *many.nodes[1:])
    assert "concat 'z': with more rows axis changes from 1 to 2" in difference(one, replace(many, nodes=turned), 2)


def rows_are_alone(graph: Graph, inputs: dict[str, np.ndarray], rows: list[str]) -> bool:
    """Turned rows give turned results, and each stays what it is whatever the others are."""
    outputs = [graph.output_tensor(name) for name in graph.outputs]

    def computed(change: slice | list[int]) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            values = interpret(graph, inputs | {name: np.ascontiguousarray(inputs[name][change]) for name in rows})
        return [values[name] for name in outputs]

    count = len(inputs[rows[0]])
    plain, turned, last = computed(slice(None)), computed(slice(None, None, -1)), computed([count - 1] * count)
    return all(
        np.allclose(a[::-1], b, 1e-5, 1e-6, equal_nan=True) and np.allclose(a[-1:], c, 1e-5, 1e-6, equal_nan=True)
        for a, b, c in zip(plain, turned, last, strict=True)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_rules_allow_holds(family: str) -> None:
    """Every case, with every choice of inputs as the rows."""
    allowed = 0
    for case in cases_of(family):
        graph, inputs = family_graph([case])
        long = [name for name, array in inputs.items() if array.ndim and len(array) > 1]
        for size in range(1, len(long) + 1):
            for rows in map(list, combinations(long, size)):
                if len({len(inputs[name]) for name in rows}) == 1 and not mixing(graph, OPS, rows):
                    allowed += 1
                    assert rows_are_alone(graph, dict(inputs), rows), (case.id, rows)
    assert allowed or family in ("region", "state")
