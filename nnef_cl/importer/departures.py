"""Departures that the importer looks for on purpose: extension statements, undeclared syntax, lenient arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nnef_cl.errors import RuleError
from nnef_cl.format.syntax import (
    ArrayExpression,
    Assignment,
    Document,
    Expression,
    Extension,
    Identifier,
    Invocation,
    Literal,
    SourcePosition,
    TupleExpression,
)
from nnef_cl.importer.dialect import (
    CONV_BIAS,
    CONV_BORDERS,
    EXTENSIONS,
    RULES,
    UNDECLARED_FRAGMENTS,
    UNDECLARED_OPERATORS,
    VENDOR_EXTENSIONS,
)
from nnef_cl.importer.report import Report
from nnef_cl.importer.types import clip
from nnef_cl.ir.layout import Shape
from nnef_cl.ops.base import Op
from nnef_cl.ops.shapes import text

FRAGMENTS, OPERATORS = "KHR_enable_fragment_definitions", "KHR_enable_operator_expressions"


def check_text(document: Document, report: Report) -> None:
    """What the text as a whole says, and what it should have declared. Raises ModelError."""
    for departure in document.departures:
        rule = RULES[departure.rule]
        with report.guard(departure.position, rule):
            report.depart(rule, departure.message, departure.position)
    for extension in document.extensions:
        with report.guard(extension.position, EXTENSIONS):
            _check_extension(extension, report)
    declared = {word for extension in document.extensions for word in extension.words}
    if document.fragments and FRAGMENTS not in declared:
        message = f"the file defines fragments without extension {FRAGMENTS}"
        with report.guard(document.fragments[0].position, UNDECLARED_FRAGMENTS):
            report.depart(UNDECLARED_FRAGMENTS, message, document.fragments[0].position)
    bodies = [*(fragment.body or () for fragment in document.fragments), document.graph.body]
    place = None if OPERATORS in declared else next(filter(None, map(_first_operator, bodies)), None)
    if place is not None:
        with report.guard(place, UNDECLARED_OPERATORS):
            message = f"the file uses expressions that are not flat without extension {OPERATORS}"
            report.depart(UNDECLARED_OPERATORS, message, place)


def _check_extension(extension: Extension, report: Report) -> None:
    """Khronos' must be known ones, a vendor's is a departure. Raises RuleError."""
    for word in extension.words:
        if word.startswith("KHR_") and word not in (FRAGMENTS, OPERATORS):
            raise RuleError(f"unknown extension {clip(word)}", EXTENSIONS.name)
    name = extension.words[0]
    if not name.startswith("KHR_"):
        message = f"unknown extension {clip(name)} is ignored"
        report.depart(VENDOR_EXTENSIONS, message, extension.position, subject=name)


def _first_operator(body: Iterable[Assignment]) -> SourcePosition | None:
    """Where the body first uses what the flat grammar (appendix A.1) does not have."""
    for statement in body:
        if not isinstance(statement.value, Invocation):
            return statement.value.position
        for argument in statement.value.arguments:
            place = _not_flat(argument.value)
            if place is not None:
                return place
    return None


def _not_flat(expression: Expression) -> SourcePosition | None:
    """The first part that is no identifier, literal, array or tuple."""
    rest = [expression]
    while rest:
        part = rest.pop()
        if isinstance(part, (ArrayExpression, TupleExpression)):
            rest += [item for item in reversed(part.items) if type(item) is not Literal]
        elif not isinstance(part, (Literal, Identifier)):
            return part.position
    return None


# Arguments of operations -----------------------------------------------------------------------------------
def check_operation(op: Op, operands: Sequence[Shape], attrs: Mapping[str, Any], report: Report) -> None:
    """Arguments that the shape rule understands and the standard does not allow. Raises RuleError."""
    check = CHECKS.get(op.name)
    if check is not None:
        check(operands, attrs, report)


def _check_conv(operands: Sequence[Shape], attrs: Mapping[str, Any], report: Report) -> None:
    if attrs["border"] == "ignore":
        report.depart(CONV_BORDERS, "border 'ignore' is read as 'constant'")
    bias = operands[2]
    if len(bias) == 1 and math.prod(bias) > 1:
        message = f"a bias of shape {text(bias)} is read as [1,{bias[0]}]"
        report.depart(CONV_BIAS, message)


CHECKS: dict[str, Callable[[Sequence[Shape], Mapping[str, Any], Report], None]] = {
    "conv": _check_conv, "deconv": _check_conv,
}  # fmt: skip
