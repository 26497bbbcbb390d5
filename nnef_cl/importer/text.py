"""The text of a model in canonical form, or as one flat graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnef_cl.format.container import GRAPH, open_container
from nnef_cl.format.layout import format_document
from nnef_cl.format.parser import decoded, parse_document
from nnef_cl.format.printer import print_document
from nnef_cl.format.syntax import SourcePosition
from nnef_cl.importer import import_document
from nnef_cl.importer.dialect import AUTO, choose_dialect
from nnef_cl.importer.flatten import flatten
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ops import STANDARD
from nnef_cl.ops.base import Table


def formatted(path: str | Path) -> tuple[str, str]:
    """A model's graph.nnef as it is and in canonical form. Raises ModelError."""
    with open_container(path, headers_only=True) as container:
        text = container.read_text(GRAPH)
        assert text is not None
        return decoded(text, GRAPH), format_document(text, GRAPH)


def flat_text(path: str | Path, *, table: Table = STANDARD, dialect: str = AUTO) -> tuple[str, tuple[str, ...]]:
    """A model's graph as one flat text, to stand in the place of its graph.nnef, and the warnings about the model.

    Names of the graph's tensors stay, so that graph.quant still fits. Raises ModelError, UsageError.
    """
    with open_container(path, headers_only=True) as container:
        text = container.read_text(GRAPH)
        assert text is not None

        def zeros(label: str, position: SourcePosition) -> np.ndarray:
            header = container.tensor_header(label, table.readers)
            return np.broadcast_to(np.zeros((), DEFAULT[header.kind].api), header.shape)

        document = parse_document(text, GRAPH)
        graph = import_document(document, table, zeros, dialect=choose_dialect(dialect, document))
        return print_document(flatten(graph, table)), graph.warnings
