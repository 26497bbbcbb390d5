"""The guide to dialects: its tables are the program's; warnings reach Python and the command line once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nnef_cl.commands import app
from nnef_cl.errors import UsageError
from nnef_cl.importer import import_model
from nnef_cl.importer.dialect import DIALECTS, RULES, differences_table, rules_table

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "dialects.md"
ODD = """version 1.0;
graph g( x ) -> ( y )
{
    x = external(shape = [1, 4]);
    y = leaky_relu(x, 0.5);
}
"""
WARNING = "graph.nnef:5:23: leaky_relu 'y': attribute 'alpha' is given without its name [positional-attributes]"


def with_tables(text: str) -> str:
    """The guide with its tables made anew."""
    for name, table in (("differences", differences_table()), ("rules", rules_table())):
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        text = f"{before}<!-- {name} -->\n{table}<!-- end -->" + rest.partition("<!-- end -->")[2]
    return text


def test_tables_of_the_guide_are_current() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert text == with_tables(text), "python tests/unit/test_dialects.py writes them"


def test_every_dialect_is_described() -> None:
    assert all(f"| `{name}` |" in GUIDE.read_text(encoding="utf-8") for name in (*DIALECTS, "auto"))


def test_rules_have_sections_and_sentences() -> None:
    for rule in RULES.values():
        assert rule.standard.endswith((".", ";")) and rule.name == rule.name.lower()
        assert rule.section or rule.name in ("limits", "unsupported")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    (tmp_path / "graph.nnef").write_text(ODD)
    return tmp_path


def test_warnings_of_a_session(odd: Path, caplog: pytest.LogCaptureFixture) -> None:
    from nnef_cl.device.discovery import find_devices
    from nnef_cl.session import LOGGER, load

    if not find_devices():
        pytest.skip("no OpenCL device found")
    LOGGER.disabled = False
    with caplog.at_level(logging.WARNING), load(odd) as session:
        assert session.warnings == (WARNING,)
    assert [record.getMessage() for record in caplog.records if record.name == LOGGER.name] == [WARNING]


@pytest.mark.parametrize("command", ["info", "dump"])
def test_warnings_of_commands(odd: Path, command: str) -> None:
    done = CliRunner().invoke(app, [command, str(odd), "--batch", "2"])
    assert done.exit_code == 0 and done.stderr == f"nnef-cl: warning: {WARNING}\n"
    strict = CliRunner().invoke(app, [command, str(odd), "--dialect", "strict"])
    assert strict.exit_code == 1
    assert strict.stderr == f"nnef-cl: error: {WARNING.partition(' [')[0]}\n"


def test_unknown_dialects(odd: Path) -> None:
    with pytest.raises(UsageError, match="dialect 'loose': there are auto, strict, lenient, tract"):
        import_model(odd, dialect="loose")
    assert CliRunner().invoke(app, ["info", str(odd), "--dialect", "loose"]).exit_code == 2


if __name__ == "__main__":
    GUIDE.write_text(with_tables(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
