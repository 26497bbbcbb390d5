"""Storage types -> OpenCL names, and the spelling of numbers, index types and vector loads."""

from __future__ import annotations

import math

from nnef_cl.ir.dtype import BOOL, BYTE, F32, I64, DType

_STORED = {F32: "float", I64: "long", BOOL: "uchar", BYTE: "uchar"}
_VALUE = {F32: "float", I64: "long", BOOL: "int"}

INT_MAX = 2**31 - 1
"""The largest index that an `int` holds."""


def index_type(largest: int) -> str:
    """The type of an index that may become `largest`: int wherever that is enough."""
    return "int" if largest <= INT_MAX else "long"


def index_literal(value: int, type: str) -> str:
    """An index as C text of that type, so that `min` and its kin find both operands alike."""
    return f"{value}L" if type == "long" else str(value)


def stored_type(dtype: DType) -> str:
    """The element type of a buffer."""
    return _STORED[dtype]


def value_type(dtype: DType, width: int = 1) -> str:
    """The type a loaded value has in a kernel; a logical is an int mask."""
    return _VALUE[dtype] + ("" if width == 1 else str(width))


def literal(value: float | int | bool, dtype: DType) -> str:
    """A number as C text of the value type, exact: floats as hexadecimal."""
    if dtype == BOOL:
        return "1" if value else "0"
    if dtype == I64:
        return f"({int(value)}L)" if int(value) > -(2**63) else "(-9223372036854775807L - 1L)"
    number = float(value)
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    text = number.hex() + "f" if number != int(number) or abs(number) > 1e6 else f"{number:.1f}f"
    return f"({text})" if math.copysign(1.0, number) < 0 else text


def load(name: str, offset: str, dtype: DType, width: int = 1) -> str:
    """`width` consecutive elements from element `offset` of the buffer, as a value."""
    if width == 1:
        return f"({name}[{offset}] != 0)" if dtype == BOOL else f"{name}[{offset}]"
    vector = f"vload{width}(0, {name} + {offset})"
    return f"(convert_int{width}({vector}) != 0)" if dtype == BOOL else vector


def spread_lanes(values: list[str], dtype: DType, width: int) -> str:
    """C text: loaded scalars, or one for all lanes, as a vector; a logical as a mask."""
    text = f"({value_type(dtype, width)})({', '.join(values)})"
    return f"(-{text})" if dtype == BOOL else f"({text})"


def store(name: str, offset: str, value: str, dtype: DType, width: int = 1) -> str:
    """Statement that writes a value as `width` consecutive elements."""
    if dtype == BOOL:
        value = f"(uchar)(({value}) & 1)" if width == 1 else f"convert_uchar{width}(({value}) & 1)"
    if width == 1:
        return f"{name}[{offset}] = {value};"
    return f"vstore{width}({value}, 0, {name} + {offset});"
