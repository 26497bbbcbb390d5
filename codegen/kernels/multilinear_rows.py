"""Multilinear up-sampling of whole rows: vectors along the row of plain tensors, of channels in blocked ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import INT_MAX, index_type, literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernels.multilinear import Multilinear
from nnef_cl.codegen.kernels.window import MAX_ROW, SMALLEST, border_index
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32

MAX_FACTOR = 64
"""Results of one element along the row, which are spelled one by one."""
EXACT_FLOATS = 2**22
"""Quotients below this are off by one at most when they are computed in float32."""


@dataclass(frozen=True)
class MultilinearRows(Multilinear):
    """segment: elements of a row of x whose results one item computes; the last segment overlaps the one before it.
    lanes: of vectors, neighbours along the row or a block of channels."""

    stem: ClassVar[str] = "multilinear_rows"
    segment: int
    lanes: int

    @property
    def last(self) -> int:
        """The row's axis among the spatial ones."""
        return len(self.factor) - 1

    @property
    def extent(self) -> int:
        return self.x.spec.shape[-1]

    @property
    def times(self) -> int:
        """The factor along the row."""
        return self.factor[-1]

    @property
    def plain(self) -> bool:
        return self.x.block == 1

    @property
    def type(self) -> str:
        return f"float{self.lanes}"

    @property
    def index(self) -> str:
        """C type of offsets in x."""
        return index_type(self.x.spec.layout.volume(self.x.spec.shape))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.axes[:-1], "part")

    @property
    def counts(self) -> tuple[int, ...]:
        return (*super().counts[:-1], -(-self.extent // self.segment))

    @property
    def room(self) -> int:
        """Floats of a segment with its neighbours, and what vectors read behind it."""
        return (self.segment + 4) * self.x.block + (2 * self.lanes if self.plain else 0)

    @cached_property
    def phases(self) -> list[tuple[int, Fraction]] | None:
        """Per result of an element: lower neighbour relative to it, and weight of the upper one; None where that
        depends on the element."""
        f = self.times
        if f == 1 or self.extent == 1 or self.method == "asymmetric":
            places = [Fraction(p, f) if self.method == "asymmetric" or f == 1 else Fraction(0) for p in range(f)]
        if self.method == "symmetric" and f > 1:
            places = [Fraction(2 * p - (f - 1), 2 * f) for p in range(f)]
        elif self.method == "aligned" and f > 1 and self.extent > 1:
            return None
        return [(math.floor(place), place - math.floor(place)) for place in places]

    @property
    def begin(self) -> str:
        """C text: the element of the row below the segment's first result."""
        first = f"min(part * {self.segment}, {self.extent - self.segment})"
        if self.phases is None:
            return f"{first} * {self.times} * {self.extent - 1} / {self.extent * self.times - 1}"
        return first

    @property
    def corners(self) -> list[tuple[int, ...]]:
        """Of the axes across the row."""
        corners: list[tuple[int, ...]] = [()]
        for _ in self.factor[:-1]:
            corners = [(*c, side) for c in corners for side in (0, 1)]
        return corners

    def choice(self, corner: tuple[int, ...]) -> str:
        """C statement that notes one of the rows to be mixed; those of weight zero are not read."""
        weight = " * ".join(f"u{a}" if side else f"(1.0f - u{a})" for a, side in enumerate(corner)) or "1.0f"
        conditions = ["weight != 0.0f"]
        if self.border == "constant":
            conditions += [f"in{a}_{side}" for a, side in enumerate(corner)]
        at = self.x.at(["n", "block", *(f"i{a}_{side}" for a, side in enumerate(corner)), "0"])
        noted = f"if ({' && '.join(conditions)}) {{ weights[rows] = weight; starts[rows++] = {at}; }}"
        return f"{{ const float weight = {weight}; {noted} }}"

    @property
    def edges(self) -> list[tuple[str, str, str]]:
        """Neighbours of the row's ends: place, C condition that they are needed, C text of what stands there."""
        found = []
        for place, condition in (("-1", "begin == 0"), (str(self.extent), f"right == {self.extent}")):
            mapped = f"clamp({border_index(self.border, f'({place})', self.extent)}, 0, {self.extent - 1})"
            source = f"row[({mapped} - begin + 1) * {self.x.block} + lane]"
            zero = self.border == "constant" or self.phases is None
            found.append((place, condition, "0.0f" if zero else source))
        return found

    @property
    def steps(self) -> int:
        """The loop along the row runs to here: over elements of x, or over results that depend on their place."""
        return self.segment * (1 if self.phases else self.times)

    @property
    def step(self) -> int:
        return self.lanes if self.plain else 1

    @property
    def parts(self) -> int:
        """Vectors of results per step."""
        return self.times if self.phases else 1

    @property
    def position(self) -> list[str]:
        """C statements: where a step begins, `i` in x or `o` in y."""
        now = f"min(next, {self.steps - self.step})" if self.plain else "next"
        if self.phases:
            return [f"const int at = {now};"]
        first = f"min(part * {self.segment}, {self.extent - self.segment}) * {self.times}"
        return [f"const int o{self.last} = {first} + {now};"]

    def interpolate(self, part: int) -> list[str]:
        """C statements that compute and store one vector of results."""
        if self.phases is None:
            lines = self._aligned_along if self.plain else self._aligned_block
        else:
            lines = self._phased_along(part) if self.plain else self._phased_block(part)
        return [*lines, *self.finish]

    def _phased_along(self, part: int) -> list[str]:
        """Lanes of one vector of the row, which the phases choose."""
        assert self.phases is not None
        results = [divmod(part * self.lanes + lane, self.times) for lane in range(self.lanes)]
        lower = [element + self.phases[p][0] for element, p in results]
        upper = [self.phases[p][1] for _, p in results]
        base = min(lower)
        low = ", ".join(f"v.s{i - base:x}" for i in lower)
        high = ", ".join(f"v.s{i + 1 - base:x}" if u else "0.0f" for i, u in zip(lower, upper, strict=True))
        return [
            f"const int o{self.last} = (begin + at) * {self.times} + {part * self.lanes};",
            f"const {self.type} v = vload{self.lanes}(0, row + at + {base + 1});",
            f"const {self.type} low = ({self.type})({low});",
            f"const {self.type} high = ({self.type})({high});",
            f"const {self.type} sum = {self._lanes([1 - u for u in upper])} * low + {self._lanes(upper)} * high;",
        ]

    def _phased_block(self, part: int) -> list[str]:
        assert self.phases is not None
        below, upper = self.phases[part]
        text = f"{_number(1 - upper)} * vload{self.lanes}(at + {below + 1}, row)"
        if upper:
            text += f" + {_number(upper)} * vload{self.lanes}(at + {below + 2}, row)"
        return [
            f"const int o{self.last} = (begin + at) * {self.times} + {part};",
            f"const {self.type} sum = {text};",
        ]

    def _lanes(self, values: list[Fraction]) -> str:
        return f"(({self.type})({', '.join(map(_number, values))}))"

    @property
    def _aligned_along(self) -> list[str]:
        """The quotient of whole numbers is estimated in float32 and corrected by their remainder."""
        bottom, whole, kind = self.extent * self.times - 1, f"int{self.lanes}", self.type
        low, high = (
            ", ".join(f"row[j.s{lane:x} + {side}]" for lane in range(self.lanes)) for side in (0, 1)
        )  # fmt: skip
        return [
            f"const {whole} top = (o{self.last} + LANES{self.lanes}) * {self.extent - 1};",
            f"{whole} j = convert_{whole}(convert_{kind}(top) / {literal(float(bottom), F32)});",
            f"j += top - j * {bottom} < 0;",
            f"j -= top - j * {bottom} >= {bottom};",
            f"const {kind} u = convert_{kind}(top - j * {bottom}) / {literal(float(bottom), F32)};",
            "j += 1 - begin;",
            f"const {kind} low = ({kind})({low});",
            f"const {kind} high = select(({kind})({high}), ({kind})(0.0f), u == 0.0f);",
            f"const {kind} sum = (1.0f - u) * low + u * high;",
        ]

    @property
    def _aligned_block(self) -> list[str]:
        bottom = self.extent * self.times - 1
        return [
            f"const int top = o{self.last} * {self.extent - 1}, j = top / {bottom} + 1 - begin;",
            f"const float u = (float)(top % {bottom}) / {literal(float(bottom), F32)};",
            f"{self.type} sum = (1.0f - u) * vload{self.lanes}(j, row);",
            f"if (u != 0.0f) sum += u * vload{self.lanes}(j + 1, row);",
        ]

    @cached_property
    def finish(self) -> list[str]:
        if not self.plain:
            return super().finish
        index = list(self.axes)
        operands = ["sum", *(e.load_along(index, self.lanes) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.lanes)
        return [*steps, self.y.store_along(result, index, self.lanes)]


def _number(value: Fraction) -> str:
    return literal(float(np.float32(float(value))), F32)


def multilinear_rows(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, factor: tuple[int, ...], method: str,
    border: str, target: Target,
) -> MultilinearRows | None:  # fmt: skip
    """The kernel; None without vectors, for rows shorter than one, and where numbers do not suit it."""
    if not factor or factor[-1] > MAX_FACTOR or (target.vector_width == 1 and x.block == 1):
        return None
    extent = x.spec.shape[-1]
    segment = -(-extent // -(-extent // (MAX_ROW // x.block)))
    lanes = x.block if x.block > 1 else min(target.vector_width, 1 << (segment.bit_length() - 1))
    quotients = extent * factor[-1] * extent <= INT_MAX and extent * factor[-1] < EXACT_FLOATS
    if lanes < min(SMALLEST, target.vector_width) or (method == "aligned" and not quotients):
        return None
    counts = (*y.spec.layout.physical(y.spec.shape)[: y.spec.rank - 1], -(-extent // segment))
    cost = segment * factor[-1] // (lanes if x.block == 1 else 1) + 1
    grid = Grid.of(math.prod(counts), target, lanes, cost)
    return MultilinearRows(x, y, extras, epilogue, factor, method, border, grid, segment, lanes)
