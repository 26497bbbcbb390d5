"""Operators and built-in functions on values known at compile time (section 3.3.3)."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from nnef_cl.errors import RuleError
from nnef_cl.format.syntax import Expression, Literal, built
from nnef_cl.importer.dialect import INTEGERS_AS_SCALARS
from nnef_cl.importer.types import PRIMITIVES, Budget, Caster, Tensor, Value, clip, describe

BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow", "<": "lt", ">": "gt", "<=": "le", ">=": "ge",
    "==": "eq", "!=": "ne", "&&": "and", "||": "or",
}  # fmt: skip
"""Operator -> the operation it stands for where an operand is a tensor (table 1)."""

UNARY = {"+": "copy", "-": "neg", "!": "not"}

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip

LIMIT = 2**63


def constant(expression: Expression) -> Value:
    """The value of a parameter's default: literals, arrays and tuples of them."""
    if type(expression) is Literal:
        return expression.value
    value: Value = built(expression, _literal)
    return value


def _literal(expression: Expression) -> Value:
    assert isinstance(expression, Literal), expression
    return expression.value


def unary(op: str, value: Value) -> Value:
    """+ and - of numbers, ! of logicals. Raises RuleError."""
    kind = PRIMITIVES.get(type(value))
    if op == "!" and kind == "logical":
        return not value
    if op != "!" and isinstance(value, (int, float)) and kind != "logical":
        return _integer(-value if op == "-" else value)
    raise RuleError(f"operator {op} does not take {describe(value)}")


def binary(op: str, left: Value, right: Value, caster: Caster) -> Value:
    """Everything but tensors. Raises RuleError for types, sizes and division by zero."""
    if op == "in":
        if not isinstance(right, list):
            raise RuleError(f"operator in needs an array on its right side, got {describe(right)}")
        return any(same(left, item, caster.budget) for item in right)
    if isinstance(left, (list, str)) and op in "+*":
        return _sequence(op, left, right, caster.budget)
    kinds = PRIMITIVES.get(type(left)), PRIMITIVES.get(type(right))
    if set(kinds) == {"integer", "scalar"} and caster.report.accepts(INTEGERS_AS_SCALARS):
        left, right = (caster.scalar(v) if type(v) is int else v for v in (left, right))
        kinds = "scalar", "scalar"
    if kinds[0] is None or kinds[0] != kinds[1]:
        raise _refused(op, left, right)
    if op in COMPARE:
        caster.budget.spend(len(left) if isinstance(left, str) else 0)
        return COMPARE[op](left, right)
    if op in ("&&", "||"):
        if kinds[0] != "logical":
            raise _refused(op, left, right)
        return (left and right) if op == "&&" else (left or right)
    if kinds[0] == "scalar":
        return _scalar_arithmetic(op, left, right)
    if kinds[0] == "integer":
        return _integer(_integer_arithmetic(op, left, right))
    raise _refused(op, left, right)


def _refused(op: str, left: Value, right: Value) -> RuleError:
    return RuleError(f"operator {op} does not take {describe(left)} and {describe(right)}")


def _sequence(op: str, left: list[Any] | str, right: Value, budget: Budget) -> Value:
    """Concatenation, and repetition by an integer."""
    if op == "+" and isinstance(left, list) and isinstance(right, list):
        budget.array(len(left) + len(right))
        return left + right
    if op == "+" and isinstance(left, str) and isinstance(right, str):
        budget.array(len(left) + len(right))
        return left + right
    if op == "*" and type(right) is int:
        if right < 0:
            raise RuleError(f"an array cannot be repeated {right} times")
        budget.array(len(left) * right)
        return left * right
    raise _refused(op, left, right)


def _scalar_arithmetic(op: str, left: Any, right: Any) -> float:
    """As IEEE 754 has it: infinities and NaN, no errors."""
    function = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power}[op]
    with np.errstate(all="ignore"):
        return float(function(np.float64(left), np.float64(right)))


