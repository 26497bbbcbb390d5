"""Source: where a model was read from, and its files written anew with other variables."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnef_cl.errors import Error
from nnef_cl.format.container import GRAPH, open_container, tensor_name
from nnef_cl.format.model_writer import write_model
from nnef_cl.format.tensor_file import Buffer, write_tensor
from nnef_cl.importer import QUANT
from nnef_cl.ir.graph import Graph


@dataclass(frozen=True)
class Source:
    """Where a model was read from. stamp: time and size of that file, to see whether it is still the same."""

    path: Path
    stamp: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> Source:
        """The path of a file that is not there has the stamp (0, 0)."""
        path = path.absolute()
        try:
            found = (path / GRAPH if path.is_dir() else path).stat()
        except (OSError, ValueError):
            return cls(path, (0, 0))
        return cls(path, (found.st_mtime_ns, found.st_size))

    def saved(self, path: Path, graph: Graph, changed: Mapping[str, np.ndarray]) -> Source:
        """Writes the model there, with other arrays in the .dat files that `changed` names. graph: what was imported
        from this. Returns this as it is afterwards: it may be what was written. Raises Error."""
        if self != Source.of(self.path):
            raise Error(f"the model cannot be saved: {self.path} has changed")
        constants = (*graph.constants.values(), *graph.variables.values())
        labels = dict.fromkeys(constant.label for constant in constants if constant.label)
        files: dict[str, Buffer] = {}
        with open_container(self.path) as container:
            for name in (GRAPH, QUANT):
                text = container.read_text(name)
                if text is not None:
                    files[name] = text
            for label in labels:
                name = tensor_name(label)
                files[name] = _tensor_bytes(changed[name]) if name in changed else container.open_tensor(label)
            write_model(path, files)
        return Source.of(self.path)


def _tensor_bytes(array: np.ndarray) -> bytes:
    """A .dat file's content."""
    stream = io.BytesIO()
    write_tensor(stream, array)
    return stream.getvalue()
