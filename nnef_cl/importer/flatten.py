"""Write a graph as a document: one invocation for each node, the file's fragments expanded, every tensor named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from nnef_cl.format.syntax import (
    Argument,
    ArrayExpression,
    ArrayType,
    Assignment,
    Binary,
    Document,
    Expression,
    Extension,
    Fragment,
    GraphDefinition,
    Identifier,
    Invocation,
    Literal,
    Parameter,
    TupleExpression,
    TupleType,
    Type,
)
from nnef_cl.importer.departures import FRAGMENTS, OPERATORS
from nnef_cl.importer.evaluate import constant
from nnef_cl.importer.scope import frozen
from nnef_cl.importer.types import holds_tensors, uses_generic
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.tensor import Constant
from nnef_cl.ops import STANDARD
from nnef_cl.ops.base import Op, Table

KEYWORDS = (
    "version", "extension", "graph", "fragment", "tensor", "integer", "scalar", "logical", "string", "shape_of",
    "length_of", "range_of", "for", "in", "yield", "if", "else", "true", "false",
)  # fmt: skip
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def flatten(graph: Graph, table: Table) -> Document:
    """A document without compound fragments that imports to an equal graph: its tensors may have other names where
    the graph's are no identifiers. It uses an operator for infinity and NaN only, which have no literal."""
    return _Writer(graph, table).document()


