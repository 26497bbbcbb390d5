"""Runs operation cases on a device: a family's cases become one NNEF document, so that they share programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnef_cl.device import open_device
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Problem
from nnef_cl.plan.build import Choose, first
from nnef_cl.session import Session
from tests.cases import Case

KINDS = {"f": "scalar", "i": "integer", "b": "logical"}


@dataclass(frozen=True)
class Tolerance:
    """|got - expected| <= abs * max(1, largest |expected|)."""

    abs: float


EXACT, ROUNDING, SUMS = Tolerance(0.0), Tolerance(2e-6), Tolerance(2e-5)
TRANSCENDENTAL = ("exp log sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh pow sigmoid elu selu gelu silu "
                  "softplus softmax rsqrt sqrt rsqr log2").split()  # fmt: skip
LONG_SUMS = ("conv deconv separable_conv separable_deconv matmul linear local_response_normalization "
             "local_contrast_normalization moments batch_normalization l2_normalization").split()  # fmt: skip


def tolerance(op: str, dtype: np.dtype) -> Tolerance:
    """By the kind of operation; integers and logicals are exact."""
    if dtype.kind != "f":
        return EXACT
    return SUMS if op in LONG_SUMS else ROUNDING


def literal(value: Any) -> str:
    """An attribute as NNEF text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], tuple):
            return "[" + ", ".join("(" + ", ".join(map(str, pair)) + ")" for pair in value) + "]"
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return repr(float(value)) if isinstance(value, float) else str(value)


def document(cases: Sequence[Case]) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """NNEF text of all cases side by side; the values of its inputs; the values of its variables by label."""
    parameters, results, lines = [], [], []
    inputs: dict[str, np.ndarray] = {}
    variables: dict[str, np.ndarray] = {}
    for number, case in enumerate(cases):
        names = []
        for k, array in enumerate(case.arrays):
            name = f"c{number}_x{k}"
            kind = KINDS[array.dtype.kind]
            if k in case.constants:
                variables[name] = array
                lines.append(f"{name} = variable<{kind}>(shape = {literal(array.shape)}, label = '{name}');")
            else:
                parameters.append(name)
                inputs[name] = array
                lines.append(f"{name} = external<{kind}>(shape = {literal(array.shape)});")
            names.append(name)
        outputs = [f"c{number}_y{k}" for k in range(len(case.reference()))]
        lines.append(invocation(case, names, outputs))
        results += outputs
    body = "\n    ".join(lines)
    text = f"version 1.0;\ngraph cases( {', '.join(parameters)} ) -> ( {', '.join(results)} )\n{{\n    {body}\n}}\n"
    return text, inputs, variables


def session_for(cases: Sequence[Case], selector: str, choose: Choose = first) -> tuple[Session, dict[str, np.ndarray]]:
    text, inputs, variables = document(cases)
    graph = import_text(text, variables)
    return Session(graph, open_device(selector), STANDARD | INTERNAL, choose=choose), inputs


def import_text(text: str, variables: dict[str, np.ndarray]) -> Graph:
    raise NotImplementedError


def nth(number: int) -> Choose:
    """The candidate number `number`, or the last one where there are fewer."""

    def choose(problem: Problem, candidates: list[Any]) -> Any:
        return candidates[min(number, len(candidates) - 1)]

    return choose


def check(case: Case, number: int, outputs: dict[str, np.ndarray]) -> None:
    """Every result of case `number` against its reference, with the place of the largest difference."""
    for k, expected in enumerate(case.reference()):
        got = outputs[f"c{number}_y{k}"]
        assert got.shape == expected.shape and got.dtype == expected.dtype, (case.id, got.dtype, expected.dtype)
        compare(case.id, got, expected, tolerance(case.op, expected.dtype))


def compare(label: str, got: np.ndarray, expected: np.ndarray, allowed: Tolerance) -> None:
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected, err_msg=label)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected), err_msg=f"{label}: NaN")
    np.testing.assert_array_equal(got[np.isinf(expected)], expected[np.isinf(expected)], err_msg=f"{label}: infinity")
    largest = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    difference = np.abs(got[finite].astype(np.float64) - expected[finite])
    worst = float(difference.max(initial=0.0))
    assert worst <= allowed.abs * largest, f"{label}: differs by {worst:g} of {largest:g}, allowed {allowed.abs:g}"


def invocation(case: Case, names: list[str], outputs: list[str]) -> str:
    raise NotImplementedError
