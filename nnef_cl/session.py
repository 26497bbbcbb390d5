"""The API: load(path) -> Session; session.run({name: array}) -> {name: array}."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nnef_cl.arrays import as_input, as_targets, hint
from nnef_cl.binding import Binding
from nnef_cl.codegen.target import Target
from nnef_cl.device import points
from nnef_cl.device.environment import request_threads
from nnef_cl.device.facts import DeviceInfo
from nnef_cl.device.manager import Device, open_devices
from nnef_cl.device.rules import Rules
from nnef_cl.errors import DeviceError, Error, ExtensionError, InputError
from nnef_cl.executor import Progress
from nnef_cl.format.container import open_container, tensor_name
from nnef_cl.gathering import Batching, Gatherer, Gathering, enlarged
from nnef_cl.images import Image, check_rows, with_images
from nnef_cl.importer import AUTO, ModelReader
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Table
from nnef_cl.plan.build import PRECISIONS, Choose, first
from nnef_cl.plan.tuned import TunedChoice
from nnef_cl.pool import Pool
from nnef_cl.replica import Replica, check_together, make_replica, plan_replica
from nnef_cl.source import Source
from nnef_cl.state import State
from nnef_cl.stream import NEW, Arrays, OutArrays
from nnef_cl.workers import Outputs, Workers, in_order

AHEAD = 2
"""Requests per stream that `map` keeps in flight: one runs, one waits for it."""

Images = Callable[[Mapping[str, TensorSpec]], Mapping[str, Image]]
"""The model's inputs -> those that are passed as images, and how."""

LOGGER = logging.getLogger("nnef_cl.model")
"""Warnings about models."""


def load(
    path: str | os.PathLike[str], *, device: str | None = None, shapes: Mapping[str, Iterable[int]] | None = None,
    keep: Iterable[str] | str = (), profile: bool = False, threads: int | None = None, rules: Rules | None = None,
    progress: Progress | None = None, dialect: str = AUTO, ops: Table = STANDARD,
    precision: str = "default", tuning: bool = True, streams: int | str = 1,
    inputs: Mapping[str, Image] | Images | None = None, batching: Batching | None = None,
) -> Session:  # fmt: skip
    """Reads a model (folder, archive or graph.nnef) and makes it ready on a device.

    device: selector ('auto', 'gpu', 'cpu:1', '0:1', part of a name, several with commas), or several joined by '+',
    whose devices share the requests; None: NNEF_CL_DEVICE, else 'auto'. shapes: other extents for the inputs. keep:
    intermediate tensors that `run` returns too, or 'all'. profile: count device time. threads: of a CPU device; can be
    set only before the first use of OpenCL in a process. rules: instead of devices.yaml. progress: called with (stage,
    done, total). dialect: how the file is read, 'strict' or 'lenient' (docs/dialects.md); 'auto' is lenient. Warnings
    are logged, too. ops: what operations mean, STANDARD | table(MINE) with operations of your own (docs/extending.md).
    precision: 'exact' excludes algorithms that round more than the operations' definitions do; 'default' takes the
    fastest. tuning: use what `nnef-cl tune` found out about this device (NNEF_CL_TUNING=off: never). streams: requests
    that can be on each device at one time, each with memory of its own, or 'auto' (docs/streams.md). inputs: those
    that are passed as uint8 images, which the device makes values of (docs/images.md), or a function that chooses them
    by the model's inputs. batching: single requests are gathered into batches, where each row of the results depends on
    one row of the inputs (docs/streams.md). Raises Error.
    """
    if not isinstance(ops, Table):
        raise ExtensionError(f"ops: expected a table such as STANDARD | table(MY_OPS), got {type(ops).__name__}")
    if precision not in PRECISIONS:
        raise InputError(f"precision: expected {' or '.join(map(repr, PRECISIONS))}, got {precision!r}")
    if batching is not None and not isinstance(batching, Batching):
        raise InputError(f"batching: expected Batching(...) or None, got {type(batching).__name__}")
    request_threads(threads)
    timings: dict[str, float] = {}
    started = time.perf_counter()
    source = Source.of(Path(path))

    extents, gathering = _shapes(shapes), None
    with open_container(source.path) as container:
        model = ModelReader(container, ops, dialect)
        imported = model.graph(extents)
        specs = {name: imported.tensors[name] for name in imported.inputs}
        images = inputs(specs) if callable(inputs) else inputs
        graph = with_images(imported, images)
        if batching is not None:
            check_rows(graph, images)
            larger = enlarged(imported, model.graph, ops, batching.max_size)
            gathering = Gathering(batching, with_images(larger, images))
    for warning in graph.warnings:
        LOGGER.warning("%s", warning)
    timings["read"] = time.perf_counter() - started
    opened = [
        (one, choice(one.info, one.target, precision, tuning))
        for one in open_devices(device, rules=rules, profiling=profile)
    ]
    return Session(
        graph, opened[0][0], ops | INTERNAL, keep=keep, timings=timings, progress=progress, source=source,
        streams=streams, choose=opened[0][1], others=opened[1:], gathering=gathering,
    )  # fmt: skip


