"""Arrays of callers, checked: inputs as they are stored, and those that results are written into."""

from __future__ import annotations

import ctypes
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from nnef_cl.device.arrays import DeviceArray, HostArray, device_array
from nnef_cl.device.manager import Device
from nnef_cl.errors import InputError
from nnef_cl.ir.dtype import BYTE
from nnef_cl.ir.tensor import TensorSpec

OVERLAP_WORK: Any = 10_000
"""Steps after which two arrays whose ends overlap count as overlapping: to be certain can take for ever."""
REFUSALS = (ValueError, TypeError, RuntimeError, BufferError, AttributeError, IndexError)
"""Rows of different lengths, what other libraries raise where they cannot give an array."""
ON_HOST = (1, 3, 11, 13)
"""DLPack's device types whose memory the host reads: its own, pinned, managed."""
VERSIONED, FLAGS_AT, READ_ONLY = b"dltensor_versioned", 24, 1
"""The name of DLPack's capsules from 1.0 on, the byte in what they hold where 64 flags begin, and one of these."""
ELSEWHERE = {2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 14: "oneAPI"}


def as_stored(what: str, value: Any, spec: TensorSpec) -> np.ndarray:
    """The array in the storage type, C-contiguous, checked against the spec. what: for errors. Raises InputError."""
    if _is_stored(value, spec):  # as callers in a loop have it
        return value
    array = _as_array(what, value)
    if array.shape != spec.shape:
        raise InputError(f"{what}: expected shape {list(spec.shape)}, got {list(array.shape)}")
    api = np.dtype(spec.dtype.api)
    if not np.can_cast(array.dtype, api, "safe" if spec.dtype == BYTE else "same_kind"):
        raise InputError(f"{what}: expected {api.name} ({spec.dtype.kind}), got {array.dtype.name}")
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        stored = array.astype(api, copy=False).astype(spec.dtype.storage, copy=False)
    return np.ascontiguousarray(stored).reshape(spec.shape)


def _as_array(what: str, value: Any) -> np.ndarray:
    """Of whatever numpy can make one of, or share by DLPack."""
    try:
        if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack__"):
            _check_on_host(what, value)
            try:
                return np.from_dlpack(value)
            except REFUSALS:  # types that DLPack does not know
                if not hasattr(value, "__array__"):
                    raise
        return np.asarray(value)
    except REFUSALS as error:
        raise InputError(f"{what}: not an array: {error}") from None


def _check_on_host(what: str, value: Any) -> None:
    kind = int(value.__dlpack_device__()[0])
    if kind not in ON_HOST:
        where = ELSEWHERE.get(kind, f"a device of DLPack's type {kind}")
        raise InputError(f"{what}: expected memory of the host, got {type(value).__name__} on {where}: copy it first")


def _is_stored(value: Any, spec: TensorSpec) -> TypeGuard[np.ndarray]:
    if type(value) is not np.ndarray or value.shape != spec.shape or not value.flags.c_contiguous:
        return False
    return bool(value.dtype == spec.dtype.storage == spec.dtype.api)


def as_input(what: str, value: Any, spec: TensorSpec, devices: Sequence[Device]) -> np.ndarray | DeviceArray:
    """As `as_stored`; memory of pyopencl's on the device, too. devices: the session's. Raises InputError."""
    if _is_stored(value, spec):
        return value
    return device_array(what, value, spec, devices) or as_stored(what, value, spec)


def as_targets(
    out: Mapping[str, Any], outputs: Mapping[str, TensorSpec], inputs: Mapping[str, Any], devices: Sequence[Device]
) -> dict[str, np.ndarray | HostArray | DeviceArray]:
    """The arrays by output name, if results can be written into them. inputs: the caller's numpy arrays, others as
    `as_input` gave them. Raises InputError."""
    if not isinstance(out, Mapping):
        raise InputError(f"out: expected arrays by output name ({', '.join(outputs)}), got {type(out).__name__}")
    targets: dict[str, np.ndarray | HostArray | DeviceArray] = {}
    others = [(f"input '{name}'", value) for name, value in inputs.items()]
    for name, value in out.items():
        if name not in outputs:
            raise InputError(f"out: the model has no output '{name}'{hint(name, outputs, 'outputs')}")
        target = targets[name] = _as_target(f"out '{name}'", value, outputs[name], devices)
        for other, memory in others:
            if _overlap(target, memory):
                raise InputError(f"out '{name}': expected memory of its own, got an array that overlaps {other}")
        others.append((f"out '{name}'", target))
    return targets


