"""Tuning without a device: spaces, the search with trials that pretend, and what is kept of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nnef_cl.codegen.kernel import Candidate, Point, Space
from nnef_cl.codegen.kernels.conv_direct import register_tiles
from nnef_cl.codegen.target import Target

from nnef_cl import passes, tuning
from nnef_cl.conformance.case import case, f32, weights
from nnef_cl.conformance.harness import OPS, family_graph
from nnef_cl.device.cache import Cache
from nnef_cl.device.facts import DeviceInfo
from nnef_cl.device.points import Points, Tuned, short
from nnef_cl.errors import DeviceError, ModelError
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.layout import PLAIN
from nnef_cl.ops import STANDARD
from nnef_cl.ops.problem import make_problem
from nnef_cl.plan.build import build_plan
from nnef_cl.plan.tuned import TunedChoice, problem_text
from nnef_cl.tuning import network, tune
from nnef_cl.tuning.search import Build, Found, Search
from nnef_cl.tuning.tasks import Task, sample_inputs, tasks_of

TARGET = Target.generic(16)
GRAPH = passes.run(
    family_graph([case("conv", f32(1, 32, 12, 12), weights(32, 32, 3, 3), weights(1, 32), padding=[(1, 1), (1, 1)])])[0],
    OPS, TARGET,
)  # fmt: skip
INFO = DeviceInfo(
    "Platform", "OpenCL 3", "Vendor", "Device", "Vendor", "cpu", "3", "1.2", "7", 2, 16, 64, 0, False, 0, 0, 1024, 128, 0, 0,
    True, False, False, False, "system", "", "0:0",
)  # fmt: skip


def task() -> Task:
    [one] = tasks_of(GRAPH, OPS, TARGET)
    return one


# Spaces ----------------------------------------------------------------------------------------------------
def test_register_tiles_repeat_nothing_and_fit() -> None:
    found = register_tiles(4, 56, 32)
    assert len(found) == len(set(found)) and found[0] == (2, 14)
    assert all(blocks * tile + blocks <= 32 and -(-56 // -(-56 // tile)) == tile for blocks, tile in found)


def test_every_point_of_a_candidate_is_that_candidate_with_other_sizes() -> None:
    for candidate in task().candidates:
        assert candidate.at(candidate.points[0]) is candidate
        assert candidate.at(Point("other", candidate.points[0].sizes)) is None
        assert candidate.at(Point(candidate.algorithm, (99, 99))) is None
        for point in candidate.points:
            made = candidate.at(point)
            assert made is None or (made.points[0].algorithm, made.exact) == (candidate.algorithm, candidate.exact)


def test_tasks_are_distinct_problems_with_their_nodes() -> None:
    one = case("conv", f32(1, 32, 12, 12), weights(32, 32, 3, 3), weights(1, 32))
    graph = passes.run(family_graph([one, one, case("relu", f32(3, 4))])[0], OPS, TARGET)
    [found] = tasks_of(graph, OPS, TARGET)
    assert len(found.nodes) == 2 and found.graph.inputs and len(found.graph.nodes) == 1
    assert all(array.all() for array in sample_inputs(found.graph).values())
    assert build_plan(found.graph, OPS, TARGET).steps


def test_what_cannot_be_planned_is_said_with_its_place() -> None:
    text = "version 1.0;\ngraph g( x ) -> ( y ) { x = external(shape = [6, 6]); y = pad(x, padding = [(0, 0), (-1099511627776, 1099511627776)]); }"
    graph = import_document(parse_document(text), STANDARD, lambda label, position: np.zeros(1))
    with pytest.raises(ModelError, match=r"^graph.nnef:2:\d+: pad 'y': padding beyond"):
        tasks_of(passes.run(graph, OPS, TARGET), OPS, TARGET)


def test_the_text_of_a_problem_says_what_counts() -> None:
    node = next(node for node in GRAPH.nodes if node.op == "conv")
    problem = make_problem(node, GRAPH.tensors, GRAPH.constants, OPS)
    text = problem_text(problem, TARGET)
    assert text == problem_text(make_problem(node, GRAPH.tensors, GRAPH.constants, OPS), replace(TARGET, name="x"))
    others = (
        replace(problem, attrs={**problem.attrs, "groups": 2}), replace(problem, constants=(None, None, None)),
        replace(problem, outputs=(problem.outputs[0].with_layout(PLAIN),)),
    )  # fmt: skip
    assert len({text, *(problem_text(one, TARGET) for one in others)}) == 4
    assert text != problem_text(problem, replace(TARGET, compute_units=64))


def test_tiles_that_crowd_the_registers_are_the_last_guesses() -> None:
    assert register_tiles(4, 3136, 32)[0] == (2, 14) and register_tiles(4, 3136, 16)[0] == (2, 6)
    crowded = [blocks * tile > 28 for blocks, tile in register_tiles(4, 3136, 32)]
    assert crowded == sorted(crowded) and any(crowded)


# The search ------------------------------------------------------------------------------------------------
@dataclass
class FakeTrial:
    """Takes the seconds it is told to take."""

    time: float
    result: float
    closed: list[int]

    def outputs(self) -> Mapping[str, np.ndarray]:
        return {"y": np.full(3, self.result, np.float32)}

    def seconds(self) -> float:
        return self.time

    def close(self) -> None:
        self.closed.append(1)


@dataclass
class FakeDevice:
    """times: of points; others take 10. wrong: points that compute something else; unbuildable: that do not build;
    stop: after that many trials the user interrupts."""

    times: Mapping[Point, float]
    wrong: tuple[Point, ...] = ()
    unbuildable: tuple[Point, ...] = ()
    stop: int = 10**6

    def __post_init__(self) -> None:
        self.built: list[Point] = []
        self.closed: list[int] = []

    def builder(self, task: Task) -> Build:
        known = {c.at(p): p for c in task.candidates for p in c.points}

        def build(candidate: Candidate) -> FakeTrial:
            point = known[candidate]
            self.built.append(point)
            if len(self.built) > self.stop:
                raise KeyboardInterrupt
            if point in self.unbuildable:
                raise DeviceError("does not build")
            return FakeTrial(self.times.get(point, 10.0), float(point in self.wrong), self.closed)

        return build


DIRECT, F4 = Point("conv_direct", (1, 6)), Point("winograd F4x4 fused", (1, 3))


def search(device: FakeDevice, level: str = "full", out_of_time: Any = lambda: False) -> Found:
    found = Search(task(), device.builder(task()), level, out_of_time).run()
    assert len(device.closed) == len(set(device.built) - set(device.unbuildable)) - (device.stop < 10**6)
    return found


def test_the_fastest_of_all_and_of_the_exact_ones_are_found() -> None:
    device = FakeDevice({DIRECT: 3.0, F4: 2.0})
    found = search(device)
    assert found.tuned == Tuned((F4, DIRECT), "full", 10.0, 2.0) and not found.rejected
    assert len(device.built) == found.tried == sum(len(c.points) for c in task().candidates)


def test_a_gain_that_is_no_more_than_noise_changes_nothing() -> None:
    untuned = task().candidates[0].points[0]
    found = search(FakeDevice({DIRECT: 9.9, F4: 9.9}))
    assert found.tuned.points[0] == untuned and found.tuned.seconds == found.tuned.untuned == 10.0


def test_one_slow_moment_decides_nothing() -> None:
    """The untuned point is disturbed in most rounds, the others never: they are no faster for that."""
    untuned = task().candidates[0].points[0]
    device = FakeDevice({})
    build, bursts = device.builder(task()), itertools.cycle([30.0, 30.0, 10.0])

    def disturbed(candidate: Candidate) -> FakeTrial:
        trial = build(candidate)
        if device.built[-1] == untuned:
            trial.seconds = lambda: next(bursts)  # type: ignore[method-assign]
        return trial

    assert Search(task(), disturbed, "fast", lambda: False).run().tuned.points[0] == untuned


def test_what_is_wrong_or_does_not_build_is_left_out_and_reported() -> None:
    found = search(FakeDevice({DIRECT: 3.0, F4: 2.0}, wrong=(F4,), unbuildable=(DIRECT,)))
    assert {one.point for one in found.rejected} == {F4, DIRECT} and not {F4, DIRECT} & set(found.tuned.points)
    assert any("does not build" in one.why for one in found.rejected)
    assert any("largest magnitude" in one.why for one in found.rejected)


def test_nothing_works() -> None:
    everything = tuple(point for candidate in task().candidates for point in candidate.points)
    found = search(FakeDevice({}, unbuildable=everything))
    assert found.tuned == Tuned(()) and found.tried == len(found.rejected) == 1


def test_lower_levels_try_less_and_give_hopeless_algorithms_up() -> None:
    slow = {p: 100.0 for c in task().candidates if "F2x2" in c.algorithm for p in c.points}
    counts = [search(FakeDevice(slow), level).tried for level in ("fast", "normal", "full")]
    assert counts == sorted(set(counts))
    device = FakeDevice(slow)
    search(device, "normal")
    assert [point.algorithm for point in device.built].count("winograd F2x2 fused") == 1


def test_the_end_of_the_time_keeps_what_is_known() -> None:
    found = search(FakeDevice({F4: 2.0}), out_of_time=iter([False] * 5 + [True] * 5).__next__)
    assert found.tuned.level == "" and found.tuned.points and found.tried < 10 and not found.interrupted


# What is kept ----------------------------------------------------------------------------------------------
def store(folder: Path, shipped: Mapping[str, tuple[Point, ...]] | None = None) -> Points:
    return Points(INFO, Cache(folder), shipped or {})


def test_results_are_kept_and_not_measured_again(tmp_path: Path) -> None:
    device = FakeDevice({DIRECT: 3.0, F4: 2.0})
    [first] = tune([task()], store(tmp_path), device.builder, "full")
    built = len(device.built)
    [again] = tune([task()], store(tmp_path), device.builder, "fast")
    assert again.known and not first.known and again.tuned == first.tuned and len(device.built) == built
    assert first.saved == pytest.approx(8.0)


def test_an_interruption_keeps_what_was_found_and_the_next_run_goes_on(tmp_path: Path) -> None:
    device = FakeDevice({}, stop=4)
    with pytest.raises(KeyboardInterrupt):
        list(tune([task()], store(tmp_path), device.builder, "fast"))
    kept = store(tmp_path).get(task().text)
    assert kept is not None and kept.level == "" and kept.points
    [result] = tune([task()], store(tmp_path), FakeDevice({DIRECT: 3.0}).builder, "fast")
    assert not result.known and result.tuned.level == "fast"


@pytest.mark.parametrize(("after", "kept"), [(1.0, (F4, DIRECT)), (1.99, None)])
def test_points_that_gain_nothing_in_the_network_are_taken_back(
    after: float, kept: tuple[Point, ...] | None, tmp_path: Path
) -> None:
    one, where = task(), store(tmp_path)
    where.put(one.text, Tuned((F4, DIRECT), "full", 2.0, 1.0))
    rounds = [({one.nodes[0]: 2.0}, {one.nodes[0]: after})] * 3
    result = network._confirmed(tuning.Result(one, Tuned((F4, DIRECT), "full", 2.0, 1.0)), rounds, where)
    found = where.get(one.text)
    assert found is not None and found.points == result.tuned.points == (kept or (one.untuned, DIRECT))
    assert result.taken_back == (None if kept else F4) and result.saved == (1.0 if kept else 0.0)


def test_no_time_no_measurement(tmp_path: Path) -> None:
    now = iter(range(10))
    assert list(tune([task()], store(tmp_path), FakeDevice({}).builder, "fast", -1.0, lambda: float(next(now)))) == []


def test_points_of_the_user_come_before_those_of_the_package(tmp_path: Path) -> None:
    shipped = {short("p"): (DIRECT,)}
    assert store(tmp_path, shipped).lookup("p") == (DIRECT,) and store(tmp_path).lookup("p") == ()
    store(tmp_path).put("p", Tuned((F4,), "fast", 2.0, 1.0))
    assert store(tmp_path, shipped).lookup("p") == (F4,)
    other = Points(replace(INFO, driver_version="8"), Cache(tmp_path), {})
    assert other.lookup("p") == () and other.get("p") is None


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"points": [[1, "x"]]}', b'{"points": 3}', b"\xff"])
def test_what_cannot_be_understood_is_not_there(tmp_path: Path, payload: bytes) -> None:
    kept = store(tmp_path)
    kept.put("p", Tuned((F4,)))
    kept.cache.put("tuned", kept._parts | {"problem": "p"}, payload)
    assert kept.get("p") is None and list(kept.lookup("p")) == []


def planned(points: tuple[Point, ...], precision: str) -> str:
    """The algorithm of the convolution where these points are known for everything."""
    plan = build_plan(GRAPH, OPS, TARGET, TunedChoice(lambda text: points, TARGET, precision))
    return next(step.algorithm for step in reversed(plan.steps) if step.op == "conv")


def test_plans_take_known_points() -> None:
    assert planned((F4, DIRECT), "default") == "winograd F4x4 fused, tuned"
    assert planned((F4, DIRECT), "exact") == "conv_direct, tuned"
    assert planned((F4,), "exact") == planned((Point("gone", (1, 2)),), "exact") == planned((), "exact") == "conv_direct"


def test_problems_without_a_choice_are_not_looked_up() -> None:
    one = Candidate("only", ())
    problem: Any = None

    def lookup(text: str) -> Any:
        raise AssertionError

    assert TunedChoice(lookup, TARGET, "default")(problem, [one]) is one
    two = replace(one, space=Space(((1,), (2,)), lambda sizes: one))
    with pytest.raises(AttributeError):
        TunedChoice(lookup, TARGET, "default")(problem, [two])


def test_the_packages_file_can_be_read() -> None:
    families = json.loads((Path(tuning.__file__).parents[1] / "points.json").read_text())
    assert isinstance(families, list)
    for family in families:
        assert set(family) == {"match", "because", "points"}
