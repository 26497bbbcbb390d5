"""How far an array is from the expected one: rounding is measured, everything else is a finding in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOLERANCE = {"rounding": 4e-6, "sums": 2e-5}
"""Largest difference relative to the largest expected magnitude (at least 1)."""
LONG_SUMS = ("conv", "deconv", "separable_conv", "separable_deconv", "matmul", "linear", "moments")


def tolerance(op: str) -> float:
    """What an operation's results may differ by, relative to the largest expected magnitude (at least 1)."""
    return TOLERANCE["sums" if op in LONG_SUMS else "rounding"]


@dataclass(frozen=True)
class Difference:
    """worst: largest difference of finite values, relative to the largest expected magnitude (at least 1).

    problem: what no rounding explains, such as another shape or a missing NaN; '' where there is nothing.
    """

    worst: float = 0.0
    problem: str = ""

    def failure(self, allowed: float) -> str:
        """Why this is too much; '' where it is not."""
        if self.problem or self.worst <= allowed:
            return self.problem
        return f"differs by {self.worst:.3g} of the largest magnitude, allowed {allowed:.3g}"


def difference(got: np.ndarray, expected: np.ndarray) -> Difference:
    """Compares shapes and types, then values: integers and logicals, NaN and infinities must be equal."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return Difference(problem=f"expected {_kind(expected)}, got {_kind(got)}")
    if expected.dtype.kind != "f":
        return Difference(problem=_unequal(got != expected, got, expected))
    finite = np.isfinite(expected)
    wrong = (np.isnan(got) != np.isnan(expected)) | (~finite & ~np.isnan(expected) & (got != expected))
    if problem := _unequal(wrong | (finite & ~np.isfinite(got)), got, expected):
        return Difference(problem=problem)
    largest = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    distance = np.abs(got[finite].astype(np.float64) - expected[finite])
    return Difference(float(distance.max(initial=0.0)) / largest)


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype.name}{list(array.shape)}"


def _unequal(wrong: np.ndarray, got: np.ndarray, expected: np.ndarray) -> str:
    """How many elements are wrong, and the first of them."""
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    count = int(np.count_nonzero(wrong))
    return f"{count} of {wrong.size} elements, the first at {list(place)}: expected {expected[place]}, got {got[place]}"
