"""Parse the text of graph.nnef and graph.quant into syntax records (NNEF 1.0.5, chapter 3)."""

from __future__ import annotations

import gc
import itertools
import math
import re
import threading
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format.syntax import (
    NOWHERE,
    Argument,
    ArrayExpression,
    ArrayType,
    Assignment,
    Binary,
    Builtin,
    Comprehension,
    Conditional,
    Departure,
    Document,
    Expression,
    Extension,
    Fragment,
    GraphDefinition,
    Identifier,
    Invocation,
    Literal,
    Parameter,
    PrimitiveType,
    QuantEntry,
    Range,
    Result,
    SourcePosition,
    Subscript,
    TensorType,
    TupleExpression,
    TupleType,
    Unary,
)
from nnef_cl.settings import NESTING, TOKENS

TYPE_DEPTH = 200
"""Levels a type may be nested. What walks types may therefore use recursion, which fits Python's stack; what walks
expressions may not."""
SPLIT = f"write parts of it as statements of their own {NESTING.hint}"

PRECEDENCE = {
    "in": 1,
    **dict.fromkeys(("&&", "||"), 2),
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/"), 5),
    "^": 6,
}
"""Binary operators, a higher number binding tighter; all are left-associative. The standard fixes neither."""


def parse_document(text: str | bytes, file: str = "graph.nnef") -> Document:
    """The whole of a graph.nnef. Raises ModelSyntaxError with file, line and column."""
    document: Document = _parse("document", decoded(text, file), SourcePosition(file, 1, 1))[0]
    return document


def parse_fragments(text: str, file: str = "<built-in>") -> tuple[Fragment, ...]:
    """Fragment definitions alone, with bodies or ';', any number of them. Raises ModelSyntaxError."""
    fragments: tuple[Fragment, ...] = _parse("fragments", decoded(text, file), SourcePosition(file, 1, 1))[0]
    return fragments


def parse_fragment(text: str, file: str = "<built-in>") -> Fragment:
    """Exactly one fragment definition, with a body or ';'. Raises ModelSyntaxError."""
    fragments = parse_fragments(text, file)
    if len(fragments) != 1:
        raise ModelSyntaxError(f"expected one fragment, found {len(fragments)}", where=file)
    return fragments[0]


def parse_quant_entries(text: str | bytes, file: str = "graph.quant") -> tuple[QuantEntry, ...]:
    """The entries of a graph.quant, in order. Raises ModelSyntaxError."""
    entries: tuple[QuantEntry, ...] = _parse("quantisation", decoded(text, file), SourcePosition(file, 1, 1))[0]
    return entries


def parse_piece(kind: str, text: str, origin: SourcePosition) -> tuple[Any, tuple[Departure, ...]]:
    """One piece of a text, a rule of the grammar that PIECES names, which begins at `origin`; and its departures.

    Raises ModelSyntaxError.
    """
    return _parse(kind, text, origin)


class TooLongError(ModelSyntaxError):
    """The text as a whole is not looked at."""


# Driving lark ----------------------------------------------------------------------------------------------
_LOCK = threading.Lock()  # lark calls one Builder, made with the tables, for every parse


TEXTS = ("document", "fragments", "quantisation")
PIECES = ("version", "extensions", "fragment", "graph", "assignment", "quant_entry")
"""Rules of the grammar with which a text begins."""


_TOKEN = re.compile(r"""#[^\n\f]*|"[^"\n]*"|'[^'\n]*'|[\w.]+|[^\s\w]""")


def _check_tokens(text: str, origin: SourcePosition) -> None:
    """Before anything is built: a text of signs alone would take a thousand times its size."""
    limit = TOKENS.value
    if len(text) <= limit:
        return
    beyond = next(itertools.islice((m for m in _TOKEN.finditer(text) if m[0][0] != "#"), limit, None), None)
    if beyond is not None:
        message = f"more than {limit} words and signs {TOKENS.hint}"
        raise TooLongError(message, where=place_of(text, beyond.start(), origin), rule="limits")


