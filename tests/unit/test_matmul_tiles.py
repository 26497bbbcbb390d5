"""Register tiles of matrix products: which one is the best guess."""

from __future__ import annotations

import numpy as np
import pytest
from nnef_cl.codegen.kernels.matmul import Matmul, panel_tiles
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.conformance.harness import OPS
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ops import STANDARD
from nnef_cl.ops.matmul_launch import matmul
from nnef_cl.ops.problem import make_problem

CPU = Target.generic(16)


def best_of(rows: int, depth: int, columns: int, transposed: bool = False) -> tuple[Matmul, list[tuple[int, ...]]]:
    """The best guess, and all tiles."""
    shape = [depth, rows] if transposed else [rows, depth]
    text = f"""version 1.0; graph g( a ) -> ( y ) {{ a = external<scalar>(shape = {shape});
               b = variable<scalar>(shape = [{depth}, {columns}], label = 'b');
               y = matmul(a, b, transposeA = {str(transposed).lower()}); }}"""
    graph = import_document(parse_document(text), STANDARD, lambda *_: np.ones((depth, columns), np.float32))
    fused = passes.run(graph, OPS, CPU, until="fuse")
    (node,) = [node for node in fused.nodes if node.op == "matmul"]
    candidate = matmul(make_problem(node, fused.tensors, fused.constants, OPS), CPU)[0]
    kernel = candidate.launches[0].kernel
    assert isinstance(kernel, Matmul) and candidate.space is not None
    assert candidate.space.sizes[0] == (kernel.blocks, kernel.tile)
    return kernel, list(candidate.space.sizes)


@pytest.mark.parametrize("depth", (1024, 2048, 4096))
def test_rows_that_share_a_set_of_the_cache_are_few(depth: int) -> None:
    kernel, tiles = best_of(64, depth, 100)
    assert kernel.tile <= 8 and sorted(tiles) == sorted(panel_tiles(64, 100, CPU)[1])


@pytest.mark.parametrize("depth", (768, 1000, 4100))
def test_other_rows_are_as_many_as_the_registers_hold(depth: int) -> None:
    kernel, tiles = best_of(64, depth, 100)
    assert kernel.tile > 8 and tiles == panel_tiles(64, 100, CPU)[1]


def test_rows_side_by_side_share_nothing() -> None:
    """Of a transposed matrix."""
    assert best_of(64, 4096, 100, transposed=True)[0].tile > 8
