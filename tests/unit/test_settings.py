"""Limits: every message names the variable that sets another one, and the variables work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nnef_cl.commands import app
from nnef_cl.errors import Error, UsageError
from nnef_cl.format.container import open_container
from nnef_cl.format.layout import format_document
from nnef_cl.format.parser import parse_document
from nnef_cl.format.recover import recover_document
from nnef_cl.importer import import_document
from nnef_cl.importer.text import flat_text
from nnef_cl.importer.validate import validate_model
from nnef_cl.ops import STANDARD
from nnef_cl.settings import LIMITS

HEAD = "version 1.0;\nextension KHR_enable_fragment_definitions KHR_enable_operator_expressions;\n"
NESTED = "fragment f( x: tensor<scalar>, n: integer ) -> ( y: tensor<scalar> ) { y = f(-x, n = n - 1) if n > 0 else x; }\n"
TEXT = (
    HEAD + NESTED + "graph g( x ) -> ( y )\n{\n    x = external(shape = [2]);\n"
    "    y = f(x, n = 20) * scalar(length_of([1] * ((((((((((50))))))))))));\n}\n"
)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("NNEF_CL_MAX_TEXT_BYTES", "bytes, expected at most 10"),
        ("NNEF_CL_MAX_TOKENS", "graph.nnef:3:13: more than 10 words and signs"),
        ("NNEF_CL_MAX_NESTING", "graph.nnef:7:55: brackets nested more than 10 levels deep"),
        ("NNEF_CL_MAX_STEPS", "takes more than 10 steps"),
        ("NNEF_CL_MAX_ITEMS", "an array of 50 items is too long, the limit is 10"),
        ("NNEF_CL_MAX_OPERATIONS", "more than 10 operations"),
        ("NNEF_CL_MAX_FRAGMENT_DEPTH", "more than 10 levels deep"),
    ],
)
def test_every_limit(variable: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "graph.nnef").write_text(TEXT)

    def load() -> int:
        with open_container(tmp_path) as container:
            text = container.read_text("graph.nnef")
        assert text is not None
        return len(import_document(parse_document(text), STANDARD, lambda label, _: np.zeros(1)).nodes)

    assert load() == 21
    monkeypatch.setenv(variable, "10")
    with pytest.raises(Error, match=message) as error:
        load()
    assert f"({variable} sets another limit)" in str(error.value)
    monkeypatch.setenv(variable, "100000")
    assert load() == 21
    for wrong in ("0", "many", "-1", "1.5", "9" * 30):
        monkeypatch.setenv(variable, wrong)
        with pytest.raises(UsageError, match=f"{variable}: expected a whole number from 1 to [0-9]+, got"):
            load()


def test_findings_end_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNEF_CL_MAX_FINDINGS", "10")
    for line in ("a{0} = b{0}(x);", "a{0} = ;"):
        lines = "\n".join(line.format(number) for number in range(30))
        (tmp_path / "graph.nnef").write_text(f"{HEAD}graph g( x ) -> ( x )\n{{\nx = external(shape = [2]);\n{lines}\n}}\n")
        done = CliRunner().invoke(app, ["validate", str(tmp_path)])
        assert done.exit_code == 1 and done.output.count(": error: ") == 10
        assert "reading ended here (NNEF_CL_MAX_FINDINGS sets another limit)" in done.output


def test_fixed_limits_say_so() -> None:
    for type in ("integer" + "[]" * 300, "(integer, " * 150 + "integer" + ")" * 150 + "[]" * 100):
        with pytest.raises(Error, match=r"a type nested more than 200 levels deep; this limit is fixed"):
            parse_document(f"{HEAD}fragment f( x: {type} ) -> ( y: tensor<scalar> );")


DEEP = 195
"""Levels that every text below may have, whatever stands around them."""


@pytest.mark.parametrize(
    "expression",
    ["copy(" * DEEP + "x" + ")" * DEEP, "-" * DEEP + "x", "x" + " + x" * DEEP, "x if true else " * DEEP + "x",
     "[for i in " * DEEP + "[x]" + " yield i]" * DEEP, "[x]" + "[0:1]" * DEEP + "[0]"],
)  # fmt: skip
def test_everything_walks_what_is_as_deep_as_may_be(expression: str, tmp_path: Path) -> None:
    target = "[y]" if expression.startswith("[for") else "y"
    text = f"{HEAD}graph g( x ) -> ( y )\n{{\n    x = external(shape = [2]);\n    {target} = {expression};\n}}\n"
    (tmp_path / "graph.nnef").write_text(text)
    assert [finding.message for finding in validate_model(tmp_path).findings] == []
    assert parse_document(format_document(text)) is not None
    flat, _ = flat_text(tmp_path)
    assert "y = " in flat


def test_the_list_is_whole_and_documented() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    for limit in LIMITS:
        assert f"| `{limit.variable}` | {limit.default:,} |" in guide


def test_comments_and_strings_are_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNEF_CL_MAX_TOKENS", "300")
    parse_document(TEXT + "# a b c d\n" * 500)
    parse_document(TEXT.replace("version", "# " + "word " * 1000 + "\nversion", 1))


def test_recovery_gives_up_on_too_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNEF_CL_MAX_TOKENS", "10")
    found = recover_document(TEXT)
    assert [error.rule for error in found.errors] == ["limits"] and not found.readable
