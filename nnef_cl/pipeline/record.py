"""What results were made with: a record that is kept with them and compared before a later run goes on with them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from nnef_cl.errors import UsageError
from nnef_cl.format.container import GRAPH, open_container
from nnef_cl.format.tensor_file import Buffer
from nnef_cl.importer import QUANT
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.tensor import TensorSpec

Record = Mapping[str, str]
"""What is recorded, such as an option's name -> its value in words."""

LONGEST, SHOWN = 200, 120
"""Characters of a value, and those of a longer one that are kept; an archive's comment holds 65,535 bytes."""
DIGITS = 16
PIECE = 1 << 20


def record_path(output: Path) -> Path:
    """Where the record of a file of results lies: beside it."""
    return output.with_name(f"{output.name}.run.json")


def encode(record: Record) -> bytes:
    """JSON in ASCII; long values are cut and end with their digest."""
    return json.dumps({name: _bounded(value) for name, value in record.items()}, indent=1).encode() + b"\n"


def check(record: Record, found: bytes | None, results: Path, *, where: str) -> None:
    """Raises UsageError, which names what differs, unless the results were made with what `record` says.

    found: what is recorded with the results, None or anything else where nothing is. where: words for its place.
    """
    if found == encode(record):
        return
    before, now = _decoded(found), _decoded(encode(record))
    if not before or now is None:
        raise UsageError(f"--resume: {results}: nothing tells what made it ({where}): --overwrite begins anew")
    names = dict.fromkeys([*now, *before])
    told = "; ".join(
        f"{name}: {before.get(name, 'not said')} there, {now.get(name, 'not said')} now"
        for name in names if before.get(name) != now.get(name)
    )  # fmt: skip
    if told:
        raise UsageError(f"--resume: {results} was made with something else: {told}; --overwrite begins anew")


def _decoded(text: bytes | None) -> dict[str, str] | None:
    """None for what is no record."""
    try:
        record = json.loads(text or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
        return None
    return record


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:SHOWN]}... {digest([text.encode('utf-8', 'surrogatepass')])}"


# Digests ---------------------------------------------------------------------------------------------------
def digest(parts: Iterable[Buffer]) -> str:
    """Of all parts one behind the other, in words."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part)
    return f"sha256 {hashed.hexdigest()[:DIGITS]}"


def file_digest(path: Path) -> str:
    """Raises UsageError."""
    try:
        with path.open("rb") as stream:
            return digest(iter(lambda: stream.read(PIECE), b""))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error


def model_digest(path: Path, graph: Graph) -> str:
    """Of an archive as it is; of a folder's graph.nnef, graph.quant and the tensor files that the graph needs."""
    if path.is_file() and path.name != GRAPH:
        return file_digest(path)
    constants = (*graph.constants.values(), *graph.variables.values())
    labels = sorted({constant.label for constant in constants if constant.label})
    with open_container(path) as container:
        texts = [container.read_text(name) or b"" for name in (GRAPH, QUANT)]
        tensors = (part for label in labels for part in (label.encode(), container.open_tensor(label)))
        return digest([*texts, *tensors])


# Words -----------------------------------------------------------------------------------------------------
def shapes(inputs: Mapping[str, TensorSpec], batch: int) -> str:
    """Shapes of the inputs that change from file to file. batch: rows that are gathered; they are N, as one row is,
    because their number changes no result."""
    return ", ".join(f"{name} {'x'.join(_extents(spec, batch)) or 'scalar'}" for name, spec in inputs.items())


def _extents(spec: TensorSpec, batch: int) -> list[str]:
    extents = [str(extent) for extent in spec.shape]
    return ["N", *extents[1:]] if extents and spec.shape[0] in (1, batch) else extents


def seen_from(output: Path, folder: str) -> str:
    """The folder as a path from where the results lie: both may have been moved together."""
    try:
        return Path(os.path.relpath(folder, output.absolute().parent)).as_posix()
    except ValueError:  # two drives
        return folder
