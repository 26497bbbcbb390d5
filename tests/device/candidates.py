"""Every candidate of a problem inside a small network: results compared, and what was offered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nnef_cl.conformance.case import Case
from nnef_cl.conformance.harness import compare, interpret, nth
from nnef_cl.device import open_device
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.conftest import OCLGRIND


def in_turn(cases: Sequence[Case], count: int, step: int = 3) -> list[Any]:
    """Parameters (case, number of the candidate); the quick tests have every candidate with one case in `step`, in
    turn, the simulator has all."""
    return [
        pytest.param(one, number, id=f"{one.id}-{number}",
                     marks=() if OCLGRIND or (k + number) % step == 0 else pytest.mark.slow)
        for k, one in enumerate(cases) for number in range(count)
    ]  # fmt: skip


def check_candidate(
    name: str, graph: Graph, inputs: dict[str, np.ndarray], number: int, selector: str, tolerance: float
) -> tuple[list[str], bool]:
    """Compares `y` with the references, and with a second run to the bit. Returns the names of the algorithms that were
    offered, and whether the device has vectors for channel blocks."""
    offered: list[str] = []

    def choose(problem: Any, candidates: list[Any]) -> Any:
        offered.extend(candidate.algorithm for candidate in candidates)
        return nth(number)(problem, candidates)

    with Session(graph, open_device(selector), STANDARD | INTERNAL, choose=choose) as session:
        got, again = (session.run(inputs)["y"] for _ in range(2))
        blocked = session.plan.target.vector_width >= 4
    np.testing.assert_array_equal(got, again)
    compare(name, got, interpret(graph, inputs)["y"], tolerance)
    return offered, blocked
