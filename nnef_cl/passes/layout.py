"""Choose memory layouts: channels in blocks of one vector around convolutions, with visible reorder nodes."""

from __future__ import annotations

import math
from dataclasses import replace

from nnef_cl.codegen.target import Target
from nnef_cl.errors import RuleError
from nnef_cl.ir.dtype import F32
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.layout import PLAIN, Layout
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Problem, Table
from nnef_cl.ops.lowering import conv_gathers, conv_in_layouts, fills
from nnef_cl.ops.problem import make_problem
from nnef_cl.passes.plain_runs import pays_alone, plain_runs

SMALLEST_BLOCK = 4
MAKERS = ("conv", "deconv")
"""Operations worth starting a blocked layout for; the others keep the one they find."""


def layout(graph: Graph, ops: Table, target: Target, eager: bool = False) -> Graph:
    """eager: every operation that can work on blocks does, as tests want it."""
    if target.vector_width < SMALLEST_BLOCK:
        return graph
    return _Layout(graph, ops, target, eager).run()


class _Layout:
    """One sweep in order of execution; every tensor keeps the layout its producer gave it."""

    def __init__(self, graph: Graph, ops: Table, target: Target, eager: bool) -> None:
        self.graph, self.ops, self.target, self.eager = graph, ops, target, eager
        self.block = Layout(target.vector_width)
        self.builder = GraphBuilder.like(graph)
        self.copies: dict[tuple[str, Layout], str] = {}
        self.convolved_later = _convolved_later(graph)
        self.plain = set[str]() if eager else plain_runs(graph, ops, target)
        for name, constant in graph.constants.items():
            self.builder.add_constant(name, graph.tensors[name], constant)

    def run(self) -> Graph:
        for node in self.graph.nodes:
            chosen = self.block if self._wants_blocks(node) else PLAIN
            inputs = tuple(self._operand(node, k, chosen) for k in range(len(node.inputs)))
            outputs = [self.graph.tensors[name] for name in node.outputs]
            results = tuple(self._result_name(name, chosen) for name in node.outputs)
            self.builder.add_node(
                replace(node, inputs=inputs, outputs=results), [spec.with_layout(chosen) for spec in outputs]
            )
            for name, result, spec in zip(node.outputs, results, outputs, strict=True):
                if result != name:
                    self.copies[name, PLAIN] = name
                    self.copies[name, self.block] = result
                    self.builder.add_node(Node("reorder", (result,), (name,), position=node.position), [spec])
        return self._without_unused(self.builder.build())

    def _result_name(self, name: str, chosen: Layout) -> str:
        """Results of the graph leave in plain layout under their own name."""
        return self.builder.unique(f"{name}.{chosen}") if chosen != PLAIN and name in self.graph.results else name

    def _wants_blocks(self, node: Node) -> bool:
        specs = [self.graph.tensors[name] for name in (*node.inputs, *node.outputs)]
        output = self.graph.tensors[node.outputs[0]]
        if any(spec.dtype != F32 for spec in specs) or output.rank < 3 or len(node.outputs) > 1:
            return False
        if node.op == "map":
            return self._any_blocked(node, output)
        blocked = self.ops[node.op].blocked
        if blocked is None:
            return False
        problem = make_problem(node, self.graph.tensors, self.graph.constants, self.ops)
        if not blocked(problem, self.block.block):
            return False
        if node.op in MAKERS:
            grouped = 1 < node.attrs["groups"] < problem.inputs[0].shape[1]
            enough = grouped or fills(output, self.block)
            return enough and not self._stays_plain(node, problem) and self._has_kernels(node, problem)
        return self._any_blocked(node, output)

    def _stays_plain(self, node: Node, problem: Problem) -> bool:
        """Whether a convolution leaves plain tensors, because channels fill blocks badly, or because it reads plain
        ones and no other one follows: rows are as fast as blocks there, and nothing is put into blocks and back."""
        if node.outputs[0] in self.plain:
            return True
        if self.eager or node.op != "conv" or any(self._current(name).layout != PLAIN for name in node.inputs):
            return False
        return node.outputs[0] not in self.convolved_later and pays_alone(problem, self.target)

    def _has_kernels(self, node: Node, problem: Problem) -> bool:
        """Whether the node can be lowered in blocks (a window may be too large for the kernels that know them)."""
        return self._can_be_lowered(conv_in_layouts(problem, self._convolved(node), self.block))

    def _can_be_lowered(self, problem: Problem) -> bool:
        lower = problem.op.lower
        assert lower is not None
        try:
            return bool(lower(problem, self.target))
        except RuleError:  # the plan says it with the place
            return False

    def _any_blocked(self, node: Node, output: TensorSpec) -> bool:
        """Whether an operand with all of the result's channels already lies in blocks. A single channel stays plain."""
        if output.shape[1] == 1:
            return False
        return self.eager or any(self._current(name).layout == self.block for name in node.inputs)

    def _current(self, name: str) -> TensorSpec:
        return self.builder.tensors[self.copies.get((name, self.block), name)]

    def _operand(self, node: Node, index: int, chosen: Layout) -> str:
        """The tensor to read, in the layout the node needs it in."""
        name = node.inputs[index]
        spec = self.graph.tensors[name]
        if node.op in MAKERS and index == 0:
            kept = node.outputs[0] in self.plain
            few = chosen == PLAIN and not kept and node.attrs["groups"] == 1 and self._has_few_results(node)
            return self._in_layout(name, self._convolved(node, few) if chosen != PLAIN or few else PLAIN)
        if node.op in MAKERS and index < len(node.own_inputs):
            return name
        channels = spec.rank >= 2 and spec.shape[1] > 1 and self._channelwise(node, spec)
        return self._in_layout(name, chosen if channels else PLAIN)

    def _channelwise(self, node: Node, spec: TensorSpec) -> bool:
        """Whether the operand's axis 1 is the result's channels (always so for the operation's own inputs)."""
        return self.graph.tensors[node.outputs[0]].rank >= 2

    def _convolved(self, node: Node, few: bool = False) -> Layout:
        """What a convolution reads to write blocks, or `few` results. Grouped ones need blocks, others take what is
        there; but windows of several pixels are put together faster from blocks, if the channels fill one."""
        x = self._current(node.inputs[0])
        if node.attrs["groups"] != 1:
            return self.block
        if x.shape[1] < self.block.block or math.prod(self.graph.tensors[node.inputs[1]].shape[2:]) == 1:
            return x.layout
        problem = make_problem(node, self.graph.tensors, self.graph.constants, self.ops)
        return self.block if few or node.op == "deconv" or conv_gathers(problem) else x.layout

    def _has_few_results(self, node: Node) -> bool:
        """Whether it could work on blocks, if its results filled one."""
        output, blocked = self.graph.tensors[node.outputs[0]], self.ops[node.op].blocked
        if node.op not in MAKERS or output.rank < 3 or fills(output, self.block) or blocked is None:
            return False
        problem = make_problem(node, self.graph.tensors, self.graph.constants, self.ops)
        return blocked(problem, self.block.block) and self._can_be_lowered(conv_in_layouts(problem, self.block, PLAIN))

    def _in_layout(self, name: str, wanted: Layout) -> str:
        current = self.builder.tensors[name]
        if current.layout == wanted:
            return name
        key = name, wanted
        if key not in self.copies:
            copy = self.builder.unique(f"{name}.{wanted}")
            spec = current.with_layout(wanted)
            if name in self.builder.constants:
                self.builder.add_constant(copy, spec, self.builder.constants[name])
            else:
                self.builder.add_node(Node("reorder", (name,), (copy,)), [spec])
            self.copies[key] = copy
        return self.copies[key]

    def _without_unused(self, graph: Graph) -> Graph:
        read = {name for node in graph.nodes for name in node.inputs} | set(graph.results)
        constants = {name: c for name, c in graph.constants.items() if name in read}
        tensors = {name: s for name, s in graph.tensors.items() if name not in graph.constants or name in read}
        return replace(graph, constants=constants, tensors=tensors)


def _convolved_later(graph: Graph) -> set[str]:
    """Tensors on which the input of some convolution depends."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op in MAKERS or not found.isdisjoint(node.outputs):
            found.update(node.inputs)
    return found
