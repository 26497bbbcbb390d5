"""Cases: sample arguments of every operation, one list per family, shared by devices, tests and the command."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from nnef_cl.conformance import compounds
from nnef_cl.format.syntax import ArrayExpression, Expression, Literal, TupleExpression
from nnef_cl.ops import STANDARD
from nnef_cl.ops.base import Op, is_tensor

FAMILIES = (
    "activation", "conv", "matmul", "normalize", "pointwise", "pool", "quantize", "rearrange", "reduce", "region", "resize",
    "state",
)  # fmt: skip
"""Modules of this folder with a list CASES; each is named after the module of nnef_cl/ops that it covers."""

KINDS = {"f": np.float32, "i": np.int64, "b": np.bool_}
INTRODUCING = ("external", "constant", "variable")
"""Operations whose result is what their case has as its single input."""
FEW = 8
"""Elements up to which given values are written out in a case's id."""


@dataclass(frozen=True, eq=False)
class Data:
    """Description of one input: random in [low, high), or the given values. kind: 'f', 'i' or 'b' as in KINDS.

    constant: the model holds it as a variable; the others are graph inputs.
    """

    shape: tuple[int, ...]
    kind: str = "f"
    low: float = -2.0
    high: float = 2.0
    constant: bool = False
    values: np.ndarray | None = None

    def make(self, seed: int) -> np.ndarray:
        """The array, equal for equal seeds."""
        if self.values is not None:
            return self.values
        random = np.random.default_rng(seed)
        if self.kind == "b":
            return random.random(self.shape) < 0.5
        if self.kind == "i":
            return random.integers(int(self.low), int(self.high), self.shape, dtype=np.int64)
        return np.asarray(random.uniform(self.low, self.high, self.shape), np.float32)

    def __str__(self) -> str:
        if self.values is None:
            return "x".join(map(str, self.shape)) or "scalar"
        if self.values.size <= FEW:
            return str(self.values.tolist()).replace(" ", "")
        return f"{'x'.join(map(str, self.shape))}#{zlib.crc32(self.values.tobytes()):08x}"


def f32(*shape: int, low: float = -2.0, high: float = 2.0) -> Data:
    return Data(shape, "f", low, high)


def i64(*shape: int, low: int = -9, high: int = 10) -> Data:
    return Data(shape, "i", low, high)


def mask(*shape: int) -> Data:
    return Data(shape, "b")


def given(values: Any, kind: str = "f") -> Data:
    """Exactly these values."""
    array: np.ndarray = np.asarray(values, KINDS[kind])
    return Data(array.shape, kind, values=array)


def constant(data: Data) -> Data:
    """The same values, held by the model."""
    return replace(data, constant=True)


def weights(*shape: int, low: float = -1.0, high: float = 1.0) -> Data:
    return Data(shape, "f", low, high, constant=True)


@dataclass(frozen=True, eq=False)
class Case:
    """One invocation. inputs: flat, in declaration order, optional ones at the end may be left out.

    attrs: as the model writes them, without defaults. generic: `cast<generic>(x)`. expected: one array per
    result, known from the specification; None where only the reference says it.
    """

    op: str
    inputs: tuple[Data, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    generic: str = ""
    expected: tuple[np.ndarray, ...] | None = None

    @cached_property
    def id(self) -> str:
        """Unique and readable: operation, shapes, attributes."""
        name = f"{self.op}<{self.generic}>" if self.generic else self.op
        inputs = " ".join(f"{'const ' if d.constant else ''}{d.kind}:{d}" for d in self.inputs)
        attrs = " ".join(f"{k}={v}".replace(" ", "") for k, v in self.attrs.items())
        return " ".join(filter(None, (name, inputs, attrs)))

    @cached_property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The values of `inputs`; the seed comes from the id."""
        seed = zlib.crc32(self.id.encode())
        return tuple(data.make(seed + k) for k, data in enumerate(self.inputs))

    @property
    def constants(self) -> frozenset[int]:
        """Numbers of the inputs that the model holds."""
        return frozenset(k for k, data in enumerate(self.inputs) if data.constant)

    @property
    def record(self) -> Op:
        return STANDARD[self.op]

    @property
    def all_arrays(self) -> list[np.ndarray]:
        """`arrays`, and the defaults of the tensors that are left out."""
        parameters = self.record.tensor_parameters
        left_out = [p.default for p in parameters[len(self.arrays) :] if p.default is not None]
        return [*self.arrays, *(np.asarray(value_of(default), np.float32) for default in left_out)]

    @property
    def all_attrs(self) -> dict[str, Any]:
        """`attrs`, and the defaults of the others, in order of declaration."""
        return {
            p.name: self.attrs[p.name] if p.name in self.attrs else value_of(p.default)
            for p in self.record.declaration.parameters
            if not is_tensor(p)
        }

    def reference(self) -> list[np.ndarray]:
        """One array per result: from the operation's reference, or from `compounds` where a body defines it."""
        with np.errstate(all="ignore"):
            if self.op in INTRODUCING:
                return list(self.arrays)
            if self.op == "update":
                return [self.arrays[1]]
            if self.op == "cast":
                return [compounds.cast(self.arrays[0], self.generic)]
            if self.record.reference is not None:
                return self.record.evaluate(self.all_arrays, self.all_attrs)
            named = self.record.arguments(self.all_arrays, self.all_attrs)
            result = compounds.COMPOUNDS[self.op](**named)
        return [np.asarray(item) for item in (result if isinstance(result, list) else [result])]


def case(op: str, *inputs: Data, expected: Any = None, generic: str = "", **attrs: Any) -> Case:
    """expected: nested lists in the type of the reference's result; a tuple of them for several results."""
    arrays = None
    if expected is not None:
        results = expected if isinstance(expected, tuple) else (expected,)
        arrays = tuple(np.asarray(result) for result in results)
    return Case(op, inputs, attrs, generic, arrays)


def value_of(expression: Expression | None) -> Any:
    """A default value's number, string, logical, list or tuple."""
    if isinstance(expression, Literal):
        return expression.value
    if isinstance(expression, ArrayExpression):
        return [value_of(item) for item in expression.items]
    assert isinstance(expression, TupleExpression), expression
    return tuple(value_of(item) for item in expression.items)


def cases_of(family: str) -> Sequence[Case]:
    found: Sequence[Case] = importlib.import_module(f"nnef_cl.conformance.{family}").CASES
    return found


def all_cases() -> list[Case]:
    return [one for family in FAMILIES for one in cases_of(family)]
