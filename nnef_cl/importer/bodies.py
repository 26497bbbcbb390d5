"""Check the bodies of a file's fragments without calling them: their parameters have no values."""

from __future__ import annotations

import numpy as np

from nnef_cl.errors import RuleError
from nnef_cl.format.syntax import Fragment, SourcePosition
from nnef_cl.importer.dialect import IDENTIFIERS
from nnef_cl.importer.expand import Expander
from nnef_cl.importer.introduce import Introducer
from nnef_cl.importer.scope import Scope
from nnef_cl.importer.types import UNKNOWN, Budget, Caster, Value, clip
from nnef_cl.ir.graph import GraphBuilder


def check_bodies(expander: Expander) -> None:
    """Reports what is wrong in a fragment whatever its arguments are, and adds its name to expander.unsound."""
    builder, report, budget = GraphBuilder("bodies"), expander.report, Budget()
    introducer = Introducer(builder, (), _no_data, {}, report)
    caster = Caster(report, introducer.literal, budget)
    checker = Expander(builder, expander.table, expander.fragments, report, introducer, caster, budget)
    checker.lost, checker.unsound = expander.lost, expander.unsound
    for fragment in expander.fragments.values():
        before = len(report.findings)
        if fragment.body is not None:
            _check(fragment, checker)
        if any(finding.severity == "error" for finding in report.findings[before:]):
            expander.unsound.add(fragment.name)


def _check(fragment: Fragment, checker: Expander) -> None:
    parameters: dict[str, Value] = {parameter.name: UNKNOWN for parameter in fragment.parameters}
    assert fragment.body is not None
    is_generic = fragment.generic is not None
    scope = Scope(
        dict(parameters), fragment.body, frozenset(parameters), prefix=fragment.name,
        generic="scalar" if is_generic else None, fragment=fragment.name, caller=Scope({}, ()), depth=1,
        doubtful=is_generic,
    )  # fmt: skip
    for statement in fragment.body:
        checker.assign(statement, scope)
    for result in fragment.results:
        with checker.report.guard(result.position, IDENTIFIERS, clip(fragment.name)):
            if result.name not in scope.values and fragment.name not in checker.unsound:
                raise RuleError(f"result '{clip(result.name)}' is never assigned in the fragment")


def _no_data(label: str, position: SourcePosition) -> np.ndarray:
    raise RuleError("is allowed in the graph only, not in a fragment", IDENTIFIERS.name)
