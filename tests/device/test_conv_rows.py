"""Convolutions of plain tensors by rows: windows of one pixel, and groups of few channels."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from nnef_cl.codegen.kernel import Candidate, Kernel
from nnef_cl.codegen.kernels.conv_window_rows import STREAMED_ROWS, ConvWindowRows

from nnef_cl.conformance.case import Case
from nnef_cl.conformance.harness import compare, interpret
from nnef_cl.device import open_device
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Problem
from nnef_cl.plan.build import Choose
from nnef_cl.session import Session
from tests.conftest import OCLGRIND
from tests.device.test_chained import opened
from tests.device.test_winograd import conv, network

pytestmark = pytest.mark.many_kernels


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether that pays or not."""
    monkeypatch.setattr(importlib.import_module("nnef_cl.passes.layout"), "pays_alone", lambda *_: True)


def depthwise(shape: tuple[int, ...], *window: int, results: int = 1, **attrs: Any) -> Case:
    return conv(shape, shape[1] * results, *window, groups=shape[1], **attrs)


PIXELS = [
    conv((1, 3, 5, 9), 7, 1, 1),
    conv((2, 20, 7, 7), 33, 1, 1),
    conv((1, 5, 4, 35), 6, 1, 1, stride=[2, 2]),
    conv((1, 4, 3, 52), 5, 1, 1, stride=[1, 3]),
    conv((1, 12, 2, 3, 19), 8, 1, 1, 1, groups=4),
    conv((1, 6, 40), 1, 1, padding=[(-3, -2)]),
]
DEPTHWISE = [
    depthwise((1, 3, 9, 21), 3, 3),
    depthwise((2, 2, 19, 40), 5, 5, stride=[2, 2], results=2),
    depthwise((1, 2, 11, 35), 3, 2, stride=[2, 1], dilation=[2, 3], padding=[(1, 4), (2, 3)]),
    depthwise((1, 2, 7, 20), 3, 3, border="replicate", padding=[(2, 2), (3, 1)]),
    depthwise((1, 2, 8, 18), 3, 5, border="reflect", padding=[(1, 1), (2, 2)]),
    depthwise((1, 2, 8, 18), 5, 3, border="reflect-even", padding=[(2, 2), (1, 1)], stride=[1, 1]),
    depthwise((1, 2, 4, 5, 20), 3, 3, 3),
    depthwise((1, 4, 61), 9),
    depthwise((1, 2, 6, 50), 2, 3, padding=[(-1, 0), (-2, -1)], stride=[1, 2]),
    depthwise((1, 1, 40, 200), 7, 7),
    depthwise((1, 2, 3, 1), 1, 1, padding=[(0, 0), (200, 0)], stride=[1, 7]),
]
FEW_CHANNELS = [
    conv((2, 3, 13, 38), 5, 3, 3, stride=[2, 2], padding=[(1, 1), (1, 0)]),
    conv((1, 3, 12, 40), 24, 7, 5, stride=[2, 2], padding=[(3, 3), (2, 2)]),
    conv((1, 6, 11, 35), 10, 3, 3, groups=2, border="replicate", padding=[(2, 1), (1, 3)]),
    conv((1, 4, 9, 53), 5, 3, 3, stride=[1, 3], dilation=[2, 2], padding=[(2, 2), (5, 4)], border="reflect"),
    conv((2, 2, 4, 5, 20), 4, 3, 2, 3),
    conv((1, 3, 90), 9, 9, stride=[4]),
    conv((1, 2, 6, 140), 3, 1, 2, stride=[2, 7], padding=[(0, 0), (0, 3)]),
    conv((1, 2, 5, 100), 3, 2, 3, stride=[1, 5], dilation=[1, 5], border="reflect-even", padding=[(1, 0), (4, 6)]),
    conv((1, 5, 4, 20), 7, 1, 1, padding=[(1, 1), (2, 2)]),
    conv((1, 17, 3, 24), 30, 3, 3),
    conv((1, 2, 3, 20), 3, 3, 3, padding=[(4, 4), (22, 30)]),
]


def algorithms(one: Case, selector: str) -> set[str]:
    """Those of the plan, whose results are right."""
    return {kernel.stem for kernel in kernels(one, selector)}


def kernels(one: Case, selector: str, cache: int = 0) -> list[Kernel]:
    """The same of its kernels."""
    graph, inputs = network(one, blocked=False)
    with Session(graph, opened(selector, cache=cache), STANDARD | INTERNAL) as session:
        compare(one.id, session.run(inputs)["y"], interpret(graph, inputs)["y"], 2e-5)
        return [step.kernel for step in session.plan.steps]


def enough(one: Case, selector: str) -> bool:
    """Whether the device's vectors fit into a row of results."""
    return 4 <= open_device(selector).target.vector_width <= one.reference()[0].shape[-1]


@pytest.mark.parametrize("one", PIXELS[1:4:2] if OCLGRIND else PIXELS, ids=lambda one: one.id)
def test_single_pixels(one: Case, selector: str) -> None:
    assert ("conv_rows" in algorithms(one, selector)) == (open_device(selector).target.vector_width >= 4)


@pytest.mark.parametrize("one", DEPTHWISE[:1] if OCLGRIND else DEPTHWISE, ids=lambda one: one.id)
def test_single_channels(one: Case, selector: str) -> None:
    assert ("conv_window_rows" in algorithms(one, selector)) == enough(one, selector)


@pytest.mark.parametrize("one", FEW_CHANNELS[:1] + FEW_CHANNELS[3:4] if OCLGRIND else FEW_CHANNELS, ids=lambda one: one.id)
def test_few_channels(one: Case, selector: str) -> None:
    assert ("conv_window_rows" in algorithms(one, selector)) == enough(one, selector)


def test_results_that_leave_the_caches(selector: str) -> None:
    """Fewer rows at a time."""
    one = depthwise((1, 3, 24, 21), 3, 3)
    few, many = (
        {kernel.rows for kernel in kernels(one, selector, cache) if isinstance(kernel, ConvWindowRows)}
        for cache in (1024, 0)
    )
    assert few == ({STREAMED_ROWS} if enough(one, selector) else set())
    assert bool(many) == bool(few) and all(rows > STREAMED_ROWS for rows in many)


def test_rows_shorter_than_a_vector(selector: str) -> None:
    assert "conv_window_rows" not in algorithms(depthwise((1, 2, 5, 3), 3, 3), selector)


@pytest.mark.skipif(OCLGRIND, reason="the simulator mistakes what an earlier program left behind for this one's")
@pytest.mark.parametrize("one", [PIXELS[1], FEW_CHANNELS[0], DEPTHWISE[1]], ids=["pixels", "few channels", "single channels"])
def test_every_tile(one: Case, selector: str) -> None:
    graph, inputs = network(one, blocked=False)
    expected = interpret(graph, inputs)["y"]
    offered: list[int] = []

    def sized(number: int) -> Choose:
        def choose(problem: Problem, candidates: list[Candidate]) -> Candidate:
            space = candidates[0].space
            if space is None:
                return candidates[0]
            offered.append(len(space.sizes))
            made = space.make(space.sizes[number])
            assert made is not None
            return made

        return choose

    number = 0
    while number < max(offered, default=1):
        with Session(graph, open_device(selector), STANDARD | INTERNAL, choose=sized(number)) as session:
            compare("tile", session.run(inputs)["y"], expected, 2e-5)
        number += 1
    assert number > 4 or open_device(selector).target.vector_width < 4
