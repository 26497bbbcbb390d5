"""Variables that OpenCL runtimes read once, when they are loaded: threads, their cores, the folders of caches."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from nnef_cl.device.cache import SCRATCH, STALE_SECONDS, Cache
from nnef_cl.errors import DeviceError

MARK = "NNEF_CL_DRIVER_FOLDER"
"""Environment: the folder that a process gave to its drivers, for the processes it starts."""
CHOSEN = "NNEF_CL_CHOSEN"
"""Environment: what a process chose for variables that nobody had set, for the processes it starts."""
ROOM = 256 << 20
"""Bytes that must be free for a driver's own cache: some fail or die on a full disk."""
MOST_THREADS = 1024
"""Runtimes crash where they cannot start as many as they are told."""

_lock = threading.Lock()
_prepared = False
_pins = True
_threads: int | None = None
_driver_folder: Path | None = None


def request_threads(count: int | None) -> None:
    """Asks CPU runtimes for `count` threads (None: as they like). DeviceError where they run with another number."""
    global _threads  # noqa: PLW0603 - a process has one set of runtimes
    if count is None:
        return
    if not 1 <= count <= MOST_THREADS:
        raise DeviceError(f"threads: expected 1 to {MOST_THREADS}, got {count}")
    with _lock:
        if _prepared and count != _threads:
            now = "as many threads as they like" if _threads is None else f"{_threads} threads"
            raise DeviceError(
                f"{count} threads asked for, but the CPU runtimes of this process already run with {now}: "
                "the number can be set only before the first use of OpenCL in a process"
            )
        _threads = count


def threads() -> int | None:
    """What was asked for."""
    return _threads


def driver_folder() -> Path | None:
    """Where drivers with a cache of their own keep it in this process; None where they or the user chose a place."""
    return _driver_folder


def leave_threads_unpinned() -> None:
    """For a process beside which others work: threads of two processes pinned to one core would wait for each other
    while another core is idle."""
    global _pins  # noqa: PLW0603 - a process has one set of runtimes
    with _lock:
        _pins = False


def prepare(
    thread_variables: Sequence[str], pin_variables: Sequence[str], folder_variables: Sequence[str], cache: Cache
) -> None:
    """Sets the variables the user has not set. Only the first call in a process does anything: later ones come
    too late for the runtimes."""
    global _prepared  # noqa: PLW0603 - a process has one set of runtimes
    with _lock:
        if _prepared:
            return
        _prepared = True
        _set_threads(thread_variables, pin_variables)
        _set_folder(folder_variables, cache)


def _set_threads(numbers: Sequence[str], pins: Sequence[str]) -> None:
    """Numbers of threads: as many as were asked for; otherwise no more than cores that the process may use, where PoCL
    starts one for every core of the machine. Pinned where there is one for every core: fewer are left to the system,
    because those of several processes would share the first cores."""
    before = dict(item.partition("=")[::2] for item in os.environ.get(CHOSEN, "").split())
    for name in [name for name, value in before.items() if os.environ.get(name) == value]:
        del os.environ[name]  # chosen by the process that started this one, which may use other cores
    if _threads is not None:
        os.environ |= dict.fromkeys(numbers, str(_threads))
    told = any(os.environ.get(name) not in (None, str(os.cpu_count())) for name in numbers)
    whole = _may_use_every_core()
    chosen = dict.fromkeys(pins, "1" if _pins and whole and not told else "0")
    if not whole and hasattr(os, "sched_getaffinity"):
        chosen |= dict.fromkeys(numbers, str(len(os.sched_getaffinity(0))))
    chosen = {name: value for name, value in chosen.items() if name not in os.environ}
    os.environ |= chosen | {CHOSEN: " ".join(f"{name}={value}" for name, value in chosen.items())}


def _may_use_every_core() -> bool:
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == os.cpu_count()


def _set_folder(variables: Sequence[str], cache: Cache) -> None:
    global _driver_folder  # noqa: PLW0603 - a process has one set of runtimes
    parents = os.environ.get(MARK)  # a folder of the process that started this one is as good as none
    free = [name for name in variables if os.environ.get(name) in (None, parents)]
    if free:
        _driver_folder = _scratch_folder(cache.folder if cache.writable else None)
    if _driver_folder is not None:
        os.environ |= dict.fromkeys((*free, MARK), str(_driver_folder))


def _scratch_folder(cache: Path | None) -> Path | None:
    """A new folder for this process alone, removed when it ends; where the cache has no room, in the system's
    temporary folder. None where it cannot be made."""
    try:
        if cache is None or shutil.disk_usage(cache).free < ROOM:
            folder = Path(tempfile.mkdtemp(prefix="nnef-cl-"))
        else:
            parent = cache / SCRATCH
            parent.mkdir(mode=0o700, exist_ok=True)
            _remove_left_over(parent)
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))
    except OSError:
        return None
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child leaves it to its parent
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _remove_left_over(parent: Path) -> None:
    """Folders of processes that were killed."""
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > STALE_SECONDS and not _alive(folder.name.partition("-")[0]):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True
