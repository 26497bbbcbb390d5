"""Turn deconvolutions of large strides into convolutions with a result per phase, which a transpose puts in place."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops.base import Table
from nnef_cl.ops.lowering import MAX_PHASES, MOST_AXES, deconv_window, groups_of
from nnef_cl.ops.subpixel import Taps, spread

BORDERS = ("constant", "ignore", "replicate")
MOST_GROWTH = 16
"""Strides that are much larger than windows would fill memory with zeros."""
MOST_WEIGHTS = 1 << 26
"""Elements of the convolution's filter, which is made here: one that repeats a number takes no memory before."""


def subpixel(graph: Graph, ops: Table, target: Target) -> Graph:
    """deconv -> conv, reshape, transpose, reshape (and slice), where a kernel per phase would be too many (Shi et al.,
    "Is the deconvolution layer the same as a convolutional layer?", 2016)."""
    builder = GraphBuilder.like(graph)
    found = {node.name: one for node in graph.nodes if (one := _found(node, graph, builder)) is not None}
    read = {name for node in graph.nodes for name in (node.inputs[:1] if node.name in found else node.inputs)}
    for name, constant in graph.constants.items():
        if name in read or name in graph.results:
            builder.add_constant(name, graph.tensors[name], constant)
    for node in graph.nodes:
        if node.name in found:
            found[node.name].add()
        else:
            builder.add_node(node, [graph.tensors[name] for name in node.outputs])
    return builder.build()


def _found(node: Node, graph: Graph, builder: GraphBuilder) -> _Shuffled | None:
    """Not where borders reflect: rows that are cut off in the end may read farther than that is defined."""
    if node.op != "deconv" or math.prod(node.attrs["stride"]) <= MAX_PHASES or node.attrs["border"] not in BORDERS:
        return None
    constant = all(name in graph.constants for name in node.inputs[1:3])
    if not constant or graph.tensors[node.inputs[0]].rank > MOST_AXES:
        return None
    shuffled = _Shuffled(node, graph, builder)
    small = shuffled.growth <= MOST_GROWTH and shuffled.weights <= MOST_WEIGHTS
    return shuffled if small else None


class _Shuffled:
    """The nodes that stand for one deconvolution."""

    def __init__(self, node: Node, graph: Graph, builder: GraphBuilder) -> None:
        self.node, self.graph, self.builder = node, graph, builder
        self.x, self.y = graph.tensors[node.inputs[0]].shape, graph.tensors[node.outputs[0]].shape
        filter = graph.tensors[node.inputs[1]].shape
        self.window = deconv_window(node.attrs, self.x, filter)
        self.groups = groups_of(node.attrs, self.x)
        self.stride = self.window.stride
        self.rows = tuple(-(-n // s) for n, s in zip(self.y[2:], self.stride, strict=True))  # of every phase
        self.taps = tuple(Taps.of(self.window, axis) for axis in range(len(self.stride)))

    @property
    def weights(self) -> int:
        """Elements of the convolution's filter."""
        channels = math.prod(self.graph.tensors[self.node.inputs[1]].shape[:2])
        return channels * math.prod(one.stride * one.reach for one in self.taps)

    @property
    def growth(self) -> float:
        """How many times as large filter or result become: by phases without taps, or rows that are cut off."""
        filter = math.prod(one.stride * one.reach for one in self.taps) / math.prod(self.window.size)
        return max(filter, math.prod(self.rows) * math.prod(self.stride) / math.prod(self.y[2:]))

    def add(self) -> None:
        (batch, channels), axes = self.y[:2], len(self.stride)
        value = self._node("conv", self._operands(), (batch, channels * math.prod(self.stride), *self.rows), {
            "border": self.node.attrs["border"], "padding": self._padding(), "stride": (1,) * axes,
            "dilation": (1,) * axes, "groups": self.groups,
        })  # fmt: skip
        value = self._reshape(value, (batch, channels, *self.stride, *self.rows))
        order = (0, 1, *(axis for a in range(axes) for axis in (2 + axes + a, 2 + a)))
        mixed = tuple(n for pair in zip(self.rows, self.stride, strict=True) for n in pair)
        value = self._node("transpose", (value,), (batch, channels, *mixed), {"axes": order})
        whole = (batch, channels, *(n * s for n, s in zip(self.rows, self.stride, strict=True)))
        if whole == self.y:
            self._reshape(value, whole, last=True)
            return
        value = self._reshape(value, whole)
        spatial = tuple(range(2, 2 + axes))
        cut = {"axes": spatial, "begin": (0,) * axes, "end": self.y[2:], "stride": (1,) * axes}
        self._node("slice", (value,), self.y, cut, last=True)

    def _reshape(self, value: str, shape: Shape, last: bool = False) -> str:
        return self._node("reshape", (value,), shape, {"shape": shape, "axis_start": 0, "axis_count": -1}, last)

    def _node(
        self, op: str, inputs: tuple[str, ...], shape: Shape, attrs: Mapping[str, object], last: bool = False
    ) -> str:
        """last: it makes the deconvolution's result."""
        name = self.node.outputs[0] if last else self.builder.unique(f"{self.node.outputs[0]}.{op}")
        spec = self.graph.tensors[name] if last else TensorSpec(shape)
        self.builder.add_node(Node(op, inputs, (name,), attrs, position=self.node.position), [spec])
        return name

    def _padding(self) -> tuple[tuple[int, int], ...]:
        return tuple(
            (-taps.first, rows + taps.last - extent)
            for taps, rows, extent in zip(self.taps, self.rows, self.x[2:], strict=True)
        )

    def _operands(self) -> tuple[str, ...]:
        """The input, and filter and bias of the convolution."""
        filter, bias = (self.graph.constants[name] for name in self.node.inputs[1:3])
        phases = spread(filter.array, self.groups, self.taps)
        each = np.broadcast_to(bias.array.reshape(-1), (self.y[1],))
        constants = (
            Constant(np.ascontiguousarray(phases).reshape(-1, *phases.shape[2 + len(self.taps) :]), filter.label),
            Constant(np.repeat(each, math.prod(self.stride)).reshape(1, -1).astype(np.float32), bias.label),
        )
        names = [self.builder.unique(f"{name}.phases") for name in self.node.inputs[1:3]]
        for name, constant in zip(names, constants, strict=True):
            self.builder.add_constant(name, TensorSpec(constant.shape), constant)
        return (self.node.inputs[0], *names)
