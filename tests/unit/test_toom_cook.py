"""Winograd's transforms against sliding dot products, and the cost that orders the candidates of conv."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from nnef_cl.codegen.kernel import pack_into
from nnef_cl.codegen.kernels.conv_winograd import COLUMNS, PackWinograd
from nnef_cl.codegen.kernels.toom_cook import Transform, combination
from nnef_cl.codegen.target import Target

from nnef_cl.conformance.case import case, f32, weights
from nnef_cl.conformance.harness import family_graph
from nnef_cl.ir.layout import Layout
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.problem import make_problem

OPS = STANDARD | INTERNAL


SIZES = [(1, 1), (2, 1), (2, 2), (2, 3), (3, 3), (4, 3), (2, 5), (4, 2), (6, 3), (4, 5), (2, 7), (6, 5), (4, 7), (2, 9)]


@pytest.mark.parametrize(("outputs", "taps"), SIZES)
def test_transforms_compute_sliding_products(outputs: int, taps: int) -> None:
    transform, rng = Transform(outputs, taps), np.random.default_rng(outputs * taps)
    data, filter = rng.standard_normal(transform.points), rng.standard_normal(taps)
    products = (np.array(transform.filter) @ filter) * (np.array(transform.data) @ data)
    expected = [data[i : i + taps] @ filter for i in range(outputs)]
    np.testing.assert_allclose(np.array(transform.answer) @ products, expected, rtol=1e-12)


@pytest.mark.parametrize(("k", "c", "lanes"), [(5, 3, 4), (8, 2 * COLUMNS // 8 + 5, 8), (33, COLUMNS // 16, 16)])
def test_packed_filters_are_transformed_along_both_axes(k: int, c: int, lanes: int) -> None:
    filter = np.random.default_rng(1).standard_normal((k, c, 1, 3, 3)).astype(np.float32)
    transform = Transform(2, 3)
    pack = PackWinograd(transform, transform, 4, lanes // 4)
    tiles, channels = -(-k // lanes), -(-c // 4) * 4
    expected = np.zeros((tiles, lanes, 16, channels))
    values = np.einsum("pi,qj,kcij->kpqc", transform.filter, transform.filter, filter[:, :, 0])
    expected.reshape(-1, 16, channels)[:k, :, :c] = values.reshape(k, 16, c)
    packed = pack(filter)
    assert packed.shape == pack.shape(filter.shape) == (tiles, 16, channels, lanes)
    np.testing.assert_allclose(packed, expected.transpose(0, 2, 3, 1), rtol=1e-6)
    memory = np.full(packed.nbytes, 0xFF, np.uint8)
    pack_into(pack, filter, memory)
    assert memory.tobytes() == packed.tobytes()


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((1.0, 0.0, 0.0), "a"), ((-1.0, 0.0, 1.0), "-a + c"), ((0.0, 2.0, 0.0), "(T)(2.0f) * b"),
        ((4.0, 1.0, -5.0), "fma((T)((-5.0f)), c, fma((T)(4.0f), a, b))"),
    ],
)  # fmt: skip
def test_combinations_skip_what_vanishes(row: tuple[float, ...], text: str) -> None:
    assert combination(row, ["a", "b", "c"], "T") == text


def algorithms(channels: int, extent: int, size: int = 3, **attrs: Any) -> list[str]:
    """Of the candidates for a convolution to as many channels, cheapest first, on a device of vectors of 16."""
    one = case("conv", f32(1, channels, extent, extent), weights(channels, channels // attrs.get("groups", 1), size, size), **attrs)
    graph, _ = family_graph([one])
    problem = make_problem(graph.nodes[0], graph.tensors, graph.constants, OPS)
    blocked = [problem.outputs[0].with_layout(Layout(16))]
    lower = OPS["conv"].lower
    assert lower is not None
    target = Target.generic(16)
    x, *weighted = problem.inputs
    inputs = (x.with_layout(Layout(16)) if "groups" in attrs else x, *weighted)
    offered = lower(replace(problem, inputs=inputs, outputs=tuple(blocked)), target)
    assert [c.algorithm for c in offered if not c.exact] == [c.algorithm for c in offered if "winograd" in c.algorithm]
    return [candidate.algorithm for candidate in offered]


def test_estimates_prefer_large_tiles_on_large_maps_and_none_for_few_channels() -> None:
    assert algorithms(64, 56)[0].startswith("winograd F4x4")
    assert algorithms(3, 56)[0] == "conv_direct"


@pytest.mark.parametrize(
    ("size", "attrs"),
    [(1, {}), (1, {"stride": [2, 2]}), (2, {"stride": [2, 2]}), (3, {"stride": [2, 2], "dilation": [2, 2]}), (3, {"groups": 4})],
)
def test_only_where_it_is_right(size: int, attrs: dict[str, Any]) -> None:
    assert algorithms(32, 8, size, **attrs)[0].startswith("conv") and len(algorithms(32, 8, size, **attrs)) == 1


def test_groups_of_whole_blocks_and_other_windows() -> None:
    assert "winograd F4x4 fused" in algorithms(32, 8, groups=2)
    assert "winograd F4x4 fused" in algorithms(64, 27, 5) and "winograd F5x5 fused" in algorithms(64, 27, 2)
    assert "winograd F3x3 fused" in algorithms(64, 27, 6) and "winograd F6x6 fused" not in algorithms(64, 27, 3)


def test_long_and_strided_windows_are_cut_into_parts() -> None:
    assert "winograd F5x5 of 2x2 parts fused" in algorithms(64, 27, 7) and "winograd F2x2 fused" not in algorithms(64, 27, 7)
    assert "winograd F4x4 of 3x3 parts fused" in algorithms(48, 27, 13)
    assert algorithms(64, 28, 5, stride=[2, 2])[0].startswith("winograd F4x4 of 2x2 parts")
    assert "winograd F4x4 of 4x4 parts fused" in algorithms(32, 28, 11, stride=[4, 4])
    assert "winograd F5x4 of 2x1 parts fused" in algorithms(64, 28, 3, stride=[2, 1])


def test_long_sums_take_fewer_points() -> None:
    assert "winograd F4x4 fused" in algorithms(512, 9, 5) and "winograd F4x4 fused" not in algorithms(528, 9, 5)
    assert "winograd F5x5 of 2x2 parts fused" not in algorithms(144, 9, 7)
    assert "winograd F2x2 fused" in algorithms(528, 9, 5)


def test_maps_smaller_than_a_tile() -> None:
    assert "winograd F4x4 fused" not in algorithms(64, 3) and "winograd F2x2 fused" in algorithms(64, 3)
    assert algorithms(64, 1) == ["conv_direct"]
