"""Apply graph.quant: a tensor with an entry is what its quantisation makes of it (section 7.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from nnef_cl.errors import ModelError, RuleError
from nnef_cl.format.printer import print_expression
from nnef_cl.format.syntax import (
    Argument,
    Assignment,
    Expression,
    Fragment,
    GraphDefinition,
    Identifier,
    Invocation,
    Literal,
    Parameter,
    PrimitiveType,
    QuantEntry,
    TensorType,
)
from nnef_cl.importer.arguments import suggestion
from nnef_cl.importer.dialect import EMPTY_RANGES, INTEGERS_AS_SCALARS, QUANTISATION
from nnef_cl.importer.evaluate import constant
from nnef_cl.importer.expand import Expander
from nnef_cl.importer.report import LocatedError
from nnef_cl.importer.scope import Scope, derived, targets
from nnef_cl.importer.types import PRIMITIVES, UNKNOWN, Tensor, clip, describe
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ir.graph import GraphBuilder
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.quant import DEFINITIONS, Quant
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops import STANDARD
from nnef_cl.ops.pointwise import align
from nnef_cl.ops.shapes import MAX_RANK, text

Arrays = dict[str, np.ndarray]


class Quantiser:
    """The entries by tensor, each applied when its tensor has a value.

    Tensors keep their names: what an operation computes before it is quantised is called 'name.raw'. An input is what
    the caller gives, an updated variable what it was updated to: these keep their names, and everything reads
    'name.quantised' instead.
    """

    def __init__(self, entries: Iterable[QuantEntry], graph: GraphDefinition, expander: Expander) -> None:
        self.expander, self.builder, self.report = expander, expander.builder, expander.report
        self.records: dict[tuple[Any, ...], Quant] = {}
        self.entries = {entry.tensor: entry for entry in entries}
        self.body = graph.body

    def check(self) -> None:
        """Every entry names a tensor of the graph. Raises ModelError."""
        body = self.body if self.entries else ()
        known = {identifier.name for statement in body for identifier in targets(statement.target)}
        for name, entry in self.entries.items():
            with self._guard(entry):
                if name not in known and name not in self.expander.lost:
                    hint = suggestion(name, known) or "; entries name identifiers of the graph, not labels"
                    raise RuleError(f"the graph has no tensor '{clip(name)}'{hint}")

    def _guard(self, entry: QuantEntry) -> AbstractContextManager[None]:
        return self.report.guard(entry.position, QUANTISATION, clip(entry.operation), clip(entry.tensor))

    def apply(self, statement: Assignment, scope: Scope, since: int) -> None:
        """Quantises what the statement assigned. since: number of its first node. Raises ModelError."""
        for identifier in targets(statement.target) if self.entries else ():
            entry = self.entries.get(identifier.name)
            value = scope.values.get(identifier.name)
            if entry is not None and isinstance(value, Tensor) and value.name not in self.expander.introducer.decoded:
                with self._guard(entry):
                    self._apply(entry, value, scope, since)

    def _apply(self, entry: QuantEntry, tensor: Tensor, scope: Scope, since: int) -> None:
        if tensor.kind != "scalar":
            raise RuleError(f"tensors of scalars can be quantised, this is a {describe(tensor)}")
        name, shape = entry.tensor, self.builder.tensors[tensor.name].shape
        declaration = self._declaration(entry)
        arrays, attributes = self._arguments(entry, declaration, shape)
        introducer = self.expander.introducer
        result, raw = name, tensor
        if name in introducer.externals or name in introducer.updated:
            result = self.builder.unique(derived(name, "quantised"))
        else:
            raw = Tensor(self.builder.rename(name, self.builder.unique(derived(name, "raw")), since), "scalar")
        introducer.raw[result] = raw.name
        inner = Scope({"": raw, **{key: self._constant(name, key, array) for key, array in arrays.items()}}, ())
        given = [Argument(None, part, entry.position) for part in self._operands(declaration, arrays)]
        call = Invocation(entry.operation, None, (*given, *attributes), entry.position)
        value = self.expander.evaluate(call, inner, result)
        if value is UNKNOWN:
            scope.values[name] = raw
            return
        if not isinstance(value, Tensor) or self.builder.tensors[value.name].shape != shape:
            raise RuleError(f"its result is no tensor of the shape {text(shape)} that is quantised")
        scope.values.pop(name)
        if result == name:
            self.expander.bind_target(Identifier(name, entry.position), value, scope)
        else:
            scope.values[name] = value

    @staticmethod
    def _operands(declaration: Fragment, arrays: Arrays) -> Iterator[Expression]:
        """The quantised tensor, then the operation's other tensors in order."""
        yield Identifier("")
        for parameter in (p for p in declaration.parameters[1:] if isinstance(p.type, TensorType)):
            assert parameter.name in arrays or parameter.default is not None
            yield Identifier(parameter.name) if parameter.name in arrays else parameter.default  # type: ignore[misc]

    def _constant(self, tensor: str, name: str, array: np.ndarray) -> Tensor:
        kind = {"f": "scalar", "i": "integer", "b": "logical"}[array.dtype.kind]
        if not array.ndim:
            value = float(str(array)) if kind == "scalar" else array.item()  # the shortest text of the float32
            return self.expander.introducer.literal(kind, value)
        unique, spec = self.builder.unique(derived(tensor, name)), TensorSpec(array.shape, DEFAULT[kind])
        return Tensor(self.builder.add_constant(unique, spec, Constant(array)), kind)

    # Arguments ---------------------------------------------------------------------------------------------
    def _declaration(self, entry: QuantEntry) -> Fragment:
        """Of the operation: a quantisation of the standard, or a fragment of the file. Raises RuleError."""
        callee = self.expander.resolve(entry.operation, Scope({}, ()))
        standard = callee.op is not None and entry.operation in (*DEFINITIONS, "linear_quantize")
        parameters, results = callee.declaration.parameters, callee.declaration.results
        fits = parameters and str(parameters[0].type) == "tensor<scalar>" and len(results) == 1
        if not standard and (callee.op is not None or not fits):
            names = ", ".join([*DEFINITIONS, "linear_quantize"])
            raise RuleError(f"is no quantisation; there are {names}, and fragments from a tensor<scalar> to a tensor")
        return callee.declaration

    def _arguments(self, entry: QuantEntry, declaration: Fragment, shape: Shape) -> tuple[Arrays, list[Argument]]:
        """Arrays for tensors and arguments for attributes, as the declaration has them. Raises RuleError."""
        own, *others = declaration.parameters
        parameters = {parameter.name: parameter for parameter in others}
        arrays: Arrays = {}
        attributes: list[Argument] = []
        for argument in entry.arguments:
            name = argument.name or ""
            if name == own.name:
                raise LocatedError(f"'{name}' is the tensor of the entry and must not be given", argument.position)
            if name not in parameters:
                message = f"has no parameter '{clip(name)}'{suggestion(name, parameters)}"
                raise LocatedError(message, argument.position)
            parameter = parameters[name]
            if isinstance(parameter.type, TensorType):
                arrays[name] = self._array(parameter, parameter.type.element, argument, shape)
            else:
                attributes.append(self._attribute(parameter, argument))
        given = {*arrays, *(argument.name for argument in attributes)}
        if missing := [p.name for p in others if p.default is None and p.name not in given]:
            raise RuleError(f"argument '{missing[0]}' is missing")
        if entry.operation not in self.expander.fragments:
            self._check_ranges(entry, arrays)
        return arrays, attributes

    def _attribute(self, parameter: Parameter, argument: Argument) -> Argument:
        """Its type is checked here, where the place is known. Raises LocatedError."""
        if isinstance(parameter.type, PrimitiveType):
            value = self._number(constant(argument.value), parameter.type.name, argument, parameter.type)
            return replace(argument, value=Literal(value, argument.value.position))
        return argument

    def _array(self, parameter: Parameter, kind: str, argument: Argument, shape: Shape) -> np.ndarray:
        """A number, or nested array literals, as a tensor that broadcasts to the shape. Raises LocatedError."""
        value = constant(argument.value)
        extents, items = _flattened(value, argument)
        numbers = [self._number(item, kind, argument, parameter.type) for item in items]
        with np.errstate(over="ignore"):
            array = np.array(numbers, DEFAULT[kind].api).reshape(extents)
        if array.size == 1:
            return array.reshape(())
        if len(extents) > len(shape) or any(n not in (1, m) for n, m in zip(extents, shape, strict=False)):
            message = f"'{parameter.name}' has shape {text(extents)}, which does not fit the tensor's {text(shape)}"
            raise LocatedError(f"{message} (NNEF aligns the first axes)", argument.position)
        return array

    def _number(self, value: Any, kind: str, argument: Argument, expected: object) -> Any:
        own = PRIMITIVES.get(type(value))
        if own == "integer" and kind == "scalar":
            message = f"'{argument.name}' is a scalar, and an integer is given"
            self.report.depart(INTEGERS_AS_SCALARS, message, argument.position)
            return float(value)
        if own != kind:
            message = f"argument '{argument.name}': expected {expected}, got {describe(value)}"
            raise LocatedError(message, argument.position)
        return value

    def _check_ranges(self, entry: QuantEntry, arrays: Arrays) -> None:
        """Ranges from which the formulas make NaN deserve a warning."""
        if "min" in arrays and "max" in arrays:
            low, high = align(arrays["min"], arrays["max"])
            if not np.all(low < high):
                message = f"'max' of '{clip(entry.tensor)}' is not above 'min'"
                self.report.depart(EMPTY_RANGES, message, entry.position, subject=entry.tensor)
        if "scale" in arrays and not np.all(arrays["scale"] > 0):
            message = f"'scale' of '{clip(entry.tensor)}' is not above 0"
            self.report.depart(EMPTY_RANGES, message, entry.position, subject=entry.tensor)

    def record(self, name: str, shape: Shape) -> Quant | None:
        """What the entry of a tensor of that shape says, None where there is none. Raises ModelError."""
        entry = self.entries.get(name)
        if entry is None:
            return None
        given = tuple((argument.name, print_expression(argument.value)) for argument in entry.arguments)
        key = entry.operation, given, shape  # by text: records that are nested deeply have no hash
        if key not in self.records:
            self.records[key] = self._record(entry, shape)
        return self.records[key]

    def _record(self, entry: QuantEntry, shape: Shape) -> Quant:
        try:
            arrays, attributes = self._arguments(entry, self._declaration(entry), shape)
            op, attrs = entry.operation, {a.name or "": constant(a.value) for a in attributes}
            if op in self.expander.fragments:
                raise RuleError("is a fragment of the file, which does not say what stored codes stand for")
            if op == "linear_quantize":
                op, attrs = "min_max_linear_quantize", {**attrs, "signed": False, "symmetric": False}
            STANDARD[op].infer_shapes([shape, *(array.shape for array in arrays.values())], attrs)
            return Quant(op, {p.name: arrays[p.name] for p in STANDARD[op].tensor_parameters[1:]}, attrs)
        except RuleError as error:
            where, rule = getattr(error, "position", entry.position), error.rule or QUANTISATION.name
            op, tensor = clip(entry.operation), clip(entry.tensor)
            raise ModelError(str(error), where=where, op=op, tensor=tensor, rule=rule) from None


