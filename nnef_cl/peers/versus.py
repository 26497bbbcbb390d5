"""Sessions against peers on one network and the same inputs: outputs compared first, then all timed in turn."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnef_cl.errors import Error, UsageError
from nnef_cl.peers import Peer
from nnef_cl.peers.engine import Engine, Hint, together
from nnef_cl.peers.interleave import Lead, Times, interleave, lead, median, milliseconds
from nnef_cl.replica import AUTO
from nnef_cl.session import Session

TOLERANCE = 1e-4
"""Of the largest magnitude."""
PINNING = "DPCPP_CPU_CU_AFFINITY"
"""Makes Intel's runtime pin the calling thread; the peers' threads would inherit that one core."""


@dataclass(frozen=True)
class Comparison:
    """threads: of the peers. ours: the names in `times` that are sessions, and their streams. errors: largest
    difference from the first peer, in units of its largest magnitude. versions: of the peers."""

    threads: int
    hint: Hint
    ours: Mapping[str, int]
    errors: Mapping[str, float]
    times: Times
    versions: Mapping[str, str]

    @property
    def peers(self) -> list[str]:
        return [name for name in self.times if name not in self.ours]

    @property
    def faster_peer(self) -> str:
        """By its median."""
        return min(self.peers, key=lambda name: median(self.times[name]))

    def lead(self, ours: str, peer: str | None = None) -> Lead:
        """Of a session over a peer, the faster one where none is named."""
        return lead(self.times[ours], self.times[peer or self.faster_peer])

    def facts(self) -> dict[str, Any]:
        """For JSON: milliseconds per inference, of every engine, and leads over the faster peer."""
        return {
            "threads": self.threads, "hint": self.hint.value, "ours": list(self.ours), "streams": dict(self.ours),
            "peers": self.peers, "errors": dict(self.errors),
            "ms": {name: milliseconds(blocks) for name, blocks in self.times.items()},
            "runs_ms": {name: [[t * 1e3 for t in times] for times in blocks] for name, blocks in self.times.items()},
            "faster_peer": self.faster_peer,
            "lead": {name: dataclasses.asdict(self.lead(name)) for name in self.ours},
        }  # fmt: skip


def compare(
    sessions: Mapping[str, Session], model: Path, inputs: Mapping[str, np.ndarray], peers: Sequence[Peer], *,
    blocks: int, hint: Hint = Hint.latency, threads: int | None = None, tolerance: float = TOLERANCE,
) -> Comparison:  # fmt: skip
    """As `open_engines`, then timed in turn. For throughput the sessions should have the streams of theirs."""
    opened = open_engines(sessions, model, inputs, peers, hint=hint, threads=threads, tolerance=tolerance)
    times = interleave(opened.engines, blocks, hint)
    versions = {peer.name: peer.version for peer in peers}
    ours = {name: session.streams for name, session in sessions.items()}
    return Comparison(opened.threads, hint, ours, opened.errors, times, versions)


def streams_for(hint: Hint) -> int | str:
    """What a session is loaded with to obey the hint."""
    return AUTO if hint is Hint.throughput else 1


@dataclass(frozen=True)
class Opened:
    """Engines whose outputs agree. threads: of the peers. errors: as in `Comparison`."""

    engines: tuple[Engine, ...]
    threads: int
    errors: Mapping[str, float]


def open_engines(
    sessions: Mapping[str, Session], model: Path, inputs: Mapping[str, np.ndarray], peers: Sequence[Peer], *,
    hint: Hint, threads: int | None = None, tolerance: float = TOLERANCE,
) -> Opened:  # fmt: skip
    """model: the sessions' network as ONNX. threads: of the peers; None: as many as the OpenCL CPU has.

    Sessions come first: OpenCL's runtimes must not find another engine's threads already there. Raises Error where
    outputs differ by more than the tolerance: wrong results are not timed.
    """
    if PINNING in os.environ:
        raise UsageError(f"unset {PINNING}: it pins the peers to one core")
    ours = next(iter(sessions.values()))
    units = ours.plan.target.compute_units  # no more than threads were asked for
    threads = threads or (units if ours.device.type == "cpu" else available_processors())
    engines = [_own(name, session, inputs) for name, session in sessions.items()]
    engines += [peer.open(model, inputs, threads, hint) for peer in peers]
    errors = _errors(engines, peers[0].name)
    if max(errors.values()) > tolerance:
        told = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
        raise Error(
            f"outputs differ from those of {peers[0].name}: {told} of the largest magnitude, {tolerance:g} is allowed; "
            "nothing was timed"
        )
    return Opened(tuple(engines), threads, errors)


def _own(name: str, session: Session, inputs: Mapping[str, np.ndarray]) -> Engine:
    """For throughput its streams have an inference each, and find the next one waiting."""
    submit = partial(session.submit, inputs)
    return Engine(name, lambda: list(session.run(inputs).values()), together(submit), submit, session.streams)


def _errors(engines: Sequence[Engine], first: str) -> dict[str, float]:
    """Of every engine but the one that the others are compared with."""
    results = {engine.name: list(engine.run()) for engine in engines}
    expected = results.pop(first)
    return {
        name: max((disagreement(a, b) for a, b in zip(got, expected, strict=True)), default=0.0)
        for name, got in results.items()
    }


def disagreement(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference in units of the largest expected magnitude, the share of unequal elements where there are no
    fractions; infinite for other shapes and for NaN."""
    if got.shape != expected.shape:
        return float("inf")
    if expected.dtype.kind != "f":
        return float(np.mean(got != expected))
    largest, error = float(np.abs(expected).max()), float(np.abs(got - expected).max())
    if np.isnan(error) or np.isnan(largest) or np.isinf(largest):
        return float("inf")
    return error / largest if largest else error


def available_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
