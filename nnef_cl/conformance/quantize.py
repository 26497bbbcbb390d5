"""Cases of the quantisation operations."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from nnef_cl.conformance.case import Case, case, constant, f32, given, i64

X = [-2.0, -1.0, -0.6, -0.25, 0.0, 0.3, 0.5, 1.0, 3.0]
SPECIAL = [nan, inf, -inf, 0.0, -0.0, 1e30, -1e30, 1e-30]
TINY = 2.0**-149
FLAGS: tuple[dict[str, Any], ...] = (
    {"signed": False, "symmetric": False}, {"signed": True, "symmetric": False}, {"signed": True, "symmetric": True},
    {"signed": False, "symmetric": True},
)  # fmt: skip
UNSIGNED, SIGNED, SYMMETRIC, _ = FLAGS


def number(value: float) -> Any:
    return constant(given(value))


def whole(*values: int) -> Any:
    """Zero points: one, or one per channel."""
    return constant(given(values[0] if len(values) == 1 else [values], "i"))


def min_max() -> list[Case]:
    op, low, high = "min_max_linear_quantize", number(-1.0), number(1.0)
    thirds = [-1.0, -1.0, -2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3, 1.0, 1.0]
    sevenths = [-1.0, -1.0, -5 / 7, -1 / 7, 1 / 7, 3 / 7, 3 / 7, 1.0, 1.0]
    found = [case(op, given(X), low, high, bits=3, **flags, expected=sevenths) for flags in (UNSIGNED, SIGNED)]
    found += [
        case(op, given(X), low, high, bits=3, **SYMMETRIC, expected=thirds),
        case(op, given(SPECIAL), low, high, bits=8, **SYMMETRIC),
        case(op, given([0.2, nan, inf]), number(0.5), number(0.5), bits=8, **UNSIGNED, expected=[nan, nan, nan]),
        case(op, given([0.2, -3.0, 4.0]), number(2.0), number(1.0), bits=8, **UNSIGNED, expected=[2.0, 2.0, 2.0]),
        case(op, given([0.2, 3.0]), number(-inf), number(1.0), bits=8, **UNSIGNED, expected=[nan, nan]),
        case(op, given([0.2, 3.0]), number(0.0), number(nan), bits=8, **UNSIGNED, expected=[nan, nan]),
        case(op, given(X), low, high, bits=1, **UNSIGNED, expected=[-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        case(op, given([0.0, 0.5, 1.0, 0.25]), given([0.0, 0.0, 0.0, 0.0]), given([1.0, 0.0, inf, 0.5]), bits=2,
             **UNSIGNED, expected=[0.0, nan, nan, 1 / 3]),
    ]  # fmt: skip
    found += [case(op, f32(40), low, high, bits=bits, **flags) for bits in (2, 8, 16, 32, 64) for flags in FLAGS]
    found += [case(op, f32(*shape), low, high, bits=4, **SIGNED) for shape in ((), (33,), (2, 20, 3, 3), (1, 16, 2, 2))]
    for channels in (5, 16):
        ranges = f32(1, channels, low=-2.0, high=-0.5), f32(1, channels, low=0.5, high=2.0)
        x = f32(2, channels, 3, 4)
        found += [
            case(op, x, *ranges, bits=5, **UNSIGNED),
            case(op, x, *map(constant, ranges), bits=5, **SYMMETRIC),
            case(op, x, number(0.0), f32(1, channels, 1, 1, low=0.5, high=2.0), bits=8, **UNSIGNED),
        ]  # fmt: skip
    return [*found, case(op, f32(2, 1, 2, 1, 2, 1, 2, 3), f32(2, low=-1.0, high=0.0), f32(low=0.5), bits=6, **SIGNED)]


def zero_point() -> list[Case]:
    op, quarter = "zero_point_linear_quantize", number(0.25)
    found = [
        case(op, given(X), whole(1), quarter, bits=3, **UNSIGNED,
             expected=[-0.25, -0.25, -0.25, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5]),
        case(op, given(X), whole(1), quarter, bits=3, **SIGNED,
             expected=[-1.25, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 0.5, 0.5]),
        case(op, given(X), whole(1), quarter, bits=3, **SYMMETRIC,
             expected=[-1.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 0.5, 0.5]),
        case(op, given(SPECIAL), whole(-3), number(0.1), bits=8, **SIGNED),
        case(op, given([1.0, -1.0, 0.0]), whole(3), number(0.0), bits=8, **SIGNED, expected=[0.0, 0.0, nan]),
        case(op, given([1.0, -1.0]), whole(0), number(-0.5), bits=8, **SIGNED, expected=[1.0, -1.0]),
        case(op, given([1.0, -1.0]), whole(0), number(inf), bits=8, **SIGNED, expected=[nan, nan]),
        case(op, given(X), whole(0), quarter, bits=1, **SYMMETRIC, expected=[0.0] * 9),
        case(op, given([-0.3, 0.3]), whole(0), quarter, bits=1, **SIGNED, expected=[-0.25, 0.0]),
        case(op, f32(2, 5, 3), i64(1, 5), f32(1, 5, low=0.01, high=0.1), bits=8, **UNSIGNED),
        case(op, f32(2, 5, 3), i64(), f32(low=0.01, high=0.1), bits=8, **SIGNED),
        case(op, f32(2, 16, 3), constant(i64(1, 16)), constant(f32(1, 16, low=0.01, high=0.1)), bits=8, **SIGNED),
        case(op, f32(2, 3, 4), whole(120, 128, 136), number(0.02), bits=8, **UNSIGNED),
        case(op, f32(4), constant(given([2**40, -(2**40), 7, 0], "i")), number(0.5), bits=8, **UNSIGNED),
    ]  # fmt: skip
    found += [case(op, f32(40), whole(0), number(1e-3), bits=bits, **f) for bits in (2, 8, 16, 32, 64) for f in FLAGS]
    return found + [case(op, f32(*s), whole(7), number(0.1), bits=8, **SIGNED) for s in ((), (2, 20, 3, 3), (1, 1, 1))]


def others() -> list[Case]:
    op = "logarithmic_quantize"
    powers = [4.0, 5.656854, 5.656855, 0.7071067, 0.7071068, -1.414213, -1.414214, 0.0]
    found = [
        case(op, given(X), number(3.0), bits=2, expected=[-2.0, -1.0, -0.5, -0.5, 0.0, 0.5, 0.5, 1.0, 4.0]),
        case(op, given(powers), number(8.0), bits=4, expected=[4.0, 4.0, 8.0, 0.5, 1.0, -1.0, -2.0, 0.0]),
        case(op, given(SPECIAL), number(1.0), bits=8, expected=[nan, 1.0, -1.0, 0.0, 0.0, 1.0, -1.0, 2.0**-100]),
        case(op, given([1.0, 0.0, -2.0]), number(0.0), bits=4, expected=[0.0, 0.0, 0.0]),
        case(op, given([1.0, 0.0]), number(-1.0), bits=4, expected=[nan, nan]),
        case(op, given([1.0, 0.0, -2.0]), number(inf), bits=4, expected=[inf, nan, -inf]),
        case(op, given([3e38, 2.0**127, 1.0]), number(3e38), bits=3, expected=[inf, 2.0**127, 2.0**121]),
        case(op, given([TINY, 3 * TINY, 6 * TINY, 2.0**-127]), number(1e-40), bits=64),
        case(op, f32(2, 5, 3), f32(1, 5, low=0.1, high=9.0), bits=4),
        case(op, f32(2, 16, 3), constant(f32(1, 16, low=0.1, high=9.0)), bits=4),
        case(op, f32(2, 20, 3, 3), f32(low=0.5), bits=3),
        case(op, given([1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 1e-3]), given([1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 1e-3]), bits=1),
    ]  # fmt: skip
    linear = "linear_quantize"
    return [
        *found,
        case(linear, given(X), number(-1.0), number(1.0), bits=3,
             expected=[-1.0, -1.0, -5 / 7, -1 / 7, 1 / 7, 3 / 7, 3 / 7, 1.0, 1.0]),
        case(linear, f32(2, 5, 3), f32(1, 5, low=-1.0, high=0.0), constant(f32(1, 5, low=0.5)), bits=8),
    ]  # fmt: skip


CASES = [*min_max(), *zero_point(), *others()]
