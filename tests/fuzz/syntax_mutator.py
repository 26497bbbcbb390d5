"""Structural mutation of NNEF syntax: every change makes a tree that prints as grammatical text, or nearly so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from nnef_cl.format import syntax as s
from nnef_cl.ops import STANDARD

Path = tuple[str | int, ...]
Change = Callable[[Random, Any, "Pool"], Any]
Changes = Sequence[tuple[Any, Sequence[Change]]]

OPERATIONS = (*STANDARD, "shape_of", "nothing")
OPERATORS = ("+", "-", "*", "/", "^", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "in")
ELEMENTS = ("scalar", "integer", "logical", "string", "?", "")
BUILTINS = ("shape_of", "length_of", "range_of", "integer", "scalar", "logical", "string")
NUMBERS = (0, 1, -1, 2, 3, 7, 8, 9, 255, 2**31 - 1, 2**31, -(2**31), 2**32, 2**62, 2**63 - 1, -(2**63), 1000, 10**6)
SCALARS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e38, 1e39, 1e300, 3.5, 2.0**63)
STRINGS = ("constant", "ignore", "reflect", "reflect-even", "replicate", "symmetric", "aligned", "", "x", "../x", "é\t")
NAMES = ("x", "y", "z", "a", "input", "output", "filter", "bias", "axes", "size", "shape", "border", "padding", "stride")
QUANTISATIONS = (
    "min_max_linear_quantize", "zero_point_linear_quantize", "logarithmic_quantize", "linear_quantize", "relu", "nothing",
)  # fmt: skip
EXTENSIONS = ("KHR_enable_fragment_definitions", "KHR_enable_operator_expressions", "ABC_other", "tract_registry tract_core")


class Pool:
    """Parts of valid documents to splice in, by kind."""

    def __init__(self, documents: Sequence[Any]) -> None:
        self.expressions: list[s.Expression] = []
        self.statements: list[s.Assignment] = []
        self.fragments: list[s.Fragment] = []
        self.arguments: list[s.Argument] = []
        self.types: list[s.Type] = []
        for document in documents:
            for _, node in places(document):
                self._sort(node)

    def _sort(self, node: Any) -> None:
        kinds = ((s.Assignment, self.statements), (s.Fragment, self.fragments), (s.Argument, self.arguments))
        for kind, found in (*kinds, (s.Type, self.types), (s.Expression, self.expressions)):
            if isinstance(node, kind):
                found.append(node)


def places(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every record and every sequence below a record, with the way to it."""
    yield path, node
    if isinstance(node, tuple):
        for index, item in enumerate(node):
            if not isinstance(item, tuple):  # the pairs of a comprehension stay whole
                yield from places(item, (*path, index))
    elif dataclasses.is_dataclass(node):
        whole = isinstance(node, s.GraphDefinition)  # its parameters and results are names only
        for field in dataclasses.fields(node):
            if field.name not in ("position", "words") and not (whole and field.name in ("parameters", "results")):
                value = getattr(node, field.name)
                if isinstance(value, tuple) or dataclasses.is_dataclass(value):
                    yield from places(value, (*path, field.name))


