"""Node and Graph: immutable; a pass makes a new graph with a GraphBuilder in one sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from nnef_cl.ir.program import Program
from nnef_cl.ir.tensor import Constant, TensorSpec


@dataclass(frozen=True)
class Node:
    """One operation. inputs: the operation's tensors in declaration order (an array parameter flattened),
    followed by the further operands of the epilogue. position: where in the model's text."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    epilogue: Program | None = None
    position: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return self.outputs[0] if self.outputs else self.op

    @property
    def own_inputs(self) -> tuple[str, ...]:
        """The operation's own tensors, without the epilogue's."""
        extra = self.epilogue.arity - 1 if self.epilogue else 0
        return self.inputs[: len(self.inputs) - extra]


@dataclass(frozen=True)
class Graph:
    """tensors: every tensor's spec; constants: the data of those that have some; nodes: in order of execution.

    variables: tensors that keep their value between runs, with what they begin with; those of one label are one
    Constant and share their memory. updates: variable -> the tensor whose value it has after the run. renamed:
    output -> its tensor, where an input or a variable has the output's name and the output is its quantised form.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, TensorSpec]
    constants: Mapping[str, Constant]
    nodes: tuple[Node, ...]
    warnings: tuple[str, ...] = ()
    variables: Mapping[str, Constant] = field(default_factory=dict)
    updates: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def output_tensor(self, name: str) -> str:
        """The tensor that the caller gets as output `name`."""
        return self.renamed.get(name, name)

    @property
    def results(self) -> tuple[str, ...]:
        """What a run has to produce: the outputs and the new values of variables, each once."""
        return tuple(dict.fromkeys((*map(self.output_tensor, self.outputs), *self.updates.values())))

    def consumers(self) -> dict[str, list[Node]]:
        """Tensor -> nodes that read it (a graph output counts no node)."""
        readers: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return readers

    @property
    def parameter_count(self) -> int:
        labelled = [*self.constants.items(), *self.variables.items()]
        return sum(self.tensors[name].volume for name, constant in labelled if constant.label)


class GraphBuilder:
    """Collects tensors, constants and nodes, then makes the Graph. Tensor names are unique."""

    def __init__(self, name: str, warnings: Iterable[str] = ()) -> None:
        self.name = name
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.tensors: dict[str, TensorSpec] = {}
        self.constants: dict[str, Constant] = {}
        self.variables: dict[str, Constant] = {}
        self.updates: dict[str, str] = {}
        self.renamed: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.warnings: list[str] = list(warnings)
        self._counters: dict[str, int] = {}

    @classmethod
    def like(cls, graph: Graph) -> GraphBuilder:
        """A builder with the graph's inputs and variables, and its outputs and updates promised."""
        builder = cls(graph.name, graph.warnings)
        for name in graph.inputs:
            builder.add_input(name, graph.tensors[name])
        for name, constant in graph.variables.items():
            builder.variables[builder.add_tensor(name, graph.tensors[name])] = constant
        builder.outputs = list(graph.outputs)
        builder.updates, builder.renamed = dict(graph.updates), dict(graph.renamed)
        return builder

    def unique(self, hint: str) -> str:
        """A tensor name not yet taken, `hint` itself where possible."""
        if hint not in self.tensors:
            return hint
        number = self._counters.get(hint, 0)
        while f"{hint}_{number}" in self.tensors:
            number += 1
        self._counters[hint] = number + 1
        return f"{hint}_{number}"

    def rename(self, old: str, new: str, since: int) -> str:
        """Another name for a tensor (no input) that only nodes from number `since` on know."""
        self.tensors[new] = self.tensors.pop(old)
        if old in self.constants:
            self.constants[new] = self.constants.pop(old)
        for number, node in enumerate(self.nodes[since:], since):
            inputs, outputs = (tuple(new if n == old else n for n in names) for names in (node.inputs, node.outputs))
            self.nodes[number] = replace(node, inputs=inputs, outputs=outputs)
        return new

    def add_tensor(self, name: str, spec: TensorSpec) -> str:
        assert name not in self.tensors, name
        self.tensors[name] = spec
        return name

    def add_input(self, name: str, spec: TensorSpec) -> str:
        self.inputs.append(self.add_tensor(name, spec))
        return name

    def add_constant(self, name: str, spec: TensorSpec, constant: Constant) -> str:
        self.constants[self.add_tensor(name, spec)] = constant
        return name

    def add_node(self, node: Node, specs: Iterable[TensorSpec]) -> tuple[str, ...]:
        """Appends the node and declares its outputs."""
        for name, spec in zip(node.outputs, specs, strict=True):
            self.add_tensor(name, spec)
        self.nodes.append(node)
        return node.outputs

    def build(self) -> Graph:
        return Graph(
            self.name, tuple(self.inputs), tuple(self.outputs), MappingProxyType(self.tensors),
            MappingProxyType(self.constants), tuple(self.nodes), tuple(self.warnings),
            MappingProxyType(self.variables), MappingProxyType(self.updates), MappingProxyType(self.renamed),
        )  # fmt: skip
