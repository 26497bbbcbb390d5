"""Find the OpenCL platforms and devices of this machine and read plain facts about them."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nnef_cl.errors import DeviceError

if TYPE_CHECKING:
    from pyopencl import Platform

PIP_RUNTIMES = (("intel-opencl-rt", ("libintelocl.so", "intelocl64.dll")),)
"""Distributions that install an OpenCL runtime where no loader looks: name, file names of the runtime."""

PLATFORM_NOT_FOUND_KHR = -1001
FORK_MESSAGE = (
    "OpenCL was used before this process was forked and cannot be used in the child; "
    "start workers with multiprocessing's 'spawn' method"
)

_owner_pid: int | None = None


@dataclass(frozen=True)
class DeviceInfo:
    """Plain facts about one device; sizes in bytes, 0 or '' where the driver does not tell.

    type: 'cpu', 'gpu', 'accelerator', or 'custom' (anything else, and devices that claim to be several).
    vector_width: float32 lanes of the native vector. local_memory_real: local memory is not ordinary memory.
    source: 'pip' or 'system'. library: path of a pip runtime, else ''. index: 'platform:device'.
    """

    platform: str
    platform_version: str
    platform_vendor: str
    name: str
    vendor: str
    type: str
    version: str
    opencl_c_version: str
    driver_version: str
    compute_units: int
    vector_width: int
    max_work_group: int
    local_memory: int
    local_memory_real: bool
    global_memory: int
    max_allocation: int
    max_parameter_bytes: int
    unified_memory: bool
    fp16: bool
    fp64: bool
    subgroups: bool
    source: str
    library: str
    index: str


@dataclass(frozen=True)
class FoundPlatform:
    """handle: pyopencl's Platform. library: path of the pip runtime it came from, None for a system one."""

    handle: Platform
    library: Path | None

    @property
    def source(self) -> str:
        return "pip" if self.library else "system"


@dataclass(frozen=True)
class FoundDevice:
    """handle: pyopencl's Device."""

    info: DeviceInfo
    handle: Any


@dataclass(frozen=True)
class Discovery:
    """notes: what went wrong on the way, one sentence each."""

    devices: tuple[FoundDevice, ...]
    notes: tuple[str, ...] = ()


def opencl() -> ModuleType:
    """pyopencl, imported on first use; DeviceError where it cannot be loaded or in a forked child."""
    global _owner_pid  # noqa: PLW0603 - a process has one OpenCL, and a child must know it is not its owner
    if _owner_pid is None:
        _owner_pid = os.getpid()
    check_process()
    try:
        import pyopencl  # noqa: PLC0415 - `import nnef_cl` must not load OpenCL
    except ImportError as error:
        raise DeviceError(f"pyopencl cannot be loaded: {error}") from error
    return pyopencl


def check_process() -> None:
    """DeviceError in a child forked after OpenCL was used: some runtimes would hang there."""
    if _owner_pid not in (None, os.getpid()):
        raise DeviceError(FORK_MESSAGE)


def discover() -> Discovery:
    """Every device of every platform, in the platforms' order. A platform that fails becomes a note."""
    found, notes = platforms()
    devices: list[FoundDevice] = []
    for number, platform in enumerate(found):
        try:
            handles = platform.handle.get_devices()
            devices += [
                FoundDevice(read_info(platform, handle, f"{number}:{position}"), handle)
                for position, handle in enumerate(handles)
            ]
        except opencl().Error as error:
            notes.append(f"platform {number} ({_text(platform.handle, 'name')}): {error}")
            continue
        if not handles:
            notes.append(f"platform {number} ({_text(platform.handle, 'name')}) has no devices")
    return Discovery(tuple(devices), tuple(notes))


def platforms() -> tuple[list[FoundPlatform], list[str]]:
    """The loader's platforms, then those of pip runtimes the loader does not know; each once. Also notes."""
    cl = opencl()
    notes: list[str] = []
    handles: list[Platform] = []
    try:
        handles = list(cl.get_platforms())
    except cl.Error as error:
        if error.code != PLATFORM_NOT_FOUND_KHR:
            notes.append(f"the OpenCL loader failed: {error}")
    from_pip: dict[int, Path] = {}
    for library, is_known_to_loader in pip_libraries():
        try:
            from_pip |= dict.fromkeys(icd_platforms(library), library)
        except (OSError, AttributeError) as error:
            if not is_known_to_loader:
                notes.append(f"{library.name} cannot be loaded: {error}")
    known = {handle.int_ptr for handle in handles}
    handles += [cl.Platform.from_int_ptr(pointer) for pointer in from_pip if pointer not in known]
    return [FoundPlatform(handle, from_pip.get(handle.int_ptr)) for handle in handles], notes


