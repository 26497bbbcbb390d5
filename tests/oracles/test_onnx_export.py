"""The ONNX exporter against the references: every case is exported and computed by ONNX Runtime; so are whole networks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_cl.conformance.case import Case, all_cases
from nnef_cl.conformance.comparison import difference, tolerance
from nnef_cl.conformance.harness import family_text
from nnef_cl.errors import UnsupportedError, UsageError
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document, import_model
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import STANDARD
from nnef_cl.ops.custom import op as operation
from nnef_cl.ops.custom import user_table
from nnef_cl.peers.engine import Hint
from nnef_cl.peers.onnx_export import export, export_model, export_table
from nnef_cl.peers.onnx_nodes import CONVERTERS
from nnef_cl.peers.onnxruntime import open_engine
from nnef_cl.peers.versus import disagreement

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import onnx
import onnxruntime
import zoo

SLACK = 5
"""ONNX Runtime adds in float32, in an order of its own."""
OPS = sorted({case.op for case in all_cases()})
NONE_BEFORE = ("argmax_pool", "max_pool_with_index", "sample", "desample", "debox", "min_max_linear_quantize",
               "zero_point_linear_quantize", "logarithmic_quantize", "linear_quantize", "max_roi_pool", "avg_roi_pool",
               "roi_resample", "avg_roi_align", "max_roi_align", "update")  # fmt: skip
"""Operations without a counterpart."""
MAXIMA = ("max_pool", "max_reduce", "min_reduce", "argmax_reduce", "argmin_reduce")
"""ONNX says nothing about NaN in them."""
OTHER = {
    "cast<integer> f:[nan,inf,-inf,1.0000000150474662e+30,-1.0000000150474662e+30,-1.5]": "what no integer is has no "
    "result in ONNX",
    "multilinear_upsample f:1x1x47000 factor=[2] method=aligned": "ONNX Runtime computes positions in float32",
    "multilinear_upsample f:1x2x9001 factor=[2] method=aligned border=replicate": "the same",
}
"""Cases that ONNX Runtime computes otherwise, or not at all, and why."""


def text_graph(text: str, **variables: np.ndarray) -> Graph:
    body = f"version 1.0;\n{text}"
    return import_document(parse_document(body), export_table(STANDARD), lambda label, _: variables[label])


def case_graph(case: Case) -> tuple[Graph, dict[str, np.ndarray]]:
    text, inputs, variables = family_text([case])
    graph = import_document(parse_document(text), export_table(STANDARD), lambda label, _: variables[label])
    return graph, {name: np.asarray(array) for name, array in inputs.items()}


def computed(graph: Graph, inputs: dict[str, np.ndarray], folder: Path) -> list[np.ndarray]:
    path = export(graph, folder)
    onnx.checker.check_model(str(path))
    return [np.asarray(array) for array in open_engine(path, inputs, 1, Hint.latency).run()]


def asked(case: Case) -> bool:
    special = any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in case.arrays)
    return case.id not in OTHER and not (special and case.op in MAXIMA)


@pytest.mark.parametrize("op", OPS)
def test_cases(op: str, tmp_path: Path) -> None:
    wrong, compared, refused = [], 0, []
    for case in (case for case in all_cases() if case.op == op and asked(case)):
        try:
            graph, inputs = case_graph(case)
            results = computed(graph, inputs, tmp_path)
        except UnsupportedError as error:
            refused.append(str(error))
            continue
        compared += 1
        for got, expected in zip(results, case.reference(), strict=True):
            assert got.dtype == expected.dtype and got.shape == expected.shape, case.id
            if problem := difference(got, expected).failure(SLACK * tolerance(op)):
                wrong.append(f"{case.id}: {problem}")
    assert wrong == []
    assert all("counterpart in ONNX" in message or "which has no state" in message for message in refused)
    assert (compared == 0) == (op in NONE_BEFORE)


def test_every_converter_is_an_operation() -> None:
    assert set(CONVERTERS) <= set(STANDARD)


def test_unsupported_operations_are_named(tmp_path: Path) -> None:
    graph = text_graph(
        "graph g( x ) -> ( y ) { x = external(shape = [1,1,4]); y = debox(x, size = [1,1,2]); }"
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"graph.nnef:2:\d+: debox 'y': has no counterpart in ONNX"):
        export(graph, tmp_path)


def test_users_operations_are_named(tmp_path: Path) -> None:
    twice = operation("fragment twice( x: tensor<scalar> ) -> ( y: tensor<scalar> );", expression="2.0f * {x}",
                      reference=lambda x: 2 * x)  # fmt: skip
    (tmp_path / "graph.nnef").write_text("version 1.0; graph g( x ) -> ( y ) { x = external(shape = [2]); y = twice(x); }")
    with pytest.raises(UnsupportedError, match="twice 'y': has no counterpart in ONNX"):
        export_model(tmp_path, tmp_path, ops=STANDARD | user_table([twice]))


def test_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'nnef-cl\[onnxruntime\]'"):
        export(text_graph("graph g( x ) -> ( y ) { x = external(shape = [2]); y = relu(x); }"), tmp_path)


def test_outputs_that_nothing_computes(tmp_path: Path) -> None:
    """An input, a constant, a tensor that is read further on, one of two consumers of a root."""
    graph = text_graph(
        """graph g( x ) -> ( x, c, r, y ) {
             x = external(shape = [2]); c = constant(shape = [2], value = [3.0, 4.0]);
             r = rsqrt(x); y = x * r; }"""
    )
    x = np.array([4.0, 16.0], np.float32)
    expected = [x, np.array([3, 4]), 1 / np.sqrt(x), np.sqrt(x)]
    for got, wanted in zip(computed(graph, {"x": x}, tmp_path), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


NORM = """graph g( x ) -> ( y ) {{
    x = external(shape = [2,5,8]);
    scale = variable(shape = [1,1,8], label = 's'); offset = variable(shape = [1,1,8], label = 'o');
    mean, spread = moments(x, axes = [2]);
    y = {expression} * scale + offset; }}"""


@pytest.mark.parametrize("expression", ["(x - mean) * rsqrt(spread + 0.001)", "(x - mean) / sqrt(spread + 0.001)"])
def test_engines_recognise_layer_normalisation(expression: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    s, o, x = (rng.standard_normal(shape, np.float32) for shape in ((1, 1, 8), (1, 1, 8), (2, 5, 8)))
    path = export(text_graph(NORM.format(expression=expression), s=s, o=o), tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x": x})
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(2, keepdims=True)) / np.sqrt(wide.var(2, keepdims=True) + 0.001) * s + o
    assert disagreement(got, expected) < 1e-5
    assert [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node] == ["LayerNormalization"]


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_networks_are_those_of_the_zoo(name: str, tmp_path: Path) -> None:
    """The zoo writes each network as ONNX on its own."""
    built = zoo.build(name, tmp_path, size=zoo.NETWORKS[name].small, width=0.25, classes=10, batch=2)
    (tmp_path / "export").mkdir()
    x = {"input": np.random.default_rng(1).standard_normal(built.input_shape, np.float32)}
    exported = export_model(built.nnef, tmp_path / "export")
    assert import_model(built.nnef).outputs == tuple(o.name for o in onnx.load(exported, load_external_data=False).graph.output)
    got, expected = (open_engine(path, x, 1, Hint.latency).run() for path in (exported, built.onnx))
    assert max(map(disagreement, got, expected)) < 1e-5


def test_shapes_are_the_callers(tmp_path: Path) -> None:
    (tmp_path / "graph.nnef").write_text("version 1.0; graph g( x ) -> ( y ) { x = external(shape = [1,2]); y = relu(x); }")
    path = export_model(tmp_path, tmp_path, shapes={"x": (3, 2)})
    x: dict[str, Any] = {"x": np.ones((3, 2), np.float32)}
    assert open_engine(path, x, 1, Hint.throughput).run()[0].shape == (3, 2)
