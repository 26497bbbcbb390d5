"""Attention: two matrix products with a softmax between them become one operation that reads its operands in place."""

from __future__ import annotations

from nnef_cl.codegen.access import join_axes
from nnef_cl.codegen.kernels.attention import Heads, Matrices, attention_fits
from nnef_cl.codegen.kernels.pointwise import broadcast_strides
from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.layout import Shape, row_major_strides
from nnef_cl.ir.program import Program
from nnef_cl.ops.base import Table
from nnef_cl.ops.shapes import slice_bounds
from nnef_cl.passes.simplify import simplify

RESHAPES = ("reshape", "squeeze", "unsqueeze")
MOVES = (*RESHAPES, "transpose", "slice", "split", "unstack")
"""Operations that only move elements, and never have an epilogue."""
View = tuple[Shape, Shape, int]
"""Extents, element strides and first element of a tensor inside another one."""


def attend(graph: Graph, ops: Table, target: Target) -> Graph:
    if target.vector_width < 4 or not any(node.op == "softmax" for node in graph.nodes):
        return graph
    return simplify(_Attend(graph, target).run(), ops, target)


class _Attend:
    """One sweep: a product behind a softmax takes in what is before it and, where it can, a transposition behind."""

    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph, self.target = graph, target
        self.producer = {name: node for node in graph.nodes for name in node.outputs}
        self.readers = graph.consumers()

    def run(self) -> Graph:
        made: dict[str, Node] = {}
        for node in self.graph.nodes:
            attention = self._attention(node) if node.op == "matmul" else None
            if attention is not None:
                made[attention.name] = attention
        builder = GraphBuilder.like(self.graph)
        for name, constant in self.graph.constants.items():
            builder.add_constant(name, self.graph.tensors[name], constant)
        for node in self.graph.nodes:
            builder.add_node(made.get(node.name, node), [self.graph.tensors[name] for name in node.outputs])
        return builder.build()

    def _private(self, name: str, op: str) -> Node | None:
        """The node of that operation that makes `name`, where nobody else reads it."""
        node = self.producer.get(name)
        alone = len(self.readers[name]) == 1 and name not in self.graph.results
        return node if node is not None and node.op == op and alone else None

    def _attention(self, mixture: Node) -> Node | None:
        """mixture: the second product."""
        softmax = self._private(mixture.inputs[0], "softmax")
        if softmax is None or mixture.attrs["transposeA"] or mixture.inputs[1] == softmax.name:
            return None
        product = self._private(softmax.inputs[0], "matmul")
        rank = self.graph.tensors[softmax.name].rank
        if product is None or list(softmax.attrs["axes"]) != [rank - 1]:
            return None
        *batch, queries, keys = self.graph.tensors[product.name].shape
        *outer, _, columns = self.graph.tensors[mixture.name].shape
        if outer != batch:
            return None
        query = self._operand(product.inputs[0], product.attrs["transposeA"])
        key = self._operand(product.inputs[1], not product.attrs["transposeB"])
        value = self._operand(mixture.inputs[1], mixture.attrs["transposeB"])
        operands = product.inputs[2:]
        scores = self.graph.tensors[product.name]
        places = tuple(Matrices(broadcast_strides(self.graph.tensors[name], scores)) for name in operands)
        features = query[1][0][-1]
        result, place = self._result(mixture)
        heads = Heads(
            tuple(batch), queries, keys, features, columns, _matrices(query[1]), _matrices(key[1]), _matrices(value[1]),
            place, places,
        )  # fmt: skip
        inputs = (query[0], key[0], value[0], *operands)
        specs = [self.graph.tensors[name] for name in (*inputs, *mixture.inputs[2:], result)]
        if not attention_fits(heads, specs, self.target):
            return None
        attrs = {
            "heads": heads, "scores": product.epilogue or Program(1, ()), "shape": self.graph.tensors[result].shape,
        }  # fmt: skip
        return Node(
            "attention", (*inputs, *mixture.inputs[2:]), (result,), attrs, mixture.epilogue, mixture.position
        )

    def _operand(self, name: str, swapped: bool) -> tuple[str, View]:
        """The farthest tensor that the operand is a view of, and the view. swapped: the last two axes."""
        chain = [name]
        while (node := self.producer.get(chain[-1])) and node.op in MOVES:
            chain.append(node.inputs[0])
        for at in range(len(chain) - 1, -1, -1):
            view: View | None = _whole(self.graph.tensors[chain[at]].shape)
            for step in reversed(chain[:at]):
                view = self._step(view, step) if view is not None else None
            if view is not None:
                shape, strides, base = view
                if swapped:
                    shape, strides = ((*x[:-2], x[-1], x[-2]) for x in (shape, strides))
                return chain[at], (shape, strides, base)
        raise AssertionError(name)

    def _step(self, view: View, name: str) -> View | None:
        """What the node of that result, which only moves elements, makes of a view; None where the result is none."""
        shape, strides, base = view
        node, result = self.producer[name], self.graph.tensors[name].shape
        if node.op == "transpose":
            axes = (*node.attrs["axes"], *range(len(node.attrs["axes"]), len(shape)))
            return result, tuple(strides[a] for a in axes), base
        if node.op in RESHAPES:
            split = reshaped(shape, strides, result)
            return None if split is None else (result, split, base)
        before = node.outputs[: node.outputs.index(name)]
        if node.op == "unstack":
            axis = node.attrs["axis"]
            return result, (*strides[:axis], *strides[axis + 1 :]), base + len(before) * strides[axis]
        if node.op == "split":
            axis = node.attrs["axis"]
            return result, strides, base + sum(self.graph.tensors[n].shape[axis] for n in before) * strides[axis]
        steps = list(strides)
        for axis, (begin, _, step) in slice_bounds(shape, **node.attrs).items():
            base += begin * strides[axis]
            steps[axis] *= step
        return result, tuple(steps), base

    def _result(self, mixture: Node) -> tuple[str, Matrices]:
        """The tensor to write and where the results lie in it: behind a transposition that alone reads them."""
        name = mixture.name
        shape = self.graph.tensors[name].shape
        here = name, Matrices(row_major_strides(shape))
        inner, chain = name, list[Node]()
        while mixture.epilogue is None and inner not in self.graph.results and len(self.readers[inner]) == 1:
            [node] = self.readers[inner]
            if node.op not in (*RESHAPES, "transpose"):
                break
            chain.append(node)
            inner = node.name
            if node.op == "transpose":
                break
        if not chain or chain[-1].op != "transpose":
            return here
        last = chain[-1]
        outside = row_major_strides(self.graph.tensors[last.name].shape)
        before = self.graph.tensors[last.inputs[0]].shape
        axes = (*last.attrs["axes"], *range(len(last.attrs["axes"]), len(before)))
        strides = reshaped(before, tuple(outside[axes.index(a)] for a in range(len(before))), shape)
        return (last.name, Matrices(strides)) if strides else here


def _whole(shape: Shape) -> View:
    return shape, row_major_strides(shape), 0


def _matrices(view: View) -> Matrices:
    """Axes of extent 1 are broadcast."""
    shape, strides, base = view
    return Matrices((*(0 if n == 1 else s for n, s in zip(shape[:-2], strides[:-2], strict=True)), *strides[-2:]), base)


def reshaped(shape: Shape, strides: Shape, result: Shape) -> Shape | None:
    """Strides by which a strided tensor has the elements of its reshaped form; None where there are none."""
    extents, (steps,) = join_axes(shape, [strides])
    runs = list(zip(extents, steps, strict=True))
    found: list[int] = []
    for extent in reversed(result):
        if extent == 1:
            found.append(1)
            continue
        length, step = runs.pop()
        if length % extent:
            return None
        found.append(step)
        if length > extent:
            runs.append((length // extent, step * extent))
    return tuple(reversed(found))
