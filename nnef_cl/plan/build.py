"""Graph -> Plan: ask each operation for its kernels, take the first, pack constants, share memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnef_cl.codegen.ctypes import INT_MAX
from nnef_cl.codegen.kernel import Candidate, Flag, Input, Launch, Operand, Output, Pack, Packed, Scratch
from nnef_cl.codegen.target import Target
from nnef_cl.errors import ModelError, RuleError, UnsupportedError
from nnef_cl.ir.dtype import F32, DType
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.layout import Layout, Shape
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops.base import Problem, Table
from nnef_cl.ops.problem import make_problem
from nnef_cl.plan.by_rows import OWN, Row, row_kernel
from nnef_cl.plan.chain import join_steps
from nnef_cl.plan.memory import Lifetime, Memory, Slot, assign_slots
from nnef_cl.plan.records import Buffer, Copy, Fault, Plan, State, Step, Weight
from nnef_cl.plan.views import JOINING, SPLITTING, View, find_views, offsets

MAX_ELEMENTS = 2**60
"""Offsets in bytes have 64 bits."""
TOO_MANY = f"has more than {MAX_ELEMENTS} elements"
MAX_REPEATED = 1 << 26
"""Elements of a constant that repeats fewer values: a line of text must not cost gigabytes."""
LEAST_ALIGNMENT = 64
"""Bytes: a cache line, and the longest vector."""


@dataclass(frozen=True)
class Place:
    """Where a tensor lies until memory is assigned: with `root`, at that offset; bytes: 0 for all of it."""

    root: str
    offset: int = 0
    bytes: int = 0


Argument = Place | Buffer
"""A place in an arena, or a buffer that is settled."""
Choose = Callable[[Problem, list[Candidate]], Candidate]


@dataclass(frozen=True)
class Store:
    """A constant as it lies in memory: its layout and storage type."""

    layout: Layout
    dtype: DType

    @property
    def item_bytes(self) -> int:
        return self.dtype.bytes

    def shape(self, array: Shape) -> Shape:
        return self.layout.physical(array)

    def __call__(self, array: np.ndarray) -> np.ndarray:
        return self.layout.pack(np.asarray(array, self.dtype.storage))


def first(problem: Problem, candidates: list[Candidate]) -> Candidate:
    """The lowering functions' best guess."""
    return candidates[0]


def exact(problem: Problem, candidates: list[Candidate]) -> Candidate:
    """The best guess among those that round no more than the definition does."""
    return next((candidate for candidate in candidates if candidate.exact), candidates[0])


PRECISIONS: Mapping[str, Choose] = {"default": first, "exact": exact}
"""default: within 1e-4 of the largest magnitude; exact: no algorithm that rounds more than the definition does."""


def build_plan(
    graph: Graph, ops: Table, target: Target, choose: Choose = first, apart: bool = False, lend: int | None = None
) -> Plan:
    """choose: picks one of the candidates that an operation's lowering offers. apart: inputs and outputs lie in the
    last arena, where nothing else is, before a run and behind it. lend: bytes; larger ones that share no memory with
    others are `Plan.loans`."""
    return _Builder(graph, ops, target, choose).build(apart, lend)


