"""Patterns, folders and files -> the inputs they stand for, each with a name of its own; and one input's arrays."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnef_cl.arrays import as_stored
from nnef_cl.errors import UsageError
from nnef_cl.files import MAGIC, not_a_file, stands_for_many
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.pipeline.record import record_path
from nnef_cl.preprocess import ARRAYS, ImageOptions, read_input

READABLE = (*ARRAYS, ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What is taken of a folder."""

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Item:
    """A file to run the network on. name: its path below the folder that all patterns have in common, with slashes;
    its results go by that name."""

    path: Path
    name: str


def find_items(texts: Sequence[str], output: Path) -> list[Item]:
    """The files of patterns, folders (with all below them) and paths, sorted within each, none twice.

    Nothing that lies at or below `output` counts: it is a result, as is its record. Raises UsageError.
    """
    common = common_folder(texts)
    results = Path(os.path.abspath(output))  # noqa: PTH100
    record = str(record_path(results))
    paths: dict[str, None] = {}
    for text in texts:
        found = [path for path in _files(text) if path != record and not Path(path).is_relative_to(results)]
        if not found:
            raise UsageError(f"-i {text}: no file that can be read")
        paths |= dict.fromkeys(found)
    return [Item(Path(path), _name(path, common)) for path in paths]


def common_folder(texts: Sequence[str]) -> str:
    """The folder that names of items are relative to. It depends on the patterns alone, not on what they find: names
    stay the same where files are added. Raises UsageError."""
    try:
        return os.path.commonpath([os.path.abspath(_fixed(text)) for text in texts])  # noqa: PTH100
    except ValueError:  # two drives
        raise UsageError(f"-i {', '.join(texts)}: expected files on one drive") from None


def _fixed(text: str) -> str:
    """The folder that everything a pattern finds lies in."""
    if os.path.isdir(text):  # noqa: PTH112
        return text
    parts = Path(text).parts[:-1]
    fixed = next((k for k, part in enumerate(parts) if MAGIC.search(part)), len(parts))
    return str(Path(*parts[:fixed if stands_for_many(text) else len(parts)]))


def _files(text: str) -> Iterator[str]:
    if os.path.isdir(text):  # noqa: PTH112
        found = list(_below(text))
    elif stands_for_many(text):
        found = [path for path in glob.iglob(text, recursive=True) if os.path.isfile(path)]  # noqa: PTH113, PTH207
    elif os.path.isfile(text):  # noqa: PTH113
        found = [text]
    else:
        raise UsageError(f"-i {text}: {not_a_file(Path(text))}")
    return iter(sorted(os.path.abspath(path) for path in found))  # noqa: PTH100


def _below(folder: str) -> Iterator[str]:
    """Readable files, hidden ones left out."""
    for where, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(where, name)  # noqa: PTH118
            if not name.startswith(".") and name.lower().endswith(READABLE) and os.path.isfile(path):  # noqa: PTH113
                yield path


def _refuse(error: OSError) -> None:
    raise UsageError(f"-i {error.filename}: cannot be read: {error.strerror}")


def _name(path: str, common: str) -> str:
    name = Path(os.path.relpath(path, common)).as_posix()
    if name.startswith("../"):
        raise UsageError(f"-i: {path} is not below {common}: leave '..' out of the pattern")
    return name


def read_item(item: Item, inputs: Mapping[str, TensorSpec], batch: int, options: ImageOptions) -> Arrays:
    """The arrays of these inputs from a file: 1 to `batch` rows along axis 0; the axis may be missing where the file
    holds one row. Raises Error."""
    arrays = {}
    for name, spec in inputs.items():
        array = read_input([item.path], name, spec, options)
        if spec.rank and array.shape == spec.shape[1:] and (batch > 1 or spec.shape[0] == 1):
            array = array[None]
        fits = batch > 1 and array.ndim == spec.rank and 1 <= array.shape[0] <= batch
        wanted = dataclasses.replace(spec, shape=(array.shape[0], *spec.shape[1:])) if fits else spec
        stored = as_stored(f"{item.path}: input '{name}'", array, wanted)
        arrays[name] = stored.astype(spec.dtype.api, copy=isinstance(array, np.memmap))  # read here, not in a queue
    return arrays
