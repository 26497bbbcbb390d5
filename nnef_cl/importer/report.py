"""What is wrong with a model, or only dubious: errors are raised or, for `validate`, collected; warnings are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from nnef_cl.errors import ModelError, RuleError, located
from nnef_cl.format.syntax import SourcePosition
from nnef_cl.importer.dialect import UNSUPPORTED, Dialect, Rule, Verdict
from nnef_cl.settings import FINDINGS


class LocatedError(RuleError):
    """A RuleError that knows its place."""

    def __init__(self, message: str, position: SourcePosition, rule: str = "") -> None:
        super().__init__(message, rule)
        self.position = position


@dataclass(frozen=True)
class Finding:
    """severity: 'error' or 'warning'. rule: a name of dialect.RULES. where: a position, or what there is instead."""

    severity: str
    rule: str
    message: str
    where: object = None
    op: str = ""
    tensor: str = ""

    def __str__(self) -> str:
        return f"{located(self.message, self.where, self.op, self.tensor)} [{self.rule}]"


Place = tuple[SourcePosition | None, str, str]
"""Position, operation, tensor."""


class Report:
    """The findings of one import. collecting: errors are kept instead of raised.

    place: where the importer is just now, for departures that come without a position.
    """

    def __init__(self, dialect: Dialect, *, collecting: bool = False) -> None:
        self.dialect, self.collecting, self.most = dialect, collecting, FINDINGS.value
        self.place: Callable[[], Place] = lambda: (None, "", "")
        self.findings: list[Finding] = []
        self._warnings: dict[tuple[str, str], Finding] = {}
        self._places: dict[tuple[str, str], set[str]] = {}
        self._seen: set[tuple[str, str]] = set()

    @property
    def warnings(self) -> list[Finding]:
        """One for each rule and subject, at its first place; the others are counted."""
        return [self._counted(finding, len(self._places[key])) for key, finding in self._warnings.items()]

    @staticmethod
    def _counted(finding: Finding, count: int) -> Finding:
        if count == 1:
            return finding
        more = f"{count - 1} more place{'s' if count > 2 else ''}"
        return replace(finding, message=f"{finding.message} (and {more})")

    @property
    def full(self) -> bool:
        """Whether there are so many findings that more would help nobody."""
        return len(self.findings) >= self.most

    def accepts(self, rule: Rule) -> bool:
        return self.dialect.accepts(rule)

    def depart(self, rule: Rule, message: str, position: SourcePosition | None = None, subject: str = "") -> None:
        """The file departs from the rule there. Raises RuleError where the dialect accepts no departure.

        subject: what the warning is about where one warning for the rule would not do.
        """
        verdict = self.dialect.verdict(rule)
        if verdict is Verdict.ERROR:
            raise LocatedError(message, position, rule.name) if position else RuleError(message, rule.name)
        if verdict is Verdict.ACCEPTED:
            return
        key = (rule.name, subject)
        place, op, tensor = self.place()
        self._places.setdefault(key, set()).add(str(position or place))
        if key not in self._warnings:
            self._warnings[key] = Finding("warning", rule.name, message, position or place, op, tensor)

    def fail(self, error: ModelError) -> None:
        """Raises the error, or keeps it: one for each place, because a second one there follows from the first.

        What is valid, but cannot be run, is a warning.
        """
        if not self.collecting:
            raise error from None
        key = (str(error.where), "" if isinstance(error.where, SourcePosition) else error.message)
        if key not in self._seen:
            self._seen.add(key)
            severity = "warning" if error.rule == UNSUPPORTED.name else "error"
            self.findings.append(Finding(severity, error.rule, error.message, error.where, error.op, error.tensor))

    @contextmanager
    def guard(self, position: SourcePosition, rule: Rule, op: str = "", tensor: str = "") -> Iterator[None]:
        """Errors inside belong to that place (unless they know theirs) and that rule; `fail` decides on them."""
        try:
            yield
        except RuleError as error:
            where = getattr(error, "position", position)
            wrong = ModelError(str(error), where=where, op=op, tensor=tensor, rule=error.rule or rule.name)
            if not self.collecting:
                raise wrong from None
            self.fail(wrong)
        except ModelError as error:
            if not self.collecting:
                raise
            error.rule = error.rule or rule.name
            self.fail(error)
