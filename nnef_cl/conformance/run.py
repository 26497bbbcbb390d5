"""Runs cases on a device: which pass, how far results are off, and what a driver that fails cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnef_cl.codegen.target import Target
from nnef_cl.conformance.case import Case
from nnef_cl.conformance.comparison import Difference, difference, tolerance
from nnef_cl.conformance.harness import candidates, family_graph, nth
from nnef_cl.device.manager import Device
from nnef_cl.errors import Error
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan.build import Choose
from nnef_cl.session import Session

Arrays = Mapping[str, np.ndarray]
Progress = Callable[[str, int, int], None]
Run = Callable[[Sequence[Case], int, Progress], "list[Outcome]"]
"""Runs cases with the kernels that come first (0), second, ..."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How one case went with one choice of kernels. worst and allowed: relative to the largest expected magnitude."""

    case: Case
    worst: float
    allowed: float
    failure: str
    """Why it failed; '' where it passed."""


@dataclass(frozen=True, eq=False)
class Row:
    """All outcomes of one operation."""

    op: str
    outcomes: Sequence[Outcome]

    @property
    def failed(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.failure]

    @property
    def worst(self) -> float:
        return max(one.worst for one in self.outcomes)

    @property
    def allowed(self) -> float:
        return self.outcomes[0].allowed


def in_process(device: Device) -> Run:
    """In this process, which a driver may end."""
    return lambda cases, kernel, progress: run_cases(cases, device, nth(kernel), progress)


def run_families(
    families: Mapping[str, Sequence[Case]], run: Run, target: Target, *, every_kernel: bool = False, progress: Progress
) -> list[Row]:
    """One row per operation, in the order of the standard. families: cases by family; progress: (stage, done, total).

    every_kernel: cases for which the target's kernels have alternatives run with each of these too.
    """
    outcomes: list[Outcome] = []
    total = sum(map(len, families.values()))
    done = 0
    for family, cases in families.items():
        progress(family, done, total)
        outcomes += run(cases, 0, _within(progress, family, done, total))
        if every_kernel:
            outcomes += run_alternatives(cases, run, target, _within(progress, f"{family}, other kernels", done, total))
        done += len(cases)
    progress("done", total, total)
    by_op: dict[str, list[Outcome]] = {name: [] for name in STANDARD}
    for one in outcomes:
        by_op[one.case.op].append(one)
    return [Row(op, found) for op, found in by_op.items() if found]


def run_alternatives(cases: Sequence[Case], run: Run, target: Target, progress: Progress) -> list[Outcome]:
    """The cases with second, third, ... kernels, as far as there are any."""
    counts = [candidates(one, target) for one in cases]
    outcomes: list[Outcome] = []
    for number in range(1, max(counts, default=0)):
        chosen = [one for one, count in zip(cases, counts, strict=True) if count > number]
        found = run(chosen, number, progress)
        outcomes += [replace(one, failure=one.failure and f"kernel {number + 1}: {one.failure}") for one in found]
    return outcomes


def run_cases(cases: Sequence[Case], device: Device, choose: Choose, progress: Progress) -> list[Outcome]:
    """All cases in one session, so that they share programs. Where that fails, parts of them, to see whose fault it is."""
    try:
        once, again = _compute(cases, device, choose, progress)
    except Error as error:
        if len(cases) == 1:
            return [Outcome(cases[0], 0.0, tolerance(cases[0].op), str(error))]
        return [one for part in parts_of(cases) for one in run_cases(part, device, choose, progress)]
    return [_judge(case, number, once, again) for number, case in enumerate(cases)]


def _compute(cases: Sequence[Case], device: Device, choose: Choose, progress: Progress) -> tuple[Arrays, Arrays]:
    """The results of two runs."""
    graph, inputs = family_graph(cases)
    with Session(graph, device, STANDARD | INTERNAL, choose=choose, progress=progress) as session:
        return session.run(inputs), session.run(inputs)


def _judge(case: Case, number: int, once: Arrays, again: Arrays) -> Outcome:
    allowed, worst, failures = tolerance(case.op), 0.0, []
    for k, expected in enumerate(case.reference()):
        name = f"c{number}_y{k}"
        if not np.array_equal(once[name], again[name], equal_nan=once[name].dtype.kind == "f"):
            found = Difference(problem="a second run gives another result")
        else:
            found = difference(once[name], expected)
        worst = max(worst, found.worst)
        failures += [f"result {k + 1}: {text}" for text in (found.failure(allowed),) if text]
    return Outcome(case, worst, allowed, "; ".join(failures))


def parts_of(cases: Sequence[Case]) -> list[Sequence[Case]]:
    """The cases by operation, or of one operation two halves."""
    names = dict.fromkeys(one.op for one in cases)
    if len(names) == 1:
        middle = len(cases) // 2
        return [cases[:middle], cases[middle:]]
    return [[one for one in cases if one.op == name] for name in names]


def _within(progress: Progress, family: str, done: int, total: int) -> Progress:
    """Progress of a session as the stage of the whole."""
    return lambda stage, part, parts: progress(f"{family}: {stage} {part}/{parts}", done, total)
