"""Open a model folder or archive and read its files in place, one by one (NNEF 1.0.5, section 5).

A folder, the graph.nnef in one, a tar, and a gzip-compressed tar are recognised by what they are, not by their
names. Archives may hold their files in one folder at the top. Nothing is ever unpacked under a name of the
archive's. An archive with a link, a device, an absolute name, a name with '..' or the same name twice is refused when
it is opened; in folders, links are followed, but to regular files only.

Memory: files of folders and of plain tars are memory-mapped. A compressed tar is decompressed once, when it is
opened: beyond IN_MEMORY into a temporary file without a name, which is mapped, too, and goes with its last reader.
"""

from __future__ import annotations

import errno
import gzip
import io
import mmap
import re
import sys
import tarfile
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO

from nnef_cl.errors import FileFormatError, MissingTensorError, ModelError
from nnef_cl.format.tensor_file import (
    HEADER_BYTES,
    LEAST_MAPPED,
    NO_READERS,
    Buffer,
    Readers,
    TensorHeader,
    map_file,
    read_header,
    reason,
)
from nnef_cl.settings import EXPANSION, TEXT_BYTES

GRAPH = "graph.nnef"
MODEL_FILES = (".nnef", ".quant", ".dat")
ARGUMENTS, CONTAINER = "arguments", "container"
"""Rules that a label breaks, as the importer calls them."""


UNSUSPECTED_RATIO = 64
"""A compressed archive may expand to that many times its size, even beyond EXPANSION."""

IN_MEMORY = 4 << 20
"""Bytes of an unpacked archive that need no file."""
_ALIGNMENT = 64
_PIECE = 1 << 20
# What tarfile and zlib raise for archives they cannot make sense of.
_BROKEN = (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, ArithmeticError, LookupError, MemoryError)


class Container(ABC):
    """The files of one model, as a context manager. name: the path it was opened with."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Forget the files. Buffers handed out stay valid."""

    def has(self, name: str) -> bool:
        """Whether there is a file of exactly this name, such as 'graph.quant'."""
        return self._find(name) == name

    def has_tensor(self, label: str) -> bool:
        """Whether there is a file for the variable. Raises ModelError as tensor_name does."""
        return self._find(tensor_name(label)) is not None

    def read_text(self, name: str, limit: int | None = None) -> bytes | None:
        """The content of a file, None where there is none. Raises FileFormatError beyond `limit` bytes, TEXT_BYTES by
        default."""
        if not self.has(name):
            return None
        buffer = self._buffer(name)
        limit = TEXT_BYTES.value if limit is None else limit
        if len(buffer) > limit:
            message = f"'{name}' has {len(buffer)} bytes, expected at most {limit} {TEXT_BYTES.hint}"
            raise FileFormatError(message, where=self.name)
        return bytes(buffer)

    def open_tensor(self, label: str) -> Buffer:
        """The bytes of the variable's tensor file: exact case preferred, any other accepted where unambiguous.

        Raises MissingTensorError where there is no such file, ModelError for a label that cannot be a file's name.
        """
        return self._buffer(self._tensor(label))

    def tensor_header(self, label: str, readers: Readers = NO_READERS) -> TensorHeader:
        """The header of the variable's tensor file, compared with the file's size; reads no data. Raises as
        open_tensor and read_header do."""
        found = self._tensor(label)
        return read_header(self._buffer(found), f"{label}.dat", self._size(found), readers)

    def _size(self, name: str) -> int:
        """Bytes of a file that `_find` returned."""
        return len(self._buffer(name))

    def _tensor(self, label: str) -> str:
        wanted = tensor_name(label)
        found = self._find(wanted)
        if found is None:
            raise MissingTensorError(f"no file '{wanted}' for variable '{label}'", where=self.name, rule=CONTAINER)
        return found

    @abstractmethod
    def _find(self, name: str) -> str | None:
        """The file of that name, in this case or, where there is just one, in another."""

    @abstractmethod
    def _buffer(self, name: str) -> Buffer:
        """The content of a file that `_find` returned."""

    def _only(self, wanted: str, candidates: list[str]) -> str | None:
        """Of names that differ in case only: the wanted one, or the single one."""
        if wanted in candidates:
            return wanted
        if len(candidates) > 1:
            names = ", ".join(map(ascii, sorted(candidates)))
            raise FileFormatError(f"'{wanted}' may be any of {names}", where=self.name)
        return candidates[0] if candidates else None


