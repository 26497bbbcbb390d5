"""Cases of up- and down-sampling by whole factors."""

from __future__ import annotations

from typing import Any

from nnef_cl.conformance.case import Case, case, f32, given

METHODS = ("symmetric", "asymmetric", "aligned")
BORDERS = ("constant", "replicate", "reflect", "reflect-even")
NEAREST = ("nearest_upsample", "nearest_downsample", "area_downsample")


def line(factor: int, expected: list[float], **attrs: Any) -> Case:
    """Linear interpolation of [1, 2, 4]."""
    x = given([[[1.0, 2.0, 4.0]]])
    return case("multilinear_upsample", x, factor=[factor], expected=[[expected]], **attrs)


def vectors() -> list[Case]:
    symmetric, asymmetric = {"method": "symmetric"}, {"method": "asymmetric"}
    halves = [1, 1.4, 1.8, 2.4, 3.2, 4]
    quarters = [1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4]
    found = [
        line(2, [1, 1.25, 1.75, 2.5, 3.5, 4]),
        line(2, [0.75, 1.25, 1.75, 2.5, 3.5, 3], border="constant"),
        line(3, [1, 1, 1.3333, 1.6667, 2, 2.6667, 3.3333, 4, 4], **symmetric),
        line(3, [0.6667, 1, 1.3333, 1.6667, 2, 2.6667, 3.3333, 4, 2.6667], border="constant", **symmetric),
        line(2, [1, 1.5, 2, 3, 4, 4], **asymmetric),
        line(2, [1, 1.5, 2, 3, 4, 2], border="constant", **asymmetric),
        line(3, [1, 1.3333, 1.6667, 2, 2.6667, 3.3333, 4, 4, 4], **asymmetric),
        line(3, [1, 1.3333, 1.6667, 2, 2.6667, 3.3333, 4, 2.6667, 1.3333], border="constant", **asymmetric),
        line(2, [1.25, 1.25, 1.75, 2.5, 3.5, 3.5], border="reflect", **symmetric),
        line(2, [1, 1.25, 1.75, 2.5, 3.5, 4], border="reflect-even", **symmetric),
        line(2, [1, 1.5, 2, 3, 4, 3], border="reflect", **asymmetric),
    ]
    for border in ("replicate", "constant"):
        found.append(line(2, halves, method="aligned", border=border))
        found.append(line(3, quarters, method="aligned", border=border))
    grid = given([[[[1.0, 2.0], [3.0, 4.0]]]])
    doubled = [[1.0, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    four = given([[doubled]])
    found += [
        case("nearest_upsample", grid, factor=[2, 2], expected=[[doubled]]),
        case("nearest_downsample", given([[[1.0, 2, 3, 4, 5, 6]]]), factor=[3], expected=[[[1.0, 4]]]),
        case("area_downsample", given([[[1.0, 2, 3, 4, 5, 6]]]), factor=[3], expected=[[[2.0, 5]]]),
        case("area_downsample", four, factor=[2, 2], expected=[[[[1.0, 2], [3, 4]]]]),
    ]
    return found


def shapes() -> list[Case]:
    found = [case(op, f32(2, c, 4, 6), factor=factor) for op in NEAREST for c in (3, 16, 20)
             for factor in ([2, 2], [2, 3], [1, 2], [1, 1])]  # fmt: skip
    found += [case(op, f32(1, 5, 6), factor=[3]) for op in NEAREST]
    found += [case(op, f32(1, 16, 2, 4, 6), factor=[2, 1, 3]) for op in NEAREST]
    found += [case(op, f32(3, 4), factor=[]) for op in NEAREST]
    found += [
        case("multilinear_upsample", f32(2, c, 4, 5), factor=[2, 2], method=method, border=border)
        for c in (3, 16) for method in METHODS for border in BORDERS
    ]  # fmt: skip
    found += [
        case("multilinear_upsample", f32(*x), factor=factor, method=method)
        for method in METHODS
        for x, factor in (((1, 20, 3, 4), [3, 2]), ((1, 5, 6), [4]), ((1, 8, 2, 3, 2), [2, 1, 3]),
                          ((2, 16, 1, 1), [2, 2]), ((1, 3, 1, 5), [3, 1]), ((2, 3), []))
    ]  # fmt: skip
    # Rows of one vector and more, with a rest; of several pieces; with many results for an element.
    found += [
        case("multilinear_upsample", f32(1, 2, *x), factor=factor, method=method, border=border)
        for method, border in (("symmetric", "reflect"), ("asymmetric", "constant"), ("aligned", "replicate"))
        for x, factor in (((3, 37), [2, 3]), ((2, 18), [1, 20]), ((9001,), [2]))
    ]  # fmt: skip
    found.append(case("multilinear_upsample", f32(1, 1, 47000), factor=[2], method="aligned"))
    return found


CASES = [*vectors(), *shapes()]
