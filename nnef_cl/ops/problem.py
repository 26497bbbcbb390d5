"""Node -> Problem: specs, constants and the epilogue spelled in C, ready for lowering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnef_cl.codegen.ctypes import literal
from nnef_cl.codegen.expression import IDENTITY, CStep, Epilogue, Expression, power
from nnef_cl.ir.dtype import BOOL, F32, I64, DType
from nnef_cl.ir.graph import Node
from nnef_cl.ir.program import Program, Step
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops.base import Problem, Table


def make_problem(
    node: Node, tensors: Mapping[str, TensorSpec], constants: Mapping[str, Constant], ops: Table
) -> Problem:
    """The node with the specs (and layouts) that its tensors have in `tensors`; programs among the attributes spelled
    in C, too."""
    own = node.own_inputs
    operands = tuple(tensors[name] for name in node.inputs[len(own) :])
    return Problem(
        ops[node.op], tuple(tensors[name] for name in own), tuple(tensors[name] for name in node.outputs),
        {name: _spelled(value, ops) for name, value in node.attrs.items()},
        tuple(constants.get(name) for name in own),
        Epilogue(expression(node.epilogue, ops), operands) if node.epilogue else IDENTITY,
    )  # fmt: skip


def _spelled(attribute: Any, ops: Table) -> Any:
    """A program, or several, in C; anything else as it is."""
    if isinstance(attribute, Program):
        return expression(attribute, ops)
    if isinstance(attribute, tuple):
        return tuple(_spelled(each, ops) for each in attribute)
    return attribute


def expression(program: Program, ops: Table) -> Expression:
    """Every step's C text, with numbered operands."""
    steps = tuple(CStep(_text(step, program, ops), step.args, step.dtype) for step in program.steps)
    return Expression(program.arity, steps)


def _text(step: Step, program: Program, ops: Table) -> str:
    if step.op == "literal":
        return _literal(dict(step.attrs)["value"], step.dtype)
    op = ops[step.op]
    if step.op == "pow" and (text := power(_known(step.args[1], program))):
        return text
    assert op.expression is not None, step.op
    names = {p.name: f"{{{k}}}" for k, p in enumerate(op.tensor_parameters)}
    names |= {name: literal(value, F32) for name, value in step.attrs}
    return op.expression.format_map(names | {"T": "{T}", "I": "{I}", "select": "{select}"})


def _known(value: int, program: Program) -> float | None:
    """The number that a value of the program always has."""
    step = program.steps[value - program.arity] if value >= program.arity else None
    return float(dict(step.attrs)["value"]) if step is not None and step.op == "literal" else None


def _literal(value: float | int | bool, dtype: DType) -> str:
    if dtype == BOOL:
        return f"({{I}})({-1 if value else 0})"
    if dtype == I64:
        return literal(value, I64)
    return f"({{T}})({literal(value, F32)})"
