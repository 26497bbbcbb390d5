"""Quantisation of a tensor: the record that belongs to it, and the one numpy definition (sections 4.9.5 and 5.2).

Pseudo-quantisation: values stay float32, rounded to those that codes of some bits can stand for. Everything is
computed in float32, in the order of the standard's formulas; kernels do the same and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_BITS = 64
"""Of one item in a tensor file (section 5.2); the formulas themselves have no limit."""


@dataclass(frozen=True, eq=False)
class Quant:
    """How a tensor is quantised. op: min_max_linear_quantize, zero_point_linear_quantize or logarithmic_quantize.

    parameters: float32 arrays (zero_point: int64) under the operation's names, of rank 0 or aligned with the first
    axes of the tensor, such as (1, C). attrs: bits, and signed and symmetric where the operation has them.
    """

    op: str
    parameters: Mapping[str, np.ndarray] = field(repr=False)
    attrs: Mapping[str, Any]

    def quantise(self, x: np.ndarray) -> np.ndarray:
        """float32 values -> the nearest of those that can be represented, as the operation has it."""
        arguments: dict[str, Any] = {**self.parameters, **self.attrs}
        return DEFINITIONS[self.op](x, **arguments)

    def code_range(self, signed_items: bool) -> tuple[int, int]:
        """The least and the greatest code that an item may hold."""
        signed = signed_items if self.op == "logarithmic_quantize" else self.attrs["signed"]
        bits = self.attrs["bits"] + (self.op == "logarithmic_quantize" and signed)
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def dequantise(self, codes: np.ndarray, item_bits: int, signed_items: bool) -> np.ndarray:
        """int64 codes -> float32. item_bits, signed_items: how they were stored, which matters to logarithms only."""
        parameters = {name: spread(array, codes.ndim) for name, array in self.parameters.items()}
        if self.op == "zero_point_linear_quantize":
            steps = codes.astype(np.float64) - parameters["zero_point"]
            return steps.astype(np.float32) * parameters["scale"]
        if self.op == "logarithmic_quantize":
            return exponents(codes, parameters["max"], item_bits if signed_items else self.attrs["bits"], signed_items)
        bits, signed, symmetric = (self.attrs[name] for name in ("bits", "signed", "symmetric"))
        index = codes.astype(np.float64) + ((1 << bits - 1) - symmetric if signed else 0)
        return _on_range(index.astype(np.float32), min_max_steps(bits, signed, symmetric), **parameters)

    def __str__(self) -> str:
        """Short, for tables: 'min_max 8 bits signed, min 3 values, max 1.5'."""
        flags = [name for name in ("signed", "symmetric") if self.attrs.get(name)]
        name = self.op.removesuffix("_quantize").removesuffix("_linear")
        parameters = [f"{name} {_shown(array)}" for name, array in self.parameters.items()]
        return ", ".join([" ".join([name, f"{self.attrs['bits']} bits", *flags]), *parameters])


def _shown(array: np.ndarray) -> str:
    return f"{array.reshape(-1)[0]:g}" if array.size == 1 else f"{array.size} values"


# The operations --------------------------------------------------------------------------------------------
def min_max_linear_quantize(
    x: np.ndarray, min: np.ndarray, max: np.ndarray, bits: int, signed: bool, symmetric: bool
) -> np.ndarray:
    """The shift p of the standard's formula cancels in the result: it is part of the code only."""
    x, min, max = _aligned(x, min, max)
    steps = min_max_steps(bits, signed, symmetric)
    index = round_half_up((np.maximum(np.minimum(x, max), min) - min) / (max - min) * np.float32(steps))
    return _on_range(index, steps, min, max)


def _on_range(index: np.ndarray, steps: int, min: np.ndarray, max: np.ndarray) -> np.ndarray:
    """The value that lies `index` of `steps` steps above `min`."""
    return np.asarray(index / np.float32(steps) * (max - min) + min, np.float32)


