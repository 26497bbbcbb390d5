"""Where the time of a run goes: every launch measured, set against the device's ceilings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Table
from nnef_cl.ops.work import node_flops
from nnef_cl.peak import Peak
from nnef_cl.plan.records import Plan
from nnef_cl.session import Session


@dataclass(frozen=True)
class Launched:
    """One launch. seconds: median of the runs. flops, bytes: of its node where it is the node's longest launch, else 0.

    bytes: of all inputs and outputs of the node, each touched once.
    """

    node: str
    op: str
    algorithm: str
    kernel: str
    title: str
    layout: str
    seconds: float
    flops: int
    bytes: int


@dataclass(frozen=True)
class Row:
    """All launches of one kernel together."""

    kernel: str
    op: str
    algorithm: str
    title: str
    layout: str
    nodes: tuple[str, ...]
    seconds: float
    flops: int
    bytes: int


@dataclass(frozen=True)
class Profile:
    """launches: in order of execution. peak: None where it was not measured."""

    launches: tuple[Launched, ...]
    peak: Peak | None

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.launches)

    @property
    def rows(self) -> list[Row]:
        """By kernel, the longest first."""
        groups: dict[str, list[Launched]] = {}
        for one in self.launches:
            groups.setdefault(one.kernel, []).append(one)
        return sorted(map(_row, groups.values()), key=lambda row: row.seconds, reverse=True)


def _row(launches: Sequence[Launched]) -> Row:
    first = launches[0]
    return Row(
        first.kernel, first.op, first.algorithm, first.title, first.layout, tuple(one.node for one in launches),
        sum(one.seconds for one in launches), sum(one.flops for one in launches), sum(one.bytes for one in launches),
    )  # fmt: skip


def profile(session: Session, ops: Table, runs: int, peak: Peak | None = None) -> Profile:
    """The session has run once; it needs `profile=True`."""
    measured = [session.step_seconds() for _ in range(runs)]
    seconds = [statistics.median(times) for times in zip(*measured, strict=True)]
    return Profile(tuple(launched(session.plan, session.graph, ops, seconds)), peak)


def launched(plan: Plan, graph: Graph, ops: Table, seconds: Sequence[float]) -> list[Launched]:
    """seconds: of every step of the plan."""
    nodes = {node.name: node for node in graph.nodes}
    longest: dict[str, int] = {}
    for index, step in enumerate(plan.steps):
        if step.node not in longest or seconds[index] > seconds[longest[step.node]]:
            longest[step.node] = index
    found = []
    for index, (step, time) in enumerate(zip(plan.steps, seconds, strict=True)):
        node = nodes.get(step.node)
        counts = (0, 0)
        if node is not None and longest[step.node] == index:
            counts = node_flops(node, graph, ops), node_bytes(node, graph.tensors)
        layout = str(graph.tensors[step.node].layout) if step.node in graph.tensors else ""
        found.append(
            Launched(step.node, step.op, step.algorithm, step.kernel.name, step.kernel.title, layout, time, *counts)
        )
    return found


def node_bytes(node: Node, tensors: Mapping[str, TensorSpec]) -> int:
    """Every different input and every output, touched once."""
    return sum(tensors[name].bytes for name in dict.fromkeys((*node.inputs, *node.outputs)))


def trace(result: Profile) -> list[dict[str, object]]:
    """Events for Perfetto and chrome://tracing, the launches one after another; times in microseconds."""
    events: list[dict[str, object]] = []
    at = 0.0
    for one in result.launches:
        duration = one.seconds * 1e6
        events.append({
            "name": one.node, "cat": one.op, "ph": "X", "ts": at, "dur": duration, "pid": 1, "tid": 1,
            "args": {"algorithm": one.algorithm, "kernel": one.kernel, "what": one.title, "flops": one.flops,
                     "bytes": one.bytes},
        })  # fmt: skip
        at += duration
    return events
