"""Cases of the activation functions and softmax."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from nnef_cl.conformance.case import Case, case, constant, f32, given, weights

PLAIN = ("sigmoid", "relu", "elu", "selu", "gelu", "silu", "softplus")
SHAPES = ((2, 20, 3, 3), (1, 16, 2, 2), (33,), (), (2, 1, 2, 1, 2, 1, 2, 3))
LARGE = [nan, 0.0, 100.0, -60.0, 1e30, -1e4, 1e-4, -1e-4, 30.0]


def plain() -> list[Case]:
    other: dict[str, Any] = {"lambda": 0.75}  # no name for Python
    found = [case(op, f32(*shape, low=-4.0, high=4.0)) for op in PLAIN for shape in SHAPES]
    found += [case(op, given(LARGE)) for op in PLAIN]
    found += [
        case("relu", given([nan, inf, -inf, -2.0, 3.0]), expected=[nan, inf, 0.0, 0.0, 3.0]),
        case("sigmoid", given([0.0, -100.0, inf, -inf]), expected=[0.5, 0.0, 1.0, 0.0]),
        case("gelu", given([1.0]), expected=[0.8458]),
        case("softplus", given([100.0, 0.0, inf, -inf]), expected=[100.0, 0.6931472, inf, 0.0]),
        case("elu", given([-inf, -1.0, 2.0]), alpha=0.5, expected=[-0.5, -0.3160603, 2.0]),
        case("elu", f32(2, 5, 3), alpha=2.0),
        case("selu", given([-1.0, 1.0]), expected=[-1.1113307, 1.0507010]),
        case("selu", f32(2, 5, 3), alpha=1.5, **other),
    ]  # fmt: skip
    return found


def leaky() -> list[Case]:
    found = [case("leaky_relu", f32(*shape), alpha=0.1) for shape in SHAPES]
    found += [
        case("leaky_relu", given([nan, inf, -inf, -2.0, 3.0]), alpha=0.5, expected=[nan, inf, -inf, -1.0, 3.0]),
        case("leaky_relu", f32(3, 4), alpha=-0.3),
        case("prelu", f32(2, 20, 3, 3), weights(1, 20)),
        case("prelu", f32(2, 16, 3, 3), weights(1, 16)),
        case("prelu", f32(2, 5, 3), f32(2, 5, 3)),
        case("prelu", f32(4, 3), f32(4)),
        case("prelu", f32(3, 4), weights()),
        case("prelu", f32(), f32()),
        case("prelu", given([[-1.0, 1.0], [-2.0, nan]]), constant(given([0.5, 0.25])),
             expected=[[-0.5, 1.0], [-0.5, nan]]),
    ]  # fmt: skip
    return found


def soft() -> list[Case]:
    x = (2, 5, 3, 4)
    found = [case("softmax", f32(*x), axes=axes) for axes in ([0], [1], [2], [3], [2, 3], [3, 1], [0, 1, 2, 3], [])]
    found += [
        case("softmax", f32(2, 33)),
        case("softmax", f32(1, 16)),
        case("softmax", f32(3, 1, 4)),
        case("softmax", f32(2, 20, 3, 3)),
        case("softmax", f32(7), axes=[0]),
        case("softmax", f32(3, 1000)),
        case("softmax", f32(2, 9, 40, 3)),
        case("softmax", f32(2, 130, 3)),
        case("softmax", f32(3, 20, 2, 30), axes=[1, 3]),
        case("softmax", f32(5, 9), axes=[0, 1]),
        case("softmax", f32(), axes=[]),
        case("softmax", f32(2, 1, 3, 1, 2, 1, 2, 2), axes=[2, 6]),
        case("softmax", given([[1000.0, 1000.0], [0.0, -1000.0], [-inf, 0.0]]),
             expected=[[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]),
        case("softmax", given([[0.0, 0.6931472, 1.0986123]]), expected=[[1 / 6, 2 / 6, 3 / 6]]),
    ]  # fmt: skip
    return found


CASES = [*plain(), *leaky(), *soft()]
