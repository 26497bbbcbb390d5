"""What matrix products on work-group tiles share: operands staged through local memory, sums kept in registers."""

from __future__ import annotations

from dataclasses import dataclass

from nnef_cl.codegen.access import offset
from nnef_cl.codegen.ctypes import load
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.tile import Staging, Tile

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec


@dataclass(frozen=True)
class Tiled(Kernel):
    """Sums over k of a[m, k] * b[k, n] for m < rows, n < columns and every outer index; subclasses say where the
    operands lie and what becomes of the sums."""

    tile: Tile
    rows: int
    columns: int

    @property
    def arguments(self) -> str:
        raise NotImplementedError

    @property
    def outer(self) -> dict[str, int]:
        """Names and extents of the indices around the product."""
        raise NotImplementedError

    @property
    def steps(self) -> int:
        """How many times `tile.depth` products are added."""
        raise NotImplementedError

    @property
    def a(self) -> Staging:
        raise NotImplementedError

    @property
    def b(self) -> Staging:
        raise NotImplementedError

    @property
    def before(self) -> list[str]:
        """C statements at the head of a step's loads."""
        return []

    def fetch(self, operand: str) -> list[str]:
        """C statements that declare `value`: what operand 'a' or 'b' holds for k and t of the tile in this step,
        `width` elements of it. Zero beyond the depth; anything in rows and columns beyond the last."""
        raise NotImplementedError

    @property
    def vectors(self) -> bool:
        """Whether neighbouring columns, from a multiple of the vector's width on, are neighbours in the result."""
        raise NotImplementedError

    def place(self, width: int) -> list[str]:
        """C statements that declare what `write` needs to know about column n."""
        raise NotImplementedError

    def write(self, value: str, width: int) -> list[str]:
        """C statements that finish and store the sums of row m and `width` columns from n on."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.outer, "slice", "column_tile", "row_tile")

    @property
    def counts(self) -> Shape:
        tiles = -(-self.columns // self.tile.columns.extent), -(-self.rows // self.tile.rows.extent)
        return (*self.outer.values(), self.tile.slices, *tiles)

    @property
    def groups(self) -> int:
        count = 1
        for extent in self.counts:
            count *= extent
        return count

    @property
    def global_size(self) -> tuple[int, ...]:
        return (self.groups * self.tile.items,)

    @property
    def local_size(self) -> tuple[int, ...]:
        return (self.tile.items,)

    @property
    def slice_steps(self) -> int:
        return -(-self.steps // self.tile.slices)

    @property
    def whole_rows(self) -> bool:
        return self.rows % self.tile.rows.extent == 0

    @property
    def whole_columns(self) -> bool:
        return self.columns % self.tile.columns.extent == 0

    @property
    def type(self) -> str:
        return vector(self.tile.columns.width)

    @property
    def indices(self) -> list[str]:
        """C declarations of the work-group's indices, tile and steps."""
        each, rows, columns = self.slice_steps, self.tile.rows.extent, self.tile.columns.extent
        sliced = f"slice * {each}, last = min(first + {each}, {self.steps})"
        return [
            *split("item", self.names, self.counts),
            f"const int row = row_tile * {rows}, column = column_tile * {columns};",
            *split("lane", ("my_row", "my_column"), (self.tile.rows.lanes, self.tile.columns.lanes)),
            f"const int first = {sliced if self.tile.slices > 1 else f'0, last = {self.steps}'};",
        ]

    @property
    def sums(self) -> list[str]:
        return [f"c{row}_{v}" for row in range(self.tile.rows.each) for v in range(self.tile.columns.vectors)]

    @property
    def multiply(self) -> list[str]:
        """C statements: one k of the step."""
        rows, columns, lines = self.tile.rows, self.tile.columns, list[str]()
        for name, side, staging in (("a", rows, self.a), ("b", columns, self.b)):
            for v in range(side.vectors):
                place = offset(("k",), (staging.stride,), v * side.lanes * side.width)
                value = local(f"{name}_tile + {place}", side.width)
                lines.append(f"const {vector(side.width)} {name}{v} = {value};")
        for row in range(rows.each):
            factor = f"a{row // rows.width}" + (f".s{row % rows.width}" if rows.width > 1 else "")
            if columns.width > 1:
                factor = f"({self.type})({factor})"
            lines += [f"c{row}_{v} = fma({factor}, b{v}, c{row}_{v});" for v in range(columns.vectors)]
        return lines

    def stage(self, staging: Staging, name: str) -> str:
        """C statement: load number i of operand `name` to its place in local memory."""
        tile, value = f"{name}_tile", f"{name}_next[i]"
        if staging.width == 1:
            return f"{tile}[k * {staging.stride} + t] = {value};"
        if not staging.along_depth:
            return f"*(__local {vector(staging.width)} *)({tile} + k * {staging.stride} + t) = {value};"
        parts = [f"{tile}[(k + {lane}) * {staging.stride} + t] = {value}.s{lane};" for lane in range(staging.width)]
        return " ".join(parts)

    @property
    def finish(self) -> list[str]:
        """Epilogue and store of every sum, a column (or a vector of them) at a time."""
        columns, lines = self.tile.columns, list[str]()
        rows = range(self.tile.rows.each)
        for v in range(columns.vectors):
            first = f"column + {columns.place('my_column', v)}"
            if self.vectors or columns.width == 1:
                lines += ["{", f"const int n = {first};", *([] if self.whole_columns else [f"if (n < {self.columns})"]),
                          *self._column([f"c{row}_{v}" for row in rows], columns.width), "}"]  # fmt: skip
            else:
                lines += ["{", *self._arrays(v), f"for (int i = 0; i < {columns.width}; ++i) {{",
                          f"const int n = {first} + i;", f"if (n >= {self.columns})", "break;",
                          *self._column([f"s{row}[i]" for row in rows], 1), "}", "}"]  # fmt: skip
        return indented(lines)

    def _arrays(self, v: int) -> list[str]:
        width = self.tile.columns.width
        return [f"float s{row}[{width}]; vstore{width}(c{row}_{v}, 0, s{row});" for row in range(self.tile.rows.each)]

    def _column(self, values: list[str], width: int) -> list[str]:
        """Every row of column n."""
        lines, rows = ["{", *self.place(width)], self.tile.rows
        for row, value in enumerate(values):
            start = f"row + {rows.place('my_row', row // rows.width)}"
            within = f" + {row % rows.width}" if row % rows.width else ""
            test = [] if self.whole_rows else [f"if (m < {self.rows}) {{"]
            lines += ["{", f"const int m = {start}{within};", *test, *self.write(value, width), *("}" for _ in test)]
            lines.append("}")
        return [*lines, "}"]