class _Builder:
    def __init__(
        self, graph: Graph, ops: Table, target: Target, choose: Choose, around: _Builder | None = None
    ) -> None:
        """around: of the plan that this one, for one row, is a part of; they have the same weights and flags."""
        self.graph, self.ops, self.target, self.choose = graph, ops, target, choose
        self.views = find_views(graph, target)
        self.places: dict[str, Place] = {}
        self.spans: dict[str, list[int]] = {}
        self.sizes: dict[str, int] = {}
        self.weights: dict[tuple[int, Pack], Buffer] = {}
        self.fixed_alias: dict[str, Buffer] = {}
        self.states: dict[int, State] = {}
        self.records: list[Weight] = []
        self.position = ""
        self.draft: list[tuple[Step, tuple[Argument, ...]]] = []
        self.faults: list[Fault] = []
        self.loans: dict[str, int] = {}
        if around is not None:
            self.weights, self.records, self.faults = around.weights, around.records, around.faults
            self.views = {name: view for name, view in self.views.items() if name not in graph.outputs}

    def build(self, apart: bool, lend: int | None) -> Plan:
        end = self._draft()
        moves = self._moves(end)
        if lend is not None:
            self._lend(lend, moves)
        memory = self._memory({place.root for place in self._outer()} if apart else ())
        where = memory.where
        steps = tuple(self._bound(step, arguments, where) for step, arguments in self.draft)
        inputs = {n: self._place(n, where) for n in self.graph.inputs}
        outputs = {n: self._place(self.graph.output_tensor(n), where) for n in self.graph.outputs}
        commits = tuple(Copy(self._buffer(a, where), self._buffer(b, where), size) for a, b, size in moves)
        launches = join_steps(steps, self.target)
        return Plan(
            self.graph.name, self.target, steps, memory.arenas, memory.needed, tuple(self.records), inputs, outputs,
            launches.steps, tuple(self.faults), tuple(self.states.values()), commits, launches.counters,
            tuple(self.sizes[root] for root in self.loans),
        )  # fmt: skip

    def build_row(self) -> Row:
        """The plan for one row of a batch, whose inputs and results lie in tensors of all rows."""
        self._draft()
        self.loans = {name: number for number, name in enumerate((*self.graph.inputs, *self.graph.outputs))}
        memory = self._memory(())
        steps = tuple(self._bound(step, arguments, memory.where) for step, arguments in self.draft)
        return Row(steps, memory.arenas, len(self.graph.inputs))

    def _draft(self) -> int:
        """All steps, with places; returns how many they are."""
        for name in self.graph.inputs:
            spec = self.graph.tensors[name]
            if _too_large(spec):
                raise UnsupportedError(f"input '{name}': {spec} {TOO_MANY}")
            self._allocate(name, spec, 0)
        for name, constant in self.graph.variables.items():
            self._declare_state(name, constant)
        for node in self.graph.nodes:
            self.position = node.position
            if node.op == "by_rows":
                self._compute_rows(node)
            else:
                self._lower(node)
        end = len(self.draft)
        for name in self.graph.results:
            self._live_until(name, end)
        return end

    def _outer(self) -> list[Place]:
        """Where inputs and outputs lie, but for those that are variables or constants."""
        names = [*self.graph.inputs, *map(self.graph.output_tensor, self.graph.outputs)]
        return [source for source in map(self._source, names) if isinstance(source, Place)]

    def _lend(self, least: int, moves: Sequence[tuple[Argument, Argument, int]]) -> None:
        """Finds the plan's loans: what is larger than `least`, one input's or output's alone, and no variable's new
        value, because that is copied when the array may be gone."""
        places, moved = self._outer(), {source.root for source, _, _ in moves if isinstance(source, Place)}
        shared = moved | {root for root, count in Counter(place.root for place in places).items() if count > 1}
        whole = [place.root for place in places if place.bytes in (0, self.sizes[place.root])]
        roots = [root for root in whole if root not in shared and self.sizes[root] > least]
        self.loans = {root: number for number, root in enumerate(roots)}

    def _memory(self, outer: Collection[str]) -> Memory:
        spans = {name: span for name, span in self.spans.items() if name not in self.loans}
        lifetimes = [Lifetime(n, self.sizes[n], first, last) for n, (first, last) in spans.items()]
        inner = [life for life in lifetimes if life.name not in outer]
        alignment = max(self.target.alignment, LEAST_ALIGNMENT)
        capacity = 0 if self.target.separate_buffers else self.target.max_allocation or None
        memory = assign_slots(inner, alignment, capacity)
        if not outer:
            return memory
        always = [replace(life, first=0, last=0) for life in lifetimes if life.name in outer]
        more = assign_slots(always, alignment)
        number = len(memory.arenas)
        where = {name: replace(slot, arena=number) for name, slot in more.where.items()}
        return Memory({**memory.where, **where}, (*memory.arenas, *more.arenas), memory.needed + more.needed)

    def _declare_state(self, name: str, constant: Constant) -> None:
        """Variables of one label share a buffer."""
        spec = self.graph.tensors[name]
        if _too_large(spec):
            raise UnsupportedError(f"variable '{name}': {spec} {TOO_MANY}")
        known = self.states.get(id(constant))
        self.states[id(constant)] = State(constant, spec, (*(known.names if known else ()), name))

    def _state(self, name: str) -> Buffer:
        return Buffer("state", list(self.states).index(id(self.graph.variables[name])))

    def _moves(self, end: int) -> list[tuple[Argument, Argument, int]]:
        """Source, target and bytes of the copies behind the run: values that are variables themselves go through a
        buffer of their own, because their update may come first."""
        before: list[tuple[Argument, Argument, int]] = []
        after: list[tuple[Argument, Argument, int]] = []
        for name, value in self.graph.updates.items():
            source, target, spec = self._source(value), self._state(name), self.graph.tensors[name]
            if source == target:
                continue
            if isinstance(source, Buffer) and source.kind == "state":
                staged = self._allocate(f"{name}.next", spec, end)
                before.append((source, staged, spec.bytes))
                source = staged
            after.append((source, target, spec.bytes))
        return before + after

    def _compute_rows(self, node: Node) -> None:
        """One step that computes the rows of a batch one by one."""
        body: Graph = node.attrs["body"]
        row = _Builder(body, self.ops, self.target, self.choose, self).build_row()
        names = (*body.inputs, *body.outputs)
        strides = [self._stride(name, body) for name in names]
        kernel, buffers = row_kernel(row, strides, node.attrs["rows"], self.target.compute_units)
        at = len(self.draft)
        for name in node.outputs:
            self._allocate(name, self.graph.tensors[name], at)
        own = self._allocate(_scratch_name(node, 0), TensorSpec((kernel.workers * kernel.bytes // F32.bytes,)), at)
        arguments = tuple(
            own if buffer == OWN else self._source(names[buffer.index]) if buffer.kind == "loan" else buffer
            for buffer in buffers
        )
        for argument in arguments:
            if isinstance(argument, Place):
                self._extend(argument, at)
        step = Step(kernel, (), node.name, node.op, f"{len(kernel.stages)} kernels", node.position)
        self.draft.append((step, arguments))

    def _stride(self, name: str, body: Graph) -> int:
        """Bytes from a row to the next; 0 where all rows have the same tensor."""
        spec = body.tensors[name]
        return 0 if self.graph.tensors[name].shape == spec.shape else spec.bytes

    def _lower(self, node: Node) -> None:
        problem = make_problem(node, self.graph.tensors, self.graph.constants, self.ops)
        lower = self.ops[node.op].lower
        if lower is None:
            raise UnsupportedError("has no kernels yet", where=node.position or None, op=node.op, tensor=node.name)
        for name in node.outputs:
            self._check_size(node, self.graph.tensors[name])
        try:
            candidates = lower(problem, self.target)
        except RuleError as error:
            raise ModelError(str(error), where=node.position or None, op=node.op, tensor=node.name) from error
        candidate = self._chosen(node, problem, candidates)
        if not candidate.launches:
            self._alias(node)
            return
        at = len(self.draft)
        for k, name in enumerate(node.outputs):
            self._allocate(name, self.graph.tensors[name], at + self._first_use(node, candidate, Output(k)))
        for k, spec in enumerate(candidate.scratch):
            self._allocate(_scratch_name(node, k), spec, at + self._first_use(node, candidate, Scratch(k)))
        used = set[Operand]()
        for launch in candidate.launches:
            if self._in_place(node, launch):
                continue
            used.update(launch.operands)
            arguments = tuple(self._argument(node, operand) for operand in launch.operands)
            for argument in arguments:
                if isinstance(argument, Place):
                    self._extend(argument, len(self.draft))
            step = Step(launch.kernel, (), node.name, node.op, candidate.algorithm, node.position)
            self.draft.append((step, arguments))
        for k, name in enumerate(node.inputs):
            if Input(k) not in used:
                self._live_until(name, len(self.draft) - 1)

    def _first_use(self, node: Node, candidate: Candidate, operand: Output | Scratch) -> int:
        """Number of the launch that is the first to touch it; of joins and splits, which may take none, always 0."""
        if node.op in (*JOINING, *SPLITTING):
            return 0
        return next((k for k, launch in enumerate(candidate.launches) if operand in launch.operands), 0)

    def _alias(self, node: Node) -> None:
        source, result = self._source(node.inputs[0]), node.outputs[0]
        if isinstance(source, Buffer):
            self.fixed_alias[result] = source
        else:
            self.places[result] = source

    def _source(self, name: str) -> Argument:
        """Where a tensor lies: its place in an arena, or the buffer of a constant or a variable."""
        if name in self.fixed_alias:
            return self.fixed_alias[name]
        if name in self.graph.constants:
            return self._stored(name)
        return self._state(name) if name in self.graph.variables else self.places[name]

    def _chosen(self, node: Node, problem: Problem, candidates: list[Candidate]) -> Candidate:
        """One whose kernels can index all of their tensors; UnsupportedError where there is none."""
        able = [candidate for candidate in candidates if _indexes(candidate, problem)]
        if not able:
            specs = _specs(problem)
            raise UnsupportedError(
                f"{next(filter(_is_wide, specs), problem.outputs[0])} has more than {INT_MAX} elements, which "
                f"kernel '{candidates[0].algorithm}' cannot index", where=node.position or None, op=node.op,
                tensor=node.name,
            )  # fmt: skip
        chosen = self.choose(problem, able)
        return chosen if _indexes(chosen, problem) else able[0]

    def _check_size(self, node: Node, spec: TensorSpec) -> None:
        if _too_large(spec):
            raise UnsupportedError(
                f"result {spec} {TOO_MANY}", where=node.position or None, op=node.op,
                tensor=node.name,
            )  # fmt: skip

    def _allocate(self, name: str, spec: TensorSpec, at: int) -> Place:
        """A place for the tensor, alive from step `at` on: its own, or its part of another tensor's."""
        if name in self.places:  # a part of it was there first
            self._live_until(name, at)
        elif (view := self._view(name)) is not None:
            whole = self._allocate(view.whole, self.graph.tensors[view.whole], at)
            self.places[name] = Place(whole.root, whole.offset + view.offset, spec.bytes)
        else:
            self.places[name] = Place(name)
            self.spans[name] = [at, at]
            self.sizes[name] = max(spec.bytes, spec.dtype.bytes)
        return self.places[name]

    def _view(self, name: str) -> View | None:
        """None where the whole is settled elsewhere, as constants and variables are."""
        view = self.views.get(name)
        settled = (self.fixed_alias, self.graph.constants, self.graph.variables)
        return None if view is None or any(view.whole in one for one in settled) else view

    def _in_place(self, node: Node, launch: Launch) -> bool:
        """Whether the launch would copy a part to where it lies already."""
        match launch.operands:
            case (Input(index), Output()) if node.op in JOINING:
                part, whole = self._source(node.inputs[index]), self._source(node.outputs[0])
            case (Input(), Output(index)) if node.op in SPLITTING:
                part, whole = self._source(node.outputs[index]), self._source(node.inputs[0])
            case _:
                return False
        if isinstance(part, Buffer) or isinstance(whole, Buffer):
            return False
        begins = offsets(node, self.graph)
        if begins is None:
            return False
        offset = whole.offset + begins[index]
        return (part.root, part.offset) == (whole.root, offset) and part.bytes > 0

    def _live_until(self, name: str, at: int) -> None:
        if name in self.places:
            self._extend(self.places[name], at)

    def _extend(self, place: Place, at: int) -> None:
        span = self.spans[place.root]
        span[1] = max(span[1], at)

    def _argument(self, node: Node, operand: Operand) -> Argument:
        """A tensor's place in an arena, or a buffer that is none."""
        match operand:
            case Flag(index, trouble):
                self.faults.append(Fault(f"'{node.inputs[index]}' {trouble}", node.name, node.op, node.position))
                return Buffer("fault", len(self.faults) - 1)
            case Output(index):
                return self.places[node.outputs[index]]
            case Scratch(index):
                return self.places[_scratch_name(node, index)]
            case Packed(index, pack):
                return self._weight(node.inputs[index], pack)
            case Input(index):
                return self._source(node.inputs[index])
        raise AssertionError(operand)

    def _stored(self, name: str) -> Buffer:
        spec = self.graph.tensors[name]
        return self._weight(name, Store(spec.layout, spec.dtype))

    def _weight(self, name: str, pack: Pack) -> Buffer:
        """The constant's buffer; constants of one array, packed alike, share it."""
        constant = self.graph.constants[name]
        key = id(constant), pack
        if key not in self.weights:
            volume = math.prod(pack.shape(constant.shape))
            if volume > MAX_ELEMENTS:
                raise self._refused(name, TOO_MANY)
            if volume > MAX_REPEATED and 0 in constant.stored.strides:
                raise self._refused(name, f"repeats its values into more than {MAX_REPEATED} elements")
            self.weights[key] = Buffer("weight", len(self.records))
            self.records.append(Weight(constant, pack, pack.item_bytes * volume))
        return self.weights[key]

    def _refused(self, name: str, why: str) -> UnsupportedError:
        """For a constant; the place is that of the node which reads it."""
        return UnsupportedError(
            f"{self.graph.tensors[name]} {why}", where=self.position or None, op="constant", tensor=name
        )

    def _buffer(self, place: Argument, where: Mapping[str, Slot]) -> Buffer:
        if isinstance(place, Buffer):
            return place
        if place.root in self.loans:
            return Buffer("loan", self.loans[place.root], place.offset, place.bytes)
        slot = where[place.root]
        return Buffer("arena", slot.arena, slot.offset + place.offset, place.bytes or slot.bytes)

    def _bound(self, step: Step, arguments: tuple[Argument, ...], where: Mapping[str, Slot]) -> Step:
        buffers = tuple(self._buffer(argument, where) for argument in arguments)
        return Step(step.kernel, buffers, step.node, step.op, step.algorithm, step.position)

    def _place(self, name: str, where: Mapping[str, Slot]) -> tuple[Buffer, TensorSpec]:
        return self._buffer(self._source(name), where), self.graph.tensors[name]


def _scratch_name(node: Node, index: int) -> str:
    return f"{node.name}.scratch{index}"


def _specs(problem: Problem) -> tuple[TensorSpec, ...]:
    return (*problem.inputs, *problem.outputs, *problem.epilogue.operands)


def _indexes(candidate: Candidate, problem: Problem) -> bool:
    """Whether its kernels can index all of their tensors."""
    if not any(map(_is_wide, (*_specs(problem), *candidate.scratch))):
        return True
    return all(launch.kernel.wide for launch in candidate.launches)


def _is_wide(spec: TensorSpec) -> bool:
    return spec.layout.volume(spec.shape) > INT_MAX


def _too_large(spec: TensorSpec) -> bool:
    return spec.layout.volume(spec.shape) > MAX_ELEMENTS
