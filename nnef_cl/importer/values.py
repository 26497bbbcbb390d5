"""Values while a graph is built: compile-time values, and tensors that exist only by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnef_cl.errors import RuleError
from nnef_cl.format.syntax import ArrayType, PrimitiveType, TupleType, Type
from nnef_cl.importer.dialect import Dialect

MAX_ITEMS = 10_000_000
"""Items of an array computed at compile time."""

PYTHON = {"integer": int, "scalar": float, "logical": bool, "string": str}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph under construction."""

    name: str


def kind_of(value: Any) -> str:
    """NNEF's name for the type of a compile-time value."""
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, list):
        return "array"
    if isinstance(value, tuple):
        return "tuple"
    return next(name for name, kind in PYTHON.items() if type(value) is kind)


def has_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(has_tensor(item) for item in value)
    return isinstance(value, Tensor)


def convert(value: Any, wanted: Type, dialect: Dialect, warn: Any) -> Any:
    """A compile-time value as an attribute of type `wanted`: lists become tuples. RuleError where it does not fit."""
    if isinstance(wanted, ArrayType):
        if not isinstance(value, list):
            raise RuleError(f"expected {wanted}, got {kind_of(value)}")
        return tuple(convert(item, wanted.item, dialect, warn) for item in value)
    if isinstance(wanted, TupleType):
        if not isinstance(value, tuple) or len(value) != len(wanted.items):
            raise RuleError(f"expected {wanted}, got {kind_of(value)}")
        return tuple(convert(item, kind, dialect, warn) for item, kind in zip(value, wanted.items, strict=True))
    assert isinstance(wanted, PrimitiveType), wanted
    if isinstance(value, (Tensor, list, tuple)):
        raise RuleError(f"expected {wanted}, got {kind_of(value)}")
    if wanted.name == "scalar" and type(value) is int and dialect.integers_as_scalars:
        warn("an integer literal stands where the standard wants a scalar (1 instead of 1.0)")
        return float(value)
    if wanted.name != "?" and type(value) is not PYTHON[wanted.name]:
        raise RuleError(f"expected {wanted}, got {kind_of(value)} {value!r}")
    return value


def arithmetic(op: str, left: Any, right: Any, dialect: Dialect) -> Any:
    """A binary operator on two compile-time values (section 3.3.4)."""
    if op in ("==", "!="):
        return (left == right) == (op == "==")
    if op == "in":
        return isinstance(right, list) and left in right
    if op in ("&&", "||"):
        if type(left) is not bool or type(right) is not bool:
            raise RuleError(f"'{op}' needs logical operands, got {kind_of(left)} and {kind_of(right)}")
        return (left and right) if op == "&&" else (left or right)
    if isinstance(left, (list, str)) or isinstance(right, (list, str)):
        return _sequence(op, left, right)
    left, right = _same_type(op, left, right, dialect)
    if op in ("<", "<=", ">", ">="):
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op]
    return _number(op, left, right)


def _sequence(op: str, left: Any, right: Any) -> Any:
    if op == "+" and type(left) is type(right):
        result = left + right
    elif op == "*" and type(right) is int:
        if len(left) * max(right, 0) > MAX_ITEMS:
            raise RuleError(f"an array of {len(left) * right} items is too long")
        result = left * right
    else:
        raise RuleError(f"'{op}' is not defined for {kind_of(left)} and {kind_of(right)}")
    if len(result) > MAX_ITEMS:
        raise RuleError(f"an array of {len(result)} items is too long")
    return result


def _same_type(op: str, left: Any, right: Any, dialect: Dialect) -> tuple[Any, Any]:
    kinds = {type(left), type(right)}
    if kinds == {int, float} and dialect.integers_as_scalars:
        return float(left), float(right)
    if len(kinds) != 1 or kinds.pop() not in (int, float):
        raise RuleError(f"'{op}' is not defined for {kind_of(left)} and {kind_of(right)}")
    return left, right


def _number(op: str, left: Any, right: Any) -> Any:
    try:
        if op == "/":
            if type(left) is float:
                return left / right
            quotient = abs(left) // abs(right)
            return quotient if (left < 0) == (right < 0) else -quotient
        if op == "^":
            return _power(left, right)
        value = {"+": left + right, "-": left - right, "*": left * right}[op]
    except ZeroDivisionError:
        raise RuleError(f"{left} {op} {right}: division by zero") from None
    except OverflowError:
        raise RuleError(f"{left} {op} {right} is too large") from None
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise RuleError(f"{left} {op} {right} is beyond 64 bits")
    return value


def _power(left: Any, right: Any) -> Any:
    if type(left) is float:
        value = left**right
        if isinstance(value, complex):
            raise RuleError(f"{left} ^ {right} is not a real number")
        return value
    if right < 0 or (abs(left) > 1 and right > 63):
        raise RuleError(f"{left} ^ {right} is not a 64-bit integer")
    value = left**right
    if not -(2**63) <= value < 2**63:
        raise RuleError(f"{left} ^ {right} is beyond 64 bits")
    return value


def builtin(name: str, value: Any) -> Any:
    """length_of, range_of and the conversions on a compile-time value (section 3.3.5)."""
    if name == "length_of" and isinstance(value, (list, str)):
        return len(value)
    if name == "range_of" and isinstance(value, (list, str)):
        return list(range(len(value)))
    if name in ("integer", "scalar", "logical", "string") and not isinstance(value, (list, tuple, Tensor)):
        try:
            if name == "string":
                return str(value).lower() if isinstance(value, bool) else str(value)
            return PYTHON[name](value)
        except (ValueError, OverflowError):
            raise RuleError(f"{name}({value!r}) has no value") from None
    raise RuleError(f"{name}() is not defined for {kind_of(value)}")
