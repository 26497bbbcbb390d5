"""What a network leaves open on a device: distinct problems with more than one point, each as a network of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from nnef_cl.codegen.kernel import Candidate, Point
from nnef_cl.codegen.target import Target
from nnef_cl.conformance.comparison import TOLERANCE, tolerance
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops.base import Table
from nnef_cl.ops.problem import make_problem
from nnef_cl.ops.work import node_flops
from nnef_cl.plan.build import build_plan
from nnef_cl.plan.tuned import has_choice, problem_text

SEED = 5
INEXACT = 1e-4
"""What algorithms that are not exact may differ by, of the largest magnitude."""


@dataclass(frozen=True)
class Task:
    """A problem that is to be measured. text: what its points are kept under. nodes: the network's nodes that pose it,
    or in which others pose it, the first one with its tensors being `graph`. times: how often a run computes it. flops:
    of all nodes together."""

    text: str
    graph: Graph
    candidates: tuple[Candidate, ...]
    nodes: tuple[str, ...]
    times: int
    flops: int

    @property
    def node(self) -> Node:
        return self.graph.nodes[0]

    @property
    def untuned(self) -> Point:
        """What is taken where nothing was measured."""
        return self.candidates[0].points[0]

    @property
    def title(self) -> str:
        """For people: operation, inputs and output."""
        specs = [str(self.graph.tensors[name]) for name in self.node.own_inputs if self.graph.tensors[name].rank > 1]
        return f"{self.node.op} {' '.join(specs[:2])} -> {self.graph.tensors[self.node.outputs[0]]}"

    def points(self, most: int | None) -> list[tuple[Candidate, Point]]:
        """Best guesses first: of every candidate the first point, then the second ones, and so on. most: of one."""
        depth = max(len(candidate.points) for candidate in self.candidates)
        return [
            (candidate, candidate.points[rank])
            for rank in range(depth if most is None else min(depth, most))
            for candidate in self.candidates
            if rank < len(candidate.points)
        ]

    def tolerance(self, candidate: Candidate) -> float:
        """What the candidate's result may differ by from an exact one's, of the largest magnitude (at least 1)."""
        return max(TOLERANCE["sums"], tolerance(self.node.op)) if candidate.exact else INEXACT


def tasks_of(graph: Graph, ops: Table, target: Target) -> list[Task]:
    """graph: after all passes. Those with the most arithmetic first. Raises what build_plan raises."""
    build_plan(graph, ops, target)
    found: dict[str, Task] = {}
    for node, around, name, times in _choosing(graph):
        lower = ops[node.op].lower
        if lower is None:
            continue
        problem = make_problem(node, around.tensors, around.constants, ops)
        candidates = tuple(lower(problem, target))
        if not has_choice(candidates):
            continue
        text, flops = problem_text(problem, target), times * node_flops(node, around, ops)
        known = found.get(text) or Task(text, alone(node, around), candidates, (), 0, 0)
        nodes = tuple(dict.fromkeys((*known.nodes, name)))
        found[text] = replace(known, nodes=nodes, times=known.times + times, flops=known.flops + flops)
    return sorted(found.values(), key=lambda task: -task.flops)


def _choosing(graph: Graph) -> Iterator[tuple[Node, Graph, str, int]]:
    """Each node that kernels are chosen for, its graph, the node of the whole graph whose time is its own, and how
    often a run computes it."""
    for node in graph.nodes:
        if node.op == "by_rows":
            body: Graph = node.attrs["body"]
            yield from ((inner, body, node.name, node.attrs["rows"]) for inner in body.nodes)
        else:
            yield node, graph, node.name, 1


def alone(node: Node, graph: Graph) -> Graph:
    """The node as a network: what is constant is constant, with other values; the rest are inputs."""
    builder = GraphBuilder(node.name)
    for number, name in enumerate(dict.fromkeys(node.inputs)):
        spec = graph.tensors[name]
        if name in graph.constants:
            own = number < len(node.own_inputs)
            values = _values(spec, number, math.prod(spec.shape[1:]) if own else 1)
            builder.add_constant(name, spec, Constant(values))
        else:
            builder.add_input(name, spec)
    builder.add_node(node, [graph.tensors[name] for name in node.outputs])
    builder.outputs = list(node.outputs)
    return builder.build()


def sample_inputs(graph: Graph) -> Mapping[str, np.ndarray]:
    """Seeded values without zeros, in storage types. Operands of epilogues are positive: they may be divided by."""
    own = graph.nodes[0].own_inputs
    return {
        name: np.asarray(
            _values(spec, number, 1) if name in own else np.abs(_values(spec, number, 1)) + 0.5, spec.dtype.storage
        )
        for number, name in enumerate(graph.inputs)
        for spec in (graph.tensors[name],)
    }


def _values(spec: TensorSpec, number: int, terms: int) -> np.ndarray:
    """terms: that a result adds; the values are scaled so that it stays near 1."""
    rng = np.random.default_rng([SEED, number])
    if spec.dtype.kind == "scalar":
        values = rng.standard_normal(spec.shape, np.float32)
        return values / np.float32(math.sqrt(max(1, terms)))
    if spec.dtype.kind == "logical":
        return rng.integers(0, 2, spec.shape).astype(bool)
    return rng.integers(1, 8, spec.shape)
