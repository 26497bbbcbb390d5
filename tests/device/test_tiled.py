"""Convolution and matrix product on every shape of work-group tile, for sizes that end inside a tile among others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from nnef_cl.codegen import tile as tiles
from nnef_cl.codegen.kernels.tiled import Tiled
from nnef_cl.codegen.target import Target

from nnef_cl.conformance.case import Case, case, f32, weights
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import compare, family_graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.conftest import OCLGRIND
from tests.device.shapes import SHAPES, open_shaped

pytestmark = pytest.mark.many_kernels

SHAPE = "gpu small" if OCLGRIND else "gpu"
CASES: tuple[Case, ...] = (
    case("matmul", f32(2, 37, 44), weights(1, 44, 52)),
    case("matmul", f32(37, 45), f32(30, 45), transposeB=True),
    case("matmul", f32(44, 36), f32(44, 64), transposeA=True),
    case("conv", f32(2, 20, 8, 6), weights(36, 20, 1, 1), weights(1, 36)),
    case("conv", f32(1, 18, 9, 7), weights(17, 18, 3, 3), stride=[1, 2]),
    case("conv", f32(1, 6, 8, 9), weights(8, 3, 3, 2), weights(8), groups=2, border="replicate", padding=[(1, 2), (0, 3)]),
    case("conv", f32(2, 5, 7), f32(6, 5, 3), f32(1, 6)),
    case("deconv", f32(1, 12, 5, 4), weights(12, 9, 3, 3), weights(1, 9), stride=[2, 2]),
    case("deconv", f32(2, 24, 1, 1), weights(24, 9, 3, 3), weights(1, 9), padding=[(0, 0), (0, 0)]),
)  # fmt: skip
SMALL: tuple[Case, ...] = (
    case("matmul", f32(5, 9), weights(9, 6)),
    case("conv", f32(2, 9, 3, 4), weights(5, 9, 1, 1), weights(1, 5)),
    case("conv", f32(1, 3, 3, 3), weights(4, 3, 2, 2), weights(1, 4)),
)
"""For the simulator."""
WORK_GROUP = Target.gpu().max_work_group if not OCLGRIND else 16
FITTING = [sides for sides in tiles.SIDES if sides[0] * sides[2] <= WORK_GROUP]
THIRDS = [(sides, (1, 3)[number % 2], slice(number % 3, None, 3)) for number, sides in enumerate(FITTING)]
"""For the quick tests: sides of a tile, slices, and cases, which take turns."""
FORCED = [
    *THIRDS,
    *(pytest.param((sides, slices, slice(None)), marks=pytest.mark.slow) for sides in FITTING for slices in (1, 3)),
]


@pytest.fixture(params=FORCED, ids=str)
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, slice]]:
    """Leaves one shape of tile to choose from, and units enough that slices are worth it; the number of its slices, and
    which cases to run."""
    sides, slices, which = request.param
    target = SHAPES[SHAPE]
    assert target is not None
    monkeypatch.setitem(SHAPES, SHAPE, replace(target, compute_units=1 << 12))
    monkeypatch.setattr(tiles, "SIDES", (sides,))
    monkeypatch.setattr(tiles, "SLICES", (slices,))
    monkeypatch.setattr(tiles, "LEAST_STEPS", 0)
    tiles.choose_tile.cache_clear()
    yield slices, which
    tiles.choose_tile.cache_clear()


def test_every_tile(forced: tuple[int, slice], selector: str) -> None:
    slices, which = forced
    cases = (SMALL if OCLGRIND else CASES)[which]
    graph, inputs = family_graph(cases)
    with Session(graph, open_shaped(selector, SHAPE), STANDARD | INTERNAL) as session:
        kernels = [step.kernel for step in session.plan.steps if isinstance(step.kernel, Tiled)]
        assert {kernel.tile.slices for kernel in kernels} <= {1, slices} and len(kernels) >= len(cases)
        assert any(kernel.tile.slices == slices for kernel in kernels)
        got = session.run(inputs)
    for number, one in enumerate(cases):
        compare(one.id, got[f"c{number}_y0"], one.reference()[0], tolerance(one.op))
