"""Fold per-channel factors and terms behind a convolution (batch normalisation) into its filter and bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops.base import Table


def scale(graph: Graph, ops: Table, target: Target) -> Graph:
    """conv -> mul by (1, K) -> add of (1, K), all single-use, becomes one conv."""
    consumers = graph.consumers()
    builder = GraphBuilder.like(graph)
    for name, constant in graph.constants.items():
        builder.add_constant(name, graph.tensors[name], constant)
    convs: dict[str, int] = {}
    nodes: list[Node | None] = []
    for node in graph.nodes:
        found = _channel_operand(node, graph, builder, convs)
        if found is None:
            nodes.append(node)
            constants = all(name in builder.constants for name in node.inputs[1:3])
            exact = any(graph.tensors[name].quant for name in node.inputs[1:3])  # codes must stay what they are
            if node.op == "conv" and constants and not exact and _private(node.outputs[0], graph, consumers):
                convs[node.outputs[0]] = len(nodes) - 1
            continue
        producer, operand = found
        at = convs.pop(producer)
        conv = nodes[at]
        assert conv is not None
        merged = _merge(conv, node, builder, builder.constants[operand].array)
        nodes[at] = None
        nodes.append(replace(merged, outputs=node.outputs))
        if _private(node.outputs[0], graph, consumers):
            convs[node.outputs[0]] = len(nodes) - 1
    for kept in nodes:
        if kept is not None:
            builder.add_node(kept, [graph.tensors[name] for name in kept.outputs])
    return _without_unused(builder.build())


def _private(name: str, graph: Graph, consumers: dict[str, list[Node]]) -> bool:
    """Read once, by one node, and not a result of the graph."""
    readers = consumers[name]
    return len(readers) == 1 and readers[0].inputs.count(name) == 1 and name not in graph.results


def _channel_operand(
    node: Node, graph: Graph, builder: GraphBuilder, convs: dict[str, int]
) -> tuple[str, str] | None:
    """(convolution result, constant) where the node multiplies or adds one value per channel."""
    if node.op not in ("mul", "add") or len(node.inputs) != 2:
        return None
    for producer, operand in (node.inputs, node.inputs[::-1]):
        if producer in convs and operand in builder.constants:
            shape = graph.tensors[operand].shape
            channels = graph.tensors[producer].shape[1]
            per_channel = len(shape) >= 2 and shape[1] == channels and graph.tensors[operand].volume == channels
            if per_channel and graph.tensors[node.outputs[0]].shape == graph.tensors[producer].shape:
                return producer, operand
    return None


def _merge(conv: Node, node: Node, builder: GraphBuilder, values: np.ndarray) -> Node:
    filter, bias = (builder.constants[name] for name in conv.inputs[1:3])
    k = filter.shape[0]
    each = values.reshape(-1)
    if node.op == "add":
        return _with(conv, builder, {2: _bias(np.broadcast_to(bias.array.reshape(-1), (k,)) + each, bias)})
    factor = each.reshape(k, *(1,) * (len(filter.shape) - 1))
    scaled = replace(filter, factors=(*filter.factors, factor))
    return _with(conv, builder, {1: scaled, 2: _bias(np.broadcast_to(bias.array.reshape(-1), (k,)) * each, bias)})


def _bias(values: np.ndarray, old: Constant) -> Constant:
    return Constant(np.ascontiguousarray(values.reshape(1, -1), np.float32), old.label)


def _with(conv: Node, builder: GraphBuilder, constants: dict[int, Constant]) -> Node:
    inputs = list(conv.inputs)
    for index, constant in constants.items():
        name = builder.unique(f"{inputs[index]}.scaled")
        builder.add_constant(name, TensorSpec(constant.shape), constant)
        inputs[index] = name
    return replace(conv, inputs=tuple(inputs))


def _without_unused(graph: Graph) -> Graph:
    """Constants that were replaced hold memory nobody needs."""
    read = {name for node in graph.nodes for name in node.inputs} | set(graph.results)
    constants = {name: c for name, c in graph.constants.items() if name in read}
    tensors = {name: s for name, s in graph.tensors.items() if name not in graph.constants or name in read}
    return replace(graph, constants=constants, tensors=tensors)
