"""Shapes, windows, borders and axes that Hypothesis draws, in batches, on every device against the references."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from nnef_cl.conformance.case import Case, case, constant, f32, i64, mask, weights
from nnef_cl.conformance.harness import family_graph
from nnef_cl.conformance.run import run_cases
from nnef_cl.device import open_device
from nnef_cl.errors import ModelError, RuleError
from nnef_cl.plan.build import first
from tests.conftest import OCLGRIND

pytestmark = pytest.mark.many_kernels

BATCHES = (8, pytest.param(24, marks=pytest.mark.slow))
"""Cases of one program: compiling costs, drawing does not."""
POOL_BORDERS = ("constant", "ignore", "replicate", "reflect", "reflect-even")
METHODS = ("symmetric", "asymmetric", "aligned")
CONV_BORDERS = ("constant", "replicate", "reflect", "reflect-even")
Draw = st.DrawFn


def extents(draw: Draw, count: int, largest: int = 9) -> list[int]:
    return [draw(st.integers(1, largest)) for _ in range(count)]


def windowed(draw: Draw, rank: int, borders: tuple[str, ...]) -> dict[str, Any]:
    """Border, padding, stride and dilation; each list may be left out."""
    attrs: dict[str, Any] = {"border": draw(st.sampled_from(borders))}
    if draw(st.booleans()):
        attrs["padding"] = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(rank)]
    if draw(st.booleans()):
        attrs["stride"] = extents(draw, rank, 3)
    if draw(st.booleans()):
        attrs["dilation"] = extents(draw, rank, 2)
    return attrs


def conv(draw: Draw, op: str = "conv") -> Case:
    rank = draw(st.integers(1, 3))
    groups, into, out = draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 5, 8))), draw(st.sampled_from((1, 3, 8, 16)))
    attrs = windowed(draw, rank, CONV_BORDERS if op == "conv" else ("constant",)) | {"groups": groups}
    data = f32(draw(st.integers(1, 2)), into * groups, *extents(draw, rank))
    kernel = weights(*((out * groups, into) if op == "conv" else (into * groups, out)), *extents(draw, rank, 4))
    bias = [weights(1, out * groups)] if draw(st.booleans()) else []
    return case(op, data, kernel, *bias, **attrs)


def deconv(draw: Draw) -> Case:
    return conv(draw, "deconv")


def pool(draw: Draw) -> Case:
    rank = draw(st.integers(1, 5))
    op = draw(st.sampled_from(("box", "max_pool", "avg_pool", "rms_pool", "debox")))
    attrs = windowed(draw, rank, POOL_BORDERS if op != "debox" else ("constant", "ignore"))
    if op in ("box", "debox"):
        attrs["normalize"] = draw(st.booleans())
    return case(op, f32(*extents(draw, rank)), size=extents(draw, rank, 4), **attrs)


def reduced(draw: Draw) -> Case:
    op = draw(st.sampled_from(("sum_reduce", "mean_reduce", "max_reduce", "min_reduce", "argmax_reduce", "softmax")))
    rank = draw(st.integers(1, 6))
    axes = draw(st.lists(st.integers(0, rank - 1), unique=True, min_size=1, max_size=rank))
    return case(op, f32(*extents(draw, rank, 7)), axes=sorted(axes))


def sliced(draw: Draw) -> Case:
    shape = extents(draw, draw(st.integers(1, 5)))
    begin = [draw(st.integers(0, extent - 1)) for extent in shape]
    end = [draw(st.integers(at + 1, extent)) for at, extent in zip(begin, shape, strict=True)]
    return case("slice", f32(*shape), axes=list(range(len(shape))), begin=begin, end=end, stride=[draw(st.integers(1, 3)) for _ in shape])


def padded(draw: Draw) -> Case:
    shape = extents(draw, draw(st.integers(1, 5)))
    pads = [(draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in shape]
    return case("pad", f32(*shape), padding=pads, border=draw(st.sampled_from(CONV_BORDERS)), value=draw(st.sampled_from((0.0, -1.5))))


def transposed(draw: Draw) -> Case:
    shape = extents(draw, draw(st.integers(1, 6)), 6)
    return case("transpose", f32(*shape), axes=draw(st.permutations(range(len(shape)))))


def matmul(draw: Draw) -> Case:
    m, k, n = (draw(st.sampled_from((1, 2, 5, 8, 17, 33))) for _ in range(3))
    batch = extents(draw, draw(st.integers(0, 2)), 3)
    flags = {"transposeA": draw(st.booleans()), "transposeB": draw(st.booleans())}
    left = (k, m) if flags["transposeA"] else (m, k)
    right = (n, k) if flags["transposeB"] else (k, n)
    other = [draw(st.sampled_from((1, extent))) for extent in batch]
    return case("matmul", f32(*batch, *left), f32(*other, *right), **flags)


def broadcast(draw: Draw) -> Case:
    shape = extents(draw, draw(st.integers(1, 5)))
    op = draw(st.sampled_from(("add", "sub", "mul", "min", "max", "lt", "select")))
    shorter = [draw(st.sampled_from((1, extent))) for extent in shape[: draw(st.integers(0, len(shape)))]]
    if op == "select":
        return case(op, mask(*shape), f32(*shorter), f32(*shape))
    return case(op, *draw(st.permutations((f32(*shape), f32(*shorter)))))


def upsampled(draw: Draw) -> Case:
    shape = [draw(st.integers(1, 2)), draw(st.sampled_from((1, 3, 16))), *extents(draw, draw(st.integers(1, 3)), 5)]
    method, border = draw(st.sampled_from(METHODS)), draw(st.sampled_from(CONV_BORDERS))
    return case("multilinear_upsample", f32(*shape), factor=extents(draw, len(shape) - 2, 4), method=method, border=border)


def sampled(draw: Draw) -> Case:
    rank, op = draw(st.integers(1, 4)), draw(st.sampled_from(("sample", "desample")))
    shape, size = extents(draw, rank, 6), extents(draw, rank, 3)
    attrs = windowed(draw, rank, POOL_BORDERS if op == "sample" else ("constant",))
    result = shape
    if op == "sample":
        pooled = case("max_pool", f32(*shape), size=size, **attrs | {"border": "ignore"})
        try:
            [result] = pooled.record.infer_shapes([tuple(shape)], pooled.all_attrs)
        except RuleError:
            reject()
    return case(op, f32(*shape), i64(*result, low=0, high=math.prod(size)), size=size, **attrs)


def region(draw: Draw) -> Case:
    rank, count, maps = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    op = draw(st.sampled_from(("avg_roi_pool", "max_roi_pool", "roi_resample", "avg_roi_align", "max_roi_align")))
    attrs: dict[str, Any] = {"output_size": extents(draw, rank, 4)}
    if op == "roi_resample":
        attrs["method"] = draw(st.sampled_from(METHODS))
    elif op.endswith("align"):
        attrs |= {"sampling_rate": extents(draw, rank, 3), "resize_method": draw(st.sampled_from(METHODS))}
    index = i64(count, *draw(st.sampled_from(((), (1,)))), low=0, high=maps)
    rois = f32(count, 2 * rank, low=-3, high=draw(st.sampled_from((4, 12))))
    return case(op, f32(maps, draw(st.integers(1, 4)), *extents(draw, rank)), rois, index, **attrs)


def quantised(draw: Draw) -> Case:
    shape = extents(draw, draw(st.integers(1, 4)), 17)
    kind, bits = draw(st.sampled_from(("min_max", "zero_point", "logarithmic"))), draw(st.integers(1, 16))
    own = draw(st.sampled_from(((), (1, *shape[1:2]), (1,) * len(shape))))
    flags = {} if kind == "logarithmic" else {"signed": draw(st.booleans()), "symmetric": draw(st.booleans())}
    parameters = {
        "min_max": (f32(*own, low=-3.0, high=-0.1), f32(*own, low=0.1, high=3.0)),
        "zero_point": (i64(*own), f32(*own, low=0.01, high=0.1)),
        "logarithmic": (f32(*own, low=0.1, high=9.0),),
    }[kind]
    if draw(st.booleans()):
        parameters = tuple(map(constant, parameters))
    name = f"{kind}_linear_quantize" if flags else f"{kind}_quantize"
    return case(name, f32(*shape, low=-4.0, high=4.0), *parameters, bits=bits, **flags)


DRAWN: dict[str, Callable[[Draw], Case]] = {
    "conv": conv, "deconv": deconv, "pool": pool, "reduced": reduced, "sliced": sliced, "padded": padded,
    "transposed": transposed, "matmul": matmul, "broadcast": broadcast, "upsampled": upsampled,
    "sampled": sampled, "region": region, "quantised": quantised,
}  # fmt: skip


def valid(drawn: Case) -> bool:
    """Whether the shape rules take it: no window larger than what it slides over, no reflection beyond the input."""
    try:
        family_graph([drawn])
    except (ModelError, RuleError):
        return False
    return True


@st.composite
def batches(draw: st.DrawFn, kind: str, count: int) -> list[Case]:
    one = st.composite(DRAWN[kind])().filter(valid)
    return draw(st.lists(one, min_size=count, max_size=count, unique_by=lambda drawn: drawn.id))


@pytest.mark.skipif(OCLGRIND, reason="a thousand times slower: the written cases run there")
@pytest.mark.parametrize("count", BATCHES)
@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_cases(kind: str, count: int, selector: str) -> None:
    @settings(max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(batches(kind, count))
    def check(cases: list[Case]) -> None:
        outcomes = run_cases(cases, open_device(selector), first, lambda stage, done, total: None)
        assert [f"{one.case.id}: {one.failure}" for one in outcomes if one.failure] == []

    check()
