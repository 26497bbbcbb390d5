"""Access: spells the loads and stores of one tensor argument for any layout and type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nnef_cl.codegen.ctypes import INT_MAX, load, spread_lanes, store, stored_type

from nnef_cl.ir.layout import Shape, row_major_strides
from nnef_cl.ir.tensor import TensorSpec


def offset(index: list[str] | tuple[str, ...], strides: Shape, base: int = 0, wide: bool = False) -> str:
    """C text of base + sum(index * stride), without the terms that vanish; wide: computed with 64 bits."""
    long = "(long)" if wide else ""
    terms = [
        f"{long}{i}" if s == 1 else f"{long}{i} * {s}"
        for i, s in zip(index, strides, strict=True) if s != 0 and i != "0"
    ]  # fmt: skip
    if base:
        terms.append(str(base))
    return " + ".join(terms) or "0"


def is_wide(extents: Shape, strides: Shape, base: int = 0) -> bool:
    """Whether the offset of some element needs 64 bits."""
    return base + sum((n - 1) * s for n, s in zip(extents, strides, strict=True)) > INT_MAX


def join_axes(extents: Shape, operands: Sequence[Shape]) -> tuple[Shape, list[Shape]]:
    """Drops axes of extent 1 and joins neighbours that every operand (its strides) walks as one; keeps the order."""
    kept: list[int] = []
    columns: list[list[int]] = []
    for axis, extent in enumerate(extents):
        if extent == 1:
            continue
        strides = [operand[axis] for operand in operands]
        if columns and all(a == s * extent for a, s in zip(columns[-1], strides, strict=True)):
            kept[-1] *= extent
            columns[-1] = strides
        else:
            kept.append(extent)
            columns.append(strides)
    return tuple(kept), [tuple(column[k] for column in columns) for k in range(len(operands))]


@dataclass(frozen=True)
class View:
    """Where the logical elements of a tensor lie in a larger one: stride and start per spatial axis."""

    spec: TensorSpec
    step: Shape
    start: Shape


@dataclass(frozen=True)
class Shuffled:
    """A tensor whose spatial elements are dealt out: first all channels of phase 0 of every spatial axis (elements 0,
    step, 2 * step, ...), then those of the other phases, the last axis' fastest. Whole blocks of channels."""

    spec: TensorSpec
    step: Shape


