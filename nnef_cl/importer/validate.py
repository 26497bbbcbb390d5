"""Validate a model (NNEF 1.0.5, chapter 6): every problem of its text, its tensor files and its quantisation file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nnef_cl.errors import ModelError, UnsupportedError
from nnef_cl.format.container import GRAPH, Container, open_container
from nnef_cl.format.quant_file import repetitions
from nnef_cl.format.recover import Recovered, recover_document, recover_entries
from nnef_cl.format.syntax import QuantEntry, SourcePosition
from nnef_cl.format.tensor_file import TensorFile
from nnef_cl.importer import QUANT, Importer
from nnef_cl.importer.bodies import check_bodies
from nnef_cl.importer.dialect import (
    AUTO,
    CONTAINER,
    LENIENT,
    RULES,
    TRACT,
    UNSUPPORTED,
    Rule,
    check_dialect,
    choose_dialect,
)
from nnef_cl.importer.introduce import TensorSource
from nnef_cl.importer.report import Finding, Report
from nnef_cl.importer.scope import targets
from nnef_cl.importer.sections import SECTIONS
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ops import STANDARD
from nnef_cl.ops.base import Table


@dataclass(frozen=True)
class Validation:
    """dialect: the reading. findings: in the order of the text, errors and warnings. texts: the files they are in.

    complete: there were not so many that reading ended before the end.
    """

    dialect: str
    findings: tuple[Finding, ...]
    texts: Mapping[str, str]
    complete: bool = True

    @cached_property
    def _lines(self) -> dict[str, list[str]]:
        return {name: text.split("\n") for name, text in self.texts.items()}

    def line(self, position: SourcePosition) -> str:
        """The line of that place, without its end; '' where the file has none."""
        lines = self._lines.get(position.file, [])
        return lines[position.line - 1].rstrip("\r") if 0 < position.line <= len(lines) else ""

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors


def validate_model(path: str | Path, *, table: Table = STANDARD, dialect: str = AUTO) -> Validation:
    """Everything that is wrong with a model, in one go. Of tensor files it reads the headers; it allocates no weights.

    Raises UsageError for a dialect there is not; whatever is wrong with the model is a finding.
    """
    check_dialect(dialect)
    try:
        with open_container(path, headers_only=True) as container:
            return _validate(container, table, dialect)
    except ModelError as error:
        report = Report(LENIENT, collecting=True)
        report.fail(_with_rule(error, CONTAINER))
        return Validation(dialect, tuple(report.findings), {})


def _validate(container: Container, table: Table, dialect: str) -> Validation:
    text, quant = container.read_text(GRAPH), container.read_text(QUANT)
    assert text is not None
    recovered = recover_document(text, GRAPH)
    entries, flaws = recover_entries(quant, QUANT) if quant is not None else ([], [])
    problems: list[ModelError] = [*recovered.errors, *flaws, *repetitions(entries)]
    try:
        chosen = choose_dialect(dialect, recovered.document)
    except UnsupportedError as error:
        chosen, recovered.readable = TRACT, False
        problems.append(error)
    report = Report(chosen, collecting=True)
    for problem in problems:
        report.fail(problem)
    if recovered.readable:
        _check(recovered, entries, container, table, report)
    findings = sorted((*report.findings, *report.warnings), key=_place)
    texts = {GRAPH: text, QUANT: quant or b""}
    shown = {name: _shown(content) for name, content in texts.items()}
    return Validation(chosen.name, tuple(findings), shown, not report.full)


def _check(
    recovered: Recovered, entries: list[QuantEntry], container: Container, table: Table, report: Report
) -> None:
    """Semantics, argument validity, tensor files and quantisation of what could be read."""
    importer = Importer(recovered.document, table, _headers(container, table), {}, report, entries)
    importer.expander.lost = frozenset(recovered.lost)
    importer.expander.unsound |= recovered.unsound
    if recovered.open_head:
        body = recovered.document.graph.body
        importer.introducer.parameters = frozenset(t.name for s in body for t in targets(s.target))
    importer.declare()
    check_bodies(importer.expander)
    importer.expand()
    importer.check_interface()


def _headers(container: Container, table: Table) -> TensorSource:
    """Tensor files by their headers alone; in place of the data one zero that is repeated."""

    def source(label: str, position: SourcePosition) -> TensorFile:
        header = container.tensor_header(label, table.readers)
        zero = np.zeros((), np.int64 if header.is_quantised else DEFAULT[header.kind].api)
        return TensorFile(header, np.broadcast_to(zero, header.shape))

    return source


def _with_rule(error: ModelError, rule: Rule) -> ModelError:
    error.rule = error.rule or (UNSUPPORTED if isinstance(error, UnsupportedError) else rule).name
    return error


def _place(finding: Finding) -> tuple[str, int, int]:
    if isinstance(finding.where, SourcePosition):
        return finding.where.file, finding.where.line, finding.where.column
    return "", 0, 0


def _shown(text: bytes) -> str:
    return text.decode("utf-8-sig", "replace")


def hint(finding: Finding) -> str:
    """What to do about the finding."""
    rule = RULES[finding.rule]
    if rule.name == "arguments" and finding.op in SECTIONS:
        return f"section {SECTIONS[finding.op]} says what {finding.op} accepts"
    return rule.hint or rule.standard


def section(finding: Finding) -> str:
    """The section of the standard that the finding is about, '' for rules of our own."""
    rule = RULES[finding.rule]
    return SECTIONS.get(finding.op, rule.section) if rule.name == "arguments" else rule.section
