"""Case: one operation with sample inputs and attributes, run on the reference and on every device."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from nnef_cl.ops import STANDARD


@dataclass(frozen=True)
class Data:
    """A seeded array. kind: 'f' normal values, 'i' integers in low..high-1, 'b' logicals; or given values."""

    kind: str
    shape: tuple[int, ...]
    low: float = 0
    high: float = 0
    values: tuple[Any, ...] | None = None

    def array(self, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        if self.values is not None:
            dtype = {"f": np.float32, "i": np.int64, "b": bool}[self.kind]
            return np.array(self.values, dtype).reshape(self.shape)
        if self.kind == "i":
            return rng.integers(int(self.low), int(self.high), self.shape)
        if self.kind == "b":
            return np.asarray(rng.random(self.shape) < 0.5)
        if self.high > self.low:
            return np.asarray(rng.uniform(self.low, self.high, self.shape), np.float32)
        return np.asarray(rng.standard_normal(self.shape), np.float32)


def f32(*shape: int, low: float = 0, high: float = 0) -> Data:
    """Normal values, or uniform ones from low to high."""
    return Data("f", shape, low, high)


def i64(*shape: int, low: int, high: int) -> Data:
    return Data("i", shape, low, high)


def mask(*shape: int) -> Data:
    return Data("b", shape)


def given(*values: Any, shape: tuple[int, ...] = ()) -> Data:
    """These float values, one axis unless a shape is given."""
    return Data("f", shape or (len(values),), values=values)


@dataclass(frozen=True)
class Case:
    """constants: inputs that are variables of the model. expected: from the specification. generic: `<integer>`."""

    op: str
    inputs: tuple[Data, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    constants: tuple[int, ...] = ()
    expected: tuple[float, ...] | None = None
    generic: str = ""

    @property
    def id(self) -> str:
        shapes = "_".join("x".join(map(str, d.shape)) or "0d" for d in self.inputs)
        attrs = ",".join(f"{k}={v}" for k, v in self.attrs.items()).replace(" ", "")
        return f"{self.op}-{shapes}-{attrs}"[:120]

    @cached_property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return tuple(d.array(zlib.crc32(f"{self.id}{k}".encode())) for k, d in enumerate(self.inputs))

    @cached_property
    def full_attrs(self) -> dict[str, Any]:
        """Defaults filled in."""
        parameters = STANDARD[self.op].attribute_parameters
        values = {p.name: _value(p.default) for p in parameters if p.default is not None}
        return values | self.attrs


def _value(expression: Any) -> Any:
    items = getattr(expression, "items", None)
    return expression.value if items is None else tuple(_value(item) for item in items)


def case(
    op: str, *inputs: Data, constants: tuple[int, ...] = (), expected: Any = None, generic: str = "", **attrs: Any
) -> Case:
    return Case(op, inputs, attrs, constants, expected, generic)
