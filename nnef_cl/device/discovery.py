"""Find the OpenCL platforms and devices of this machine and read plain facts about them."""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnef_cl.device import libraries
from nnef_cl.device.config import active_rules
from nnef_cl.device.facts import DeviceInfo, read_info, text_of
from nnef_cl.device.libraries import Library
from nnef_cl.device.opencl import opencl

if TYPE_CHECKING:
    from pyopencl import Platform

PLATFORM_NOT_FOUND_KHR = -1001


@dataclass(frozen=True)
class FoundPlatform:
    """handle: pyopencl's Platform. library: the one that was asked itself, None where the loader lists the platform."""

    handle: Platform
    library: Library | None

    @property
    def source(self) -> str:
        return "system" if self.library is None or self.library.source == libraries.SYSTEM else "pip"


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


def find_devices(excluded: Collection[str] = ()) -> Discovery:
    """Every device of every platform, in the platforms' order. A platform that fails becomes a note.

    excluded: ids of libraries that must not be loaded. A library that kills processes kills this one.
    """
    found, notes = platforms(frozenset(excluded))
    devices: list[FoundDevice] = []
    for number, platform in enumerate(found):
        try:
            handles = platform.handle.get_devices()
            devices += [
                FoundDevice(
                    read_info(
                        platform.handle, handle, f"{number}:{position}", platform.source,
                        platform.library.library if platform.library else "",
                    ),
                    handle,
                )
                for position, handle in enumerate(handles)
            ]  # fmt: skip
        except opencl().Error as error:
            notes.append(f"platform {number} ({text_of(platform.handle, 'name')}): {error}")
            continue
        if not handles:
            notes.append(f"platform {number} ({text_of(platform.handle, 'name')}) has no devices")
    return Discovery(tuple(devices), tuple(notes))


def platforms(excluded: frozenset[str] = frozenset()) -> tuple[list[FoundPlatform], list[str]]:
    """The loader's platforms, then those of libraries the loader does not know; each once. Also notes."""
    cl = opencl()
    notes: list[str] = []
    handles: list[Platform] = []
    known_libraries = libraries.libraries(active_rules().runtimes)
    try:
        with libraries.without(excluded, known_libraries):
            handles = list(cl.get_platforms())
    except cl.Error as error:
        if error.code != PLATFORM_NOT_FOUND_KHR:
            notes.append(f"the OpenCL loader failed: {error}")
    asked: dict[int, Library] = {}
    for one in known_libraries:
        if one.id in excluded or (one.icd is not None and one.source == libraries.SYSTEM):
            continue
        try:
            asked |= dict.fromkeys(icd_platforms(one.library), one)
        except (OSError, AttributeError) as error:
            if one.source != libraries.BUNDLED:  # of those pyopencl's loader has already said nothing
                notes.append(f"{Path(one.library).name} cannot be loaded: {error}")
    known = {handle.int_ptr for handle in handles}
    handles += [cl.Platform.from_int_ptr(pointer) for pointer in asked if pointer not in known]
    return [FoundPlatform(handle, asked.get(handle.int_ptr)) for handle in handles], notes


def icd_platforms(library: str) -> list[int]:
    """Addresses of the platforms a runtime offers through cl_khr_icd; OSError where it cannot be loaded."""
    lib = ctypes.CDLL(library)
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
