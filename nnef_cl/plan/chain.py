"""Steps -> launches: neighbouring kernels are joined to chains where the device lets one launch run many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nnef_cl.codegen.kernels.chain import Chain, Stage
from nnef_cl.codegen.target import Target
from nnef_cl.plan.records import Buffer, Step

MOST_STAGES = 32
"""Of one chain: a compiler takes one function after another, and several chains are compiled at once."""
POINTER_BYTES = 8


@dataclass(frozen=True)
class Launches:
    """counters: bytes of each chain's counters, Buffer("counter", its number)."""

    steps: tuple[Step, ...]
    counters: tuple[int, ...]


def join_steps(steps: Sequence[Step], target: Target) -> Launches:
    """The steps as they are launched. Results are the same to the bit, in the same places."""
    launches: list[Step] = []
    counters: list[int] = []
    for run in _runs(steps, target):
        if len(run) == 1 and not (run[0].kernel.called and target.forward_progress):
            launches.append(run[0])
            continue
        chain, buffers = _chain(run, target)
        arguments = (*buffers, Buffer("counter", len(counters)))
        counters.append(chain.counter_bytes)
        launches.append(Step(chain, arguments, f"{run[0].node} .. {run[-1].node}", "chain", f"{len(run)} stages"))
    return Launches(tuple(launches), tuple(counters))


def _runs(steps: Sequence[Step], target: Target) -> Iterator[Sequence[Step]]:
    """Neighbours that can be one launch: all of them stages, of about equally many, with few enough arguments."""
    if not target.forward_progress:
        yield from ([step] for step in steps)
        return
    start = 0
    while start < len(steps):
        end = start
        while end < len(steps) and steps[end].kernel.stageable:
            end += 1
        parts = -(-(end - start) // MOST_STAGES)
        for number in range(parts):
            here = start + (end - start) * number // parts
            yield from _that_fit(steps[here : start + (end - start) * (number + 1) // parts], target)
        if end < len(steps):
            yield [steps[end]]
        start = end + 1


def _that_fit(steps: Sequence[Step], target: Target) -> Iterator[Sequence[Step]]:
    """Parts whose buffers and counters can be one kernel's arguments."""
    most = target.max_argument_bytes // POINTER_BYTES - 1
    part: list[Step] = []
    wholes: set[Buffer] = set()
    for step in steps:
        more = {buffer.whole for buffer in step.arguments}
        if part and len(wholes | more) > most:
            yield part
            part, wholes = [], set()
        part.append(step)
        wholes |= more
    if part:
        yield part


def _chain(steps: Sequence[Step], target: Target) -> tuple[Chain, tuple[Buffer, ...]]:
    """The kernel and its arguments but for the counters."""
    numbers: dict[Buffer, int] = {}
    finished = _Finished()
    stages = []
    for step in steps:
        places = tuple((numbers.setdefault(b.whole, len(numbers)), b.offset) for b in step.arguments)
        stages.append(Stage(step.kernel, places, finished.waits(step)))
    return Chain(tuple(stages), len(numbers), target.compute_units), tuple(numbers)


@dataclass
class _Finished:
    """What a worker knows to be finished when it comes to a stage."""

    steps: list[Step] = field(default_factory=list)
    known: list[frozenset[int]] = field(default_factory=list)
    now: frozenset[int] = frozenset()

    def waits(self, step: Step) -> tuple[int, ...]:
        """The stages to wait for before this one: it reads what they write, or writes what they read or write."""
        waits = []
        for number in reversed(range(len(self.steps))):
            if number not in self.now and _conflict(self.steps[number], step):
                waits.append(number)
                self.now |= {number} | self.known[number]
        self.steps.append(step)
        self.known.append(self.now)
        return tuple(waits)


def _conflict(first: Step, second: Step) -> bool:
    """Whether the order of the two makes a difference."""
    return _touch(_written(first), second.arguments) or _touch(_written(second), first.arguments)


def _written(step: Step) -> tuple[Buffer, ...]:
    return step.arguments[-1 - step.kernel.workspaces :]


def _touch(some: Sequence[Buffer], others: Sequence[Buffer]) -> bool:
    return any(_overlap(one, other) for one in some for other in others)


def _overlap(one: Buffer, other: Buffer) -> bool:
    if one.whole != other.whole:
        return False
    return _begins_inside(one, other) or _begins_inside(other, one)


def _begins_inside(one: Buffer, other: Buffer) -> bool:
    """Both of one buffer; bytes: 0 for all of it."""
    return one.offset >= other.offset and (not other.bytes or one.offset < other.offset + other.bytes)
