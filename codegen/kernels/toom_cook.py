"""Toom-Cook transforms: a short convolution along one axis with fewer multiplications (Winograd's algorithm)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from nnef_cl.codegen.ctypes import literal

from nnef_cl.ir.dtype import F32

POINTS = (
    Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2), Fraction(3, 2), Fraction(-2, 3), Fraction(3),
    Fraction(-1, 3),
)  # fmt: skip
"""Where the polynomials are evaluated, besides infinity. Pairs of a number and its negative reciprocal cost few digits
(Barabasz et al., 2018)."""

Row = tuple[float, ...]
Matrix = tuple[Row, ...]


@dataclass(frozen=True)
class Transform:
    """F(outputs, taps): outputs = answer . ((filter . weights) * (data . inputs)), as in Lavin and Gray 2015.

    One output takes as many multiplications as it has taps: the matrices are then unit matrices.
    """

    outputs: int
    taps: int

    def __post_init__(self) -> None:
        assert self.points <= len(POINTS) + 1 and (self.outputs > 1 or self.taps == 1), self

    @property
    def points(self) -> int:
        """Inputs of one tile, and products."""
        return self.outputs + self.taps - 1

    @cached_property
    def answer(self) -> Matrix:
        """outputs x points."""
        if self.points == 1:
            return ((1.0,),)
        rows = [[float(p**power) for p in self._finite] for power in range(self.outputs)]
        return tuple((*row, float(power == self.outputs - 1)) for power, row in enumerate(rows))

    @cached_property
    def filter(self) -> Matrix:
        """points x taps."""
        if self.points == 1:
            return ((1.0,),)
        rows = [tuple(float(p**k / self._weight(p)) for k in range(self.taps)) for p in self._finite]
        return (*rows, tuple(float(k == self.taps - 1) for k in range(self.taps)))

    @cached_property
    def data(self) -> Matrix:
        """points x points."""
        if self.points == 1:
            return ((1.0,),)
        rows = [(*_product([q for q in self._finite if q != p]), Fraction(0)) for p in self._finite]
        return tuple(tuple(map(float, row)) for row in (*rows, _product(self._finite)))

    @property
    def _finite(self) -> tuple[Fraction, ...]:
        return POINTS[: self.points - 1]

    def _weight(self, point: Fraction) -> Fraction:
        result = Fraction(1)
        for other in self._finite:
            if other != point:
                result *= point - other
        return result


def _product(roots: list[Fraction] | tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Coefficients of the polynomial with these roots, lowest power first."""
    result = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *result], [*(-root * c for c in result), Fraction(0)]
        result = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(result)


def combination(row: Row, names: list[str], vector: str) -> str:
    """C text of sum(row * names) for values of type `vector`, without the terms that vanish."""
    terms = sorted((abs(factor) != 1, k) for k, factor in enumerate(row) if factor)
    text = ""
    for scaled, k in terms:
        factor, name = row[k], names[k]
        if scaled:
            number = f"({vector})({literal(factor, F32)})"
            text = f"fma({number}, {name}, {text})" if text else f"{number} * {name}"
        else:
            text = f"{text} {'+' if factor > 0 else '-'} {name}" if text else name if factor > 0 else f"-{name}"
    return text
