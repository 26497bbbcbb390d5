"""Choices by measurement: what a problem is called where its best points are kept, and the candidate they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nnef_cl.codegen.kernel import Candidate, Point
from nnef_cl.codegen.target import Target
from nnef_cl.ops.base import Problem
from nnef_cl.plan.build import PRECISIONS, Choose

FORMAT = "2"
"""Of points and problems: to be raised where kernels change so that what was measured holds no longer."""
Lookup = Callable[[str], Sequence[Point]]
"""A problem's text -> its points, best first; none where it was not tuned."""


def problem_text(problem: Problem, target: Target) -> str:
    """Everything that the speed of a problem's candidates depends on, the device apart; equal for equal problems."""
    inputs = ", ".join(
        f"{spec}{'' if constant is None else ' constant'}"
        for spec, constant in zip(problem.inputs, problem.constants, strict=True)
    )
    attrs = ", ".join(f"{name}={value!r}" for name, value in sorted(problem.attrs.items()))
    parts = [f"{problem.op.name}({inputs}) -> {', '.join(map(str, problem.outputs))}", attrs]
    if problem.epilogue:
        operands = ", ".join(map(str, problem.epilogue.operands))
        steps = "; ".join(f"{step.text} {step.args}" for step in problem.epilogue.expression.steps)
        parts.append(f"then ({operands}) {steps}")
    return f"{'; '.join(part for part in parts if part)} | {_facts(target)}"


def _facts(target: Target) -> str:
    return (
        f"width {target.vector_width}, registers {target.vector_registers}, units {target.compute_units}, "
        f"group {target.work_group} of {target.max_work_group}, local {target.local_memory}, "
        f"{' '.join(target.build_options)}"
    )


def has_choice(candidates: Sequence[Candidate]) -> bool:
    """Whether there is anything to measure."""
    return sum(len(candidate.points) for candidate in candidates) > 1


def offered(candidates: Sequence[Candidate], precision: str) -> list[Candidate]:
    """Those that may be chosen; 'exact' leaves only exact ones where there are any."""
    exact = [candidate for candidate in candidates if candidate.exact]
    return exact if precision == "exact" and exact else list(candidates)


@dataclass(frozen=True)
class TunedChoice:
    """A Choose: takes the best point that is known for the target and fits; what PRECISIONS says where none is."""

    lookup: Lookup
    target: Target
    precision: str

    def __call__(self, problem: Problem, candidates: list[Candidate]) -> Candidate:
        if has_choice(candidates):
            allowed = offered(candidates, self.precision)
            for point in self.lookup(problem_text(problem, self.target)):
                for candidate in allowed:
                    found = candidate.at(point)
                    if found is not None:
                        return replace(found, algorithm=f"{found.algorithm}, tuned")
        return PRECISIONS[self.precision](problem, candidates)


def chosen_for(target: Target, choose: Choose) -> Choose:
    """The same for another target, such as a part of a device."""
    return replace(choose, target=target) if isinstance(choose, TunedChoice) else choose
