"""Evaluate expressions and invocations into nodes, expanding compounds and the file's fragments inline (section 3.3).

Expressions may nest and fragments may call each other deeply: every kind of expression is a generator that asks for
the values of its parts, and one loop runs them all, so that nothing here recurses.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Generator, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nnef_cl.errors import ModelError, RuleError, UnsupportedError
from nnef_cl.format.syntax import (
    NOWHERE,
    ArrayExpression,
    ArrayType,
    Assignment,
    Binary,
    Builtin,
    Comprehension,
    Conditional,
    Expression,
    Fragment,
    Identifier,
    Invocation,
    Literal,
    Range,
    SourcePosition,
    Subscript,
    TensorType,
    TupleExpression,
    Type,
    Unary,
)
from nnef_cl.importer import evaluate
from nnef_cl.importer.arguments import LocatedError, bind, suggestion
from nnef_cl.importer.dialect import Dialect
from nnef_cl.importer.introduce import Introducer
from nnef_cl.importer.types import Budget, Caster, Tensor, Value, clip, deduce, describe, holds_tensors
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ir.graph import GraphBuilder, Node
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops import MISSING
from nnef_cl.ops.base import Op, Table

MAX_DEPTH = 1000
"""Fragments that may be expanded inside each other."""

MAX_NODES = 100_000
"""Operations of one graph; networks have some thousands."""

CALL_COST = 20
"""What expanding a fragment takes of the budget: as much as an array of that length."""

Names = str | list[Any] | tuple[Any, ...]
"""What results are to be called: one name, or a structure of names like the left side of an assignment."""

Request = tuple[Expression, "Scope", Names, bool]
"""Expression, where it stands, names of its results, and whether it is a part of what is named so."""

Steps = Generator[Request, Value, Value]


@dataclass
class Scope:
    """The names known in a body. names: of result tensors; prefix: of the tensors of local names.

    For a fragment: what was called, where, with which names for its results, from which scope.
    builtin: the body belongs to an operation of the table, not to the file.
    """

    values: MutableMapping[str, Value]
    body: tuple[Assignment, ...]
    fixed: frozenset[str] = frozenset()
    names: Mapping[str, Names] = field(default_factory=dict)
    prefix: str = ""
    generic: str | None = None
    fragment: str = ""
    position: SourcePosition = NOWHERE
    caller: Scope | None = None
    builtin: bool = False
    depth: int = 0

    def place(self, position: SourcePosition) -> SourcePosition:
        """A position in the file: where a standard operation was called rather than a place in its definition."""
        scope = self
        while scope.builtin and scope.caller is not None:
            position, scope = scope.position, scope.caller
        return position


@dataclass(frozen=True)
class Callee:
    """What a name stands for: an operation of the table, or a fragment of the file (op None)."""

    declaration: Fragment
    op: Op | None

    @property
    def body(self) -> tuple[Assignment, ...] | None:
        return self.declaration.body if self.op is None or self.op.is_compound else None


class Expander:
    """Turns expressions into values, adding the nodes they stand for to the builder."""

    def __init__(
        self, builder: GraphBuilder, table: Table, fragments: Mapping[str, Fragment], dialect: Dialect,
        introducer: Introducer, caster: Caster, budget: Budget,
    ) -> None:  # fmt: skip
        self.builder, self.table, self.fragments, self.dialect = builder, table, fragments, dialect
        self.introducer, self.caster, self.budget = introducer, caster, budget
        self.operators_declared = True

    # The loop ----------------------------------------------------------------------------------------------
    def assign(self, statement: Assignment, scope: Scope) -> None:
        """One statement of the graph. Raises ModelError."""
        with self._inside(statement, scope):
            names = self.wanted(statement.target, scope)
        value = self.evaluate(statement.value, scope, names)
        with self._inside(statement, scope):
            self.bind_target(statement.target, value, scope)

    def evaluate(self, expression: Expression, scope: Scope, names: Names) -> Value:
        """The value of an expression. Raises ModelError with the place of the part that is wrong."""
        stack: list[tuple[Request, Steps]] = []
        request: Request | None = (expression, scope, names, False)
        value: Value | None = None
        while request or stack:
            where = request or stack[-1][0]
            try:
                if request is None:
                    request = stack[-1][1].send(value)  # type: ignore[arg-type]
                    value = None
                elif type(request[0]) is Literal:
                    value, request = request[0].value, None
                elif type(request[0]) is Identifier:
                    value, request = self.lookup(request[0].name, request[1]), None
                else:
                    stack.append((request, self._steps(*request)))
                    request = None
            except StopIteration as stop:
                value = stop.value
                stack.pop()
            except RuleError as error:
                raise self.failure(error, *where[:3], [request for request, _ in stack]) from None
        assert value is not None
        return value

    def _steps(self, expression: Expression, scope: Scope, names: Names, part: bool) -> Steps:
        self.budget.spend()
        kind = type(expression)
        if kind not in FLAT and not scope.builtin and not self.operators_declared:
            self._undeclared("operator_expressions")
        if part:
            names = first(names)
            if kind in NAMED:
                names = derived(names, operation(expression))
        steps: Steps = self.HANDLERS[kind](self, expression, scope, names)
        return steps

    def _undeclared(self, feature: str) -> None:
        message = f"the file uses what extension KHR_enable_{feature} stands for, without declaring it"
        if not self.dialect.undeclared_features:
            raise RuleError(message)
        self.caster.notice(feature, message)

    def lookup(self, name: str, scope: Scope) -> Value:
        """The value of an identifier. Raises RuleError where it has none yet."""
        value = scope.values.get(name)
        if value is not None:
            return value
        for statement in scope.body:
            if name in (identifier.name for identifier in targets(statement.target)):
                line = scope.place(statement.position).line
                raise RuleError(
                    f"'{clip(name)}' is used before it is assigned in line {line} (a cycle, or statements out of order)"
                )
        if name in scope.fixed:
            raise RuleError(f"'{clip(name)}' is used, but nothing assigns it")
        raise RuleError(f"'{clip(name)}' is not defined{suggestion(name, scope.values)}")

    # Left sides --------------------------------------------------------------------------------------------
    def wanted(self, target: Expression, scope: Scope) -> Names:
        """What the tensors of a left side are to be called. Raises RuleError for an identifier that has a value."""
        if isinstance(target, Identifier):
            self._check_new(target, scope)
            return scope.names.get(target.name) or self._local(target.name, scope)
        assert isinstance(target, (ArrayExpression, TupleExpression))
        items = [self.wanted(item, scope) for item in target.items]
        seen: set[str] = set()
        for identifier in targets(target):
            if identifier.name in seen:
                raise LocatedError(f"'{clip(identifier.name)}' is assigned twice", identifier.position)
            seen.add(identifier.name)
        return items if isinstance(target, ArrayExpression) else tuple(items)

    @staticmethod
    def _check_new(target: Identifier, scope: Scope) -> None:
        if target.name in scope.values:
            if scope.caller and target.name in scope.fixed:
                raise LocatedError(f"parameter '{clip(target.name)}' must not be assigned", target.position)
            raise LocatedError(f"'{clip(target.name)}' is assigned twice", target.position)

    @staticmethod
    def _local(name: str, scope: Scope) -> str:
        return derived(scope.prefix, name) if scope.caller else name

    def bind_target(self, target: Expression, value: Value, scope: Scope) -> None:
        """Gives the identifiers of a left side their values. Raises RuleError where the structure differs."""
        if isinstance(target, Identifier):
            self._check_new(target, scope)
            scope.values[target.name] = value if scope.caller else self._graph_tensor(target, value, scope)
            return
        assert isinstance(target, (ArrayExpression, TupleExpression))
        wanted = list if isinstance(target, ArrayExpression) else tuple
        if not isinstance(value, (list, tuple)) or not isinstance(value, wanted):
            what = "an array" if wanted is list else "several results"
            raise RuleError(f"the left side unpacks {what}, the right side is {describe(value)}")
        if len(value) != len(target.items):
            raise RuleError(f"the left side has {len(target.items)} items, the right side {len(value)}")
        for part, item in zip(target.items, value, strict=True):
            self.bind_target(part, item, scope)

    def _graph_tensor(self, target: Identifier, value: Value, scope: Scope) -> Tensor:
        """A graph's identifier is one tensor, of the same name: an alias becomes a copy."""
        name = target.name
        if not isinstance(value, Tensor):
            hint = "; unpack it with [a, b] = ..." if isinstance(value, list) else ""
            message = f"'{clip(name)}' must be a tensor in the graph, got {describe(value)}{hint}"
            raise LocatedError(message, target.position)
        if name in scope.fixed and name not in self.introducer.externals:
            raise RuleError(f"graph parameter '{clip(name)}' must be defined by external")
        if value.name == name:
            return value
        copy = self.resolve("copy", Scope({}, (), builtin=True))
        result = self._primitive(copy, {"x": value}, value.kind, target.position, scope, name)
        assert isinstance(result, Tensor)
        return result

    # Kinds of expressions ----------------------------------------------------------------------------------
    def _array(self, node: ArrayExpression, scope: Scope, names: Names) -> Steps:
        self.budget.spend(len(node.items))
        items = []
        for item, name, part in _named_items(node, names):
            items.append(item.value if type(item) is Literal else (yield item, scope, name, part))
        return items

    def _tuple(self, node: TupleExpression, scope: Scope, names: Names) -> Steps:
        items = []
        for item, name, part in _named_items(node, names):
            items.append((yield item, scope, name, part))
        return tuple(items)

    def _unary(self, node: Unary, scope: Scope, names: Names) -> Steps:
        value = yield node.operand, scope, names, True
        if isinstance(value, Tensor):
            return (yield from self._operator(evaluate.UNARY[node.op], [value], node, scope, names))
        return evaluate.unary(node.op, value)

    def _binary(self, node: Binary, scope: Scope, names: Names) -> Steps:
        left = yield node.left, scope, names, True
        right = yield node.right, scope, names, True
        if node.op != "in" and (isinstance(left, Tensor) or isinstance(right, Tensor)):
            return (yield from self._operator(evaluate.BINARY[node.op], [left, right], node, scope, names))
        return evaluate.binary(node.op, left, right, self.caster)

    def _operator(self, name: str, operands: list[Value], node: Expression, scope: Scope, names: Names) -> Steps:
        """The operation an operator on tensors stands for."""
        callee = self.resolve(name, scope)
        parameters = callee.declaration.parameters
        if len(parameters) < len(operands):
            raise RuleError(f"'{name}' takes {len(parameters)} arguments, the operator has {len(operands)}")
        values = {parameter.name: value for parameter, value in zip(parameters, operands, strict=False)}
        return (yield from self._call(callee, values, None, node, scope, names))

    def _conditional(self, node: Conditional, scope: Scope, names: Names) -> Steps:
        """Only the chosen branch is evaluated."""
        condition = yield node.condition, scope, names, True
        if isinstance(condition, bool):
            return (yield node.value if condition else node.otherwise, scope, names, False)
        if isinstance(condition, Tensor) and self.dialect.tensor_conditions:
            value = yield node.value, scope, names, True
            otherwise = yield node.otherwise, scope, names, True
            return (yield from self._operator("select", [condition, value, otherwise], node, scope, names))
        hint = "; select takes tensors" if isinstance(condition, Tensor) else ""
        raise RuleError(f"a condition must be a logical value known at compile time, got {describe(condition)}{hint}")

    def _subscript(self, node: Subscript, scope: Scope, names: Names) -> Steps:
        value = yield node.value, scope, names, True
        return evaluate.subscript(value, (yield node.index, scope, names, True))

    def _range(self, node: Range, scope: Scope, names: Names) -> Steps:
        value = yield node.value, scope, names, True
        begin = None if node.begin is None else (yield node.begin, scope, names, True)
        end = None if node.end is None else (yield node.end, scope, names, True)
        return evaluate.subrange(value, begin, end, self.budget)

    def _comprehension(self, node: Comprehension, scope: Scope, names: Names) -> Steps:
        arrays: list[list[Value]] = []
        for name, expression in node.iterators:
            values = yield expression, scope, names, True
            if not isinstance(values, list):
                raise RuleError(f"iterator '{clip(name)}' needs an array, got {describe(values)}")
            arrays.append(values)
        lengths = {len(values) for values in arrays}
        if len(lengths) > 1:
            raise RuleError(f"the iterated arrays have different lengths: {sorted(lengths)}")
        local: dict[str, Value] = {}
        inner = _copy_of(scope, ChainMap(local, scope.values))
        items = []
        for row in zip(*arrays, strict=True):
            self.budget.spend(len(row))
            local.update(zip((name for name, _ in node.iterators), row, strict=True))
            if node.condition is not None:
                chosen = yield node.condition, inner, names, True
                if not isinstance(chosen, bool):
                    raise RuleError(f"the filter of a loop must be a logical value, got {describe(chosen)}")
                if not chosen:
                    continue
            items.append((yield node.item, inner, names, True))
        return items

    def _builtin(self, node: Builtin, scope: Scope, names: Names) -> Steps:
        value = yield node.argument, scope, names, True
        if node.name != "shape_of":
            return evaluate.builtin(node.name, value, self.budget)
        if isinstance(value, (list, tuple, str)):
            raise RuleError(f"shape_of needs a tensor, got {describe(value)}")
        self.caster.notice("shape_of", "shape_of is deprecated since NNEF 1.0.1")
        return list(self.builder.tensors[value.name].shape) if isinstance(value, Tensor) else []

    def _invocation(self, node: Invocation, scope: Scope, names: Names) -> Steps:
        callee = self.resolve(node.name, scope)
        bound = bind(node, callee.declaration, self.dialect, self.caster.notice)
        values: dict[str, Value] = {}
        for name, argument in bound.items():
            values[name] = yield argument.value, scope, names, True
        generic = self._written_generic(node, callee.declaration, scope)
        return (yield from self._call(callee, values, generic, node, scope, names))

    @staticmethod
    def _written_generic(node: Invocation, declaration: Fragment, scope: Scope) -> str | None:
        """The type in `name<type>(...)`, with '?' replaced by the fragment's own."""
        if node.generic is None:
            return None
        if declaration.generic is None:
            raise RuleError(f"is not generic, but is called with <{node.generic}>")
        if node.generic == "?":
            if scope.generic is None:
                raise RuleError("<?> is used where there is no generic type")
            return scope.generic
        return node.generic

    HANDLERS: ClassVar[dict[type, Any]] = {
        ArrayExpression: _array, TupleExpression: _tuple, Unary: _unary, Binary: _binary, Conditional: _conditional,
        Subscript: _subscript, Range: _range, Comprehension: _comprehension, Builtin: _builtin,
        Invocation: _invocation,
    }  # fmt: skip

    # Calls -------------------------------------------------------------------------------------------------
    def resolve(self, name: str, scope: Scope) -> Callee:
        """What a name stands for; inside the table's own operations, always the table's. Raises RuleError."""
        fragment = None if scope.builtin else self.fragments.get(name)
        op = self.table.get(name)
        if fragment is not None and (fragment.body is not None or op is None):
            return Callee(fragment, None)
        if op is not None:
            return Callee(op.declaration, op)
        if name in MISSING:
            raise MissingError("is not supported yet")
        known = (*self.table, *self.fragments)
        raise RuleError(f"unknown operation '{clip(name)}'{suggestion(name, known)}")

    def _call(
        self, callee: Callee, given: dict[str, Value], generic: str | None, node: Expression, scope: Scope, names: Names
    ) -> Steps:
        """Checks the values and adds a node, or expands the body."""
        declaration = callee.declaration
        generic = self._generic(declaration, given, generic, node)
        values = self._fitted(declaration, given, generic, node)
        if callee.body is None:
            if callee.op is None:
                raise MissingError("is a custom operation without a body, which nothing here can compute")
            return self._primitive(callee, values, generic, node.position, scope, names)
        inner = self._entered(callee, values, generic, node, scope, names)
        for statement in callee.body:
            with self._inside(statement, inner):
                wanted = self.wanted(statement.target, inner)
            value = yield statement.value, inner, wanted, False
            with self._inside(statement, inner):
                self.bind_target(statement.target, value, inner)
        results = [self._result(result.name, result.type, inner, callee) for result in declaration.results]
        return results[0] if len(results) == 1 else tuple(results)

    @contextmanager
    def _inside(self, statement: Assignment, scope: Scope) -> Iterator[None]:
        """Errors of a statement's left side belong to the body, not to the call."""
        try:
            yield
        except RuleError as error:
            position = getattr(error, "position", statement.target.position)
            names = [identifier.name for identifier in targets(statement.target)]
            raise self.failure(LocatedError(str(error), position), statement.value, scope, names) from None

    def _generic(
        self, declaration: Fragment, given: dict[str, Value], written: str | None, node: Expression
    ) -> str | None:
        """What '?' stands for: what is written, else the declaration's default, else what the arguments show."""
        if declaration.generic is None:
            return None
        if written is not None:
            generic: str | None = written
        elif declaration.generic not in ("", "?"):
            generic = declaration.generic
        else:
            bound = [(p, given[p.name]) for p in declaration.parameters if p.name in given]
            generic = deduce(bound, self.dialect.integers_as_scalars)
        if not generic:
            self._fitted(declaration, given, None, node)  # arguments of another structure show nothing
            name = clip(declaration.name)
            raise RuleError(f"the type cannot be deduced from the arguments: write {name}<scalar>(...)")
        return generic

    def _fitted(
        self, declaration: Fragment, given: dict[str, Value], generic: str | None, node: Expression
    ) -> dict[str, Value]:
        """Every parameter's value in its type, defaults filled in. Raises RuleError at the argument's place."""
        values: dict[str, Value] = {}
        for parameter in declaration.parameters:
            if parameter.name in given:
                value = given[parameter.name]
            else:
                assert parameter.default is not None
                value = evaluate.constant(parameter.default)
            try:
                values[parameter.name] = self.caster.fit(value, parameter.type, generic)
            except RuleError as error:
                position = _argument_place(node, parameter.name, declaration)
                raise LocatedError(f"argument '{parameter.name}': {error}", position) from None
        return values

    def _entered(
        self, callee: Callee, values: dict[str, Value], generic: str | None, node: Expression, scope: Scope,
        names: Names,
    ) -> Scope:  # fmt: skip
        """The scope of a body."""
        declaration = callee.declaration
        if scope.depth >= MAX_DEPTH:
            raise RuleError(f"fragments call each other more than {MAX_DEPTH} levels deep (a recursion without end?)")
        self.budget.spend(CALL_COST)
        results = [result.name for result in declaration.results]
        structure: list[Names]
        if len(results) == 1:
            structure = [names]
        elif isinstance(names, tuple) and len(names) == len(results):
            structure = list(names)
        else:
            structure = [derived(first(names), name) for name in results]
        return Scope(
            values=values, body=declaration.body or (), fixed=frozenset(values),
            names=dict(zip(results, structure, strict=True)), prefix=first(names), generic=generic,
            fragment=declaration.name, position=node.position, caller=scope,
            builtin=callee.op is not None, depth=scope.depth + 1,
        )  # fmt: skip

    def _result(self, name: str, type: Type, scope: Scope, callee: Callee) -> Value:
        if name not in scope.values:
            raise RuleError(f"result '{clip(name)}' is never assigned in the fragment")
        try:
            return self.caster.fit(scope.values[name], type, scope.generic)
        except RuleError as error:
            raise RuleError(f"result '{clip(name)}': {error}") from None

    # Nodes -------------------------------------------------------------------------------------------------
    def _primitive(
        self, callee: Callee, values: dict[str, Value], generic: str | None, position: SourcePosition, scope: Scope,
        names: Names,
    ) -> Value:  # fmt: skip
        """Adds one node (or input, or constant). Raises RuleError where the shape rule does."""
        op = callee.op
        assert op is not None
        if op.infer is None:
            kind = generic or "scalar"
            inside = scope.caller is not None
            return self.introducer.introduce(op.name, values, kind, position, first(names), inside=inside)
        if len(self.builder.nodes) >= MAX_NODES:
            raise RuleError(f"the graph has more than {MAX_NODES} operations")
        inputs: list[str] = []
        attrs: dict[str, Any] = {}
        for parameter in callee.declaration.parameters:
            value = values[parameter.name]
            if not holds_tensors(parameter.type):
                attrs[parameter.name] = frozen(value)
            else:
                inputs += [t.name for t in (value if isinstance(value, list) else [value])]  # type: ignore[union-attr]
        shapes = op.infer_shapes([self.builder.tensors[name].shape for name in inputs], attrs)
        return self._node(op, inputs, attrs, shapes, generic, str(scope.place(position)), names)

    def _node(
        self, op: Op, inputs: list[str], attrs: dict[str, Any], shapes: list[Shape], generic: str | None, position: str,
        names: Names,
    ) -> Value:  # fmt: skip
        results = op.declaration.results
        is_array = isinstance(results[0].type, ArrayType)
        if is_array and isinstance(names, str) and not self.dialect.array_identifiers:
            raise RuleError("its array of results must be unpacked with [a, b] = ...")
        kinds = [element(result.type, generic) for result in results] * (len(shapes) if is_array else 1)
        single = len(results) == 1 and not is_array
        checked = [self.introducer.checked(shape) for shape in shapes]
        specs = [TensorSpec(shape, DEFAULT[kind]) for shape, kind in zip(checked, kinds, strict=True)]
        outputs: list[str] = []
        for name, spec in zip(result_names(names, len(shapes), single), specs, strict=True):
            outputs.append(self.builder.add_tensor(self.builder.unique(name), spec))
        self.builder.nodes.append(Node(op.name, tuple(inputs), tuple(outputs), attrs, position=position))
        tensors = [Tensor(name, kind) for name, kind in zip(outputs, kinds, strict=True)]
        if single:
            return tensors[0]
        return tensors if is_array else tuple(tensors)

    # Errors ------------------------------------------------------------------------------------------------
    def failure(
        self, error: RuleError, expression: Expression, scope: Scope, names: Names, around: Sequence[Request] = ()
    ) -> ModelError:
        """The error with its place in the file, its tensor, and its operation: the innermost of those around it."""
        position = getattr(error, "position", expression.position)
        own = [expression, *(part for part, place, *_ in reversed(around) if place.depth == scope.depth)]
        op = next((clip(operation(part)) for part in own if type(part) in NAMED), "")
        tensor = clip(first(names))
        message = str(error)
        while scope.builtin and scope.caller is not None:
            # A recursion is named once.
            message = f"{op}: {message}" if op and op != scope.fragment else message
            op, position, tensor = clip(scope.fragment), scope.position, clip(scope.prefix)
            scope = scope.caller
        for _ in range(3):
            if scope.caller is None:
                break
            message += f" (in fragment '{clip(scope.fragment)}', called at {scope.caller.place(scope.position)})"
            scope = scope.caller
        kind = UnsupportedError if isinstance(error, MissingError) else ModelError
        return kind(message, where=position, op=op, tensor=tensor)


