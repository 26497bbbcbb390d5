"""Layouts and programs: packing round trips, zero padding lanes, composition of expressions."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import PLAIN, Layout
from nnef_cl.ir.program import Program, Step


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 16, 3), (2, 20, 1, 1), (1, 33), (3, 1, 2)])
@pytest.mark.parametrize("block", [1, 8, 16])
def test_pack_and_unpack_are_inverse(shape: tuple[int, ...], block: int) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    layout = Layout(block)
    stored = layout.pack(array)
    assert stored.shape == layout.physical(shape) and stored.size == layout.volume(shape)
    np.testing.assert_array_equal(layout.unpack(stored, shape), array)


def test_padding_lanes_are_zero() -> None:
    stored = Layout(8).pack(np.ones((1, 3, 2), np.float32))
    assert stored.shape == (1, 1, 2, 8)
    assert (stored[..., :3] == 1).all() and (stored[..., 3:] == 0).all()
    assert Layout(8).padded((1, 3, 2)) and not Layout(8).padded((1, 16, 2)) and not PLAIN.padded((1, 3))


def evaluate(program: Program, operands: list[float]) -> float:
    values = list(operands)
    for step in program.steps:
        a = [values[k] for k in step.args]
        values.append(a[0] + a[1] if step.op == "add" else a[0] * a[1])
    return values[-1]


def test_composition_puts_one_program_into_the_other() -> None:
    add = Program(2, (Step("add", (0, 1), F32),))
    square_plus = Program(2, (Step("mul", (0, 0), F32), Step("add", (2, 1), F32)))
    both = add.then(square_plus, 0)
    assert both.arity == 3
    assert evaluate(both, [2.0, 3.0, 10.0]) == 35.0
    other = add.then(square_plus, 1)
    assert evaluate(other, [2.0, 3.0, 10.0]) == 105.0
