"""Kernel: the whole truth about one piece of generated code; Candidate: kernels in order that compute one node."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec


@dataclass(frozen=True)
class Kernel:
    """Base of the records in codegen/kernels. Equal records are one kernel function, built once.

    stem: of the template. folder: where it is; None: with the other templates, in kernels_cl. Subclasses say their
    global and local sizes; every size is known when the record is made, and the only run-time arguments are buffers.
    """

    stem: ClassVar[str]
    folder: ClassVar[Path | None] = None

    @cached_property
    def name(self) -> str:
        """C identifier, equal for equal records."""
        return f"{self.stem}_{hashlib.sha256(repr(self).encode()).hexdigest()[:10]}"

    @property
    def stage_name(self) -> str:
        """The same code as a function of a work-group's number, see `stageable`."""
        return f"{self.name}_stage"

    @property
    def stageable(self) -> bool:
        """Whether the code can be a stage of a chain (codegen/kernels/chain.py): its work-items are independent, and
        one of them may do the work of its group."""
        return False

    @property
    def stage_groups(self) -> int:
        """How many work-groups a stage of a chain hands out."""
        return self.global_size[0] // self.local_size[0]

    @property
    def called(self) -> tuple[Kernel, ...]:
        """The kernels whose stage functions the code calls, each once."""
        return ()

    @property
    def workspaces(self) -> int:
        """How many arguments before the last, which is the result, are written, too: further results, or the kernel's
        own intermediate values."""
        return 0

    @property
    def title(self) -> str:
        """One line for the generated header: what is computed, on which shapes."""
        raise NotImplementedError

    @property
    def wide(self) -> bool:
        """Whether the text indexes tensors of more than 2^31 - 1 elements, too (with 64 bits where they need it)."""
        return False

    @property
    def global_size(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def local_size(self) -> tuple[int, ...]:
        raise NotImplementedError


@dataclass(frozen=True)
class Input:
    """The node's input tensor number `index` (an epilogue operand counts on behind the own inputs)."""

    index: int


@dataclass(frozen=True)
class Output:
    index: int = 0


@dataclass(frozen=True)
class Scratch:
    """Candidate.scratch[index]: lives only while the node runs."""

    index: int


class Pack(Protocol):
    """A frozen, hashable function from a logical array to the array a kernel reads, made once, at load.

    The result may be a view in any order: it is copied to the device element by element.
    """

    @property
    def item_bytes(self) -> int: ...

    def shape(self, array: Shape, /) -> Shape:
        """Shape of the packed array, without the data."""

    def __call__(self, array: np.ndarray, /) -> np.ndarray: ...


@runtime_checkable
class PackInto(Pack, Protocol):
    """One that has no need of an array of its own."""

    def into(self, array: np.ndarray, out: np.ndarray, /) -> None:
        """out: contiguous, with as many elements as the packed array."""


def pack_into(pack: Pack, array: np.ndarray, memory: np.ndarray) -> None:
    """Writes the packed array to `memory`, contiguous bytes of its size."""
    if isinstance(pack, PackInto):
        pack.into(array, memory.view(np.float32))
    else:
        packed = pack(array)
        np.copyto(memory.view(packed.dtype).reshape(packed.shape), packed)


class PackFloats:
    """Base of the packings of float32."""

    item_bytes: ClassVar[int] = 4


def zero_padded(array: np.ndarray, shape: Shape) -> np.ndarray:
    """The array in the first corner of one of zeros; itself where it has that shape already."""
    if array.shape == shape:
        return array
    padded = np.zeros(shape, array.dtype)
    padded[tuple(map(slice, array.shape))] = array
    return padded


@dataclass(frozen=True)
class Packed:
    """Constant input number `input` rearranged once, at load."""

    input: int
    pack: Pack


@dataclass(frozen=True)
class Flag:
    """One int32 of the launch's own, zero at first: the kernel sets it where the run went wrong.

    input: the node's input that is to blame; trouble: what is wrong with it, completing "'name' ...".
    """

    input: int
    trouble: str


Operand = Input | Output | Scratch | Packed | Flag


@dataclass(frozen=True)
class Launch:
    """operands: what each kernel argument is bound to, in the order of the C parameters."""

    kernel: Kernel
    operands: tuple[Operand, ...]


Sizes = tuple[int, ...]
"""What a kernel leaves open, (blocks, tile) of a register tile say."""


@dataclass(frozen=True)
class Point:
    """One way to compute a problem: an algorithm, and the sizes that its kernels leave open (none: ())."""

    algorithm: str
    sizes: Sizes = ()

    def __str__(self) -> str:
        return f"{self.algorithm} {'x'.join(map(str, self.sizes))}".rstrip()


@dataclass(frozen=True)
class Space:
    """sizes: every choice, best guess first. make: the candidate with one of them; None where it does not fit."""

    sizes: tuple[Sizes, ...]
    make: Callable[[Sizes], Candidate | None]


@dataclass(frozen=True)
class Candidate:
    """algorithm: for people and for Point, different for each candidate of a problem. scratch: temporary tensors
    between the launches.

    exact: it rounds no more than the sum of products by definition does. space: the same algorithm with other sizes;
    the candidate itself has the first ones.
    """

    algorithm: str
    launches: tuple[Launch, ...]
    scratch: tuple[TensorSpec, ...] = ()
    exact: bool = True
    space: Space | None = field(default=None, compare=False, repr=False)

    @property
    def points(self) -> tuple[Point, ...]:
        """The candidate's own first."""
        sizes = ((),) if self.space is None else self.space.sizes
        return tuple(Point(self.algorithm, each) for each in sizes)

    def at(self, point: Point) -> Candidate | None:
        """The candidate that the point names; None where that is none of these."""
        points = self.points
        if point not in points:
            return None
        return self if self.space is None or point == points[0] else self.space.make(point.sizes)
