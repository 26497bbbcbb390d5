"""graph.quant: entries, nested constants, and texts that must be refused."""

from __future__ import annotations

import pytest

from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format.quant_file import parse_quant
from nnef_cl.format.syntax import Argument, ArrayExpression, Literal, QuantEntry, SourcePosition


def test_entries() -> None:
    text = """# comment
"conv1" : min_max_linear_quantize(min = -1.5, max = 2.0, bits = 8, signed = true, symmetric = false);
'w': zero_point_linear_quantize(zero_point =
    [[0, 1]], scale = [[0.5, 0.25]], bits = 8); "empty": q();
"""
    conv, weight, empty = parse_quant(text)
    values = {argument.name: argument.value for argument in conv.arguments}
    assert (conv.tensor, conv.operation) == ("conv1", "min_max_linear_quantize")
    assert conv.position == SourcePosition("graph.quant", 2, 1)
    assert values == {
        "min": Literal(-1.5),
        "max": Literal(2.0),
        "bits": Literal(8),
        "signed": Literal(True),
        "symmetric": Literal(False),
    }
    assert weight == QuantEntry(
        "w",
        "zero_point_linear_quantize",
        (
            Argument("zero_point", ArrayExpression((ArrayExpression((Literal(0), Literal(1))),))),
            Argument("scale", ArrayExpression((ArrayExpression((Literal(0.5), Literal(0.25))),))),
            Argument("bits", Literal(8)),
        ),
    )
    assert empty == QuantEntry("empty", "q", ())


def test_empty_text() -> None:
    assert parse_quant("") == ()
    assert parse_quant(b"# nothing") == ()


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "twice": ('"a": q(x = 1);\n"b": q();\n"a": q();', "graph.quant:3:1: tensor 'a' already has an entry in line 1"),
    "argument twice": ('"a": q(x = 1, x = 2);', "graph.quant:1:15: q 'a': argument 'x' is given twice"),
    "positional": ('"a": q(1);', "graph.quant:1:8: found '1', expected ')' or an identifier"),
    "tensor argument": ('"a": q(x = b);', "graph.quant:1:12: found 'b', expected a constant"),
    "no quotes": ("a: q();", "graph.quant:1:1: found 'a', expected a string or the end of the text"),
    "no semicolon": ('"a": q()', "graph.quant:1:9: the text ends too early, expected ';'"),
    "deep": ('"a": q(x = ' + "[" * 200_000, "brackets nested more than 200 levels deep"),
    "not utf-8": (b"\xff", "graph.quant:1:1: byte 0xff is not UTF-8 text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(ModelSyntaxError) as caught:
        parse_quant(text)
    assert message in str(caught.value)
