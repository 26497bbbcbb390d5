"""`nnef-cl validate`: every problem of a model with its place, the rule it breaks and a hint; uses no device."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import UsageError, located
from nnef_cl.settings import FINDINGS

if TYPE_CHECKING:
    from nnef_cl.importer.report import Finding
    from nnef_cl.importer.validate import Validation

SCHEMA = 1
WIDTH = 110
"""Characters of a line of the model that are shown; of longer ones the part around the place."""


def validate(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="Folder, .tar, .tgz, or graph.nnef in a folder.", show_default=False),
    ] = None,
    as_json: common.JsonFlag = False,
    dialect: common.DialectOption = common.DIALECT,
    ops: common.OpsOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="List how the dialects differ, and every rule.")] = False,
) -> None:
    """Check a model against the standard: every error and warning, its place, its rule and a hint."""
    if explain == (model is not None):
        raise UsageError("validate: name a MODEL, or ask for --explain")
    if model is None:
        _explain(as_json)
        return
    from nnef_cl.importer.validate import validate_model

    validation = validate_model(model, dialect=dialect, table=common.operations(ops))
    if as_json:
        typer.echo(json.dumps(report(model, validation), indent=2))
    else:
        _print(model, validation)
    if validation.errors:
        raise typer.Exit(common.FAILED)


# The rules -------------------------------------------------------------------------------------------------
def _explain(as_json: bool) -> None:
    from nnef_cl.importer.dialect import DIALECTS, DIFFERENCES, RULES, Rule

    if as_json:
        rules = [_rule_facts(rule) for rule in RULES.values()]
        typer.echo(json.dumps({"schema": SCHEMA, "rules": rules}, indent=2))
        return

    def heading(rule: Rule) -> str:
        return f"{rule.name} ({f'section {rule.section}' if rule.section else 'of nnef-cl'})"

    for dialect in DIALECTS.values():
        typer.echo(f"{dialect.name}: {dialect.says}")
    typer.echo("\nWhere the dialects differ:\n")
    for rule in DIFFERENCES:
        typer.echo(f"{heading(rule)}\n    {rule.standard}")
        typer.echo(f"    strict: {rule.strict.value}\n    lenient: {rule.reading.value}. {rule.lenient}")
    typer.echo("\nWhat every dialect refuses:\n")
    for rule in RULES.values():
        if not rule.lenient:
            typer.echo(f"{heading(rule)}\n    {rule.standard}")


def _rule_facts(rule: Any) -> dict[str, Any]:
    verdicts = (rule.strict.value, rule.reading.value if rule.lenient else "error")
    return {
        "name": rule.name, "section": rule.section, "standard": rule.standard, "lenient": rule.lenient,
        "verdicts": {"strict": verdicts[0], "lenient": verdicts[1]}, "hint": rule.hint,
    }  # fmt: skip


# Findings --------------------------------------------------------------------------------------------------
def report(model: Path, validation: Validation) -> dict[str, Any]:
    """A validation for JSON."""
    return {
        "schema": SCHEMA,
        "model": str(model),
        "dialect": validation.dialect,
        "valid": not validation.errors,
        "complete": validation.complete,
        "errors": validation.errors,
        "warnings": validation.warnings,
        "problems": [_facts(finding, validation) for finding in validation.findings],
    }


def _facts(finding: Finding, validation: Validation) -> dict[str, Any]:
    from nnef_cl.format.syntax import SourcePosition
    from nnef_cl.importer.validate import hint, section

    where = finding.where if isinstance(finding.where, SourcePosition) else None
    line, column = _excerpt(finding, validation)
    return {
        "severity": finding.severity,
        "rule": finding.rule,
        "section": section(finding),
        "file": where.file if where else str(finding.where or ""),
        "line": where.line if where else None,
        "column": where.column if where else None,
        "operation": finding.op,
        "tensor": finding.tensor,
        "message": finding.message,
        "text": line,
        "caret": column,
        "hint": hint(finding),
    }


def _print(model: Path, validation: Validation) -> None:
    from nnef_cl.importer.validate import hint, section

    for finding in validation.findings:
        place = f"{finding.where}: " if finding.where else ""
        subject = located(finding.message, None, finding.op, finding.tensor)
        lines = [f"{place}{finding.severity}: {subject}"]
        text, column = _excerpt(finding, validation)
        if text:
            lines += [f"    {text}", f"    {' ' * column}^"]
        where = section(finding)
        lines.append(f"    rule: {finding.rule}{f' (NNEF 1.0.5, section {where})' if where else ''}")
        lines.append(f"    hint: {hint(finding)}")
        typer.echo(common.printable("\n".join(lines)) + "\n")
    counted = [
        f"{count} {what}{'' if count == 1 else 's'}"
        for count, what in ((validation.errors, "error"), (validation.warnings, "warning"))
        if count
    ]
    verdict = "not valid" if validation.errors else "valid"
    if not validation.complete:
        counted.append(f"and perhaps more: reading ended here {FINDINGS.hint}")
    typer.echo(f"{common.printable(str(model))}: {verdict} ({', '.join([validation.dialect, *counted])})")


def _excerpt(finding: Finding, validation: Validation) -> tuple[str, int]:
    """The line of the model, or the part of it around the place, and the place's column in that."""
    from nnef_cl.format.syntax import SourcePosition

    where = finding.where
    if not isinstance(where, SourcePosition):
        return "", 0
    line = validation.line(where)
    start = max(0, min(where.column - 1 - WIDTH // 2, len(line) - WIDTH)) if len(line) > WIDTH else 0
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + WIDTH])
    stripped = shown.lstrip() if not start else shown
    return stripped.rstrip(), max(0, where.column - 1 - start - (len(shown) - len(stripped)))
