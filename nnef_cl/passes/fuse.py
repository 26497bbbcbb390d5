"""Join element-wise chains into one map, and attach them as epilogues to the operations that produce their input."""

from __future__ import annotations

from dataclasses import replace

from nnef_cl.codegen.target import Target
from nnef_cl.ir.dtype import F32
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.program import Program, Step
from nnef_cl.ops.base import Table

MAX_STEPS = 64
"""Longer expressions gain nothing and compile slowly."""
MAX_OPERANDS = 12


def fuse(graph: Graph, ops: Table, target: Target) -> Graph:
    return _Fusion(graph, ops).run()


class _Fusion:
    """One sweep: each element-wise node takes in what produces its operands, where nobody else needs that."""

    def __init__(self, graph: Graph, ops: Table) -> None:
        self.graph, self.ops = graph, ops
        self.nodes: list[Node | None] = []
        self.producer: dict[str, int] = {}
        self.uses: dict[str, int] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.uses[name] = self.uses.get(name, 0) + 1
        for name in graph.results:
            self.uses[name] = self.uses.get(name, 0) + 2

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self._append(self._fused(node) if self.ops[node.op].is_pointwise else node)
        builder = GraphBuilder.like(self.graph)
        used = {name for node in self.nodes if node for name in node.inputs} | set(self.graph.results)
        for name, constant in self.graph.constants.items():
            if name in used:
                builder.add_constant(name, self.graph.tensors[name], constant)
        for kept in self.nodes:
            if kept is not None:
                builder.add_node(kept, [self.graph.tensors[name] for name in kept.outputs])
        return builder.build()

    def _append(self, node: Node) -> None:
        for name in node.outputs:
            self.producer[name] = len(self.nodes)
        self.nodes.append(node)

    def _fused(self, node: Node) -> Node:
        inputs, program = self._program(node)
        shape = self.graph.tensors[node.outputs[0]].shape
        merged = True
        while merged:
            merged = False
            for k, name in enumerate(inputs):
                other = self._absorbable(name, shape, program)
                if other is not None and other.op == "map" and other.epilogue is not None:
                    rest = [x for j, x in enumerate(inputs) if j != k]
                    program = other.epilogue.then(program, k)
                    inputs = [*other.inputs, *rest]
                    self.nodes[self.producer[name]] = None
                    inputs, program = _unique_operands(inputs, program)
                    merged = True
                    break
        return self._attached(node, inputs, program, shape)

    def _attached(self, node: Node, inputs: list[str], program: Program, shape: tuple[int, ...]) -> Node:
        """The map as an epilogue of one of its producers, or as a node of its own."""
        if self.graph.tensors[node.outputs[0]].dtype == F32:
            candidates = [k for k, name in enumerate(inputs) if self._accepts(name, shape, program, inputs)]
            if candidates:
                k = max(candidates, key=lambda j: self.producer[inputs[j]])
                at = self.producer[inputs[k]]
                base = self.nodes[at]
                assert base is not None
                rest = [x for j, x in enumerate(inputs) if j != k]
                old = base.epilogue or Program(1, ())
                epilogue = old.then(program, k)
                self.nodes[at] = None
                return replace(base, inputs=(*base.inputs, *rest), outputs=node.outputs, epilogue=epilogue)
        return Node("map", tuple(inputs), node.outputs, {}, program, node.position)

    def _program(self, node: Node) -> tuple[list[str], Program]:
        """The node as a program; operands that are one number become literals."""
        op = self.ops[node.op]
        dtype = self.graph.tensors[node.outputs[0]].dtype
        inputs: list[str] = []
        literals: list[Step] = []
        places: list[tuple[str, int]] = []
        for name in node.inputs:
            constant = self.graph.constants.get(name)
            if constant is not None and constant.is_literal:
                value = constant.array.reshape(-1)[0].item()
                literals.append(Step("literal", (), self.graph.tensors[name].dtype, (("value", value),)))
                places.append(("literal", len(literals) - 1))
            else:
                if name not in inputs:
                    inputs.append(name)
                places.append(("input", inputs.index(name)))
        if not inputs:
            inputs = [node.inputs[0]]
        arity = len(inputs)
        args = tuple(at if kind == "input" else arity + at for kind, at in places)
        if op.program is not None:
            steps = op.program(**node.attrs).placed(args, arity + len(literals))
            return inputs, Program(arity, (*literals, *steps))
        attrs = tuple((p.name, node.attrs[p.name]) for p in op.attribute_parameters)
        return inputs, Program(arity, (*literals, Step(node.op, args, dtype, attrs)))

    def _private(self, name: str, shape: tuple[int, ...]) -> Node | None:
        """The node that makes `name`, where this is its only use and it has the result's shape."""
        at = self.producer.get(name)
        if at is None or self.uses[name] != 1 or self.graph.tensors[name].shape != shape:
            return None
        return self.nodes[at]

    def _absorbable(self, name: str, shape: tuple[int, ...], program: Program) -> Node | None:
        other = self._private(name, shape)
        if other is None or other.epilogue is None:
            return None
        fits = len(other.epilogue.steps) + len(program.steps) <= MAX_STEPS
        return other if fits and other.epilogue.arity + program.arity <= MAX_OPERANDS else None

    def _accepts(self, name: str, shape: tuple[int, ...], program: Program, inputs: list[str]) -> bool:
        other = self._private(name, shape)
        if other is None or other.op == "map" or not self.ops[other.op].fusable:
            return False
        if any(self.graph.tensors[x].dtype.kind == "integer" for x in inputs):
            return False
        if any(step.dtype.kind == "integer" for step in program.steps):
            return False
        steps = len(other.epilogue.steps) if other.epilogue else 0
        return self.graph.tensors[name].dtype == F32 and steps + len(program.steps) <= MAX_STEPS


def _unique_operands(inputs: list[str], program: Program) -> tuple[list[str], Program]:
    """Operands that stand twice become one."""
    names = list(dict.fromkeys(inputs))
    if len(names) == len(inputs):
        return inputs, program
    where = [names.index(name) for name in inputs]
    shift = len(inputs) - len(names)
    steps = tuple(
        replace(s, args=tuple(where[a] if a < len(inputs) else a - shift for a in s.args)) for s in program.steps
    )
    return names, Program(len(names), steps)
