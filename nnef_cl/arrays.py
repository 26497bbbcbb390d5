"""Arrays of callers, checked: inputs as they are stored, and those that results are written into."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from nnef_cl.errors import InputError
from nnef_cl.ir.dtype import BYTE
from nnef_cl.ir.tensor import TensorSpec

OVERLAP_WORK: Any = 10_000
"""Steps after which two arrays whose ends overlap count as overlapping: to be certain can take for ever."""


def as_stored(what: str, value: Any, spec: TensorSpec) -> np.ndarray:
    """The array in the storage type, C-contiguous, checked against the spec. what: for errors. Raises InputError."""
    if _is_stored(value, spec):  # as callers in a loop have it
        return value
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths, another library's refusal
        raise InputError(f"{what}: not an array: {error}") from None
    if array.shape != spec.shape:
        raise InputError(f"{what}: expected shape {list(spec.shape)}, got {list(array.shape)}")
    api = np.dtype(spec.dtype.api)
    if not np.can_cast(array.dtype, api, "safe" if spec.dtype == BYTE else "same_kind"):
        raise InputError(f"{what}: expected {api.name} ({spec.dtype.kind}), got {array.dtype.name}")
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        stored = array.astype(api, copy=False).astype(spec.dtype.storage, copy=False)
    return np.ascontiguousarray(stored).reshape(spec.shape)


def _is_stored(value: Any, spec: TensorSpec) -> TypeGuard[np.ndarray]:
    if type(value) is not np.ndarray or value.shape != spec.shape or not value.flags.c_contiguous:
        return False
    return bool(value.dtype == spec.dtype.storage == spec.dtype.api)


def as_targets(
    out: Mapping[str, Any], outputs: Mapping[str, TensorSpec], inputs: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The arrays by output name, if results can be written into them. inputs: what the caller passed.
    Raises InputError."""
    if not isinstance(out, Mapping):
        raise InputError(f"out: expected arrays by output name ({', '.join(outputs)}), got {type(out).__name__}")
    others = [(f"input '{name}'", value) for name, value in inputs.items() if isinstance(value, np.ndarray)]
    for name, value in out.items():
        if name not in outputs:
            raise InputError(f"out: the model has no output '{name}'{hint(name, outputs, 'outputs')}")
        _check_target(f"out '{name}'", value, outputs[name])
        for other, memory in others:
            if _overlap(value, memory):
                raise InputError(f"out '{name}': expected memory of its own, got an array that overlaps {other}")
        others.append((f"out '{name}'", value))
    return dict(out)


def hint(name: object, known: Mapping[str, Any], what: str) -> str:
    """The end of a message about a name that there is not."""
    close = difflib.get_close_matches(str(name), known, 1)
    return f"; did you mean '{close[0]}'?" if close else f"; the {what} are {', '.join(known)}"


def _check_target(what: str, value: Any, spec: TensorSpec) -> None:
    if not isinstance(value, np.ndarray):
        raise InputError(f"{what}: expected a numpy array, got {type(value).__name__}")
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
    reached = array.itemsize
    for stride, extent in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reached:
            return array.size > 0
        reached += stride * (extent - 1)
    return False


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    if not np.may_share_memory(one, other):
        return False
    try:
        return np.shares_memory(one, other, max_work=OVERLAP_WORK)
    except RuntimeError:  # too hard
        return True