def pip_libraries() -> Iterator[tuple[Path, bool]]:
    """OpenCL runtimes installed by pip: path, and whether pyopencl's own loader lists it already."""
    for name, files in PIP_RUNTIMES:
        try:
            entries = importlib.metadata.distribution(name).files or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for entry in entries:
            if entry.name in files:
                yield Path(str(entry.locate())).resolve(), False
    folder = Path(str(opencl().__file__)).parent / ".libs"
    for icd in sorted(folder.glob("*.icd")):
        with contextlib.suppress(OSError):
            yield folder / icd.read_text(encoding="utf-8", errors="replace").strip(), True


def icd_platforms(library: Path) -> list[int]:
    """Addresses of the platforms a runtime offers through cl_khr_icd; OSError where it cannot be loaded."""
    lib = ctypes.CDLL(str(library))
    find = lib.clGetExtensionFunctionAddress
    find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    address = find(b"clIcdGetPlatformIDsKHR")
    if not address:
        raise OSError("no clIcdGetPlatformIDsKHR in it")
    # OpenCL's calling convention on 64-bit systems is the C one everywhere.
    signature = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)
    get_platforms = signature(address)
    count = ctypes.c_uint32(0)
    if get_platforms(0, None, ctypes.byref(count)) != 0 or count.value == 0:
        return []
    handles = (ctypes.c_void_p * count.value)()
    if get_platforms(count.value, handles, None) != 0:
        return []
    return [handle for handle in handles if handle]


def read_info(platform: FoundPlatform, device: Any, index: str) -> DeviceInfo:
    """The facts of one device. A fact the driver refuses to tell is 0, '' or False."""
    extensions = set(_text(device, "extensions").split())
    return DeviceInfo(
        platform=_text(platform.handle, "name"),
        platform_version=_text(platform.handle, "version"),
        platform_vendor=_text(platform.handle, "vendor"),
        name=_text(device, "name"),
        vendor=_text(device, "vendor"),
        type=type_word(_number(device, "type")),
        version=_text(device, "version"),
        opencl_c_version=_text(device, "opencl_c_version"),
        driver_version=_text(device, "driver_version"),
        compute_units=_number(device, "max_compute_units"),
        vector_width=_number(device, "native_vector_width_float"),
        max_work_group=_number(device, "max_work_group_size"),
        local_memory=_number(device, "local_mem_size"),
        local_memory_real=_number(device, "local_mem_type") == opencl().device_local_mem_type.LOCAL,
        global_memory=_number(device, "global_mem_size"),
        max_allocation=_number(device, "max_mem_alloc_size"),
        max_parameter_bytes=_number(device, "max_parameter_size"),
        unified_memory=bool(_number(device, "host_unified_memory")),
        fp16="cl_khr_fp16" in extensions,
        fp64="cl_khr_fp64" in extensions,
        subgroups=any(name.startswith(("cl_khr_subgroup", "cl_intel_subgroups")) for name in extensions),
        source=platform.source,
        library=str(platform.library or ""),
        index=index,
    )


def type_word(bits: int) -> str:
    """CL_DEVICE_TYPE -> 'cpu', 'gpu', 'accelerator' or 'custom'; the 'default' bit says nothing."""
    kind = opencl().device_type
    words = {kind.CPU: "cpu", kind.GPU: "gpu", kind.ACCELERATOR: "accelerator"}
    return words.get(bits & ~kind.DEFAULT, "custom")


def _fact(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name)
    except (opencl().Error, AttributeError):
        return None


def _text(thing: Any, name: str) -> str:
    """One line without the padding and zero bytes some drivers add."""
    return " ".join(str(_fact(thing, name) or "").replace("\0", " ").split())


def _number(thing: Any, name: str) -> int:
    return int(_fact(thing, name) or 0)
