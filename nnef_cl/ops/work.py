"""A network's arithmetic, counted."""

from __future__ import annotations

from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ops.base import Table


def count_flops(graph: Graph, ops: Table) -> int:
    """Floating-point operations of one run: what the operations that declare `flops` say."""
    return sum(node_flops(node, graph, ops) for node in graph.nodes)


def node_flops(node: Node, graph: Graph, ops: Table) -> int:
    """Floating-point operations of one node, 0 where its operation declares none."""
    if node.op == "by_rows":
        return int(node.attrs["rows"]) * count_flops(node.attrs["body"], ops)
    flops = ops[node.op].flops
    if flops is None:
        return 0
    inputs = [graph.tensors[name].shape for name in node.own_inputs]
    return flops(inputs, [graph.tensors[name].shape for name in node.outputs], node.attrs)