def replaced(node: Any, path: Path, new: Any) -> Any:
    """The tree with another node at `path`."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return (*node[:step], replaced(node[step], rest, new), *node[step + 1 :])
    return dataclasses.replace(node, **{step: replaced(getattr(node, step), rest, new)})


def mutated(random: Random, document: Any, pool: Pool, changes: int, table: Changes | None = None) -> Any:
    """The document, or what else `table` has changes for, after some structural changes."""
    for _ in range(changes):
        path, node = random.choice(list(places(document)))
        change = random.choice(next(found for kinds, found in table or CHANGES if isinstance(node, kinds)))
        document = replaced(document, path, change(random, node, pool))
    return document


# Sequences: statements, arguments, items, parameters, results, fragments ------------------------------------
def shorter(random: Random, items: Any, pool: Pool) -> Any:
    at = random.randrange(len(items) + 1)
    return items[:at] + items[at + 1 :]


def doubled(random: Random, items: Any, pool: Pool) -> Any:
    at = random.randrange(len(items)) if items else 0
    return items[:at] + items[at : at + 1] * random.choice((2, 2, 2, 3, 20)) + items[at + 1 :]


def shuffled(random: Random, items: Any, pool: Pool) -> Any:
    return tuple(random.sample(items, len(items)))


def longer(random: Random, items: Any, pool: Pool) -> Any:
    """An item of the same kind from elsewhere."""
    kinds = ((s.Assignment, pool.statements), (s.Fragment, pool.fragments), (s.Argument, pool.arguments))
    found = next((new for kind, new in kinds if items and isinstance(items[0], kind)), None)
    if found is None:
        if not items or not isinstance(items[0], s.Expression):
            return items
        found = pool.expressions
    at = random.randrange(len(items) + 1)
    return (*items[:at], random.choice(found), *items[at:])


# Expressions ------------------------------------------------------------------------------------------------
def another(random: Random, node: Any, pool: Pool) -> Any:
    return random.choice(pool.expressions)


def number(random: Random, node: Any, pool: Pool) -> Any:
    value = random.choice(random.choice((NUMBERS, NUMBERS, SCALARS, STRINGS, (True, False))))
    return s.Literal(value)


def name(random: Random, node: Any, pool: Pool) -> Any:
    return s.Identifier(random.choice(NAMES))


def wrapped(random: Random, node: Any, pool: Pool) -> Any:
    """The expression as part of a larger one."""
    other = random.choice(pool.expressions)
    return random.choice((
        lambda: s.ArrayExpression((node,)), lambda: s.ArrayExpression((node, other)), lambda: s.TupleExpression((node, other)),
        lambda: s.Unary(random.choice("+-!"), node), lambda: s.Binary(random.choice(OPERATORS), node, other),
        lambda: s.Binary(random.choice(OPERATORS), other, node), lambda: s.Conditional(node, other, node),
        lambda: s.Conditional(other, node, node), lambda: s.Subscript(node, other), lambda: s.Subscript(node, s.Literal(0)),
        lambda: s.Range(node, s.Literal(0), None), lambda: s.Range(node, None, other),
        lambda: s.Builtin(random.choice(BUILTINS), node),
        lambda: s.Comprehension((("i", node),), None, s.Identifier("i")), lambda: s.Comprehension((("i", node),), other, other),
        lambda: s.Invocation(random.choice(OPERATIONS), None, (s.Argument(None, node),)),
    ))()  # fmt: skip


def inner(random: Random, node: Any, pool: Pool) -> Any:
    """A part of the expression in its place."""
    return random.choice([found for _, found in places(node) if isinstance(found, s.Expression)])


def operator(random: Random, node: Any, pool: Pool) -> Any:
    if isinstance(node, s.Binary):
        return dataclasses.replace(node, op=random.choice(OPERATORS))
    if isinstance(node, s.Unary):
        return dataclasses.replace(node, op=random.choice("+-!"))
    return wrapped(random, node, pool)


def operation(random: Random, node: Any, pool: Pool) -> Any:
    if not isinstance(node, s.Invocation):
        return wrapped(random, node, pool)
    if random.random() < 0.5:
        return dataclasses.replace(node, name=random.choice(OPERATIONS))
    return dataclasses.replace(node, generic=random.choice((None, *ELEMENTS)))


# Other records ----------------------------------------------------------------------------------------------
def argument(random: Random, node: Any, pool: Pool) -> Any:
    kept = random.choice((None, random.choice(NAMES), random.choice(pool.arguments).name))
    return random.choice((random.choice(pool.arguments), s.Argument(kept, node.value)))


def statement(random: Random, node: Any, pool: Pool) -> Any:
    target = node.target
    return random.choice((
        random.choice(pool.statements),
        s.Assignment(s.ArrayExpression((target,)), node.value), s.Assignment(target, random.choice(pool.statements).value),
        s.Assignment(s.TupleExpression((target, s.Identifier(random.choice(NAMES)))), node.value),
    ))  # fmt: skip


def parameter(random: Random, node: Any, pool: Pool) -> Any:
    """Of a parameter or a result: name, type or default."""
    changed = random.choice(({"name": random.choice(NAMES)}, {"type": random.choice(pool.types)}, {"default": None}))
    if isinstance(node, s.Result) and "default" in changed:
        changed = {"type": random.choice(pool.types)}
    return dataclasses.replace(node, **changed)


def fragment(random: Random, node: Any, pool: Pool) -> Any:
    changed = random.choice((
        {"body": None}, {"body": ()}, {"generic": random.choice((None, *ELEMENTS[:3], ""))},
        {"name": random.choice((*OPERATIONS, *NAMES))}, {"results": node.results[:1]}, {"body": node.body and node.body[::-1]},
    ))  # fmt: skip
    return dataclasses.replace(node, **changed)


def kind(random: Random, node: Any, pool: Pool) -> Any:
    return random.choice((
        s.ArrayType(node), s.TupleType((node, random.choice(pool.types))), s.TensorType(random.choice(ELEMENTS)),
        s.PrimitiveType(random.choice(ELEMENTS[:5])), random.choice(pool.types),
    ))  # fmt: skip


def graph(random: Random, node: Any, pool: Pool) -> Any:
    return random.choice((
        dataclasses.replace(node, parameters=node.results, results=node.parameters),
        dataclasses.replace(node, body=(*node.body, *node.body)), dataclasses.replace(node, body=node.body[::-1]),
        dataclasses.replace(node, results=(*node.results, *node.parameters)),
        dataclasses.replace(node, parameters=shorter(random, node.parameters, pool)),
        dataclasses.replace(node, results=doubled(random, node.results, pool)),
        dataclasses.replace(node, parameters=(*node.parameters, s.Identifier(random.choice(NAMES)))),
    ))  # fmt: skip


def document(random: Random, node: Any, pool: Pool) -> Any:
    """The head, or another document's fragments."""
    kept = tuple(e for e in node.extensions if random.random() < 0.5)
    more = (*kept, s.Extension(tuple(random.choice(EXTENSIONS).split())))
    version = random.choice(("1.0", "1.0", "1.1", "1.9", "2.0", "1"))
    spliced = (*node.fragments, *random.sample(pool.fragments, random.randrange(4)))
    return dataclasses.replace(node, **random.choice(({"extensions": more}, {"version": version}, {"fragments": spliced})))


