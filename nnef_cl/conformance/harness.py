"""Runs operation cases: a family's cases become one NNEF document, so that they share programs on every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnef_cl import passes
from nnef_cl.codegen.target import Target
from nnef_cl.conformance.case import INTRODUCING, Case
from nnef_cl.conformance.comparison import difference
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.program import Program
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Problem
from nnef_cl.plan.build import Choose, build_plan

OPS = STANDARD | INTERNAL
KINDS = {"f": "scalar", "i": "integer", "b": "logical"}


def literal(value: Any) -> str:
    """An attribute as NNEF text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, (list, tuple)):
        items = ["(" + ", ".join(map(str, v)) + ")" if isinstance(v, tuple) else literal(v) for v in value]
        return f"[{', '.join(items)}]"
    return repr(value)


def invocation(case: Case, names: Sequence[str], outputs: Sequence[str]) -> str:
    """`outputs = op(names, attributes);`"""
    last = STANDARD[case.op].declaration.parameters
    array = str(last[0].type).endswith("[]") and "tensor" in str(last[0].type)
    tensors = f"[{', '.join(names)}]" if array else ", ".join(names)
    attrs = "".join(f", {name} = {literal(value)}" for name, value in case.attrs.items())
    generic = f"<{case.generic}>" if case.generic else ""
    results = STANDARD[case.op].declaration.results
    target = ", ".join(outputs)
    if str(results[0].type).endswith("[]"):
        target = f"[{target}]"
    op = "copy" if case.op in INTRODUCING else f"{case.op}{generic}"
    return f"{target} = {op}({tensors}{attrs});"


def family_text(cases: Sequence[Case]) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All cases side by side in one graph (results `c<number>_y<k>`): its text, the values of inputs and variables."""
    parameters: list[str] = []
    results: list[str] = []
    lines: list[str] = []
    inputs: dict[str, np.ndarray] = {}
    variables: dict[str, np.ndarray] = {}
    for number, case in enumerate(cases):
        names = [f"c{number}_x{k}" for k in range(len(case.arrays))]
        for k, (name, array) in enumerate(zip(names, case.arrays, strict=True)):
            kind, shape = KINDS[array.dtype.kind], literal(list(array.shape))
            if case.op == "constant":
                value = literal(array.ravel().tolist())
                lines.append(f"{name} = constant<{kind}>(shape = {shape}, value = {value});")
            elif k in case.constants:
                variables[name] = array
                lines.append(f"{name} = variable<{kind}>(shape = {shape}, label = '{name}');")
            else:
                parameters.append(name)
                inputs[name] = array
                lines.append(f"{name} = external<{kind}>(shape = {shape});")
        outputs = [f"c{number}_y{k}" for k in range(len(case.reference()))]
        lines.append(invocation(case, names, outputs))
        results += outputs
    body = "\n    ".join(lines)
    text = f"version 1.0;\ngraph cases( {', '.join(parameters)} ) -> ( {', '.join(results)} )\n{{\n    {body}\n}}\n"
    return text, inputs, variables


def family_graph(cases: Sequence[Case]) -> tuple[Graph, dict[str, np.ndarray]]:
    """The graph of `family_text`, and the values of its inputs."""
    text, inputs, variables = family_text(cases)
    graph = import_document(parse_document(text), STANDARD, lambda label, position: variables[label])
    return graph, inputs


def interpret(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of a graph after any pass, by the numpy references alone (layouts do not matter to them)."""
    values = {name: constant.array for name, constant in graph.constants.items()} | inputs
    values |= {name: variable.array for name, variable in graph.variables.items()}
    for node in graph.nodes:
        own = [values[name] for name in node.own_inputs]
        if node.op == "map":
            results, operands = [], [values[name] for name in node.inputs]
        elif node.op == "reorder":
            results = own
        elif node.op == "by_rows":
            results = by_rows(node.attrs["body"], node.attrs["rows"], dict(zip(node.inputs, own, strict=True)))
        elif node.op == "cast":
            results = [own[0].astype(graph.tensors[node.outputs[0]].dtype.api)]
        else:
            results = OPS[node.op].evaluate(own, {name: callable_of(value) for name, value in node.attrs.items()})
            operands = [*results, *(values[name] for name in node.inputs[len(own) :])]
        if node.epilogue is not None:
            results = [evaluate(node.epilogue, operands)]
        values.update(zip(node.outputs, results, strict=True))
    return values


def by_rows(body: Graph, rows: int, values: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The results of the body for each of the first rows, one behind the other. values: of what it reads."""
    found = []
    for row in range(rows):
        given = {n: values[n] if values[n].shape == body.tensors[n].shape else values[n][[row]] for n in body.inputs}
        found.append(interpret(body, given))
    return [np.concatenate([one[name] for one in found]) for name in body.outputs]


def callable_of(attribute: Any) -> Any:
    """A program among an internal operation's attributes, or several, as functions of their operands."""
    if isinstance(attribute, Program):
        return lambda *operands: evaluate(attribute, operands)
    if isinstance(attribute, tuple):
        return tuple(map(callable_of, attribute))
    return attribute


def evaluate(program: Program, operands: Sequence[np.ndarray]) -> np.ndarray:
    """The program's result by the references of its steps."""
    values = list(operands)
    for step in program.steps:
        if step.op == "literal":
            values.append(np.asarray(dict(step.attrs)["value"], step.dtype.api))
        else:
            values += OPS[step.op].evaluate([values[a] for a in step.args], dict(step.attrs))
    return values[-1]


def nth(number: int) -> Choose:
    """Chooses candidate `number`, or the last one where there are fewer."""

    def choose(problem: Problem, candidates: list[Any]) -> Any:
        return candidates[min(number, len(candidates) - 1)]

    return choose


def candidates(case: Case, target: Target) -> int:
    """The most candidates that a node of the case's graph offers."""
    counts: list[int] = []

    def choose(problem: Problem, offered: list[Any]) -> Any:
        counts.append(len(offered))
        return offered[0]

    build_plan(passes.run(family_graph([case])[0], OPS, target), OPS, target, choose)
    return max(counts, default=0)


def compare(label: str, got: np.ndarray, expected: np.ndarray, allowed: float) -> None:
    """For tests: AssertionError where the arrays differ by more than rounding may."""
    failure = difference(got, expected).failure(allowed)
    assert not failure, f"{label}: {failure}"
