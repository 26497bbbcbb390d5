"""Element-wise expressions and epilogues -> C statements."""

from __future__ import annotations

from dataclasses import dataclass

from nnef_cl.codegen.ctypes import value_type

from nnef_cl.ir.dtype import I64, DType
from nnef_cl.ir.tensor import TensorSpec


@dataclass(frozen=True)
class CStep:
    """text: C with the placeholders {0} {1}.. for operands, {T} float type, {I} mask type, {select}, and {W} number of
    lanes (empty for one) of conversions."""

    text: str
    args: tuple[int, ...]
    dtype: DType

    @property
    def converts(self) -> bool:
        """Whether it is a conversion between types, for any number of lanes."""
        return "{W}" in self.text


@dataclass(frozen=True)
class Expression:
    """Values 0 .. arity-1 are operands, arity+k is step k; the last value is the result."""

    arity: int
    steps: tuple[CStep, ...]

    @property
    def needs_scalars(self) -> bool:
        """64-bit integers are computed one at a time: their masks would need a width of their own. Conversions are no
        matter of masks."""
        return any(step.dtype == I64 and not step.converts for step in self.steps)

    @property
    def converts(self) -> bool:
        """Whether nothing is done but that."""
        return all(step.converts for step in self.steps)

    def statements(self, operands: list[str], width: int, prefix: str = "v") -> tuple[list[str], str]:
        """C declarations, one per step, and the name of the result."""
        names = list(operands)
        lines = []
        for step in self.steps:
            name = f"{prefix}{len(names)}"
            text = spell(step.text, [names[a] for a in step.args], width)
            lines.append(f"const {value_type(step.dtype, width)} {name} = {text};")
            names.append(name)
        return lines, names[-1]


def spell(text: str, operands: list[str], width: int) -> str:
    """One expression for vectors of `width` floats."""
    suffix = "" if width == 1 else str(width)
    select = "SELECT" if width == 1 else "select"
    return text.format(*operands, T=f"float{suffix}", I=f"int{suffix}", W=suffix, select=select)


MAX_POWER = 4


def power(exponent: float | None) -> str | None:
    """C text of pow(x, exponent) by products and square roots, which are vector instructions everywhere; None where
    the exponent is unknown or no multiple of a quarter. Special values are those of pow."""
    if exponent is None or not abs(exponent) <= MAX_POWER or exponent * 4 != int(exponent * 4):
        return None
    whole, rest = divmod(int(abs(exponent) * 4), 4)
    roots = ["sqrt({0})"] * (rest // 2) + ["sqrt(sqrt({0}))"] * (rest % 2)
    product = " * ".join(["{0}"] * whole + roots) or "({T})(1.0f)"
    if rest:  # pow has no negative zero here, and takes minus infinity for infinity
        product = "{select}(" + product + " + 0.0f, ({T})(INFINITY), {0} == -INFINITY)"
    return f"(1.0f / ({product}))" if exponent < 0 else f"({product})"


@dataclass(frozen=True)
class Epilogue:
    """What a kernel applies to its result before the store: operand 0 is the result, the others are tensors."""

    expression: Expression
    operands: tuple[TensorSpec, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.expression.steps)


IDENTITY = Epilogue(Expression(1, ()))


SHORTEST = 4
"""Elements below which steps do not overlap."""


def widest(limit: int, extent: int) -> int:
    """The widest OpenCL vector of at most `limit` lanes for steps along `extent` elements; the last step may overlap
    the one before it."""
    if extent < SHORTEST:
        return extent if extent == 2 <= limit else 1
    return min(limit, 1 << (extent.bit_length() - 1))