def hint(name: object, known: Mapping[str, Any], what: str) -> str:
    """The end of a message about a name that there is not."""
    close = difflib.get_close_matches(str(name), known, 1)
    return f"; did you mean '{close[0]}'?" if close else f"; the {what} are {', '.join(known)}"


def _as_target(
    what: str, value: Any, spec: TensorSpec, devices: Sequence[Device]
) -> np.ndarray | HostArray | DeviceArray:
    if isinstance(value, np.ndarray):
        _check_target(what, value, spec)
        return value
    found = device_array(what, value, spec, devices)
    if found is not None:
        return found
    if not hasattr(value, "__dlpack__"):
        raise InputError(f"{what}: expected a numpy array or another with DLPack, got {type(value).__name__}")
    array = _shared(what, value)
    _check_target(what, array, spec)
    return HostArray(value, array)


def _shared(what: str, value: Any) -> np.ndarray:
    """The memory of an object with DLPack, to be written to where its library allows that. Raises InputError."""
    try:
        _check_on_host(what, value)
        array = np.from_dlpack(value)
        return np.asarray(_Memory(array)) if not array.flags.writeable and _lets_write(value) else array
    except REFUSALS as error:
        raise InputError(f"{what}: not an array that can be written to: {error}") from None


def _lets_write(value: Any) -> bool:
    """Capsules from before DLPack 1.0 cannot say that their memory is read-only, so that such memory is in none."""
    try:
        capsule = value.__dlpack__(max_version=(1, 0))
    except TypeError:  # from before 1.0
        capsule = value.__dlpack__()
    if not ctypes.pythonapi.PyCapsule_IsValid(ctypes.py_object(capsule), VERSIONED):
        return True
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    start = pointer_of(("PyCapsule_GetPointer", ctypes.pythonapi))(capsule, VERSIONED)
    return not ctypes.c_uint64.from_address(start + FLAGS_AT).value & READ_ONLY


@dataclass(frozen=True)
class _Memory:
    """An array's, to be written to: numpy makes a read-only one of all that does not say that it may be."""

    array: np.ndarray

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.array.__array_interface__ | {"data": (self.array.ctypes.data, False)}


def _check_target(what: str, value: np.ndarray, spec: TensorSpec) -> None:
    if value.shape != spec.shape:
        raise InputError(f"{what}: expected shape {list(spec.shape)}, got {list(value.shape)}")
    if value.dtype != spec.dtype.api:
        raise InputError(f"{what}: expected {spec.dtype.api} ({spec.dtype.kind}), got {value.dtype}")
    if not value.flags.writeable:
        raise InputError(f"{what}: expected an array that can be written to, got one that is read-only")
    if _repeats(value):
        raise InputError(f"{what}: expected memory of its own for every element, got strides {list(value.strides)}")


def _repeats(array: np.ndarray) -> bool:
    """Whether elements may share memory; never so for slices of an ordinary array."""
    if array.flags.c_contiguous:
        return False
    reached = array.itemsize
    for stride, extent in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reached:
            return array.size > 0
        reached += stride * (extent - 1)
    return False


def _overlap(one: Any, other: Any) -> bool:
    """Of arrays on the host, or on the device; anything else overlaps nothing."""
    if isinstance(one, DeviceArray) and isinstance(other, DeviceArray):
        return one.overlaps(other)
    one, other = (each.array if isinstance(each, HostArray) else each for each in (one, other))
    both = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    if not both or not np.may_share_memory(one, other):  # which looks at their ends
        return False
    try:
        return np.shares_memory(one, other, max_work=OVERLAP_WORK)
    except RuntimeError:  # too hard
        return True