def _parse(start: str, text: str, origin: SourcePosition) -> tuple[Any, tuple[Departure, ...]]:
    _check_tokens(text, origin)
    with _LOCK, _collector_paused():
        lark, builder = _machine(TEXTS if start in TEXTS else PIECES)
        least = NESTING.default if origin.file == NOWHERE.file else 0  # declarations of operations are no files
        builder.begin(origin, max(NESTING.value, least))
        try:
            result = lark.parse(text, start)
            builder.check_integers()
            return result, tuple(builder.departures)
        except UnexpectedInput as error:
            wrong = _readable(error, text, origin)
        except ModelSyntaxError as error:
            wrong = error.with_traceback(None)
        finally:
            builder.begin(NOWHERE)
    raise wrong  # here, where it does not hold everything that was read up to it


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Records hold no cycles: looking for some among millions of new ones takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@cache
def _machine(starts: tuple[str, ...]) -> tuple[Lark, Builder]:
    """The parse tables: built on first use, about 50 ms."""
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    builder = Builder()
    return Lark(grammar, parser="lalr", lexer="basic", start=list(starts), transformer=builder), builder


def decoded(text: str | bytes, file: str) -> str:
    """Text without byte order mark; UTF-8 is let through for comments and strings. Raises ModelSyntaxError."""
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = bytes(text[: error.start]).decode("utf-8", "replace")
        found = f"byte 0x{text[error.start]:02x} is not UTF-8 text"
        where = place_of(before, len(before), SourcePosition(file, 1, 1))
        raise ModelSyntaxError(found, where=where) from None


N = TypeVar("N")


