"""Canonical and flat texts: equal documents, comments kept, flat graphs that import to equal graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nnef_cl.commands import app
from nnef_cl.conformance.case import FAMILIES, cases_of
from nnef_cl.conformance.harness import family_text
from nnef_cl.demo import model_folder
from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format.layout import _scan, format_document
from nnef_cl.format.parser import parse_document
from nnef_cl.format.printer import print_document
from nnef_cl.importer import import_document
from nnef_cl.importer.flatten import flatten
from nnef_cl.importer.text import flat_text
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import STANDARD

MESSY = """# license

version 1.0; # v
extension KHR_enable_fragment_definitions
KHR_enable_operator_expressions;   # ext
# about f
fragment f( x: tensor<scalar>, # the x
            # the s alone
            s: string = 'it\\'s "q" \\\\ #no', n: integer = -1 ) -> ( y: tensor<scalar> ) # head
{ # brace
    # first

    z = leaky_relu(x,   # inner
          alpha = -1e-5);  # behind z


    # before w
    w = relu(z); y = (w + 1.0) * 2.0;
    # end of f
}
fragment h( x: tensor<scalar> ) -> ( y: tensor<scalar> ); # decl
graph g(x) -> (y) {
x = external(shape = [1]); y = f(x); # both
} # after
# tail
"""
NEAT = """# license
version 1.0;  # v
extension KHR_enable_fragment_definitions KHR_enable_operator_expressions;  # ext

# about f
# the x
# the s alone
fragment f( x: tensor<scalar>, s: string = "it's \\"q\\" \\\\ #no", n: integer = -1 ) -> ( y: tensor<scalar> )  # head  # brace
{
    # first
    # inner
    z = leaky_relu(x, alpha = -1e-05);  # behind z

    # before w
    w = relu(z);
    y = (w + 1.0) * 2.0;
    # end of f
}

fragment h( x: tensor<scalar> ) -> ( y: tensor<scalar> );  # decl

graph g( x ) -> ( y )
{
    x = external(shape = [1]);
    y = f(x);  # both
}  # after

# tail
"""


def test_canonical_form() -> None:
    assert format_document(MESSY) == NEAT == format_document(NEAT)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_comments_and_blanks_anywhere(data: st.DataObject) -> None:
    text = MESSY
    for number in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(text)))
        text = text[:place] + data.draw(st.sampled_from([f"# c{number}\n", "\n", "\n\n", "  ", "\r\n"])) + text[place:]
    try:
        document = parse_document(text)
    except ModelSyntaxError:
        return
    formatted = format_document(text)
    assert parse_document(formatted) == document and format_document(formatted) == formatted
    assert comments(text) == comments(formatted)


def comments(text: str) -> list[str]:
    return sorted(word for comment in _scan(text)[0] for word in comment.text.replace("#", " ").split())


# Flat texts ------------------------------------------------------------------------------------------------
def equal(left: Graph, right: Graph) -> None:
    """Equal but for the names of tensors that the text does not name."""
    assert (left.name, left.inputs, left.outputs) == (right.name, right.inputs, right.outputs)
    names: dict[str, str] = {}

    def same(one: str, other: str) -> None:
        assert names.setdefault(one, other) == other, (one, other)
        assert left.tensors[one] == right.tensors[other]

    assert len(left.nodes) == len(right.nodes)
    for node, other in zip(left.nodes, right.nodes, strict=True):
        assert node.op == other.op and repr(dict(node.attrs)) == repr(dict(other.attrs))
        for one, two in zip((*node.inputs, *node.outputs), (*other.inputs, *other.outputs), strict=True):
            same(one, two)
    for name in (*left.inputs, *left.outputs):
        same(name, name)
    for kind in ("constants", "variables"):
        ours, theirs = getattr(left, kind), getattr(right, kind)
        for name, constant in ours.items():
            if name in names or constant.label:
                found = theirs[names.get(name, name)]
                assert found.label == constant.label and found.array.dtype == constant.array.dtype
                np.testing.assert_array_equal(found.array, constant.array)
    assert {names.get(a, a): names[b] for a, b in left.updates.items()} == right.updates


def round_trip(text: str, tensors: Any) -> str:
    """Asserts that the flat text imports to an equal graph and is flat for good."""
    graph = import_document(parse_document(text), STANDARD, tensors)
    flat = print_document(flatten(graph, STANDARD))
    again = import_document(parse_document(flat), STANDARD, tensors)
    equal(graph, again)
    assert len(again.warnings) <= len(graph.warnings) and print_document(flatten(again, STANDARD)) == flat
    assert format_document(flat) == flat
    return flat


def zeros(label: str, position: object) -> np.ndarray:
    return np.zeros((1, 4), np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_flat_cases(family: str) -> None:
    text, _, variables = family_text(cases_of(family))
    round_trip(text, lambda label, position: variables[label])


def test_the_packaged_model() -> None:
    text, warnings = flat_text(model_folder())
    assert "conv(" in text and "fragment" not in text and not warnings


BODIES = {
    "fragments": "y = f(f(x, n = 3), n = 2);",
    "literals": "y = x * -0.1 + 1e-30 - 16777217.0 / 3.0;",
    "not finite": "a = x * (1.0 / 0.0); b = max(a, -1.0 / 0.0); y = min(b, 0.0 / 0.0);",
    "constants": "c = constant(shape = [1, 4], value = [0.1, -2.5, 1e-30, 3.0]); d = constant(shape = [1, 4], value = [0.3]); "
                 "e = constant(shape = [], value = [2.0]); y = c * x + d * e;",
    "types": "a = x > 0.0; b = select(a, x, 0.0); c = select(a, 1, 2); d = cast<integer>(x); e = select(a, c, d); "
             "m = constant<logical>(shape = [1, 4], value = [true, false, true, false]); y = select(m && a, b, x);",
    "arrays": "[a, b] = split(x, axis = 1, ratios = [1, 3]); y = concat([b, a, concat([a], axis = 1)], axis = 1);",
    "tuples": "m, v = moments(x, axes = [1]); y = x * m + v;",
    "aliases": "w = variable(shape = [1, 4], label = 'W'); v = variable(shape = [1, 4], label = 'W'); y = w; z = v + y;",
    "updates": "w = variable(shape = [1, 4], label = 'w'); n = w + x; y = n; u = update(w, n); y2 = copy(n);",
    "names": "y_f = relu(x); y = f(x); t1 = neg(y_f);",
    "windows": "i = unsqueeze(x, axes = [2]); p = max_pool(i, size = [1, 1, 1], padding = [(0, 0), (0, 0), (0, 0)]); "
               "y = squeeze(p, axes = [2]);",
}  # fmt: skip
FRAGMENT = """fragment f( x: tensor<scalar>, n: integer = 1 ) -> ( y: tensor<scalar> )
{ t = [for i in range_of([0] * n) yield x * scalar(i)]; y = add_n(t) + relu(x); }"""


@pytest.mark.parametrize("case", BODIES)
def test_flat_bodies(case: str) -> None:
    text = (
        "version 1.0; extension KHR_enable_fragment_definitions KHR_enable_operator_expressions;\n"
        f"{FRAGMENT}\ngraph g( x ) -> ( y )\n{{ x = external(shape = [1, 4]); {BODIES[case]} }}"
    )
    flat = round_trip(text, zeros)
    assert "fragment" not in flat and ("KHR_enable_operator_expressions" in flat) == (case == "not finite")


def test_flat_texts_are_strictly_valid() -> None:
    from nnef_cl.importer import STRICT

    text = f"version 1.0; {FRAGMENT}\ngraph g( x ) -> ( y )\n{{ x = external(shape = [1, 4]); y = f(x, 2) * 2; }}"
    flat = round_trip(text, zeros)
    assert import_document(parse_document(flat), STANDARD, zeros, dialect=STRICT).warnings == ()


# Command ---------------------------------------------------------------------------------------------------
def test_command(tmp_path: Path) -> None:
    graph = tmp_path / "graph.nnef"
    graph.write_text(MESSY)
    call = CliRunner().invoke
    assert call(app, ["format", str(tmp_path)]).stdout == NEAT
    checked = call(app, ["format", str(graph), "--check"])
    assert checked.exit_code == 1 and "not in canonical form" in checked.stderr
    assert call(app, ["format", str(graph), "-o", str(graph)]).exit_code == 0 and graph.read_text() == NEAT
    assert call(app, ["format", str(graph), "--check"]).exit_code == 0
    flat = call(app, ["format", str(graph), "--flat"])
    assert flat.exit_code == 0 and "leaky_relu(x, alpha = -1e-05)" in flat.stdout and "#" not in flat.stdout
    assert call(app, ["format", str(graph), "--flat", "--check"]).exit_code == 2
    graph.write_text("version 1.0; graph g")
    assert call(app, ["format", str(graph)]).exit_code == 1
