"""Cases of box filters and pooling: lists of full rank, every border, windows over any axis."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from nnef_cl.conformance.case import Case, Data, case, constant, f32, given, i64

BORDERS = ("constant", "replicate", "reflect", "reflect-even", "ignore")
POOLS = ("box", "max_pool", "avg_pool", "rms_pool")
ONES = [1, 1]
NONE = [(0, 0), (0, 0)]


def line(op: str, values: list[float], expected: list[float], **attrs: Any) -> Case:
    """A window of three over one spatial axis, with one element of padding on each side."""
    return case(op, given([[values]]), size=[1, 1, 3], padding=[*NONE, (1, 1)], expected=[[expected]], **attrs)


def vectors() -> list[Case]:
    falling, rising = [-1.0, -2.0, -3.0, -4.0, -5.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    return [
        line("max_pool", falling, [0, -1, -2, -3, 0]),
        line("max_pool", falling, [-1, -1, -2, -3, -4], border="ignore"),
        line("max_pool", falling, [-1, -1, -2, -3, -4], border="replicate"),
        line("max_pool", falling, [-1, -1, -2, -3, -4], border="reflect"),
        line("avg_pool", rising, [1, 2, 3, 4, 3]),
        line("avg_pool", rising, [1.5, 2, 3, 4, 4.5], border="ignore"),
        line("avg_pool", rising, [1.3333, 2, 3, 4, 4.6667], border="replicate"),
        line("avg_pool", rising, [1.3333, 2, 3, 4, 4.6667], border="reflect-even"),
        line("avg_pool", rising, [1.6667, 2, 3, 4, 4.3333], border="reflect"),
        line("box", rising, [3, 6, 9, 12, 9]),
        line("box", rising, [1, 2, 3, 4, 3], normalize=True),
        line("box", rising, [1.5, 2, 3, 4, 4.5], normalize=True, border="ignore"),
        line("max_pool", [1.0, nan, 2.0, 3.0, 4.0], [nan, nan, nan, 4.0, 4.0], border="ignore"),
        line("max_pool", [-inf, -inf, -inf, inf, 1.0], [-inf, -inf, inf, inf, inf], border="ignore"),
        case("max_pool", given([[[[3.0, 1, 2, 5], [9, 4, 7, 6], [8, 0, 1, 2], [5, 5, 5, 5]]]]), size=[1, 1, 2, 2],
             stride=[1, 1, 2, 2], padding=[*NONE, *NONE], expected=[[[[9.0, 7], [8, 5]]]]),
    ]  # fmt: skip


def pooled(op: str, x: tuple[int, ...], size: list[int], **attrs: Any) -> Case:
    """The window covers the spatial axes; lists are given for these alone."""
    full: dict[str, Any] = {k: [*(NONE if k == "padding" else ONES), *v] if isinstance(v, list) else v for k, v in attrs.items()}
    return case(op, f32(*x), size=[*ONES, *size], **full)


def spatial() -> list[Case]:
    found = [pooled(op, (2, c, 6, 7), [2, 2], stride=[2, 2]) for op in POOLS for c in (3, 16, 20)]
    found += [pooled(op, (1, 5, 6, 7), [3, 3], border=border) for op in POOLS for border in BORDERS]
    found += [
        pooled(op, (1, 16, 7, 8), [3, 2], border=border, stride=[2, 1], padding=[(1, 2), (0, 1)], dilation=[2, 1])
        for op in POOLS for border in BORDERS
    ]  # fmt: skip
    found += [pooled(op, (1, 33, 9), [3], stride=[2]) for op in POOLS]
    found += [pooled(op, (1, 8, 4, 5, 6), [2, 3, 2], stride=[2, 1, 2]) for op in POOLS]
    for op in ("box", "max_pool"):
        found += [
            pooled(op, (1, 16, 7, 7), [7, 7], padding=[(0, 0), (0, 0)]),
            pooled(op, (1, 16, 8, 8), [3, 3], stride=[2, 2], padding=[(0, 1), (0, 1)], border="ignore"),
            pooled(op, (1, 3, 9, 9), [2, 2], padding=[(-1, -2), (-3, 0)]),
            pooled(op, (1, 3, 9, 9), [2, 2], padding=[(-1, 2), (1, -2)], border="replicate"),
            pooled(op, (1, 3, 5, 5), [1, 1], stride=[2, 2]),
            pooled(op, (1, 3, 7, 7), [2, 2], stride=[3, 3]),
            pooled(op, (2, 5, 9, 8), [9, 8], padding=[(0, 0), (0, 0)], border="ignore"),
            pooled(op, (2, 5, 9, 8), [9, 1], padding=[(0, 0), (0, 0)]),
            pooled(op, (2, 5, 3, 4), [3, 1], padding=[(0, 0), (0, 1)]),
            pooled(op, (1, 3, 2, 2), [3, 3], padding=[(2, 4), (3, 3)], border="replicate"),
            pooled(op, (1, 1, 1, 1), [3, 3]),
        ]
    return found


def rows() -> list[Case]:
    """Rows of one vector and more, with a rest, and of several pieces."""
    found = []
    for op, border in (("max_pool", "constant"), ("avg_pool", "ignore"), ("box", "reflect"), ("max_pool", "replicate")):
        found += [
            pooled(op, (2, 3, 5, 37), [3, 3], border=border),
            pooled(op, (1, 2, 6, 50), [2, 3], stride=[2, 3], dilation=[1, 4], padding=[(1, 0), (5, 9)], border=border),
            pooled(op, (1, 2, 9001), [5], stride=[2], padding=[(4500, 3)], border=border),
            pooled(op, (1, 2, 24, 1), [3, 1], border=border),
        ]
    return found


def any_axes() -> list[Case]:
    """Windows over batch and channels, and ranks from 0 to 8."""
    found = []
    for op in ("box", "max_pool"):
        found += [case(op, f32(4, 6, 5), size=[2, 3, 2], border=border) for border in BORDERS]
        found += [
            case(op, f32(2, 20, 3, 3), size=[1, 5, 1, 1]),
            case(op, f32(2, 16, 3, 3), size=[1, 4, 1, 1], border="ignore"),
            case(op, f32(3, 8), size=[1, 3], stride=[1, 2], padding=[(0, 0), (1, 1)]),
            case(op, f32(3, 16, 4, 4), size=[2, 1, 2, 1], stride=[2, 1, 1, 1]),
            case(op, f32(2, 16, 4, 4), size=[1, 1, 2, 2], stride=[1, 2, 2, 2], padding=[(0, 0)] * 4),
            case(op, f32(2, 16, 4, 4), size=[1, 1, 2, 2], padding=[(0, 0), (1, 2), (0, 0), (0, 0)]),
            case(op, f32(2, 16, 4, 4), size=[1, 1, 2, 2], padding=[(0, 1), (0, 2), (0, 0), (0, 0)], border="replicate"),
            case(op, f32(9), size=[3], stride=[2]),
            case(op, f32(), size=[]),
            case(op, f32(2, 1, 2, 3, 1, 2, 2, 3), size=[1, 1, 2, 2, 1, 1, 2, 2]),
        ]
    found.append(pooled("avg_pool", (2, 20, 7, 9), [7, 9], padding=[(0, 0), (0, 0)]))
    found.append(case("avg_pool", f32(3, 8), size=[1, 3], border="ignore"))
    return found


def places(limit: int, *shape: int) -> Data:
    """Positions in a window of `limit` elements."""
    return i64(*shape, low=0, high=limit)


PLANE = [[3.0, 1, 2, 5], [9, 4, 7, 6], [8, 0, 1, 2], [5, 5, 5, 5]]
HALVES: dict[str, Any] = {"size": [1, 1, 2, 2], "stride": [1, 1, 2, 2], "padding": [*NONE, *NONE]}


def index_vectors() -> list[Case]:
    maxima, found = [[[[9.0, 7], [8, 5]]]], [[[[2, 2], [0, 2]]]]
    values, index = given(maxima), given(found, "i")
    back = [[0.0, 0, 0, 0], [9, 0, 7, 0], [8, 0, 0, 0], [0, 0, 5, 0]]
    outside: dict[str, Any] = {"size": [3], "padding": [(1, 1)]}
    overlapping: dict[str, Any] = {"size": [3], "stride": [1], "padding": [(1, 1)]}
    return [
        case("argmax_pool", given([[PLANE]]), **HALVES, expected=found),
        case("max_pool_with_index", given([[PLANE]]), **HALVES, expected=(maxima, found)),
        case("sample", given([[PLANE]]), index, **HALVES, expected=maxima),
        case("desample", values, index, **HALVES, expected=[[back]]),
        # Zeros outside take part and are the first of equal ones.
        case("argmax_pool", given([-1.0, -2.0, 0.0]), **outside, expected=[0, 2, 1]),
        case("argmax_pool", given([-1.0, -2.0, 0.0]), border="ignore", **outside, expected=[1, 2, 1]),
        case("max_pool_with_index", given([-1.0, -2.0, -3.0]), **outside, expected=([0.0, -1, 0], [0, 0, 2])),
        case("max_pool_with_index", given([-1.0, -2.0, -3.0]), border="ignore", **outside,
             expected=([-1.0, -1, -2], [1, 0, 0])),
        case("max_pool_with_index", given([-1.0, nan, nan]), **outside, expected=([nan, nan, nan], [2, 1, 0])),
        case("max_pool_with_index", given([-inf, -inf, inf]), border="replicate", **outside,
             expected=([-inf, inf, inf], [0, 2, 1])),
        case("max_pool_with_index", given([5.0]), size=[1], padding=[(1, 0)], border="ignore",
             expected=([-inf, 5.0], [0, 0])),
        case("sample", given([1.0, 2.0, 3.0]), given([0, 2, 2], "i"), **outside, expected=[0.0, 3, 0]),
        case("sample", given([1.0, 2.0, 3.0]), given([0, 2, 2], "i"), border="replicate", **outside,
             expected=[1.0, 3, 3]),
        case("sample", given([1.0, 2.0, 3.0]), given([0, 2, 2], "i"), border="reflect", **outside,
             expected=[2.0, 3, 2]),
        # Two windows meet at the first element, the last value falls outside.
        case("desample", given([1.0, 2.0, 4.0]), given([1, 0, 2], "i"), **overlapping, expected=[3.0, 0, 0]),
        case("desample", given([1.0, 2.0]), given([1, 1], "i"), size=[2], stride=[3], padding=[(0, 0)],
             output_shape=[6], expected=[0.0, 1, 0, 0, 2, 0]),
        case("debox", given([1.0, 2.0, 3.0]), size=[3], stride=[2], padding=[(0, 0)], expected=[1.0, 1, 3, 2, 5, 3, 3]),
        case("debox", given([1.0, 2.0, 3.0]), size=[3], stride=[2], expected=[1.0, 1, 3, 2, 5, 3]),
        case("debox", given([1.0, 2.0, 3.0]), size=[3], stride=[2], output_shape=[5], expected=[1.0, 3, 2, 5, 3]),
        case("debox", given([1.0, 2.0, 3.0]), size=[3], stride=[2], padding=[(1, 1)], output_shape=[6],
             expected=[1.0, 3, 2, 5, 3, 3]),
        case("debox", given([1.0, 2.0, 3.0]), size=[3], padding=[(1, 1)], expected=[3.0, 6, 5]),
        case("debox", given([1.0, 2.0, 3.0]), size=[3], padding=[(1, 1)], border="replicate", expected=[4.0, 6, 8]),
        case("debox", given([3.0, 6.0, 9.0]), size=[3], padding=[(1, 1)], normalize=True, expected=[3.0, 6, 5]),
        case("debox", given([[[[1.0, 2], [3, 4]]]]), **HALVES,
             expected=[[[[1.0, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]),
    ]  # fmt: skip


TIES = [[nan if n == 29 else float((n * n + row) % 3) - 1.0 for n in range(37)] for row in range(5)]


def indexed() -> list[Case]:
    """Every border, windows over any axes, ranks from 0 to 8, equal values among the maxima."""
    found = []
    for op in ("argmax_pool", "max_pool_with_index"):
        found += [case(op, f32(2, 3, 7, 8), size=[1, 1, 3, 2], stride=[1, 1, 2, 1], padding=[*NONE, (1, 2), (0, 1)],
                       dilation=[1, 1, 2, 1], border=border) for border in BORDERS]  # fmt: skip
        found += [
            case(op, f32(1, 16, 6, 7), size=[1, 1, 2, 2], stride=[1, 1, 2, 2]),
            *(case(op, given(TIES), size=[3, 4], stride=[1, 2], border=border) for border in BORDERS),
            case(op, f32(2, 9001), size=[2, 3]),
            case(op, f32(4, 6, 5), size=[2, 3, 2], border="ignore"),
            case(op, f32(3, 9, 9), size=[1, 2, 2], padding=[(0, 0), (-1, -2), (-3, 0)]),
            case(op, given([2.0, 2.0, 1.0, 2.0]), size=[4], border="ignore"),
            case(op, f32(), size=[]),
            case(op, f32(2, 1, 2, 3, 1, 2, 2, 3), size=[1, 1, 2, 2, 1, 1, 2, 2]),
        ]
    for border in ("constant", "replicate", "reflect", "reflect-even"):
        found += [
            case("sample", f32(2, 3, 7, 8), places(6, 2, 3, 3, 8), size=[1, 1, 3, 2], stride=[1, 1, 2, 1],
                 padding=[*NONE, (1, 2), (0, 1)], dilation=[1, 1, 2, 1], border=border),
        ]  # fmt: skip
    found += [
        case("sample", f32(4, 6, 5), places(12, 4, 6, 5), size=[2, 3, 2]),
        case("sample", f32(2, 4), constant(places(2, 2, 2)), size=[1, 2], stride=[1, 2]),
        case("sample", f32(3, 4), places(1, 3, 4), size=[1, 1]),
        case("sample", f32(), places(1), size=[]),
        case("sample", f32(2, 1, 2, 3, 1, 2, 2, 3), places(16, 2, 1, 2, 3, 1, 2, 2, 3),
             size=[1, 1, 2, 2, 1, 1, 2, 2]),
        case("desample", f32(2, 3, 3, 4), places(6, 2, 3, 3, 4), size=[1, 1, 3, 2], stride=[1, 1, 2, 2]),
        case("desample", f32(2, 3, 3, 4), places(6, 2, 3, 3, 4), size=[1, 1, 3, 2], stride=[1, 1, 2, 1],
             dilation=[1, 1, 1, 3], padding=[*NONE, (1, 1), (2, 0)]),
        case("desample", f32(2, 3, 3), places(9, 2, 3, 3), size=[1, 3, 3], stride=[1, 2, 2], output_shape=[2, 5, 6]),
        case("desample", f32(2, 2), constant(places(6, 2, 2)), size=[3, 2], dilation=[2, 3], stride=[3, 2],
             padding=[(0, 0), (0, 0)]),
        case("desample", f32(2, 3, 20), places(12, 2, 3, 20), size=[1, 3, 4], stride=[1, 2, 2], padding=[(0, 0), (1, 0), (1, 2)]),
        case("desample", f32(2, 2100), places(4, 2, 2100), size=[2, 2], stride=[2, 2]),
        case("desample", f32(3, 4), places(1, 3, 4), size=[1, 1]),
        case("desample", f32(), places(1), size=[]),
        case("desample", f32(2, 1, 2, 3, 1, 2, 2, 3), places(16, 2, 1, 2, 3, 1, 2, 2, 3),
             size=[1, 1, 2, 2, 1, 1, 2, 2]),
    ]  # fmt: skip
    return found


def spread() -> list[Case]:
    """debox: every border, stride, dilation and padding, negative too, over any axes."""
    window: dict[str, Any] = {"size": [1, 1, 3, 2], "stride": [1, 1, 2, 1], "padding": [*NONE, (1, 0), (1, 1)]}
    found = [case("debox", f32(2, 3, 4, 5), border=border, **window) for border in BORDERS]
    found += [
        case("debox", f32(2, 3, 4), size=[1, 3, 3], stride=stride, dilation=dilation, normalize=True)
        for stride in ([], [1, 2, 3]) for dilation in ([], [1, 2, 3])
    ]  # fmt: skip
    found += [
        case("debox", f32(3, 4), size=[2, 3], stride=[3, 2], padding=[(-1, 0), (1, -2)]),
        *(case("debox", f32(2, 3, 20), size=[1, 2, 3], stride=[1, 2, 2], border=border) for border in BORDERS),
        case("debox", f32(3, 2100), size=[2, 2], stride=[2, 2]),
        case("debox", f32(3, 4), size=[2, 3], stride=[3, 2], padding=[(-2, -2), (-5, 0)], border="replicate"),
        case("debox", f32(2, 16, 3, 3), size=[1, 5, 1, 1]),
        case("debox", f32(1, 1, 1, 1), size=[1, 1, 4, 4], stride=[1, 1, 4, 4], padding=[*NONE, *NONE]),
        case("debox", f32(), size=[]),
        case("debox", f32(2, 1, 2, 3, 1, 2, 2, 3), size=[1, 1, 2, 2, 1, 1, 2, 2], stride=[1, 1, 2, 1, 1, 1, 2, 1]),
        case("debox", f32(1, 2, 3, 2), size=[1, 1, 2, 2], stride=[1, 1, 2, 2], padding=[*NONE, *NONE],
             output_shape=[1, 2, 7, 5]),
    ]  # fmt: skip
    return found


CASES = [*vectors(), *spatial(), *rows(), *any_axes(), *index_vectors(), *indexed(), *spread()]
