"""Match the arguments of an invocation with the parameters of a declaration, and check declarations (section 3.3.2)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice

from nnef_cl.errors import RuleError
from nnef_cl.format.syntax import (
    Argument,
    ArrayType,
    Fragment,
    Invocation,
    Parameter,
    Result,
    TupleType,
    Type,
)
from nnef_cl.importer.dialect import DECLARATIONS, INVOCATIONS, NAMED_TENSORS, POSITIONAL_ATTRIBUTES
from nnef_cl.importer.evaluate import constant
from nnef_cl.importer.report import LocatedError, Report
from nnef_cl.importer.types import Caster, clip, holds_tensors, uses_generic


def bind(
    invocation: Invocation, declaration: Fragment, report: Report
) -> tuple[dict[str, Argument], list[LocatedError]]:
    """Parameter name -> argument, for the parameters that have one, and everything that is wrong with the list."""
    parameters = {parameter.name: parameter for parameter in declaration.parameters}
    bound: dict[str, Argument] = {}
    errors: list[LocatedError] = []
    for number, argument in enumerate(invocation.arguments):
        try:
            parameter = _parameter(argument, number, invocation, declaration, parameters)
            _check_place(parameter, bound, number, argument, report)
        except LocatedError as error:
            errors.append(error)
            if error.rule != POSITIONAL_ATTRIBUTES.name:
                continue
        bound[parameter.name] = argument
    missing = [p.name for p in declaration.parameters if p.default is None and p.name not in bound]
    if missing and not errors:  # a name that was misspelled is missing, too
        names = "', '".join(missing)
        message = f"argument '{names}' is missing" if len(missing) == 1 else f"arguments '{names}' are missing"
        errors.append(LocatedError(message, invocation.position, INVOCATIONS.name))
    return bound, errors


def _parameter(
    argument: Argument, number: int, invocation: Invocation, declaration: Fragment, parameters: dict[str, Parameter]
) -> Parameter:
    """What the argument is for. Raises LocatedError."""
    if argument.name is None:
        if number >= len(parameters):
            message = f"expected at most {len(parameters)} arguments, got {len(invocation.arguments)}"
            raise LocatedError(message, argument.position, INVOCATIONS.name)
        return declaration.parameters[number]
    if argument.name not in parameters:
        hint = suggestion(argument.name, parameters)
        raise LocatedError(f"has no parameter '{clip(argument.name)}'{hint}", argument.position, INVOCATIONS.name)
    return parameters[argument.name]


def _check_place(
    parameter: Parameter, bound: dict[str, Argument], number: int, argument: Argument, report: Report
) -> None:
    """Each parameter once, tensors by position before attributes by name, the rest as the dialect has it."""
    if argument.name is None and any(earlier.name is not None for earlier in bound.values()):
        message = "positional arguments must stand before named ones"
        raise LocatedError(message, argument.position, INVOCATIONS.name)
    if parameter.name in bound:
        raise LocatedError(f"argument '{parameter.name}' is given twice", argument.position, INVOCATIONS.name)
    if argument.name is None and not holds_tensors(parameter.type):
        message = f"attribute '{parameter.name}' is given without its name"
        report.depart(POSITIONAL_ATTRIBUTES, message, argument.position)
    if argument.name is not None and holds_tensors(parameter.type):
        report.depart(NAMED_TENSORS, f"tensor '{parameter.name}' is given with its name", argument.position)


def suggestion(name: str, known: Iterable[str]) -> str:
    """', did you mean ...?' where something is similar, else ''."""
    alike = (one for one in known if abs(len(one) - len(name)) <= MAX_DISTANCE)
    close = difflib.get_close_matches(clip(name), islice(alike, MAX_CANDIDATES), 1)
    return f", did you mean '{close[0]}'?" if close else ""


MAX_DISTANCE, MAX_CANDIDATES = 3, 500
"""Names that are looked at for a suggestion: comparing takes long."""


def check_fragment(fragment: Fragment, caster: Caster) -> None:
    """A declaration of the file obeys the rules of section 3.3.2. Raises ModelError."""
    for error in _declaration_errors(fragment, caster):
        with caster.report.guard(error.position, DECLARATIONS, clip(fragment.name)):
            raise error


def _declaration_errors(fragment: Fragment, caster: Caster) -> Iterator[LocatedError]:
    names: set[str] = set()
    items: list[Parameter | Result] = [*fragment.parameters, *fragment.results]
    for item in items:
        if item.name in names:
            yield LocatedError(f"the name '{clip(item.name)}' is declared twice", item.position)
        names.add(item.name)
        if mixes(item.type):
            yield LocatedError(f"the tuple type of '{clip(item.name)}' mixes tensors and attributes", item.position)
    yield from _parameter_errors(fragment, caster)
    yield from _result_errors(fragment)
    generic = any(uses_generic(item.type) for item in items)
    if generic and fragment.generic is None:
        message = f"'?' is used, but the fragment is not declared as {clip(fragment.name)}<?>"
        yield LocatedError(message, fragment.position)
    if not generic and fragment.generic is not None:
        message = "is declared as generic, but '?' is not used in its parameters and results"
        yield LocatedError(message, fragment.position)


def _parameter_errors(fragment: Fragment, caster: Caster) -> Iterator[LocatedError]:
    """Tensors stand before attributes, and defaults fit."""
    attribute = ""
    for parameter in fragment.parameters:
        if not holds_tensors(parameter.type):
            attribute = attribute or parameter.name
        elif attribute:
            message = f"tensor parameter '{clip(parameter.name)}' must stand before attribute '{clip(attribute)}'"
            yield LocatedError(message, parameter.position)
        if parameter.default is not None:
            try:
                caster.fit(constant(parameter.default), parameter.type)
            except RuleError as error:
                yield LocatedError(f"default of '{clip(parameter.name)}': {error}", parameter.position)


def _result_errors(fragment: Fragment) -> Iterator[LocatedError]:
    """There are some, and all are tensors."""
    for result in fragment.results:
        if not holds_tensors(result.type) or isinstance(result.type, TupleType):
            message = f"result '{clip(result.name)}' must be a tensor or an array of tensors"
            yield LocatedError(message, result.position)
        elif "tensor<>" in str(result.type):
            yield LocatedError(f"result '{clip(result.name)}' must have an element type", result.position)
    if not fragment.results:
        yield LocatedError("there are no results", fragment.position)


def mixes(type: Type) -> bool:
    """Whether a tuple in it has both tensors and attributes."""
    if isinstance(type, ArrayType):
        return mixes(type.item)
    if not isinstance(type, TupleType):
        return False
    return len({holds_tensors(item) for item in type.items}) > 1 or any(map(mixes, type.items))