class MissingError(RuleError):
    """Legal NNEF that is not there yet: becomes an UnsupportedError."""


FLAT = (Invocation, ArrayExpression, TupleExpression)
"""Expressions of the flat syntax, next to literals and identifiers."""

NAMED = (Invocation, Unary, Binary, Conditional)
"""Expressions that may become an operation of their own."""


def operation(expression: Expression) -> str:
    """The operation an expression stands for."""
    if isinstance(expression, Invocation):
        return expression.name
    if isinstance(expression, Unary):
        return evaluate.UNARY[expression.op]
    if isinstance(expression, Binary):
        return evaluate.BINARY.get(expression.op, expression.op)
    return "select"


def derived(prefix: str, name: str) -> str:
    """A name no identifier of the file can have; short, however deep the fragments."""
    return f"{prefix[:120]}.{name[:60]}"


def first(names: Names) -> str:
    """The first of the names."""
    while not isinstance(names, str):
        names = names[0] if names else ""
    return names


def _named_items(node: ArrayExpression | TupleExpression, names: Names) -> Iterator[tuple[Expression, Names, bool]]:
    """Each item, its names, and whether it is a part of what is named so: items that a left side unpacks are not."""
    unpacked = not isinstance(names, str) and len(names) == len(node.items)
    for number, item in enumerate(node.items):
        yield item, names[number] if unpacked else names, not unpacked


