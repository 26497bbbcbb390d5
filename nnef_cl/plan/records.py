"""Plan and its parts: pure data that can be printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nnef_cl.codegen.kernel import Kernel, Pack
from nnef_cl.codegen.target import Target
from nnef_cl.ir.tensor import Constant, TensorSpec

FLAG_BYTES = 4


@dataclass(frozen=True)
class Weight:
    """A buffer filled once, at load: pack applied to the constant's logical array."""

    constant: Constant
    pack: Pack
    bytes: int


@dataclass(frozen=True)
class State:
    """A buffer that keeps its content between runs. constant: what it holds at first, and the variable's label.
    names: the graph's variables that share it."""

    constant: Constant
    spec: TensorSpec
    names: tuple[str, ...]


@dataclass(frozen=True)
class Buffer:
    """kind 'arena': shared by tensors; 'loan': an array of whoever runs the plan; 'weight', 'state', 'fault',
    'counter': index into Plan's.

    bytes: 0 for the whole buffer, otherwise a part of it, from byte `offset` on.
    """

    kind: str
    index: int
    offset: int = 0
    bytes: int = 0

    @property
    def whole(self) -> Buffer:
        return Buffer(self.kind, self.index)

    @property
    def _part(self) -> str:
        return f"+{self.offset}" if self.bytes else ""

    @property
    def short(self) -> str:
        return f"{self.kind[0]}{self.index}{self._part}"

    def __str__(self) -> str:
        return f"{self.kind} {self.index}{self._part}"


@dataclass(frozen=True)
class Copy:
    """One buffer's first `bytes` bytes to another."""

    source: Buffer
    target: Buffer
    bytes: int


@dataclass(frozen=True)
class Step:
    """One launch. node, op, algorithm: what it computes, for people and profiles."""

    kernel: Kernel
    arguments: tuple[Buffer, ...]
    node: str
    op: str
    algorithm: str
    position: str = ""


@dataclass(frozen=True)
class Fault:
    """What a run whose kernel sets this flag failed of: message, and the node at fault with its place in the text."""

    message: str
    node: str
    op: str
    position: str = ""


@dataclass(frozen=True)
class Plan:
    """arenas: bytes of each buffer in which computed tensors lie; places are used again. needed: bytes of the largest
    set of tensors that live at the same time. inputs, outputs: tensor -> where it is and what (its layout included).
    faults: one int32 each, to be looked at after a run. launches: the steps as they run, several of them as one chain
    (`plan/chain.py`) where the device can; counters: bytes of each chain's.

    loans: bytes of each input and output that lies in no arena: in a run kernels work on the arrays it gets or makes.

    commits: copies, in order, that give states their new values. They run after the outputs have been read, because
    until then every reader of a variable sees its old value.
    """

    name: str
    target: Target
    steps: tuple[Step, ...]
    arenas: tuple[int, ...]
    needed: int
    weights: tuple[Weight, ...]
    inputs: Mapping[str, tuple[Buffer, TensorSpec]]
    outputs: Mapping[str, tuple[Buffer, TensorSpec]]
    launches: tuple[Step, ...]
    faults: tuple[Fault, ...] = ()
    states: tuple[State, ...] = ()
    commits: tuple[Copy, ...] = ()
    counters: tuple[int, ...] = ()
    loans: tuple[int, ...] = ()

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Each different kernel once, in order of first use."""
        return tuple(dict.fromkeys(step.kernel for step in self.steps))

    @property
    def launched(self) -> tuple[Kernel, ...]:
        """Each different kernel that is launched, chains among them, once."""
        return tuple(dict.fromkeys(step.kernel for step in self.launches))

    @property
    def arena_bytes(self) -> int:
        return sum(self.arenas)

    @property
    def weight_bytes(self) -> int:
        return sum(weight.bytes for weight in self.weights)

    @property
    def state_bytes(self) -> int:
        return sum(state.spec.bytes for state in self.states)

    @property
    def control_bytes(self) -> int:
        """Flags and counters."""
        return FLAG_BYTES * len(self.faults) + sum(self.counters)

    @property
    def stream_bytes(self) -> int:
        """What each request that is in flight needs for itself, arrays of whoever runs it included."""
        return self.arena_bytes + sum(self.loans) + self.state_bytes + self.control_bytes

    @property
    def bytes(self) -> int:
        return self.weight_bytes + self.stream_bytes

    def bytes_of(self, buffer: Buffer) -> int:
        if buffer.bytes:
            return buffer.bytes
        match buffer.kind:
            case "weight":
                return self.weights[buffer.index].bytes
            case "state":
                return self.states[buffer.index].spec.bytes
            case "fault":
                return FLAG_BYTES
        return {"arena": self.arenas, "counter": self.counters, "loan": self.loans}[buffer.kind][buffer.index]

    def __str__(self) -> str:
        lines = [
            f"plan {self.name} for {self.target.name}: {len(self.steps)} steps of {len(self.kernels)} kernels "
            f"in {len(self.launches)} launches, "
            f"{self.arena_bytes:,} bytes in {len(self.arenas)} arenas, {self.weight_bytes:,} bytes of weights"
        ]
        for step in self.steps:
            buffers = " ".join(b.short for b in step.arguments)
            lines.append(f"{step.node:28} {step.op:24} {step.algorithm:16} {buffers:24} {step.kernel.title}")
        lines += [f"after the run: {copy.target} = {copy.source}, {copy.bytes:,} bytes" for copy in self.commits]
        return "\n".join(lines)
