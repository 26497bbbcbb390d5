"""Where results go, each exactly once: .npz files in a folder, JSON lines, CSV; and what an earlier run left there."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import math
import os
import zipfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnef_cl.errors import Error, UsageError
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.pipeline import RECORD_FILES
from nnef_cl.pipeline.record import Record, check, encode, record_path
from nnef_cl.pipeline.sources import Arrays, Item

WRITERS = 2
AT_ONCE = 1 << 20
"""Bytes of results that become a file with one write: an archive is many small ones."""
UNFINISHED = ".part"
"""Behind the name of a file that is being written."""
MOST_RECORD_BYTES = 1 << 16
"""As many as an archive's comment has."""
NO_ARCHIVE = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile)
"""What zipfile raises for files that it cannot make sense of."""
TEXT = ("utf-8", "surrogateescape")
"""Encoding and error handler: file names that are no UTF-8 survive."""

Rank = Callable[[str, np.ndarray], list[list[tuple[int, float]]]]
"""Output's name and array -> per row the largest (class, value)."""


@dataclass(frozen=True)
class Top:
    """The largest values of outputs. rank: finds them. count: at most how many. labels: of the classes, or [].
    outputs: those that are ranked, in order."""

    rank: Rank
    count: int
    labels: Sequence[str]
    outputs: Mapping[str, TensorSpec]


def refuse_existing(output: Path, items: Sequence[Item]) -> None:
    """Raises UsageError where results would be overwritten."""
    paths = [output] if is_file(output) else [npz_path(output, item) for item in items]
    existing = [path for path in paths if os.path.lexists(path) and not (path.is_file() and not path.stat().st_size)]
    if existing:
        others = f" and {len(existing) - 1} more of the results exist" if existing[1:] else " exists"
        raise UsageError(f"{existing[0]}{others}: --resume goes on, --overwrite begins anew")


def is_file(output: Path) -> bool:
    """Whether all results go into one file, by its ending; else into a folder."""
    return output.suffix.lower() in RECORD_FILES


def open_sink(output: Path, top: Top | None, record: Record) -> Sink:
    """top: what is kept of the outputs; None: all values. record: what they are made with."""
    if not is_file(output):
        return NpzFolder(output, record)
    return Csv(output, top, record) if output.suffix.lower() == ".csv" else JsonLines(output, top, record)


class Sink(ABC):
    """Results on disk: `finished` where an earlier run is to be continued, `begin`, `write` per item, `close`."""

    @abstractmethod
    def finished(self, items: Sequence[Item]) -> set[str]:
        """Names whose results an earlier run has written. Raises UsageError where it wrote something else, or made it
        with something else."""

    @abstractmethod
    def begin(self, items: Sequence[Item], go_on: bool) -> None:
        """go_on: behind what `finished` has found; else anew: no result of these items is there then. Raises Error."""

    @abstractmethod
    def write(self, item: Item, outputs: Arrays) -> None:
        """All or nothing, as far as `finished` sees; by `close` at the latest. Raises Error, of earlier items too."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is left. Raises Error."""