def vector(width: int) -> str:
    return "float" if width == 1 else f"float{width}"


def operand(name: str, spec: TensorSpec, at: str, contiguous: bool, width: int) -> str:
    """C text: `width` values of an epilogue's operand, or one value for all of them."""
    if contiguous or width == 1:
        return load(name, at, spec.dtype, width)
    text = load(name, at, spec.dtype)
    return f"((float{width})({text}))" if spec.dtype == F32 else f"(-(int{width})({text}))"


def store_aligned(name: str, at: str, value: str, width: int) -> str:
    """C statement: a store at a multiple of the width."""
    place = f"{name}[{at}]" if width == 1 else f"*(__global {vector(width)} *)({name} + {at})"
    return f"{place} = {value};"


def local(place: str, width: int) -> str:
    """C text: a read of local memory at an address that is a multiple of the width."""
    return f"*({place})" if width == 1 else f"*(__local const {vector(width)} *)({place})"


def indented(lines: list[str]) -> list[str]:
    """The lines of nested blocks, four blanks further in each."""
    depth, result, alone = 0, list[str](), False
    for line in lines:
        depth -= line.startswith("}")
        result.append("    " * (depth + (alone and line != "{")) + line)
        alone = line.startswith("if ") and not line.endswith("{")
        depth += line.endswith("{")
    return result


def split(number: str, names: tuple[str, ...], extents: Shape) -> list[str]:
    """C declarations: a flat number as indices."""
    lines, stride, last = list[str](), 1, len(names) - 1
    for axis in reversed(range(len(names))):
        text = number if stride == 1 else f"{number} / {stride}"
        if extents[axis] == 1 and axis:
            text = "0"
        elif any(e > 1 for e in extents[:axis]):
            text = f"{text} % {extents[axis]}"
        elif extents[axis] == 1 and last:
            text = "0"
        lines.append(f"const int {names[axis]} = {text};")
        stride *= extents[axis]
    return lines[::-1]
