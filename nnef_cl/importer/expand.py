"""Evaluate expressions and invocations into nodes, expanding compounds and the file's fragments inline (section 3.3).

Expressions may nest and fragments may call each other deeply: every kind of expression is a generator that asks for
the values of its parts, and one loop runs them all, so that nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
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
    TupleExpression,
    Type,
    Unary,
    built,
)
from nnef_cl.importer import evaluate
from nnef_cl.importer.arguments import bind, suggestion
from nnef_cl.importer.departures import check_operation
from nnef_cl.importer.dialect import (
    ARGUMENTS,
    ARRAY_IDENTIFIERS,
    ASSIGNMENTS,
    EXPRESSIONS,
    IDENTIFIERS,
    INTEGERS_AS_SCALARS,
    INVOCATIONS,
    SHAPE_OF,
    TENSOR_CONDITIONS,
    TUPLE_SUBSCRIPTS,
    TYPES,
    UNSUPPORTED,
)
from nnef_cl.importer.introduce import Introducer
from nnef_cl.importer.report import LocatedError, Place, Report
from nnef_cl.importer.scope import (
    NAMED,
    Callee,
    Names,
    Scope,
    argument_place,
    derived,
    element,
    first,
    frozen,
    named_items,
    operation,
    result_names,
    targets,
)
from nnef_cl.importer.types import (
    UNKNOWN,
    Budget,
    Caster,
    LimitError,
    Tensor,
    Value,
    clip,
    deduce,
    describe,
    has_unknown,
    holds_tensors,
)
from nnef_cl.ir.dtype import DEFAULT
from nnef_cl.ir.graph import GraphBuilder, Node
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.base import Op, Table
from nnef_cl.settings import FRAGMENT_DEPTH, OPERATIONS

CERTAIN = (IDENTIFIERS.name, INVOCATIONS.name, UNSUPPORTED.name)
"""Rules that a branch breaks whether it is taken or not."""

CALL_COST = 20
"""What expanding a fragment takes of the budget: as much as an array of that length."""

Request = tuple[Expression, Scope, Names, bool]
"""Expression, where it stands, names of its results, and whether it is a part of what is named so."""

Steps = Generator[Request, Value, Value]


INTRODUCERS = ("external", "variable", "constant", "update")
"""Operations with a meaning beyond their results."""

GRAPH_ONLY = ("external", "variable", "update")
"""Operations that no fragment may use."""


class MissingError(RuleError):
    """Legal NNEF that nothing here can compute: becomes an UnsupportedError."""


class Expander:
    """Turns expressions into values, adding the nodes they stand for to the builder.

    Where the report collects errors, an expression with one is UNKNOWN, and so is what depends on it.
    unsound: fragments that must not be expanded. lost: names whose definitions could not be read.
    stack: what waits for its parts, and the innermost expression that names an operation around each part.
    """

    def __init__(
        self, builder: GraphBuilder, table: Table, fragments: Mapping[str, Fragment], report: Report,
        introducer: Introducer, caster: Caster, budget: Budget,
    ) -> None:  # fmt: skip
        self.builder, self.table, self.fragments, self.report = builder, table, fragments, report
        self.introducer, self.caster, self.budget = introducer, caster, budget
        self.unsound: set[str] = set()
        self.lost: frozenset[str] = frozenset()
        self.stack: list[tuple[Request, Steps, Expression | None]] = []
        self.here: Request | None = None
        self.argument: tuple[Expression, str, Fragment] | None = None

    # The loop ----------------------------------------------------------------------------------------------
    def assign(self, statement: Assignment, scope: Scope) -> None:
        """One statement of the graph. Raises ModelError."""
        names: Names | None = None
        with self._left_side(statement, scope):
            names = self.wanted(statement.target, scope)
        value = self.evaluate(statement.value, scope, "?" if names is None else names)
        if names is not None:
            with self._left_side(statement, scope):
                self.bind_target(statement.target, value, scope)

    def evaluate(self, expression: Expression, scope: Scope, names: Names) -> Value:
        """The value of an expression. Raises ModelError with the place of the part that is wrong."""
        stack = self.stack = []
        self.report.place = self._place
        request: Request | None = (expression, scope, names, False)
        value: Value | None = None
        while request or stack:
            self.here = where = request or stack[-1][0]
            try:
                if request is None:
                    request = stack[-1][1].send(value)  # type: ignore[arg-type]
                    value = None
                elif type(request[0]) is Literal:
                    value, request = request[0].value, None
                elif type(request[0]) is Identifier:
                    value, request = self.lookup(request[0].name, request[1]), None
                else:
                    self.budget.wait(len(stack) + 1)
                    stack.append((request, self._steps(*request), self._named(*request[:2])))
                    request = None
            except StopIteration as stop:
                value = stop.value
                stack.pop()
            except (RuleError, ModelError) as error:
                wrong = error if isinstance(error, ModelError) else self.failure(error, *where[:3])
                if not self.report.collecting:
                    raise wrong from None
                self._keep(wrong, where[1])
                if isinstance(error, LimitError) or self.report.full:
                    stack.clear()
                elif request is None:
                    stack.pop()
                value, request = UNKNOWN, None
        assert value is not None
        return value

    def _has_unknown(self, value: Value) -> bool:
        """Nothing is unknown unless the report collects errors."""
        return self.report.collecting and has_unknown(value, self.budget)

    def _keep(self, error: ModelError, scope: Scope) -> None:
        """For the report, unless it is about values that may not come to be."""
        if not scope.doubtful or error.rule in CERTAIN:
            self.report.fail(error)

    def _place(self) -> Place:
        """Where the evaluation is: place in the file, operation, tensor."""
        if self.here is None:
            return None, "", ""
        expression, scope, names, _ = self.here
        position = argument_place(*self.argument) if self.argument else expression.position
        op = operation(expression) if type(expression) in NAMED else ""
        return scope.place(position), clip(op), clip(first(names))

    def _named(self, expression: Expression, scope: Scope) -> Expression | None:
        """The innermost expression that names an operation: this one, or one around it in the same body."""
        if type(expression) in NAMED:
            return expression
        around = self.stack[-1] if self.stack else None
        return around[2] if around and around[0][1].depth == scope.depth else None

    def _steps(self, expression: Expression, scope: Scope, names: Names, part: bool) -> Steps:
        self.budget.spend()
        kind = type(expression)
        if part:
            names = first(names)
            if kind in NAMED:
                names = derived(names, operation(expression))
        steps: Steps = self.HANDLERS[kind](self, expression, scope, names)
        return steps

    def lookup(self, name: str, scope: Scope) -> Value:
        """The value of an identifier. Raises RuleError where it has none yet."""
        value = scope.values.get(name)
        if value is not None:
            return value
        if name in self.lost:
            return UNKNOWN
        line = scope.assigned_in(name)
        if line is not None:
            reason = f"is used before it is assigned in line {line} (a cycle, or statements out of order)"
        elif name in scope.fixed:
            reason = "is used, but nothing assigns it"
        else:
            reason = f"is not defined{suggestion(name, scope.values)}"
        raise RuleError(f"'{clip(name)}' {reason}", IDENTIFIERS.name)

    # Left sides --------------------------------------------------------------------------------------------
    def wanted(self, target: Expression, scope: Scope) -> Names:
        """What the tensors of a left side are to be called. Raises RuleError for an identifier that has a value."""

        def name(identifier: Expression) -> Names:
            assert isinstance(identifier, Identifier)
            self._check_new(identifier, scope)
            return scope.names.get(identifier.name) or self._local(identifier.name, scope)

        names: Names = built(target, name)
        seen: set[str] = set()
        for identifier in targets(target):
            if identifier.name in seen:
                twice = f"'{clip(identifier.name)}' is assigned twice"
                raise LocatedError(twice, identifier.position, IDENTIFIERS.name)
            seen.add(identifier.name)
        return names

    @staticmethod
    def _check_new(target: Identifier, scope: Scope) -> None:
        if target.name in scope.values:
            parameter = scope.caller and target.name in scope.fixed
            name = clip(target.name)
            message = f"parameter '{name}' must not be assigned" if parameter else f"'{name}' is assigned twice"
            raise LocatedError(message, target.position, IDENTIFIERS.name)

    @staticmethod
    def _local(name: str, scope: Scope) -> str:
        return derived(scope.prefix, name) if scope.caller else name

    def bind_target(self, target: Expression, value: Value, scope: Scope) -> None:
        """Gives the identifiers of a left side their values. Raises RuleError where the structure differs."""
        rest = [(target, value)]
        while rest:
            part, item = rest.pop()
            if item is UNKNOWN:
                for identifier in targets(part):
                    scope.values.setdefault(identifier.name, UNKNOWN)
            elif isinstance(part, Identifier):
                self._check_new(part, scope)
                scope.values[part.name] = item if scope.caller else self._graph_tensor(part, item, scope)
            else:
                rest += reversed(self._unpacked(part, item))

    @staticmethod
    def _unpacked(target: Expression, value: Value) -> list[tuple[Expression, Value]]:
        """The parts of a left side, each with its value. Raises RuleError where there are others."""
        assert isinstance(target, (ArrayExpression, TupleExpression))
        wanted = list if isinstance(target, ArrayExpression) else tuple
        if not isinstance(value, (list, tuple)) or not isinstance(value, wanted):
            what = "an array" if wanted is list else "several results"
            message = f"the left side unpacks {what}, the right side is {describe(value)}"
            raise RuleError(message, ASSIGNMENTS.name)
        if len(value) != len(target.items):
            message = f"the left side has {len(target.items)} items, the right side {len(value)}"
            raise RuleError(message, ASSIGNMENTS.name)
        return list(zip(target.items, value, strict=True))

    def _graph_tensor(self, target: Identifier, value: Value, scope: Scope) -> Value:
        """A graph's identifier is one tensor, of the same name: an alias becomes a copy."""
        name = target.name
        if self._has_unknown(value):
            return UNKNOWN
        if not isinstance(value, Tensor):
            hint = "; unpack it with [a, b] = ..." if isinstance(value, list) else ""
            message = f"'{clip(name)}' must be a tensor in the graph, got {describe(value)}{hint}"
            raise LocatedError(message, target.position, IDENTIFIERS.name)
        if name in scope.fixed and name not in self.introducer.externals:
            raise RuleError(f"graph parameter '{clip(name)}' must be defined by external", IDENTIFIERS.name)
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
        for item, name, part in named_items(node, names):
            items.append(item.value if type(item) is Literal else (yield item, scope, name, part))
        return items

    def _tuple(self, node: TupleExpression, scope: Scope, names: Names) -> Steps:
        items = []
        for item, name, part in named_items(node, names):
            items.append((yield item, scope, name, part))
        return tuple(items)

    def _unary(self, node: Unary, scope: Scope, names: Names) -> Steps:
        value = yield node.operand, scope, names, True
        if isinstance(value, Tensor):
            return (yield from self._operator(evaluate.UNARY[node.op], [value], node, scope, names))
        return value if value is UNKNOWN else evaluate.unary(node.op, value)

    def _binary(self, node: Binary, scope: Scope, names: Names) -> Steps:
        left = yield node.left, scope, names, True
        right = yield node.right, scope, names, True
        if self._has_unknown(left) or self._has_unknown(right):
            return UNKNOWN
        if node.op != "in" and (isinstance(left, Tensor) or isinstance(right, Tensor)):
            return (yield from self._operator(evaluate.BINARY[node.op], [left, right], node, scope, names))
        return evaluate.binary(node.op, left, right, self.caster)

    def _operator(self, name: str, operands: list[Value], node: Expression, scope: Scope, names: Names) -> Steps:
        """The operation an operator on tensors stands for."""
        callee = self.resolve(name, scope)
        parameters = callee.declaration.parameters
        if len(parameters) < len(operands):
            message = f"'{name}' takes {len(parameters)} arguments, the operator has {len(operands)}"
            raise RuleError(message, EXPRESSIONS.name)
        values = {parameter.name: value for parameter, value in zip(parameters, operands, strict=False)}
        return (yield from self._call(callee, values, None, node, scope, names))

    def _conditional(self, node: Conditional, scope: Scope, names: Names) -> Steps:
        """Only the chosen branch is evaluated."""
        condition = yield node.condition, scope, names, True
        if isinstance(condition, bool):
            return (yield node.value if condition else node.otherwise, scope, names, False)
        if condition is UNKNOWN:
            doubtful = scope.in_doubt()
            yield node.value, doubtful, names, True
            yield node.otherwise, doubtful, names, True
            return UNKNOWN
        if isinstance(condition, Tensor) and self.report.accepts(TENSOR_CONDITIONS):
            message = "the condition is a tensor; the expression is read as select"
            self.report.depart(TENSOR_CONDITIONS, message)
            value = yield node.value, scope, names, True
            otherwise = yield node.otherwise, scope, names, True
            return (yield from self._operator("select", [condition, value, otherwise], node, scope, names))
        hint = "; select takes tensors" if isinstance(condition, Tensor) else ""
        message = f"a condition must be a logical value known at compile time, got {describe(condition)}{hint}"
        raise RuleError(message, (TENSOR_CONDITIONS if hint else EXPRESSIONS).name)

    def _subscript(self, node: Subscript, scope: Scope, names: Names) -> Steps:
        value = yield node.value, scope, names, True
        index = yield node.index, scope, names, True
        if UNKNOWN in (value, index):
            return UNKNOWN
        if isinstance(value, tuple) and type(node.index) is not Literal and not scope.builtin:
            message = "the subscript of a tuple is not an integer literal"
            self.report.depart(TUPLE_SUBSCRIPTS, message, scope.place(node.index.position))
        return evaluate.subscript(value, index)

    def _range(self, node: Range, scope: Scope, names: Names) -> Steps:
        value = yield node.value, scope, names, True
        begin = None if node.begin is None else (yield node.begin, scope, names, True)
        end = None if node.end is None else (yield node.end, scope, names, True)
        if UNKNOWN in (value, begin, end):
            return UNKNOWN
        return evaluate.subrange(value, begin, end, self.budget)

    def _comprehension(self, node: Comprehension, scope: Scope, names: Names) -> Steps:
        arrays: list[Any] = []
        for name, expression in node.iterators:
            values = yield expression, scope, names, True
            if values is not UNKNOWN and not isinstance(values, list):
                raise RuleError(f"iterator '{clip(name)}' needs an array, got {describe(values)}", EXPRESSIONS.name)
            arrays.append(values)
        lengths = {len(values) for values in arrays if values is not UNKNOWN}
        if len(lengths) > 1:
            raise RuleError(f"the iterated arrays have different lengths: {sorted(lengths)}")
        if UNKNOWN in arrays:  # there may be no turn at all
            yield from self._turns(node, [[UNKNOWN]] * len(arrays), scope.in_doubt(), names)
            return UNKNOWN
        return (yield from self._turns(node, arrays, scope, names))

    def _turns(self, node: Comprehension, arrays: list[list[Value]], scope: Scope, names: Names) -> Steps:
        """The items of a loop, turn by turn; nothing is known where an item is not."""
        iterators = [name for name, _ in node.iterators]
        items = []
        with scope.shadowed(iterators):
            for row in zip(*arrays, strict=True):
                self.budget.spend(len(row))
                scope.values.update(zip(iterators, row, strict=True))
                chosen = True if node.condition is None else (yield node.condition, scope, names, True)
                if not isinstance(chosen, bool) and chosen is not UNKNOWN:
                    raise RuleError(f"the filter of a loop must be a logical value, got {describe(chosen)}")
                if chosen is False:
                    continue
                item = yield node.item, (scope.in_doubt() if chosen is UNKNOWN else scope), names, True
                if UNKNOWN in (chosen, item):
                    return UNKNOWN
                items.append(item)
        return items

    def _builtin(self, node: Builtin, scope: Scope, names: Names) -> Steps:
        value = yield node.argument, scope, names, True
        if value is UNKNOWN:
            return UNKNOWN
        if node.name != "shape_of":
            return evaluate.builtin(node.name, value, self.budget)
        if isinstance(value, (list, tuple, str)):
            raise RuleError(f"shape_of needs a tensor, got {describe(value)}")
        self.report.depart(SHAPE_OF, "shape_of is deprecated since NNEF 1.0.1")
        return list(self.builder.tensors[value.name].shape) if isinstance(value, Tensor) else []

    def _invocation(self, node: Invocation, scope: Scope, names: Names) -> Steps:
        callee = self._resolved(node, scope)
        if callee is None:
            for argument in node.arguments:
                yield argument.value, scope, names, True
            return UNKNOWN
        bound, errors = bind(node, callee.declaration, self.report)
        for error in errors:
            self._flaw(error)
        values: dict[str, Value] = {}
        for name, argument in bound.items():
            values[name] = yield argument.value, scope, names, True
        generic = self._written_generic(node, callee.declaration, scope)
        if errors:
            self._fitted(callee.declaration, values, generic, node)
            return UNKNOWN
        return (yield from self._call(callee, values, generic, node, scope, names))

    def _resolved(self, node: Invocation, scope: Scope) -> Callee | None:
        """What the name stands for; None where an error about it is kept."""
        try:
            callee = self.resolve(node.name, scope)
            if callee.op is not None and node.name in GRAPH_ONLY and scope.caller is not None:
                raise RuleError("is allowed in the graph only, not in a fragment", IDENTIFIERS.name)
            return callee
        except RuleError as error:
            if node.name not in self.lost:
                self._flaw(error)
            return None

    def _flaw(self, error: RuleError) -> None:
        """An error of the present expression beside which there may be others."""
        if not self.report.collecting:
            raise error
        assert self.here is not None
        self._keep(self.failure(error, *self.here[:3]), self.here[1])

    @staticmethod
    def _written_generic(node: Invocation, declaration: Fragment, scope: Scope) -> str | None:
        """The type in `name<type>(...)`, with '?' replaced by the fragment's own."""
        if node.generic is None:
            return None
        if declaration.generic is None:
            raise RuleError(f"is not generic, but is called with <{node.generic}>", INVOCATIONS.name)
        if node.generic == "?":
            if scope.generic is None:
                raise RuleError("<?> is used where there is no generic type", INVOCATIONS.name)
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
        known = (*self.table, *self.fragments)
        raise RuleError(f"unknown operation '{clip(name)}'{suggestion(name, known)}", INVOCATIONS.name)

    def _call(
        self, callee: Callee, given: dict[str, Value], generic: str | None, node: Expression, scope: Scope, names: Names
    ) -> Steps:
        """Checks the values and adds a node, or expands the body."""
        declaration = callee.declaration
        generic = self._generic(declaration, given, generic, node)
        values = self._fitted(declaration, given, generic, node)
        if callee.body is None and callee.op is None:
            message = "is a custom operation without a body, which nothing here can compute"
            raise MissingError(message, UNSUPPORTED.name)
        if self.report.collecting and ((callee.op is None and declaration.name in self.unsound)
                                       or any(map(self._has_unknown, values.values()))):  # fmt: skip
            return UNKNOWN
        if callee.body is None:
            return self._primitive(callee, values, generic, node.position, scope, names)
        inner = self._entered(callee, values, generic, node, scope, names)
        for statement in callee.body:
            wanted: Names | None = None
            with self._left_side(statement, inner):
                wanted = self.wanted(statement.target, inner)
            value = yield statement.value, inner, "?" if wanted is None else wanted, False
            if wanted is not None:
                with self._left_side(statement, inner):
                    self.bind_target(statement.target, value, inner)
        results = [self._result(result.name, result.type, inner, callee) for result in declaration.results]
        return results[0] if len(results) == 1 else tuple(results)

    @contextmanager
    def _left_side(self, statement: Assignment, scope: Scope) -> Iterator[None]:
        """Errors of a statement's left side belong to the body, not to the call."""
        try:
            yield
        except RuleError as error:
            position = getattr(error, "position", statement.target.position)
            names = [identifier.name for identifier in targets(statement.target)]
            stack, self.stack = self.stack, []
            wrong = self.failure(LocatedError(str(error), position, error.rule), statement.value, scope, names)
            self.stack = stack
            if not self.report.collecting:
                raise wrong from None
            self._keep(wrong, scope)
            self.bind_target(statement.target, UNKNOWN, scope)

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
            generic = deduce(bound, self.report.accepts(INTEGERS_AS_SCALARS))
        if not generic and any(map(self._has_unknown, given.values())):
            return None
        if not generic:
            self._fitted(declaration, given, None, node)  # arguments of another structure show nothing
            name = clip(declaration.name)
            message = f"the type cannot be deduced from the arguments: write {name}<scalar>(...)"
            raise RuleError(message, INVOCATIONS.name)
        return generic

    def _fitted(
        self, declaration: Fragment, given: dict[str, Value], generic: str | None, node: Expression
    ) -> dict[str, Value]:
        """Every parameter's value in its type, defaults filled in. Raises RuleError at the argument's place."""
        values: dict[str, Value] = {}
        for parameter in declaration.parameters:
            if parameter.name in given:
                value = given[parameter.name]
            elif parameter.default is not None:
                value = evaluate.constant(parameter.default)
            else:
                value = UNKNOWN  # an argument that is missing has been reported
            self.argument = (node, parameter.name, declaration)
            try:
                values[parameter.name] = self.caster.fit(value, parameter.type, generic)
            except LimitError:
                raise
            except RuleError as error:
                values[parameter.name] = UNKNOWN
                position = argument_place(node, parameter.name, declaration)
                self._flaw(LocatedError(f"argument '{parameter.name}': {error}", position, error.rule or TYPES.name))
        self.argument = None
        return values

    def _entered(
        self, callee: Callee, values: dict[str, Value], generic: str | None, node: Expression, scope: Scope,
        names: Names,
    ) -> Scope:  # fmt: skip
        """The scope of a body."""
        declaration = callee.declaration
        if scope.depth >= self.budget.depth:
            message = f"fragments call each other more than {self.budget.depth} levels deep (a recursion without end?)"
            raise LimitError(f"{message} {FRAGMENT_DEPTH.hint}")
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
            builtin=callee.op is not None, depth=scope.depth + 1, doubtful=scope.doubtful,
        )  # fmt: skip

    def _result(self, name: str, type: Type, scope: Scope, callee: Callee) -> Value:
        if name not in scope.values:
            raise RuleError(f"result '{clip(name)}' is never assigned in the fragment", IDENTIFIERS.name)
        try:
            return self.caster.fit(scope.values[name], type, scope.generic)
        except RuleError as error:
            raise RuleError(f"result '{clip(name)}': {error}", error.rule) from None

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
            try:
                return self.introducer.introduce(op.name, values, kind, position, first(names), inside=inside)
            except RuleError as error:
                raise RuleError(str(error), error.rule or ARGUMENTS.name) from None
        if len(self.builder.nodes) >= self.budget.operations:
            raise LimitError(f"the graph has more than {self.budget.operations} operations {OPERATIONS.hint}")
        inputs: list[str] = []
        attrs: dict[str, Any] = {}
        for parameter in callee.declaration.parameters:
            value = values[parameter.name]
            if not holds_tensors(parameter.type):
                attrs[parameter.name] = frozen(value)
            else:
                inputs += [t.name for t in (value if isinstance(value, list) else [value])]  # type: ignore[union-attr]
        operands = [self.builder.tensors[name].shape for name in inputs]
        try:
            shapes = op.infer_shapes(operands, attrs)
        except RuleError as error:
            raise RuleError(str(error), error.rule or ARGUMENTS.name) from None
        check_operation(op, operands, attrs, self.report)
        return self._node(op, inputs, attrs, shapes, generic, scope, position, names)

    def _node(
        self, op: Op, inputs: list[str], attrs: dict[str, Any], shapes: list[Shape], generic: str | None, scope: Scope,
        position: SourcePosition, names: Names,
    ) -> Value:  # fmt: skip
        results = op.declaration.results
        is_array = isinstance(results[0].type, ArrayType)
        if is_array and isinstance(names, str) and not scope.builtin:
            self.report.depart(ARRAY_IDENTIFIERS, "its array of results must be unpacked with [a, b] = ...")
        kinds = [element(result.type, generic) for result in results] * (len(shapes) if is_array else 1)
        single = len(results) == 1 and not is_array
        checked = [self.introducer.checked(shape) for shape in shapes]
        specs = [TensorSpec(shape, DEFAULT[kind]) for shape, kind in zip(checked, kinds, strict=True)]
        outputs: list[str] = []
        for name, spec in zip(result_names(names, len(shapes), single), specs, strict=True):
            outputs.append(self.builder.add_tensor(self.builder.unique(name), spec))
        place = str(scope.place(position))
        self.builder.nodes.append(Node(op.name, tuple(inputs), tuple(outputs), attrs, position=place))
        tensors = [Tensor(name, kind) for name, kind in zip(outputs, kinds, strict=True)]
        if single:
            return tensors[0]
        return tensors if is_array else tuple(tensors)

    # Errors ------------------------------------------------------------------------------------------------
    def failure(self, error: RuleError, expression: Expression, scope: Scope, names: Names) -> ModelError:
        """The error with its place in the file, its tensor, and its operation: the innermost of those around it."""
        self.argument = None
        position = getattr(error, "position", expression.position)
        named = self._named(expression, scope)
        op = clip(operation(named)) if named is not None else ""
        tensor = clip(first(names))
        message = str(error)
        while scope.builtin and scope.caller is not None:
            # A recursion is named once.
            message = f"{op}: {message}" if op and op != scope.fragment else message
            op, position, tensor = clip(scope.fragment), scope.position, clip(scope.prefix)
            scope = scope.caller
        for _ in range(3):
            if scope.caller is None or scope.position is NOWHERE:
                break
            message += f" (in fragment '{clip(scope.fragment)}', called at {scope.caller.place(scope.position)})"
            scope = scope.caller
        kind = UnsupportedError if isinstance(error, MissingError) else ModelError
        return kind(message, where=position, op=op, tensor=tensor, rule=error.rule or EXPRESSIONS.name)