class _Writer:
    def __init__(self, graph: Graph, table: Table) -> None:
        self.graph, self.table = graph, table
        self.operators = False
        self.custom: dict[str, Fragment] = {}
        self.names: dict[str, str] = {}
        self.taken = {name for name in graph.tensors if _is_identifier(name)}
        self.updates = self._updates()

    def document(self) -> Document:
        graph = self.graph
        body = tuple(self._statements())
        results = map(graph.output_tensor, graph.outputs)
        inputs, outputs = (tuple(map(self._identifier, names)) for names in (graph.inputs, results))
        needed = ((FRAGMENTS, bool(self.custom)), (OPERATORS, self.operators))
        extensions = tuple(Extension((name,)) for name, is_needed in needed if is_needed)
        return Document(
            "1.0", extensions, tuple(self.custom.values()), GraphDefinition(graph.name, inputs, outputs, body)
        )  # fmt: skip

    def _updates(self) -> dict[str, str]:
        """Copy -> variable: an update is a copy of the new value, the last there is."""
        copies: dict[str, list[str]] = {}
        for node in self.graph.nodes:
            if node.op == "copy":
                copies.setdefault(node.inputs[0], []).append(node.name)
        return {copies[value].pop(): variable for variable, value in self.graph.updates.items()}

    def _statements(self) -> Iterator[Assignment]:
        """In the order in which the tensors came to be."""
        makers = {node.outputs[0]: node for node in self.graph.nodes}
        for name in self.graph.tensors:
            if name in self.graph.inputs:
                yield self._introduce(name, "external")
            elif name in self.graph.constants or name in self.graph.variables:
                constant = self.graph.constants.get(name) or self.graph.variables[name]
                if constant.label:
                    yield self._introduce(name, "variable", label=Literal(constant.label))
                elif not self._is_literal(name):
                    yield self._introduce(name, "constant", value=self._values(constant))
            elif name in makers:
                yield self._node(makers[name])

    # Tensors without a node --------------------------------------------------------------------------------
    def _introduce(self, name: str, op: str, **further: Expression) -> Assignment:
        kind = self.graph.tensors[name].dtype.kind
        arguments = {"shape": ArrayExpression(tuple(map(Literal, self.graph.tensors[name].shape))), **further}
        given = tuple(Argument(key, value) for key, value in arguments.items())
        return Assignment(self._identifier(name), Invocation(op, None if kind == "scalar" else kind, given))

    def _values(self, constant: Constant) -> ArrayExpression:
        array = constant.array
        repeated = array.size > 1 and not any(array.strides)
        items = array.reshape(-1)[:1] if repeated else array.reshape(-1)
        return ArrayExpression(tuple(map(self._item, items)))

    def _item(self, item: Any) -> Expression:
        """One element as a constant; float32 in the fewest digits that give it back."""
        return self._primitive(float(str(item)) if isinstance(item, np.floating) else item.item())

    def _is_literal(self, name: str) -> bool:
        """A constant that stands as a number where it is used."""
        constant = self.graph.constants.get(name)
        unnamed = constant is not None and not constant.label and not _is_identifier(name)
        return unnamed and not self.graph.tensors[name].shape

    def _identifier(self, name: str) -> Identifier:
        if name not in self.names:
            chosen = name
            if not _is_identifier(name):
                stem = re.sub(r"\W+", "_", name, flags=re.ASCII)
                stem = stem if _is_identifier(stem) else f"t{stem}"
                chosen, number = stem, 0
                while chosen in self.taken:
                    chosen, number = f"{stem}_{number}", number + 1
                self.taken.add(chosen)
            self.names[name] = chosen
        return Identifier(self.names[name])

    # Nodes -------------------------------------------------------------------------------------------------
    def _node(self, node: Node) -> Assignment:
        op = self.table[node.op]
        if node.op not in STANDARD:
            declaration = op.declaration
            self.custom[node.op] = Fragment(
                declaration.name, declaration.generic, declaration.parameters, declaration.results, None
            )  # fmt: skip
        if node.name in self.updates:
            operands = (self._tensor(self.updates[node.name]), self._tensor(node.inputs[0]))
            given = tuple(Argument(None, operand) for operand in operands)
            return Assignment(self._identifier(node.name), Invocation("update", None, given))
        arguments = tuple(self._arguments(op, node))
        target = tuple(self._identifier(name) for name in node.outputs)
        results = op.declaration.results
        left: Expression = target[0]
        if isinstance(results[0].type, ArrayType):
            left = ArrayExpression(target)
        elif len(results) > 1:
            left = TupleExpression(target)
        return Assignment(left, Invocation(node.op, self._generic(op, node), arguments))

    def _arguments(self, op: Op, node: Node) -> Iterator[Argument]:
        """Tensors by position, then the attributes that differ from their defaults."""
        values = op.arguments(node.inputs, node.attrs)
        for parameter in op.declaration.parameters:
            value = values[parameter.name]
            if holds_tensors(parameter.type):
                items = value if isinstance(value, list) else [value]
                operands = tuple(map(self._tensor, items))
                yield Argument(None, ArrayExpression(operands) if isinstance(value, list) else operands[0])
            elif not _is_default(value, parameter):
                yield Argument(parameter.name, self._attribute(value, parameter.type))

    def _tensor(self, name: str) -> Expression:
        if self._is_literal(name):
            return self._item(self.graph.constants[name].array[()])
        return self._identifier(name)

    def _attribute(self, value: Any, type: Type) -> Expression:
        if isinstance(type, ArrayType):
            return ArrayExpression(tuple(self._attribute(item, type.item) for item in value))
        if isinstance(type, TupleType):
            pairs = zip(value, type.items, strict=True)
            return TupleExpression(tuple(self._attribute(item, part) for item, part in pairs))
        return self._primitive(value)

    def _primitive(self, value: bool | int | float | str) -> Expression:
        if not isinstance(value, float) or math.isfinite(value):
            return Literal(value)
        self.operators = True
        dividend = 0.0 if math.isnan(value) else math.copysign(1.0, value)
        return Binary("/", Literal(dividend), Literal(0.0))

    def _generic(self, op: Op, node: Node) -> str | None:
        """The type in `name<type>(...)`, where the arguments do not show it."""
        declaration = op.declaration
        if declaration.generic is None or not uses_generic(declaration.results[0].type):
            return None
        kind = self.graph.tensors[node.name].dtype.kind
        if declaration.generic:
            return kind if kind != declaration.generic else None
        shown = any(uses_generic(p.type) for p in declaration.parameters if holds_tensors(p.type))
        return None if shown else kind


def _is_identifier(name: str) -> bool:
    return bool(IDENTIFIER.fullmatch(name)) and name not in KEYWORDS


def _is_default(value: Any, parameter: Parameter) -> bool:
    if parameter.default is None:
        return False
    default = frozen(constant(parameter.default))
    return bool(type(default) is type(value) and repr(default) == repr(value))
