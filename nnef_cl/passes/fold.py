"""Compute nodes whose inputs are all constants with the numpy references; never spread out what repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnef_cl.codegen.target import Target
from nnef_cl.errors import ModelError, RuleError
from nnef_cl.ir.dtype import F32, I64
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.tensor import Constant, TensorSpec, unrepeated
from nnef_cl.ops.base import Table
from nnef_cl.ops.shapes import broadcast

MAX_VOLUME = 1 << 24
"""Elements: larger tensors are cheaper to compute on the device than here."""
MAX_TOTAL = 1 << 26
"""Elements of all results together that are kept as constants."""
MAX_FLOPS = 1 << 28
"""Of one node: the references are plain, not fast."""


def fold(graph: Graph, ops: Table, target: Target) -> Graph:
    return _Folding(graph, ops).run()


class _Folding:
    def __init__(self, graph: Graph, ops: Table) -> None:
        self.graph, self.ops = graph, ops
        self.builder = GraphBuilder.like(graph)
        self.slim: dict[str, str] = {}
        self.floats: dict[str, str] = {}
        self.left = MAX_TOTAL

    def run(self) -> Graph:
        for name, constant in self.graph.constants.items():
            self.builder.add_constant(name, self.graph.tensors[name], constant)
        for node in self.graph.nodes:
            specs = [self.graph.tensors[name] for name in node.outputs]
            arrays = self._operands(node)
            volume = self._volume(node, arrays, specs) if arrays is not None else None
            if arrays is None or volume is None or volume > self.left:
                self.builder.add_node(self._slimmed(self._floating(node)), specs)
                continue
            self.left -= volume
            for name, spec, value in zip(node.outputs, specs, self._evaluate(node, arrays), strict=True):
                array = np.asarray(value, spec.dtype.api)
                whole = np.broadcast_to if self.ops[node.op].is_pointwise else np.reshape
                self.builder.add_constant(name, spec, Constant(whole(array, spec.shape)))
        return self.builder.build()

    def _operands(self, node: Node) -> list[np.ndarray] | None:
        """The node's constants; None where it has an operand that is none, or no reference.

        Those of element-wise nodes without repetition: along such an axis the result repeats as well.
        """
        constants, op = self.builder.constants, self.ops[node.op]
        if op.reference is None or not all(name in constants for name in node.inputs):
            return None
        arrays = [constants[name].array for name in node.inputs]
        return [unrepeated(array) for array in arrays] if op.is_pointwise else arrays

    def _volume(self, node: Node, arrays: Sequence[np.ndarray], specs: Sequence[TensorSpec]) -> int | None:
        """Elements of the results; None where computing them is too much work."""
        op, shapes = self.ops[node.op], [array.shape for array in arrays]
        results = [broadcast(*shapes)] if op.is_pointwise else [spec.shape for spec in specs]
        flops = op.flops(shapes, results, node.attrs) if op.flops is not None else 0
        if flops > MAX_FLOPS or any(math.prod(shape) > MAX_VOLUME for shape in (*shapes, *results)):
            return None
        return sum(map(math.prod, results))

    def _evaluate(self, node: Node, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        try:
            with np.errstate(all="ignore"):
                return self.ops[node.op].evaluate(arrays, node.attrs)
        except RuleError as error:
            raise ModelError(str(error), where=node.position or None, op=node.op, tensor=node.name) from error

    def _floating(self, node: Node) -> Node:
        """An element-wise float operation reads constant integers, such as zero points, as floats."""
        if not self.ops[node.op].is_pointwise or self.graph.tensors[node.name].dtype != F32:
            return node
        return replace(node, inputs=tuple(self._float(name) for name in node.inputs))

    def _float(self, name: str) -> str:
        constant, spec = self.builder.constants.get(name), self.builder.tensors[name]
        if constant is None or spec.dtype != I64:
            return name
        if name not in self.floats:
            made = self.builder.unique(f"{name}.float")
            array = np.broadcast_to(unrepeated(constant.array).astype(np.float32), spec.shape)
            self.floats[name] = self.builder.add_constant(made, replace(spec, dtype=F32), Constant(array))
        return self.floats[name]

    def _slimmed(self, node: Node) -> Node:
        """An element-wise node reads its constants without repetition where another operand has the full shape."""
        full = self.graph.tensors[node.name].shape
        given = [name for name in node.inputs if name not in self.builder.constants]
        if not self.ops[node.op].is_pointwise or all(self.graph.tensors[name].shape != full for name in given):
            return node
        return replace(node, inputs=tuple(self._slim(name) for name in node.inputs))

    def _slim(self, name: str) -> str:
        constant = self.builder.constants.get(name)
        if constant is None or constant.array.size == 1 or 0 not in constant.array.strides:
            return name
        if name not in self.slim:
            array, spec = unrepeated(constant.array), self.builder.tensors[name]
            once = self.builder.unique(f"{name}_once")
            self.slim[name] = self.builder.add_constant(once, replace(spec, shape=array.shape), Constant(array))
        return self.slim[name]
