"""Which convolutions in a row stay plain, because their channels, or those of their groups, fill blocks badly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nnef_cl.codegen.kernel import Candidate
from nnef_cl.codegen.kernels.conv_direct import ConvDirect
from nnef_cl.codegen.target import Target
from nnef_cl.ir.dtype import F32
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.layout import Layout
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem, Table
from nnef_cl.ops.conv_cost import bytes_cycles, cycles
from nnef_cl.ops.lowering import conv_by_rows, conv_in_blocks, fills
from nnef_cl.ops.problem import make_problem

CONVOLUTIONS = ("conv", "deconv")
WASTE = 1.25
"""Blocks that take less than this many times the bytes of plain tensors are filled well enough."""
GAIN = 1.1
"""What a run must save, since costs are estimates."""
MOVED_BYTES = 16
"""That a unit reads, and writes elsewhere, per cycle."""
STEP_CYCLES = 2000
"""Until all units have met behind an operation."""


@dataclass(frozen=True)
class _Cost:
    """Cycles of a convolution by rows of plain tensors and in blocks."""

    plain: float
    blocked: float

    @staticmethod
    def of(problem: Problem, rows: Candidate, blocks: Candidate, block: Layout, target: Target) -> _Cost:
        specs = (problem.inputs[0], *problem.epilogue.operands, *problem.outputs)
        plain, blocked = sum(spec.bytes for spec in specs), sum(_stored(spec, block) for spec in specs)
        return _Cost(
            cycles(rows, target) + bytes_cycles(plain, target), cycles(blocks, target) + bytes_cycles(blocked, target)
        )


def plain_runs(graph: Graph, ops: Table, target: Target) -> set[str]:
    """Results of convolutions that compute faster by rows of plain tensors, what goes between layouts at the ends of a
    run counted. A run: convolutions that hand their results to each other."""
    block = Layout(target.vector_width)
    costs = {
        node.outputs[0]: cost
        for node in graph.nodes
        if node.op == "conv" and (cost := _cost(node, graph, ops, target, block)) is not None
    }
    if not costs:
        return set()
    reads = _reads(graph)
    runs = _runs(reads, costs)
    sums = _sums(runs, reads, costs, block, target)
    return {name for name, run in runs.items() if GAIN * sums[run].plain <= sums[run].blocked}


def pays_alone(problem: Problem, target: Target) -> bool:
    """Whether a convolution between plain tensors computes faster by rows than in blocks. Windows of single pixels and
    depthwise ones do, because nothing is put into blocks and back."""
    rows = conv_by_rows(problem, target)
    if rows is None:
        return False
    x, filter = problem.inputs[0].shape, problem.inputs[1].shape
    if math.prod(filter[2:]) == 1 or filter[1] == 1 < x[1]:
        return True
    block = Layout(target.vector_width)
    blocks = conv_in_blocks(problem, block, target)
    if blocks is None:
        return True
    cost = _Cost.of(problem, rows, blocks, block, target)
    moved = [spec.bytes + _stored(spec, block) for spec in (problem.inputs[0], *problem.outputs) if fills(spec, block)]
    return cost.plain <= cost.blocked + sum(_moving(size, target) + STEP_CYCLES for size in moved)


def _cost(node: Node, graph: Graph, ops: Table, target: Target, block: Layout) -> _Cost | None:
    """None where blocks are well filled, or no kernel computes rows, or none blocks."""
    specs = [graph.tensors[name] for name in (node.inputs[0], *node.inputs[len(node.own_inputs) :], *node.outputs)]
    if not 3 <= specs[-1].rank <= 5 or any(spec.dtype != F32 for spec in specs):
        return None
    wasteful = sum(_stored(spec, block) for spec in specs) >= WASTE * sum(spec.bytes for spec in specs)
    if not wasteful and not 1 < node.attrs["groups"] < specs[0].shape[1]:
        return None
    problem = make_problem(node, graph.tensors, graph.constants, ops)
    blocks = conv_in_blocks(problem, block, target)
    if blocks is None or not (wasteful or _mixes_groups(blocks)):
        return None
    rows = conv_by_rows(problem, target)
    return None if rows is None else _Cost.of(problem, rows, blocks, block, target)


def _mixes_groups(blocks: Candidate) -> bool:
    """Whether vectors hold channels of several groups, and are multiplied with weights of zero."""
    kernel = blocks.launches[0].kernel
    return isinstance(kernel, ConvDirect) and kernel.mixed


def _stored(spec: TensorSpec, block: Layout) -> int:
    """Bytes where what can be is in blocks."""
    return spec.with_layout(block).bytes if fills(spec, block) else spec.bytes


@dataclass(frozen=True)
class _Read:
    """A tensor that a node reads. origins: results of the convolutions that it is computed from, without others
    between; all_origins: those of everything that the node reads."""

    node: Node
    name: str
    spec: TensorSpec
    origins: frozenset[str]
    all_origins: frozenset[str]

    @property
    def convolved(self) -> bool:
        return self.node.op in CONVOLUTIONS

    @property
    def result(self) -> str:
        return self.node.outputs[0]


def _reads(graph: Graph) -> list[_Read]:
    """What depends on convolutions."""
    origins: dict[str, frozenset[str]] = {}
    found = []
    for node in graph.nodes:
        own = [name for name in node.inputs if name in origins]
        different = {origins[name] for name in own}
        every = next(iter(different)) if len(different) == 1 else frozenset[str]().union(*different)
        found += [_Read(node, name, graph.tensors[name], origins[name], every) for name in own]
        if node.op in CONVOLUTIONS:
            every = frozenset(node.outputs)
        if every:
            origins.update(dict.fromkeys(node.outputs, every))
    return found


def _runs(reads: Iterable[_Read], costs: Mapping[str, _Cost]) -> dict[str, str]:
    """Of every result in `costs` the run that it belongs to, called like one of its results: those that convolutions
    read of each other are together."""
    above = {name: name for name in costs}

    def top(name: str) -> str:
        while above[name] != name:
            above[name] = name = above[above[name]]
        return name

    for read in reads:
        if read.convolved and read.result in costs:
            for name in read.origins:
                if name in costs:
                    above[top(name)] = top(read.result)
    return {name: top(name) for name in costs}


def _sums(
    runs: Mapping[str, str], reads: Iterable[_Read], costs: Mapping[str, _Cost], block: Layout, target: Target
) -> dict[str, _Cost]:  # fmt: skip
    """Of every run, with what else reads its tensors, and what has to go from one layout to the other."""
    plain, blocked = dict.fromkeys(runs.values(), 0.0), dict.fromkeys(runs.values(), 0.0)
    for name, cost in costs.items():
        plain[runs[name]] += cost.plain
        blocked[runs[name]] += cost.blocked
    copied = set[tuple[str, str]]()
    for read in reads:
        sizes = read.spec.bytes, _stored(read.spec, block)
        for run in {runs[name] for name in (*read.origins, read.result) if name in runs}:
            if not _crosses(read, run, runs):
                if not read.convolved:
                    plain[run] += _moving(sizes[0], target)
                    blocked[run] += _moving(sizes[1], target)
            elif (run, read.name) not in copied:
                copied.add((run, read.name))
                plain[run] += _moving(sum(sizes), target) + STEP_CYCLES
    return {run: _Cost(plain[run], blocked[run]) for run in plain}


def _crosses(read: _Read, run: str, runs: Mapping[str, str]) -> bool:
    """Whether the node reads the tensor in another layout, where the run stays plain. Convolutions with single pixels
    take it as it is, but as much longer; other operations take blocks where any of their inputs is in blocks."""
    if read.convolved and runs.get(read.result) == run:
        return any(runs.get(name) != run for name in read.origins)
    return read.convolved or any(runs.get(name) != run for name in read.all_origins)


def _moving(size: int, target: Target) -> float:
    """Cycles of operations that do little else with so many bytes."""
    return max(size / MOVED_BYTES / target.compute_units, bytes_cycles(size, target))