def open_container(path: str | Path, *, headers_only: bool = False) -> Container:
    """The model at `path`: a folder, its graph.nnef, or an archive. Raises FileFormatError.

    headers_only: of tensors in compressed archives keep the headers, not the data.
    """
    path = Path(path)
    try:
        if path.is_dir():
            container = _with_graph(Folder(path))
        elif (data := map_file(path))[:2] == b"\x1f\x8b":
            container = _with_graph(Archive(str(path), _gzip_members(path, len(data), headers_only)))
        elif data[257:262] == b"ustar" or path.name != GRAPH:
            container = _with_graph(Archive(str(path), _tar_members(path, data)))
        else:
            container = _with_graph(Folder(path.parent))
    except (OSError, ValueError) as error:
        raise FileFormatError(f"cannot be read: {reason(error)}", where=ascii(str(path))) from None
    return container


def tensor_name(label: str) -> str:
    """Variable label -> file name. Backslashes count as slashes, slashes at the front do not count."""
    if not re.fullmatch(r"[A-Za-z0-9_./\\-]+", label):
        raise ModelError(f"label {label!a} has characters other than letters, digits and _ . / \\ -", rule=ARGUMENTS)
    parts = _parts(label)
    if ".." in parts:
        raise ModelError(f"label '{label}' reaches outside the model", rule=CONTAINER)
    if not parts:
        raise ModelError(f"label '{label}' names no file", rule=CONTAINER)
    return "/".join(parts) + ".dat"


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _with_graph(container: Container) -> Container:
    if not container.has(GRAPH):
        raise FileFormatError(f"there is no {GRAPH} in it", where=container.name)
    return container


class Folder(Container):
    """A model's files in a folder; opened, and mapped into memory, when they are asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def close(self) -> None:
        self._listings.clear()

    def _find(self, name: str) -> str | None:
        found: list[str] = []
        for part in name.split("/"):
            listing = self._listing(self._path.joinpath(*found))
            match = self._only(part, listing.get(part.lower(), []))
            if match is None:
                return None
            found.append(match)
        return "/".join(found)

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """Lower case -> names; read once. Empty for what is no folder."""
        if folder not in self._listings:
            names = defaultdict(list)
            try:
                for entry in folder.iterdir() if folder.is_dir() else ():
                    names[entry.name.lower()].append(entry.name)
            except OSError as error:
                raise FileFormatError(f"cannot be read: {reason(error)}", where=str(folder)) from None
            self._listings[folder] = names
        return self._listings[folder]

    def _buffer(self, name: str) -> Buffer:
        return map_file(self._path / name, least=LEAST_MAPPED)


class Archive(Container):
    """A model's files in an archive. members: names without '.' and empty parts, contents or their begin, sizes."""

    def __init__(self, name: str, members: Iterable[tuple[str, Buffer, int]]) -> None:
        super().__init__(name)
        self._members: dict[str, tuple[Buffer, int]] = {}
        for member, content, size in members:
            if member in self._members:
                raise FileFormatError(f"member {member!a} is there twice", where=name)
            self._members[member] = content, size
        self._enter_top_folder()
        self._names = defaultdict(list)
        for member in self._members:
            self._names[member.lower()].append(member)

    def _enter_top_folder(self) -> None:
        """Where the root has no graph.nnef, but just one of its folders has: names are relative to that."""
        if GRAPH in self._members:
            return
        tops = [top for top, _, rest in (name.partition("/") for name in self._members) if rest == GRAPH]
        if len(tops) > 1:
            raise FileFormatError(f"holds {len(tops)} models: {', '.join(map(ascii, tops))}", where=self.name)
        for top in tops:
            prefix = f"{top}/"
            inside = {name for name in self._members if name.startswith(prefix)}
            self._members = {name[len(prefix) :]: self._members[name] for name in inside}

    def close(self) -> None:
        self._members.clear()
        self._names.clear()

    def _find(self, name: str) -> str | None:
        return self._only(name, self._names.get(name.lower(), []))

    def _buffer(self, name: str) -> Buffer:
        return self._members[name][0]

    def _size(self, name: str) -> int:
        return self._members[name][1]


def _tar_members(path: Path, data: Buffer) -> Iterator[tuple[str, Buffer, int]]:
    """Slices of the mapped archive."""
    if not isinstance(data, mmap.mmap):
        raise FileFormatError("the file is empty", where=str(path))
    try:
        with tarfile.open(fileobj=data, mode="r:") as tar:
            for name, member in _files(tar, str(path)):
                end = member.offset_data + member.size
                if end > len(data):
                    raise FileFormatError(f"truncated in member {name!a}", where=str(path))
                yield name, memoryview(data)[member.offset_data : end], member.size
    except _BROKEN as error:
        raise _broken(path, error) from None


