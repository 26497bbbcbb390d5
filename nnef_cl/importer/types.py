"""Values of compile-time expressions, and how they fit the types of declarations (section 3.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from nnef_cl.errors import RuleError
from nnef_cl.format.syntax import ArrayType, Parameter, PrimitiveType, TensorType, TupleType, Type
from nnef_cl.importer.dialect import INTEGERS_AS_SCALARS, LIMITS, TYPES
from nnef_cl.importer.report import Report
from nnef_cl.settings import FRAGMENT_DEPTH, ITEMS, OPERATIONS, STEPS


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the graph that is being built. kind: its NNEF element type."""

    name: str
    kind: str


class Unknown:
    """What an error keeps from having a value; it fits every type, so that nothing that uses it is reported too."""


UNKNOWN = Unknown()

Value = bool | int | float | str | Tensor | Unknown | list[Any] | tuple[Any, ...]
"""Python lists are NNEF arrays, Python tuples are NNEF tuples."""

PRIMITIVES = {bool: "logical", int: "integer", float: "scalar", str: "string"}


class LimitError(RuleError):
    """Something is too large or takes too long; what is being evaluated is given up."""

    def __init__(self, message: str) -> None:
        super().__init__(message, LIMITS.name)


MOST_WAITING = 500_000
"""Expressions that wait for their parts, each about half a kilobyte."""


class Budget:
    """Ends compile-time evaluation that would take too long; a model cannot ask for more than it gives."""

    def __init__(self) -> None:
        self.left = self.steps = STEPS.value
        self.items = ITEMS.value
        self.operations = OPERATIONS.value
        self.depth = FRAGMENT_DEPTH.value

    def spend(self, items: int = 0) -> None:
        """One step and `items` array items. Raises RuleError."""
        self.left -= 1 + items // 4
        if self.left < 0:
            message = f"evaluating the model takes more than {self.steps} steps (a loop or recursion too large?)"
            raise LimitError(f"{message} {STEPS.hint}")

    @staticmethod
    def wait(count: int) -> None:
        """Before so many expressions wait for their parts. Raises RuleError."""
        if count > MOST_WAITING:
            message = f"more than {MOST_WAITING} expressions inside each other (a deep one in a recursion?)"
            raise LimitError(f"{message}; this limit is fixed")

    def array(self, length: int) -> None:
        """Before an array or string of that length is made. Raises RuleError."""
        if length > self.items:
            raise LimitError(f"an array of {length} items is too long, the limit is {self.items} {ITEMS.hint}")
        self.spend(length)


def clip(text: object, length: int = 60) -> str:
    """For messages: not too long."""
    shown = str(text)
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."


def describe(value: Value, levels: int = 4) -> str:
    """A value's NNEF type, for messages; an array's by its first item."""
    if isinstance(value, Tensor):
        return f"tensor<{value.kind}>"
    if isinstance(value, list):
        inner = describe(value[0], levels - 1) if value and levels else "..."
        return f"{inner}[]" if value else "[]"
    if isinstance(value, tuple):
        items = [describe(item, levels - 1) for item in value[:4]] if levels else []
        return f"({', '.join(items + ['...'] * (len(items) < len(value)))})"
    return PRIMITIVES.get(type(value), "unknown")


def has_unknown(value: Value, budget: Budget) -> bool:
    """Whether the value or a part of it is unknown. Arrays may be nested as deeply as a program likes and hold one
    array many times. Raises LimitError."""
    rest = [value]
    seen: set[int] = set()
    while rest:
        part = rest.pop()
        if part is UNKNOWN:
            return True
        if isinstance(part, (list, tuple)) and id(part) not in seen:
            if seen and isinstance(part, list):
                budget.spend(len(part))
            seen.add(id(part))
            rest += part
    return False


