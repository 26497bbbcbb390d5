"""`nnef-cl bench --baseline`: this run against the report of an earlier one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnef_cl.errors import Error, InputError, UsageError

DEFAULT = "5%"
NO_REPORT = "not a report of `nnef-cl bench --json`"
LARGEST = 64 << 20
"""Bytes of a report that is read."""
SAME = {
    "model": ("model", "name"), "inputs": ("model", "inputs"), "device": ("device", "name"),
    "precision": ("options", "precision"),
}  # fmt: skip
"""What must be the same in both reports, and where it stands."""


@dataclass(frozen=True)
class Baseline:
    """An earlier report. allowed: the share by which this run may take longer."""

    path: Path
    report: Mapping[str, Any]
    allowed: float

    @classmethod
    def read(cls, path: Path, percent: str | None, schema: int) -> Baseline:
        """A report that `nnef-cl bench --json` wrote. Raises InputError, UsageError."""
        allowed = parse_percent(percent or DEFAULT)
        try:
            if path.stat().st_size > LARGEST:
                raise InputError(f"--baseline {path}: larger than a report")
            report = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise InputError(f"--baseline {path}: cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"--baseline {path}: {NO_REPORT}") from error
        if not isinstance(report, dict) or report.get("schema") != schema:
            raise InputError(f"--baseline {path}: {NO_REPORT} of this version (schema {schema})")
        return cls(path, report, allowed)

    def judge(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """For the new report: file, allowed, what was compared, and slower, the share of time on top of the earlier
        one, below 0 where it is faster. Raises InputError for a report of something else.

        Compared are times over those of the peers where both reports have some in common: another load on the machine
        changes them little. Else it is plain median latencies.
        """
        try:
            for what, (part, key) in SAME.items():
                now, before = report[part][key], self.report[part][key]
                if now != before:
                    told = f"{_short(before)} there, {_short(now)} now"
                    raise InputError(f"--baseline {self.path}: another {what}: {told}")
            what, now, before = _figures(report, self.report)
            return {
                "file": str(self.path), "allowed": self.allowed, "slower": now / before - 1,
                "what": f"{what}: {now:.4g}, {before:.4g} before",
            }  # fmt: skip
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise InputError(f"--baseline {self.path}: {NO_REPORT}: {error!r}") from error

    def check(self, verdict: Mapping[str, Any]) -> None:
        """Raises Error where it is slower than allowed."""
        if not verdict["slower"] <= self.allowed:
            raise Error(f"regression: {words(verdict)}; --baseline {self.path}")


def parse_percent(text: str) -> float:
    """'5%' or '5' -> 0.05. UsageError."""
    found = re.fullmatch(r"([0-9]{1,4}(\.[0-9]{1,3})?)%?", text)
    if found is None:
        raise UsageError(f"--max-regression '{text}': expected a percentage such as 5%")
    return float(found[1]) / 100


def words(verdict: Mapping[str, Any]) -> str:
    """The verdict for people."""
    slower = verdict["slower"]
    share = f"{abs(slower) * 100:.1f} % {'slower' if slower > 0 else 'faster'}"
    return f"{share} ({verdict['what']}); {verdict['allowed'] * 100:g} % slower is allowed"


def _figures(report: Mapping[str, Any], earlier: Mapping[str, Any]) -> tuple[str, float, float]:
    """What is compared, its value now, and before."""
    now, before = report.get("comparison"), earlier.get("comparison")
    if now and before and now["hint"] == before["hint"]:
        shared = [name for name in now["peers"] if name in before["peers"]]
        if shared:
            return f"time over that of {', '.join(shared)}", _over(now, shared), _over(before, shared)
    now, before = (one["latency_ms"]["median"] for one in (report, earlier))
    return "median latency in ms, which other work on the machine changes; --vs in both makes ratios", now, before


def _over(comparison: Mapping[str, Any], peers: list[str]) -> float:
    """Our median over the geometric mean of the peers'."""
    ms = comparison["ms"]
    means = sum(math.log(ms[name]["median"]) for name in peers) / len(peers)
    return ms[comparison["ours"][0]]["median"] / math.exp(means)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:100] + "..."
