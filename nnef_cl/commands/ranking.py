"""The largest values of outputs with their labels, for `nnef-cl run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nnef_cl.commands import common
from nnef_cl.errors import UsageError
from nnef_cl.files import read_text

if TYPE_CHECKING:
    import numpy as np

MOST_LABEL_BYTES = 64 << 20
LABELLED_TOP = 5
"""Classes listed where nothing else is said."""


def read_labels(path: Path | None) -> list[str]:
    """One label per line, [] without a file; UsageError."""
    if path is None:
        return []
    try:
        return read_text(path, MOST_LABEL_BYTES).splitlines()
    except UsageError as error:
        raise UsageError(f"--labels {error}") from error


def print_top(outputs: Mapping[str, np.ndarray], count: int, names: list[str]) -> None:
    out = common.console()
    for name, array in outputs.items():
        for item, ranking in enumerate(ranked(name, array, count, names)):
            out.print(f"\n{name}, item {item}")
            table = common.table("class", "value", "label", numbers=("class", "value"))
            for index, value in ranking:
                table.add_row(str(index), f"{value:.6g}", names[index] if names else "")
            out.print(table)


def check_labels(output: str, values: int, names: list[str]) -> None:
    """UsageError where there are labels, but not one per value of the output."""
    if names and len(names) != values:
        raise UsageError(f"--labels: expected {values} lines, one per value of '{output}', got {len(names)}")


def ranked(name: str, array: np.ndarray, count: int, names: list[str]) -> list[list[tuple[int, float]]]:
    """Per item of the batch the `count` largest (class, value). UsageError where labels do not fit."""
    rows = array.reshape(array.shape[0], -1) if array.ndim >= 2 else array.reshape(1, -1)
    check_labels(name, rows.shape[1], names)
    order = (-rows.astype(float)).argsort(axis=1, kind="stable")[:, :count]
    return [
        [(int(k), float(row[k])) for k in indices] for row, indices in zip(rows, order, strict=True)
    ]  # fmt: skip