class Mismatch(Exception):
    """A value that does not fit. path: indices that lead to it."""

    def __init__(self, value: Value, path: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.value, self.path = value, path


@dataclass(frozen=True)
class Caster:
    """Implicit casts. literal(kind, value): the constant tensor of a primitive."""

    report: Report
    literal: Callable[[str, Any], Tensor]
    budget: Budget

    def fit(self, value: Value, type: Type, generic: str | None = None) -> Value:
        """The value as one of that type, '?' standing for `generic`. Raises RuleError with expected and got."""
        try:
            return self._cast(value, type, generic)
        except Mismatch as error:
            expected = str(type) if generic is None else str(type).replace("?", generic)
            where = "".join(f"[{index}]" for index in error.path)
            at = f" at {where}" if where else ""
            raise RuleError(f"expected {expected}, got {describe(error.value)}{at}", TYPES.name) from None

    def _cast(self, value: Value, type: Type, generic: str | None) -> Value:
        if value is UNKNOWN:
            return value
        if isinstance(type, PrimitiveType):
            return self._primitive(value, generic if type.name == "?" else type.name)
        if isinstance(type, TensorType):
            return self._tensor(value, generic if type.element == "?" else type.element)
        if isinstance(type, ArrayType):
            if not isinstance(value, list):
                raise Mismatch(value)
            self.budget.spend(len(value))
            return self._items(value, [type.item] * len(value), generic)
        if not isinstance(value, tuple) or len(value) != len(type.items):
            raise Mismatch(value)
        return tuple(self._items(value, type.items, generic))

    def _items(self, values: Iterable[Value], types: Iterable[Type], generic: str | None) -> list[Value]:
        items: list[Value] = []
        try:
            for value, type in zip(values, types, strict=True):
                items.append(self._cast(value, type, generic))
        except Mismatch as error:
            raise Mismatch(error.value, (len(items), *error.path)) from None
        return items

    def _primitive(self, value: Value, kind: str | None) -> Value:
        own = PRIMITIVES.get(type(value))
        if own is None or (kind is not None and own != kind):
            if own == "integer" and kind == "scalar" and self.report.accepts(INTEGERS_AS_SCALARS):
                assert isinstance(value, int)
                return self.scalar(value)
            raise Mismatch(value)
        return value

    def _tensor(self, value: Value, kind: str | None) -> Tensor:
        """kind '': any; None: a generic type that is not known, any as well."""
        if isinstance(value, Tensor):
            if kind and value.kind != kind:
                raise Mismatch(value)
            return value
        value = self._primitive(value, kind or None)
        if isinstance(value, str):
            raise Mismatch(value)
        return self.literal(PRIMITIVES[type(value)], value)

    def scalar(self, value: int) -> float:
        """An integer read as a scalar, where the dialect lets it."""
        message = "an integer is given where a scalar is expected; it is read as a scalar"
        self.report.depart(INTEGERS_AS_SCALARS, message)
        return float(value)


def deduce(bound: Iterable[tuple[Parameter, Value]], lenient: bool) -> str | None:
    """The generic type that the arguments show, None where they show none. Raises RuleError where they differ.

    Tensors decide before literals, so that a literal can still be cast. lenient: scalar beats integer.
    """
    tensors: set[str] = set()
    literals: set[str] = set()
    for parameter, value in bound:
        for item in _generic_parts(value, parameter.type) if uses_generic(parameter.type) else ():
            if isinstance(item, Tensor):
                tensors.add(item.kind)
            elif type(item) in PRIMITIVES:
                literals.add(PRIMITIVES[type(item)])
    kinds = tensors or literals
    if kinds == {"integer", "scalar"} and not tensors and lenient:
        return "scalar"
    if len(kinds) > 1:
        raise RuleError(f"the arguments mix {' and '.join(sorted(kinds))} where one type is expected", TYPES.name)
    return next(iter(kinds), None)


def _generic_parts(value: Value, type: Type) -> Iterator[Value]:
    """What stands in the places of '?'; an array that is there many times is looked at once."""
    rest = [(value, type)]
    seen: set[tuple[int, int]] = set()
    while rest:
        value, type = rest.pop()
        if isinstance(type, ArrayType):
            if isinstance(value, list) and (id(value), id(type)) not in seen:
                seen.add((id(value), id(type)))
                rest += [(item, type.item) for item in value]
        elif isinstance(type, TupleType):
            rest += zip(value, type.items, strict=False) if isinstance(value, tuple) else ()
        elif "?" in (type.name if isinstance(type, PrimitiveType) else type.element):
            yield value


def uses_generic(type: Type) -> bool:
    """Whether '?' stands in it."""
    return "?" in str(type)


def holds_tensors(type: Type) -> bool:
    """A tensor, or an array or tuple of tensors."""
    if isinstance(type, ArrayType):
        return holds_tensors(type.item)
    if isinstance(type, TupleType):
        return any(holds_tensors(item) for item in type.items)
    return isinstance(type, TensorType)
