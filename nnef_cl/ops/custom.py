"""Operations of users: checked when they are made, their functions guarded, and read from a Python file."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
import string
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nnef_cl.codegen.kernel import Candidate, Input, Launch, Output, Packed, Scratch
from nnef_cl.codegen.target import Target
from nnef_cl.errors import Error, ExtensionError, RuleError
from nnef_cl.format.parser import parse_fragment
from nnef_cl.format.syntax import ArrayType, Fragment, PrimitiveType, TensorType
from nnef_cl.format.tensor_file import ItemReader
from nnef_cl.ir.layout import Shape
from nnef_cl.ops.base import Op, Problem, Shapes, Table, is_tensor, table
from nnef_cl.ops.shapes import pointwise

Lower = Callable[[Problem, Target], list[Candidate]]
Flops = Callable[[Sequence[Shape], Sequence[Shape], Mapping[str, Any]], int]
Result = TypeVar("Result")
CAUGHT = (Exception, SystemExit)
"""What code of users may raise, as an error of theirs."""
PROVIDED = {"T": "{T}", "I": "{I}", "select": "{select}"}
"""Placeholders of an expression that are no parameters."""


def op(
    declaration: str, *, infer: Callable[..., Shapes] | None = None, reference: Callable[..., Any] | None = None,
    expression: str | None = None, lower: Lower | None = None, flops: Flops | None = None, fusable: bool = False,
) -> Op:  # fmt: skip
    """An operation of your own, see docs/extending.md.

    declaration: `fragment name( ... ) -> ( ... );` in NNEF. How it is computed is one of: a body in the declaration;
    expression, C text in which `{x}` stands for parameter x; lower(problem, target), which gives kernels of yours.
    infer(**shapes and attributes): the result's shape, or a list of shapes; an expression needs none where NNEF's
    broadcasting is right. reference(**arrays and attributes): the same in numpy; used for folding constants.
    flops(input shapes, result shapes, attributes): for reports. fusable: the kernel applies `problem.epilogue`.
    Raises ExtensionError, ModelSyntaxError.
    """
    parsed = parse_fragment(declaration, "<declaration>")
    name = parsed.name
    ways = [what for what, there in (("a body", parsed.body is not None and lower is None),
                                     ("an expression", expression is not None), ("lower", lower is not None)) if there]
    if len(ways) != 1:
        found = " and ".join(ways) or "none of them"
        raise ExtensionError(f"operation '{name}': needs a body, an expression or lower, got {found}")
    if expression is not None:
        _check_expression(parsed, expression)
        infer = infer or pointwise
    if lower is not None and infer is None:
        raise ExtensionError(f"operation '{name}': lower needs a shape rule, infer")
    for what, function in (("shape rule", infer), ("reference", reference)):
        _check_parameters(parsed, what, function)
    return Op(
        declaration,
        infer=infer and _checked_shapes(parsed, _guarded(name, "shape rule", infer)),
        reference=reference and _guarded(name, "reference", reference),
        expression=expression,
        lower=lower and _checked_candidates(name, _guarded(name, "lower", lower)),
        flops=flops and _guarded(name, "flops", flops),
        fusable=fusable,
    )


def operations_of(path: Path) -> Table:
    """STANDARD's companions in a Python file: its OPS (operations, or a table) and ITEMS (readers of item types).

    The file is run. Raises ExtensionError with its line.
    """
    if not path.is_file():
        raise ExtensionError(f"{path}: expected a Python file with operations")
    name = f"nnef_cl_ops_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ExtensionError(f"{path}: expected a Python file with operations")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except Error:
        raise
    except CAUGHT as error:
        raise ExtensionError(f"{_place(error, path)}: {_words(error)}") from error
    if not hasattr(module, "OPS") and not hasattr(module, "ITEMS"):
        raise ExtensionError(f"{path}: defines neither OPS, a tuple of operations, nor ITEMS, a tuple of item readers")
    found = getattr(module, "OPS", ())
    return (found if isinstance(found, Table) else user_table(found)) | user_table(items=getattr(module, "ITEMS", ()))


def user_table(*families: Sequence[Op], items: Sequence[ItemReader] = ()) -> Table:
    """A table of operations, and of readers for item types of vendors. Raises ExtensionError for a name twice."""
    given: list[tuple[Any, type, str]] = [(family, Op, "nnef_cl.op") for family in families]
    for found, kind, what in (*given, (items, ItemReader, "nnef_cl.ItemReader")):
        if not isinstance(found, (list, tuple)) or not all(isinstance(item, kind) for item in found):
            raise ExtensionError(f"expected a tuple of what {what} makes, got {type(found).__name__}")
    try:
        return table(*families, items=items)
    except RuleError as error:
        raise ExtensionError(str(error)) from None


# Checks when it is made ------------------------------------------------------------------------------------
def _check_expression(parsed: Fragment, expression: str) -> None:
    """Its placeholders are parameters, and those have a spelling in C. Raises ExtensionError."""

    def fail(message: str) -> None:
        raise ExtensionError(f"operation '{parsed.name}': {message}")

    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(expression) if field is not None}
    except ValueError as error:
        fail(f"the expression is not a format string ({error}; C's braces are written {{{{ and }}}})")
    names = [parameter.name for parameter in parsed.parameters]
    for field in sorted(fields - {*names, *PROVIDED}):
        fail(f"the expression has '{{{field}}}', expected {', '.join(f'{{{n}}}' for n in (*names, *PROVIDED))}")
    for parameter in parsed.parameters:
        wanted = TensorType if is_tensor(parameter) else PrimitiveType
        if not isinstance(parameter.type, wanted) or str(parameter.type) == "string":
            fail(f"parameter '{parameter.name}: {parameter.type}' has no place in an expression")
    if len(parsed.results) != 1 or not isinstance(parsed.results[0].type, TensorType):
        fail("an expression makes one tensor")
    types = [item.type for item in parsed.parameters] + [item.type for item in parsed.results]
    kinds = {str(type) for type in types if isinstance(type, TensorType)}
    if "tensor<integer>" in kinds and len(kinds) > 1:
        fail("an expression takes integers only where all tensors are integers")


def _check_parameters(parsed: Fragment, what: str, function: Callable[..., Any] | None) -> None:
    """The function takes the declaration's names. Raises ExtensionError."""
    if function is None:
        return
    names = [parameter.name for parameter in parsed.parameters]
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except TypeError as error:
        listed = ", ".join(names)
        raise ExtensionError(
            f"operation '{parsed.name}': its {what} must take the arguments {listed}: {error}"
        ) from None
    except ValueError:
        pass  # a builtin, which does not say what it takes


