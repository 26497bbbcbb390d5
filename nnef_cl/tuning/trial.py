"""One candidate on the device: built from a network of one node, run on seeded data, timed in samples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import numpy as np

from nnef_cl.codegen.kernel import Candidate
from nnef_cl.device.manager import Device
from nnef_cl.executor import Executable
from nnef_cl.ir.graph import Graph
from nnef_cl.ops.base import Table
from nnef_cl.plan.build import build_plan
from nnef_cl.stream import Stream

SAMPLE, MOST_RUNS = 0.004, 64
"""Seconds that a sample should take, and how many runs it may have."""

Clock = Callable[[], float]


class DeviceTrial:
    """inputs: logical arrays in storage types. Raises Error where the candidate cannot be built. Programs are not kept:
    most are of no use later."""

    def __init__(
        self, graph: Graph, inputs: Mapping[str, np.ndarray], candidate: Candidate, device: Device, ops: Table,
        clock: Clock = time.perf_counter,
    ) -> None:  # fmt: skip
        self.device, self.clock = device, clock
        packed = {name: graph.tensors[name].layout.pack(array) for name, array in inputs.items()}
        self.inputs = {name: np.ascontiguousarray(array) for name, array in packed.items()}
        plan = build_plan(graph, ops, device.target, lambda problem, candidates: candidate)
        self.executable = Executable(plan, device)
        self.runs = 0
        try:
            with device.programs.not_kept():
                self.executable.compile()
            self.executable.upload()
            self.stream = Stream(self.executable)
        except BaseException:
            self.executable.close()
            raise

    def outputs(self) -> Mapping[str, np.ndarray]:
        return self.stream.run(self.inputs)

    def seconds(self) -> float:
        """The mean of a sample's runs, which follow each other without a pause."""
        if not self.runs:
            self.runs = max(1, min(MOST_RUNS, math.ceil(SAMPLE / max(self._timed(1), 1e-9))))
        return self._timed(self.runs) / self.runs

    def _timed(self, runs: int) -> float:
        started = self.clock()
        for _ in range(runs):
            self.stream.enqueue()
        self.stream.queue.finish()
        return self.clock() - started

    def close(self) -> None:
        self.stream.close()
        self.executable.close()
