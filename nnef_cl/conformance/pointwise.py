"""Cases of the element-wise operations: widths, broadcasting, ranks 0 to 8, NaN and infinities."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from nnef_cl.conformance.case import Case, Data, case, constant, f32, given, i64, mask, weights

SPECIAL = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 1e30, -1e30, 3.0]

DOMAINS = {
    "neg": (-2, 2), "rcp": (0.3, 3), "exp": (-3, 3), "log": (0.1, 8), "sin": (-4, 4), "cos": (-4, 4),
    "tan": (-1.2, 1.2), "sinh": (-2, 2), "cosh": (-2, 2), "tanh": (-4, 4), "asin": (-0.99, 0.99),
    "acos": (-0.99, 0.99), "atan": (-5, 5), "asinh": (-5, 5), "acosh": (1.01, 8), "atanh": (-0.95, 0.95),
    "abs": (-2, 2), "sign": (-2, 2), "floor": (-9, 9), "ceil": (-9, 9), "round": (-9, 9), "sqr": (-3, 3),
    "sqrt": (0.01, 9), "rsqr": (0.3, 3), "rsqrt": (0.1, 9), "log2": (0.1, 20),
}  # fmt: skip
"""Where each unary operation is finite and not steep."""

ANYWHERE = ("neg", "abs", "sign", "floor", "ceil", "round", "sqr", "sqrt", "rcp", "exp", "log", "log2", "tanh", "atan")
"""Operations whose result for infinities, zeros and large numbers is plain."""

PAIRS = (
    (f32(2, 16, 3, 5), f32(2, 16, 3, 5)),
    (f32(2, 33, 3), weights(1, 33)),
    (f32(4, 3), f32(4)),
    (f32(3, 5, 7), f32()),
    (f32(), weights()),
    (weights(1, 20), f32(2, 20, 4, 2)),
    (f32(2, 1, 4), f32(1, 8, 1, 5)),
    (f32(2, 5, 1, 3), f32(2, 1, 6)),
    (f32(17), f32(1, 2)),
    (f32(2, 1, 2, 1, 2, 1, 2, 3), f32(1, 2, 1, 2, 1, 2, 1, 3)),
    (f32(1, 1, 1), f32(1)),
)  # fmt: skip
"""Operands that broadcast in every way: missing axes are trailing."""

BINARY = ("add", "sub", "mul", "min", "max")
COMPARISONS = ("lt", "gt", "le", "ge", "eq", "ne")
STEPS = given([[-1.0, 0.0, 1.0, nan, 2.0, inf, -inf, 0.0, nan]])
OTHER_STEPS = given([[-1.0, 1.0, 0.0, 1.0, nan, inf, inf, -0.0, nan]])


def unary() -> list[Case]:
    found = [case(op, f32(2, 5, 3, 7, low=low, high=high)) for op, (low, high) in DOMAINS.items()]
    found += [case(op, given(SPECIAL)) for op in ANYWHERE]
    found += [case("neg", f32(*shape)) for shape in ((), (1,), (16,), (33,), (2, 1, 2, 1, 2, 1, 3, 2), (1, 1, 1, 1))]
    found += [case(op, weights(3, 4, low=0.5, high=2.0)) for op in ("sqrt", "log2", "rsqrt")]
    halves = given([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997, -0.49999997, 8388609.0])
    found.append(case("round", halves, expected=[-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 8388609.0]))
    found.append(case("sign", given([0.0, -0.0, 7.0, -7.0, inf, nan]), expected=[0.0, 0.0, 1.0, -1.0, 1.0, nan]))
    found.append(case("sqr", given([-3.0, 0.5]), expected=[9.0, 0.25]))
    found.append(case("rsqr", given([-2.0, 0.5]), expected=[0.25, 4.0]))
    return found


def binary() -> list[Case]:
    found = [case(op, x, y) for op in BINARY for x, y in PAIRS]
    divisors = (f32(2, 3, 4, low=0.5, high=2.0), f32(2, 3, low=-2.0, high=-0.5), f32(low=0.5, high=2.0))
    found += [case("div", f32(2, 3, 4), y) for y in divisors]
    found += [case("pow", f32(3, 5, low=0.2, high=3.0), f32(*shape)) for shape in ((3, 5), (3,), (1, 5), ())]
    special = given([[0.0, -0.0, inf, -inf, nan, -2.0, 0.3, 7.0], [1.0, 1e-30, 1e30, 2.5, 0.1, 3.0, -1e-3, -7.0]])
    exponents = (0.75, -0.75, 0.5, -0.5, 0.25, 1.5, -2.25, 2.0, 3.0, -1.0, -3.0, 0.0, 1.0, 0.7, inf, nan)
    found += [case("pow", special, constant(given(exponent))) for exponent in exponents]
    found += [
        case("add", given([[1.0, 2.0, 3.0]] * 3), given([10.0, 20.0, 30.0]),
             expected=[[11.0, 12.0, 13.0], [21.0, 22.0, 23.0], [31.0, 32.0, 33.0]]),
        case("div", given([1.0, -1.0, 0.0, 4.0]), given([0.0, 0.0, 0.0, 2.0]), expected=[inf, -inf, nan, 2.0]),
        case("pow", given([-2.0, -2.0, -2.0, 0.0, 4.0]), given([2.0, 3.0, 0.5, 0.0, 0.5]),
             expected=[4.0, -8.0, nan, 1.0, 2.0]),
        case("max", given([nan, 1.0, nan, 1.0, -inf]), given([1.0, nan, nan, 2.0, -3.0]),
             expected=[nan, nan, nan, 2.0, -3.0]),
        case("min", given([nan, 1.0, nan, 1.0, inf]), given([1.0, nan, nan, 2.0, -3.0]),
             expected=[nan, nan, nan, 1.0, -3.0]),
        case("max", given([[nan, inf, -inf, 1.0] * 4]), constant(given([0.5]))),
        case("min", constant(given([0.5])), given([[nan, inf, -inf, 1.0] * 4])),
    ]  # fmt: skip
    return found


def logic() -> list[Case]:
    found = [case(op, STEPS, OTHER_STEPS) for op in COMPARISONS]
    found += [case(op, f32(2, 16, 3), f32(2, 16)) for op in COMPARISONS]
    found += [case(op, f32(5, 3), f32()) for op in COMPARISONS]
    found.append(case("ne", given([nan, 1.0, 2.0]), given([nan, 1.0, 3.0]), expected=[True, False, True]))
    shapes = (((2, 16, 3), (2, 16, 3)), ((5, 3), (5,)), ((), (1, 7)), ((), ()), ((33,), (1,)))
    found += [case(op, mask(*x), mask(*y)) for op in ("and", "or") for x, y in shapes]
    table = given([[True, True], [False, False]], "b"), given([[True, False], [True, False]], "b")
    found.append(case("and", *table, expected=[[True, False], [False, False]]))
    found.append(case("or", *table, expected=[[True, True], [True, False]]))
    found += [case("not", mask(*shape)) for shape in ((), (7,), (2, 16, 3), (1, 1, 2, 2, 1, 3, 1, 2))]
    found.append(case("not", given([True, False], "b"), expected=[False, True]))
    return found


def choices() -> list[Case]:
    found = [case("select", mask(2, 5, 3), make(2, 5, 3), make(2, 5, 3)) for make in (f32, i64, mask)]
    shapes: tuple[tuple[tuple[int, ...], ...], ...] = (
        ((), (2, 16), (2, 16)), ((3,), (3, 4), ()), ((2, 1, 3), (1, 5), (2,)), ((2, 16, 4), (), ()), ((), (), ()),
    )  # fmt: skip
    found += [case("select", mask(*c), f32(*x), f32(*y)) for c, x, y in shapes]
    found.append(case("select", mask(4, 3), i64(4), i64(1, 3)))
    found.append(case("select", constant(given([True, False], "b")), f32(2, 3), f32(2, 3)))
    kept = given([nan, nan, inf, 1.0]), given([1.0, 2.0, nan, -inf])
    found.append(case("select", given([False, True, True, False], "b"), *kept, expected=[1.0, nan, inf, -inf]))
    return found


def limits() -> list[Case]:
    def clamped(x: Data, a: Data, b: Data, **known: Any) -> Case:
        return case("clamp", x, a, b, **known)

    return [
        clamped(f32(2, 16, 3), weights(low=-1.0, high=-0.5), weights(low=0.5, high=1.0)),
        clamped(f32(2, 5, 3, 4), f32(2, 5, low=-1.0, high=0.0), f32(1, 1, 3, low=0.0, high=1.0)),
        clamped(f32(), f32(low=-1.0, high=0.0), f32(low=0.0, high=1.0)),
        clamped(f32(1, 7), f32(3, low=-1.0, high=0.0), f32(3, 7, low=0.0, high=1.0)),
        clamped(given([-5.0, 0.0, 5.0]), given(2.0), given(1.0), expected=[2.0, 2.0, 2.0]),
        clamped(given([nan, inf, -inf, 0.5, -0.0]), given(-1.0), given(1.0), expected=[nan, 1.0, -1.0, 0.5, 0.0]),
        clamped(given([1.0, 1.0, 1.0]), given([nan, 0.0, -inf]), given([2.0, nan, inf]), expected=[nan, nan, 1.0]),
        clamped(given([[nan, 3.0, -3.0, 0.25] * 4]), constant(given(-1.0)), constant(given(1.0))),
    ]


def copies() -> list[Case]:
    found = [case("copy", make(2, 5, 3)) for make in (f32, i64, mask)]
    return [*found, case("copy", f32()), case("copy", given(SPECIAL)), case("copy", weights(4, 3))]


CASES = [*unary(), *binary(), *logic(), *choices(), *limits(), *copies()]
