"""Write syntax records as canonical NNEF text, which parses to equal records."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nnef_cl.format.parser import PRECEDENCE
from nnef_cl.format.syntax import (
    Argument,
    ArrayExpression,
    Assignment,
    Binary,
    Builtin,
    Comprehension,
    Conditional,
    Document,
    Expression,
    Fragment,
    GraphDefinition,
    Identifier,
    Invocation,
    Literal,
    Parameter,
    Range,
    Result,
    Subscript,
    TupleExpression,
    Unary,
)

# How tightly an expression holds together, above and below the binary operators.
ANY, UNCONDITIONAL, UNARY, OPERAND = 0, 1, max(PRECEDENCE.values()) + 1, max(PRECEDENCE.values()) + 2


def print_document(document: Document) -> str:
    """The text of a graph.nnef."""
    lines = [f"version {document.version};"]
    lines += [f"extension {' '.join(extension.words)};" for extension in document.extensions]
    parts = ["\n".join(lines), *map(print_fragment, document.fragments), print_graph(document.graph)]
    return "\n\n".join(parts) + "\n"


def print_fragment(fragment: Fragment) -> str:
    """A fragment definition, without a newline at its end."""
    head = print_head(fragment)
    return head if fragment.body is None else f"{head}\n{_body(fragment.body)}"


def print_graph(graph: GraphDefinition) -> str:
    """The graph definition, without a newline at its end."""
    return f"{print_head(graph)}\n{_body(graph.body)}"


def print_head(part: Fragment | GraphDefinition) -> str:
    """Everything of a definition before its body, or all of one that has none."""
    if isinstance(part, GraphDefinition):
        parameters = _bracketed(name.name for name in part.parameters)
        return f"graph {part.name}{parameters} -> {_bracketed(name.name for name in part.results)}"
    generic = ""
    if part.generic is not None:
        generic = f"<? = {part.generic}>" if part.generic else "<?>"
    parameters, results = (_bracketed(map(_parameter, items)) for items in (part.parameters, part.results))
    return f"fragment {part.name}{generic}{parameters} -> {results}{';' if part.body is None else ''}"


def print_assignment(assignment: Assignment) -> str:
    """One statement, with its semicolon."""
    target = print_expression(assignment.target)
    if isinstance(assignment.target, TupleExpression):
        target = target[1:-1]
    return f"{target} = {print_expression(assignment.value)};"


def print_expression(expression: Expression, least: int = ANY) -> str:
    """An expression, in parentheses where it holds less tightly together than `least`.

    Parentheses stand only where the parser needs them. Without recursion: expressions may be nested deeply.
    """
    text: list[str] = []
    rest: list[Part] = [(expression, least)]
    while rest:
        part = rest.pop()
        if isinstance(part, str):
            text.append(part)
            continue
        parts, level = _parts(part[0])
        if level < part[1]:
            text.append("(")
            rest.append(")")
        rest += reversed(parts)
    return "".join(text)


Part = str | tuple[Expression, int]
"""Text, or an expression and how tightly it has to hold together."""


def _parts(node: Expression) -> tuple[list[Part], int]:  # noqa: PLR0911 - one branch for each record
    """What an expression consists of, and how tightly it holds together."""
    if isinstance(node, Literal):
        text = print_literal(node.value)
        return [text], UNARY if text.startswith("-") else OPERAND
    if isinstance(node, Identifier):
        return [node.name], OPERAND
    if isinstance(node, ArrayExpression):
        return ["[", *_list((item, ANY) for item in node.items), "]"], OPERAND
    if isinstance(node, TupleExpression):
        return ["(", *_list((item, ANY) for item in node.items), ")"], OPERAND
    if isinstance(node, Invocation):
        generic = f"<{node.generic}>" if node.generic is not None else ""
        return [f"{node.name}{generic}(", *_arguments(node.arguments), ")"], OPERAND
    if isinstance(node, Builtin):
        return [f"{node.name}(", (node.argument, ANY), ")"], OPERAND
    if isinstance(node, Subscript):
        return [(node.value, OPERAND), "[", (node.index, ANY), "]"], OPERAND
    if isinstance(node, Range):
        begin, end = ([] if bound is None else [(bound, ANY)] for bound in (node.begin, node.end))
        return [(node.value, OPERAND), "[", *begin, ":", *end, "]"], OPERAND
    if isinstance(node, Unary):
        return [node.op, (node.operand, UNARY)], UNARY
    if isinstance(node, Binary):
        level = PRECEDENCE[node.op]
        return [(node.left, level), f" {node.op} ", (node.right, level + 1)], level
    if isinstance(node, Comprehension):
        return _comprehension(node), OPERAND
    assert isinstance(node, Conditional), node
    return [(node.value, UNCONDITIONAL), " if ", (node.condition, ANY), " else ", (node.otherwise, ANY)], ANY


def print_literal(value: bool | int | float | str) -> str:
    """A constant: a float always has a point or an exponent, a string is in double quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    assert math.isfinite(value), value
    return repr(value)


def _list(items: Iterable[Part]) -> list[Part]:
    """With commas between them."""
    parts = [part for item in items for part in (", ", item)]
    return parts[1:]


def _comprehension(node: Comprehension) -> list[Part]:
    iterators: list[Part] = []
    for name, values in node.iterators:
        iterators += [", " if iterators else "", f"{name} in ", (values, UNCONDITIONAL)]
    condition: list[Part] = [" if ", (node.condition, ANY)] if node.condition is not None else []
    return ["[for ", *iterators, *condition, " yield ", (node.item, ANY), "]"]


def _arguments(arguments: Iterable[Argument]) -> list[Part]:
    parts: list[Part] = []
    for argument in arguments:
        parts += [", " if parts else "", "" if argument.name is None else f"{argument.name} = ", (argument.value, ANY)]
    return parts


def _parameter(parameter: Parameter | Result) -> str:
    default = parameter.default if isinstance(parameter, Parameter) else None
    suffix = f" = {print_expression(default)}" if default is not None else ""
    return f"{parameter.name}: {parameter.type}{suffix}"


def _bracketed(items: Iterable[str]) -> str:
    text = ", ".join(items)
    return f"( {text} )" if text else "()"


def _body(body: Iterable[Assignment]) -> str:
    return "".join(("{\n", *(f"    {print_assignment(statement)}\n" for statement in body), "}"))
