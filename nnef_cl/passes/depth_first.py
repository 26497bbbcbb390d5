"""Compute a batch depth-first, row by row through many operations, where whole tensors would leave the caches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Table
from nnef_cl.ops.rows import has_rows, keeps_rows, with_rows

SHARE = 4
"""Of the last cache the tensors of a node may fill one part in so many: those of its neighbours must be there, too, and
it is not ours alone."""
NEAR = 0.3
"""A byte from the last cache takes about as long as this part of one from memory."""
STEP_BYTES = 1 << 15
"""The workers' meeting behind an operation takes about as long as so many bytes from memory."""
COPIES = ("concat", "stack", "split", "unstack")
"""Of one row they are parts of the same memory."""
POINTER_BYTES = 8
ALIASES = ("reshape", "squeeze", "unsqueeze")
"""Operations whose result is the same memory as their input."""


def depth_first(graph: Graph, ops: Table, target: Target, eager: bool = False) -> Graph:
    """Neighbouring operations that compute each row of a batch from the same row alone become one, `by_rows`, which
    takes a row through all of them before the next; each unit of the device has rows of its own. Which they are is
    chosen by the bytes that come from memory either way; eager: all that can, as tests want it."""
    rows = _rows(graph)
    workers = target.compute_units
    if not target.cache or rows < max(2, workers):
        return graph
    free = [keeps_rows(node, graph, ops, rows) for node in graph.nodes]
    if not any(free):
        return graph
    caches = _Caches(rows, workers, target.near_cache, target.cache // SHARE)
    deep = free if eager else _deep(graph, free, caches)
    if not any(deep):
        return graph
    most = target.max_argument_bytes // POINTER_BYTES - 2  # the workers' own memory and the counters of a chain
    return _ByRows(graph, rows, rows - rows % workers, most).build(deep)


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

    def price(self, own: float, all: float) -> float:
        """Of a byte where each worker uses `own` bytes at one time and all of them `all`."""
        return 0.0 if own <= self.near else NEAR if all <= self.far else 1.0

    def by_layers(self, node: Node, graph: Graph) -> float:
        """Bytes from memory, roughly, of a node that computes all rows."""
        each, fixed = _bytes(node, graph, self.rows)
        every = each * self.rows
        moved = every + fixed + (every if node.op in COPIES else 0)
        return self.price(every / self.workers + fixed, every + fixed) * moved

    def by_rows(self, node: Node, graph: Graph) -> float:
        """The same where each worker has a row of its own."""
        each, fixed = _bytes(node, graph, self.rows)
        price = self.price(each + fixed, each * self.workers + fixed)
        again = NEAR * fixed if node.op == "matmul" else 0  # a row is one line of the product: nothing hides this
        return self.rows * (price * (each + fixed) + again)


def _bytes(node: Node, graph: Graph, rows: int) -> tuple[float, int]:
    """Of a row, and of what all rows have in common."""
    names = (*dict.fromkeys(node.inputs), *node.outputs)
    each = sum(graph.tensors[name].bytes for name in names if has_rows(name, graph, rows)) / rows
    return each, sum(graph.tensors[name].bytes for name in names if not has_rows(name, graph, rows))


def _deep(graph: Graph, free: Sequence[bool], caches: _Caches) -> list[bool]:
    """Of each node whether it is computed row by row: of all sequences the one that takes least from memory."""
    costs = {False: 0.0}
    came: list[dict[bool, bool]] = []
    computed: set[str] = set()
    for node, able in zip(graph.nodes, free, strict=True):
        origin, reached = {}, {}
        follows = not computed.isdisjoint(node.inputs)
        for deep in (False, True) if able else (False,):
            # Workers that take rows need not meet, but where a row begins.
            meeting = {before: STEP_BYTES if not (deep and before and follows) else 0 for before in costs}
            ways = {before: cost + meeting[before] for before, cost in costs.items()}
            origin[deep] = min(ways, key=lambda before: ways[before])
            own = caches.by_rows(node, graph) if deep else caches.by_layers(node, graph)
            reached[deep] = ways[origin[deep]] + own
        costs = reached
        came.append(origin)
        computed.update(node.outputs)
    deep = min(costs, key=lambda each: costs[each])
    found = []
    for origin in reversed(came):
        found.append(deep)
        deep = origin[deep]
    return found[::-1]


# The graph ----------------------------------------------------------------------------------------------------
class _ByRows:
    """main: rows that the workers share evenly; the others are computed together. most: tensors that one operation may
    read and write outside of it."""

    def __init__(self, graph: Graph, rows: int, main: int, most: int) -> None:
        self.graph, self.rows, self.main, self.most = graph, rows, main, most
        self.consumers = graph.consumers()
        self.builder = GraphBuilder.like(graph)
        for name, constant in graph.constants.items():
            self.builder.add_constant(name, graph.tensors[name], constant)

    def build(self, deep: Sequence[bool]) -> Graph:
        for together, run in groupby(zip(deep, self.graph.nodes, strict=True), key=lambda pair: pair[0]):
            nodes = [node for _, node in run]
            if together:
                for part in self._that_fit(nodes):
                    self._add(part)
            else:
                for node in nodes:
                    self._keep(node)
        return self.builder.build()

    def _that_fit(self, nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
        """Parts with few enough tensors around them, cut where the fewest bytes go from one to the next."""
        while self._arguments(nodes) > self.most and len(nodes) > 1:
            end = next(n for n in range(len(nodes), 0, -1) if n == 1 or self._arguments(nodes[:n]) <= self.most)
            cut = min(range((end + 1) // 2, end + 1), key=lambda n: (self._crossing(nodes, n), -n))
            yield nodes[:cut]
            nodes = nodes[cut:]
        yield nodes

    def _arguments(self, nodes: Sequence[Node]) -> int:
        """At most: constants may be packed in several ways, of transposed convolutions one for each phase."""
        made = {name for node in nodes for name in node.outputs}
        inner = {id(node) for node in nodes}
        packs = {name: 1 for node in nodes for name in node.inputs if name not in made}
        for node in nodes:
            if node.op == "deconv":
                packs[node.inputs[1]] = math.prod(node.attrs["stride"])
        return sum(packs.values()) + sum(self._leaves(name, inner) for name in made)

    def _crossing(self, nodes: Sequence[Node], cut: int) -> int:
        """Bytes that the nodes from number `cut` on read of what those before make."""
        made = {name for node in nodes[:cut] for name in node.outputs}
        return sum(self.graph.tensors[n].bytes for n in {name for node in nodes[cut:] for name in node.inputs} & made)

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
