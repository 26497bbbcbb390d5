"""Tuning: measures what a network's problems leave open on a device, and keeps the best points."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from nnef_cl.codegen.kernel import Point
from nnef_cl.device.manager import Device
from nnef_cl.device.points import Points, Tuned
from nnef_cl.ops.base import Table
from nnef_cl.tuning.search import Build, Rejected, Search
from nnef_cl.tuning.tasks import Task, sample_inputs
from nnef_cl.tuning.trial import Clock, DeviceTrial

Builder = Callable[[Task], Build]


@dataclass(frozen=True)
class Result:
    """One task's outcome. known: it was tuned before. tried: points measured now. taken_back: the best point of the
    problem alone, where it gains nothing in the network."""

    task: Task
    tuned: Tuned
    known: bool = False
    tried: int = 0
    rejected: tuple[Rejected, ...] = ()
    taken_back: Point | None = None

    @property
    def saved(self) -> float:
        """Seconds that the network should need less, by the measurements of the problem alone."""
        return (self.tuned.untuned - self.tuned.seconds) * self.task.times


def on_device(device: Device, ops: Table) -> Builder:
    """Trials of a task's candidates on the device."""

    def builder(task: Task) -> Build:
        inputs = sample_inputs(task.graph)
        return lambda candidate: DeviceTrial(task.graph, inputs, candidate, device, ops)

    return builder


def tune(
    tasks: Sequence[Task], store: Points, builder: Builder, level: str, seconds: float | None = None,
    clock: Clock = time.monotonic,
) -> Iterator[Result]:  # fmt: skip
    """Every task's result, kept as soon as it is known; tasks that were tuned at that level are not measured again.

    seconds: after which no more points are begun. An interruption by the user is raised again when what was found until
    then is kept.
    """
    end = None if seconds is None else clock() + seconds
    out_of_time = partial(_passed, end, clock)
    for task in tasks:
        known = store.get(task.text)
        if known is not None and known.reaches(level):
            yield Result(task, known, known=True)
        elif not out_of_time():
            found = Search(task, builder(task), level, out_of_time).run()
            if found.tuned.points and (known is None or found.tuned.level or not known.level):
                store.put(task.text, found.tuned)
            yield Result(task, found.tuned, tried=found.tried, rejected=found.rejected)
            if found.interrupted:
                raise KeyboardInterrupt


def _passed(end: float | None, clock: Clock) -> bool:
    return end is not None and clock() > end
