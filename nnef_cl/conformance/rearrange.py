"""Cases of the operations that move elements, with cast, copy_n and add_n."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from nnef_cl.conformance.case import Case, Data, case, f32, given, i64, mask, weights

BORDERS = ("constant", "replicate", "reflect", "reflect-even")
MAKERS = (f32, i64, mask)
EIGHT = (2, 1, 2, 1, 2, 3, 1, 2)


def counted(*shape: int) -> Data:
    """0, 1, 2, ... in row-major order."""
    total = 1
    for extent in shape:
        total *= extent
    values: Any = [float(n) for n in range(total)]
    for extent in reversed(shape[1:]):
        values = [values[k : k + extent] for k in range(0, len(values), extent)]
    return given(values if shape else values[0])


def views() -> list[Case]:
    reshapes: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
        ((2, 3, 4), {"shape": [2, -1]}), ((2, 3, 4), {"shape": [0, -1]}), ((2, 3, 4), {"shape": [6, 4]}),
        ((2, 3, 4), {"shape": [-1]}), ((2, 3, 4), {"shape": [0, 0, 0, 1]}), ((2, 3, 4), {"shape": [4, 3, 2]}),
        ((4, 2, 3, 5), {"shape": [6], "axis_start": 1, "axis_count": 2}),
        ((4, 2, 3, 5), {"shape": [0, -1], "axis_start": 2}),
        ((4, 2, 3, 5), {"shape": [-1], "axis_start": 1}),
        ((2, 3), {"shape": [1], "axis_start": 1, "axis_count": 0}),
        ((2, 3), {"shape": [1, 1], "axis_start": 2, "axis_count": 0}),
        ((2, 1, 1, 3), {"shape": [], "axis_start": 1, "axis_count": 2}),
        ((1, 1), {"shape": []}), ((), {"shape": [1, 1, 1]}), ((2, 16, 3, 3), {"shape": [0, -1]}),
        (EIGHT, {"shape": [-1]}), ((48,), {"shape": list(EIGHT)}),
    )  # fmt: skip
    found = [case("reshape", f32(*shape), **attrs) for shape, attrs in reshapes]
    found += [case("reshape", make(2, 3), shape=[3, 2]) for make in (i64, mask, weights)]
    found.append(case("reshape", counted(2, 3), shape=[3, -1], expected=[[0.0, 1], [2, 3], [4, 5]]))
    found += [case("squeeze", make(2, 1, 3, 1), axes=[3, 1]) for make in MAKERS]
    found += [case("squeeze", f32(1, 5), axes=[0]), case("squeeze", f32(1), axes=[0]), case("squeeze", f32(2, 3), axes=[])]
    found += [case("squeeze", f32(2, 16, 1, 1), axes=[2, 3])]
    found += [case("unsqueeze", make(2, 3), axes=[0, 3]) for make in MAKERS]
    found += [case("unsqueeze", f32(2, 3), axes=axes) for axes in ([2], [1], [3, 0], [])]
    found += [case("unsqueeze", f32(), axes=[0]), case("unsqueeze", f32(2, 2, 2), axes=[1, 3, 5, 6, 7])]
    found.append(case("unsqueeze", given([1.0, 2.0]), axes=[2, 0], expected=[[[1.0], [2.0]]]))
    return found


def permuted() -> list[Case]:
    found = [case("transpose", make(2, 3, 4), axes=[2, 0, 1]) for make in MAKERS]
    found += [
        case("transpose", f32(*shape), axes=axes)
        for shape, axes in (
            ((3, 5), [1, 0]), ((2, 3, 4), [1, 0]), ((2, 16, 3, 5), [0, 2, 3, 1]), ((2, 3, 5, 16), [0, 3, 1, 2]),
            ((33, 17), [1, 0]), ((2, 40, 35), [0, 2, 1]), ((9, 2, 34), [2, 1, 0]), ((8, 3, 5, 8), [3, 2, 1, 0]),
            ((33, 2, 3), [1, 2, 0]), ((4, 5, 6), [0, 1, 2]), ((2, 3), []), ((), []), ((7,), [0]),
            (EIGHT, [7, 6, 5, 4, 3, 2, 1, 0]), ((3, 2, 2, 5, 37), [0, 3, 1, 4, 2]), ((2, 3, 3, 4, 21), [0, 3, 1, 4, 2]),
            ((3, 5, 2, 37, 2), [0, 2, 4, 1, 3]), ((2, 4, 3, 21, 3), [0, 2, 4, 1, 3]),
        )
    ]  # fmt: skip
    found += [case("transpose", make(*shape), axes=[1, 0]) for make in MAKERS for shape in ((33, 40), (2, 43), (43, 3))]
    found.append(case("transpose", counted(2, 3), axes=[1, 0], expected=[[0.0, 3], [1, 4], [2, 5]]))
    return found


def joined() -> list[Case]:
    found = [case("concat", make(2, 3, 4), make(2, 1, 4), make(2, 2, 4), axis=1) for make in MAKERS]
    found += [case("split", make(2, 6, 4), axis=1, ratios=[1, 2]) for make in MAKERS]
    found += [case("stack", make(2, 3), make(2, 3), axis=1) for make in MAKERS]
    found += [case("stack", make(2, 19), make(2, 19), axis=2) for make in MAKERS]
    found += [case("unstack", make(2, 3, 4), axis=1) for make in MAKERS]
    found += [
        case("concat", f32(1, 16, 3, 3), f32(1, 32, 3, 3), axis=1),
        case("concat", f32(1, 5, 3, 3), f32(1, 20, 3, 3), f32(1, 16, 3, 3), axis=1),
        case("concat", f32(2, 16, 3, 3), f32(1, 16, 3, 3), axis=0),
        case("concat", f32(2, 16, 3, 4), f32(2, 16, 3, 1), axis=3),
        case("concat", f32(3), f32(2), weights(1), axis=0),
        case("concat", f32(2, 3), axis=0),
        case("concat", f32(*EIGHT), f32(*EIGHT), axis=5),
        case("split", f32(1, 48, 3, 3), axis=1, ratios=[1, 1, 1]),
        case("split", f32(2, 10), axis=1, ratios=[2, 3]),
        case("split", f32(12), axis=0, ratios=[1, 2, 3]),
        case("split", f32(2, 5, 14), axis=2, ratios=[7]),
        case("split", counted(6), axis=0, ratios=[1, 2], expected=([0.0, 1], [2.0, 3, 4, 5])),
        case("stack", f32(2, 3), f32(2, 3), f32(2, 3), axis=0),
        case("stack", f32(2, 3), weights(2, 3), axis=2),
        case("stack", f32(), f32(), axis=0),
        case("stack", f32(2, 3), axis=1),
        case("stack", given([1.0, 2.0]), given([3.0, 4.0]), axis=1, expected=[[1.0, 3], [2, 4]]),
        case("unstack", f32(3), axis=0),
        case("unstack", f32(2, 16, 3, 2), axis=3),
        case("unstack", f32(1, 5), axis=0),
        case("unstack", counted(2, 2), axis=1, expected=([0.0, 2], [1.0, 3])),
    ]
    return found


def sliced(expected: list[float], begin: int, end: int, stride: int | None = None, extent: int = 5) -> Case:
    """[0, 1, ... extent - 1] along one axis."""
    more: dict[str, Any] = {} if stride is None else {"stride": [stride]}
    return case("slice", counted(extent), axes=[0], begin=[begin], end=[end], expected=expected, **more)


def slices() -> list[Case]:
    found = [case("slice", make(4, 5, 6), axes=[2, 0], begin=[1, 1], end=[5, 3]) for make in MAKERS]
    found += [
        sliced([0, 1, 2, 3, 4], 0, 0),
        sliced([2, 3, 4], 2, 0),
        sliced([2, 3, 4], 2, 0, 1),
        sliced([1, 2], 1, 3),
        sliced([1, 2, 3], 1, -1),
        sliced([3, 4], -2, 0),
        sliced([3, 4], -2, 5),
        sliced([2, 3, 4], 2, 99),
        sliced([0, 2, 4], 0, 5, 2),
        sliced([1, 4], 1, 5, 3),
        sliced([0], 0, 3, 7),
        sliced([4, 3, 2, 1, 0], -1, -6, -1),
        sliced([4, 2, 0], -1, -6, -2),
        sliced([3, 2], 3, 1, -1),
        sliced([4, 3, 2, 1], 99, 0, -1),
        sliced([4, 3, 2, 1], 5, 0, -1),
        *(case("slice", make(2, 37), axes=[1], begin=[begin], end=[end], stride=[stride]) for make in MAKERS
          for begin, end, stride in ((1, 36, 1), (1, 36, 2), (0, 37, 3), (-1, -38, -1), (-1, -38, -2))),
        case("slice", f32(4, 5, 6), axes=[0, 2], begin=[-1, 0], end=[-5, 6], stride=[-1, 1]),
        case("slice", f32(2, 16, 7, 7), axes=[1, 2, 3], begin=[3, 1, 1], end=[9, 6, 6], stride=[2, 2, 3]),
        case("slice", f32(2, 3), axes=[], begin=[], end=[]),
        case("slice", f32(), axes=[], begin=[], end=[]),
        case("slice", f32(*EIGHT), axes=[5, 0], begin=[1, 1], end=[3, 2]),
        case("slice", weights(4, 5), axes=[1], begin=[1], end=[3]),
    ]
    return found


def padded() -> list[Case]:
    def line(border: str, expected: list[float], **attrs: Any) -> Case:
        return case("pad", given([1.0, 2.0, 3.0, 4.0]), padding=[(2, 2)], border=border, expected=expected, **attrs)

    found = [
        line("constant", [0, 0, 1, 2, 3, 4, 0, 0]),
        line("constant", [9, 9, 1, 2, 3, 4, 9, 9], value=9.0),
        line("replicate", [1, 1, 1, 2, 3, 4, 4, 4]),
        line("reflect", [3, 2, 1, 2, 3, 4, 3, 2]),
        line("reflect-even", [2, 1, 1, 2, 3, 4, 4, 3]),
        case("pad", f32(), padding=[]),
        case("pad", f32(2, 3), padding=[(0, 0), (0, 0)]),
        case("pad", f32(2, 3), padding=[(7, 0), (0, 5)], value=-1.5),
        case("pad", f32(2, 3), padding=[(7, 0), (0, 5)], border="replicate"),
        case("pad", f32(5, 6), padding=[(-1, 2), (1, -3)], border="reflect"),
        case("pad", f32(5, 6), padding=[(-2, -1), (0, -5)]),
        case("pad", f32(1, 4), padding=[(0, 0), (-6, 5)], value=2.0),
        case("pad", f32(1, 1), padding=[(0, 1), (1, 0)], border="reflect-even"),
        case("pad", f32(*EIGHT), padding=[(0, 1), (0, 0), (1, 0), (0, 0), (0, 0), (1, 1), (0, 0), (0, 1)]),
    ]
    found += [
        case("pad", f32(2, c, 4, 5), padding=[(0, 0), (1, 0), (2, 1), (1, 3)], border=border)
        for c in (3, 16) for border in BORDERS
    ]  # fmt: skip
    return found


def repeated() -> list[Case]:
    found = [case("tile", make(2, 3), repeats=[2, 3]) for make in MAKERS]
    found += [
        case("tile", f32(1, 16, 2, 3), repeats=[2, 1, 3, 1]),
        case("tile", f32(), repeats=[]),
        case("tile", f32(3), repeats=[5]),
        case("tile", f32(*EIGHT), repeats=[1, 2, 1, 1, 1, 2, 1, 2]),
        case("tile", given([[1.0, 2.0]]), repeats=[2, 2], expected=[[1.0, 2, 1, 2], [1, 2, 1, 2]]),
    ]
    found += [case("copy_n", make(2, 3), times=3) for make in MAKERS]
    found += [case("copy_n", f32(), times=1)]
    return found


def gathers() -> list[Case]:
    found = [case("gather", make(5, 4), i64(3, low=0, high=5)) for make in MAKERS]
    found += [case("gather", f32(3, 7, 2), i64(*shape, low=0, high=7), axis=1) for shape in ((4,), (2, 3), (), (1,))]
    found += [
        case("gather", weights(10, 16), i64(2, 5, low=0, high=10)),
        case("gather", f32(2, 3, 9), i64(6, low=0, high=9), axis=2),
        case("gather", f32(4), i64(low=0, high=4)),
        *(case("gather", make(3, 4, 21), i64(5, low=0, high=4), axis=1) for make in MAKERS),
        case("gather", f32(2, 2, 2, 2, 3), i64(2, 1, 2, 2, low=0, high=3), axis=4),
        case("gather", given([10.0, 20.0, 30.0]), given([2, 0, 2], "i"), expected=[30.0, 10.0, 30.0]),
    ]
    return found


def casts() -> list[Case]:
    found = [
        case("cast", make(2, 5, 3), generic=kind) for make in MAKERS for kind in ("scalar", "integer", "logical")
    ]
    reals = given([1.9, -1.9, 0.5, -0.5, 0.0, -0.0, 300.7, 1e6])
    found += [
        case("cast", reals, generic="integer", expected=[1, -1, 0, 0, 0, 0, 300, 1000000]),
        case("cast", given([nan, inf, -inf, 1e30, -1e30, -1.5]), generic="integer",
             expected=[0, 2**63 - 1, -(2**63), 2**63 - 1, -(2**63), -1]),
        case("cast", given([nan, inf, 0.0, -0.0, 1e-30]), generic="logical", expected=[True, True, False, False, True]),
        case("cast", given([True, False], "b"), generic="scalar", expected=[1.0, 0.0]),
        case("cast", given([True, False], "b"), generic="integer", expected=[1, 0]),
        case("cast", given([7, 0, -1], "i"), generic="logical", expected=[True, False, True]),
        case("cast", given([7, 2**40, -1], "i"), generic="scalar", expected=[7.0, 2.0**40, -1.0]),
        case("cast", f32(), generic="integer"),
    ]
    return found


def sums() -> list[Case]:
    return [
        case("add_n", f32(2, 3), f32(2, 3), f32(2, 3)),
        case("add_n", f32(2, 16, 3, 3), f32(2, 16, 3, 3)),
        case("add_n", f32(2, 3)),
        case("add_n", f32(2, 3, 4), f32(2), weights(1, 3)),
        case("add_n", f32(), f32(), f32()),
    ]


CASES = [
    *views(), *permuted(), *joined(), *slices(), *padded(), *repeated(), *gathers(), *casts(), *sums(),
]  # fmt: skip
