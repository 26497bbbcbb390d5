"""Document + operations -> Graph: evaluates expressions, checks invocations, expands fragments."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.errors import InputError, ModelError, RuleError, UnsupportedError
from nnef_cl.format.syntax import (
    ArrayExpression,
    ArrayType,
    Assignment,
    Binary,
    Builtin,
    Comprehension,
    Conditional,
    Document,
    Expression,
    Fragment,
    Identifier,
    Invocation,
    Literal,
    Parameter,
    Range,
    SourcePosition,
    Subscript,
    TensorType,
    TupleExpression,
    Unary,
)
from nnef_cl.importer.dialect import Dialect
from nnef_cl.importer.values import MAX_ITEMS, Tensor, arithmetic, builtin, convert, has_tensor, kind_of
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ops import MISSING
from nnef_cl.ops.base import Op, Table, is_tensor
from nnef_cl.ops.shapes import MAX_RANK

MAX_DEPTH = 256
"""Fragments inside fragments."""
MAX_NODES = 1_000_000

OPERATORS = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
    "==": "eq", "!=": "ne", "&&": "and", "||": "or",
}  # fmt: skip
SIGNS = {"-": "neg", "!": "not", "+": "copy"}

Environment = dict[str, Any]
ReadVariable = Callable[[str, SourcePosition], np.ndarray]
"""Label, position -> array in an API type; raises ModelError."""


class Importer:
    """One document being turned into one graph."""

    def __init__(
        self, document: Document, table: Table, read: ReadVariable, shapes: Mapping[str, Shape], dialect: Dialect
    ) -> None:
        self.document, self.table, self.read, self.shapes, self.dialect = document, table, read, shapes, dialect
        self.builder = GraphBuilder(document.graph.name)
        self.fragments = self._file_fragments()
        self.literals: dict[tuple[type, Any], str] = {}
        self.variables: dict[str, Constant] = {}
        self.depth = 0

    def run(self) -> Graph:
        definition = self.document.graph
        for name in self.shapes:
            if name not in [p.name for p in definition.parameters]:
                raise InputError(f"shapes: the model has no input '{name}'")
        environment: Environment = {}
        with _deep_recursion():
            for assignment in definition.body:
                self._assign(assignment, environment, "", {})
        self._check_inputs()
        for result in definition.results:
            self.builder.outputs.append(self._output(result, environment))
        if len(set(self.builder.outputs)) != len(self.builder.outputs):
            raise ModelError("a result is named twice", where=definition.position)
        self.builder.inputs = [p.name for p in definition.parameters]
        return self.builder.build()

    def warn(self, text: str) -> None:
        if text not in self.builder.warnings:
            self.builder.warnings.append(text)

    # The graph's interface
    def _file_fragments(self) -> dict[str, Fragment]:
        fragments: dict[str, Fragment] = {}
        for fragment in self.document.fragments:
            if fragment.name in fragments:
                raise ModelError("is defined twice", where=fragment.position, op=fragment.name)
            if fragment.name in self.table or fragment.name in MISSING:
                if not self.dialect.redefinition:
                    raise ModelError("redefines a standard operation", where=fragment.position, op=fragment.name)
                self.warn(f"the file's own fragment '{fragment.name}' replaces the standard operation")
            fragments[fragment.name] = fragment
        return fragments

    def _check_inputs(self) -> None:
        definition = self.document.graph
        names = [p.name for p in definition.parameters]
        if len(set(names)) != len(names):
            raise ModelError("a graph parameter is named twice", where=definition.position)
        for parameter in definition.parameters:
            if parameter.name not in self.builder.inputs:
                raise ModelError(
                    f"graph parameter '{parameter.name}' is not defined by an external", where=parameter.position
                )
        for name in self.builder.inputs:
            if name not in names:
                raise ModelError(f"external '{name}' is not a parameter of the graph", where=definition.position)

    def _output(self, result: Identifier, environment: Environment) -> str:
        value = environment.get(result.name)
        if value is None:
            raise ModelError(f"result '{result.name}' is never assigned", where=result.position)
        if not isinstance(value, Tensor):
            raise ModelError(f"result '{result.name}' is not a tensor but {kind_of(value)}", where=result.position)
        if value.name == result.name:
            return result.name
        return self._node("copy", [value], {}, [result.name], result.position)[0].name

    # Assignments
    def _assign(self, assignment: Assignment, environment: Environment, prefix: str, results: dict[str, str]) -> None:
        """prefix: of inner tensor names; results: names the fragment's results get in the graph."""
        names = self._names(assignment.target, prefix, results)
        value = self._evaluate(assignment.value, environment, names)
        self._bind(assignment.target, value, environment)

    def _names(self, target: Expression, prefix: str, results: dict[str, str]) -> list[str]:
        if isinstance(target, Identifier):
            return [results.get(target.name, f"{prefix}{target.name}")]
        if isinstance(target, (ArrayExpression, TupleExpression)):
            return [name for item in target.items for name in self._names(item, prefix, results)]
        raise ModelError("the left side must be identifiers", where=target.position)

    def _bind(self, target: Expression, value: Any, environment: Environment) -> None:
        if isinstance(target, Identifier):
            if target.name in environment:
                raise ModelError(f"'{target.name}' is assigned twice", where=target.position)
            environment[target.name] = value
            return
        assert isinstance(target, (ArrayExpression, TupleExpression))
        kind = list if isinstance(target, ArrayExpression) else tuple
        if not isinstance(value, (list, tuple)) or (kind is list and not isinstance(value, list)):
            raise ModelError(f"cannot unpack {kind_of(value)} into {len(target.items)} names", where=target.position)
        if len(value) != len(target.items):
            raise ModelError(f"{len(value)} results for {len(target.items)} names", where=target.position)
        for item, part in zip(target.items, value, strict=True):
            self._bind(item, part, environment)

    # Expressions
    def _evaluate(self, node: Expression, environment: Environment, names: Sequence[str] = ()) -> Any:
        """names: what the tensors made by this expression should be called."""
        try:
            return self._expression(node, environment, names)
        except RuleError as error:
            raise ModelError(str(error), where=node.position) from None

    def _expression(  # noqa: PLR0911 - one branch for each record
        self, node: Expression, environment: Environment, names: Sequence[str]
    ) -> Any:
        match node:
            case Literal(value):
                return value
            case Identifier(name):
                return self._lookup(node, environment)
            case ArrayExpression(items):
                return [self._evaluate(item, environment, _inner(names)) for item in items]
            case TupleExpression(items):
                return tuple(self._evaluate(item, environment, _inner(names)) for item in items)
            case Invocation():
                return self._invoke(node, environment, names)
            case Unary(op, operand):
                return self._unary(op, self._evaluate(operand, environment, _inner(names)), names, node.position)
            case Binary(op, left, right):
                operands = [self._evaluate(side, environment, _inner(names)) for side in (left, right)]
                return self._binary(op, operands, names, node.position)
            case Conditional():
                return self._conditional(node, environment, names)
            case Subscript():
                return self._subscript(node, environment)
            case Range():
                return self._range(node, environment)
            case Comprehension():
                return self._comprehension(node, environment, names)
            case Builtin(name, argument):
                return self._builtin(name, self._evaluate(argument, environment, _inner(names)))
        raise AssertionError(node)

    def _lookup(self, node: Identifier, environment: Environment) -> Any:
        if node.name not in environment:
            hint = ""
            if any(node.name in _targets(a.target) for a in self.document.graph.body):
                hint = " (it is assigned later, or from itself: the graph must not have cycles)"
            raise ModelError(f"'{node.name}' is used before it is assigned{hint}", where=node.position)
        return environment[node.name]

    def _unary(self, op: str, value: Any, names: Sequence[str], position: SourcePosition) -> Any:
        if isinstance(value, Tensor):
            return self._node(SIGNS[op], [value], {}, names, position)[0]
        if op == "!" and isinstance(value, bool):
            return not value
        if op != "!" and type(value) in (int, float):
            return -value if op == "-" else value
        raise RuleError(f"'{op}' is not defined for {kind_of(value)}")

    def _binary(self, op: str, operands: list[Any], names: Sequence[str], position: SourcePosition) -> Any:
        if any(isinstance(value, Tensor) for value in operands):
            if op not in OPERATORS:
                raise RuleError(f"'{op}' is not defined for tensors")
            checked = self._tensors(self.table[OPERATORS[op]], operands)
            return self._node(OPERATORS[op], checked, {}, names, position)[0]
        return arithmetic(op, operands[0], operands[1], self.dialect)

    def _conditional(self, node: Conditional, environment: Environment, names: Sequence[str]) -> Any:
        """Lazy, unless the condition is a tensor."""
        condition = self._evaluate(node.condition, environment, _inner(names))
        if isinstance(condition, Tensor):
            values = [self._evaluate(v, environment, _inner(names)) for v in (node.value, node.otherwise)]
            checked = self._tensors(self.table["select"], [condition, *values])
            return self._node("select", checked, {}, names, node.position)[0]
        if type(condition) is not bool:
            raise RuleError(f"the condition must be logical, got {kind_of(condition)}")
        return self._evaluate(node.value if condition else node.otherwise, environment, names)

    def _subscript(self, node: Subscript, environment: Environment) -> Any:
        value, index = self._evaluate(node.value, environment), self._evaluate(node.index, environment)
        if not isinstance(value, (list, tuple, str)) or type(index) is not int:
            raise RuleError(f"{kind_of(value)} cannot be indexed by {kind_of(index)}")
        if not 0 <= index < len(value):
            raise RuleError(f"index {index} is outside 0..{len(value) - 1}")
        return value[index]

    def _range(self, node: Range, environment: Environment) -> Any:
        value = self._evaluate(node.value, environment)
        bounds = [None if b is None else self._evaluate(b, environment) for b in (node.begin, node.end)]
        if not isinstance(value, (list, str)) or any(b is not None and type(b) is not int for b in bounds):
            raise RuleError(f"{kind_of(value)} cannot be sliced like this")
        return value[max(bounds[0] or 0, 0) : len(value) if bounds[1] is None else max(bounds[1], 0)]

    def _comprehension(self, node: Comprehension, environment: Environment, names: Sequence[str]) -> list[Any]:
        """Iterators run in lock-step."""
        lists = [self._evaluate(values, environment) for _, values in node.iterators]
        if not all(isinstance(values, list) for values in lists):
            raise RuleError("a comprehension iterates over arrays")
        if len({len(values) for values in lists}) > 1:
            raise RuleError(f"iterators have different lengths: {', '.join(str(len(v)) for v in lists)}")
        result = []
        for values in zip(*lists, strict=True):
            inner = environment | {name: v for (name, _), v in zip(node.iterators, values, strict=True)}
            if node.condition is not None:
                condition = self._evaluate(node.condition, inner)
                if type(condition) is not bool:
                    raise RuleError(f"the filter must be logical, got {kind_of(condition)}")
                if not condition:
                    continue
            result.append(self._evaluate(node.item, inner, _inner(names)))
            if len(result) > MAX_ITEMS:
                raise RuleError(f"an array of more than {MAX_ITEMS} items")
        return result

    def _builtin(self, name: str, value: Any) -> Any:
        if name == "shape_of" and isinstance(value, Tensor):
            self.warn("shape_of() is deprecated since NNEF 1.0.1")
            return list(self.builder.tensors[value.name].shape)
        return builtin(name, value)

    # Invocations
    def _invoke(self, node: Invocation, environment: Environment, names: Sequence[str]) -> Any:
        fragment = self.fragments.get(node.name)
        op = self.table.get(node.name)
        declaration = fragment or (op.declaration if op else None)
        if declaration is None:
            raise self._unknown(node)
        subject: dict[str, Any] = {"where": node.position, "op": node.name, "tensor": names[0] if names else ""}
        arguments = self._arguments(node, declaration, environment, names, subject)
        try:
            if fragment is not None:
                return self._expand(node, fragment, arguments, names)
            assert op is not None
            if node.name in ("external", "variable", "constant"):
                return self._introduce(node, arguments, names)
            if op.is_compound:
                return self._expand(node, declaration, arguments, names)
            return self._apply(node, op, arguments, names)
        except RuleError as error:
            raise ModelError(str(error), **subject) from None

    def _unknown(self, node: Invocation) -> ModelError:
        if node.name in MISSING:
            return UnsupportedError("this operation is not supported yet", where=node.position, op=node.name)
        close = difflib.get_close_matches(node.name, [*self.fragments, *self.table], 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return ModelError(f"there is no operation '{node.name}'{hint}", where=node.position)

    def _arguments(
        self, node: Invocation, declaration: Fragment, environment: Environment, names: Sequence[str], subject: Any
    ) -> dict[str, Any]:
        """Parameter name -> evaluated value, defaults filled in."""
        parameters = declaration.parameters
        values: dict[str, Any] = {}
        for place, argument in enumerate(node.arguments):
            if argument.name is None:
                if place >= len(parameters):
                    raise ModelError(f"takes {len(parameters)} arguments, got {len(node.arguments)}", **subject)
                parameter = parameters[place]
                if not is_tensor(parameter):
                    self._positional(parameter, declaration, subject)
            else:
                parameter = self._named(argument.name, declaration, subject)
            if parameter.name in values:
                raise ModelError(f"argument '{parameter.name}' is given twice", **subject)
            values[parameter.name] = self._evaluate(argument.value, environment, _inner(names))
        for parameter in parameters:
            if parameter.name not in values:
                if parameter.default is None:
                    raise ModelError(f"argument '{parameter.name}' is missing", **subject)
                values[parameter.name] = self._evaluate(parameter.default, {})
        return values

    def _positional(self, parameter: Parameter, declaration: Fragment, subject: Any) -> None:
        if not self.dialect.positional_attributes:
            raise ModelError(f"attribute '{parameter.name}' must be named", **subject)
        self.warn("an attribute is passed without its name")

    def _named(self, name: str, declaration: Fragment, subject: Any) -> Parameter:
        for parameter in declaration.parameters:
            if parameter.name == name:
                return parameter
        close = difflib.get_close_matches(name, [p.name for p in declaration.parameters], 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ModelError(f"has no parameter '{name}'{hint}", **subject)

    def _converted(self, parameters: Sequence[Parameter], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes among the arguments, in their declared types."""
        attrs = {}
        for parameter in parameters:
            try:
                attrs[parameter.name] = convert(arguments[parameter.name], parameter.type, self.dialect, self.warn)
            except RuleError as error:
                raise RuleError(f"'{parameter.name}': {error}") from None
        return attrs

    def _apply(self, node: Invocation, op: Op, arguments: dict[str, Any], names: Sequence[str]) -> Any:
        values: list[Any] = []
        for parameter in op.tensor_parameters:
            value = arguments[parameter.name]
            if isinstance(parameter.type, ArrayType):
                if not isinstance(value, list):
                    raise RuleError(f"'{parameter.name}' must be an array of tensors, got {kind_of(value)}")
                values += value
            else:
                values.append(value)
        tensors = self._tensors(op, values)
        attrs = self._converted(op.attribute_parameters, arguments)
        results = self._node(node.name, tensors, attrs, names, node.position, node.generic)
        array = isinstance(op.declaration.results[0].type, ArrayType)
        if array:
            return list(results)
        return results[0] if len(op.declaration.results) == 1 else tuple(results)

    def _tensors(self, op: Op, values: Sequence[Any]) -> list[Tensor]:
        """Operands as tensors of the declared element types; literals become constants."""
        surplus = len(values) - len(op.tensor_parameters) + 1
        parameters: list[Parameter] = []
        for parameter in op.tensor_parameters:
            parameters += [parameter] * (surplus if isinstance(parameter.type, ArrayType) else 1)
        tensors = []
        for parameter, value in zip(parameters, values, strict=True):
            kind = parameter.type.item if isinstance(parameter.type, ArrayType) else parameter.type
            assert isinstance(kind, TensorType)
            tensor = self._tensor(value, kind.element, parameter.name)
            actual = self.builder.tensors[tensor.name].dtype.kind
            if kind.element not in ("?", "", actual):
                raise RuleError(f"'{parameter.name}' must be a tensor of {kind.element}, got {actual}")
            tensors.append(tensor)
        return tensors

    def _tensor(self, value: Any, element: str, name: str) -> Tensor:
        if isinstance(value, Tensor):
            return value
        if isinstance(value, (list, tuple, str)):
            raise RuleError(f"'{name}' must be a tensor, got {kind_of(value)}")
        if element == "scalar" and type(value) is int and self.dialect.integers_as_scalars:
            self.warn("an integer literal stands where the standard wants a scalar (1 instead of 1.0)")
            value = float(value)
        key = type(value), repr(value)
        if key not in self.literals:
            dtype = DEFAULT[kind_of(value)]
            array = np.asarray(value, dtype.api)
            self.literals[key] = self.builder.add_constant(
                self.builder.unique(f"literal.{len(self.literals)}"), TensorSpec((), dtype), Constant(array)
            )
        return Tensor(self.literals[key])

    def _node(
        self, name: str, inputs: Sequence[Tensor], attrs: dict[str, Any], names: Sequence[str],
        position: SourcePosition, generic: str | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """Appends one operation with inferred shapes and types."""
        op = self.table[name]
        if len(self.builder.nodes) >= MAX_NODES:
            raise RuleError(f"the graph expands to more than {MAX_NODES} operations")
        specs = [self.builder.tensors[t.name] for t in inputs]
        try:
            shapes = op.infer_shapes([s.shape for s in specs], attrs)
        except RuleError as error:
            raise ModelError(str(error), where=position, op=name, tensor=names[0] if names else "") from None
        kinds = self._result_kinds(op, specs, generic, len(shapes))
        hints = list(names) if len(names) == len(shapes) else [
            f"{names[0] if names else name}.{k}" for k in range(len(shapes))
        ]  # fmt: skip
        if len(names) > 1 and len(names) != len(shapes):
            raise ModelError(f"{len(shapes)} results for {len(names)} names", where=position, op=name, tensor=names[0])
        outputs = tuple(self._fresh(hint) for hint in hints)
        node = Node(name, tuple(t.name for t in inputs), outputs, attrs, position=str(position))
        self.builder.add_node(node, [TensorSpec(s, DEFAULT[k]) for s, k in zip(shapes, kinds, strict=True)])
        return [Tensor(output) for output in outputs]

    def _fresh(self, hint: str) -> str:
        """The hint itself where it is free; every tensor has one name."""
        return self.builder.unique(hint)

    def _result_kinds(self, op: Op, specs: Sequence[TensorSpec], generic: str | None, count: int) -> list[str]:
        deduced = self._generic(op, specs, generic)
        kinds = []
        for result in op.declaration.results:
            kind = result.type.item if isinstance(result.type, ArrayType) else result.type
            assert isinstance(kind, TensorType)
            kinds.append(deduced if kind.element == "?" else kind.element)
        return kinds * (count if len(kinds) == 1 else 1)

    def _generic(self, op: Op, specs: Sequence[TensorSpec], generic: str | None) -> str:
        """The element type that `?` stands for."""
        if op.declaration.generic is None:
            return ""
        kinds = []
        parameters = list(op.tensor_parameters)
        for place, spec in enumerate(specs):
            kind = parameters[min(place, len(parameters) - 1)].type
            element = kind.item if isinstance(kind, ArrayType) else kind
            assert isinstance(element, TensorType)
            if element.element == "?":
                kinds.append(spec.dtype.kind)
        if len(set(kinds)) > 1:
            raise RuleError(f"operands have different types: {', '.join(dict.fromkeys(kinds))}")
        if kinds and generic is not None and generic != kinds[0]:
            raise RuleError(f"declared <{generic}>, but the operands are {kinds[0]}")
        result = kinds[0] if kinds else generic or op.declaration.generic
        if result not in DEFAULT:
            raise RuleError("the result's type must be written, as in cast<integer>(x)")
        return result

    # Fragments
    def _expand(self, node: Invocation, fragment: Fragment, arguments: dict[str, Any], names: Sequence[str]) -> Any:
        if fragment.body is None:
            raise UnsupportedError("a fragment without a body cannot be run", where=node.position, op=node.name)
        if self.depth >= MAX_DEPTH:
            raise ModelError(f"fragments are nested deeper than {MAX_DEPTH}", where=node.position, op=node.name)
        environment: Environment = {}
        for parameter in fragment.parameters:
            value = arguments[parameter.name]
            if is_tensor(parameter) or has_tensor(value):
                environment[parameter.name] = value
            else:
                converted = self._converted([parameter], arguments)[parameter.name]
                environment[parameter.name] = _listed(converted)
        base = names[0] if names else node.name
        fitting = len(names) == len(fragment.results)
        results = {r.name: name for r, name in zip(fragment.results, names, strict=False)} if fitting else {}
        self.depth += 1
        try:
            for assignment in fragment.body:
                self._assign(assignment, environment, f"{base}.", results)
        finally:
            self.depth -= 1
        for result in fragment.results:
            if result.name not in environment:
                raise ModelError(f"result '{result.name}' is never assigned", where=fragment.position, op=fragment.name)
        values = tuple(environment[result.name] for result in fragment.results)
        return values[0] if len(values) == 1 else values

    # Tensors from outside
    def _introduce(self, node: Invocation, arguments: dict[str, Any], names: Sequence[str]) -> Tensor:
        if self.depth and node.name != "constant":
            raise RuleError("is not allowed inside a fragment")
        declaration = self.table[node.name].declaration
        attrs = self._converted(declaration.parameters, arguments)
        kind = node.generic or declaration.generic or "scalar"
        if kind not in DEFAULT:
            raise RuleError(f"<{kind}> is not a type of tensors")
        shape = attrs["shape"]
        name = names[0] if names else node.name
        if node.name == "external" and name in self.shapes:
            shape = self._overridden(name, shape)
        self._check_shape(shape)
        spec = TensorSpec(shape, DEFAULT[kind])
        if node.name == "external":
            return Tensor(self.builder.add_input(self._fresh(name), spec))
        if node.name == "variable":
            constant = self._variable(attrs["label"], spec, node.position)
        else:
            constant = self._constant(attrs["value"], spec)
        return Tensor(self.builder.add_constant(self._fresh(name), spec, constant))

    def _overridden(self, name: str, declared: Shape) -> Shape:
        shape = tuple(self.shapes[name])
        if len(shape) != len(declared):
            raise InputError(f"shapes: input '{name}' has shape {list(declared)}, got {list(shape)} of another rank")
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise InputError(f"shapes: extents of input '{name}' must be positive, got {list(shape)}")
        return shape

    def _check_shape(self, shape: Shape) -> None:
        if len(shape) > MAX_RANK:
            raise RuleError(f"shape {list(shape)} has more than {MAX_RANK} axes")
        if any(n <= 0 for n in shape):
            raise RuleError(f"shape {list(shape)} has an extent that is not positive")

    def _variable(self, label: str, spec: TensorSpec, position: SourcePosition) -> Constant:
        key = label.lower()
        if key not in self.variables:
            self.variables[key] = Constant(self.read(label, position), label)
        array = self.variables[key].array
        if array.shape != spec.shape:
            raise RuleError(f"declared shape {list(spec.shape)}, '{label}.dat' has {list(array.shape)}")
        if array.dtype != spec.dtype.api:
            raise RuleError(f"declared {spec.dtype.kind}, '{label}.dat' holds {array.dtype.name}")
        return self.variables[key]

    def _constant(self, value: Any, spec: TensorSpec) -> Constant:
        if len(value) not in (1, spec.volume):
            raise RuleError(f"'value' has {len(value)} items, shape {list(spec.shape)} needs {spec.volume} or 1")
        kinds = {kind_of(item) for item in value}
        integers = "integer" in kinds and spec.dtype.kind == "scalar" and kinds <= {"integer", "scalar"}
        if integers and self.dialect.integers_as_scalars:
            self.warn("an integer literal stands where the standard wants a scalar (1 instead of 1.0)")
        elif kinds != {spec.dtype.kind}:
            raise RuleError(f"'value' holds {' and '.join(sorted(kinds))}, declared {spec.dtype.kind}")
        array = np.asarray(value, spec.dtype.api)
        if len(value) == 1:
            return Constant(np.broadcast_to(array.reshape(()), spec.shape))
        return Constant(array.reshape(spec.shape))


def _inner(names: Sequence[str]) -> list[str]:
    """What a part of an expression is called: derived from the whole."""
    return [f"{names[0]}.part"] if names else []


def _listed(value: Any) -> Any:
    """Attribute tuples as the lists and tuples they are inside expressions."""
    if isinstance(value, tuple):
        return [tuple(item) if isinstance(item, tuple) else item for item in value]
    return value


def _targets(target: Expression) -> set[str]:
    if isinstance(target, Identifier):
        return {target.name}
    items = target.items if isinstance(target, (ArrayExpression, TupleExpression)) else ()
    return set().union(*(_targets(item) for item in items))


@contextlib.contextmanager
def _deep_recursion() -> Iterator[None]:
    """MAX_DEPTH fragments of nested expressions need more frames than Python's default limit."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 20_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)

