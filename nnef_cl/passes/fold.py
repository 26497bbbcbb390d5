"""Compute nodes whose inputs are all constants with the numpy references."""

from __future__ import annotations

import numpy as np

from nnef_cl.codegen.target import Target
from nnef_cl.errors import ModelError, RuleError
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.tensor import Constant
from nnef_cl.ops.base import Table

MAX_VOLUME = 1 << 24
"""Elements: larger tensors are cheaper to compute on the device than here."""


def fold(graph: Graph, ops: Table, target: Target) -> Graph:
    builder = GraphBuilder.like(graph)
    for name, constant in graph.constants.items():
        builder.add_constant(name, graph.tensors[name], constant)
    for node in graph.nodes:
        specs = [graph.tensors[name] for name in node.outputs]
        if not _foldable(node, graph, builder, ops):
            builder.add_node(node, specs)
            continue
        for name, spec, value in zip(node.outputs, specs, _evaluate(node, builder, ops), strict=True):
            builder.add_constant(name, spec, Constant(np.asarray(value, spec.dtype.api).reshape(spec.shape)))
    return builder.build()


def _foldable(node: Node, graph: Graph, builder: GraphBuilder, ops: Table) -> bool:
    small = all(graph.tensors[name].volume <= MAX_VOLUME for name in (*node.inputs, *node.outputs))
    return small and ops[node.op].reference is not None and all(name in builder.constants for name in node.inputs)


def _evaluate(node: Node, builder: GraphBuilder, ops: Table) -> list[np.ndarray]:
    arrays = [builder.constants[name].array for name in node.inputs]
    try:
        with np.errstate(all="ignore"):
            return ops[node.op].evaluate(arrays, node.attrs)
    except RuleError as error:
        raise ModelError(str(error), where=node.position, op=node.op, tensor=node.name) from error
