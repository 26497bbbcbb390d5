"""From a model's files to a Graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from nnef_cl.errors import FileFormatError, UnsupportedError
from nnef_cl.format.container import Container, open_container
from nnef_cl.format.parser import parse_document
from nnef_cl.format.quant_file import parse_quant
from nnef_cl.format.syntax import Document, QuantEntry, SourcePosition
from nnef_cl.format.tensor_file import read_tensor_file
from nnef_cl.importer.build import Importer
from nnef_cl.importer.dialect import LENIENT, STRICT, Dialect
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.verify import verify
from nnef_cl.ops import STANDARD
from nnef_cl.ops.base import Table

__all__ = ["LENIENT", "STRICT", "Dialect", "import_document", "import_model"]


def import_model(
    path: str | Path, *, shapes: Mapping[str, Shape] | None = None, table: Table = STANDARD, dialect: Dialect = LENIENT
) -> Graph:
    """Reads a folder, archive or graph.nnef. shapes: other extents for inputs. Raises ModelError, InputError."""
    with open_container(path) as container:
        text = container.read_text("graph.nnef")
        if text is None:
            raise FileFormatError("there is no graph.nnef", where=container.name)
        document = parse_document(text, "graph.nnef")
        quant_text = container.read_text("graph.quant")
        quant = parse_quant(quant_text, "graph.quant") if quant_text is not None else ()
        read = _reader(container)
        return import_document(document, table, read, shapes=shapes, dialect=dialect, quant=quant)


def import_document(
    document: Document, table: Table, read: Callable[[str, SourcePosition], np.ndarray], *,
    shapes: Mapping[str, Shape] | None = None, dialect: Dialect = LENIENT, quant: Sequence[QuantEntry] = (),
) -> Graph:  # fmt: skip
    """read: label and position of a variable -> its array in an API type (float32, int64, bool)."""
    if quant:
        entry = quant[0]
        raise UnsupportedError(
            f"tensor '{entry.tensor}' is quantised; quantisation is not supported yet", where=entry.position
        )
    graph = Importer(document, table, read, shapes or {}, dialect).run()
    verify(graph, "import")
    return graph


def _reader(container: Container) -> Callable[[str, SourcePosition], np.ndarray]:
    def read(label: str, position: SourcePosition) -> np.ndarray:
        file = read_tensor_file(container.open_tensor(label), f"{label}.dat")
        if file.header.is_quantised:
            raise UnsupportedError(
                f"'{label}.dat' holds quantised items; quantisation is not supported yet", where=position
            )
        return file.array

    return read
