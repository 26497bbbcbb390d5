"""The parser and the printer: every form of NNEF text, round trips, and texts that must be refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format import syntax
from nnef_cl.format.parser import PRECEDENCE, parse_document, parse_fragment, parse_fragments
from nnef_cl.format.printer import print_document, print_expression, print_fragment
from nnef_cl.format.syntax import (
    Argument,
    ArrayExpression,
    ArrayType,
    Assignment,
    Binary,
    Builtin,
    Comprehension,
    Conditional,
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
    Range,
    Result,
    SourcePosition,
    Subscript,
    TensorType,
    TupleExpression,
    TupleType,
    Unary,
)
from nnef_cl.settings import NESTING

A, B, C = Identifier("a"), Identifier("b"), Identifier("c")


def in_graph(statement: str) -> str:
    return f"version 1.0;\ngraph g(a) -> (b)\n{{\n{statement};\n}}"


def statement(text: str) -> Assignment:
    (assignment,) = parse_document(in_graph(text)).graph.body
    return assignment


def expression(text: str) -> Expression:
    return statement(f"x = {text}").value


def integers(*values: int) -> ArrayExpression:
    return ArrayExpression(tuple(Literal(value) for value in values))


EXPRESSIONS = {
    # precedence: in, then && ||, comparisons, + -, * /, ^, unary; binary operators group from the left
    "a + b * c": Binary("+", A, Binary("*", B, C)),
    "(a + b) * c": Binary("*", Binary("+", A, B), C),
    "a - b - c": Binary("-", Binary("-", A, B), C),
    "a ^ b ^ c": Binary("^", Binary("^", A, B), C),
    "a * b ^ c": Binary("*", A, Binary("^", B, C)),
    "-a ^ b": Binary("^", Unary("-", A), B),
    "-a - b": Binary("-", Unary("-", A), B),
    "a - -b": Binary("-", A, Unary("-", B)),
    "a<b": Binary("<", A, B),
    "a <= b && c": Binary("&&", Binary("<=", A, B), C),
    "a && b || c": Binary("||", Binary("&&", A, B), C),
    "!a && b": Binary("&&", Unary("!", A), B),
    "a + b in c": Binary("in", Binary("+", A, B), C),
    "a || b in c": Binary("in", Binary("||", A, B), C),
    "a == b != c": Binary("!=", Binary("==", A, B), C),
    "-a[b]": Unary("-", Subscript(A, B)),
    # conditionals
    "a if b else c if a else b": Conditional(A, B, Conditional(C, A, B)),
    "a if b if c else a else b": Conditional(A, Conditional(B, C, A), B),
    "a + b if c else a": Conditional(Binary("+", A, B), C, A),
    # subscripts
    "a[1][b]": Subscript(Subscript(A, Literal(1)), B),
    "a[1:b]": Range(A, Literal(1), B),
    "a[:b]": Range(A, None, B),
    "a[1:]": Range(A, Literal(1), None),
    "a[:]": Range(A, None, None),
    # comprehensions: an `if` behind the iterators is always the filter
    "[for i in a yield i]": Comprehension((("i", A),), None, Identifier("i")),
    "[for i in a, j in b if c yield i + j]": Comprehension(
        (("i", A), ("j", B)), C, Binary("+", Identifier("i"), Identifier("j"))
    ),
    # literals
    "1": Literal(1),
    "007": Literal(7),
    "-1": Literal(-1),
    "+1": Literal(1),
    "1.5": Literal(1.5),
    "1e3": Literal(1000.0),
    "2.5E-1": Literal(0.25),
    "-9223372036854775808": Literal(-(2**63)),
    "9223372036854775807": Literal(2**63 - 1),
    "true": Literal(True),
    "false": Literal(False),
    "'it is'": Literal("it is"),
    r"'it\'s'": Literal("it's"),
    r'"a\"b\\c"': Literal('a"b\\c'),
    r'"conv1\filter"': Literal(r"conv1\filter"),
    "'größe'": Literal("größe"),
    # arrays, tuples, calls
    "[]": ArrayExpression(()),
    "[(0, 1), (-1, 2)]": ArrayExpression(
        (TupleExpression((Literal(0), Literal(1))), TupleExpression((Literal(-1), Literal(2))))
    ),
    "f()": Invocation("f", None, ()),
    "f<scalar>(a, size = [1, 2])": Invocation(
        "f", "scalar", (Argument(None, A), Argument("size", integers(1, 2)))
    ),
    "f< ? >(a)": Invocation("f", "?", (Argument(None, A),)),
    "shape_of(a)[0]": Subscript(Builtin("shape_of", A), Literal(0)),
    "integer(length_of(a))": Builtin("integer", Builtin("length_of", A)),
    "relu(relu(a))": Invocation("relu", None, (Argument(None, Invocation("relu", None, (Argument(None, A),))),)),
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expression(text: str) -> None:
    parsed, expected = expression(text), EXPRESSIONS[text]
    assert parsed == expected
    assert print_expression(parsed) == print_expression(expected)  # which tells 1 from 1.0 and from true


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("x = f(a)", Identifier("x")),
        ("x, y = f(a)", TupleExpression((Identifier("x"), Identifier("y")))),
        ("(x, y) = f(a)", TupleExpression((Identifier("x"), Identifier("y")))),
        ("[x, y] = f(a)", ArrayExpression((Identifier("x"), Identifier("y")))),
        ("[], (x, a) = f(b)", TupleExpression((ArrayExpression(()), TupleExpression((Identifier("x"), A))))),
    ],
)  # fmt: skip
def test_target(text: str, target: Expression) -> None:
    assert statement(text).target == target


def test_fragment() -> None:
    fragment = parse_fragment(
        "fragment f<? = scalar>( x: tensor<?>, n: integer[] = [-1], p: (integer, integer)[] = [], e: scalar = 0.5,"
        " y: tensor<> = 0.0 ) -> ( z: tensor<?>[] );"
    )
    integer = PrimitiveType("integer")
    assert fragment == Fragment(
        "f",
        "scalar",
        (
            Parameter("x", TensorType("?")),
            Parameter("n", ArrayType(integer), integers(-1)),
            Parameter("p", ArrayType(TupleType((integer, integer))), ArrayExpression(())),
            Parameter("e", PrimitiveType("scalar"), Literal(0.5)),
            Parameter("y", TensorType(""), Literal(0.0)),
        ),
        (Result("z", ArrayType(TensorType("?"))),),
        None,
    )
    assert parse_fragment("fragment f<?>(x: ?) -> (y: tensor<?>) { y = x; }").generic == ""
    assert parse_fragment("fragment f() -> () {}").body == ()
    assert [f.name for f in parse_fragments("fragment f() -> (); fragment g() -> ();")] == ["f", "g"]


def test_document() -> None:
    text = (
        "version 1.1; # comment\r\n"
        "extension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;\n"
        "extension tract_assert S >= 1;\n"
        "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { y = x * 2.0; }\n"
        "graph net(a, b) -> (c) { a = external(shape = []); # größe\f c = f(a); }\n"
    )
    document = parse_document(text)
    assert document.version == "1.1"
    assert [extension.words for extension in document.extensions] == [
        ("KHR_enable_fragment_definitions", "KHR_enable_operator_expressions"),
        ("tract_assert", "S", ">=", "1"),
    ]
    assert [fragment.name for fragment in document.fragments] == ["f"]
    assert document.graph.parameters == (A, B)
    assert document.graph.results == (C,)
    assert len(document.graph.body) == 2
    assert parse_document(text.encode()) == document
    assert parse_document(b"\xef\xbb\xbf" + text.encode()) == document


def test_positions() -> None:
    document = parse_document("version 1.0;\n\n# line 3\ngraph g() -> ()\n{\n  x = f(\n    y);\n}", "m/graph.nnef")
    assert document.graph.position == SourcePosition("m/graph.nnef", 4, 1)
    (assignment,) = document.graph.body
    assert (assignment.position.line, assignment.position.column) == (6, 3)
    assert isinstance(assignment.value, Invocation)
    assert str(assignment.value.position) == "m/graph.nnef:6:7"
    assert str(assignment.value.arguments[0].value.position) == "m/graph.nnef:7:5"


@pytest.mark.parametrize("version", ["1", "1.0", "1.1"])
def test_accepted_versions(version: str) -> None:
    assert parse_document(f"version {version}; graph g() -> () {{}}").version == version


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "graph.nnef:1:1: the text ends too early, expected 'version'"),
    "nul": ("\0" * 1_000_000, "graph.nnef:1:1: found '\\x00', which has no meaning here"),
    "garbage": ("a " * 1_000_000, "graph.nnef:1:1: found 'a', expected 'version'"),
    "not utf-8": (b"version 1.0;\n  \xff", "graph.nnef:2:3: byte 0xff is not UTF-8 text"),
    "letter": (in_graph("x = é"), "graph.nnef:4:5: found '\\xe9', which has no meaning here"),
    "escape sequence": ("\x1b[31m", "found '\\x1b'"),
    "version 2": ("version 2.0; graph g() -> () {}", "graph.nnef:1:1: NNEF version '2.0' is not 1.x"),
    "version 1e0": ("version 1e0; graph g() -> () {}", "NNEF version '1e0' is not 1.x"),
    "no semicolon": ("version 1.0 graph g() -> () {}", "graph.nnef:1:13: found keyword 'graph', expected ';'"),
    "no graph": ("version 1.0;", "expected 'extension', 'fragment' or 'graph'"),
    "two graphs": ("version 1.0; graph g()->(){} graph h()->(){}", "expected the end of the text"),
    "empty extension": ("version 1.0; extension; graph g()->(){}", "expected the name of an extension"),
    "no closing bracket": (in_graph("x = f(a"), "graph.nnef:4:8: found ';', expected an operator, ')' or ','"),
    "no operand": (in_graph("x = a +"), "graph.nnef:4:8: found ';', expected an expression"),
    "no equals": (in_graph("x f(a)"), "graph.nnef:4:3: found 'f', expected ',' or '='"),
    "keyword as name": (in_graph("yield = f(a)"), "graph.nnef:4:1: found keyword 'yield'"),
    "no end": ("version 1.0;\ngraph g(a) -> (b) {\n", "graph.nnef:3:1: the text ends too early"),
    "open string": (in_graph("x = 'abc"), "graph.nnef:4:5: the string \"'abc;\" has no closing quote on its line"),
    "point without digits": (in_graph("x = 1."), "graph.nnef:4:6: found '.'"),
    "integer too large": (in_graph("x = 9223372036854775808"), "graph.nnef:4:5: integer 9223372036854775808"),
    "difference too large": (in_graph("x = a - 9223372036854775808"), "graph.nnef:4:9: integer 9223372036854775808"),
    "endless integer": (in_graph("x = " + "9" * 1_000_000), "...' does not fit 64 bits"),
    "infinite": (in_graph("x = 1e999"), "graph.nnef:4:5: number '1e999' does not fit 64 bits"),
    "generic not ?": ("version 1.0; fragment f<scalar>() -> ();", "graph.nnef:1:24: found '<scalar>', expected '<?>'"),
    "element type": ("version 1.0; fragment f(x: tensor<float>) -> ();", "an element type such as '<scalar>'"),
    "type": ("version 1.0; fragment f(x: float) -> ();", "found 'float', expected a type"),
    "default not constant": ("version 1.0; fragment f(x: integer = a) -> ();", "found 'a', expected a constant"),
    "brackets": (in_graph("x = " + "[" * 200_000 + "]" * 200_000), "graph.nnef:4:205: brackets nested more"),
    "parentheses": (in_graph("x = " + "(" * 200_000 + "a" + ")" * 200_000), "brackets nested more than 200 levels"),
    "calls": (in_graph("x = " + "f(" * 200_000), "brackets nested more than 200 levels deep"),
    "sum": (in_graph("x = a" + " + a" * 10_000), "graph.nnef:4:5: nested more than 200 levels deep"),
    "signs": (in_graph("x = " + "-" * 20_000 + "a"), "nested more than 200 levels deep"),
    "nots": (in_graph("x = " + "!" * 20_000 + "a"), "nested more than 200 levels deep"),
    "conditionals": (in_graph("x = " + "a if b else " * 20_000 + "a"), "nested more than 200 levels deep"),
    "conditions": (in_graph("x = " + "a if " * 20_000), "graph.nnef:4:1007: conditions nested more than 200 levels deep"),
    "subscripts": (in_graph("x = a" + "[0]" * 20_000), "nested more than 200 levels deep"),
    "left sides": (in_graph("[" * 201 + "x" + "]" * 201 + " = a"), "brackets nested more than 200 levels"),
    "array types": ("version 1.0; fragment f(x: integer" + "[]" * 20_000 + ") -> ();", "nested more than 200 levels"),
    "escapes": (in_graph("x = '" + "\\\\" * 1_000_000), "has no closing quote on its line"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(ModelSyntaxError) as caught:
        parse_document(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_not_one_fragment() -> None:
    with pytest.raises(ModelSyntaxError, match="expected one fragment, found 2"):
        parse_fragment("fragment f() -> (); fragment g() -> ();")


def test_parser_recovers_after_an_error() -> None:
    with pytest.raises(ModelSyntaxError):
        parse_document(in_graph("x = ((((9223372036854775808"))
    assert expression("[[a]]") == ArrayExpression((ArrayExpression((A,)),))


def test_deepest_accepted_expressions_can_be_printed_and_compared() -> None:
    most = NESTING.default
    for text in ("a" + " + a" * most, "[" * most + "]" * most, "-" * most + "a"):
        parsed = expression(text)
        assert expression(print_expression(parsed)) == parsed
        assert hash(parsed) == hash(expression(text))


def test_only_open_conditions_are_nested() -> None:
    items = ", ".join(["a if b else c, [for i in xs if i yield a if b else c]"] * 300)
    assert isinstance(expression(f"[{items}]"), ArrayExpression)
    parse_document(in_graph(" ".join(f"x{k} = a if b else c if d else e;" for k in range(300)) + " y = a"))


def test_long_lists() -> None:
    """Lists may be as long as memory allows; only nesting is bounded."""
    numbers = expression("[" + "-1, 2.5, " * 50_000 + "0]")
    assert isinstance(numbers, ArrayExpression)
    assert len(numbers.items) == 100_001
    assert numbers.items[-3:] == (Literal(-1), Literal(2.5), Literal(0))
    body = parse_document(in_graph(";".join(f"x{k} = relu(x{k - 1})" for k in range(20_000)))).graph.body
    assert len(body) == 20_000
    assert body[-1].target == Identifier("x19999")


# Round trips -----------------------------------------------------------------------------------------------
def round_trip(document: Document) -> None:
    text = print_document(document)
    again = parse_document(text)
    assert again == document
    assert print_document(again) == text


def test_round_trip_of_a_whole_text() -> None:
    text = """version 1.0;