# From tokens to records ------------------------------------------------------------------------------------
class Builder(Transformer[Token, Any]):
    """Makes one record of each grammar rule; lark calls the method of the rule's name with its children."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(NOWHERE)

    def begin(self, origin: SourcePosition, most: int = NESTING.default) -> None:
        """Forget the last text and start on another. most: levels of nesting."""
        self.origin, self.most = origin, most
        self.brackets = self.conditions = 0
        self.depths: dict[int, int] = {}
        self.too_large: dict[int, Literal] = {}
        self.departures: list[Departure] = []

    def depart(self, rule: str, message: str, position: SourcePosition) -> None:
        self.departures.append(Departure(rule, message, position))

    def at(self, token: Token) -> SourcePosition:
        return within(self.origin, token.line or 0, token.column or 0)

    def check_integers(self) -> None:
        """2^63 is legal directly behind a minus sign only."""
        for literal in self.too_large.values():
            raise ModelSyntaxError(f"integer {literal.value} does not fit 64 bits", where=literal.position)

    def deep(self, node: N, children: Iterable[object], position: SourcePosition) -> N:
        """`node`, unless it is nested too deeply. Leaves are not in the table of depths."""
        if self._depth(node, children) > self.most:
            message = f"nested more than {self.most} levels deep (each operator of a chain is a level); {SPLIT}"
            raise ModelSyntaxError(message, where=position, rule="limits")
        return node

    def deep_type(self, node: N, children: Iterable[object], position: SourcePosition) -> N:
        """The same for a type."""
        if self._depth(node, children) > TYPE_DEPTH:
            message = f"a type nested more than {TYPE_DEPTH} levels deep; this limit is fixed"
            raise ModelSyntaxError(message, where=position, rule="limits")
        return node

    def _depth(self, node: object, children: Iterable[object]) -> int:
        depth = 1
        if self.depths:
            depth += max((self.depths.get(id(child), 0) for child in children), default=0)
        self.depths[id(node)] = depth
        return depth

    # Brackets and conditions are counted as they open, so that a text of nothing else is refused at once.
    def _open(self, token: Token) -> Token:
        self.brackets += 1
        if self.brackets > self.most:
            message = f"brackets nested more than {self.most} levels deep; {SPLIT}"
            raise ModelSyntaxError(message, where=self.at(token), rule="limits")
        return token

    def _close(self, token: Token) -> Token:
        self.brackets -= 1
        return token

    def _if(self, token: Token) -> Token:
        self.conditions += 1
        if self.conditions > self.most:
            message = f"conditions nested more than {self.most} levels deep; {SPLIT}"
            raise ModelSyntaxError(message, where=self.at(token), rule="limits")
        return token

    LSQB = LPAR = _open
    RSQB = RPAR = _close
    IF = _if

    # Documents
    def document(self, children: list[Any]) -> Document:
        version, extensions, fragments, graph = children
        return Document(version, extensions, fragments, graph, tuple(self.departures))

    def version(self, children: list[Any]) -> str:
        version, number = children
        if not re.fullmatch(r"1(\.[0-9]+)?", number):
            raise ModelSyntaxError(f"NNEF version {_shown(number)} is not 1.x", where=self.at(version))
        if "." not in number:
            self.depart("version-numbers", f"version {number} has no minor number", self.at(version))
        return str(number)

    def extensions(self, tokens: list[Token]) -> tuple[Extension, ...]:
        return tuple(self._extension(token) for token in tokens)

    def _extension(self, token: Token) -> Extension:
        """Behind a vendor's name any text up to the ';' may stand."""
        text = re.sub(r"#[^\n\f]*", " ", token[len("extension") : -1])
        words, position = tuple(re.findall(r"[^\s,]+", text)), self.at(token)
        if not words or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", words[0]):
            found = _shown(words[0] if words else ";")
            raise ModelSyntaxError(f"found {found}, expected the name of an extension", where=position)
        if not re.fullmatch(r"[A-Za-z0-9_\s]*", text):
            message = f"extension {_shown(words[0])} is followed by more than identifiers"
            self.depart("extension-lists", message, position)
        return Extension(words, position)

    def fragments(self, children: list[Fragment]) -> tuple[Fragment, ...]:
        return tuple(children)

    def graph(self, children: list[Any]) -> GraphDefinition:
        keyword, name, parameters, results, body = children
        self._check_lists("graph", name, parameters, results, keyword)
        if not body:
            self.depart("empty-graphs", f"graph '{_shown(name)[1:-1]}' has no assignment", self.at(keyword))
        return GraphDefinition(str(name), parameters, results, body, self.at(keyword))

    def fragment(self, children: list[Any]) -> Fragment:
        keyword, name, generic, parameters, results, *body = children
        if generic is not None and "?" not in generic:
            raise ModelSyntaxError(f"found {_shown(generic)}, expected '<?>'", where=self.at(generic))
        default = None if generic is None else generic.strip("<>?= \t\v\f\r\n")
        self._check_lists("fragment", name, parameters, results, keyword)
        if body and not body[0]:
            self.depart("empty-graphs", f"fragment '{_shown(name)[1:-1]}' has no assignment", self.at(keyword))
        return Fragment(str(name), default, parameters, results, body[0] if body else None, self.at(keyword))

    def _check_lists(self, what: str, name: Token, parameters: Sized, results: Sized, keyword: Token) -> None:
        missing = "parameter" if not parameters else "" if results else "result"
        if missing:
            self.depart("empty-lists", f"{what} '{_shown(name)[1:-1]}' has no {missing}", self.at(keyword))

    def names(self, children: list[Identifier]) -> tuple[Identifier, ...]:
        return tuple(children)

    parameters = results = settings = body = iterators = names

    def parameter(self, children: list[Any]) -> Parameter:
        name, kind, default = children
        return Parameter(str(name), kind, default, self.at(name))

    def result(self, children: list[Any]) -> Result:
        name, kind = children
        return Result(str(name), kind, self.at(name))

    def quantisation(self, children: list[QuantEntry]) -> tuple[QuantEntry, ...]:
        return tuple(children)

    def quant_entry(self, children: list[Any]) -> QuantEntry:
        tensor, operation, settings = children
        return QuantEntry(_unquoted(tensor), str(operation), settings, self.at(tensor))

    # Types
    def primitive_type(self, children: list[Token]) -> PrimitiveType:
        return PrimitiveType(str(children[0]) if children else "?")

    def tensor_type(self, children: list[Token]) -> TensorType:
        return TensorType(_element(children[0]))

    def array_type(self, children: list[Any]) -> ArrayType:
        item, bracket = children
        return self.deep_type(ArrayType(item), [item], self.at(bracket))

    def tuple_type(self, children: list[Any]) -> TupleType:
        bracket, *items = children
        return self.deep_type(TupleType(tuple(items)), items, self.at(bracket))

    # Statements
    def assignment(self, children: list[Any]) -> Assignment:
        target, value = children
        if self.depths.get(id(target), 0) > TYPE_DEPTH:
            message = f"a left side nested more than {TYPE_DEPTH} levels deep; this limit is fixed"
            raise ModelSyntaxError(message, where=target.position, rule="limits")
        self.depths.clear()
        return Assignment(target, value, target.position)

    def bare_tuple(self, children: list[Any]) -> TupleExpression:
        position = children[0].position
        return self.deep(TupleExpression(tuple(children), position), children, position)

    # Expressions
    def identifier(self, children: list[Token]) -> Identifier:
        return Identifier(str(children[0]), self.at(children[0]))

    def number(self, children: list[Token]) -> Literal:
        token = children[0]
        value = _number(token)
        if value is None or value == math.inf:
            what = "integer" if token.isdigit() else "number"
            raise ModelSyntaxError(f"{what} {_shown(token)} does not fit 64 bits", where=self.at(token))
        literal = Literal(value, self.at(token))
        if value == 2**63 and isinstance(value, int):
            self.too_large[id(literal)] = literal
        return literal

    def string(self, children: list[Token]) -> Literal:
        token = children[0]
        if not token.isascii() or not token.isprintable() or re.search(r"(?<!\\)(\\\\)*\\[^\\'\"]", token):
            message = f"the string {_shown(token)} holds more than printable ASCII characters and escaped quotes"
            self.depart("string-characters", message, self.at(token))
        return Literal(_unquoted(token), self.at(token))

    def logical(self, children: list[Token]) -> Literal:
        return Literal(children[0] == "true", self.at(children[0]))

    def array_expression(self, children: list[Any]) -> ArrayExpression:
        position = self.at(children.pop(0))
        return self.deep(ArrayExpression(tuple(children), position), children, position)

    def tuple_expression(self, children: list[Any]) -> TupleExpression:
        position = self.at(children.pop(0))
        return self.deep(TupleExpression(tuple(children), position), children, position)

    def positional(self, children: list[Any]) -> Argument:
        return Argument(None, children[0], children[0].position)

    def named(self, children: list[Any]) -> Argument:
        name, value = children
        return Argument(str(name), value, self.at(name))

    def invocation(self, children: list[Any]) -> Invocation:
        name, generic, *arguments = children
        position = self.at(name)
        element = None if generic is None else _element(generic)
        node = Invocation(str(name), element, tuple(arguments), position)
        return self.deep(node, [argument.value for argument in arguments], position)

    def builtin(self, children: list[Any]) -> Builtin:
        name, argument = children
        return self.deep(Builtin(str(name), argument, self.at(name)), [argument], self.at(name))

    def subscript(self, children: list[Any]) -> Subscript:
        value, index = children
        return self.deep(Subscript(value, index, value.position), children, value.position)

    def range_expression(self, children: list[Any]) -> Range:
        value, begin, end = children
        return self.deep(Range(value, begin, end, value.position), children, value.position)

    def iterator(self, children: list[Any]) -> tuple[str, Expression]:
        name, _, values = children
        return str(name), values

    def comprehension(self, children: list[Any]) -> Comprehension:
        bracket, iterators, condition, item = children
        self.conditions -= condition is not None
        node = Comprehension(iterators, condition, item, self.at(bracket))
        return self.deep(node, [*(values for _, values in iterators), condition, item], node.position)

    def conditional(self, children: list[Any]) -> Conditional:
        value, condition, otherwise = children
        self.conditions -= 1
        return self.deep(Conditional(value, condition, otherwise, value.position), children, value.position)

    def unary(self, children: list[Any]) -> Literal | Unary:
        """A sign before a number becomes part of it."""
        sign, operand = children
        position = self.at(sign)
        if sign != "!" and isinstance(operand, Literal) and type(operand.value) in (int, float):
            if sign == "-":
                self.too_large.pop(id(operand), None)
            assert isinstance(operand.value, (int, float))
            return Literal(-operand.value if sign == "-" else operand.value, position)
        return self.deep(Unary(str(sign), operand, position), [operand], position)

    def chain(self, children: list[Any]) -> Expression:
        """operand (operator operand)* -> nested Binary, by precedence and from the left."""
        operands: list[Expression] = [children[0]]
        operators: list[str] = []
        for operator, operand in zip(children[1::2], children[2::2], strict=True):
            while operators and PRECEDENCE[operators[-1]] >= PRECEDENCE[operator]:
                self._reduce(operands, operators)
            operators.append(str(operator))
            operands.append(operand)
        while operators:
            self._reduce(operands, operators)
        return operands[0]

    def _reduce(self, operands: list[Expression], operators: list[str]) -> None:
        """The last operator takes the last two operands."""
        right, left = operands.pop(), operands.pop()
        node = Binary(operators.pop(), left, right, left.position)
        operands.append(self.deep(node, (left, right), left.position))


