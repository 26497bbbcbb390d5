"""Reductions over the last axes with the maps between and behind them (normalisations) become one operation."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

from nnef_cl.codegen.target import Target
from nnef_cl.ir.dtype import F32, I64
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.layout import PLAIN, Shape
from nnef_cl.ir.program import Program, Step
from nnef_cl.ops.base import Table
from nnef_cl.ops.problem import expression
from nnef_cl.ops.rowwise import kernel_of
from nnef_cl.passes.simplify import simplify

KINDS = {"sum_reduce": "sum", "mean_reduce": "mean", "max_reduce": "max", "min_reduce": "min"}
MOST_NODES = 24
MOST_OPERANDS = 12
MOST_STEPS = 64
MOST_REPEATED = 4
"""Steps of a map that are computed more than once."""
FEWEST_ROWS = 4
"""Per compute unit: one work-item takes a whole row."""


def rowwise(graph: Graph, ops: Table, target: Target) -> Graph:
    if target.vector_width < 4 or not any(node.op in KINDS for node in graph.nodes):
        return graph
    return simplify(_Rowwise(graph, ops, target).run(), ops, target)


@dataclass(frozen=True)
class _Group:
    """nodes: in order of execution, the last one a map over `shape`; axes: of the rows."""

    nodes: list[Node]
    shape: Shape
    axes: tuple[int, ...]


class _Rowwise:
    """Backwards over the graph: every map that no later group has taken begins one."""

    def __init__(self, graph: Graph, ops: Table, target: Target) -> None:
        self.graph, self.ops, self.target = graph, ops, target
        self.place = {name: at for at, node in enumerate(graph.nodes) for name in node.outputs}
        self.readers = graph.consumers()

    def run(self) -> Graph:
        made: dict[int, Node] = {}
        taken: set[int] = set()
        for at in range(len(self.graph.nodes) - 1, -1, -1):
            group = self._group(at) if at not in taken else None
            node = self._merged(group) if group is not None else None
            if group is not None and node is not None:
                made[at] = node
                taken |= {self.place[member.name] for member in group.nodes}
        builder = GraphBuilder.like(self.graph)
        for name, constant in self.graph.constants.items():
            builder.add_constant(name, self.graph.tensors[name], constant)
        for at, node in enumerate(self.graph.nodes):
            builder.add_node(made.get(at, node), [self.graph.tensors[name] for name in node.outputs])
        return builder.build()

    def _group(self, last: int) -> _Group | None:
        """The map number `last` and everything before it that only this group reads and that fits its rows."""
        node = self.graph.nodes[last]
        shape = self.graph.tensors[node.name].shape
        axes = self._axes(node, shape) if node.op == "map" and self._fits(node) else None
        if axes is None:
            return None
        members, waiting = {last: node}, [-at for at in self._before(node)]
        heapq.heapify(waiting)
        while waiting and len(members) < MOST_NODES:
            at = -heapq.heappop(waiting)
            other = self.graph.nodes[at]
            if at not in members and self._belongs(other, shape, axes) and self._only_for(other, members.values()):
                members[at] = other
                for before in self._before(other):
                    heapq.heappush(waiting, -before)
        nodes = [members[at] for at in sorted(members)]
        return _Group(nodes, shape, axes) if any(n.op in KINDS for n in nodes) else None

    def _before(self, node: Node) -> list[int]:
        return [self.place[name] for name in dict.fromkeys(node.inputs) if name in self.place]

    def _axes(self, last: Node, shape: Shape) -> tuple[int, ...] | None:
        """Of the nearest reduction that the map needs, over maps alone."""
        waiting, seen = [-at for at in self._before(last)], 0
        heapq.heapify(waiting)
        while waiting and seen < MOST_NODES:
            node = self.graph.nodes[-heapq.heappop(waiting)]
            seen += 1
            if node.op in KINDS and self.graph.tensors[node.inputs[0]].shape == shape:
                return tuple(sorted(node.attrs["axes"]))
            if node.op == "map":
                for at in self._before(node):
                    heapq.heappush(waiting, -at)
        return None

    def _fits(self, node: Node) -> bool:
        """float32 results in plain layout, of steps without 64-bit integers."""
        y = self.graph.tensors[node.outputs[0]]
        operands = [self.graph.tensors[name] for name in node.inputs]
        steps = node.epilogue.steps if node.epilogue else ()
        plain = all(x.layout == PLAIN and x.dtype != I64 for x in (y, *operands))
        return plain and y.dtype == F32 and all(step.dtype != I64 for step in steps)

    def _belongs(self, node: Node, shape: Shape, axes: tuple[int, ...]) -> bool:
        y = self.graph.tensors[node.outputs[0]].shape
        narrow = tuple(1 if a in axes else n for a, n in enumerate(shape))
        if node.op in KINDS:
            same = self.graph.tensors[node.inputs[0]].shape == shape and tuple(sorted(node.attrs["axes"])) == axes
            return same and self._fits(node)
        return node.op == "map" and (y == narrow or (y == shape and self._cheap(node))) and self._fits(node)

    def _cheap(self, node: Node) -> bool:
        """Whether a map along the rows may be computed again for each of its readers."""
        assert node.epilogue is not None
        return len(node.epilogue.steps) * (len(self.readers[node.name]) - 1) <= MOST_REPEATED

    def _only_for(self, node: Node, members: Iterable[Node]) -> bool:
        names = {member.name for member in members}
        private = node.name not in self.graph.results
        return private and all(reader.name in names for reader in self.readers[node.name])

    def _merged(self, group: _Group) -> Node | None:
        """The group as one node; None where there is no kernel for it, or none that is worth it."""
        inner = {node.name for node in group.nodes}
        operands = list(dict.fromkeys(n for node in group.nodes for n in node.inputs if n not in inner))
        kinds, programs = _Stages(group, operands, self.graph).run()
        steps = sum(len(program.steps) for program in programs)
        rows = math.prod(group.shape) // math.prod(group.shape[a] for a in group.axes)
        few = rows < FEWEST_ROWS * self.target.compute_units
        if few or len(operands) > MOST_OPERANDS or steps > MOST_STEPS:
            return None
        last = group.nodes[-1]
        specs = [self.graph.tensors[name] for name in operands]
        spelled = [expression(program, self.ops) for program in programs]
        if kernel_of(self.graph.tensors[last.name], group.axes, specs, kinds, spelled, self.target) is None:
            return None
        attrs = {"shape": group.shape, "axes": group.axes, "kinds": kinds, "programs": programs}
        return Node("rowwise", tuple(operands), last.outputs, attrs, None, last.position)


class _Stages:
    """Turns a group's nodes into stages. Maps along the rows are written into every stage that needs them."""

    def __init__(self, group: _Group, operands: list[str], graph: Graph) -> None:
        self.group, self.graph = group, graph
        self.values = {name: k for k, name in enumerate(operands)}
        self.operands = len(operands)
        self.maps: dict[str, Node] = {}
        self.kinds: list[str] = []
        self.programs: list[Program] = []

    def run(self) -> tuple[tuple[str, ...], tuple[Program, ...]]:
        """Kinds of the stages; their programs and that of the last map."""
        for node in self.group.nodes:
            if node.op in KINDS:
                self._reduction(node)
            elif self.graph.tensors[node.name].shape == self.group.shape:
                self.maps[node.name] = node
            else:
                self._numbers(node, [self.values[name] for name in node.inputs])
        return tuple(self.kinds), (*self.programs, self._along(self.group.nodes[-1].name))

    @property
    def _arity(self) -> int:
        """Of the next program: the operands, and a number of every stage before."""
        return self.operands + len(self.programs)

    def _reduction(self, node: Node) -> None:
        result = self._arity
        self._add("mean" if node.attrs.get("normalize") else KINDS[node.op], self._along(node.inputs[0]), node.name)
        if node.epilogue is not None:
            self._numbers(node, [result, *(self.values[name] for name in node.inputs[1:])])

    def _numbers(self, node: Node, places: list[int]) -> None:
        """A stage that makes a number of others."""
        assert node.epilogue is not None
        self._add("map", Program(self._arity, node.epilogue.placed(places, self._arity)), node.name)

    def _add(self, kind: str, program: Program, name: str) -> None:
        self.values[name] = self._arity
        self.kinds.append(kind)
        self.programs.append(program)

    def _along(self, name: str) -> Program:
        """What makes the tensor's elements, from operands and numbers."""
        needed, nodes = {name}, list[Node]()
        for node in reversed(self.maps.values()):
            if node.name in needed:
                nodes.append(node)
                needed |= set(node.inputs)
        arity, values, steps = self._arity, dict(self.values), list[Step]()
        for node in reversed(nodes):
            assert node.epilogue is not None
            steps += node.epilogue.placed([values[x] for x in node.inputs], arity + len(steps))
            values[node.name] = arity + len(steps) - 1
        return Program(arity, tuple(steps) or (Step("copy", (values[name],), F32),))
