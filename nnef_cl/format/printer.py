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

    Parentheses stand only where the parser needs them. Uses recursion: the parser bounds the depth.
    """
    text, level = _expression(expression)
    return text if level >= least else f"({text})"


def _expression(node: Expression) -> tuple[str, int]:  # noqa: PLR0911 - one branch for each record
    """The text of an expression and how tightly it holds together."""
    show = print_expression
    if isinstance(node, Literal):
        text = print_literal(node.value)
        return text, UNARY if text.startswith("-") else OPERAND
    if isinstance(node, Identifier):
        return node.name, OPERAND
    if isinstance(node, ArrayExpression):
        return f"[{', '.join(map(show, node.items))}]", OPERAND
    if isinstance(node, TupleExpression):
        return f"({', '.join(map(show, node.items))})", OPERAND
    if isinstance(node, Invocation):
        generic = f"<{node.generic}>" if node.generic is not None else ""
        return f"{node.name}{generic}({', '.join(map(_argument, node.arguments))})", OPERAND
    if isinstance(node, Builtin):
        return f"{node.name}({show(node.argument)})", OPERAND
    if isinstance(node, Subscript):
        return f"{show(node.value, OPERAND)}[{show(node.index)}]", OPERAND
    if isinstance(node, Range):
        begin = show(node.begin) if node.begin is not None else ""
        end = show(node.end) if node.end is not None else ""
        return f"{show(node.value, OPERAND)}[{begin}:{end}]", OPERAND
    if isinstance(node, Unary):
        return f"{node.op}{show(node.operand, UNARY)}", UNARY
    if isinstance(node, Binary):
        level = PRECEDENCE[node.op]
        return f"{show(node.left, level)} {node.op} {show(node.right, level + 1)}", level
    if isinstance(node, Comprehension):
        return _comprehension(node), OPERAND
    assert isinstance(node, Conditional), node
    value = show(node.value, UNCONDITIONAL)
    return f"{value} if {show(node.condition)} else {show(node.otherwise)}", ANY


def print_literal(value: bool | int | float | str) -> str:
    """A constant: a float always has a point or an exponent, a string is in double quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    assert math.isfinite(value), value
    return repr(value)


def _comprehension(node: Comprehension) -> str:
    iterators = [f"{name} in {print_expression(values, UNCONDITIONAL)}" for name, values in node.iterators]
    condition = f" if {print_expression(node.condition)}" if node.condition is not None else ""
    return f"[for {', '.join(iterators)}{condition} yield {print_expression(node.item)}]"


def _argument(argument: Argument) -> str:
    value = print_expression(argument.value)
    return value if argument.name is None else f"{argument.name} = {value}"


def _parameter(parameter: Parameter | Result) -> str:
    default = parameter.default if isinstance(parameter, Parameter) else None
    suffix = f" = {print_expression(default)}" if default is not None else ""
    return f"{parameter.name}: {parameter.type}{suffix}"


def _bracketed(items: Iterable[str]) -> str:
    text = ", ".join(items)
    return f"( {text} )" if text else "()"


def _body(body: Iterable[Assignment]) -> str:
    return "".join(("{\n", *(f"    {print_assignment(statement)}\n" for statement in body), "}"))
