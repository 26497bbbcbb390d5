"""Files kept between processes: content-addressed, checksummed, written whole, private to the user, limited in size."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import platformdirs

FOLDER, LIMIT = "NNEF_CL_CACHE", "NNEF_CL_CACHE_SIZE"
"""Environment: the cache folder, or 'off'; its size limit in megabytes."""
DEFAULT_LIMIT = 2000
MAGIC = b"nnef-cl cache 1\n"
STALE_SECONDS = 3600
"""A temporary file older than this was left by a process that died."""
DIGEST = 64
NOT_KEPT = "compiled programs are not kept"
_OFF = ("off", "0", "no", "none")

_logger = logging.getLogger("nnef_cl")
_warned: set[str] = set()


@dataclass(frozen=True)
class Entry:
    """One file of the cache. parts: what the key was made from; note: for people; used: seconds since the epoch."""

    path: Path
    kind: str
    parts: Mapping[str, str]
    note: str
    bytes: int
    used: float
    intact: bool


class Cache:
    """A folder of entries `<kind>/<key>`, the key being the hash of named parts. No method raises OSError.

    folder: None keeps nothing. A folder that others may write is not used: what is in it would be run as code. One that
    cannot be written is read.
    """

    def __init__(self, folder: Path | None, limit: int = DEFAULT_LIMIT * 1_000_000) -> None:
        self.limit = limit
        self.folder = folder if folder is not None and self._is_usable(folder) else None
        self.writable = self.folder is not None and self._takes_a_file(self.folder)

    @staticmethod
    def _is_usable(folder: Path) -> bool:
        """Whether the folder is there (made if needed) and ours alone."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            problem = unsafe(folder)
        except OSError as error:
            problem = f"cannot be made ({error.strerror or error})"
        if problem:
            warn_once(f"the cache folder {folder} {problem}; {NOT_KEPT}")
        return not problem

    @staticmethod
    def _takes_a_file(folder: Path) -> bool:
        try:
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"x")
        except OSError as error:
            warn_once(f"the cache folder {folder} cannot be written ({error.strerror or error}); {NOT_KEPT}")
            return False
        return True

    def get(self, kind: str, parts: Mapping[str, str]) -> bytes | None:
        """The payload, or None where there is none that is intact; a damaged file is deleted."""
        if self.folder is None:
            return None
        path = self._path(kind, parts)
        with contextlib.suppress(OSError):
            opened = _open(path.read_bytes())
            if opened is not None and opened.parts == dict(parts):
                with contextlib.suppress(OSError):
                    os.utime(path)
                return opened.payload
            path.unlink(missing_ok=True)
        return None

    def has(self, kind: str, parts: Mapping[str, str]) -> bool:
        """Whether there is an entry, intact or not."""
        return self.folder is not None and self._path(kind, parts).is_file()

    def holds(self, kind: str) -> bool:
        """Whether there may be entries of that kind."""
        return self.folder is not None and (self.folder / kind).is_dir()

    def put(self, kind: str, parts: Mapping[str, str], payload: bytes, note: str = "") -> None:
        """Keeps the payload. Where that fails, says so once per process and goes on."""
        if not self.writable or len(payload) > self.limit:
            return
        path = self._path(kind, parts)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write_whole(path, _file(parts, note, payload))
            self._evict()
        except FileNotFoundError:
            pass  # another process cleared the cache meanwhile
        except OSError as error:
            warn_once(f"the cache folder {self.folder} cannot be written ({error.strerror or error})")

    def entries(self) -> list[Entry]:
        """All entries, the least recently used first, every one read and checked."""
        found = [entry for path, size, used in self._files() if (entry := _entry(path, size, used)) is not None]
        return sorted(found, key=lambda entry: entry.used)

    def clear(self) -> tuple[int, int]:
        """Deletes everything but what is being written; number of files and their bytes."""
        return self._delete(lambda total: True)

    def prune(self, limit: int) -> tuple[int, int]:
        """Deletes the least recently used entries until `limit` bytes are left; number of files and their bytes."""
        return self._delete(lambda total: total > limit)

    def _evict(self) -> None:
        """Down to nine tenths of the limit where it is passed, so that this is seldom."""
        total = sum(size for _, size, _ in self._files())
        if total > self.limit:
            self.prune(self.limit * 9 // 10)

    def _delete(self, wanted: Callable[[int], bool]) -> tuple[int, int]:
        files = sorted(self._files(), key=lambda file: file[2])
        total, count, freed = sum(size for _, size, _ in files), 0, 0
        for path, size, used in files:
            being_written = path.name.startswith(".")
            if time.time() - used > STALE_SECONDS if being_written else wanted(total):
                with contextlib.suppress(OSError):
                    path.unlink()
                    total, count, freed = total - size, count + 1, freed + size
        return count, freed

    def _files(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use of every file, temporary ones among them."""
        found = []
        for path in self.folder.glob("*/*") if self.folder is not None else ():
            with contextlib.suppress(OSError):  # another process may delete it meanwhile
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and path.parent.name != SCRATCH:
                    found.append((path, status.st_size, status.st_mtime))
        return found

    def _path(self, kind: str, parts: Mapping[str, str]) -> Path:
        assert self.folder is not None
        return self.folder / kind / key_of(parts)


SCRATCH = "run"
"""Sub-folder for what lives only while a process runs."""


def key_of(parts: Mapping[str, str]) -> str:
    """The content address: a hash of every part."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def default_cache() -> Cache:
    """The user's cache as the environment says: NNEF_CL_CACHE (a folder, or 'off') and NNEF_CL_CACHE_SIZE."""
    text = os.environ.get(LIMIT) or str(DEFAULT_LIMIT)
    try:
        limit = max(0, int(text))
    except ValueError:
        limit = DEFAULT_LIMIT
        warn_once(f"{LIMIT}: expected a number of megabytes, got {text!r}")
    return _cache(default_folder(), limit * 1_000_000)


@lru_cache(maxsize=4)
def _cache(folder: Path | None, limit: int) -> Cache:
    return Cache(folder, limit)


def default_folder() -> Path | None:
    """The folder NNEF_CL_CACHE names, else the user's; None where the cache is off."""
    text = os.environ.get(FOLDER, "")
    if text.lower() in _OFF:
        return None
    return Path(text).expanduser().absolute() if text else Path(platformdirs.user_cache_dir("nnef-cl", appauthor=False))


def unsafe(folder: Path) -> str:
    """Why others could put files into the folder, as the end of a sentence; '' where they cannot."""
    status = folder.stat()
    if not hasattr(os, "getuid"):
        return ""
    if status.st_uid != os.getuid():
        return "belongs to another user"
    return "may be written by other users (chmod go-w)" if status.st_mode & 0o022 else ""


def warn_once(message: str) -> None:
    """A warning on the logger 'nnef_cl', once per process and text."""
    if message not in _warned:
        _warned.add(message)
        _logger.warning("nnef-cl: warning: %s", message)


# Files -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Opened:
    parts: dict[str, str]
    note: str
    payload: bytes


def _file(parts: Mapping[str, str], note: str, payload: bytes) -> bytes:
    """Magic, hash of the rest, parts and note as a line of JSON, the payload."""
    body = json.dumps([dict(parts), note]).encode() + b"\n" + payload
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _open(data: bytes) -> _Opened | None:
    """None where the file is damaged or of another version."""
    start = len(MAGIC) + DIGEST + 1
    body = data[start:]
    if not data.startswith(MAGIC) or data[len(MAGIC) : start] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        return None
    header, _, payload = body.partition(b"\n")
    parts, note = json.loads(header)
    return _Opened(parts, note, payload)


def _entry(path: Path, size: int, used: float) -> Entry | None:
    """None for a file that has gone and for temporary ones."""
    if path.name.startswith("."):
        return None
    try:
        opened = _open(path.read_bytes())
    except OSError:
        return None
    if opened is None:
        return Entry(path, path.parent.name, {}, "", size, used, False)
    return Entry(path, path.parent.name, opened.parts, opened.note, size, used, True)


def _write_whole(path: Path, data: bytes) -> None:
    """Under a temporary name, then renamed: a reader sees the whole file or none."""
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
