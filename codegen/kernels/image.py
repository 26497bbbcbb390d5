"""Images of bytes as a network's input: resized by triangle filters, channels reordered, scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import literal
from nnef_cl.codegen.grid import Grid, GridKernel

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import row_major_strides


@dataclass(frozen=True)
class Resized:
    """One side of an image, in pixels: as it is and as it is wanted."""

    source: int
    result: int

    @property
    def same(self) -> bool:
        return self.source == self.result

    @property
    def reach(self) -> int:
        """Half of the triangle's base; its unit is the one in which both sides are whole numbers."""
        return 2 * max(self.source, self.result)

    def bounds(self, axis: str) -> list[str]:
        """C statements: source pixels `first_` to before `last_` hold all that weigh anything for result pixel `axis`.

        All is exact: places are whole numbers of 1 / (2 * result) source pixels.
        """
        step = 2 * self.result
        return [
            f"const int place_{axis} = (2 * {axis} + 1) * {self.source};",
            f"const int first_{axis} = max(0, (place_{axis} - {self.reach}) / {step});",
            f"const int last_{axis} = min({self.source}, (place_{axis} + {self.reach}) / {step} + 1);",
        ]

    def weight(self, axis: str, pixel: str) -> str:
        """C text of what a source pixel weighs."""
        return f"(float)max(0, {self.reach} - (int)abs((2 * {pixel} + 1) * {self.result} - place_{axis}))"


@dataclass(frozen=True)
class ImageInput(GridKernel):
    """x: bytes [count, rows, columns, channels] (layout 'NHWC') or [count, channels, rows, columns]; y: plain floats
    [count, order, rows, columns] or (result 'NHWC') [count, rows, columns, order]: channel order[k] of x times scale[k]
    plus bias[k]."""

    stem: ClassVar[str] = "image"
    count: int
    rows: Resized
    columns: Resized
    channels: int
    layout: str
    result: str
    order: tuple[int, ...]
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    grid: Grid

    @property
    def title(self) -> str:
        sizes = f"{self.rows.source}x{self.columns.source} to {self.rows.result}x{self.columns.result}"
        return f"{self.count} {self.layout} to {self.result} of {sizes}, channels {self.order} of {self.channels}"

    @property
    def axes(self) -> tuple[str, ...]:
        return ("n", "i", "j")

    @property
    def extents(self) -> tuple[int, ...]:
        return (self.count, self.rows.result, self.columns.result)

    @property
    def wide(self) -> bool:
        return True

    @property
    def resized(self) -> bool:
        return not (self.rows.same and self.columns.same)

    @property
    def sources(self) -> list[int]:
        """Channels of x that are read, each once."""
        return sorted(set(self.order))

    def place(self, layout: str, sides: tuple[int, int], channels: int, index: tuple[str, str, str]) -> str:
        """C text of where an element lies. index: row, column and channel."""
        nhwc = layout == "NHWC"
        shape = (self.count, *sides, channels) if nhwc else (self.count, channels, *sides)
        strides = row_major_strides(shape)
        row, column, channel = index
        axes = ("n", row, column, channel) if nhwc else ("n", channel, row, column)
        return offset(axes, strides, wide=is_wide(shape, strides))

    def pixel(self, channel: int, row: str, column: str) -> str:
        """C text of a byte as a float."""
        sides = (self.rows.source, self.columns.source)
        return f"(float)x[{self.place(self.layout, sides, self.channels, (row, column, str(channel)))}]"

    def store(self, number: int) -> str:
        """C statement that writes channel `number`."""
        sides = (self.rows.result, self.columns.result)
        at = self.place(self.result, sides, len(self.order), ("i", "j", str(number)))
        value = f"v{self.order[number]}" + (" / total" if self.resized else "")
        return f"y[{at}] = {value} * {literal(self.scale[number], F32)} + {literal(self.bias[number], F32)};"
