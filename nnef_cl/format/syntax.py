"""Records of an NNEF document: what `parser` returns and `printer` writes (NNEF 1.0.5, chapter 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Place in a text: 1-based line and column."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = SourcePosition("<built-in>", 0, 0)


# Types -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class PrimitiveType:
    """name: 'integer', 'scalar', 'logical', 'string' or '?' (generic)."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class TensorType:
    """element: 'integer', 'scalar', 'logical', 'string', '?' or '' for `tensor<>` (any)."""

    element: str

    def __str__(self) -> str:
        return f"tensor<{self.element}>"


@dataclass(frozen=True, slots=True)
class ArrayType:
    item: Type

    def __str__(self) -> str:
        return f"{self.item}[]"


@dataclass(frozen=True, slots=True)
class TupleType:
    items: tuple[Type, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Type = PrimitiveType | TensorType | ArrayType | TupleType


# Expressions -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Literal:
    """value: bool for logical, int for integer, float for scalar, str for string."""

    value: bool | int | float | str
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Identifier:
    name: str
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class ArrayExpression:
    items: tuple[Expression, ...]
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class TupleExpression:
    items: tuple[Expression, ...]
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Argument:
    """name is None for a positional argument."""

    name: str | None
    value: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Invocation:
    """`name<generic>(arguments)`; generic is None where not written."""

    name: str
    generic: str | None
    arguments: tuple[Argument, ...]
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """op: '+', '-' or '!'."""

    op: str
    operand: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """op: + - * / ^ < <= > >= == != && || in."""

    op: str
    left: Expression
    right: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Conditional:
    """`value if condition else otherwise`."""

    value: Expression
    condition: Expression
    otherwise: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Subscript:
    """`value[index]`."""

    value: Expression
    index: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Range:
    """`value[begin:end]`; either bound may be absent."""

    value: Expression
    begin: Expression | None
    end: Expression | None
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`[for i in xs, j in ys if condition yield item]`; the iterators run in lock-step."""

    iterators: tuple[tuple[str, Expression], ...]
    condition: Expression | None
    item: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Builtin:
    """name: shape_of length_of range_of integer scalar logical string."""

    name: str
    argument: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


Expression = (
    Literal | Identifier | ArrayExpression | TupleExpression | Invocation | Unary | Binary | Conditional
    | Subscript | Range | Comprehension | Builtin
)  # fmt: skip


COMPOSED = (Unary, Binary, Conditional, Subscript, Range, Comprehension, Builtin)


def parts(expression: Expression) -> Iterator[Expression]:
    """The expression and those inside it, literals left out."""
    rest: list[object] = [expression]
    while rest:
        part = rest.pop()
        kind = type(part)
        if kind is Literal:
            continue
        if kind is tuple:
            rest += part  # type: ignore[arg-type]
        elif isinstance(part, Identifier):
            yield part
        elif isinstance(part, (ArrayExpression, TupleExpression)):
            yield part
            rest += part.items
        elif isinstance(part, Invocation):
            yield part
            rest += [argument.value for argument in part.arguments]
        elif isinstance(part, COMPOSED):
            yield part
            rest += [getattr(part, name) for name in part.__slots__]


def built(expression: Expression, leaf: Callable[[Expression], Any]) -> Any:
    """Arrays as lists and tuples as tuples of what `leaf` makes of everything else; without recursion."""
    made: list[Any] = []
    rest: list[Any] = [expression]
    while rest:
        part = rest.pop()
        if isinstance(part, (ArrayExpression, TupleExpression)):
            rest += [(list if isinstance(part, ArrayExpression) else tuple, len(part.items)), *reversed(part.items)]
        elif isinstance(part, tuple):
            kind, count = part
            start = len(made) - count
            made[start:] = [kind(made[start:])]
        else:
            made.append(leaf(part))
    return made[0]


# Definitions -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Assignment:
    """target: Identifier, ArrayExpression or TupleExpression of targets."""

    target: Expression
    value: Expression
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: Type
    default: Expression | None = None
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    type: Type
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Fragment:
    """generic: None (not generic), '' (`<?>`) or the default type name (`<? = scalar>`). body None: primitive."""

    name: str
    generic: str | None
    parameters: tuple[Parameter, ...]
    results: tuple[Result, ...]
    body: tuple[Assignment, ...] | None
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class GraphDefinition:
    name: str
    parameters: tuple[Identifier, ...]
    results: tuple[Identifier, ...]
    body: tuple[Assignment, ...]
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Extension:
    """`extension KHR_enable_operator_expressions;` -> words ('KHR_enable_operator_expressions',)."""

    words: tuple[str, ...]
    position: SourcePosition = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Departure:
    """Something in the text that the standard does not allow and the parser understands. rule: its name."""

    rule: str
    message: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Document:
    version: str
    extensions: tuple[Extension, ...]
    fragments: tuple[Fragment, ...]
    graph: GraphDefinition
    departures: tuple[Departure, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class QuantEntry:
    """One line of graph.quant: `"tensor": operation(name = literal, ...);`."""

    tensor: str
    operation: str
    arguments: tuple[Argument, ...]
    position: SourcePosition = field(default=NOWHERE, compare=False)