def _integer_arithmetic(op: str, left: Any, right: Any) -> int:
    """Division truncates; a power needs an exponent of 0 or more. The standard defines neither."""
    if op == "/":
        if right == 0:
            raise RuleError(f"integer division of {left} by zero")
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    if op == "^":
        if right < 0:
            raise RuleError(f"an integer cannot be raised to the negative power {right}")
        if abs(left) > 1 and right > 64:
            raise RuleError(f"{left} ^ {right} does not fit 64 bits")
        return int(left ** (right if abs(left) > 1 else min(right, 2 + right % 2)))
    return int({"+": operator.add, "-": operator.sub, "*": operator.mul}[op](left, right))


def _integer(value: int | float) -> int | float:
    """Unchanged. Raises RuleError for integers beyond 64 bits."""
    if isinstance(value, int) and not -LIMIT <= value < LIMIT:
        raise RuleError(f"the integer {clip(value)} does not fit 64 bits")
    return value


def same(left: Value, right: Value, budget: Budget) -> bool:
    """Deep comparison, types included, without recursion: arrays may be nested as deeply as a program likes."""
    pairs: list[tuple[Value, Value]] = [(left, right)]
    while pairs:
        one, other = pairs.pop()
        budget.spend()
        if type(one) is not type(other):
            return False
        if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            if len(one) != len(other):
                return False
            budget.array(len(one))
            pairs += zip(one, other, strict=True)
        elif one != other:
            return False
    return True


def subscript(value: Value, index: Value) -> Value:
    """One item of an array, a tuple or a string. Raises RuleError."""
    if not isinstance(value, (list, tuple, str)):
        raise RuleError(f"{describe(value)} cannot be indexed")
    if type(index) is not int:
        raise RuleError(f"an index must be an integer, got {describe(index)}")
    if not 0 <= index < len(value):
        raise RuleError(f"index {index} is outside of {len(value)} items")
    item: Value = value[index]
    return item


def subrange(value: Value, begin: Value | None, end: Value | None, budget: Budget) -> Value:
    """`value[begin:end]`; an end beyond the last item is that item's. Raises RuleError."""
    if not isinstance(value, (list, str)):
        raise RuleError(f"a range of {describe(value)} cannot be taken")
    part = value[_bound(begin) : _bound(end)]
    budget.array(len(part))
    return part


def _bound(value: Value | None) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise RuleError(f"bounds of a range must be integers, got {describe(value)}")
    if value < 0:
        raise RuleError(f"bounds of a range must not be negative, got {value}")
    return value


def builtin(name: str, value: Value, budget: Budget) -> Value:
    """length_of, range_of and the casts. Raises RuleError."""
    if name in ("length_of", "range_of"):
        if not isinstance(value, (list, str)):
            raise RuleError(f"{name} needs an array or a string, got {describe(value)}")
        if name == "length_of":
            return len(value)
        budget.array(len(value))
        return list(range(len(value)))
    if isinstance(value, Tensor):
        hint = f"cast<{name}> takes tensors"
        raise RuleError(f"{name}() takes values known at compile time, got {describe(value)}; {hint}")
    if isinstance(value, (list, tuple)):
        raise RuleError(f"{name}() needs a primitive value, got {describe(value)}")
    return CASTS[name](value)


def _to_integer(value: bool | int | float | str) -> int:
    """Scalars are truncated toward zero."""
    if isinstance(value, str):
        if not re.fullmatch(r"-?[0-9]{1,19}", value):
            raise RuleError(f"{clip(value)!r} is not an integer literal")
        return int(_integer(int(value)))
    if isinstance(value, float) and not math.isfinite(value):
        raise RuleError(f"integer() of {value} is not defined")
    return int(_integer(int(value)))


def _to_scalar(value: bool | int | float | str) -> float:
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", value):
        raise RuleError(f"{clip(value)!r} is not a scalar literal")
    return float(value)


def literal_text(value: bool | int | float | str) -> str:
    """As the value is written in NNEF."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


CASTS: dict[str, Callable[[Any], Value]] = {
    "integer": _to_integer, "scalar": _to_scalar, "logical": bool, "string": literal_text,
}  # fmt: skip