def min_max_steps(bits: int, signed: bool, symmetric: bool) -> int:
    """Steps between the least and the greatest value."""
    return int(2**bits - 1 - (signed and symmetric))


def zero_point_linear_quantize(
    x: np.ndarray, zero_point: np.ndarray, scale: np.ndarray, bits: int, signed: bool, symmetric: bool
) -> np.ndarray:
    x, zero_point, scale = _aligned(x, zero_point, scale)
    least, greatest = map(np.float32, zero_point_range(bits, signed, symmetric))
    code = np.maximum(np.minimum(round_half_up(x / scale) + zero_point, greatest), least)
    return np.asarray((code - zero_point) * scale, np.float32)


def zero_point_range(bits: int, signed: bool, symmetric: bool) -> tuple[int, int]:
    """The least and the greatest code."""
    if not signed:
        return 0, 2**bits - 1
    greatest = 2 ** (bits - 1) - 1
    return -greatest if symmetric else -greatest - 1, greatest


def logarithmic_quantize(x: np.ndarray, max: np.ndarray, bits: int) -> np.ndarray:
    x, max = _aligned(x, max)
    top = ceil_log2(max)
    exponent = np.maximum(np.minimum(round_log2(np.abs(x)), top), top - np.float32(2**bits - 1))
    return np.asarray(np.sign(x) * power_of_two(exponent), np.float32)


def exponents(codes: np.ndarray, max: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Codes of a logarithmic quantisation -> float32 (section 5.2): powers of two up to 2^ceil(log2(max)).

    signed: the highest of the bits is the sign of the value.
    """
    steps = 2 ** (bits - 1 if signed else bits) - 1
    sign = np.where(codes < 0, np.float32(-1), np.float32(1))
    index = codes & steps if signed else codes
    return sign * power_of_two(index.astype(np.float32) + ceil_log2(max) - np.float32(steps))


DEFINITIONS: dict[str, Callable[..., np.ndarray]] = {
    f.__name__: f for f in (min_max_linear_quantize, zero_point_linear_quantize, logarithmic_quantize)
}


# Parts of the formulas -------------------------------------------------------------------------------------
def spread(array: np.ndarray, rank: int) -> np.ndarray:
    """Trailing axes of extent 1 added, so that numpy broadcasts as NNEF does."""
    return array.reshape(array.shape + (1,) * (rank - array.ndim))


def _aligned(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    rank = max(array.ndim for array in arrays)
    return tuple(spread(np.asarray(array, np.float32), rank) for array in arrays)


def round_half_up(x: np.ndarray) -> np.ndarray:
    """floor(x + 0.5), which in floating point would round the largest number below 0.5 up."""
    return np.floor(x) + (x - np.floor(x) >= 0.5)


def ceil_log2(x: np.ndarray) -> np.ndarray:
    """ceil(log2(x)), exact: no logarithm is computed."""
    mantissa, exponent = np.frexp(x)
    return _special(x, exponent - (mantissa <= 0.5))


def round_log2(x: np.ndarray) -> np.ndarray:
    """round(log2(x)), exact: up from the square root of 2 on."""
    mantissa, exponent = np.frexp(x)
    return _special(x, exponent - (mantissa < np.sqrt(0.5)))


def _special(x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """`value` where x is positive and finite, elsewhere the logarithm: -inf, inf or NaN."""
    other = np.where(x == 0, -np.inf, np.where(x < 0, np.nan, x))
    return np.where((x > 0) & np.isfinite(x), value, other).astype(np.float32)


def power_of_two(x: np.ndarray) -> np.ndarray:
    """2^x for whole numbers, infinities and NaN, exact."""
    whole = np.clip(np.nan_to_num(x), -200, 200).astype(np.int32)
    return np.where(np.isnan(x), x, np.ldexp(np.float32(1), whole)).astype(np.float32)
