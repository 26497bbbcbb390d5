"""Deconvolutions as one convolution for all phases, every candidate of them, on every device."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_cl.conformance.case import Case
from nnef_cl.conformance.conv import deconv
from nnef_cl.conformance.harness import invocation
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import STANDARD
from tests.conftest import OCLGRIND
from tests.device.candidates import check_candidate, in_turn

pytestmark = pytest.mark.usefixtures("in_blocks")

CASES = [
    deconv((2, 16, 4, 5), (16, 32, 4, 4), stride=[2, 2], padding=[(1, 1), (1, 1)]),
    deconv((1, 32, 3, 4), (32, 16, 2, 2), stride=[2, 2], padding=[(0, 0), (0, 0)]),
    deconv((1, 20, 4, 3), (20, 16, 3, 3), stride=[2, 2], padding=[(1, 0), (1, 0)], output_shape=[1, 16, 8, 6]),
    deconv((1, 16, 3, 5), (16, 48, 6, 3), stride=[3, 1], padding=[(2, 1), (1, 1)], border="replicate"),
    deconv((2, 16, 2, 3, 4), (16, 16, 2, 4, 4), stride=[2, 2, 2], padding=[(0, 0), (1, 1), (1, 1)]),
    deconv((1, 16, 9), (16, 32, 4), stride=[2], padding=[(1, 1)]),
]
if OCLGRIND:
    CASES = CASES[:2]


def network(one: Case) -> tuple[Graph, dict[str, np.ndarray]]:
    """1x1, which makes blocks, the deconvolution, a factor per channel, the sum with another input; and the inputs."""
    x, filter, bias = one.arrays
    rng, channels, shape = np.random.default_rng(x.size), x.shape[1], one.reference()[0].shape
    first = rng.standard_normal((channels, channels, *(1,) * (x.ndim - 2)), np.float32) / np.float32(np.sqrt(channels))
    variables = {"first": first, "filter": filter, "bias": bias}
    factor, other = (rng.standard_normal(extents, np.float32) for extents in ((1, shape[1]), shape))
    inputs = {"x": x, "factor": factor, "other": other}
    lines = [f"{k} = variable<scalar>(shape = {list(v.shape)}, label = '{k}');" for k, v in variables.items()]
    lines += [f"{k} = external<scalar>(shape = {list(v.shape)});" for k, v in inputs.items()]
    lines += ["before = conv(x, first);", invocation(one, ("before", "filter", "bias"), ("result",))]
    lines += ["scaled = mul(result, factor);", "total = add(scaled, other);", "y = relu(total);"]
    text = f"version 1.0; graph g( x, factor, other ) -> ( y ) {{ {' '.join(lines)} }}"
    return import_document(parse_document(text), STANDARD, lambda label, position: variables[label]), inputs


@pytest.mark.parametrize(("one", "number"), in_turn(CASES, 4))
def test_every_candidate(one: Case, number: int, selector: str) -> None:
    offered, blocked = check_candidate(one.id, *network(one), number, selector, 1e-4)
    assert not blocked or any("subpixel" in name for name in offered)
