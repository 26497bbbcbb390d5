"""Tensors that are parts of others: joined and split without copies where the parts lie one behind the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, Node

JOINING, SPLITTING = ("concat", "stack"), ("split", "unstack")
"""Operations whose inputs are parts of their output, and whose outputs are parts of their input, along `axis`."""


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


def offsets(node: Node, graph: Graph) -> list[int]:
    """Where the parts of a joining or splitting node begin in the whole, in bytes, if they lie one behind the other."""
    parts = node.own_inputs if node.op in JOINING else node.outputs
    return list(accumulate((graph.tensors[part].bytes for part in parts), initial=0))[:-1]


def _parts(node: Node, graph: Graph, target: Target) -> Iterator[tuple[str, View]]:
    """The node's parts that begin on an address at which a buffer may begin."""
    if node.op not in JOINING + SPLITTING or node.epilogue:
        return
    joined = node.op in JOINING
    parts, whole = (node.own_inputs, node.outputs[0]) if joined else (node.outputs, node.inputs[0])
    spec = graph.tensors[whole]
    if math.prod(spec.layout.physical(spec.shape)[: node.attrs["axis"]]) > 1:
        return
    for part, offset in zip(parts, offsets(node, graph), strict=True):
        if offset % target.alignment == 0 and graph.tensors[part].layout == spec.layout:
            yield part, View(whole, offset)
