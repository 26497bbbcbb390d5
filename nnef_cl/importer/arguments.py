"""Match the arguments of an invocation with the parameters of a declaration, and check declarations (section 3.3.2)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from nnef_cl.errors import ModelError, RuleError
from nnef_cl.format.syntax import (
    Argument,
    Expression,
    Fragment,
    Invocation,
    Parameter,
    Result,
    SourcePosition,
    TupleType,
)
from nnef_cl.importer.dialect import Dialect
from nnef_cl.importer.evaluate import constant
from nnef_cl.importer.types import Caster, clip, holds_tensors, uses_generic


class LocatedError(RuleError):
    """A RuleError that knows its place."""

    def __init__(self, message: str, position: SourcePosition) -> None:
        super().__init__(message)
        self.position = position


def bind(
    invocation: Invocation, declaration: Fragment, dialect: Dialect, notice: Callable[[str, str], None]
) -> dict[str, Argument]:
    """Parameter name -> argument, for the parameters that have one. Raises RuleError."""
    parameters = {parameter.name: parameter for parameter in declaration.parameters}
    bound: dict[str, Argument] = {}
    for number, argument in enumerate(invocation.arguments):
        if argument.name is None:
            if number >= len(parameters):
                message = f"expected at most {len(parameters)} arguments, got {len(invocation.arguments)}"
                raise LocatedError(message, argument.position)
            parameter = declaration.parameters[number]
            _check_positional(parameter, bound, number, argument, dialect, notice)
        elif argument.name in parameters:
            parameter = parameters[argument.name]
        else:
            hint = suggestion(argument.name, parameters)
            raise LocatedError(f"has no parameter '{clip(argument.name)}'{hint}", argument.position)
        if parameter.name in bound:
            raise LocatedError(f"argument '{parameter.name}' is given twice", argument.position)
        bound[parameter.name] = argument
    for parameter in declaration.parameters:
        if parameter.default is None and parameter.name not in bound:
            raise RuleError(f"argument '{parameter.name}' is missing")
    return bound


def _check_positional(
    parameter: Parameter, bound: dict[str, Argument], number: int, argument: Argument, dialect: Dialect,
    notice: Callable[[str, str], None],
) -> None:  # fmt: skip
    """Tensors may be given without their names, attributes where the dialect lets them."""
    if len(bound) != number or any(earlier.name is not None for earlier in bound.values()):
        raise LocatedError("positional arguments must stand before named ones", argument.position)
    if holds_tensors(parameter.type):
        return
    message = f"attribute '{parameter.name}' is given without its name"
    if not dialect.positional_attributes:
        raise LocatedError(message, argument.position)
    notice("positional", f"{argument.position}: {message}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """', did you mean ...?' where something is similar, else ''."""
    close = difflib.get_close_matches(clip(name), list(known), 1)
    return f", did you mean '{close[0]}'?" if close else ""


def check_fragment(fragment: Fragment, caster: Caster) -> None:
    """A declaration of the file obeys the rules of section 3.3.2. Raises ModelError."""

    def fail(message: str, position: SourcePosition) -> None:
        raise ModelError(message, where=position, op=clip(fragment.name))

    items: list[Parameter | Result] = [*fragment.parameters, *fragment.results]
    names: set[str] = set()
    attribute = ""
    for item in items:
        if item.name in names:
            fail(f"the name '{clip(item.name)}' is declared twice", item.position)
        names.add(item.name)
    for parameter in fragment.parameters:
        if not holds_tensors(parameter.type):
            attribute = attribute or parameter.name
        elif attribute:
            message = f"tensor parameter '{clip(parameter.name)}' must stand before attribute '{clip(attribute)}'"
            fail(message, parameter.position)
        _check_default(parameter, caster, fail)
    for result in fragment.results:
        if not holds_tensors(result.type) or isinstance(result.type, TupleType):
            fail(f"result '{clip(result.name)}' must be a tensor or an array of tensors", result.position)
    if not fragment.results:
        fail("there are no results", fragment.position)
    generic = any(uses_generic(item.type) for item in items)
    if generic and fragment.generic is None:
        fail(f"'?' is used, but the fragment is not declared as {clip(fragment.name)}<?>", fragment.position)
    if not generic and fragment.generic is not None:
        fail("is declared as generic, but '?' is not used in its parameters and results", fragment.position)


def _check_default(parameter: Parameter, caster: Caster, fail: Callable[[str, SourcePosition], None]) -> None:
    if parameter.default is None:
        return
    expression: Expression = parameter.default
    try:
        caster.fit(constant(expression), parameter.type)
    except RuleError as error:
        fail(f"default of '{clip(parameter.name)}': {error}", parameter.position)
