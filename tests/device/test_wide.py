"""A tensor of more than 2^31 elements on a device: its last rows are reached."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_cl import OutOfMemoryError
from nnef_cl.device.manager import available_host_memory
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.conftest import OCLGRIND
from tests.device.shapes import open_shaped

ROWS, COLUMNS = 65537, 32769
MODEL = f"""version 1.0;
graph wide( a, b ) -> ( y )
{{
    a = external(shape = [{ROWS}, 1]);
    b = external(shape = [1, {COLUMNS}]);
    c = lt(a, b);
    y = any_reduce(c, axes = [1]);
}}
"""


def graph_of(text: str) -> Graph:
    return import_document(parse_document(text), STANDARD, lambda label, position: None)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["own", "gpu"])
def test_the_last_rows_are_reached(selector: str, shape: str) -> None:
    device = open_shaped(selector, shape)
    if OCLGRIND or device.target.max_allocation < ROWS * COLUMNS:
        pytest.skip("the device allows no buffer of 2 GiB")
    if (available_host_memory() or 0) < 3 * ROWS * COLUMNS:
        pytest.skip("too little memory")
    a = np.arange(ROWS, dtype=np.float32)[:, None]
    b = np.zeros((1, COLUMNS), np.float32)
    b[0, -1] = ROWS - 1
    with Session(graph_of(MODEL), device, STANDARD | INTERNAL) as session:
        got = session.run({"a": a, "b": b})
    np.testing.assert_array_equal(got["y"], a < ROWS - 1)


def test_more_than_one_allocation_is_an_error_that_names_the_limit(selector: str) -> None:
    text = "version 1.0;\ngraph g( x ) -> ( y )\n{\nx = external(shape = [1099511627776]);\ny = relu(x);\n}\n"
    with pytest.raises(OutOfMemoryError, match=r"a buffer of .* needed; the device allows at most"):
        Session(graph_of(text), open_shaped(selector, "own"), STANDARD | INTERNAL)
