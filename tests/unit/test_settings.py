"""Limits: every message names the variable that sets another one, and the variables work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_cl.errors import Error, UsageError
from nnef_cl.format.container import open_container
from nnef_cl.format.parser import parse_document
from nnef_cl.format.recover import recover_document
from nnef_cl.importer import import_document
from nnef_cl.ops import STANDARD
from nnef_cl.settings import LIMITS

HEAD = "version 1.0;\nextension KHR_enable_fragment_definitions KHR_enable_operator_expressions;\n"
NESTED = "fragment f( x: tensor<scalar>, n: integer ) -> ( y: tensor<scalar> ) { y = f(-x, n = n - 1) if n > 0 else x; }\n"
TEXT = (
    HEAD + NESTED + "graph g( x ) -> ( y )\n{\n    x = external(shape = [2]);\n"
    "    y = f(x, n = 20) * scalar(length_of([1] * 50));\n}\n"
)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("NNEF_CL_MAX_TEXT_BYTES", "bytes, expected at most 10"),
        ("NNEF_CL_MAX_TOKENS", "graph.nnef:3:13: more than 10 words and signs"),
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
        with pytest.raises(UsageError, match=f"{variable}: expected a whole number above 0"):
            load()


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
