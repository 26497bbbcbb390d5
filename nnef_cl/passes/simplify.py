"""Drop nodes without effect and everything nobody reads."""

from __future__ import annotations

from dataclasses import replace

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ops.base import Table

COPIES = ("copy",)
"""Operations whose result is their input."""


def simplify(graph: Graph, ops: Table, target: Target) -> Graph:
    renamed = _copies(graph)
    nodes = [_renamed(node, renamed) for node in graph.nodes if node.outputs[0] not in renamed]
    live = set(graph.results)
    kept: list[Node] = []
    for node in reversed(nodes):
        if live.intersection(node.outputs):
            kept.append(node)
            live.update(node.inputs)
    builder = GraphBuilder.like(graph)
    for name, constant in graph.constants.items():
        if name in live:
            builder.add_constant(name, graph.tensors[name], constant)
    for node in reversed(kept):
        builder.add_node(node, [graph.tensors[name] for name in node.outputs])
    return builder.build()


def _copies(graph: Graph) -> dict[str, str]:
    """Result of a copy -> what it copies; results of the graph keep their own name."""
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        if node.op in COPIES and node.outputs[0] not in graph.results:
            renamed[node.outputs[0]] = renamed.get(node.inputs[0], node.inputs[0])
    return renamed


def _renamed(node: Node, renamed: dict[str, str]) -> Node:
    if not any(name in renamed for name in node.inputs):
        return node
    return replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
