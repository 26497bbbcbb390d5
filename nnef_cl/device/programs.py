"""Builds of one device, from the cache where it has them: binaries, or the files of a driver's own cache."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnef_cl.device.cache import Cache
from nnef_cl.device.environment import driver_folder
from nnef_cl.device.facts import DeviceInfo
from nnef_cl.device.opencl import opencl

if TYPE_CHECKING:
    from pyopencl import Context, Program

FORMAT = "1"
BINARY, FOLDER = "binary", "folder"
"""Kinds of cache entries: a program binary; a tar of what a driver put into its own cache folder for a program."""


def program_parts(info: DeviceInfo, options: str, source: str) -> dict[str, str]:
    """Everything a compiled program depends on, by name."""
    library = Path(info.library) if info.library else None
    stamp = ""
    if library is not None:
        with contextlib.suppress(OSError):
            stamp = f"{library} {library.stat().st_mtime_ns}"
    return {
        "format": FORMAT, "pyopencl": opencl().VERSION_TEXT,
        "platform": f"{info.platform} {info.platform_version}", "runtime": stamp,
        "device": f"{info.vendor} {info.name} {info.version}", "driver": info.driver_version,
        "options": options, "source": hashlib.sha256(source.encode()).hexdigest(),
    }  # fmt: skip


class BuildError(Exception):
    """A program does not build; the text holds the compiler's log."""


class Programs:
    """Builds programs for one device; safe to use from several threads.

    kind: BINARY, FOLDER, or '' where the driver's own cache does it all.
    """

    def __init__(self, context: Context, handles: Sequence[Any], info: DeviceInfo, cache: Cache, kind: str) -> None:
        """handles: pyopencl's devices of the context, all of one kind."""
        self.context, self.handles, self.info, self.cache = context, list(handles), info, cache
        self.kind = kind
        self.hits = self.misses = 0
        self._pending: list[_Pending] = []

    def build(self, source: str, options: str, note: str = "") -> Program:
        """Source -> built program; raises BuildError. note: what the cache says to people about it."""
        parts = program_parts(self.info, options, source)
        if self.kind == BINARY:
            built = self._binary(parts, source, options, note)
        elif self.kind == FOLDER and driver_folder() is not None:
            built = self._with_driver_files(parts, source, options, note)
        else:
            built = self._from_source(source, options)
        program: Program = opencl().Program(built)
        return program

    @contextlib.contextmanager
    def not_kept(self) -> Iterator[None]:
        """What is built inside the block is not looked for in the cache and not put there."""
        kind, self.kind = self.kind, ""
        try:
            yield
        finally:
            self.kind = kind

    def lacks(self, source: str, options: str) -> bool:
        """Whether the cache could hold the program and does not."""
        kept = self.cache.writable and self.kind in (BINARY, FOLDER)
        return kept and not self.cache.has(self.kind, program_parts(self.info, options, source))

    def explain(self, source: str, options: str, note: str) -> list[str] | None:
        """Why the cache does not hold the program: the names of the parts that differ from the entry most like it (all
        of them where there is none); None where it does hold it."""
        parts = program_parts(self.info, options, source)
        if self.cache.has(self.kind, parts):
            return None
        alike = [entry for entry in self.cache.entries() if entry.kind == self.kind and entry.note == note]
        differing = [[name for name, value in parts.items() if entry.parts.get(name) != value] for entry in alike]
        return min(differing, key=len, default=list(parts))

    def keep_launched(self) -> None:
        """To be called after first launches: some drivers compile only then."""
        pending, self._pending = self._pending, []
        for one in pending:
            top = driver_folder()
            names = _files(one.folders)
            if top is not None and names and names != _names(one.known, top):
                self.cache.put(FOLDER, one.parts, _packed(names, top), one.note)

    def _binary(self, parts: Mapping[str, str], source: str, options: str, note: str) -> Any:
        from pyopencl import _cl  # noqa: PLC0415

        cl = opencl()
        binary = self.cache.get(BINARY, parts)
        if binary is not None:
            with contextlib.suppress(cl.Error, BuildError):  # the driver does not want it: from source then
                binaries = [binary] * len(self.handles)
                program = _built(_cl._Program(self.context, self.handles, binaries), options, self.handles)
                self.hits += 1
                return program
        self.misses += 1
        program = self._from_source(source, options)
        with contextlib.suppress(cl.Error, IndexError):
            self.cache.put(BINARY, parts, program.get_info(cl.program_info.BINARIES)[0], note)
        return program

    def _with_driver_files(self, parts: Mapping[str, str], source: str, options: str, note: str) -> Any:
        """The driver finds in its folder what it put there in an earlier process; new files are kept later."""
        top = driver_folder()
        assert top is not None
        key = tuple(parts.values())
        with _folder_lock:
            before = _folders(top)
            files = self.cache.get(FOLDER, parts) if key not in _folders_of else None
            known = files if files is not None and _unpack(files, top) else b""
            hit = bool(known) or key in _folders_of
            self.hits, self.misses = self.hits + hit, self.misses + (not hit)
            program = self._from_source(source, options)
            _folders_of.setdefault(key, sorted(_folders(top) - before))
            self._pending.append(_Pending(parts, note, _folders_of[key], known))
        return program

    def _from_source(self, source: str, options: str) -> Any:
        # pyopencl's Program class would add include paths, which break where they hold a space, and a disk
        # cache whose faults reach the user.
        from pyopencl import _cl  # noqa: PLC0415

        return _built(_cl._Program(self.context, source), options, self.handles)


@dataclass(frozen=True)
class _Pending:
    """A program whose driver files are not all there yet; known: the tar they came from, or nothing."""

    parts: Mapping[str, str]
    note: str
    folders: list[Path]
    known: bytes = field(repr=False)


_folder_lock = threading.Lock()
"""Drivers do not say which files belong to which program: what appears during one build does."""
_folders_of: dict[tuple[str, ...], list[Path]] = {}


def _built(program: Any, options: str, handles: Sequence[Any]) -> Any:
    """The program, built; BuildError with the compiler's log. pyopencl's `build` would warn of every log."""
    cl = opencl()
    try:
        program._build(options=options.encode(), devices=handles)
    except cl.Error as error:
        log = ""
        with contextlib.suppress(cl.Error):
            log = program.get_build_info(handles[0], cl.program_build_info.LOG)
        raise BuildError(f"{error}\n{log}") from error
    return program


def _folders(top: Path) -> set[Path]:
    return {path for path in top.rglob("*") if path.is_dir()}


def _files(folders: list[Path]) -> list[Path]:
    return sorted({path for folder in folders for path in folder.rglob("*") if path.is_file()})


def _names(tar: bytes, top: Path) -> list[Path]:
    """The files in a tar of `_packed`."""
    if not tar:
        return []
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return sorted(top / member.name for member in archive.getmembers())


def _packed(files: list[Path], top: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in files:
            with contextlib.suppress(OSError):
                archive.add(path, str(path.relative_to(top)), recursive=False)
    return stream.getvalue()


def _unpack(tar: bytes, top: Path) -> bool:
    """Whether all files could be written."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for member in archive.getmembers():
                stream = archive.extractfile(member)
                assert stream is not None
                path = top / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(f"{path.name}.part")
                part.write_bytes(stream.read())
                part.replace(path)  # a driver never sees half a file
    except OSError:
        return False
    return True
