"""Unary, binary, comparison, logic, select, clamp: one record each (section 4.2).

A NaN operand makes the result of min, max and clamp NaN; the standard's select formulas would give the other operand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnef_cl.ir.quant import round_half_up
from nnef_cl.ops.base import Op, op
from nnef_cl.ops.shapes import element_flops, pointwise


def align(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Trailing axes of extent 1 added, so that numpy broadcasts as NNEF does."""
    rank = max(a.ndim for a in arrays)
    return tuple(a.reshape(a.shape + (1,) * (rank - a.ndim)) for a in arrays)


def unary(name: str, expression: str, function: Callable[[Any], Any]) -> Op:
    def reference(x: np.ndarray) -> np.ndarray:
        return np.asarray(function(x.astype(np.float64)), np.float32)

    declaration = f"fragment {name}( x: tensor<scalar> ) -> ( y: tensor<scalar> );"
    return op(declaration, infer=pointwise, reference=reference, expression=expression, flops=element_flops)


def binary(name: str, expression: str, function: Callable[[Any, Any], Any], result: str = "scalar") -> Op:
    def reference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        value = function(*align(x, y))
        return np.asarray(value, np.float32 if result == "scalar" else bool)

    declaration = f"fragment {name}( x: tensor<scalar>, y: tensor<scalar> ) -> ( z: tensor<{result}> );"
    return op(declaration, infer=pointwise, reference=reference, expression=expression, flops=element_flops)


def logical(name: str, expression: str, function: Callable[[Any, Any], Any]) -> Op:
    def reference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(function(*align(x, y)), bool)

    declaration = f"fragment {name}( x: tensor<logical>, y: tensor<logical> ) -> ( z: tensor<logical> );"
    return op(declaration, infer=pointwise, reference=reference, expression=expression, flops=element_flops)


def copy(x: np.ndarray) -> np.ndarray:
    return x


def not_(x: np.ndarray) -> np.ndarray:
    return np.logical_not(x)


def select(condition: np.ndarray, true_value: np.ndarray, false_value: np.ndarray) -> np.ndarray:
    return np.where(*align(condition, true_value, false_value))


def clamp(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, a, b = align(x, a, b)
    return np.maximum(np.minimum(x, b), a)


OPS = (
    op("fragment copy<?>( x: tensor<?> ) -> ( y: tensor<?> );", infer=pointwise, reference=copy, expression="{x}"),
    unary("neg", "-{x}", np.negative),
    unary("rcp", "({T})(1.0f) / {x}", np.reciprocal),
    unary("exp", "exp({x})", np.exp),
    unary("log", "log({x})", np.log),
    unary("sin", "sin({x})", np.sin),
    unary("cos", "cos({x})", np.cos),
    unary("tan", "tan({x})", np.tan),
    unary("sinh", "sinh({x})", np.sinh),
    unary("cosh", "cosh({x})", np.cosh),
    unary("tanh", "tanh({x})", np.tanh),
    unary("asin", "asin({x})", np.arcsin),
    unary("acos", "acos({x})", np.arccos),
    unary("atan", "atan({x})", np.arctan),
    unary("asinh", "asinh({x})", np.arcsinh),
    unary("acosh", "acosh({x})", np.arccosh),
    unary("atanh", "atanh({x})", np.arctanh),
    unary("abs", "fabs({x})", np.abs),
    unary("sign", "{select}({select}({select}(({T})(0.0f), ({T})(-1.0f), {x} < ({T})(0.0f)), ({T})(1.0f), "
          "{x} > ({T})(0.0f)), {x}, {x} != {x})", np.sign),
    unary("floor", "floor({x})", np.floor),
    unary("ceil", "ceil({x})", np.ceil),
    # floor(x + 0.5) would round the largest float below 0.5 up.
    unary("round", "floor({x}) + {select}(({T})(0.0f), ({T})(1.0f), {x} - floor({x}) >= ({T})(0.5f))", round_half_up),
    unary("sqr", "{x} * {x}", np.square),
    unary("sqrt", "sqrt({x})", np.sqrt),
    unary("rsqr", "({T})(1.0f) / ({x} * {x})", lambda x: 1.0 / np.square(x)),
    unary("rsqrt", "({T})(1.0f) / sqrt({x})", lambda x: 1.0 / np.sqrt(x)),
    unary("log2", "log2({x})", np.log2),
    op("fragment not( x: tensor<logical> ) -> ( y: tensor<logical> );", infer=pointwise, reference=not_,
       expression="!({x})", flops=element_flops),
    binary("add", "{x} + {y}", np.add),
    binary("sub", "{x} - {y}", np.subtract),
    binary("mul", "{x} * {y}", np.multiply),
    binary("div", "{x} / {y}", np.divide),
    # np.power takes the root where the only exponent is a half, whose value at minus infinity is another.
    binary("pow", "pow({x}, {y})", np.float_power),
    binary("min", "{select}({y}, {x}, {x} < {y} || {x} != {x})", np.minimum),
    binary("max", "{select}({y}, {x}, {x} > {y} || {x} != {x})", np.maximum),
    binary("lt", "{x} < {y}", np.less, "logical"),
    binary("gt", "{x} > {y}", np.greater, "logical"),
    binary("le", "{x} <= {y}", np.less_equal, "logical"),
    binary("ge", "{x} >= {y}", np.greater_equal, "logical"),
    binary("eq", "{x} == {y}", np.equal, "logical"),
    binary("ne", "{x} != {y}", np.not_equal, "logical"),
    logical("and", "{x} && {y}", np.logical_and),
    logical("or", "{x} || {y}", np.logical_or),
    op("""fragment select<?>( condition: tensor<logical>, true_value: tensor<?>, false_value: tensor<?> )
          -> ( output: tensor<?> );""",
       infer=pointwise, reference=select, expression="{select}({false_value}, {true_value}, {condition})",
       flops=element_flops),
    op("fragment clamp( x: tensor<scalar>, a: tensor<scalar>, b: tensor<scalar> ) -> ( y: tensor<scalar> );",
       infer=pointwise, reference=clamp,
       expression="{select}({select}({select}({x}, {b}, {x} > {b}), {a}, {select}({x}, {b}, {x} > {b}) < {a}), "
                  "{a} + {b}, {a} != {a} || {b} != {b})", flops=element_flops),
)  # fmt: skip
