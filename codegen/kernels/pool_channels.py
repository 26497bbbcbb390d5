"""Sliding-window sums and maxima over the channels of blocked tensors: a work-item takes all channels of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32

MAX_CHANNELS = 8192
"""Floats of private memory for one pixel."""


@dataclass(frozen=True)
class PoolChannels(GridKernel):
    """y[c] is the sum or maximum of x[c - before] .. x[c - before + size - 1], for every pixel.

    maximum, normalize: as of Pool. outside: what stands for channels beyond the first and the last.
    """

    stem: ClassVar[str] = "pool_channels"
    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    size: int
    before: int
    outside: float
    maximum: bool
    normalize: str
    grid: Grid

    @property
    def title(self) -> str:
        kind = "max" if self.maximum else f"sum, normalize {self.normalize}"
        return f"{kind} of {self.size} channels, {self.before} before, x {self.x.spec}"

    @property
    def wide(self) -> bool:
        return self.x.axes_fit

    @property
    def arguments(self) -> str:
        return ", ".join([self.x.argument, *(e.argument for e in self.extras), self.y.result_argument])

    @property
    def width(self) -> int:
        return self.x.block

    @property
    def channels(self) -> int:
        return self.x.spec.shape[1]

    @property
    def blocks(self) -> int:
        return -(-self.channels // self.width)

    @property
    def type(self) -> str:
        return f"float{self.width}"

    @property
    def spatial(self) -> list[str]:
        return [f"o{a}" for a in range(2, self.x.spec.rank)]

    @property
    def names(self) -> list[str]:
        return ["n", *self.spatial]

    @property
    def counts(self) -> tuple[int, ...]:
        return (self.x.spec.shape[0], *self.x.spec.shape[2:])

    @property
    def lead(self) -> int:
        return _lead(self.before, self.width)

    @property
    def row(self) -> int:
        """Vectors of private memory."""
        return _row(self.channels, self.size, self.before, self.width)

    @property
    def fill(self) -> str:
        """C text of a vector of what stands outside."""
        return f"({self.type})({literal(self.outside, F32)})"

    @property
    def block_value(self) -> str:
        """C text: a block of x, padding lanes replaced by what stands outside."""
        value = self.x.load(["n", "block", *self.spatial])
        if self.channels % self.width == 0 or self.outside == 0.0:
            return value
        return f"select({value}, {self.fill}, LANES{self.width} + block * {self.width} >= {self.channels})"

    @property
    def first(self) -> int:
        """Place in private memory of channel 0's first tap."""
        return self.lead * self.width - self.before

    def combine(self, value: str) -> str:
        """C statement; a NaN in the window makes a NaN."""
        if not self.maximum:
            return f"sum += {value};"
        return f"{{ const {self.type} v = {value}; sum = select(sum, v, v > sum || v != v); }}"

    @property
    def start(self) -> str:
        return f"({self.type})({'-INFINITY' if self.maximum else '0.0f'})"

    @cached_property
    def finish(self) -> list[str]:
        lines = []
        if not self.maximum and self.normalize != "none":
            lines.append(f"sum /= {self._divisor};")
        operands = ["sum", *(e.load_channels("n", "block", self.spatial, self.width) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.width)
        return [*lines, *steps, self.y.store_channels(result, "n", "block", self.spatial, self.width)]

    @property
    def _divisor(self) -> str:
        if self.normalize == "volume":
            return f"({self.type})({literal(float(self.size), F32)})"
        begin = f"LANES{self.width} + block * {self.width} - ({self.before})"
        last = f"min({begin} + {self.size}, (int{self.width})({self.channels}))"
        return f"convert_{self.type}({last} - max({begin}, (int{self.width})(0)))"


def channels_fit(channels: int, size: int, before: int, lanes: int) -> bool:
    """Whether private memory holds all that the windows of one pixel reach."""
    return _row(channels, size, before, lanes) * lanes <= MAX_CHANNELS


def _lead(before: int, width: int) -> int:
    """Whole vectors in front of the first channel, so that stores of blocks stay aligned."""
    return -(-max(0, before) // width)


def _row(channels: int, size: int, before: int, width: int) -> int:
    """Vectors from the first place that a window reaches to the last, padding lanes' windows included."""
    blocks = -(-channels // width)
    last = blocks * width - before + size - 1
    return _lead(before, width) + max(blocks, -(-last // width))


def pool_channels(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, size: int, before: int, border: str,
    maximum: bool, normalize: str, target: Target,
) -> PoolChannels:  # fmt: skip
    """x and y in channel blocks and of one shape."""
    outside = -math.inf if maximum and border == "ignore" else 0.0
    count = math.prod(x.spec.shape) // x.spec.shape[1]
    grid = Grid.of(count, target, x.block, size * -(-x.spec.shape[1] // x.block))
    return PoolChannels(x, y, extras, epilogue, size, before, outside, maximum, normalize, grid)
