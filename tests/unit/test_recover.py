"""Reading texts with errors: every error is found once, and what is around them is read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format.parser import parse_document
from nnef_cl.format.recover import pieces, recover_document, recover_entries

HEAD = "version 1.0;\ngraph g( x ) -> ( y )\n{\n"
GOOD = """version 1.0; # one; two {
extension KHR_enable_fragment_definitions;
fragment f( x: tensor<scalar>, s: string = ';}"#' ) -> ( y: tensor<scalar> )
{
    y = relu(x);   # }
}
fragment h( x: tensor<scalar> ) -> ( y: tensor<scalar> );
graph g( x ) -> ( y )
{
    x = external(shape = [1, 4]);
    t = f(x, s = 'it\\'s; {');
    y = h(t);
}
"""

BROKEN: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", ["1:1: the text ends too early, expected 'version'"]),
    "a quote": ('"', ["""1:1: found '"', expected 'version'"""]),
    "five statements": (
        HEAD + "a = ;\nb = f(x;\nc = 0.5.5;\nd 'x';\ne = [1,, 2];\ny = relu(x);\n}",
        ["4:5: found ';'", "5:8: found ';'", "6:8: found '.'", "7:3: found", "8:8: found ','"]),
    "no semicolon": (HEAD + "a = relu(x)\nb = relu(a);\ny = ;\n}", ["5:1: found 'b'", "6:5: found ';'"]),
    "open string": (HEAD + "a = f('abc);\ny = ;\n}", ["4:7: the string", "5:5: found ';'"]),
    "no closing brace": (HEAD + "y = relu(x);\n", ["5:1: the text ends too early, expected an assignment or '}'"]),
    "no closing brace of a fragment": (
        GOOD.replace("    y = relu(x);   # }\n}", "    y = relu(x);"), ["6:1: found keyword 'fragment', expected '}'"]),
    "braces in a statement": (HEAD + "a = {x; z};\ny = ;\n}", ["4:5: found '{'", "5:5: found ';'"]),
    "brace too many": (HEAD + "y = relu(x);\n}\n}\nq = r;", ["6:1: found '}', expected the end of the text"]),
    "head of the graph": (GOOD.replace("g( x )", "g( x").replace("t = f", "t f"), ["8:12: found '->'", "11:7: found 'f'"]),
    "no opening brace": (HEAD.replace("{", "") + "x = relu(y);\ny = ;\n}", ["4:1: found 'x', expected '{'", "5:5:"]),
    "head of a fragment": (GOOD.replace("s: string", "s: strings"), ["3:35: found 'strings', expected a type"]),
    "misspelled graph": (GOOD.replace("graph g", "grpah g").replace("h(t)", "h(t"), ["8:1: found 'grpah'", "12:12: "]),
    "misspelled fragment": (GOOD.replace("fragment f", "fragmnet f"), ["3:1: found 'fragmnet'"]),
    "order": ("extension a;\nversion 1.0;\ngraph g() -> () {}\ngraph h() -> () {}",
              ["1:1: found keyword 'extension', expected 'version'", "2:1: found keyword 'version'",
               "4:1: found keyword 'graph', expected the end of the text"]),
    "versions": ("version 2.0;\nextension ;\ngraph g() -> () { y = 1..2; }", ["1:1: NNEF version", "2:1: found", "3:24: "]),
    "no graph": ("version 1.0;\n", ["2:1: the text ends too early, expected 'extension', 'fragment' or 'graph'"]),
    "version without semicolon": ("version 1.0\ngraph g() -> () { y = f(); }", ["2:1: found keyword 'graph', expected ';'"]),
    "too large": (HEAD + "a = 9223372036854775808;\ny = " + "[" * 300 + ";\n}", ["4:5: integer", "5:205: brackets"]),
    "not utf-8": ("\udcff", ["1:1: byte 0xff is not UTF-8 text"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_every_error_once(case: str) -> None:
    text, messages = BROKEN[case]
    found = recover_document(text.encode("utf-8", "surrogateescape"))
    assert len(found.errors) == len(messages), [str(error) for error in found.errors]
    for error, message in zip(found.errors, messages, strict=True):
        assert str(error).startswith(f"graph.nnef:{message}"), str(error)
        assert error.rule == ("limits" if "nested" in str(error) else "syntax")


def test_a_good_text_is_what_the_parser_reads() -> None:
    found = recover_document(GOOD)
    assert found.document == parse_document(GOOD) and not found.errors and not found.lost


def test_what_is_around_an_error_is_read_with_its_places() -> None:
    found = recover_document(GOOD.replace("y = relu(x)", "y = relu(x").replace("f(x, s =", "f(x, s"))
    good = parse_document(GOOD)
    assert [fragment.name for fragment in found.document.fragments] == ["f", "h"] and found.unsound == {"f"}
    assert found.document.graph.parameters == good.graph.parameters
    assert found.document.graph.body == (good.graph.body[0], good.graph.body[2])
    assert [str(s.position) for s in found.document.graph.body] == [str(good.graph.body[n].position) for n in (0, 2)]
    assert {"t", "y", "x"} <= found.lost


@given(st.lists(st.sampled_from([";", "{", "}", "'", '"', "#", "\n", "\r\n", "a", " ", "\\", "é", "=", "(", "x = f(y)"]),
                max_size=40).map("".join))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_pieces_are_the_text(text: str) -> None:
    lines = text.split("\n")
    for piece in pieces(text, "f"):
        line = lines[piece.origin.line - 1]
        assert "\n".join([line[piece.origin.column - 1 :], *lines[piece.origin.line :]]).startswith(piece.text + piece.end)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_the_parser_refuses_has_errors(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    length = data.draw(st.integers(0, 30))
    filling = data.draw(st.sampled_from(["", ";", "{", "}", "(", '"', "graph", "fragment", " = ", "#", "x", "\0"]))
    text = GOOD[:start] + filling + GOOD[start + length :]
    found = recover_document(text)
    try:
        assert found.document == parse_document(text) and not found.errors
    except ModelSyntaxError:
        assert found.errors
        assert len({str(error.where) for error in found.errors}) == len(found.errors)


def test_entries() -> None:
    text = '"a": f(min = 1.0);\n"b": g(;\n"c" h();\n"d": k();\n"e": l()'
    entries, errors = recover_entries(text)
    assert [entry.tensor for entry in entries] == ["a", "d"] and str(entries[1].position) == "graph.quant:4:1"
    assert [str(error).partition(": ")[0] for error in errors] == [f"graph.quant:{at}" for at in ("2:8", "3:5", "5:9")]
    assert recover_entries('"a": f();')[1] == [] and len(recover_entries(b"\xff")[1]) == 1


def test_many_errors_take_linear_time() -> None:
    started = time.perf_counter()
    found = recover_document(HEAD + "a = f(b;\n" * 900 + "a = relu(x);\n" * 5000 + "}")
    assert len(found.errors) == 900 and time.perf_counter() - started < 20
    assert len(recover_document(HEAD + "a = ;\n" * 100_000 + "}").errors) == 1000