def _element(token: Token) -> str:
    """`< scalar >` -> 'scalar', `<>` -> ''."""
    return token.strip("<> \t\v\f\r\n")


def _unquoted(token: Token) -> str:
    """A backslash escapes the quote that encloses the string, and itself; before anything else it is kept."""
    return re.sub(rf"\\([\\{token[0]}])", r"\1", token[1:-1])


def _number(token: Token) -> int | float | None:
    """An int where there is neither point nor exponent; None where it is larger than 2^63."""
    if not token.isdigit():
        return float(token)
    digits = token.lstrip("0")
    value = int(digits or "0") if len(digits) < 20 else 2**64
    return value if value <= 2**63 else None


# Wording of errors -----------------------------------------------------------------------------------------
VALUE = {"IDENTIFIER", "NUMBER", "STRING", "TRUE", "FALSE", "LSQB", "LPAR", "SIGN", "NOT", "TYPE", "BUILTIN"}
CONSTANT = {"NUMBER", "STRING", "TRUE", "FALSE", "LSQB", "LPAR", "SIGN"}
OPERATION = {"SIGN", "OPERATOR", "IN"}
CONTINUATIONS = {"LPAR", "LSQB", "ELEMENT", "EQUAL", "IF"}
TYPES = {"TYPE", "TENSOR", "LPAR", "QMARK"}
GROUPS = ((VALUE, "an expression"), (CONSTANT, "a constant"), (OPERATION, "an operator"), (TYPES, "a type"))

