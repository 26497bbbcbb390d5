"""Compute a batch depth-first, row by row through many operations, where whole tensors would leave the caches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from nnef_cl.codegen.target import CACHE_SHARE, Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Table
from nnef_cl.ops.rows import has_rows, keeps_rows, with_rows

NEAR = 0.3
"""A byte from the last cache takes about as long as this part of one from memory."""
STEP_BYTES = 1 << 15
"""The workers' meeting behind an operation takes about as long as so many bytes from memory."""
ROW_BYTES = 1 << 8
"""The same of a kernel's start for one row."""
MOST_ROWS = 1 << 16
POINTER_BYTES = 8
COPIES = ("concat", "stack", "split", "unstack")
"""Of one row they are parts of the same memory."""
ALIASES = ("reshape", "squeeze", "unsqueeze")
"""Operations whose result is the same memory as their input."""
UNDIVIDED = ("image", "gather")
"""Operations that take all rows where some of them are computed another way: bytes have no kernel that copies them,
and an index outside is an index of the user's tensor."""


def depth_first(graph: Graph, ops: Table, target: Target, eager: bool = False) -> Graph:
    """Neighbouring operations that compute each row of a batch from the same row alone become one, `by_rows`, which
    takes a row through all of them before the next; each unit of the device has rows of its own. Which they are is
    chosen by the bytes that come from memory either way; eager: all that can, as tests want it."""
    rows, workers = _rows(graph), target.compute_units
    if not target.cache or target.tiles or not max(2, workers) <= rows <= MOST_ROWS:
        return graph
    left_out = UNDIVIDED if rows % workers else ()
    free = [node.op not in left_out and keeps_rows(node, graph, ops, rows) for node in graph.nodes]
    if not any(free):
        return graph
    caches = _Caches(rows, workers, target.near_cache, target.cache // CACHE_SHARE)
    deep = free if eager else _deep(graph, free, caches)
    if not any(deep):
        return graph
    return _ByRows(graph, rows, rows - rows % workers, target).build(deep)


def _rows(graph: Graph) -> int:
    """The first extent that most inputs have."""
    extents = Counter(graph.tensors[name].shape[0] for name in graph.inputs if graph.tensors[name].shape)
    return max(extents, key=lambda extent: (extents[extent], extent), default=1)


# Which operations ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Caches:
    """near: bytes of each worker's own cache; far: of the part of the common one that is ours."""

    rows: int
    workers: int
    near: int
    far: int

    @property
    def uneven(self) -> bool:
        """Whether some rows are left over that the workers compute together."""
        return self.rows % self.workers > 0

    def price(self, own: float, common: float) -> float:
        """Of a byte where each worker uses `own` bytes at one time and all of them `common`."""
        return 0.0 if own <= self.near else NEAR if common <= self.far else 1.0

    def by_layers(self, node: Node, graph: Graph) -> float:
        """Bytes from memory, roughly, of a node that computes all rows."""
        each, fixed = _bytes((*node.inputs, *node.outputs), graph, self.rows)
        every = each * self.rows
        moved = every + fixed + (every if node.op in COPIES else 0)
        return self.price(every / self.workers + fixed, every + fixed) * moved

    def by_rows(self, node: Node, graph: Graph, outside: Collection[str]) -> float:
        """The same where each worker has a row of its own. outside: tensors of the node that are there for all rows."""
        each, fixed = _bytes((*node.inputs, *node.outputs), graph, self.rows)
        price = self.price(each + fixed, each * self.workers + fixed)
        again = NEAR * fixed if node.op == "matmul" else 0  # a row is one line of the product: nothing hides this
        whole = _bytes(outside, graph, self.rows)[0] * self.rows
        edge = max(0.0, self.price(whole / self.workers, whole) - price) * whole
        return self.rows * (price * (each + fixed) + again + ROW_BYTES) + edge


def _bytes(names: Iterable[str], graph: Graph, rows: int) -> tuple[float, int]:
    """Of a row, and of what all rows have in common."""
    different = dict.fromkeys(names)
    each = sum(graph.tensors[name].bytes for name in different if has_rows(name, graph, rows)) / rows
    return each, sum(graph.tensors[name].bytes for name in different if not has_rows(name, graph, rows))


def _deep(graph: Graph, free: Sequence[bool], caches: _Caches) -> list[bool]:
    """Of each node whether it is computed row by row: of all sequences the one that takes least from memory."""
    costs = {False: 0.0}
    came: list[dict[bool, bool]] = []
    results, computed = set(graph.results), set[str]()
    for node, able in zip(graph.nodes, free, strict=True):
        origin, reached = {}, {}
        left = results.intersection(node.outputs)
        for deep in (False, True) if able else (False,):
            ways = {}
            for before, cost in costs.items():
                # What comes from a node before is a row's own only where that is computed row by row, too.
                inner = computed.intersection(node.inputs) if deep and before else set[str]()
                outside = left.union(set(node.inputs) - inner)
                own = caches.by_rows(node, graph, outside) if deep else caches.by_layers(node, graph)
                # A group must save more than one meeting; rows that are left over meet all the same.
                meetings = (0 if inner else 2 if deep else 1) + (deep and caches.uneven)
                ways[before] = cost + own + meetings * STEP_BYTES
            origin[deep] = min(ways, key=lambda before: ways[before])
            reached[deep] = ways[origin[deep]]
        costs = reached
        came.append(origin)
        computed.update(node.outputs)
    deep = min(costs, key=lambda each: costs[each])
    found = []
    for origin in reversed(came):
        found.append(deep)
        deep = origin[deep]
    return _several(found[::-1], graph)


def _several(deep: Sequence[bool], graph: Graph) -> list[bool]:
    """Without those that no other one is computed with: there is nothing that a row would keep in the caches."""
    found: list[bool] = []
    for is_deep, run in groupby(zip(deep, graph.nodes, strict=True), key=lambda pair: pair[0]):
        nodes = [node for _, node in run]
        found += [is_deep and sum(node.op not in ALIASES for node in nodes) > 1] * len(nodes)
    return found


# The graph ----------------------------------------------------------------------------------------------------
class _ByRows:
    """main: rows that the workers share evenly; the others are computed together."""

    def __init__(self, graph: Graph, rows: int, main: int, target: Target) -> None:
        self.graph, self.rows, self.main, self.target = graph, rows, main, target
        # Of these the workers' own memory is one, and the counters of a chain.
        self.most = target.max_argument_bytes // POINTER_BYTES - 2
        self.consumers = graph.consumers()
        self.builder = GraphBuilder.like(graph)
        for name, constant in graph.constants.items():
            self.builder.add_constant(name, graph.tensors[name], constant)

    def build(self, deep: Sequence[bool]) -> Graph:
        for together, run in groupby(zip(deep, self.graph.nodes, strict=True), key=lambda pair: pair[0]):
            nodes = [node for _, node in run]
            for part in self._that_fit(nodes) if together else [nodes]:
                if together and self._fits(part):
                    self._add(part)
                else:
                    for node in part:
                        self._keep(node)
        return self.builder.build()

    def _that_fit(self, nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
        """Parts with few enough tensors around them, cut where the fewest bytes go from one to the next."""
        while nodes:
            arguments, crossing = self._around(nodes)
            cut = len(crossing)
            if cut < len(nodes) or arguments > self.most:
                allowed = range((cut + 1) // 2, cut + 1)
                cut = min(allowed, key=lambda n: (crossing[n - 1], -n))
            yield nodes[:cut]
            nodes = nodes[cut:]

    def _around(self, nodes: Sequence[Node]) -> tuple[int, list[int]]:
        """Arguments of the first nodes, as many as fit or one, and for each of them the bytes that go from it and those
        before to others. Constants count for each node, because each may pack them in a way of its own."""
        ends = {name: number for number, node in enumerate(nodes) for name in node.inputs}
        inner = {id(node) for node in nodes}
        leaving = {name for node in nodes for name in node.outputs if self._leaves(name, inner)}
        made: set[str] = set()
        read: set[str] = set()
        open: set[str] = set()
        crossing: list[int] = []
        constants = arguments = 0
        for number, node in enumerate(nodes):
            constants += self._constants(node)
            made.update(node.outputs)
            read.update(name for name in node.inputs if name not in made and name not in self.graph.constants)
            open.update(node.outputs)
            open -= {name for name in (*node.inputs, *node.outputs) if ends.get(name, -1) <= number} - leaving
            count = constants + len(read) + len(open)
            if crossing and count > self.most:
                break
            arguments = count
            crossing.append(sum(self.graph.tensors[name].bytes for name in open))
        return arguments, crossing

    def _constants(self, node: Node) -> int:
        """Arguments for what the model holds, and for the flag that an index outside sets. Each phase of a transposed
        convolution has a filter of its own."""
        found = sum(name in self.graph.constants for name in node.inputs)
        phases = math.prod(node.attrs["stride"]) - 1 if node.op == "deconv" else 0
        return found + phases + (node.op == "gather")

    def _fits(self, nodes: Sequence[Node]) -> bool:
        """Whether a kernel can have these arguments, and a buffer hold what the workers need."""
        names = {name for node in nodes for name in node.outputs}
        own = self.target.compute_units * sum(self.graph.tensors[name].bytes for name in names) // self.rows
        return self._around(nodes)[0] <= self.most and own <= (self.target.max_allocation or own)

    def _keep(self, node: Node) -> None:
        self.builder.add_node(node, [self.graph.tensors[name] for name in node.outputs])

    def _add(self, nodes: Sequence[Node]) -> None:
        """Those that only give a result another shape for nodes outside come behind."""
        made = {name for node in nodes for name in node.outputs}
        inner = {id(node) for node in nodes}
        results = [name for name in made if self._leaves(name, inner)]
        behind = []
        for node in reversed(nodes):
            if node.op in ALIASES and node.name in results:
                results.remove(node.name)
                behind.append(node)
                if node.inputs[0] in made and node.inputs[0] not in results:
                    results.append(node.inputs[0])
        if results:
            self._add_rows(_live(nodes, results), [name for node in nodes for name in node.outputs if name in results])
        for node in reversed(behind):
            self._keep(node)

    def _leaves(self, name: str, inner: Collection[int]) -> bool:
        """Whether others than the nodes `inner`, known by their ids, read it."""
        return name in self.graph.results or any(id(node) not in inner for node in self.consumers[name])

    def _add_rows(self, nodes: Sequence[Node], results: Sequence[str]) -> None:
        rest = self.rows - self.main
        body = self._body(nodes, results)
        parts = [self._named(name, "rows") if rest else name for name in results]
        inputs = (*body.inputs, *body.constants)
        attrs = {"body": body, "rows": self.main}
        specs = [self._resized(name, self.main) for name in results]
        self.builder.add_node(Node("by_rows", inputs, tuple(parts), attrs, position=nodes[0].position), specs)
        if not rest:
            return
        names = {name: self._sliced(name) for name in body.inputs if has_rows(name, self.graph, self.rows)}
        for node in nodes:
            names |= {name: self._named(name, "rest") for name in node.outputs}
            self._copy(self.builder, node, names, rest)
        for name, part in zip(results, parts, strict=True):
            self.builder.add_node(Node("concat", (part, names[name]), (name,), {"axis": 0}), [self.graph.tensors[name]])

    def _body(self, nodes: Sequence[Node], results: Sequence[str]) -> Graph:
        """What one row goes through, under the same names."""
        builder = GraphBuilder(self.graph.name)
        made = {name for node in nodes for name in node.outputs}
        for name in dict.fromkeys(name for node in nodes for name in node.inputs if name not in made):
            if name in self.graph.constants:
                builder.add_constant(name, self.graph.tensors[name], self.graph.constants[name])
            else:
                builder.add_input(name, self._resized(name, 1))
        for node in nodes:
            self._copy(builder, node, {}, 1)
        builder.outputs = list(results)
        return builder.build()

    def _copy(self, builder: GraphBuilder, node: Node, names: dict[str, str], count: int) -> None:
        """The node for `count` rows; names: of those of its tensors that have others."""
        inputs, outputs = (tuple(names.get(n, n) for n in given) for given in (node.inputs, node.outputs))
        attrs = with_rows(node, self.rows, count)
        specs = [self._resized(name, count) for name in node.outputs]
        builder.add_node(replace(node, inputs=inputs, outputs=outputs, attrs=attrs), specs)

    def _sliced(self, name: str) -> str:
        attrs = {"axes": (0,), "begin": (self.main,), "end": (self.rows,), "stride": ()}
        part = self._named(name, "rest")
        self.builder.add_node(Node("slice", (name,), (part,), attrs), [self._resized(name, self.rows - self.main)])
        return part

    def _resized(self, name: str, count: int) -> TensorSpec:
        spec = self.graph.tensors[name]
        return replace(spec, shape=(count, *spec.shape[1:])) if has_rows(name, self.graph, self.rows) else spec

    def _named(self, name: str, part: str) -> str:
        return self.builder.unique(f"{name}.{part}")


def _live(nodes: Sequence[Node], results: Collection[str]) -> list[Node]:
    """Those that the results need."""
    wanted, kept = set(results), []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return kept[::-1]