class NpzFolder(Sink):
    """One .npz per item, below the folder as the inputs lie below theirs: a/x.jpg -> a/x.jpg.npz.

    Threads write them: making a file takes longer than filling it, and most of that is waiting. The record is each
    archive's comment, so that a folder may hold the results of unlike runs.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self._folder, self._record, self._comment = folder, record, encode(record)
        self._pool = ThreadPoolExecutor(WRITERS, "writer")
        self._writing: deque[Future[None]] = deque()

    def finished(self, items: Sequence[Item]) -> set[str]:
        names = set()
        for item in items:
            path = npz_path(self._folder, item)
            try:
                with zipfile.ZipFile(path) as archive:
                    comment = archive.comment
            except NO_ARCHIVE:
                continue
            check(self._record, comment, path, where="its comment says nothing")
            names.add(item.name)
        return names

    def begin(self, items: Sequence[Item], go_on: bool) -> None:
        for path in () if go_on else (npz_path(self._folder, item) for item in items):
            with _errors(path):
                path.unlink(missing_ok=True)

    def write(self, item: Item, outputs: Arrays) -> None:
        self._writing.append(self._pool.submit(self._write, item, outputs))
        while self._writing and (len(self._writing) > 2 * WRITERS or self._writing[0].done()):
            self._writing.popleft().result()

    def _write(self, item: Item, outputs: Arrays) -> None:
        path = npz_path(self._folder, item)
        unfinished = path.with_name(path.name + UNFINISHED)
        with _errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                if sum(array.nbytes for array in outputs.values()) <= AT_ONCE:
                    self._pack(archive := io.BytesIO(), outputs)
                    unfinished.write_bytes(archive.getbuffer())
                else:
                    self._pack(unfinished, outputs)
                unfinished.replace(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise

    def _pack(self, file: io.BytesIO | Path, outputs: Arrays) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.comment = self._comment
            for name, array in outputs.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    def close(self) -> None:
        self._pool.shutdown()
        while self._writing:
            self._writing.popleft().result()


def npz_path(folder: Path, item: Item) -> Path:
    """The input's ending stays: x.jpg and x.png do not meet."""
    return folder / f"{item.name}.npz"


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Error(f"{path}: cannot be written: {error.strerror or error}") from error


class Records(Sink):
    """A text file with one record per item, in the order of the items. What they are made with lies beside it: every
    line of such a file is for those who read results."""

    def __init__(self, path: Path, top: Top | None, record: Record) -> None:
        self._path, self._top, self._record = path, top, record
        self._end = 0
        self._stream: Any = None

    @abstractmethod
    def encode(self, name: str, outputs: Arrays) -> str:
        """The record, with its line end."""

    @abstractmethod
    def read(self, stream: Any) -> Iterator[tuple[str, int]]:
        """Names of the complete records, and where each ends. Raises UsageError where a record is of another kind."""

    @abstractmethod
    def header(self) -> str:
        """What stands before the first record."""

    def finished(self, items: Sequence[Item]) -> set[str]:
        names: set[str] = set()
        try:
            if not self._path.exists() or not self._path.stat().st_size:
                return names
            self._check_record()
            with self._path.open("rb") as stream:
                for name, end in self.read(stream):
                    names.add(name)
                    self._end = end
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be read: {error.strerror or error}") from error
        return names

    def _check_record(self) -> None:
        beside, found = record_path(self._path), None
        if beside.is_file():
            with beside.open("rb") as stream:
                found = stream.read(MOST_RECORD_BYTES)
        check(self._record, found, self._path, where=f"{beside.name} is missing or damaged")

    def begin(self, items: Sequence[Item], go_on: bool) -> None:
        go_on = go_on and self._end > 0
        with _errors(self._path):
            self._stream = self._path.open("r+b" if go_on else "wb", buffering=0)
            if go_on:
                self._stream.seek(self._end)
                self._stream.truncate()
                return
            self._write_record()  # after the old results are gone, before there are new ones
            self._write(self.header())

    def _write_record(self) -> None:
        beside = record_path(self._path)
        unfinished = beside.with_name(beside.name + UNFINISHED)
        with _errors(beside):
            unfinished.write_bytes(encode(self._record))
            unfinished.replace(beside)

    def write(self, item: Item, outputs: Arrays) -> None:
        with _errors(self._path):
            self._write(self.encode(item.name, outputs))

    def _write(self, text: str) -> None:
        rest = memoryview(text.encode(*TEXT))
        while rest:
            rest = rest[self._stream.write(rest) :]

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def other_kind(self, line: int, why: str) -> UsageError:
        """--resume cannot go on with this file."""
        return UsageError(f"--resume: {self._path}:{line}: {why}; --overwrite begins anew")


