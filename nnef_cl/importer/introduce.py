"""Tensors that no operation computes: inputs, variables, constants and literals (section 4.1); updates (4.8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.errors import InputError, MissingTensorError, ModelError, RuleError, UnsupportedError
from nnef_cl.format.container import tensor_name
from nnef_cl.format.syntax import SourcePosition
from nnef_cl.format.tensor_file import TensorFile
from nnef_cl.importer import codes
from nnef_cl.importer.dialect import (
    ARGUMENTS,
    DATA_OF_STATE,
    IDENTIFIERS,
    INTEGER_CODES,
    ITEM_PARAMETERS,
    OLD_ITEM_TYPES,
    TENSOR_FILES,
    TYPES,
    UNSUPPORTED,
)
from nnef_cl.importer.evaluate import literal_text
from nnef_cl.importer.report import Report
from nnef_cl.importer.types import Tensor, Value, clip
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ir.graph import GraphBuilder, Node
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.quant import Quant
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops.shapes import MAX_RANK, text

TensorSource = Callable[[str, SourcePosition], np.ndarray | TensorFile]
"""(label, where it is declared) -> the variable's data. Raises ModelError."""

MAX_VOLUME = 1 << 40
"""Elements of one tensor: 4 TiB of floats. Within it, sizes of tensors need no care."""

ONLY_IN_GRAPHS = ("external", "variable", "update")

KINDS = {"f": "scalar", "i": "integer", "u": "integer", "b": "logical"}