WORDS = {
    "$END": "the end of the text", "IDENTIFIER": "an identifier", "NUMBER": "a number", "STRING": "a string",
    "ELEMENT": "an element type such as '<scalar>'", "ANY_ELEMENT": "'<>'", "GENERIC": "'<? = type>'", "SIGN": "'-'",
    "EXTENSION": "'extension'", "LSQB": "'['", "RSQB": "']'", "LPAR": "'('", "RPAR": "')'", "LBRACE": "'{'",
    "RBRACE": "'}'", "COMMA": "','", "COLON": "':'", "SEMICOLON": "';'", "EQUAL": "'='", "ARROW": "'->'",
}  # fmt: skip
"""Names of terminals that are not plain keywords, for people."""


def _readable(error: UnexpectedInput, text: str, origin: SourcePosition) -> ModelSyntaxError:
    """What was found and what was expected instead, in plain words."""
    if isinstance(error, UnexpectedCharacters):
        place = within(origin, error.line, error.column)
        return ModelSyntaxError(_strange(text, error.pos_in_stream or 0), where=place)
    assert isinstance(error, UnexpectedToken)
    accepted = _expected(error.accepts or error.expected)
    if error.token.type == "$END":
        place = place_of(text, len(text), origin)
        return ModelSyntaxError(f"the text ends too early, expected {accepted}", where=place)
    place = within(origin, error.line, error.column)
    keyword = "keyword " if error.token.type != "IDENTIFIER" and error.token.isidentifier() else ""
    return ModelSyntaxError(f"found {keyword}{_shown(error.token)}, expected {accepted}", where=place)


def _expected(terminals: Iterable[str]) -> str:
    """Terminal names in words: "an identifier, ',' or ')'"."""
    left, words = set(terminals), []
    if left >= OPERATION:  # what else may follow an operand would only make the list long
        left -= CONTINUATIONS
    for group, word in GROUPS:
        if group <= left:
            left -= group
            words.append(word)
    words += sorted(WORDS.get(name, f"'{name.lower()}'") for name in left)
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _strange(text: str, start: int) -> str:
    """Why no token begins here."""
    if text[start] in "'\"":
        string = text[start : start + 40].splitlines()[0]
        return f"the string {_shown(string)} has no closing quote on its line"
    return f"found {_shown(text[start])}, which has no meaning here"


def _shown(text: str) -> str:
    """Quoted, in printable characters, and not too long."""
    return ascii(str(text) if len(text) <= 40 else f"{text[:37]}...")


def within(origin: SourcePosition, line: int, column: int) -> SourcePosition:
    """A place in a piece of text as one in the text; origin: where the piece begins."""
    if line == 1:
        column += origin.column - 1
    return SourcePosition(origin.file, line + origin.line - 1, column)


def place_of(text: str, offset: int, origin: SourcePosition) -> SourcePosition:
    """Where that character of a piece of text is."""
    line_start = text.rfind("\n", 0, offset) + 1
    return within(origin, text.count("\n", 0, offset) + 1, offset - line_start + 1)
