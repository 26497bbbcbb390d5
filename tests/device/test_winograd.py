"""Every candidate of a convolution with several taps that writes blocks, epilogue included, on every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nnef_cl.conformance.case import Case, case, f32, weights
from nnef_cl.conformance.harness import compare, interpret, invocation
from nnef_cl.device import open_device
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan.build import exact as exact_only
from nnef_cl.session import Session
from tests.conftest import OCLGRIND
from tests.device.candidates import check_candidate, in_turn

pytestmark = [pytest.mark.many_kernels, pytest.mark.usefixtures("in_blocks")]

TOLERANCE = 2e-5
"""Of the largest magnitude; what the README promises."""


def conv(shape: Sequence[int], channels: int, *size: int, **attrs: Any) -> Case:
    filter = weights(channels, shape[1] // attrs.get("groups", 1), *size)
    return case("conv", f32(*shape), filter, weights(1, channels), **attrs)


CASES = [
    conv((1, 16, 8, 8), 16, 3, 3),
    conv((2, 33, 7, 9), 17, 3, 3, padding=[(0, 2), (3, 1)]),
    conv((1, 20, 6, 5), 70, 3, 3, border="replicate", padding=[(2, 3), (1, 4)]),
    conv((1, 16, 6, 7), 33, 3, 3, border="reflect", padding=[(2, 1), (1, 2)]),
    conv((1, 16, 6, 7), 33, 3, 3, border="reflect-even", padding=[(2, 2), (3, 2)]),
    conv((1, 16, 9, 10), 16, 3, 3, padding=[(-1, -2), (-1, 1)]),
    conv((3, 16, 4, 11), 16, 1, 3),
    conv((1, 16, 11, 1), 48, 3, 1),
    conv((2, 32, 13), 40, 3, padding=[(1, 1)]),
    conv((1, 20, 9, 7), 33, 5, 5),
    conv((2, 16, 7, 8), 17, 2, 2, padding=[(0, 1), (1, 0)]),
    conv((1, 16, 8, 9), 32, 4, 3, border="replicate"),
    conv((1, 64, 8, 7), 96, 3, 3, groups=2),
    conv((2, 64, 6, 9), 64, 5, 3, groups=4),
    conv((2, 20, 4, 6, 7), 33, 3, 3, 3, padding=[(1, 1), (1, 0), (1, 1)]),
    conv((1, 32, 7, 6, 5), 32, 2, 3, 3, groups=2, padding=[(3, 1), (1, 1), (1, 1)], stride=[2, 1, 1], dilation=[3, 1, 1]),
    conv((2, 17, 3, 7, 5), 16, 1, 3, 3, border="reflect", padding=[(0, 0), (1, 1), (1, 1)]),
    conv((1, 16, 3, 6, 6), 16, 5, 1, 3, padding=[(2, 2), (0, 0), (1, 1)]),
    conv((1, 20, 9, 8), 33, 7, 7),
    conv((2, 17, 9, 3), 16, 7, 1, border="reflect", padding=[(3, 2), (0, 0)]),
    conv((1, 16, 3, 14), 32, 1, 9, border="replicate"),
    conv((2, 40, 12), 20, 6, padding=[(3, 4)]),
    conv((1, 16, 7, 11), 17, 6, 6),
    conv((1, 32, 7, 9), 32, 4, 4, groups=2),
    conv((1, 20, 13, 11), 33, 3, 3, dilation=[2, 2]),
    conv((2, 17, 9, 16), 16, 3, 3, dilation=[1, 3], border="reflect", padding=[(1, 1), (3, 2)]),
    conv((1, 16, 11, 16), 32, 5, 3, dilation=[2, 3], border="replicate"),
    conv((2, 32, 23), 40, 3, dilation=[4], padding=[(8, 0)]),
    conv((1, 64, 6, 7), 64, 3, 3, dilation=[3, 3], groups=2, padding=[(4, 2), (3, 3)]),
    conv((1, 16, 3, 9, 7), 16, 3, 3, 3, dilation=[2, 2, 3], padding=[(2, 2), (2, 2), (3, 3)]),
]
PARTS = [
    conv((1, 20, 13, 11), 33, 7, 7, padding=[(3, 2), (2, 4)]),
    conv((2, 17, 14, 12), 16, 5, 5, stride=[2, 2], border="replicate", padding=[(2, 1), (1, 2)]),
    conv((1, 32, 15, 17), 40, 4, 4, stride=[2, 2], padding=[(1, 1), (1, 1)]),
    conv((1, 64, 13, 14), 64, 7, 6, stride=[2, 2], groups=2, border="reflect", padding=[(3, 3), (2, 2)]),
    conv((1, 16, 14, 17), 20, 3, 5, stride=[1, 3], padding=[(-1, 1), (2, -2)]),
    conv((1, 16, 2, 60), 32, 1, 31, stride=[1, 2], padding=[(0, 0), (15, 15)]),
    conv((2, 24, 50), 17, 15, dilation=[2], padding=[(14, 3)]),
    conv((2, 20, 3, 40), 33, 1, 3, dilation=[1, 16], padding=[(0, 0), (20, 12)]),
    conv((1, 16, 5, 12, 11), 16, 3, 5, 5, stride=[2, 2, 2], padding=[(1, 1), (2, 2), (2, 2)]),
    conv((1, 16, 22, 6), 48, 11, 3, stride=[4, 4], border="reflect-even", padding=[(3, 2), (1, 1)]),
]
STEMS = [
    conv((2, 3, 23, 19), 32, 7, 7, stride=[2, 2], padding=[(3, 3), (3, 3)]),
    conv((1, 1, 30, 29), 16, 11, 11, stride=[4, 4], padding=[(2, 3), (1, 0)], border="replicate"),
    conv((1, 4, 21, 24), 48, 9, 9, padding=[(4, 4), (4, 4)], border="reflect"),
    conv((2, 2, 5, 5), 16, 3, 3, stride=[2, 2], padding=[(4, 4), (4, 4)], border="reflect"),
    conv((1, 2, 6, 5), 16, 5, 5, stride=[2, 2], padding=[(6, 6), (5, 5)], border="reflect-even"),
    conv((3, 6, 16, 17), 16, 6, 6, stride=[2, 2], padding=[(2, 1), (-1, 3)]),
    conv((1, 2, 200), 24, 15, stride=[4], padding=[(40, 40)]),
    conv((1, 3, 4, 13, 11), 16, 3, 7, 5, stride=[1, 2, 2], padding=[(1, 1), (3, 3), (2, 2)]),
    conv((1, 3, 25, 9), 16, 7, 4, dilation=[2, 1], padding=[(6, 6), (1, 2)], border="reflect-even"),
]
"""Few channels of a plain input."""
GAPS = [
    conv((2, 3, 5, 40), 33, 3, 3, dilation=[1, 18], padding=[(1, 1), (18, 18)]),
    conv((1, 20, 6, 40), 32, 3, 2, dilation=[2, 27], padding=[(2, 2), (13, 14)], border="reflect"),
]
"""Pixels between the taps that the direct algorithm does not copy."""
if OCLGRIND:  # every form of the kernel, as small as they come
    CASES = [conv((1, 32, 6, 5), 32, 3, 3, groups=2), conv((1, 16, 1, 5), 16, 1, 7), conv((1, 16, 5, 6), 16, 3, 3, dilation=[2, 2])]
    CASES += [conv((1, 20, 7, 9), 16, 3, 3, stride=[2, 2])]
    GAPS = [conv((1, 3, 4, 20), 16, 1, 2, dilation=[1, 18], padding=[(0, 0), (9, 9)])]
    STEMS = [conv((1, 3, 13, 11), 16, 5, 5, stride=[2, 2], padding=[(2, 2), (1, 3)])]
    STEMS += [conv((1, 2, 5, 5), 16, 3, 3, stride=[2, 2], padding=[(4, 4), (4, 4)], border="reflect")]
else:
    CASES += PARTS
    CASES += [conv((1, 512, 14, 14), 32, 3, 3), conv((1, 128, 20, 20), 32, 7, 7), conv((1, 512, 21, 20), 32, 3, 3, stride=[2, 2])]
    CASES += [conv((1, 1024, 80), 32, 9), conv((1, 450, 14, 14), 32, 9, 9), conv((1, 512, 14, 14), 32, 5, 5)]
    CASES += [conv((1, 130, 30, 29), 97, 3, 3), conv((3, 64, 14, 14), 64, 3, 3)]


def network(one: Case, blocked: bool = True) -> tuple[Graph, dict[str, np.ndarray]]:
    """1x1, which makes blocks (where `blocked`), the convolution in question, the sum with another input, a relu; and the
    inputs."""
    x, filter, bias = one.arrays
    rng, channels = np.random.default_rng(x.size), x.shape[1]
    first = rng.standard_normal((channels, channels, *(1,) * (x.ndim - 2)), np.float32) / np.float32(np.sqrt(channels))
    residual = rng.standard_normal(one.reference()[0].shape, np.float32)
    variables = {"filter": filter, "bias": bias} | ({"first": first} if blocked else {})
    lines = [f"{k} = variable<scalar>(shape = {list(v.shape)}, label = '{k}');" for k, v in variables.items()]
    lines += [f"{k} = external<scalar>(shape = {list(v.shape)});" for k, v in (("x", x), ("other", residual))]
    lines += ["before = conv(x, first);"] if blocked else []
    lines += [invocation(one, ("before" if blocked else "x", "filter", "bias"), ("result",))]
    lines += ["total = add(result, other);", "y = relu(total);"]
    text = f"version 1.0; graph g( x, other ) -> ( y ) {{ {' '.join(lines)} }}"
    graph = import_document(parse_document(text), STANDARD, lambda label, position: variables[label])
    return graph, {"x": x, "other": residual}


@pytest.mark.parametrize(("one", "number"), in_turn(CASES, 5 if OCLGRIND else 9, step=6))
def test_every_candidate(one: Case, number: int, selector: str) -> None:
    offered, blocked = check_candidate(one.id, *network(one), number, selector, TOLERANCE)
    assert not blocked or any("winograd" in name for name in offered)


@pytest.mark.parametrize(("one", "number"), in_turn([*STEMS, *GAPS], 5 if OCLGRIND else 9, step=4))
def test_parts_of_few_channels_fill_vectors_together(one: Case, number: int, selector: str) -> None:
    offered, blocked = check_candidate(one.id, *network(one, blocked=False), number, selector, TOLERANCE)
    assert not blocked or one in GAPS or any("winograd" in name and "parts" in name for name in offered)


@pytest.mark.skipif(OCLGRIND, reason="too large for the simulator")
def test_windows_that_no_kernel_of_blocks_takes(selector: str) -> None:
    graph, inputs = network(conv((1, 16, 5, 4), 16, 40, 41, padding=[(20, 20), (20, 20)]))
    with Session(graph, open_device(selector), STANDARD | INTERNAL) as session:
        compare("large", session.run(inputs)["y"], interpret(graph, inputs)["y"], TOLERANCE)


@pytest.mark.skipif(OCLGRIND, reason="too large for the simulator")
@pytest.mark.parametrize("one", [conv((1, 64, 28, 28), 64, 3, 3), conv((1, 16, 4200), 16, 3, dilation=[1030])], ids=["3x3", "far"])
def test_exact_never_chooses_it(one: Case, selector: str) -> None:
    graph, inputs = network(one)
    device = open_device(selector)
    with (
        Session(graph, device, STANDARD | INTERNAL) as fast,
        Session(graph, device, STANDARD | INTERNAL, choose=exact_only) as exact,
    ):
        assert not any("winograd" in step.algorithm for step in exact.plan.steps)
        compare("exact", fast.run(inputs)["y"], exact.run(inputs)["y"], TOLERANCE)