def _gzip_members(path: Path, size: int, headers_only: bool) -> Iterator[tuple[str, Buffer, int]]:
    """Files a model consists of, decompressed in one go; the content of others is left empty."""
    limit = max(EXPANSION.value, UNSUSPECTED_RATIO * size)
    places: list[tuple[str, int, int, int]] = []
    try:
        with (
            gzip.GzipFile(path) as stream,
            _Bounded(stream, limit, path) as bounded,
            tarfile.open(fileobj=bounded, mode="r|") as tar,
            tempfile.SpooledTemporaryFile(_in_memory()) as unpacked,
        ):
            for name, member in _files(tar, str(path)):
                if member.size > limit:
                    raise _Bounded.refusal(path, limit)
                suffix = PurePosixPath(name).suffix.lower()  # names may differ from labels in case
                kept = min(member.size, HEADER_BYTES) if headers_only and suffix == ".dat" else member.size
                content = tar.extractfile(member) if suffix in MODEL_FILES else None
                begin = unpacked.tell()
                if content:
                    _copy(content, kept, unpacked)
                places.append((name, begin, unpacked.tell() - begin, member.size))
                unpacked.write(bytes(-unpacked.tell() % _ALIGNMENT))
            while bounded.read(_PIECE):
                pass  # zlib compares the checksum at the end
            whole = _whole(unpacked)
    except _BROKEN as error:
        raise _broken(path, error) from None
    for name, begin, kept, length in places:
        yield name, whole[begin : begin + kept], length


def _copy(file: IO[bytes], size: int, target: IO[bytes]) -> None:
    """`size` bytes, in pieces: a header may promise more than there is."""
    while size:
        piece = file.read(min(_PIECE, size))
        if not piece:
            raise EOFError
        target.write(piece)
        size -= len(piece)


def _in_memory() -> int:
    """Bytes that are unpacked without a file: all of them where there is no folder for one."""
    try:
        tempfile.gettempdir()
    except OSError:
        return sys.maxsize
    return IN_MEMORY


def _whole(file: IO[bytes]) -> memoryview:
    """All of a temporary file, mapped where it is one on disk."""
    if file.tell() <= _in_memory():
        file.seek(0)
        return memoryview(file.read())
    file.flush()
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class _Bounded(io.BufferedIOBase):
    """A stream that refuses to give more than `limit` bytes in all."""

    def __init__(self, stream: gzip.GzipFile, limit: int, path: Path) -> None:
        self._stream, self._left, self._limit, self._path = stream, limit, limit, path

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None and size >= 0
        piece = self._stream.read(min(size, _PIECE))
        self._left -= len(piece)
        if self._left < 0:
            raise self.refusal(self._path, self._limit)
        return piece

    @staticmethod
    def refusal(path: Path, limit: int) -> FileFormatError:
        message = f"expands to more than {limit} bytes, far more than its own size {EXPANSION.hint}"
        return FileFormatError(message, where=str(path))


def _files(tar: tarfile.TarFile, archive: str) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """The regular files with their clean names; anything that could reach outside is refused."""
    last = -1
    for member in tar:
        shown = ascii(member.name)
        if member.size < 0 or member.offset_data <= last:
            raise FileFormatError(f"member {shown} has an impossible size", where=archive)
        last = member.offset_data
        parts = _parts(member.name)
        if member.name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", member.name):
            raise FileFormatError(f"member {shown} reaches outside the archive", where=archive)
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            what = "a link" if member.issym() or member.islnk() else "not a regular file"
            raise FileFormatError(f"member {shown} is {what}", where=archive)
        yield "/".join(parts), member


def _broken(path: Path, error: Exception) -> FileFormatError:
    """One line for whatever the libraries found wrong with an archive."""
    if isinstance(error, EOFError):
        message = "truncated archive"
    elif isinstance(error, MemoryError):
        message = "not enough memory for the archive"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"no room to unpack the archive in {tempfile.gettempdir()}; TMPDIR names another place"
    else:
        cause = " ".join(reason(error).split())
        message = f"not a model folder, a {GRAPH} or a tar archive, or a damaged one ({cause})"
    return FileFormatError(message, where=str(path))
