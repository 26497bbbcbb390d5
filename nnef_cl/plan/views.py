"""Tensors that are parts of others: joined, split and sliced without copies where a part lies in one piece."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.shapes import slice_bounds

JOINING, SPLITTING = ("concat", "stack"), ("split", "unstack", "slice")
"""Operations whose inputs are parts of their output, and whose outputs are parts of their input."""


@dataclass(frozen=True)
class View:
    """A part of the tensor `whole`, from byte `offset` on."""

    whole: str
    offset: int


def find_views(graph: Graph, target: Target) -> Mapping[str, View]:
    """Tensors that can lie in another one; each in one at most.

    The last joins come first, so that a chain of them ends in one tensor: whoever makes a part writes it there.
    """
    produced = {name for node in graph.nodes for name in node.outputs}
    views: dict[str, View] = {}
    for node in reversed(graph.nodes):
        for part, view in _parts(node, graph, target):
            if part in produced:
                views.setdefault(part, view)
    return views


def offsets(node: Node, graph: Graph) -> list[int] | None:
    """Where the parts of a joining or splitting node begin in the whole, in bytes; None where one is no piece."""
    joined = node.op in JOINING
    parts, whole = (node.own_inputs, node.outputs[0]) if joined else (node.outputs, node.inputs[0])
    spec = graph.tensors[whole]
    if node.op == "slice":
        begin = _slice_begin(node, spec)
        return None if begin is None else [begin]
    if math.prod(spec.layout.physical(spec.shape)[: node.attrs["axis"]]) > 1:
        return None
    return list(accumulate((graph.tensors[part].bytes for part in parts), initial=0))[:-1]


def _slice_begin(node: Node, spec: TensorSpec) -> int | None:
    """As `offsets`. A part of some channels must be whole blocks, behind which there may be nothing but zeros."""
    bounds, block = slice_bounds(spec.shape, **node.attrs), spec.layout.block
    begin, count = [0] * spec.rank, list(spec.shape)
    for axis, (first, extent, step) in bounds.items():
        if step != 1 and extent != 1:
            return None
        begin[axis], count[axis] = first, extent
    if block > 1:
        if begin[1] % block or (count[1] % block and begin[1] + count[1] != spec.shape[1]):
            return None
        begin[1] //= block
    part, whole = spec.layout.physical(tuple(count)), spec.layout.physical(spec.shape)
    cut = max((axis for axis in range(len(whole)) if part[axis] != whole[axis]), default=0)
    if math.prod(part[:cut]) > 1:
        return None
    return spec.dtype.bytes * sum(first * math.prod(whole[axis + 1 :]) for axis, first in enumerate(begin))


def _parts(node: Node, graph: Graph, target: Target) -> Iterator[tuple[str, View]]:
    """The node's parts that begin on an address at which a buffer may begin."""
    if node.op not in JOINING + SPLITTING or node.epilogue or (begins := offsets(node, graph)) is None:
        return
    joined = node.op in JOINING
    parts, whole = (node.own_inputs, node.outputs[0]) if joined else (node.outputs, node.inputs[0])
    for part, offset in zip(parts, begins, strict=True):
        if offset % target.alignment == 0 and graph.tensors[part].layout == graph.tensors[whole].layout:
            yield part, View(whole, offset)