def same(random: Random, node: Any, pool: Pool) -> Any:
    return node


# Entries of graph.quant --------------------------------------------------------------------------------------
def entry(random: Random, node: Any, pool: Pool) -> Any:
    """Another tensor, another operation."""
    tensor, operation = random.choice((*NAMES, "w", "b", "v", "k", "c0_y0", "i", "")), random.choice(QUANTISATIONS)
    return dataclasses.replace(node, **random.choice(({"tensor": tensor}, {"operation": operation})))


def nested(random: Random, node: Any, pool: Pool) -> Any:
    """The constant in an array, alone or with others."""
    return s.ArrayExpression(random.choice(((node,), (node, node), (node,) * 3, (node, random.choice(pool.expressions)))))


CHANGES: Changes = (
    (tuple, (shorter, doubled, shuffled, longer)),
    (s.Expression, (another, another, number, number, name, wrapped, wrapped, inner, operator, operation)),
    (s.Argument, (argument,)), (s.Assignment, (statement,)), ((s.Parameter, s.Result), (parameter,)), (s.Fragment, (fragment,)),
    (s.Type, (kind,)), (s.GraphDefinition, (graph,)), (s.Document, (document,)), (object, (same,)),
)  # fmt: skip
"""For each kind of node what may happen to it; the first that fits."""
ENTRY_CHANGES: Changes = (
    (tuple, (shorter, doubled, shuffled, longer)), (s.QuantEntry, (entry,)), (s.Argument, (argument,)),
    (s.Expression, (another, number, number, nested, inner)), (object, (same,)),
)  # fmt: skip
"""The same for the entries of a quantisation file, whose expressions are constants."""
