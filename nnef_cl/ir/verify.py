"""Named invariants of a graph, checked after import and after every pass."""

from __future__ import annotations

from nnef_cl.ir.graph import Graph, Node


class InvariantError(AssertionError):
    """A pass broke the graph: a fault of nnef-cl, not of the model."""


def verify(graph: Graph, stage: str) -> None:
    """Raises InvariantError with the stage and the node."""
    known = set(graph.inputs) | set(graph.constants)
    _require(len(set(graph.inputs)) == len(graph.inputs), stage, "an input is listed twice")
    _check_constants(graph, stage)
    for node in graph.nodes:
        _check_node(graph, node, known, stage)
        known.update(node.outputs)
    for name in graph.outputs:
        _require(name in known, stage, f"output '{name}' has no producer")
    _require(known == set(graph.tensors), stage, "tensors are declared that nothing produces")


def _check_constants(graph: Graph, stage: str) -> None:
    for name, constant in graph.constants.items():
        spec = graph.tensors.get(name)
        _require(spec is not None, stage, f"constant '{name}' has no spec")
        assert spec is not None
        same = constant.array.shape == spec.shape and constant.array.dtype == spec.dtype.api
        _require(same, stage, f"constant '{name}' is {constant.array.dtype}{constant.array.shape}, its spec {spec}")


def _check_node(graph: Graph, node: Node, known: set[str], stage: str) -> None:
    for name in node.inputs:
        _require(name in known, stage, f"node '{node.name}' has an input '{name}' without a producer")
    for name in node.outputs:
        _require(name not in known, stage, f"'{name}' is produced twice")
        _require(name in graph.tensors, stage, f"'{name}' has no spec")
    if node.epilogue is not None:
        _require(node.epilogue.arity <= len(node.inputs) + 1, stage, f"node '{node.name}' lacks epilogue operands")
        _require(len(node.outputs) == 1, stage, f"node '{node.name}' has an epilogue and several results")


def _require(condition: bool, stage: str, message: str) -> None:
    if not condition:
        raise InvariantError(f"after '{stage}': {message}")