class Introducer:
    """Adds inputs, constants and updates to the builder. parameters: of the graph; shapes: for inputs, not the
    declared; updated: identifiers that the graph updates, which need no data.

    quant_of(tensor, shape): what graph.quant says. decoded: variables that were stored as the codes it describes.
    raw: quantised tensor -> what it is quantised from.
    """

    def __init__(
        self, builder: GraphBuilder, parameters: Sequence[str], tensors: TensorSource,
        shapes: Mapping[str, tuple[int, ...]], report: Report, updated: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.builder, self.parameters, self.tensors, self.shapes = builder, frozenset(parameters), tensors, shapes
        self.report = report
        self.externals: set[str] = set()
        self.literals: dict[str, Tensor] = {}
        self.variables: dict[str, tuple[Constant, str, SourcePosition]] = {}
        self.lowered: dict[str, str] = {}
        self.updated = frozenset(updated)
        self.updates: dict[int, SourcePosition] = {}
        self.coded: dict[str, TensorFile] = {}
        self.values: dict[tuple[str, Quant | None], Constant] = {}
        self.decoded: set[str] = set()
        self.raw: dict[str, str] = {}
        self.quant_of: Callable[[str, Shape], Quant | None] = lambda name, shape: None

    def introduce(
        self, op: str, values: Mapping[str, Value], kind: str, position: SourcePosition, name: str, *, inside: bool
    ) -> Tensor:
        """The tensor of an external, variable, constant or update. inside: a fragment. Raises RuleError, ModelError."""
        if inside and op in ONLY_IN_GRAPHS:
            raise RuleError("is allowed in the graph only, not in a fragment", IDENTIFIERS.name)
        if op == "external":
            return self._external(values, kind, name)
        if op == "variable":
            return self._variable(values, kind, position, name)
        if op == "update":
            return self._update(values, position, name)
        if op == "constant":
            return self._constant(values, kind, name)
        raise UnsupportedError("is not supported yet", where=position, op=clip(op), tensor=clip(name))

    def checked(self, shape: Sequence[int]) -> Shape:
        """A shape that tensors can have. Raises RuleError."""
        if len(shape) > MAX_RANK:
            raise RuleError(f"shape {clip(text(shape))} has {len(shape)} axes, expected at most {MAX_RANK}")
        for extent in shape:
            if extent <= 0:
                raise RuleError(f"expected extents above 0, got shape {text(shape)}")
        if math.prod(shape) > MAX_VOLUME:
            raise RuleError(f"a tensor of shape {text(shape)} has more than {MAX_VOLUME} elements")
        return tuple(shape)

    def literal(self, kind: str, value: Any) -> Tensor:
        """The rank-0 constant of a number; equal ones are one tensor."""
        shown = literal_text(value)
        # Names of literals are what no identifier can be.
        name = shown if shown[-1].isdigit() or kind == "logical" else f"+{shown}".replace("+-", "-")
        if name not in self.literals:
            with np.errstate(over="ignore"):
                array = np.asarray(value, DEFAULT[kind].api)
            self.literals[name] = self._add(name, kind, Constant(array))
        return self.literals[name]

    def _add(self, name: str, kind: str, constant: Constant, quant: Quant | None = None) -> Tensor:
        spec = TensorSpec(constant.array.shape, DEFAULT[kind], quant=quant)
        return Tensor(self.builder.add_constant(self.builder.unique(name), spec, constant), kind)

    def _external(self, values: Mapping[str, Value], kind: str, name: str) -> Tensor:
        if name not in self.parameters:
            raise RuleError("its result must be a parameter of the graph", IDENTIFIERS.name)
        declared = values["shape"]
        assert isinstance(declared, list)
        shape = self._overridden(name, declared)
        spec = TensorSpec(self.checked(shape), _dtype(kind))
        self.externals.add(name)
        return Tensor(self.builder.add_input(name, spec), kind)

    def _overridden(self, name: str, declared: list[int]) -> Sequence[int]:
        """The caller's shape where there is one. Raises InputError where it cannot be."""
        if name not in self.shapes:
            if 0 in declared:
                hint = f"; pass shapes={{'{clip(name)}': ...}} to say what 0 stands for"
                raise RuleError(f"expected extents above 0, got shape {text(declared)}{hint}")
            return declared
        try:
            shape = tuple(self.shapes[name])
        except TypeError:
            message = f"expected a shape such as {tuple(declared)}, got {clip(self.shapes[name])}"
            raise InputError(f"input '{clip(name)}': {message}") from None
        if len(shape) != len(declared):
            declaration = f"as in the declared shape {text(declared)}"
            message = f"expected {len(declared)} extents {declaration}, got {clip(list(shape))}"
            raise InputError(f"input '{clip(name)}': {message}")
        if not all(isinstance(extent, (int, np.integer)) and extent is not True and extent > 0 for extent in shape):
            raise InputError(f"input '{clip(name)}': expected extents above 0, got {clip(list(shape))}")
        return [int(extent) for extent in shape]

    def _variable(self, values: Mapping[str, Value], kind: str, position: SourcePosition, name: str) -> Tensor:
        label, declared = values["label"], values["shape"]
        assert isinstance(label, str) and isinstance(declared, list)
        shape = self.checked(declared)
        _dtype(kind)
        quant = None
        try:
            constant, quant = self._data(label, shape, kind, position, name)
        except (ModelError, RuleError) as error:
            self.report.fail(_data_error(error, position, name))
            constant = Constant(_zeros(shape, kind), label)
        if name in self.updated:
            quant = None  # of the first value only
        if quant is not None:
            self.decoded.add(name)
        return self._add(name, kind, constant, quant)

    def _update(self, values: Mapping[str, Value], position: SourcePosition, name: str) -> Tensor:
        """The new value under the update's name, a copy, so that nobody takes it for a variable."""
        variable, value = values["variable"], values["value"]
        assert isinstance(variable, Tensor) and isinstance(value, Tensor)
        stored = self.raw.get(variable.name, variable.name)
        tensors, constant = self.builder.tensors, self.builder.constants.get(stored)
        if constant is None or not constant.label:
            raise RuleError(f"'{clip(variable.name)}' is not a variable")
        assert stored not in self.decoded
        if tensors[variable.name].shape != tensors[value.name].shape:
            expected, got = text(tensors[variable.name].shape), text(tensors[value.name].shape)
            raise RuleError(f"expected a value of the variable's shape {expected}, got {got}")
        first = self.updates.setdefault(id(constant), position)
        if first is not position:
            shared = f"label '{clip(constant.label)}'"
            raise RuleError(f"the variable of {shared} is updated in line {first.line} already, and only once in a run")
        self.builder.updates[stored] = value.name
        node = Node("copy", (value.name,), (self.builder.unique(name),), position=str(position))
        [result] = self.builder.add_node(node, [tensors[value.name]])
        return Tensor(result, value.kind)

    def finish(self) -> None:
        """When everything is there: what is updated is no constant, under none of its names."""
        for name, constant in list(self.builder.constants.items()):
            if id(constant) in self.updates:
                self.builder.variables[name] = self.builder.constants.pop(name)

    def _data(
        self, label: str, shape: Shape, kind: str, position: SourcePosition, name: str
    ) -> tuple[Constant, Quant | None]:
        """The variable's data, read once per label, and what decoded them. Raises ModelError, RuleError."""
        key = tensor_name(label)
        if key not in self.variables:
            try:
                array = self._read(label, shape, kind, position, name)
            except MissingTensorError as error:
                if name not in self.updated or not self.report.accepts(DATA_OF_STATE):
                    raise
                self.report.depart(DATA_OF_STATE, f"{error.message}, which begins with zeros", position, subject=key)
                array = _zeros(shape, kind)
            self.variables[key] = Constant(array, label), kind, position
            self._share(key)
        constant, known, line = self.variables[key]
        if constant.array.shape != shape or known != kind:
            raise RuleError(
                f"label '{clip(label)}' is declared with shape {text(shape)} and type {kind}, "
                f"in line {line.line} with {text(constant.array.shape)} and {known}", ARGUMENTS.name
            )  # fmt: skip
        if key not in self.coded:
            return constant, None
        quant = self.quant_of(name, shape)
        if (key, quant) not in self.values:
            if name in self.updated and any(other == key for other, _ in self.values):
                raise RuleError(f"label '{clip(label)}' is updated, and two entries of graph.quant decode its codes")
            self.values[key, quant] = Constant(codes.values(self.coded[key], quant), label)
        return self.values[key, quant], quant

    def _share(self, key: str) -> None:
        """Labels that differ in case only are one variable, unless there are files for each of them."""
        new, kind, position = self.variables[key]
        other = self.lowered.setdefault(key.lower(), key)
        if other != key:
            constant = self.variables[other][0]
            if constant.array.dtype == new.array.dtype and np.array_equal(constant.array, new.array):
                self.variables[key] = constant, kind, position

    def _read(self, label: str, shape: Shape, kind: str, position: SourcePosition, name: str) -> np.ndarray:
        """The array in its API type, or codes. Raises RuleError where it is not what the declaration says."""
        data = self.tensors(label, position)
        if isinstance(data, TensorFile):
            array, found = self._from_file(data, label, kind, position, name)
        else:
            array = np.asarray(data)
            found = KINDS.get(array.dtype.kind, str(array.dtype))
        if array.shape != shape:
            raise RuleError(f"expected data of shape {text(shape)} for '{clip(label)}', got {text(array.shape)}")
        if found != kind:
            raise RuleError(f"expected data of type {kind} for '{clip(label)}', got {found}")
        return array if tensor_name(label) in self.coded else array.astype(DEFAULT[kind].api, copy=False)

    def _from_file(
        self, file: TensorFile, label: str, kind: str, position: SourcePosition, name: str
    ) -> tuple[np.ndarray, str]:
        """The array and its kind; codes that graph.quant has to decode are kept in `coded`."""
        header = file.header
        if header.code != header.item and not header.vendor:
            message = f"the data of '{clip(label)}' have item type 0x{header.code:x}"
            self.report.depart(OLD_ITEM_TYPES, message, position)
        if codes.has_parameters(header):
            message = f"the data of '{clip(label)}' say themselves what their codes stand for"
            self.report.depart(ITEM_PARAMETERS, message, position)
            return codes.old_values(file), header.kind
        as_codes = header.kind == "integer" and kind == "scalar" and self.quant_of(name, header.shape) is not None
        if as_codes:
            message = f"the data of '{clip(label)}' are integers, read as codes of graph.quant"
            self.report.depart(INTEGER_CODES, message, position)
        if header.is_quantised or as_codes:
            self.coded[tensor_name(label)] = file
        return file.array, "scalar" if as_codes else header.kind

    def _constant(self, values: Mapping[str, Value], kind: str, name: str) -> Tensor:
        items, declared = values["value"], values["shape"]
        assert isinstance(items, list) and isinstance(declared, list)
        shape = self.checked(declared)
        volume = math.prod(shape)
        if len(items) not in (1, volume):
            raise RuleError(f"expected 1 or {volume} values for shape {text(shape)}, got {len(items)}")
        with np.errstate(over="ignore"):
            array = np.array(items, _dtype(kind).api)
        # A single value is repeated without taking memory.
        array = np.broadcast_to(array.reshape(()), shape) if len(items) == 1 else array.reshape(shape)
        return self._add(name, kind, Constant(array))


def _zeros(shape: Shape, kind: str) -> np.ndarray:
    """Without taking memory."""
    return np.broadcast_to(np.zeros((), DEFAULT[kind].api), shape)


def _dtype(kind: str) -> Any:
    if kind not in DEFAULT:
        raise RuleError(f"there are no tensors of type {kind}", TYPES.name)
    return DEFAULT[kind]


def _data_error(error: ModelError | RuleError, position: SourcePosition, name: str) -> ModelError:
    """What is wrong with a variable's data, at the place of its declaration."""
    if isinstance(error, RuleError):
        rule = error.rule or TENSOR_FILES.name
        return ModelError(str(error), where=position, op="variable", tensor=clip(name), rule=rule)
    rule = error.rule or (UNSUPPORTED if isinstance(error, UnsupportedError) else TENSOR_FILES).name
    if isinstance(error.where, SourcePosition):
        error.rule = rule
        return error
    source = f"{error.where}: " if error.where else ""
    return type(error)(f"{source}{error.message}", where=position, op="variable", tensor=clip(name), rule=rule)
