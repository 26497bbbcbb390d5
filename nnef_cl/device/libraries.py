"""The libraries that OpenCL loads into a process: which there are, and how to leave some of them out."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nnef_cl.device.rules import PipRuntime, Runtimes, UnnamedRuntime

VENDORS = "/etc/OpenCL/vendors"
VENDORS_VARIABLES = ("OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH")
HOME_VARIABLE = "PYOPENCL_HOME"
_LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib",
)  # fmt: skip

PIP, SYSTEM, BUNDLED = "pip", "system", "pyopencl"


@dataclass(frozen=True)
class Library:
    """One OpenCL runtime. library: path or bare name; icd: the file that names it to the loader, None where no file
    does and the library itself is asked; source: PIP, SYSTEM, or BUNDLED (beside pyopencl, where its loader looks)."""

    library: str
    icd: Path | None
    source: str

    @property
    def id(self) -> str:
        return str(self.icd or self.library)

    @property
    def stamp(self) -> str:
        """Changes when the library's file does, as far as the file is known."""
        for path in self.candidates:
            with contextlib.suppress(OSError):
                status = path.stat()
                return f"{path} {status.st_size} {status.st_mtime_ns}"
        return self.library

    @property
    def candidates(self) -> list[Path]:
        """Where the file may lie."""
        if "/" in self.library or os.sep in self.library:
            return [Path(self.library)]
        folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep), *_LIBRARY_FOLDERS]
        return [Path(folder) / self.library for folder in folders if folder]


def libraries(runtimes: Runtimes) -> list[Library]:
    """Every runtime that discovery would load. On Windows and macOS only those from pip: there the system knows."""
    named = [*_named_by(vendors_folder(), SYSTEM), *_named_by(_bundled_folder(), BUNDLED)]
    return [*named, *_from_pip(runtimes.pip), *_unnamed(runtimes.unnamed, named)]


def _from_pip(runtimes: Iterable[PipRuntime]) -> Iterator[Library]:
    for runtime in runtimes:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            for entry in importlib.metadata.distribution(runtime.distribution).files or []:
                if entry.name in runtime.files:
                    yield Library(str(Path(str(entry.locate())).resolve()), None, PIP)


def _unnamed(runtimes: Iterable[UnnamedRuntime], named: list[Library]) -> Iterator[Library]:
    """Libraries that are there although no .icd file names them; nobody wants them where the user chose the files."""
    if vendors_folder() != Path(VENDORS):
        return
    for runtime in runtimes:
        one = Library(runtime.library, None, SYSTEM)
        known = any(Path(other.library).name == runtime.library for other in named)
        if not known and any(path.is_file() for path in one.candidates):
            yield one


def vendors_folder() -> Path:
    """Where the loader reads .icd files."""
    return Path(next((os.environ[v] for v in VENDORS_VARIABLES if os.environ.get(v)), VENDORS))


def _bundled_folder() -> Path:
    spec = importlib.util.find_spec("pyopencl")
    return Path(spec.origin).parent / ".libs" if spec is not None and spec.origin else Path("/nonexistent")


def _named_by(folder: Path, source: str) -> Iterator[Library]:
    if sys.platform in ("win32", "darwin"):
        return
    paths = [folder] if folder.suffix == ".icd" else sorted(folder.glob("*.icd"))
    for icd in paths:
        with contextlib.suppress(OSError):
            text = icd.read_text(encoding="utf-8", errors="replace").strip()
            yield Library(str(folder / text) if source == BUNDLED else text, icd, source)


@contextlib.contextmanager
def without(excluded: frozenset[str], found: list[Library]) -> Iterator[None]:
    """Inside, the loader does not see the .icd files with these ids; it reads them at a process's first question."""
    named = [one for one in found if one.icd is not None]
    if not any(one.id in excluded for one in named):
        yield
        return
    before = {name: os.environ.get(name) for name in (*VENDORS_VARIABLES, HOME_VARIABLE)}
    with tempfile.TemporaryDirectory(prefix="nnef-cl-") as folder:
        for number, one in enumerate(one for one in named if one.id not in excluded):
            (Path(folder) / f"{number}.icd").write_text(one.library, encoding="utf-8")
        try:
            os.environ |= dict.fromkeys(before, folder)
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ |= {} if value is None else {name: value}
