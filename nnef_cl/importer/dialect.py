"""Dialect: which departures from the standard's text the importer accepts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """integers_as_scalars: `x + 1` and `alpha = 1` where a scalar is due. positional_attributes: attributes
    without their names. redefinition: a file's fragment may replace a standard operation."""

    name: str
    integers_as_scalars: bool
    positional_attributes: bool
    redefinition: bool


STRICT = Dialect("strict", False, False, False)
LENIENT = Dialect("lenient", True, True, True)
"""What exporters are known to get wrong is accepted, with a warning in Graph.warnings."""
