"""Write the files of a model as a folder or an archive: whole or not at all, and never over anything else."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from nnef_cl.errors import Error, FileFormatError
from nnef_cl.format.container import GRAPH, MODEL_FILES, open_container
from nnef_cl.format.tensor_file import Buffer, reason

ARCHIVES = (".tgz", ".tar.gz", ".tar")


def write_model(target: str | Path, files: Mapping[str, Buffer]) -> None:
    """files: name -> content. `target` ends in .tgz, .tar.gz or .tar for an archive, anything else is a folder.

    What stands there already is replaced at the end, in one step, where it is a model and nothing else (or an empty
    folder). Raises Error, and leaves everything as it was.
    """
    path, archive = Path(target), _is_archive(target)
    _check_replaceable(path, archive)
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}.", dir=path.absolute().parent))
    except OSError as error:
        raise _failed(path, error) from None
    try:
        ready, old = staging / "new", staging / "old"
        _write_archive(ready, files, path.suffix.lower() != ".tar") if archive else _write_folder(ready, files)
        if path.is_dir():
            path.rename(old)
        try:
            ready.replace(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        raise _failed(path, error) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_target(target: str | Path) -> None:
    """Before the work whose result `write_model` writes there. Leaves no trace. Raises Error."""
    path = Path(target)
    _check_replaceable(path, _is_archive(path))
    try:
        with tempfile.TemporaryDirectory(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise _failed(path, error) from None


def _is_archive(target: str | Path) -> bool:
    return Path(target).name.lower().endswith(ARCHIVES)


def _failed(path: Path, error: OSError) -> Error:
    return Error(f"{path}: cannot be written: {reason(error)}")


def _check_replaceable(path: Path, archive: bool) -> None:
    """Raises Error where something other than a model has the name."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or path.is_dir() == archive:
        kind = "a link" if path.is_symlink() else "a folder" if archive else "a file"
        raise Error(f"{path}: is {kind}, and is not replaced by {'an archive' if archive else 'a folder'}")
    if archive:
        try:
            open_container(path).close()
        except FileFormatError as error:
            raise Error(f"{path}: is not a model ({error.message}), and is not replaced") from None
        return
    found = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    strange = [file for file in found if file.suffix.lower() not in MODEL_FILES]
    if strange or (found and path / GRAPH not in found):
        what = f"holds '{strange[0].relative_to(path)}'" if strange else f"holds files, but no {GRAPH}"
        raise Error(f"{path}: {what}, so it is not just a model, and is not replaced")


def _write_folder(folder: Path, files: Mapping[str, Buffer]) -> None:
    folder.mkdir()
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _write_archive(file: Path, files: Mapping[str, Buffer], compressed: bool) -> None:
    """Equal files give equal bytes: no times, no owners."""
    opened: Callable[[BinaryIO], BinaryIO] = (
        (lambda raw: gzip.GzipFile("", "wb", fileobj=raw, mtime=0)) if compressed else (lambda raw: raw)  # type: ignore[assignment,return-value]
    )
    with file.open("wb") as raw, opened(raw) as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
