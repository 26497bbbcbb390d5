"""Chains of kernels in one launch: the same bits as one launch after another, however many workers there are."""

from __future__ import annotations

import numpy as np
import pytest
from nnef_cl.codegen.kernels.chain import DONE, Chain

import nnef_cl
from nnef_cl.conformance.harness import compare, interpret
from nnef_cl.device import Device, Rules, open_device
from nnef_cl.device.config import active_rules
from nnef_cl.device.rules import Match, Rule, Settings
from nnef_cl.executor import jobs_of
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan.records import Buffer
from nnef_cl.session import Session

RUNS = 20
INPUT = "x = external(shape = [1, 16, 9, 7]); "
TEXTS = {
    "one after another": INPUT + "a = softmax(x); b = softmax(mul(a, 3.0), axes = [2]); y = softmax(b, axes = [3]);",
    "branches": (INPUT + "a = softmax(x); b = softmax(x, axes = [2]); c = softmax(a, axes = [3]); d = softmax(b, axes = [3]); "
                 "e = max_pool(d, size = [1, 1, 3, 3]); y = concat([c, e, softmax(e)], axis = 1);"),
    "small steps": (INPUT + "a = sum_reduce(x, axes = [1, 2, 3]); b = softmax(x); c = sum_reduce(b, axes = [2, 3]); "
                    "y = mul(softmax(c), a);"),
    "memory used again": INPUT + "".join(
        f"t{n} = softmax({'x' if n == 0 else f't{n - 1}'}, axes = [{1 + n % 3}]); " for n in range(41)
    ) + "y = add(t40, softmax(x));",
    "integers": INPUT + "a = argmax_reduce(softmax(x), axes = [1]); y = transpose(a, axes = [0, 1, 3, 2]);",
}  # fmt: skip


def made(text: str) -> Graph:
    document = parse_document(f"version 1.0; graph g( x ) -> ( y ) {{ {text} }}")
    return import_document(document, STANDARD, lambda *_: np.empty(0))


def opened(selector: str, **settings: object) -> Device:
    """The device with other settings."""
    rule = Rule(match=Match(platform="*"), set=Settings(**settings), because="tests")  # type: ignore[arg-type]
    return open_device(selector, rules=active_rules().extended(Rules(rules=(rule,))))


@pytest.mark.parametrize("name", TEXTS)
def test_results_are_those_of_single_launches(name: str, selector: str) -> None:
    graph = made(TEXTS[name])
    inputs = {"x": np.random.default_rng(1).standard_normal(graph.tensors["x"].shape, np.float32)}
    ops = STANDARD | INTERNAL
    with Session(graph, opened(selector, forward_progress=False), ops) as session:
        assert len(session.plan.launches) == len(session.plan.steps)
        expected = session.run(inputs)["y"]
    compare(name, expected, interpret(graph, inputs)["y"], 1e-6)
    for workers in (1, 2, 5, 33):
        with Session(graph, opened(selector, forward_progress=True, compute_units=workers), ops) as session:
            chains = [step.kernel for step in session.plan.launches if isinstance(step.kernel, Chain)]
            assert chains and all(chain.workers == workers for chain in chains)
            for _ in range(RUNS):
                got = session.run(inputs)["y"]
                assert got.tobytes() == expected.tobytes(), f"{workers} workers"


def test_a_first_launch_computes_nothing(selector: str) -> None:
    """Where it only makes a driver compile: whatever the network, it needs its counters alone."""
    graph = made(TEXTS["one after another"])
    with Session(graph, opened(selector, forward_progress=True, compute_units=2), STANDARD | INTERNAL) as session:
        stream, counters = session._pool.streams[0], Buffer("counter", 0)
        size = session.plan.bytes_of(counters)
        (job,) = jobs_of(session.plan, stream.device.programs.cache)
        (launch,) = job.launches
        assert (launch.buffers[-1], set(launch.buffers[:-1]), launch.fill) == (size, {1}, DONE)
        stream.queue.write(stream._buffers[counters], np.full(size, DONE, np.uint8))
        arenas = [stream._buffers[Buffer("arena", number)] for number in range(len(session.plan.arenas))]
        for arena, count in zip(arenas, session.plan.arenas, strict=True):
            stream.queue.write(arena, np.full(count, 3, np.uint8))
        stream.enqueue()
        for arena, count in zip(arenas, session.plan.arenas, strict=True):
            assert set(stream.queue.read(arena, np.empty(count, np.uint8)).tolist()) == {3}


def test_faults_are_seen(selector: str) -> None:
    """An index outside is found by a stage, and the next run is a good one."""
    graph = import_document(
        parse_document(
            "version 1.0; graph g( x, i ) -> ( y ) { x = external(shape = [8, 4]); i = external<integer>(shape = [3]); "
            "a = softmax(x); b = gather(a, i, axis = 0); y = softmax(b); }"
        ), STANDARD, lambda *_: np.empty(0),
    )  # fmt: skip
    x = np.random.default_rng(2).standard_normal((8, 4), np.float32)
    with Session(graph, opened(selector, forward_progress=True), STANDARD | INTERNAL) as session:
        assert len(session.plan.launches) == 1
        for index in (9, -1):
            with pytest.raises(nnef_cl.InputError, match="'i'"):
                session.run({"x": x, "i": np.array([0, index, 2])})
            good = {"x": x, "i": np.array([7, 0, 7])}
            compare("y", session.run(good)["y"], interpret(graph, good)["y"], 1e-6)
