"""Chain: many kernels in one launch, whose work-groups are handed out to a few workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.kernel import Kernel

LINE = 16
"""Counters are so many ints apart: a cache line each, which no two of them share."""
MOST_SHARES = 16
"""Each worker looks at every share of a stage when its own is done."""
CHUNKS = 32
"""A share is taken in about so many pieces."""
DONE = 0x7F
"""Every byte of counters that say that all groups have been taken and finished."""


@dataclass(frozen=True)
class Stage:
    """One kernel of a chain.

    arguments: for every argument of the kernel the chain's argument and the byte in it where the tensor begins.
    waits: numbers of earlier stages that must be finished before this one begins, beyond what others waited for.
    """

    kernel: Kernel
    arguments: tuple[tuple[int, int], ...]
    waits: tuple[int, ...]

    @property
    def groups(self) -> int:
        return self.kernel.stage_groups


@dataclass(frozen=True)
class Chain(Kernel):
    """Workers, one per compute unit, go through the stages in order and take the kernels' work-groups one by one from
    counters in memory: each from its own share of a stage first, so that the values it reads are in its own caches,
    then from the others'.

    A worker waits for nothing but groups that others have taken, and none of them waits while it has one; so the chain
    ends wherever a work-group that has begun goes on by itself (Target.forward_progress), whether one worker runs or
    all do. Groups write different elements: who computes them makes no difference to the results.

    The last argument holds the counters; they are zero before a run, and the last worker leaves them so.
    pointers: how many arguments come before.
    """

    stem: ClassVar[str] = "chain"
    line: ClassVar[int] = LINE
    stages: tuple[Stage, ...]
    pointers: int
    workers: int

    @property
    def title(self) -> str:
        return f"{len(self.stages)} kernels for {self.workers} workers"

    @property
    def wide(self) -> bool:
        return all(stage.kernel.wide for stage in self.stages)

    @property
    def global_size(self) -> tuple[int, ...]:
        return (self.workers,)

    @property
    def local_size(self) -> tuple[int, ...]:
        return (1,)

    @property
    def called(self) -> tuple[Kernel, ...]:
        return tuple(dict.fromkeys(stage.kernel for stage in self.stages))

    @property
    def arguments(self) -> str:
        return ", ".join(f"__global char *p{number}" for number in range(self.pointers))

    @property
    def shares(self) -> int:
        return min(self.workers, MOST_SHARES)

    @property
    def stage_counters(self) -> int:
        """Ints of one stage: groups taken of each share, groups finished."""
        return (self.shares + 1) * LINE

    @property
    def counter_bytes(self) -> int:
        """The stages' and the number of workers that are through."""
        return 4 * (len(self.stages) * self.stage_counters + 1)

    def finished(self, stage: int) -> str:
        """Where a stage's finished groups are counted."""
        return f"counters + {stage * self.stage_counters + self.shares * LINE}"

    def piece(self, stage: Stage) -> int:
        """Groups that are taken at once."""
        return max(1, stage.groups // (self.shares * CHUNKS))

    def call(self, stage: Stage) -> str:
        """The work of group `next`."""
        places = [f"(__global void *)(p{number} + {offset})" for number, offset in stage.arguments]
        return f"{stage.kernel.stage_name}({', '.join(places)}, next)"


def stage_kernels(kernels: Sequence[Kernel]) -> list[Kernel]:
    """All kernels that these consist of, each behind those that it calls."""
    called = dict.fromkeys(part for kernel in kernels for part in kernel.called)
    return list(dict.fromkeys(each for part in called for each in (*stage_kernels([part]), part)))
