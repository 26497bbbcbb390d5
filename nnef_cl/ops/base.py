"""Op, the one record that says everything about an NNEF operation, and the tables of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from nnef_cl.codegen.expression import IDENTITY, Epilogue
from nnef_cl.codegen.kernel import Candidate
from nnef_cl.codegen.target import Target
from nnef_cl.errors import ExtensionError, RuleError
from nnef_cl.format.parser import parse_fragment
from nnef_cl.format.syntax import ArrayType, Fragment, Parameter, TensorType
from nnef_cl.format.tensor_file import ItemReader
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.program import Program
from nnef_cl.ir.tensor import Constant, TensorSpec

Shapes = Shape | list[Shape]
"""What a shape rule returns: one shape, or a list where the operation has several results or an array result."""


@dataclass(frozen=True)
class Problem:
    """One node to lower: specs (with layouts) of its own inputs and outputs, and its attributes.

    constants: per own input its Constant, or None where the values are known at run time only.
    epilogue: element-wise expression applied to every element of the (single) output before it is stored.
    """

    op: Op
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    attrs: Mapping[str, Any]
    constants: tuple[Constant | None, ...]
    epilogue: Epilogue = IDENTITY


@dataclass(frozen=True)
class Op:
    """text: the NNEF declaration; a body in it makes the operation a compound that the importer expands.

    infer(**shapes and attributes) -> Shapes: tensors arrive as shapes, an array of tensors as a list of shapes;
    raises RuleError. reference(**arrays and attributes): the plainest numpy that is right; returns one array, or a
    list of arrays. expression: C text of an element-wise operation; program(**attributes): of one that takes several
    steps. lower(problem, target): every correct way to compute it, best guess first.
    flops(problem inputs, outputs, attrs): floating-point operations of one run.
    blocked(problem, lanes): its kernels accept and produce layouts with blocks of that many channels.
    fusable: its last kernel can apply an epilogue. about: what it computes, a sentence for people where neither body
    nor expression says it.
    """

    text: str
    infer: Callable[..., Shapes] | None = None
    reference: Callable[..., Any] | None = None
    expression: str | None = None
    program: Callable[..., Program] | None = None
    lower: Callable[[Problem, Target], list[Candidate]] | None = None
    flops: Callable[[Sequence[Shape], Sequence[Shape], Mapping[str, Any]], int] | None = None
    blocked: Callable[[Problem, int], bool] | None = None
    fusable: bool = False
    about: str = ""

    @cached_property
    def declaration(self) -> Fragment:
        """The parsed text. Parsed when it is needed: a model uses few of all operations."""
        return parse_fragment(self.text)

    @cached_property
    def name(self) -> str:
        return _declared_name(self.text) or self.declaration.name

    @cached_property
    def tensor_parameters(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.declaration.parameters if is_tensor(p))

    @cached_property
    def attribute_parameters(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.declaration.parameters if not is_tensor(p))

    @property
    def is_pointwise(self) -> bool:
        return self.expression is not None or self.program is not None

    @property
    def is_compound(self) -> bool:
        """Expanded through its body: nothing runs it directly."""
        return self.declaration.body is not None and self.lower is None and not self.is_pointwise

    def arguments(self, tensors: Sequence[Any], attrs: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments for infer and reference from flat tensors: an array parameter takes what is left over."""
        parameters = self.tensor_parameters
        surplus = len(tensors) - len(parameters) + 1
        named: dict[str, Any] = {}
        position = 0
        for parameter in parameters:
            if isinstance(parameter.type, ArrayType):
                named[parameter.name] = list(tensors[position : position + surplus])
                position += surplus
            else:
                named[parameter.name] = tensors[position]
                position += 1
        return named | dict(attrs)

    def infer_shapes(self, shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> list[Shape]:
        """One shape per result tensor."""
        assert self.infer is not None, self.name
        result = self.infer(**self.arguments(shapes, attrs))
        return result if isinstance(result, list) else [result]

    def evaluate(self, arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
        """The reference applied to flat arrays: one array per result tensor."""
        assert self.reference is not None, self.name
        result = self.reference(**self.arguments(arrays, attrs))
        return [np.asarray(item) for item in (result if isinstance(result, list) else [result])]


def is_tensor(parameter: Parameter) -> bool:
    """A tensor, or an array of tensors."""
    kind = parameter.type.item if isinstance(parameter.type, ArrayType) else parameter.type
    return isinstance(kind, TensorType)


def _declared_name(text: str) -> str:
    """What stands behind the word `fragment` at the text's start; '' where it begins otherwise, with a comment say."""
    found = re.match(r"\s*fragment\s+([A-Za-z_]\w*)", text, re.ASCII)
    return found[1] if found else ""


def op(
    declaration: str,
    *,
    infer: Callable[..., Shapes] | None = None,
    reference: Callable[..., Any] | None = None,
    expression: str | None = None,
    program: Callable[..., Program] | None = None,
    lower: Callable[[Problem, Target], list[Candidate]] | None = None,
    flops: Callable[[Sequence[Shape], Sequence[Shape], Mapping[str, Any]], int] | None = None,
    blocked: Callable[[Problem, int], bool] | None = None,
    fusable: bool = False,
    about: str = "",
) -> Op:
    """An operation from its NNEF declaration (`fragment name( ... ) -> ( ... );`, or with a body)."""
    return Op(declaration, infer, reference, expression, program, lower, flops, blocked, fusable, about)


@dataclass(frozen=True)
class Table(Mapping[str, Op]):
    """Operations by name. `STANDARD | table(MINE)` adds; a name twice is an error.

    readers: of vendors' item types, by vendor and code.
    """

    ops: Mapping[str, Op]
    readers: Mapping[tuple[int, int], ItemReader] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Op:
        return self.ops[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ops)

    def __len__(self) -> int:
        return len(self.ops)

    def __or__(self, other: Table) -> Table:
        items = (*self.readers.values(), *other.readers.values())
        try:
            return table(tuple(self.values()), tuple(other.values()), items=items)
        except RuleError as error:
            raise ExtensionError(str(error)) from None


def table(*families: Sequence[Op], items: Sequence[ItemReader] = ()) -> Table:
    """One table of several families, and readers of vendors' item types; raises RuleError where two define the same."""
    ops: dict[str, Op] = {}
    for family in families:
        for one in family:
            if one.name in ops:
                raise RuleError(f"operation '{one.name}' is defined twice")
            ops[one.name] = one
    readers: dict[tuple[int, int], ItemReader] = {}
    for reader in items:
        if (reader.vendor, reader.code) in readers:
            raise RuleError(f"item type 0x{reader.code:04x} of vendor 0x{reader.vendor:04x} is defined twice")
        readers[reader.vendor, reader.code] = reader
    return Table(ops, readers)
