"""Element-wise expressions as straight-line programs, so that no walk over them needs recursion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nnef_cl.ir.dtype import F32, DType


@dataclass(frozen=True)
class Step:
    """op: name of an element-wise NNEF operation, or 'literal' (attribute `value`). args: value numbers."""

    op: str
    args: tuple[int, ...]
    dtype: DType
    attrs: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Program:
    """Values 0 .. arity-1 are the operands, value arity+k is step k's result; the last value is the result."""

    arity: int
    steps: tuple[Step, ...]

    @property
    def result(self) -> int:
        return self.arity + len(self.steps) - 1

    def then(self, other: Program, operand: int) -> Program:
        """`other` with this program's result as its operand number `operand`.

        Operands of the result: this program's, then the other's without `operand`.
        """
        rest = [k for k in range(other.arity) if k != operand]
        arity = self.arity + len(rest)
        shift = len(rest)
        mine = tuple(replace(s, args=tuple(_moved(a, self.arity, shift) for a in s.args)) for s in self.steps)
        result = _moved(self.result, self.arity, shift)
        where = {operand: result} | {k: self.arity + i for i, k in enumerate(rest)}
        offset = arity + len(mine) - other.arity
        theirs = tuple(
            replace(s, args=tuple(where[a] if a < other.arity else a + offset for a in s.args)) for s in other.steps
        )
        return Program(arity, mine + theirs)

    def placed(self, operands: Sequence[int], first: int) -> tuple[Step, ...]:
        """The steps inside another program. operands: its values for the operands; first: number of the first step."""
        where = [*operands, *range(first, first + len(self.steps))]
        return tuple(replace(step, args=tuple(where[a] for a in step.args)) for step in self.steps)

    def __str__(self) -> str:
        lines = []
        for number, step in enumerate(self.steps, self.arity):
            operands = [f"v{a}" for a in step.args] + [f"{name} = {value}" for name, value in step.attrs]
            lines.append(f"v{number} = {step.op}({', '.join(operands)})")
        return "; ".join(lines)


class ProgramBuilder:
    """Collects the steps of a program of float operations; each method returns its value's number."""

    def __init__(self, arity: int) -> None:
        self.arity = arity
        self.steps: list[Step] = []

    def add(self, op: str, *args: int) -> int:
        return self._append(Step(op, args, F32))

    def literal(self, value: float) -> int:
        return self._append(Step("literal", (), F32, (("value", float(value)),)))

    def _append(self, step: Step) -> int:
        self.steps.append(step)
        return self.arity + len(self.steps) - 1

    def build(self) -> Program:
        return Program(self.arity, tuple(self.steps))


def _moved(value: int, arity: int, shift: int) -> int:
    """A value's number after `shift` operands were put behind the operands."""
    return value if value < arity else value + shift