extension KHR_enable_fragment_definitions;

fragment f<? = scalar>( x: tensor<?>, n: integer[] = [-1, 2] ) -> ( y: tensor<?>, z: tensor<scalar>[] )
{
    y = -x ^ 2.0 if length_of(n) > 1 && !(n[0] in [1, 2]) else x;
    z = [for i in n, j in range_of(n) if i < j yield g(x, axis = i)] + [h(x)] * 2;
}

fragment p() -> ( y: tensor<> );

graph net( a ) -> ( b, c )
{
    a = external<scalar>(shape = [1, 3]);
    b, [c, d] = f(a, n = n[1:], label = "a \\"b\\" \\\\");
}
"""
    document = parse_document(text)
    assert print_document(document) == text
    round_trip(document)
    assert print_fragment(document.fragments[1]) == "fragment p() -> ( y: tensor<> );"


NAMES = st.sampled_from(["a", "b1", "_c", "integers", "In"])
TYPE_NAMES = st.sampled_from(["integer", "scalar", "logical", "string", "?"])
LITERALS: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8),
).map(Literal)
IDENTIFIERS = NAMES.map(Identifier)


def tuples_of(items: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=least, max_size=3).map(tuple)


def is_number(node: Expression) -> bool:
    return isinstance(node, Literal) and type(node.value) in (int, float)


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    optional = st.none() | inner
    argument = st.builds(Argument, st.none() | NAMES, inner)
    return st.one_of(
        tuples_of(inner).map(ArrayExpression),
        tuples_of(inner, 2).map(TupleExpression),
        st.builds(Invocation, NAMES, st.none() | TYPE_NAMES, tuples_of(argument)),
        st.builds(Unary, st.sampled_from("+-"), inner.filter(lambda node: not is_number(node))),
        st.builds(Unary, st.just("!"), inner),
        st.builds(Binary, st.sampled_from(list(PRECEDENCE)), inner, inner),
        st.builds(Conditional, inner, inner, inner),
        st.builds(Subscript, inner, inner),
        st.builds(Range, inner, optional, optional),
        st.builds(Comprehension, tuples_of(st.tuples(NAMES, inner), 1), optional, inner),
        st.builds(Builtin, st.sampled_from(["shape_of", "length_of", "range_of", "integer", "string"]), inner),
    )


EXPRESSION_TREES = st.recursive(LITERALS | IDENTIFIERS, compound, max_leaves=12)
CONSTANTS = st.recursive(
    LITERALS, lambda inner: tuples_of(inner).map(ArrayExpression) | tuples_of(inner, 2).map(TupleExpression)
)
TARGETS = st.recursive(
    IDENTIFIERS, lambda inner: tuples_of(inner).map(ArrayExpression) | tuples_of(inner, 2).map(TupleExpression)
)
TYPES: st.SearchStrategy[syntax.Type] = st.recursive(
    TYPE_NAMES.map(PrimitiveType) | (st.just("") | TYPE_NAMES).map(TensorType),
    lambda inner: inner.map(ArrayType) | tuples_of(inner, 2).map(TupleType),
)
BODIES = tuples_of(st.builds(Assignment, TARGETS, EXPRESSION_TREES))
FRAGMENTS = st.builds(
    Fragment,
    NAMES,
    st.sampled_from([None, "", "scalar", "integer"]),
    tuples_of(st.builds(Parameter, NAMES, TYPES, st.none() | CONSTANTS)),
    tuples_of(st.builds(Result, NAMES, TYPES)),
    st.none() | BODIES,
)
EXTENSIONS = st.sampled_from([("KHR_enable_operator_expressions",), ("EXT_a", "EXT_b"), ("tract_symbol", "S")])
DOCUMENTS = st.builds(
    Document,
    st.sampled_from(["1.0", "1"]),
    tuples_of(EXTENSIONS.map(Extension)),
    tuples_of(FRAGMENTS),
    st.builds(GraphDefinition, NAMES, tuples_of(IDENTIFIERS), tuples_of(IDENTIFIERS), BODIES),
)


@settings(max_examples=300, deadline=None)
@given(EXPRESSION_TREES)
def test_round_trip_of_expressions(tree: Expression) -> None:
    text = print_expression(tree)
    assert expression(text) == tree
    assert print_expression(expression(text)) == text


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_round_trip_of_documents(document: Document) -> None:
    round_trip(document)


@settings(max_examples=200, deadline=None)
@given(st.text("version1.0;graphfragment(){}[]<>=,:?+-*/^!&|'\"\\# \n", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with pytest.raises(ModelSyntaxError):
        parse_document("version 1.0; fragment f() -> () {" + text)