def _flattened(value: Any, argument: Argument) -> tuple[Shape, list[Any]]:
    """Extents and items of nested arrays. Raises LocatedError where rows of one level have different lengths."""
    extents: list[int] = []
    items = [value]
    while any(isinstance(item, list) for item in items):
        lengths = {len(item) if isinstance(item, list) else -1 for item in items}
        if len(lengths) > 1:
            message = f"the arrays of '{argument.name}' have different lengths or depths at level {len(extents) + 1}"
            raise LocatedError(message, argument.position)
        extents.append(lengths.pop())
        if len(extents) > MAX_RANK or not extents[-1]:
            message = f"the array of '{argument.name}' is empty or has more than {MAX_RANK} axes"
            raise LocatedError(message, argument.position)
        items = [part for item in items for part in item]
    return tuple(extents), items


def annotate(builder: GraphBuilder) -> None:
    """Gives every tensor that a static quantisation makes its record."""
    for node in builder.nodes:
        if node.op in DEFINITIONS and all(name in builder.constants for name in node.inputs[1:]):
            parameters = STANDARD[node.op].tensor_parameters[1:]
            arrays = {p.name: builder.constants[n].array for p, n in zip(parameters, node.inputs[1:], strict=True)}
            spec = builder.tensors[node.name]
            builder.tensors[node.name] = replace(spec, quant=Quant(node.op, arrays, node.attrs))