def choice(info: DeviceInfo, target: Target, precision: str, tuning: bool) -> Choose:
    """How kernels are chosen on a device; precision, tuning: as for `load`."""
    if not tuning or not points.enabled():
        return PRECISIONS[precision]
    return TunedChoice(points.Points.of(info).lookup, target, precision)


class Session:
    """A model on a device, or on several. `run` and `submit` may be called from any thread.

    streams: how many requests can be on the devices at one time. states: for each stream the variables that the model
    updates (a mapping, see `State`), which keep their values from run to run on that stream; state: the first one's.
    graph, plan: what the first device runs.
    """

    def __init__(
        self, graph: Graph, device: Device, ops: Table, *, keep: Iterable[str] | str = (),
        timings: dict[str, float] | None = None, progress: Progress | None = None, choose: Choose = first,
        source: Source | None = None, streams: int | str = 1, others: Sequence[tuple[Device, Choose]] = (),
        gathering: Gathering | None = None,
    ) -> None:  # fmt: skip
        """graph: imported. others: further devices that get the model, and how kernels are chosen there. gathering: how
        single requests become batches, None: not at all."""
        self.source_graph, self.ops = graph, ops
        self.inputs: dict[str, TensorSpec] = {name: graph.tensors[name] for name in graph.inputs}
        self.outputs: dict[str, TensorSpec] = {n: graph.tensors[graph.output_tensor(n)] for n in graph.outputs}
        self.timings = dict(timings or {})
        self._source = source
        self._reasons = [one.reason for one in (device, *(other for other, _ in others))]
        asked = replace(graph, outputs=(*graph.outputs, *_kept(graph, keep)))
        larger = None if gathering is None else gathering.returning(asked)
        plans = []
        for one, how in [(device, choose), *others]:
            single = plan_replica(asked, one, ops, how, streams, self.timings)
            batch = None if larger is None else plan_replica(larger, one, ops, how, single.count, self.timings)
            if batch is not None:
                check_together(single, batch)
            plans.append((single, batch))
        replicas: list[Replica] = []
        batched: list[Replica] = []
        try:
            for single, batch in plans:
                replicas.append(make_replica(single, progress, self.timings))
                if batch is not None:
                    batched.append(make_replica(batch, progress, self.timings, replicas[-1]))
        except BaseException:
            for replica in (*batched, *replicas):
                replica.close()
            raise
        self.graph, self.plan = replicas[0].graph, replicas[0].plan
        self._pool = Pool(replicas, batched)
        self._turns = self._pool.turns
        self._devices = [replica.device for replica in replicas]
        self.streams = len(self._pool.streams)
        self._workers = Workers(self._pool.run, self.streams)
        if gathering is not None:
            self._workers = Gatherer(self._pool.run, self._pool.run_batch, self.streams, gathering.batching)
        weakref.finalize(self, self._workers.end, wait=False).atexit = False
        self.states = tuple(
            State(stream, partial(self._turns.take, number)) for number, stream in enumerate(self._pool.streams)
        )
        self.state = self.states[0]

    @property
    def device(self) -> DeviceInfo:
        """Facts about the device, or the first of several."""
        return self.devices[0]

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        return tuple(replica.device.info for replica in self._pool.replicas)

    @property
    def context(self) -> Any:
        """pyopencl's, of the device or the first of several: arrays and buffers of it can be inputs."""
        return self._devices[0].context

    @property
    def queue(self) -> Any:
        """A queue of pyopencl's on that device. What is enqueued on it when a run begins is done first."""
        return self._devices[0].queue.handle

    @property
    def served(self) -> dict[str, int]:
        """Requests done so far by each device, by its index ('platform:device')."""
        done: dict[str, int] = {}
        for stream, count in zip(self._pool.streams, self._pool.served, strict=True):
            done[stream.device.info.index] = done.get(stream.device.info.index, 0) + count
        return done

    @property
    def batches(self) -> dict[str, int]:
        """Of a session that gathers requests: 'batches' that ran, requests that were 'batched' in them, and requests
        that ran 'alone'; else empty."""
        return self._workers.batches

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the model departs from the standard: place, what it does, and [the rule]."""
        return self.source_graph.warnings

    @property
    def reason(self) -> str:
        """Why this device was chosen, or these."""
        return "; ".join(self._reasons)

    @property
    def memory(self) -> dict[str, int]:
        """Bytes on the devices: weights, slots for everything computed (inputs and outputs among them), variables;
        the latter two for every stream. Where requests are gathered, those of batches are among them."""
        parts = [replica.memory for replica in (*self._pool.replicas, *self._pool.larger)]
        return {name: sum(part[name] for part in parts) for name in parts[0]}

    @property
    def last_device_seconds(self) -> float | None:
        """Device time of the last run's kernels; None without `profile`."""
        return self._pool.device_seconds

    def run(
        self, inputs: Mapping[str, Any] | None = None, *, stream: int | None = None,
        out: Mapping[str, Any] | None = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """One inference. inputs: one array per model input; returns one array per model output (and kept tensor).

        Arrays have the API types float32, int64 and bool, or cast to them by numpy's 'same_kind' rule. Variables that
        the model updates have their old values throughout the run and the new ones after it; a run that raises
        changes none. stream: the number of the one to run on; where the model updates variables and there are several
        it must be given, because each has variables of its own. out: arrays by output name that get the results and are
        returned, of exactly the outputs' shapes and API types, each with memory of its own; a run that raises may leave
        anything in them. Both may be anything with DLPack on the host, or memory of pyopencl's on the device
        (docs/arrays.md).
        """
        self._turns.check()
        arrays = self._checked(inputs)
        return self._workers.run(arrays, self._on(stream), self._targets(out, inputs, arrays))

    def submit(
        self, inputs: Mapping[str, Any] | None = None, *, stream: int | None = None,
        out: Mapping[str, Any] | None = None,
    ) -> Future[Outputs]:  # fmt: skip
        """As `run`, but returns a Future at once; requests begin in the order they came. The arrays must stay as they
        are until it is done, and no other request may have those of `out`. What is wrong with the inputs is the
        future's exception."""
        self._turns.check()
        try:
            arrays, number = self._checked(inputs), self._on(stream)
            targets = self._targets(out, inputs, arrays)
        except Error as error:
            failed: Future[Outputs] = Future()
            failed.set_exception(error)
            return failed
        return self._workers.submit(arrays, number, targets)

    async def run_async(
        self, inputs: Mapping[str, Any] | None = None, *, stream: int | None = None,
        out: Mapping[str, Any] | None = None,
    ) -> Outputs:  # fmt: skip
        """As `submit`, for asyncio: cancelling the task cancels a request that has not begun."""
        return await asyncio.wrap_future(self.submit(inputs, stream=stream, out=out))

    def map(self, batches: Iterable[Mapping[str, Any]], *, stream: int | None = None) -> Iterator[Outputs]:
        """The outputs of every batch, in order. Batches are drawn as results are taken, at most two per stream ahead of
        them, where requests are gathered twice as many as fit into one run; an error is raised in its batch's place and
        ends the iteration. On one stream that gathers nothing a caller that is quick between two batches (50 us) has
        them run in its own thread."""
        self._turns.check()
        submit, run = partial(self.submit, stream=stream), partial(self.run, stream=stream)
        at_once = self.streams * self._workers.per_run if stream is None else 1
        if at_once > 1:
            return in_order(submit, batches, AHEAD * at_once)
        return in_order(submit, batches, AHEAD, run, self._workers.idle)

    def bind(self, *, stream: int | None = None) -> Binding:
        """Arrays for inputs and outputs that the device works on without copies where it can, and `run` on them
        (docs/arrays.md). It has slots and programs of its own; weights and variables are the session's. stream: as for
        `run`, for all of its runs; None: stream 0. Raises OutOfMemoryError."""
        self._turns.check()
        return self._pool.bind(self._on(stream) or 0)

    def __call__(self, *inputs: Any) -> Any:
        """Positional inputs; one output: the array, several: a tuple in graph order."""
        if len(inputs) != len(self.inputs):
            raise InputError(f"the model has {len(self.inputs)} inputs ({', '.join(self.inputs)}), got {len(inputs)}")
        outputs = self.run(dict(zip(self.inputs, inputs, strict=True)))
        values = tuple(outputs[name] for name in self.outputs)
        return values[0] if len(values) == 1 else values

    def step_seconds(self) -> list[float]:
        """Device seconds of every step of the plan, from one more run with the last inputs (needs `profile`)."""
        with self._turns.take(0):
            stream = self._pool.streams[0]
            if not stream.device.profiling:
                raise DeviceError("load the model with profile=True to measure device time")
            return stream.device_seconds()

    def reset(self) -> None:
        """Gives all variables of all streams the values they have in the file."""
        for state in self.states:
            state.reset()

    @contextlib.contextmanager
    def state_kept(self) -> Iterator[None]:
        """Runs inside the block update variables as always; behind it they are what they were before."""
        before = [dict(state) for state in self.states]
        try:
            yield
        finally:
            for state, values in zip(self.states, before, strict=True):
                state.update(values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model with the variables as they are now: a folder, or an archive where `path` ends in .tgz,
        .tar.gz or .tar.

        graph.nnef, graph.quant and the files of variables that are not updated stay what they are, to the byte; the
        others are written anew. A model that stands there is replaced as a whole, anything else is refused with Error;
        so is a session whose own model has changed or gone since it was loaded.
        """
        if self._source is None:
            raise Error("the model cannot be saved: it was not loaded from a file")
        changed = {tensor_name(label): array for label, array in self.state.items()}
        self._source = self._source.saved(Path(path), self.source_graph, changed)

    def close(self, *, cancel: bool = False) -> None:
        """Waits for the requests in flight and frees the device's memory; the session cannot run any more. cancel:
        those that have not begun are cancelled."""
        try:
            self._workers.end(cancel=cancel)
        finally:
            self._pool.end()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._workers.end(cancel=True, wait=False)
        self.close()

    def _on(self, stream: int | None) -> int | None:
        """The number of the stream that a request goes to; None: any. Raises InputError."""
        if stream is None:
            if self.streams > 1 and self.plan.states:
                raise InputError(
                    f"the model updates variables and each of the {self.streams} streams has its own: "
                    f"say stream=0 to {self.streams - 1}"
                )
            return None
        if not isinstance(stream, int) or not 0 <= stream < self.streams:
            raise InputError(f"stream: expected 0 to {self.streams - 1}, got {stream!r}")
        return stream

    def _checked(self, inputs: Mapping[str, Any] | None) -> Arrays:
        inputs = {} if inputs is None else inputs
        if not isinstance(inputs, Mapping):
            raise InputError(f"expected arrays by input name ({', '.join(self.inputs)}), got {type(inputs).__name__}")
        for name in inputs:
            if name not in self.inputs:
                raise InputError(f"the model has no input '{name}'{hint(name, self.inputs, 'inputs')}")
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            raise InputError(f"no value for input '{missing[0]}'")
        devices = self._devices
        return {n: as_input(f"input '{n}'", inputs[n], spec, devices) for n, spec in self.inputs.items()}

    def _targets(self, out: Mapping[str, Any] | None, inputs: Mapping[str, Any] | None, arrays: Arrays) -> OutArrays:
        """inputs: as the caller passed them, arrays: as they are stored."""
        if out is None:
            return NEW
        specs = {name: spec for name, (_, spec) in self.plan.outputs.items()}
        given = {n: value if isinstance(value, np.ndarray) else arrays[n] for n, value in (inputs or {}).items()}
        return as_targets(out, specs, given, self._devices)


def _shapes(shapes: Mapping[str, Iterable[int]] | None) -> dict[str, tuple[int, ...]] | None:
    """The extents as tuples. Raises InputError; the importer judges the values."""
    try:
        return None if shapes is None else {name: tuple(extents) for name, extents in shapes.items()}
    except (AttributeError, TypeError):
        raise InputError(f"shapes: expected extents by input name, such as {{'x': (1, 3)}}, got {shapes!r}") from None


def _kept(graph: Graph, keep: Iterable[str] | str) -> list[str]:
    produced = [name for node in graph.nodes for name in node.outputs]
    if keep == "all":
        return [name for name in produced if name not in graph.outputs]
    names = [keep] if isinstance(keep, str) else list(keep)
    for name in names:
        if name not in graph.tensors:
            close = difflib.get_close_matches(name, graph.tensors, 1)
            likely = f"; did you mean '{close[0]}'?" if close else ""
            raise InputError(f"the model has no tensor '{name}'{likely}")
    return [name for name in dict.fromkeys(names) if name not in graph.outputs]
