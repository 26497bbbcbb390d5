"""Cases of regions of interest: inside, across and outside the map, empty, reversed, without coordinates."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from nnef_cl.conformance.case import Case, Data, case, constant, f32, given, i64

METHODS = ("symmetric", "asymmetric", "aligned")
RAMP = [[[[0.0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]]]]
FIRST = given([[0]], "i")


def batches(limit: int, *shape: int) -> Data:
    return i64(*shape, low=0, high=limit)


def on_ramp(op: str, region: list[float], expected: Any, **attrs: Any) -> Case:
    """One region of a map whose element at row y and column x is 10 y + x."""
    return case(op, given(RAMP), given([region]), FIRST, expected=[[expected]], **attrs)


def vectors() -> list[Case]:
    two: dict[str, Any] = {"output_size": [2, 2]}
    line: dict[str, Any] = {"output_size": [1, 3]}
    return [
        on_ramp("max_roi_pool", [0, 0, 4, 4], [[11.0, 13], [31, 33]], **two),
        on_ramp("avg_roi_pool", [0, 0, 4, 4], [[5.5, 7.5], [25.5, 27.5]], **two),
        # Coordinates are rounded, halves up: rows 1 and 2, columns 1 to 3 in cells of two that overlap.
        on_ramp("max_roi_pool", [0.5, 0.7, 3.4, 3.5], [[12.0, 13], [22, 23]], **two),
        on_ramp("avg_roi_pool", [1, 1, 3, 4], [[11.5, 12.5], [21.5, 22.5]], **two),
        # Smaller than the result: every cell is the first element.
        on_ramp("max_roi_pool", [2, 1, 3, 2], [[21.0, 21], [21, 21]], **two),
        # Beyond the map: only what is there takes part, a cell outside gives 0.
        on_ramp("avg_roi_pool", [2, 2, 6, 6], [[27.5, 0.0], [0, 0]], **two),
        on_ramp("max_roi_pool", [-2, 0, 2, 4], [[0.0, 0], [11, 13]], **two),
        on_ramp("max_roi_pool", [3, 3, 1, 1], [[0.0, 0], [0, 0]], **two),
        on_ramp("avg_roi_pool", [1, 1, 1, 1], [[0.0, 0], [0, 0]], **two),
        on_ramp("max_roi_pool", [0, nan, 4, 4], [[nan, nan], [nan, nan]], **two),
        on_ramp("avg_roi_pool", [-inf, 0, inf, 4], [[15.5, 17.5]], output_size=[1, 2]),
        on_ramp("max_roi_pool", [-1e30, -1e30, 1e30, 1e30], [[33.0]], output_size=[1, 1]),
        on_ramp("roi_resample", [0, 0, 4, 4], [[5.5, 7.5], [25.5, 27.5]], **two),
        on_ramp("roi_resample", [1, 0, 2, 3], [[10.0, 11, 12]], **line),
        on_ramp("roi_resample", [1, 0.5, 2, 2], [[10.25, 10.75, 11.25]], **line),
        on_ramp("roi_resample", [1, 0, 2, 4], [[10.0, 11.3333, 12.6667]], method="asymmetric", **line),
        on_ramp("roi_resample", [1, 0, 2, 4], [[10.0, 11.5, 13]], method="aligned", **line),
        on_ramp("roi_resample", [0, 0, 4, 4], RAMP[0][0], output_size=[4, 4]),
        on_ramp("roi_resample", [0, 0, 4, 4], RAMP[0][0], output_size=[4, 4], method="aligned"),
        on_ramp("roi_resample", [0, -3, 1, 9], [[0.0, 2.5, 3]], **line),
        on_ramp("roi_resample", [0, nan, 1, 3], [[nan, nan, nan]], **line),
        on_ramp("avg_roi_align", [0, 0, 4, 4], [[5.5, 7.5], [25.5, 27.5]], sampling_rate=[2, 2], **two),
        on_ramp("max_roi_align", [0, 0, 4, 4], [[11.0, 13], [31, 33]], sampling_rate=[2, 2], **two),
    ]


def shapes() -> list[Case]:
    """Several regions of several maps; one to six spatial axes; batch_index of either rank, constants."""
    found = []
    sizes: tuple[tuple[tuple[int, ...], list[int]], ...] = (
        ((2, 3, 7), [3]), ((3, 5, 6, 8), [2, 3]), ((1, 2, 4, 5, 3), [2, 1, 2]), ((2, 1, 2, 3, 1, 2, 2, 3), [1] * 5 + [2]),
    )  # fmt: skip
    for x, size in sizes:
        maps, rois = f32(*x), f32(4, 2 * len(size), low=-3, high=9)
        for k, op in enumerate(("avg_roi_pool", "max_roi_pool")):
            index = batches(x[0], 4, 1) if k else batches(x[0], 4)
            found.append(case(op, maps, rois, index, output_size=size))
        for method in METHODS:
            found.append(case("roi_resample", maps, rois, batches(x[0], 4, 1), output_size=size, method=method))
        for op in ("avg_roi_align", "max_roi_align"):
            rate = [2, 3, 1, 1, 1, 1][: len(size)]
            found.append(case(op, maps, rois, batches(x[0], 4), output_size=size, sampling_rate=rate))
    found += [
        case("max_roi_pool", f32(1, 1, 1, 1), f32(1, 4), batches(1, 1), output_size=[2, 2]),
        case("roi_resample", f32(1, 1, 1, 1), f32(1, 4), batches(1, 1), output_size=[2, 3], method="aligned"),
        case("avg_roi_pool", f32(2, 16, 9, 9), f32(2, 4, low=0, high=9), constant(batches(2, 2)), output_size=[3, 3]),
        case("avg_roi_align", constant(f32(2, 3, 5, 5)), f32(2, 4, low=0, high=5), constant(batches(2, 2, 1)),
             output_size=[2, 2], sampling_rate=[1, 2], resize_method="aligned"),
    ]  # fmt: skip
    return found


CASES = [*vectors(), *shapes()]
