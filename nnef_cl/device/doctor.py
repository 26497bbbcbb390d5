"""Examine the way from this process to a device: libraries, permissions, folders, trials; and how to repair it."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nnef_cl.device import libraries
from nnef_cl.device.cache import FOLDER, default_folder, unsafe
from nnef_cl.device.config import active_rules
from nnef_cl.device.libraries import Library
from nnef_cl.device.manager import discover, problem_of, trust
from nnef_cl.device.rules import Runtimes
from nnef_cl.device.selectors import describe, how_to_get_one, selectors_for
from nnef_cl.errors import DeviceError

LOAD_SECONDS = 30


@dataclass(frozen=True)
class Finding:
    """good: True, False for a problem, None for something worth knowing. repair: a command or an instruction."""

    good: bool | None
    subject: str
    text: str
    repair: str = ""
    is_device: bool = False


def examine() -> Iterator[Finding]:
    """Findings from the loader outwards; devices come last."""
    runtimes = active_rules().runtimes
    yield _loader()
    found = libraries.libraries(runtimes)
    if not any(one.icd is not None for one in found):
        yield Finding(None, "system runtimes", f"no .icd files in {libraries.vendors_folder()}")
    for one in found:
        yield _library(one)
    yield from _unnamed(found, runtimes)
    yield from _device_files(runtimes)
    yield from _path(found)
    yield _cache()
    yield from _devices()


def _loader() -> Finding:
    try:
        version = importlib.metadata.version("pyopencl")
    except importlib.metadata.PackageNotFoundError:
        return Finding(False, "pyopencl", "not installed", f"{sys.executable} -m pip install pyopencl")
    variables = [name for name in libraries.VENDORS_VARIABLES if os.environ.get(name)]
    if variables:
        text = f"{version}; {variables[0]}={os.environ[variables[0]]} replaces {libraries.VENDORS}"
        return Finding(None, "pyopencl", text)
    return Finding(True, "pyopencl", version)


def _library(one: Library) -> Finding:
    named = f"{one.library}, named by {one.icd}" if one.icd is not None else one.library
    reason = trust().broken_libraries().get(one.id)
    if reason:
        repair = f"remove or repair its driver; meanwhile nnef-cl leaves {one.id} out"
        return Finding(False, "runtime", f"{named}: {reason}", repair)
    problem = _load_problem(one.library)
    if problem:
        return Finding(False, "runtime", f"{named}: {problem}", "install what is missing, or the runtime again")
    return Finding(True, "runtime", f"{named} ({one.source})")


def _load_problem(library: str) -> str:
    """Why the dynamic loader refuses the library, tried in another process; '' where it does not."""
    code = "import ctypes, sys\ntry: ctypes.CDLL(sys.argv[1])\nexcept OSError as error: print(error)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, library], capture_output=True, text=True, timeout=LOAD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.strip() or (f"loading it ends the process with {done.returncode}" if done.returncode else "")


def _unnamed(found: list[Library], runtimes: Runtimes) -> Iterator[Finding]:
    for one in found:
        for runtime in runtimes.unnamed:
            if one.icd is None and one.library == runtime.library:
                repair = f"echo {runtime.library} | sudo tee {libraries.VENDORS}/{runtime.icd}"
                text = f"no .icd file names {runtime.library}; nnef-cl finds it, other programs do not"
                yield Finding(None, "runtime", text, repair)


def _device_files(runtimes: Runtimes) -> Iterator[Finding]:
    for files in runtimes.device_files:
        for path in sorted(Path("/").glob(files.pattern.lstrip("/"))):
            if not os.access(path, os.R_OK | os.W_OK):
                group = _group(path)
                repair = f"sudo usermod -aG {group} $USER, then log in again" if group else ""
                yield Finding(False, "permission", f"{path} ({files.because}) cannot be opened by this user", repair)


def _group(path: Path) -> str:
    try:
        return path.group()
    except (OSError, KeyError, NotImplementedError):
        return ""


def _path(found: list[Library]) -> Iterator[Finding]:
    for one in found:
        if one.source == libraries.PIP and " " in one.library:
            text = f"{Path(one.library).parent} has a space in it, and this runtime cannot work from there"
            yield Finding(False, "path", text, "make the Python environment in a folder without spaces")


def _cache() -> Finding:
    folder = default_folder()
    if folder is None:
        return Finding(None, "cache", f"off ({FOLDER}); every process compiles and tries devices anew")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        problem = unsafe(folder) or ("" if os.access(folder, os.W_OK) else "cannot be written")
    except OSError as error:
        problem = f"cannot be made ({error.strerror or error})"
    if problem:
        repair = f"chown and chmod 700 {folder}, or set {FOLDER} to another folder"
        return Finding(False, "cache", f"{folder} {problem}; every process compiles and tries devices anew", repair)
    return Finding(True, "cache", str(folder))


def _devices() -> Iterator[Finding]:
    try:
        discovery = discover()
    except DeviceError as error:
        yield Finding(False, "devices", str(error))
        return
    for note in discovery.notes:
        yield Finding(False, "discovery", note)
    rules = active_rules()
    for found in discovery.devices:
        problem = problem_of(found.info, rules)
        words = ", ".join(selectors_for(discovery, found, rules))
        not_automatic = rules.not_automatic_because(found.info)
        text = f"{describe(found.info)}: " + (problem or f"computes rightly; select with {words}")
        if not_automatic and not problem:
            text += f" (never chosen automatically: {not_automatic})"
        yield Finding(not problem, "device", text, is_device=not problem and not not_automatic)
    if not discovery.devices:
        yield Finding(False, "devices", "none found", how_to_get_one())
