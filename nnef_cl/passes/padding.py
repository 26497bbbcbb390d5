"""Fold a pad into the windows of the convolutions and pools that read it."""

from __future__ import annotations

from dataclasses import replace

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ops.base import Table
from nnef_cl.ops.windows import Padding, down_window

POOLS = ("max_pool", "box")
ZERO = "constant"


def padding(graph: Graph, ops: Table, target: Target) -> Graph:
    """pad -> conv, max_pool or box reads what was padded, with windows that reach outside. A pad that others read, too,
    stays."""
    pads = {node.outputs[0]: node for node in graph.nodes if node.op == "pad" and _may_be_border(node)}
    builder = GraphBuilder.like(graph)
    for name, constant in graph.constants.items():
        builder.add_constant(name, graph.tensors[name], constant)
    for node in graph.nodes:
        pad = pads.get(node.inputs[0]) if node.op in ("conv", *POOLS) else None
        kept = node if pad is None else _joined(pad, node, graph)
        builder.add_node(kept, [graph.tensors[name] for name in node.outputs])
    return builder.build()


def _may_be_border(pad: Node) -> bool:
    """Whether it adds to spatial axes only, what a window may find outside."""
    pairs = pad.attrs["padding"]
    grows = all(before >= 0 and after >= 0 for before, after in pairs) and not any(map(any, pairs[:2]))
    return grows and len(pairs) > 2 and (pad.attrs["border"] != ZERO or float(pad.attrs["value"]) == 0.0)


def _joined(pad: Node, node: Node, graph: Graph) -> Node:
    """The node on what was padded; itself where its own border is another one."""
    skipped = 2 if node.op == "conv" else 0
    own = _own_padding(node, graph, skipped)
    border = pad.attrs["border"]
    if any(map(any, own)) and not border == node.attrs["border"] == ZERO:
        return node
    pairs = pad.attrs["padding"][skipped:]
    total = tuple((a + p, b + q) for (a, b), (p, q) in zip(own, pairs, strict=True))
    return replace(
        node, inputs=(pad.inputs[0], *node.inputs[1:]), attrs={**node.attrs, "padding": total, "border": border}
    )


def _own_padding(node: Node, graph: Graph, skipped: int) -> Padding:
    """Before and after each axis from `skipped` on; of windows that begin outside by themselves, too."""
    attrs, x = node.attrs, graph.tensors[node.inputs[0]].shape
    if attrs["padding"]:
        return tuple((before, after) for before, after in attrs["padding"])
    size = graph.tensors[node.inputs[1]].shape[2:] if node.op == "conv" else attrs["size"]
    border = ZERO if attrs["border"] == "ignore" else attrs["border"]
    window = down_window(x[skipped:], size, border, attrs["padding"], attrs["stride"], attrs["dilation"])
    return tuple(zip(window.before, window.after, strict=True))
