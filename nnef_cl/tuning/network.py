"""What tuning comes to in the whole network: runs of it untuned and tuned, in turn."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from nnef_cl.device.manager import Device
from nnef_cl.device.points import Points
from nnef_cl.ir.graph import Graph
from nnef_cl.ops.base import Table
from nnef_cl.peers.engine import Engine, Hint, repeated
from nnef_cl.peers.interleave import RUNS, Lead, interleave, lead, median
from nnef_cl.plan.build import first
from nnef_cl.plan.tuned import tuned
from nnef_cl.preprocess import random_inputs
from nnef_cl.session import Session

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
        choices = {"untuned": first, "tuned": tuned(store.lookup, device.target, "default")}
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
        times = interleave(engines, max(1, min(MOST_BLOCKS, int(SECONDS / each))), Hint.latency, 1)
        return NetworkGain(
            median(times["untuned"]) / 1e3, median(times["tuned"]) / 1e3, lead(times["tuned"], times["untuned"])
        )


def _engine(name: str, session: Session) -> Engine:
    inputs = random_inputs(session.inputs, 0)
    return Engine(name, lambda: list(session.run(inputs).values()), repeated(lambda: session.run(inputs)))
