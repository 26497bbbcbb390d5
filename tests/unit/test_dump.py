"""Graphs as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nnef_cl.ir.dtype import F32, I64
from nnef_cl.ir.dump import MAX_WIDTH, dump, to_json
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.layout import Layout
from nnef_cl.ir.program import Program, Step
from nnef_cl.ir.tensor import Constant, TensorSpec

TEXT = """\
graph net
warning: take care
inputs:
  x        f32[2,8] block8
constants:
  weights  f32[8]           = 'layer/weights'
  1.0      f32[]            = 1.0
  +inf     f32[1,1]         = inf
  table    i64[2]
nodes:
  t        f32[2,8]         = pad(x, padding = [[0, 1], [2, 3]], border = 'constant', value = -inf)  # graph.nnef:3:5
  a        f32[2,4]         = split(t, axis = 1)
  b        f32[2,4]           result 2 of a
  y        f32[2,4]         = relu(a, weights)
                              | v2 = literal(value = 0.5)
                              | v3 = add(v0, v2)
outputs:
  y        f32[2,4]
  x        f32[2,8] block8
"""


def constant(values: Any, dtype: type = np.float32, label: str = "") -> Constant:
    return Constant(np.array(values, dtype), label)


def graph() -> Graph:
    b = GraphBuilder("net", ["take care"])
    b.add_input("x", TensorSpec((2, 8), F32, Layout(8)))
    b.add_constant("weights", TensorSpec((8,)), constant([0.0] * 8, label="layer/weights"))
    b.add_constant("1.0", TensorSpec(()), constant(1))
    b.add_constant("+inf", TensorSpec((1, 1)), constant([[np.inf]]))
    b.add_constant("table", TensorSpec((2,), I64), constant([1, 2], np.int64))
    attrs = {"padding": ((0, 1), (2, 3)), "border": "constant", "value": -np.inf}
    b.add_node(Node("pad", ("x",), ("t",), attrs, position="graph.nnef:3:5"), [TensorSpec((2, 8))])
    b.add_node(Node("split", ("t",), ("a", "b"), {"axis": 1}), [TensorSpec((2, 4))] * 2)
    program = Program(2, (Step("literal", (), F32, (("value", 0.5),)), Step("add", (0, 2), F32)))
    b.add_node(Node("relu", ("a", "weights"), ("y",), epilogue=program), [TensorSpec((2, 4))])
    b.outputs = ["y", "x"]
    return b.build()


def test_text() -> None:
    assert dump(graph()) == TEXT


def test_sections_without_rows_are_left_out() -> None:
    assert dump(GraphBuilder("empty").build()) == "graph empty\n"


def test_long_names_do_not_widen_columns() -> None:
    b = GraphBuilder("g")
    long = "n" * 500
    for name in ("x", long):
        b.add_input(name, TensorSpec((1,)))
    assert dump(b.build()).splitlines()[2:] == [f"  x{' ' * (MAX_WIDTH - 1)}  f32[1]", f"  {long}  f32[1]"]


def test_json() -> None:
    data = json.loads(json.dumps(to_json(graph()), allow_nan=False))
    keys = ["name", "inputs", "outputs", "renamed", "tensors", "constants", "variables", "updates", "nodes", "warnings"]
    assert list(data) == keys
    assert (data["name"], data["inputs"], data["outputs"]) == ("net", ["x"], ["y", "x"])
    assert data["warnings"] == ["take care"]
    assert data["tensors"]["x"] == {"shape": [2, 8], "type": "f32", "layout": "block8"}
    assert data["tensors"]["table"] == {"shape": [2], "type": "i64", "layout": "plain"}
    assert data["constants"] == {
        "weights": {"label": "layer/weights"}, "1.0": {"value": 1.0}, "+inf": {"value": "inf"}, "table": {},
    }  # fmt: skip
    pad, split, relu = data["nodes"]
    assert pad == {
        "op": "pad", "inputs": ["x"], "outputs": ["t"], "position": "graph.nnef:3:5",
        "attributes": {"padding": [[0, 1], [2, 3]], "border": "constant", "value": "-inf"},
    }  # fmt: skip
    assert split["outputs"] == ["a", "b"] and split["position"] == ""
    assert relu["epilogue"] == {
        "operands": 2,
        "steps": [
            {"op": "literal", "args": [], "type": "f32", "attributes": {"value": 0.5}},
            {"op": "add", "args": [0, 2], "type": "f32", "attributes": {}},
        ],
    }


def test_json_of_infinities_in_epilogues() -> None:
    b = GraphBuilder("g")
    b.add_input("x", TensorSpec((1,)))
    program = Program(1, (Step("literal", (), F32, (("value", np.nan),)), Step("add", (0, 1), F32)))
    b.add_node(Node("relu", ("x",), ("y",), epilogue=program), [TensorSpec((1,))])
    (node,) = to_json(b.build())["nodes"]
    assert node["epilogue"]["steps"][0]["attributes"] == {"value": "nan"}
