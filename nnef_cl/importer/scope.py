"""The names known in a body, and what the tensors that it makes are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from nnef_cl.errors import RuleError
from nnef_cl.format.syntax import (
    NOWHERE,
    ArrayExpression,
    ArrayType,
    Assignment,
    Binary,
    Conditional,
    Expression,
    Fragment,
    Identifier,
    Invocation,
    SourcePosition,
    TensorType,
    TupleExpression,
    Type,
    Unary,
)
from nnef_cl.importer import evaluate
from nnef_cl.importer.dialect import TYPES
from nnef_cl.importer.types import Value
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ops.base import Op

Names = str | list[Any] | tuple[Any, ...]
"""What results are to be called: one name, or a structure of names like the left side of an assignment."""


@dataclass
class Scope:
    """The names known in a body. names: of result tensors; prefix: of the tensors of local names.

    For a fragment: what was called, where, with which names for its results, from which scope.
    builtin: the body belongs to an operation of the table, not to the file. doubtful: what is evaluated is a branch
    that might not be taken, so only what is wrong whatever the values are is an error.
    """

    values: dict[str, Value]
    body: tuple[Assignment, ...]
    fixed: frozenset[str] = frozenset()
    names: Mapping[str, Names] = field(default_factory=dict)
    prefix: str = ""
    generic: str | None = None
    fragment: str = ""
    position: SourcePosition = NOWHERE
    caller: Scope | None = None
    builtin: bool = False
    depth: int = 0
    doubtful: bool = False
    _lines: dict[str, int] | None = None

    def place(self, position: SourcePosition) -> SourcePosition:
        """A position in the file: where a standard operation was called rather than a place in its definition."""
        scope = self
        while scope.builtin and scope.caller is not None:
            position, scope = scope.position, scope.caller
        return position

    def assigned_in(self, name: str) -> int | None:
        """The line of the statement that assigns the name, None where none does."""
        if self._lines is None:
            self._lines = {}
            for statement in self.body:
                for identifier in targets(statement.target):
                    self._lines.setdefault(identifier.name, self.place(statement.position).line)
        return self._lines.get(name)

    def in_doubt(self) -> Scope:
        """The same place, in a branch that might not be taken."""
        return self if self.doubtful else replace(self, doubtful=True)

    @contextmanager
    def shadowed(self, names: Sequence[str]) -> Iterator[None]:
        """Inside, the names may be given other values: those of a loop's iterators."""
        before = {name: self.values[name] for name in names if name in self.values}
        try:
            yield
        finally:
            for name in names:
                self.values.pop(name, None)
            self.values.update(before)


@dataclass(frozen=True)
class Callee:
    """What a name stands for: an operation of the table, or a fragment of the file (op None)."""

    declaration: Fragment
    op: Op | None

    @property
    def body(self) -> tuple[Assignment, ...] | None:
        return self.declaration.body if self.op is None or self.op.is_compound else None


NAMED = (Invocation, Unary, Binary, Conditional)
"""Expressions that may become an operation of their own."""


def operation(expression: Expression) -> str:
    """The operation an expression stands for."""
    if isinstance(expression, Invocation):
        return expression.name
    if isinstance(expression, Unary):
        return evaluate.UNARY[expression.op]
    if isinstance(expression, Binary):
        return evaluate.BINARY.get(expression.op, expression.op)
    return "select"


def derived(prefix: str, name: str) -> str:
    """A name no identifier of the file can have; short, however deep the fragments."""
    return f"{prefix[:120]}.{name[:60]}"


def first(names: Names) -> str:
    """The first of the names."""
    while not isinstance(names, str):
        names = names[0] if names else ""
    return names


def named_items(node: ArrayExpression | TupleExpression, names: Names) -> Iterator[tuple[Expression, Names, bool]]:
    """Each item, its names, and whether it is a part of what is named so: items that a left side unpacks are not."""
    unpacked = not isinstance(names, str) and len(names) == len(node.items)
    for number, item in enumerate(node.items):
        yield item, names[number] if unpacked else names, not unpacked


def result_names(names: Names, count: int, single: bool) -> list[str]:
    """One name per result of a node."""
    if isinstance(names, str):
        return [names] if single else [derived(names, str(number)) for number in range(count)]
    if len(names) == count and all(isinstance(name, str) for name in names):
        return list(names)
    return [derived(first(names), str(number)) for number in range(count)]


def targets(target: Expression) -> list[Identifier]:
    """The identifiers of a left side, in order."""
    found: list[Identifier] = []
    rest = [target]
    while rest:
        item = rest.pop()
        if isinstance(item, Identifier):
            found.append(item)
        elif isinstance(item, (ArrayExpression, TupleExpression)):
            rest += reversed(item.items)
    return found


def frozen(value: Value) -> Any:
    """An attribute as it stands in a node: arrays as tuples."""
    return tuple(frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def element(type: Type, generic: str | None) -> str:
    """Element type of a result. Raises RuleError where tensors cannot have it."""
    if isinstance(type, ArrayType):
        return element(type.item, generic)
    assert isinstance(type, TensorType), type
    kind = generic if type.element == "?" else type.element
    if kind not in DEFAULT:
        raise RuleError(f"there are no tensors of type {kind}", TYPES.name)
    return kind


def argument_place(node: Expression, name: str, declaration: Fragment) -> SourcePosition:
    """Where the argument stands, or the expression where it stands nowhere."""
    if isinstance(node, Invocation):
        for number, argument in enumerate(node.arguments):
            if (argument.name or declaration.parameters[number].name) == name:
                return argument.position
    return node.position


