"""Batches computed row by row: every kernel that can be a part of it, however many workers share the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from nnef_cl.codegen.kernels.by_rows import ByRows
from typer.testing import CliRunner

import nnef_cl
from nnef_cl import passes
from nnef_cl.commands import app
from nnef_cl.conformance.case import FAMILIES, Case, cases_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.harness import OPS, compare, family_graph, interpret
from nnef_cl.device import Device, open_device
from nnef_cl.executor import Executable
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.verify import verify
from nnef_cl.passes.depth_first import depth_first
from nnef_cl.plan.build import build_plan
from nnef_cl.stream import Stream
from tests.conftest import OCLGRIND
from tests.device.small import LOOKUP, written
from tests.device.test_chained import opened
from tests.device.test_random_graphs import graphs
from tests.unit.test_depth_first import TEXTS, made

RUNS = 5
CACHES = {"cache": 1 << 25, "near_cache": 1 << 20}


def computed(graph: Graph, inputs: dict[str, np.ndarray], device: Device, runs: int = 1) -> dict[str, np.ndarray]:
    """The results of the last run; all of them are the same. Whatever can be is computed row by row."""
    final = depth_first(passes.run(graph, OPS, device.target, until="rowwise"), OPS, device.target, eager=True)
    verify(final, "depth_first")
    plan = build_plan(final, OPS, device.target)
    assert any(isinstance(step.kernel, ByRows) for step in plan.steps)
    executable = Executable(plan, device)
    try:
        executable.compile()
        executable.upload()
        stream = Stream(executable)
        first = stream.run(inputs)
        for _ in range(runs - 1):
            for name, again in stream.run(inputs).items():
                assert again.tobytes() == first[name].tobytes(), f"'{name}' changes from run to run"
        return first
    finally:
        executable.close()


@pytest.mark.parametrize("workers", (4,) if OCLGRIND else (2, 4))
@pytest.mark.parametrize("name", TEXTS)
def test_networks(name: str, workers: int, selector: str) -> None:
    graph = made(TEXTS[name])
    x = {"x": np.random.default_rng(1).standard_normal(graph.tensors["x"].shape, np.float32)}
    got = computed(graph, x, opened(selector, compute_units=workers, **CACHES), 1 if OCLGRIND else RUNS)
    compare(name, got["y"], interpret(graph, x)["y"], 1e-5)


def in_batches(case: Case) -> bool:
    first = case.arrays[0] if case.arrays else np.empty(0)
    return first.ndim > 1 and len(first) > 1 and case.op not in ("external", "variable", "constant")


@pytest.mark.many_kernels
@pytest.mark.skipif(OCLGRIND, reason="families are too large for the simulator")
@pytest.mark.parametrize("step", (9, pytest.param(1, marks=pytest.mark.slow)))
@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in ("region", "state")])
def test_family(family: str, step: int, selector: str) -> None:
    """Cases of as many rows as each other, in one graph."""
    device = opened(selector, compute_units=1, **CACHES)
    groups: dict[int, list[Case]] = {}
    for case in filter(in_batches, cases_of(family)):
        groups.setdefault(len(case.arrays[0]), []).append(case)
    tried = 0
    for cases in groups.values():
        some = [case for case in cases if _in_rows(case, device)][::step]
        if some:
            tried += len(some)
            _check(some, device)
    assert tried


def _in_rows(case: Case, device: Device) -> bool:
    graph = passes.run(family_graph([case])[0], OPS, device.target, until="rowwise")
    return any(node.op == "by_rows" for node in depth_first(graph, OPS, device.target, eager=True).nodes)


def _check(cases: Sequence[Case], device: Device) -> None:
    graph, inputs = family_graph(cases)
    got = computed(graph, inputs, device)
    for number, case in enumerate(cases):
        for k, expected in enumerate(case.reference()):
            compare(case.id, got[f"c{number}_y{k}"], expected, tolerance(case.op))


@pytest.mark.parametrize("count", (4, pytest.param(40, marks=pytest.mark.slow)))
def test_random_graphs(count: int, selector: str) -> None:
    device = opened(selector, compute_units=1, **CACHES)

    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(graphs(rows=(2, 5)))
    def check(graph: Graph) -> None:
        x = {"t0": np.random.default_rng(0).standard_normal(graph.tensors["t0"].shape, np.float32)}
        lowered = passes.run(graph, OPS, device.target, until="rowwise")
        if any(node.op == "by_rows" for node in depth_first(lowered, OPS, device.target, eager=True).nodes):
            got, expected = computed(graph, x, device), interpret(graph, x)
            for name in graph.outputs:
                compare(name, got[name], expected[name], 5e-5)

    check()


def test_faults_are_seen(tmp_path: Path, selector: str) -> None:
    """In whichever row they are, and the next run is a good one."""
    text = LOOKUP.replace("[3]", "[6]").replace("y = gather(t, i, axis = 0)", "g = gather(t, i, axis = 0); y = softmax(g)")
    model = written(tmp_path / "model", text, t=np.arange(10, dtype=np.float32).reshape(5, 2))
    with nnef_cl.load(model, device=selector) as session:
        graph = session.source_graph
    device = opened(selector, compute_units=2, **CACHES)
    final = depth_first(passes.run(graph, OPS, device.target, until="rowwise"), OPS, device.target, eager=True)
    assert [node.op for node in final.nodes] == ["by_rows"]
    executable = Executable(build_plan(final, OPS, device.target), device)
    try:
        executable.compile()
        executable.upload()
        stream = Stream(executable)
        for bad in range(6):
            indices = np.zeros(6, np.int64)
            indices[bad] = 5
            with pytest.raises(nnef_cl.InputError, match=r"gather.*'i' holds an index outside"):
                stream.run({"i": indices})
            got = stream.run({"i": np.arange(6) % 5})["y"]
            compare("after a fault", got, interpret(graph, {"i": np.arange(6) % 5})["y"], 1e-6)
    finally:
        executable.close()


LARGE = """version 1.0; extension KHR_enable_operator_expressions; graph net(x) -> (y) {
           x = external(shape = [8, 32, 64, 64]); w = variable(shape = [32, 1, 3, 3], label = 'w');
           v = variable(shape = [32, 32, 1, 1], label = 'v'); a = relu(conv(x, w, groups = 0)); b = conv(a, v);
           y = mean_reduce(max(b, 0.0) + a, axes = [2, 3]); }"""


@pytest.mark.skipif(OCLGRIND, reason="large on purpose")
@pytest.mark.parametrize("profile", (False, True))
def test_a_large_batch_is_computed_so_by_itself(profile: bool, tmp_path: Path, selector: str) -> None:
    """And gives what its images give alone, kept tensors included."""
    if open_device(selector).info.type != "cpu":
        pytest.skip("rows of their own are for CPUs")
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((32, 1, 3, 3), np.float32), "v": rng.standard_normal((32, 32, 1, 1), np.float32) / 6}
    model = written(tmp_path / "model", LARGE, **arrays)
    x = rng.standard_normal((8, 32, 64, 64), np.float32)
    with nnef_cl.load(model, device=selector, profile=profile) as session:
        assert any(isinstance(step.kernel, ByRows) for step in session.plan.steps)
        got = session.run({"x": x})["y"]
        assert not profile or len(session.step_seconds()) == len(session.plan.steps)
    with nnef_cl.load(model, device=selector, keep=["a"]) as session:
        kept = session.run({"x": x})
    with nnef_cl.load(model, device=selector, shapes={"x": (1, 32, 64, 64)}, keep=["a"]) as session:
        alone = [session.run({"x": x[[row]]}) for row in range(8)]
    for name, whole in (("y", got), ("y", kept["y"]), ("a", kept["a"])):
        compare(name, whole, np.concatenate([one[name] for one in alone]), 1e-6)


@pytest.mark.skipif(OCLGRIND, reason="large on purpose")
def test_a_profile_says_where_the_kernels_are(tmp_path: Path, selector: str) -> None:
    if open_device(selector).info.type != "cpu":
        pytest.skip("rows of their own are for CPUs")
    arrays = {"w": np.ones((32, 1, 3, 3), np.float32), "v": np.ones((32, 32, 1, 1), np.float32)}
    model = str(written(tmp_path / "model", LARGE, **arrays))
    arguments = ["profile", model, "--device", selector, "-n", "1", "--no-peak"]
    whole, single = (CliRunner().invoke(app, [*arguments, *more]) for more in ((), ("--batch", "1")))
    assert whole.exit_code == single.exit_code == 0
    assert "by_rows" in whole.stdout and whole.stdout.rstrip().endswith("--batch 1 shows them")
    assert "by_rows" not in single.stdout and "conv_depthwise" in single.stdout


def test_a_device_of_one_unit_has_rows_too(selector: str) -> None:
    """Row by row is no matter of several workers."""
    device = opened(selector, compute_units=1, **CACHES)
    graph = passes.run(made(TEXTS["a chain"]), OPS, device.target)
    assert [node.op for node in graph.nodes] == ["by_rows"]
