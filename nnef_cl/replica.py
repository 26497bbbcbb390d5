"""Replica: a model made ready on one device, with its streams."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from nnef_cl import passes
from nnef_cl.codegen.target import Target
from nnef_cl.device.manager import Device
from nnef_cl.errors import InputError
from nnef_cl.executor import Executable, Progress, new_bytes
from nnef_cl.ir.graph import Graph
from nnef_cl.ops.base import Table
from nnef_cl.ops.work import count_flops
from nnef_cl.plan.build import Choose, build_plan
from nnef_cl.plan.records import Plan
from nnef_cl.plan.tuned import chosen_for
from nnef_cl.stream import LENT, Stream

AUTO = "auto"
AUTO_STREAMS, MOST_STREAMS = 2, 1024
MOST_PARTS = 4
"""Streams that 'auto' divides a CPU among."""
SHORT = 2.5e-3
"""Seconds: requests of CPUs that are shorter gain nothing by a second one at the same time, or lose."""
UNIT_FLOPS, BYTES = 50e9, 50e9
"""Per second, of a CPU's unit and of its caches, roughly."""


@dataclass(frozen=True)
class Replica:
    """graph: after all passes. plan_apart: plans it anew, with inputs and outputs apart."""

    graph: Graph
    executable: Executable
    streams: tuple[Stream, ...]
    plan_apart: Callable[[], Plan]

    @property
    def plan(self) -> Plan:
        return self.executable.plan

    @property
    def device(self) -> Device:
        return self.executable.device

    @property
    def memory(self) -> dict[str, int]:
        """Bytes on the device: weights, unless another replica has them, slots for everything computed, variables."""
        plan, count, weights = self.plan, len(self.streams), self.executable.weight_bytes
        return {"weights": weights, "slots": count * plan.arena_bytes, "state": count * plan.state_bytes}

    @cached_property
    def apart(self) -> Executable:
        """Of the plan with inputs and outputs apart; made when it is first asked for, with the same weights."""
        executable = Executable(self.plan_apart(), self.device, lender=self.executable)
        executable.compile()
        executable.upload()
        return executable

    def close(self) -> None:
        """Gives all memory back."""
        for stream in self.streams:
            stream.close()
        if "apart" in self.__dict__:
            self.apart.close()
        self.executable.close()


@dataclass(frozen=True)
class Planned:
    """A replica before anything is built or allocated. graph: after all passes; count: of streams; again: plans it
    anew, with inputs and outputs apart."""

    graph: Graph
    plan: Plan
    device: Device
    count: int
    again: Callable[[], Plan]


def plan_replica(
    graph: Graph, device: Device, ops: Table, choose: Choose, streams: int | str, timings: dict[str, float]
) -> Planned:
    """graph: imported; streams: how many, or 'auto'. Adds the seconds that it takes to `timings`. Raises Error."""
    started = time.perf_counter()
    count = stream_count(streams, graph, ops, device.target)
    device = device.divided(count)
    choose = chosen_for(device.target, choose)
    final = passes.run(graph, ops, device.target)
    lend = LENT if device.borrows_memory and not device.profiling else None  # profiles repeat a run without arrays
    plan = build_plan(final, ops, device.target, choose, lend=lend)
    timings["plan"] = timings.get("plan", 0.0) + time.perf_counter() - started
    return Planned(final, plan, device, count, partial(build_plan, final, ops, device.target, choose, apart=True))


def check_together(one: Planned, other: Planned) -> None:
    """Raises OutOfMemoryError where their device has no room for both; the other uses the one's weights where they are
    the same."""
    need = one.plan.weight_bytes + new_bytes(other.plan, one.plan)
    need += sum(planned.count * planned.plan.stream_bytes for planned in (one, other))
    sizes = [size for plan in (one.plan, other.plan) for size in (*plan.arenas, *plan.loans)]
    one.device.check_budget(need, max(sizes, default=0))


def make_replica(
    planned: Planned, progress: Progress | None, timings: dict[str, float], lender: Replica | None = None
) -> Replica:
    """Adds the seconds of each stage to `timings`. lender: another on the same device, whose weights are used where
    they are the same. Raises Error."""

    def timed(stage: str, action: Callable[[], None]) -> None:
        started = time.perf_counter()
        action()
        timings[stage] = timings.get(stage, 0.0) + time.perf_counter() - started

    lent = lender.executable if lender is not None else None
    executable = Executable(planned.plan, planned.device, progress, planned.count, lent)
    try:
        timed("compile", executable.compile)
        timed("upload", executable.upload)
        streams = tuple(Stream(executable, number) for number in range(planned.count))
        return Replica(planned.graph, executable, streams, planned.again)
    except BaseException:
        executable.close()
        raise


def stream_count(streams: int | str, graph: Graph, ops: Table, target: Target) -> int:
    """streams: as for `load`; graph: imported. Raises InputError."""
    if streams == AUTO:
        if graph.variables:
            return 1
        weights = sum(graph.tensors[name].bytes for name in graph.constants)
        seconds = max(count_flops(graph, ops) / (UNIT_FLOPS * target.compute_units), weights / BYTES)
        if target.forward_progress and seconds < SHORT:
            return 1
        parts = target.parts(MOST_PARTS)
        return parts if parts > 1 else AUTO_STREAMS
    if isinstance(streams, bool) or not isinstance(streams, int) or not 1 <= streams <= MOST_STREAMS:
        raise InputError(f"streams: expected 'auto' or 1 to {MOST_STREAMS}, got {streams!r}")
    return streams
