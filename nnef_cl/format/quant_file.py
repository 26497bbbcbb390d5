"""Read graph.quant: for each tensor, the quantisation operation that describes it (NNEF 1.0.5, section 5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format.parser import parse_quant_entries
from nnef_cl.format.syntax import QuantEntry

QUANTISATION = "quantisation"
"""The rule that an entry breaks, as the importer calls it."""


def parse_quant(text: str | bytes, file: str = "graph.quant") -> tuple[QuantEntry, ...]:
    """Entries `"tensor": operation(name = constant, ...);` in order; array constants may be nested.

    Raises ModelSyntaxError, also for a tensor or an argument that is given twice.
    """
    entries = parse_quant_entries(text, file)
    for error in repetitions(entries):
        raise error
    return entries


def repetitions(entries: Iterable[QuantEntry]) -> Iterator[ModelSyntaxError]:
    """An error for every tensor and every argument that is given a second time."""
    seen: dict[str, QuantEntry] = {}
    for entry in entries:
        first = seen.setdefault(entry.tensor, entry)
        if first is not entry:
            message = f"tensor '{entry.tensor}' already has an entry in line {first.position.line}"
            yield ModelSyntaxError(message, where=entry.position, rule=QUANTISATION)
        names: set[str | None] = set()
        for argument in entry.arguments:
            if argument.name in names:
                message = f"argument '{argument.name}' is given twice"
                op, tensor = entry.operation, entry.tensor
                yield ModelSyntaxError(message, where=argument.position, op=op, tensor=tensor, rule=QUANTISATION)
            names.add(argument.name)
