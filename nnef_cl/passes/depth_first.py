"""Compute a batch depth-first: groups of its rows through many operations, where whole tensors leave the caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Table
from nnef_cl.ops.rows import has_rows, keeps_rows, with_rows

SHARE = 4
"""Of the last cache a node's tensors may fill one part in so many: the next node's must be there beside them, and what
else the machine does."""
STEP_BYTES = 1 << 15
"""A kernel's start takes about as long as so many bytes of memory do."""
JOINS = ("concat", "stack", "split", "unstack")
"""Of one row they need no copies."""


def depth_first(graph: Graph, ops: Table, target: Target) -> Graph:
    """Nodes that compute each row of a batch from the same row alone do so for a few rows at a time, one node after
    another, before the next rows. How many is chosen for each node by the bytes that would come from memory."""
    rows = _rows(graph)
    if rows < 2 or not target.cache:
        return graph
    apart = [keeps_rows(node, graph, ops, rows) for node in graph.nodes]
    if not any(apart):
        return graph
    counts = _counts(graph, apart, rows, target.cache // SHARE)
    if set(counts) == {rows}:
        return graph
    return _Unrolled(graph, rows, counts).build()


def _rows(graph: Graph) -> int:
    """Extent of the inputs' first axis, 1 where they have no common one."""
    extents = {graph.tensors[name].shape[:1] for name in graph.inputs}
    return extents.pop()[0] if len(extents) == 1 and () not in extents else 1


# How many rows at a time --------------------------------------------------------------------------------------
def _counts(graph: Graph, apart: Sequence[bool], rows: int, cache: int) -> list[int]:
    """Of each node the rows it computes at a time: of all sequences the one that takes least from memory."""
    sizes = _sizes(rows)
    best = dict.fromkeys(sizes, 0.0)
    came: list[dict[int, int]] = []
    for node, free in zip(graph.nodes, apart, strict=True):
        before, best, origin = best, {}, {}
        for count in sizes if free else [rows]:
            reached = {old: cost + (old != count) * STEP_BYTES for old, cost in before.items()}
            origin[count] = min(reached, key=lambda old: (reached[old], -old))
            best[count] = reached[origin[count]] + _traffic(node, graph, rows, count, cache)
        came.append(origin)
    count = min(best, key=lambda count: (best[count], -count))
    counts = []
    for origin in reversed(came):
        counts.append(count)
        count = origin[count]
    return counts[::-1]


def _sizes(rows: int) -> list[int]:
    """Group sizes, each a multiple of the one before: halves of the whole where it can be halved."""
    sizes = [rows]
    while sizes[-1] > 1:
        size = sizes[-1]
        sizes.append(size // next(n for n in range(2, size + 1) if size % n == 0))
    return sizes[::-1]


def _traffic(node: Node, graph: Graph, rows: int, count: int, cache: int) -> float:
    """Bytes from and to memory, roughly, of a node that computes so many rows at a time."""
    names = (*node.inputs, *node.outputs)
    fixed = sum(graph.tensors[name].bytes for name in names if not has_rows(name, graph, rows))
    each = sum(graph.tensors[name].bytes for name in names if has_rows(name, graph, rows)) / rows
    spilled = each * count + fixed > cache
    moved = (each * count + fixed if spilled else 0) + (each * count if node.op in JOINS and count > 1 else 0)
    return rows / count * (moved + STEP_BYTES)


# The graph ------------------------------------------------------------------------------------------------------
Span = tuple[int, int]
"""Rows, from the first up to the last one excluded."""


@dataclass(frozen=True)
class _Segment:
    """Neighbouring nodes that compute as many rows at a time."""

    count: int
    nodes: tuple[Node, ...]


class _Unrolled:
    """parts: of each tensor the rows that are there, under names of their own."""

    def __init__(self, graph: Graph, rows: int, counts: Sequence[int]) -> None:
        self.graph, self.rows = graph, rows
        self.builder = GraphBuilder.like(graph)
        for name, constant in graph.constants.items():
            self.builder.add_constant(name, graph.tensors[name], constant)
        pairs = groupby(zip(counts, graph.nodes, strict=True), key=lambda pair: pair[0])
        self.segments = [_Segment(count, tuple(node for _, node in run)) for count, run in pairs]
        self.parts: dict[str, dict[Span, str]] = {n: {(0, rows): n} for n in (*graph.inputs, *graph.variables)}
        self.attrs = {
            (node.name, count): with_rows(node, rows, count)
            for count, node in zip(counts, graph.nodes, strict=True)
        }

    def build(self) -> Graph:
        self._compute(self.segments, (0, self.rows))
        for name in self.graph.results:
            self._rows_of(name, (0, self.rows))
        return self.builder.build()

    def _compute(self, segments: Sequence[_Segment], span: Span) -> None:
        """All segments for those rows, group by group of the segments that take the most rows at a time: what smaller
        ones before them leave is read at once, and read at once by those behind them."""
        if not segments:
            return
        size = max(segment.count for segment in segments)
        at = next(number for number, segment in enumerate(segments) if segment.count == size)
        for first in range(span[0], span[1], size):
            group = first, first + size
            self._compute(segments[:at], group)
            for node in segments[at].nodes:
                self._add(node, group)
            self._compute(segments[at + 1 :], group)

    def _add(self, node: Node, span: Span) -> None:
        whole = span == (0, self.rows)
        inputs = tuple(self._rows_of(name, span) for name in node.inputs)
        outputs = tuple(name if whole else self._declared(name, span) for name in node.outputs)
        part = replace(node, inputs=inputs, outputs=outputs, attrs=self.attrs[node.name, span[1] - span[0]])
        self.builder.add_node(part, [self._spec(name, span) for name in node.outputs])
        for name, output in zip(node.outputs, outputs, strict=True):
            self.parts.setdefault(name, {})[span] = output

    def _rows_of(self, name: str, span: Span) -> str:
        """The tensor that holds those rows, taken from larger parts or made of smaller ones; where it has no rows, the
        tensor itself."""
        parts = self.parts.get(name)
        if parts is None or not has_rows(name, self.graph, self.rows):
            return name
        if span not in parts:
            parts[span] = self._sliced(name, span) or self._joined(name, span)
        return parts[span]

    def _sliced(self, name: str, span: Span) -> str | None:
        """None where no part has all of the rows."""
        for (first, last), part in self.parts[name].items():
            if first <= span[0] and span[1] <= last:
                attrs = {"axes": (0,), "begin": (span[0] - first,), "end": (span[1] - first,), "stride": ()}
                result = self._declared(name, span)
                self.builder.add_node(Node("slice", (part,), (result,), attrs), [self._spec(name, span)])
                return result
        return None

    def _joined(self, name: str, span: Span) -> str:
        found = self.parts[name]
        parts, at = [], span[0]
        while at < span[1]:
            last = max(end for first, end in found if first == at and end <= span[1])
            parts.append(found[at, last])
            at = last
        result = name if span == (0, self.rows) else self._declared(name, span)
        self.builder.add_node(Node("concat", tuple(parts), (result,), {"axis": 0}), [self._spec(name, span)])
        return result

    def _declared(self, name: str, span: Span) -> str:
        return self.builder.unique(f"{name}[{span[0]}:{span[1]}]")

    def _spec(self, name: str, span: Span) -> TensorSpec:
        spec = self.graph.tensors[name]
        return replace(spec, shape=(span[1] - span[0], *spec.shape[1:]))