@dataclass(frozen=True)
class Access:
    """A tensor argument addressed as (n, channel block, spatial...), `block` channels at a time.

    view: the tensor is every `step`-th spatial element of a larger one, from `start` on. shuffled: its channels are
    those of all phases of a larger one.
    """

    name: str
    spec: TensorSpec
    view: View | None = None
    shuffled: Shuffled | None = None

    @property
    def block(self) -> int:
        return self.spec.layout.block

    @property
    def channels(self) -> int:
        return self.spec.shape[1] if self.spec.rank > 1 else 1

    @property
    def argument(self) -> str:
        return f"__global const {stored_type(self.spec.dtype)} *restrict {self.name}"

    @property
    def result_argument(self) -> str:
        return f"__global {stored_type(self.spec.dtype)} *restrict {self.name}"

    @property
    def strides(self) -> tuple[int, ...]:
        """Element strides of (n, channel block, spatial...); extents of 1 have stride 0."""
        spec = self.view.spec if self.view else self.spec
        physical = spec.layout.physical(spec.shape)
        strides = row_major_strides(physical)
        if self.block > 1:
            strides, physical = strides[:-1], physical[:-1]
        logical = self.spec.layout.physical(self.spec.shape)
        return tuple(0 if logical[a] == 1 else s for a, s in enumerate(strides))

    def at(self, index: list[str] | tuple[str, ...]) -> str:
        """Element offset of (n, channel block, spatial...); indices beyond the rank are dropped."""
        if self.shuffled is not None:
            return self._dealt_out(self.shuffled, list(index))
        index, base, strides = list(index)[: self.spec.rank], 0, self.strides
        if self.view:
            spatial = zip(self.view.step, self.view.start, row_major_strides(self.view.spec.shape)[2:], strict=True)
            full = self._view_strides()
            base = sum(start * s for (_, start, _), s in zip(spatial, full, strict=True))
            strides = (*strides[:2], *(s * step for s, step in zip(full, self.view.step, strict=True)))
        return offset(index, strides, base, self._wide)

    def _dealt_out(self, whole: Shuffled, index: list[str]) -> str:
        """As `at`."""
        n, block, *spatial = index
        full = row_major_strides(whole.spec.layout.physical(whole.spec.shape))[:-1]
        strides = [0 if extent == 1 else s for extent, s in zip(whole.spec.shape[2:], full[2:], strict=True)]
        count = whole.spec.shape[1] // self.block
        phases, later = [], math.prod(whole.step)
        for step in whole.step:
            later //= step
            phases.append(f"(({block}) / {count * later}) % {step}" if step > 1 else "0")
        steps = [s * step for s, step in zip(strides, whole.step, strict=True)]
        texts = [n, f"(({block}) % {count})" if count > 1 else "0", *spatial, *phases]
        batch = 0 if whole.spec.shape[0] == 1 else full[0]
        return offset(texts, (batch, full[1], *steps, *strides), wide=self._wide)

    @property
    def _wide(self) -> bool:
        larger = self.view or self.shuffled
        spec = larger.spec if larger else self.spec
        return spec.layout.volume(spec.shape) > INT_MAX

    @property
    def axes_fit(self) -> bool:
        """Whether indices along every axis, windows beyond the borders included, stay within an int."""
        return max(self.spec.shape, default=1) <= INT_MAX // 4

    def _view_strides(self) -> tuple[int, ...]:
        assert self.view is not None
        physical = self.view.spec.layout.physical(self.view.spec.shape)
        strides = row_major_strides(physical)
        return strides[2:-1] if self.block > 1 else strides[2:]

    def load(self, index: list[str] | tuple[str, ...]) -> str:
        """The `block` channels at (n, channel block, spatial...)."""
        return load(self.name, self.at(index), self.spec.dtype, self.block)

    def load_channels(self, n: str, block: str, spatial: list[str], width: int) -> str:
        """`width` channels from `width * block` on, as a vector; channels beyond the last repeat it."""
        if width == self.block:
            return self.load([n, block, *spatial])
        if self.channels == 1:
            scalar = load(self.name, self.at([n, "0", *spatial]), self.spec.dtype)
            return f"((float{width})({scalar}))"
        assert self.block == 1, self.spec
        if self.strides[1] == 1 and self.channels % width == 0:
            at = offset([n, f"(({block}) * {width})", *spatial][: self.spec.rank], self.strides, wide=self._wide)
            return load(self.name, at, self.spec.dtype, width)
        lanes = []
        for lane in range(width):
            channel = f"(({block}) * {width} + {lane})"
            if self.channels % width:
                channel = f"min({channel}, {self.channels - 1})"
            lanes.append(load(self.name, self.at([n, channel, *spatial]), self.spec.dtype))
        return f"((float{width})({', '.join(lanes)}))"

    def load_along(self, index: list[str] | tuple[str, ...], width: int) -> str:
        """`width` neighbours along the last axis of a plain tensor, as a vector; a single one stands for all."""
        if width == 1 or self.strides[-1]:
            return load(self.name, self.at(index), self.spec.dtype, width)
        return spread_lanes([load(self.name, self.at(index), self.spec.dtype)], self.spec.dtype, width)

    def store_along(self, value: str, index: list[str] | tuple[str, ...], width: int) -> str:
        """Statement that writes `width` neighbours along the last axis of a plain tensor."""
        return store(self.name, self.at(index), value, self.spec.dtype, width)

    def store_channels(self, value: str, n: str, block: str, spatial: list[str], width: int) -> str:
        """Statement that writes `width` channels from `width * block` on; padding lanes get zero."""
        padded = self.channels % width != 0
        if width == self.block:
            if padded and width > 1:
                value = f"select({value}, (float{width})(0.0f), LANES{width} + ({block}) * {width} >= {self.channels})"
            return store(self.name, self.at([n, block, *spatial]), value, self.spec.dtype, width)
        at = self.at([n, f"(({block}) * {width} + lane)", *spatial])
        limit = f"min({width}, {self.channels} - ({block}) * {width})" if padded else str(width)
        return (
            f"{{ float lanes[{width}]; vstore{width}({value}, 0, lanes); "
            f"for (int lane = 0; lane < {limit}; ++lane) {self.name}[{at}] = lanes[lane]; }}"
        )