# Guards when it runs ---------------------------------------------------------------------------------------
def _guarded(name: str, what: str, function: Callable[..., Result]) -> Callable[..., Result]:
    """The function, whose own errors say whose they are: as RuleErrors, so that the place in the model is added."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Result:
        try:
            return function(*args, **kwargs)
        except (Error, RuleError):
            raise
        except CAUGHT as error:
            raise RuleError(f"the {what} of operation '{name}' failed at {_place(error)}: {_words(error)}") from error

    return call


def _place(error: BaseException, file: Path | None = None) -> str:
    """File and line of the innermost call. file: the one that was being read, where it got that far."""
    if isinstance(error, SyntaxError):
        return f"{error.filename or file}:{error.lineno}" if error.lineno else str(file)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    if not frames or (file is not None and frames[-1].filename == __file__):
        return str(file or "<unknown>")
    return f"{frames[-1].filename}:{frames[-1].lineno}"


def _words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "tries to end the program"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _checked_shapes(parsed: Fragment, infer: Callable[..., Shapes]) -> Callable[..., Shapes]:
    name = parsed.name
    count = None if isinstance(parsed.results[0].type, ArrayType) else len(parsed.results)

    @functools.wraps(infer)
    def call(**arguments: Any) -> Shapes:
        found = infer(**arguments)
        shapes = found if isinstance(found, list) else [found]
        if count not in (None, len(shapes)):
            raise RuleError(f"the shape rule of operation '{name}' returned {len(shapes)} shapes for {count} results")
        for shape in shapes:
            whole = isinstance(shape, tuple) and all(type(extent) is int for extent in shape)
            if not whole:
                raise RuleError(
                    f"the shape rule of operation '{name}' returned {found!r}, expected a tuple of integers "
                    "or a list of them"
                )
        return found

    return call


def _checked_candidates(name: str, lower: Lower) -> Lower:
    def fail(message: str) -> None:
        raise RuleError(f"lower of operation '{name}': {message}")

    def check_launch(launch: Launch, candidate: Candidate, problem: Problem) -> None:
        kernel = launch.kernel
        if not re.fullmatch(r"[A-Za-z_]\w*", kernel.stem):
            fail(f"'{kernel.stem}' is no name of a kernel")
        sizes = kernel.global_size, kernel.local_size
        fits = len(sizes[0]) == len(sizes[1]) and 1 <= len(sizes[0]) <= 3 and min(*sizes[0], *sizes[1]) >= 1
        if not fits or any(large % small for large, small in zip(*sizes, strict=True)):
            fail(f"{kernel.title}: global size {sizes[0]} is not a multiple of local size {sizes[1]}")
        counts = {Input: len(problem.inputs) + len(problem.epilogue.operands), Output: len(problem.outputs),
                  Scratch: len(candidate.scratch)}  # fmt: skip
        for operand in launch.operands:
            if isinstance(operand, Packed):
                if not 0 <= operand.input < len(problem.inputs) or problem.constants[operand.input] is None:
                    fail(f"{operand} packs what is not constant")
            elif isinstance(operand, (Input, Output, Scratch)) and not 0 <= operand.index < counts[type(operand)]:
                fail(f"there is no {operand}")

    @functools.wraps(lower)
    def call(problem: Problem, target: Target) -> list[Candidate]:
        candidates = lower(problem, target)
        if not isinstance(candidates, list) or not candidates or not isinstance(candidates[0], Candidate):
            fail(f"expected a list of candidates, got {candidates!r}")
        for candidate in candidates:
            for launch in candidate.launches:
                _guarded(name, "kernel", check_launch)(launch, candidate, problem)
        return candidates

    return call
