"""Writes docs/operations.md from the operation records and the cases: `python -m nnef_cl.conformance.catalogue`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from nnef_cl import passes
from nnef_cl.codegen.target import Target
from nnef_cl.conformance.case import FAMILIES, Case, cases_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import family_graph
from nnef_cl.format.printer import print_fragment
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Op, Problem
from nnef_cl.plan.build import build_plan

HEAD = """# Operations

The {count} operations of NNEF 1.0.5, as nnef-cl runs them. Written by `python -m nnef_cl.conformance.catalogue` from the records in
`nnef_cl/ops` and the cases in `nnef_cl/conformance`.

- **Types**: of the tensors. `scalar` is float32, `integer` int64, `logical` one byte. `?` stands for any of them.
- **Layouts**: `plain`, as NNEF orders elements; `blocked`, channels in blocks of a vector's width, where the kernels take it.
- **Kernels**: templates of `kernels_cl/` that the operation's cases use on a CPU or a GPU; `-` where nothing is computed.
- **Fuses**: element-wise operations behind it are computed before its result is stored.
- **Tolerance**: the largest difference from the reference that a device may show, relative to the largest magnitude.
- An expression is C: `select(a, b, m)` is b where m is true, else a.
- A body says what an operation means; the kernels may compute it in another way.

Ranks are 0 to 8, as far as the operation's shape rule allows. A file needs no extension statement for any of these operations.
"""
TARGETS = (Target.generic(), Target.gpu())


def document() -> str:
    """The text of docs/operations.md."""
    parts = [HEAD.format(count=len(STANDARD))]
    left = dict(STANDARD)
    for family in FAMILIES:
        parts.append(f"## {family}\n")
        cases = cases_of(family)
        names = {case.op for case in cases} & set(left)
        parts += [section(left.pop(name), [c for c in cases if c.op == name]) for name in STANDARD if name in names]
    assert not left, f"without cases: {', '.join(left)}"
    return "\n".join(parts)


def section(op: Op, cases: Sequence[Case]) -> str:
    """One operation."""
    facts = [
        ("Types", types(op)),
        ("Layouts", "plain, blocked" if op.blocked is not None or op.is_pointwise else "plain"),
        ("Kernels", ", ".join(kernels(cases)) or "-"),
        *([("Fuses", "yes")] if op.fusable or op.is_pointwise else []),
        ("Tolerance", f"{tolerance(op.name):.0e}"),
    ]
    lines = [f"### {op.name}\n", *([f"{op.about}\n"] if op.about else [])]
    lines += [f"```text\n{print_fragment(op.declaration)}\n```\n"]
    if op.expression is not None:
        lines.append(f"`{readable(op)}`\n")
    return "\n".join([*lines, " · ".join(f"**{name}**: {value}" for name, value in facts), ""])


def types(op: Op) -> str:
    """Element types of the tensors, in order of declaration."""
    declared = [str(p.type) for p in op.declaration.parameters] + [str(r.type) for r in op.declaration.results]
    found = [element for text in declared for element in re.findall(r"tensor<(.*?)>", text)]
    return ", ".join(f"`{element or 'any'}`" for element in dict.fromkeys(found))


def readable(op: Op) -> str:
    """The C text of an element-wise operation with the names of its parameters."""
    text = str(op.expression).replace("({T})(0.0f)", "0.0f").replace("({T})(1.0f)", "1.0f").replace("{select}", "select")
    names = [p.name for p in op.declaration.parameters]
    text = re.sub(r"\{(\d)\}", lambda found: names[int(found[1])], text)
    text = re.sub(r"\(\{[TI]\}\)\((.*?)\)", r"\1", text)
    return re.sub(r"\{(\w+)\}", r"\1", text)


def kernels(cases: Sequence[Case]) -> list[str]:
    """Stems of the templates that the cases' nodes may run on TARGETS."""
    stems: set[str] = set()

    def choose(problem: Problem, offered: list[Any]) -> Any:
        stems.update(launch.kernel.stem for candidate in offered for launch in candidate.launches)
        return offered[0]

    ops = STANDARD | INTERNAL
    graph, _ = family_graph(cases)
    for target in TARGETS:
        build_plan(passes.run(graph, ops, target), ops, target, choose)
    return sorted(stems)


if __name__ == "__main__":
    sys.stdout.write(document())