def result_names(names: Names, count: int, single: bool) -> list[str]:
    """One name per result of a node."""
    if isinstance(names, str):
        return [names] if single else [derived(names, str(number)) for number in range(count)]
    if len(names) == count and all(isinstance(name, str) for name in names):
        return list(names)
    return [derived(first(names), str(number)) for number in range(count)]


def targets(target: Expression) -> list[Identifier]:
    """The identifiers of a left side, in order."""
    found: list[Identifier] = []
    rest = [target]
    while rest:
        item = rest.pop()
        if isinstance(item, Identifier):
            found.append(item)
        elif isinstance(item, (ArrayExpression, TupleExpression)):
            rest += reversed(item.items)
    return found


def frozen(value: Value) -> Any:
    """An attribute as it stands in a node: arrays as tuples."""
    return tuple(frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def element(type: Type, generic: str | None) -> str:
    """Element type of a result. Raises RuleError where tensors cannot have it."""
    if isinstance(type, ArrayType):
        return element(type.item, generic)
    assert isinstance(type, TensorType), type
    kind = generic if type.element == "?" else type.element
    if kind not in DEFAULT:
        raise RuleError(f"there are no tensors of type {kind}")
    return kind


def _copy_of(scope: Scope, values: MutableMapping[str, Value]) -> Scope:
    """The same place with other values: the inside of a loop."""
    return Scope(
        values, scope.body, scope.fixed, scope.names, scope.prefix, scope.generic, scope.fragment, scope.position,
        scope.caller, scope.builtin, scope.depth,
    )  # fmt: skip


def _argument_place(node: Expression, name: str, declaration: Fragment) -> SourcePosition:
    """Where the argument stands, or the expression where it stands nowhere."""
    if isinstance(node, Invocation):
        for number, argument in enumerate(node.arguments):
            if (argument.name or declaration.parameters[number].name) == name:
                return argument.position
    return node.position


