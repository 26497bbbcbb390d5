"""What tuning comes to in the whole network: runs of it untuned and tuned, in turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nnef_cl.device.manager import Device
from nnef_cl.device.points import Points
from nnef_cl.ir.graph import Graph
from nnef_cl.ops.base import Table
from nnef_cl.peers.engine import Engine, Hint
from nnef_cl.peers.interleave import RUNS, Lead, interleave, lead, median
from nnef_cl.plan.build import Choose, first
from nnef_cl.plan.tuned import TunedChoice
from nnef_cl.preprocess import random_inputs
from nnef_cl.session import Session
from nnef_cl.tuning import Result
from nnef_cl.tuning.search import GAIN, Times

CONFIRMING = 15
"""Runs of the network, tuned and untuned in turn, that say whether a problem's points gain anything in it."""
SECONDS, MOST_BLOCKS = 10.0, 10
"""How long the comparison may take where runs are short, and its blocks of runs."""


@dataclass(frozen=True)
class NetworkGain:
    """Median seconds of one inference. lead: untuned over tuned."""

    untuned: float
    tuned: float
    lead: Lead


def network_gain(graph: Graph, device: Device, ops: Table, store: Points) -> NetworkGain | None:
    """graph: as imported; ops: internal ones too. None where the points change no kernel. Raises Error, say where both
    do not fit into memory."""
    with contextlib.ExitStack() as stack:
        known = TunedChoice(store.lookup, device.target, "default")
        choices: dict[str, Choose] = {"untuned": first, "tuned": known}
        sessions = {name: stack.enter_context(Session(graph, device, ops, choose=one)) for name, one in choices.items()}
        before, after = ([step.kernel for step in session.plan.steps] for session in sessions.values())
        if before == after:
            return None
        for session in sessions.values():
            stack.enter_context(session.state_kept())
        engines = [_engine(name, session) for name, session in sessions.items()]
        started = time.perf_counter()
        for engine in engines:
            engine.run()
        each = (time.perf_counter() - started) * RUNS
        times = interleave(engines, max(1, min(MOST_BLOCKS, int(SECONDS / each))), Hint.latency)
        return NetworkGain(
            median(times["untuned"]) / 1e3, median(times["tuned"]) / 1e3, lead(times["tuned"], times["untuned"])
        )


def confirmed(
    results: Sequence[Result], graph: Graph, device: Device, ops: Table, store: Points
) -> list[Result]:
    """The results with those points taken back, here and in the store, that gain nothing among the network's other
    kernels, whose data compete for the caches. device: one that counts time. Raises Error."""
    if not any(map(_in_question, results)):
        return list(results)
    with contextlib.ExitStack() as stack:
        sessions = [
            stack.enter_context(Session(graph, device, ops, choose=one))
            for one in (first, TunedChoice(store.lookup, device.target, "default"))
        ]
        for session in sessions:
            with session.state_kept():
                session.run(random_inputs(session.inputs, 0))
        rounds = [(_node_seconds(sessions[0]), _node_seconds(sessions[1])) for _ in range(CONFIRMING)]
    return [_confirmed(result, rounds, store) for result in results]


def _node_seconds(session: Session) -> dict[str, float]:
    """Of one run: device time by node."""
    found: dict[str, float] = {}
    for step, seconds in zip(session.plan.steps, session.step_seconds(), strict=True):
        found[step.node] = found.get(step.node, 0.0) + seconds
    return found


def _in_question(result: Result) -> bool:
    """Whether it is new and changes something."""
    return not result.known and result.tuned.points[:1] not in ((), (result.task.untuned,))


def _confirmed(result: Result, rounds: Sequence[tuple[dict[str, float], dict[str, float]]], store: Points) -> Result:
    if not _in_question(result):
        return result
    nodes = result.task.nodes
    times = [(sum(map(before.__getitem__, nodes)), sum(map(after.__getitem__, nodes))) for before, after in rounds]
    if min(untuned for untuned, _ in times) > 0 and Times.of(times).ratio <= 1 - GAIN:
        return result
    points = dict.fromkeys((result.task.untuned, *result.tuned.points[1:]))
    kept = replace(result.tuned, points=tuple(points), seconds=result.tuned.untuned)
    store.put(result.task.text, kept)
    return replace(result, tuned=kept, taken_back=result.tuned.points[0])


def _engine(name: str, session: Session) -> Engine:
    inputs = random_inputs(session.inputs, 0)
    return Engine(name, lambda: list(session.run(inputs).values()))
