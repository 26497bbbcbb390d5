"""Indices that come from data: one outside is an error after the run, and the session goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nnef_cl
from nnef_cl.errors import InputError, ModelError
from tests.device.test_session import save

TWO = """version 1.0;
graph two( x, first, second ) -> ( a, b )
{
    x = external(shape = [3, 4]);
    first = external<integer>(shape = [2]);
    second = external<integer>(shape = [2, 2]);
    a = gather(x, first);
    b = gather(a, second, axis = 1);
}
"""
X = np.arange(12, dtype=np.float32).reshape(3, 4)


def run(session: nnef_cl.Session, first: list[int], second: list[list[int]]) -> dict[str, np.ndarray]:
    return session.run({"x": X, "first": np.array(first), "second": np.array(second)})


def check(session: nnef_cl.Session, first: list[int], second: list[list[int]]) -> None:
    outputs = run(session, first, second)
    np.testing.assert_array_equal(outputs["a"], X[first])
    np.testing.assert_array_equal(outputs["b"], X[first][:, np.array(second)])


def test_an_index_outside_is_an_error_after_the_run(tmp_path: Path, selector: str) -> None:
    inside = [[0, 3], [1, 1]]
    with nnef_cl.load(save(tmp_path / "two", TWO), device=selector) as session:
        check(session, [0, 2], inside)
        for wrong in ([0, 3], [-1, 0], [2**40, 0], [-(2**63), 0]):
            with pytest.raises(InputError, match=r"^graph.nnef:7:9: gather 'a': 'first' holds an index outside 0..2$"):
                run(session, wrong, inside)
            check(session, [2, 1], inside)
        with pytest.raises(InputError, match=r"^graph.nnef:8:9: gather 'b': 'second' holds an index outside 0..3$"):
            run(session, [0, 1], [[0, 1], [2, 4]])
        with pytest.raises(InputError, match="gather 'a'"):
            run(session, [9, 9], [[9, 9], [9, 9]])
        check(session, [0, 0], inside)


def test_a_constant_index_outside_is_refused_at_load(tmp_path: Path, selector: str) -> None:
    text = TWO.replace("external<integer>(shape = [2])", "constant<integer>(shape = [2], value = [1, 3])")
    model = save(tmp_path / "constant", text.replace("x, first, second", "x, second"))
    with pytest.raises(ModelError, match=r"^graph.nnef:7:9: gather 'a': 'indices' holds an index outside 0..2: \[3\]$"):
        nnef_cl.load(model, device=selector)


def test_constants_gathered_with_an_index_outside_are_refused_at_load(tmp_path: Path, selector: str) -> None:
    text = TWO.replace("external<integer>(shape = [2])", "constant<integer>(shape = [2], value = [-1])")
    text = text.replace("external(shape = [3, 4])", "constant(shape = [3, 4], value = [1.0])")
    model = save(tmp_path / "folded", text.replace("x, first, second", "second"))
    with pytest.raises(ModelError, match=r"^graph.nnef:7:9: gather 'a': 'indices' holds an index outside 0..2: \[-1\]$"):
        nnef_cl.load(model, device=selector)


SAMPLE = """version 1.0;
graph one( x, places ) -> ( y )
{
    x = external(shape = [1, 4]);
    places = external<integer>(shape = [1, 2]);
    y = sample(x, places, size = [1, 2], stride = [1, 2]);
}
"""
DESAMPLE = SAMPLE.replace("[1, 4]", "[1, 2]").replace("= sample", "= desample")


@pytest.mark.parametrize(
    ("text", "op", "x", "y"), [(SAMPLE, "sample", [1, 2, 3, 4], [2, 3]), (DESAMPLE, "desample", [5, 6], [0, 5, 6, 0])]
)
def test_places_outside_the_window_are_errors(
    tmp_path: Path, selector: str, text: str, op: str, x: list[float], y: list[float]
) -> None:
    with nnef_cl.load(save(tmp_path / op, text), device=selector) as session:
        for wrong in ([[0, 2]], [[-1, 0]], [[2**62, -(2**62)]]):
            with pytest.raises(InputError, match=rf" {op} 'y': 'places' holds an index outside 0..1$"):
                session.run({"x": np.array([x], np.float32), "places": np.array(wrong)})
        result = session.run({"x": np.array([x], np.float32), "places": np.array([[1, 0]])})
        assert result["y"].tolist() == [y]


def test_a_region_of_no_map_is_an_error(tmp_path: Path, selector: str) -> None:
    text = """version 1.0;
graph regions( x, rois, batch ) -> ( y )
{
    x = external(shape = [2, 1, 3]);
    rois = external(shape = [2, 2]);
    batch = external<integer>(shape = [2, 1]);
    y = max_roi_align(x, rois, batch, output_size = [1], sampling_rate = [2]);
}
"""
    values = {"x": np.arange(6, dtype=np.float32).reshape(2, 1, 3), "rois": np.array([[0, 2], [1, 3]], np.float32)}
    with nnef_cl.load(save(tmp_path / "regions", text), device=selector) as session:
        with pytest.raises(InputError, match=r"^graph.nnef:7:9: roi_resample .*: 'batch' holds an index outside 0..1$"):
            session.run(values | {"batch": np.array([[0], [2]])})
        assert session.run(values | {"batch": np.array([[0], [1]])})["y"].tolist() == [[[1]], [[5]]]