class JsonLines(Records):
    """{"input": name, "outputs": {output: values}}, or "top" with the largest ones, per row of the item."""

    def header(self) -> str:
        return ""

    def encode(self, name: str, outputs: Arrays) -> str:
        if self._top is None:
            values: Any = {one: _plain(array.tolist()) for one, array in outputs.items()}
            return json.dumps({"input": name, "outputs": values}) + "\n"
        top = {one: [self._entries(row) for row in self._top.rank(one, outputs[one])] for one in self._top.outputs}
        return json.dumps({"input": name, "top": top}) + "\n"

    def _entries(self, ranking: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
        labels = self._top.labels if self._top is not None else ()
        return [
            {"class": index, "value": _plain(value)} | ({"label": labels[index]} if labels else {})
            for index, value in ranking
        ]

    def read(self, stream: Any) -> Iterator[tuple[str, int]]:
        end, kind = 0, "outputs" if self._top is None else "top"
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                raise self.other_kind(number, "not a line of JSON") from None
            if not isinstance(record, dict) or not isinstance(record.get("input"), str) or kind not in record:
                raise self.other_kind(number, f'expected a record with "input" and "{kind}"')
            yield record["input"], end


def _plain(value: Any) -> Any:
    """Values that JSON has; NaN and infinities become their names."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else repr(value)  # nine digits say which float32 it is
    return value


class Csv(Records):
    """input, row of how many rows, then class, value and label of each of the largest values; names of outputs in front
    where there are several. An item of several rows has as many lines. UsageError where outputs differ in rows."""

    def __init__(self, path: Path, top: Top | None, record: Record) -> None:
        super().__init__(path, top, record)
        assert top is not None, "there is no table of all values"
        self._ranked = top
        shapes = {name: spec.shape for name, spec in top.outputs.items()}
        if len({shape[0] if len(shape) > 1 else 1 for shape in shapes.values()}) > 1:
            told = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise UsageError(f"-o {path}: outputs of unlike numbers of rows make no table: {told}; use .jsonl")
        self._columns = ["input", "row", "rows"]
        for name, shape in shapes.items():
            prefix = f"{name}_" if len(shapes) > 1 else ""
            for rank in range(1, min(top.count, math.prod(shape[1:] if len(shape) > 1 else shape)) + 1):
                self._columns += [f"{prefix}class_{rank}", f"{prefix}value_{rank}"]
                self._columns += [f"{prefix}label_{rank}"] if top.labels else []

    def header(self) -> str:
        return _csv([self._columns])

    def encode(self, name: str, outputs: Arrays) -> str:
        top = self._ranked
        items = list(zip(*(top.rank(one, outputs[one]) for one in top.outputs), strict=True))
        rows = []
        for number, rankings in enumerate(items):
            cells: list[Any] = [name, number, len(items)]
            for index, value in itertools.chain.from_iterable(rankings):
                cells += [index, f"{value:.9g}", *([top.labels[index]] if top.labels else [])]
            rows.append(cells)
        return _csv(rows)

    def read(self, stream: Any) -> Iterator[tuple[str, int]]:
        """Of an item all lines must be there; those of the last one may not be."""
        lines = _Whole(stream)
        rows = csv.reader(lines, strict=True)
        try:
            header = next(rows, None)
            if header is not None and header != self._columns:
                raise self.other_kind(1, "has other columns")
            for row in rows:
                if len(row) != len(self._columns) or not (row[1].isdecimal() and row[2].isdecimal()):
                    raise self.other_kind(rows.line_num, f"expected {len(self._columns)} cells as in the first line")
                if int(row[1]) + 1 == int(row[2]):
                    yield row[0], lines.end
        except csv.Error as error:
            if not lines.ended:
                raise self.other_kind(rows.line_num, str(error)) from None


class _Whole:
    """The complete lines of a binary stream as text. end: where they end so far. ended: whether that was all."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.end, self.ended = stream, 0, False

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            if not line.endswith(b"\n"):
                break
            self.end += len(line)
            yield line.decode(*TEXT)
        self.ended = True


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
