"""Plain facts about one device: what its driver reports, and what worked when it was tried."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnef_cl.device.opencl import opencl

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
USUAL_NEAR = 1 << 19
"""Bytes of the second cache of a core, where nothing tells."""


@dataclass(frozen=True)
class DeviceInfo:
    """Plain facts about one device; sizes in bytes, 0 or '' where the driver does not tell.

    alignment: of the start of a part of a buffer. cache, near_cache: of a CPU, the largest one and the next smaller.
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
    alignment: int
    cache: int
    near_cache: int
    unified_memory: bool
    fp16: bool
    fp64: bool
    subgroups: bool
    source: str
    library: str
    index: str


@dataclass(frozen=True)
class Capabilities:
    """What worked when it was tried: 1 or 0, or how much of it.

    subgroup_size: work-items, 0 without sub-groups; sizes in bytes, local memory up to 64 KiB.
    """

    fp16: int = 0
    inline_assembly: int = 0
    dot_product: int = 0
    subgroup_size: int = 0
    local_memory: int = 0
    largest_allocation: int = 0


def read_info(platform: Any, device: Any, index: str, source: str, library: str) -> DeviceInfo:
    """The facts of one device. A fact the driver refuses to tell is 0, '' or False."""
    kind = type_word(_number(device, "type"))
    near, far = _caches(_number(device, "global_mem_cache_size")) if kind == "cpu" else (0, 0)
    extensions = set(text_of(device, "extensions").split())
    return DeviceInfo(
        platform=text_of(platform, "name"),
        platform_version=text_of(platform, "version"),
        platform_vendor=text_of(platform, "vendor"),
        name=text_of(device, "name"),
        vendor=text_of(device, "vendor"),
        type=kind,
        version=text_of(device, "version"),
        opencl_c_version=text_of(device, "opencl_c_version"),
        driver_version=text_of(device, "driver_version"),
        compute_units=_number(device, "max_compute_units"),
        vector_width=_number(device, "native_vector_width_float"),
        max_work_group=_number(device, "max_work_group_size"),
        local_memory=_number(device, "local_mem_size"),
        local_memory_real=_number(device, "local_mem_type") == opencl().device_local_mem_type.LOCAL,
        global_memory=_number(device, "global_mem_size"),
        max_allocation=_number(device, "max_mem_alloc_size"),
        max_parameter_bytes=_number(device, "max_parameter_size"),
        alignment=_number(device, "mem_base_addr_align") // 8,
        cache=far,
        near_cache=near,
        unified_memory=bool(_number(device, "host_unified_memory")),
        fp16="cl_khr_fp16" in extensions,
        fp64="cl_khr_fp64" in extensions,
        subgroups=any(name.startswith(("cl_khr_subgroup", "cl_intel_subgroups")) for name in extensions),
        source=source,
        library=library,
        index=index,
    )


def type_word(bits: int) -> str:
    """CL_DEVICE_TYPE -> 'cpu', 'gpu', 'accelerator' or 'custom'; the 'default' bit says nothing."""
    kind = opencl().device_type
    words = {kind.CPU: "cpu", kind.GPU: "gpu", kind.ACCELERATOR: "accelerator"}
    return words.get(bits & ~kind.DEFAULT, "custom")


def _caches(told: int) -> tuple[int, int]:
    """Bytes of the largest cache and of the next smaller one, as Linux counts them; elsewhere what the driver told, and
    what processors usually have."""
    try:
        texts = [path.read_text(encoding="ascii").strip() for path in CACHES.glob("index*/size")]
    except OSError:
        texts = []
    sizes = sorted({int(text[:-1]) << 10 for text in texts if text.endswith("K")})
    return (sizes[-2], sizes[-1]) if len(sizes) > 1 else (min(told, USUAL_NEAR), told)


def _fact(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name)
    except (opencl().Error, AttributeError):
        return None


def text_of(thing: Any, name: str) -> str:
    """One line without the padding and zero bytes some drivers add."""
    return " ".join(str(_fact(thing, name) or "").replace("\0", " ").split())


def _number(thing: Any, name: str) -> int:
    return int(_fact(thing, name) or 0)
