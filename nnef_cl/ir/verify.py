"""Named invariants of a graph, checked after the import and after every pass."""

from __future__ import annotations

import numpy as np

from nnef_cl.ir.dtype import BYTE, DEFAULT
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.tensor import Constant


class InvariantError(AssertionError):
    """A stage of nnef-cl made a graph that cannot be: a fault of ours, never of the model."""


def verify(graph: Graph, stage: str) -> None:
    """Raises InvariantError "pass 'fuse' produced node 'relu_3' whose input 't17' has no producer".

    stage: the pass that made the graph, or 'import'.
    """
    _Check(graph, f"pass '{stage}'" if stage != "import" else "import").run()


class _Check:
    def __init__(self, graph: Graph, stage: str) -> None:
        self.graph, self.stage = graph, stage
        self.origins: set[str] = set()

    def run(self) -> None:
        for name in self.graph.inputs:
            self._produced(f"input '{name}'", name)
        for name in self.graph.constants:
            self._produced(f"constant '{name}'", name)
            self._constant(name, self.graph.constants[name])
        for name, variable in self.graph.variables.items():
            self._produced(f"variable '{name}'", name)
            self._constant(name, variable)
        for node in self.graph.nodes:
            self._node(node)
        for name in self.graph.outputs:
            self._require(self.graph.output_tensor(name) in self.origins, f"output '{name}' that nothing produces")
        for name, value in self.graph.updates.items():
            self._update(name, value)
        for name, spec in self.graph.tensors.items():
            self._require(name in self.origins, f"tensor '{name}' that nothing produces")
            self._require(spec.dtype in (*DEFAULT.values(), BYTE), f"tensor '{name}' of unknown type {spec.dtype}")
            positive = all(isinstance(extent, int) and extent > 0 for extent in spec.shape)
            self._require(positive, f"tensor '{name}' with shape {spec.shape}")

    def _require(self, condition: bool, finding: str) -> None:
        if not condition:
            raise InvariantError(f"{self.stage} produced {finding}")

    def _produced(self, what: str, name: str) -> None:
        """Every tensor has one producer, and a spec."""
        self._require(name not in self.origins, f"{what}, but '{name}' has another producer")
        self._require(name in self.graph.tensors, f"{what} without a spec")
        self.origins.add(name)

    def _constant(self, name: str, constant: Constant) -> None:
        spec = self.graph.tensors[name]
        if constant.shape != spec.shape or constant.dtype != np.dtype(spec.dtype.api):
            found = f"constant '{name}' with an array {constant.dtype}{list(constant.shape)} for {spec}"
            raise InvariantError(f"{self.stage} produced {found}")

    def _update(self, name: str, value: str) -> None:
        """Of a variable, by a tensor just like it."""
        self._require(name in self.graph.variables, f"an update of '{name}', which is no variable")
        self._require(value in self.origins, f"an update of '{name}' by '{value}', which nothing produces")
        specs = self.graph.tensors[name], self.graph.tensors[value]
        self._require(specs[0] == specs[1], f"an update of '{name}', {specs[0]}, by {specs[1]}")

    def _node(self, node: Node) -> None:
        """Its inputs are there before it, its epilogue fits them, its outputs are new."""
        what = f"node '{node.name}'"
        for name in node.inputs:
            self._require(name in self.origins, f"{what} whose input '{name}' has no producer")
        self._require(bool(node.outputs), f"{what} without outputs")
        self._epilogue(node, what)
        for body in node.attrs.values():
            if isinstance(body, Graph):
                _Check(body, f"{self.stage}, inside {what},").run()
        for name in node.outputs:
            self._produced(f"{what} with output '{name}'", name)

    def _epilogue(self, node: Node, what: str) -> None:
        """One output, operands that exist, steps that use values already there, and a result of the output's type."""
        program = node.epilogue
        if program is None:
            return
        enough = 1 <= program.arity <= len(node.inputs)
        self._require(enough, f"{what} with {len(node.inputs)} inputs and an epilogue of {program.arity} operands")
        self._require(len(node.outputs) == 1, f"{what} with an epilogue and {len(node.outputs)} outputs")
        for number, step in enumerate(program.steps, program.arity):
            ordered = all(0 <= operand < number for operand in step.args)
            self._require(ordered, f"{what} whose epilogue uses a value before v{number} is there: {step.args}")
        spec = self.graph.tensors.get(node.outputs[0])
        if program.steps and spec is not None:
            dtype = program.steps[-1].dtype
            self._require(dtype == spec.dtype, f"{what} whose epilogue makes {dtype} for {spec}")
