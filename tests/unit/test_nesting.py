"""Expressions nested thousands of levels deep, where NNEF_CL_MAX_NESTING allows it: nothing that walks them recurses."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import nnef_cl
from nnef_cl.errors import Error, UsageError
from nnef_cl.format.layout import format_document
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_model
from nnef_cl.importer.text import flat_text
from nnef_cl.importer.validate import validate_model
from nnef_cl.settings import NESTING

HEAD = "version 1.0;\nextension KHR_enable_fragment_definitions KHR_enable_operator_expressions;\n"
FRAGMENT = "fragment f( x: tensor<scalar> ) -> ( y: tensor<scalar> )\n{\n    y = relu(x);\n}\n"
LEVELS = 1_500
"""Python's own recursion ends at 1,000."""

VALID: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: f"copy({'(' * n}x{')' * n})",
    "sum": lambda n: "x" + " + x" * n,
    "signs": lambda n: "-" * n + "x",
    "calls": lambda n: f"{'relu(' * n}x{')' * n}",
    "compounds": lambda n: f"{'softplus(' * n}x{')' * n}",
    "fragments": lambda n: f"{'f(' * n}x{')' * n}",
    "conditionals": lambda n: f"{'x if false else ' * n}copy(x)",
    "conditions": lambda n: f"copy(x) if {'true if ' * n}true{' else false' * n} else x",
    "selects": lambda n: f"{'x if x > 0.0 else ' * n}x",
    "nots": lambda n: f"copy(x) if {'!' * n}true else -x",
    "ands": lambda n: f"copy(x) if true{' && true' * n} else -x",
    "ranges": lambda n: f"[copy(x)]{'[0:1]' * n}[0]",
    "subscripts": lambda n: f"copy({'[' * n}x{']' * n}{'[0]' * n})",
    "tuples": lambda n: f"copy({'(' * n}x{', 1)' * n}{'[0]' * n})",
    "indices": lambda n: f"copy([x]{'[[0]' * n}[0]{']' * n})",
    "loops over loops": lambda n: f"{'[for i in ' * n}[copy(x)]{' yield i]' * n}[0]",
    "loops in loops": lambda n: f"copy({''.join(f'[for i{k} in [x] yield ' for k in range(n))}i0{']' * n}{'[0]' * n})",
    "filters": lambda n: f"copy({'[for i in [x] if length_of(' * n}[x]{') > 0 yield i]' * n}[0])",
    "casts": lambda n: f"x * scalar({'integer(scalar(' * n}1{'))' * n})",
    "comparison": lambda n: f"copy(x) if {'[' * n}1{']' * n} in [{'[' * n}1{']' * n}] else -x",
}  # fmt: skip

INVALID: dict[str, tuple[Callable[[int], str], str]] = {
    "open": (lambda n: f"{'(' * n}x", "found ';'"),
    "one bracket too many": (lambda n: f"{'relu(' * n}x{')' * (n + 1)}", "found ')'"),
    "undefined": (lambda n: f"-{'relu(' * n}q{')' * n}", "'q' is not defined"),
    "type": (lambda n: f"reshape(x, shape = {'[' * n}1{']' * n})", "argument 'shape': expected integer[], got ...[][]"),
    "condition": (lambda n: f"{'(' * n}x if 1{')' * n} else x", "found ')'"),
}


def model(path: Path, expression: str) -> Path:
    text = f"{HEAD}{FRAGMENT}graph g( x ) -> ( y )\n{{\n    x = external(shape = [1]);\n    y = {expression};\n}}\n"
    (path / "graph.nnef").write_text(text)
    return path


def walk(path: Path) -> None:
    """Everything that walks expressions."""
    text = (path / "graph.nnef").read_text()
    canonical = format_document(text)
    assert format_document(canonical) == canonical
    assert [str(finding) for finding in validate_model(path).findings if finding.severity == "error"] == []
    flat, _ = flat_text(path)
    nodes = [node.op for node in import_model(path).nodes]
    (path / "graph.nnef").write_text(flat)
    assert [node.op for node in import_model(path).nodes] == nodes


def in_thread(work: Callable[[], None]) -> None:
    """Elsewhere the stack is smaller than in the main thread."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in raised:
        raise error


@pytest.mark.parametrize("name", VALID)
def test_deep_expressions(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expression = VALID[name](LEVELS)
    with pytest.raises(Error, match=r"nested more than 200 levels deep.*\(NNEF_CL_MAX_NESTING sets another limit\)"):
        import_model(model(tmp_path, expression))
    monkeypatch.setenv(NESTING.variable, "20000")
    walk(model(tmp_path, expression))
    in_thread(lambda: walk(model(tmp_path, expression)))


@pytest.mark.parametrize("name", INVALID)
def test_errors_in_deep_expressions(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NESTING.variable, "20000")
    make, message = INVALID[name]
    path = model(tmp_path, make(LEVELS))
    with pytest.raises(Error) as caught:
        import_model(path)
    assert message in str(caught.value) and len(str(caught.value)) < 300
    assert any(message in str(finding) for finding in validate_model(path).findings)


def test_left_sides_keep_their_own_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NESTING.variable, "20000")
    for levels in (200, 201):
        text = (model(tmp_path, "[" * levels + "copy(x)" + "]" * levels) / "graph.nnef").read_text()
        (tmp_path / "graph.nnef").write_text(text.replace("    y = [", f"    {'[' * levels}y{']' * levels} = ["))
        if levels == 200:
            walk(tmp_path)
        else:
            with pytest.raises(Error, match=r"graph\.nnef:10:5: a left side nested more than 200 levels deep; this limit is fixed"):
                import_model(tmp_path)


def test_the_limit_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("0", "-1", "many", str(NESTING.most + 1), "9" * 30):
        monkeypatch.setenv(NESTING.variable, wrong)
        with pytest.raises(UsageError, match=f"NNEF_CL_MAX_NESTING: expected a whole number from 1 to {NESTING.most}, got"):
            parse_document(f"{HEAD}graph g( x ) -> ( y ) {{ y = x; }}")
    monkeypatch.setenv(NESTING.variable, "1")
    parse_document(f"{HEAD}graph g( x ) -> ( y ) {{ y = x; }}")


def test_a_deep_body_of_a_custom_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NESTING.variable, "20000")
    body = f"{{ y = {'-' * LEVELS}x; }}"
    deep = nnef_cl.op(f"fragment deep( x: tensor<scalar> ) -> ( y: tensor<scalar> ) {body}")
    path = model(tmp_path, "deep(x)")
    assert len(import_model(path, table=nnef_cl.STANDARD | nnef_cl.table((deep,))).nodes) == LEVELS


def test_deep_quantisation_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NESTING.variable, "20000")
    path = model(tmp_path, "relu(x)")
    entry = f"min = {'[' * LEVELS}0.0{']' * LEVELS}, max = 1.0, bits = 8, signed = false, symmetric = false"
    (path / "graph.quant").write_text(f'"x": min_max_linear_quantize({entry});\n')
    with pytest.raises(Error, match=r"graph\.quant:1:.*min") as caught:
        import_model(path)
    assert str(caught.value.where) in {str(finding.where) for finding in validate_model(path).findings}


HOSTILE = {
    "round brackets": f"{'(' * 1_000_000}x{')' * 1_000_000}", "square brackets": "[" * 1_000_000, "signs": "-" * 1_000_000 + "x",
    "sum": "x" + " + x" * 1_000_000, "calls": "relu(" * 1_000_000, "conditionals": "x if true else " * 1_000_000 + "x",
}  # fmt: skip
MEASURED = """
import resource, sys, time
from nnef_cl.errors import Error
from nnef_cl.importer import import_model
from nnef_cl.importer.validate import validate_model
try:
    import_model(sys.argv[1])
except Error as error:
    print(error)
print(validate_model(sys.argv[1]).findings[0])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, time.process_time())
"""


def measured(path: Path) -> tuple[list[str], int, float]:
    """The error and a finding, MB and seconds of a process that reads with the highest limit there is."""
    command = [sys.executable, "-c", MEASURED, str(path)]
    environment = {NESTING.variable: str(NESTING.most)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, env=environment)
    *lines, numbers = done.stdout.splitlines()
    memory, seconds = numbers.split()
    return lines, int(memory), float(seconds)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sum", "loops over loops", "comparison"])
def test_the_highest_limit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the smaller stack of a thread."""
    monkeypatch.setenv(NESTING.variable, str(NESTING.most))
    in_thread(lambda: walk(model(tmp_path, VALID[name](NESTING.most - 100))))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_million_levels_at_the_highest_limit(name: str, tmp_path: Path) -> None:
    lines, memory, seconds = measured(model(tmp_path, HOSTILE[name]))
    assert all(f"nested more than {NESTING.most} levels deep" in line for line in lines) and len(lines) == 2
    assert memory < 1000 and seconds < 60


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_a_recursion_of_deep_expressions(tmp_path: Path) -> None:
    path = model(tmp_path, "f(x)")
    text = (path / "graph.nnef").read_text()
    (path / "graph.nnef").write_text(text.replace("relu(x)", "-" * 90_000 + "f(x)"))
    lines, memory, seconds = measured(path)
    assert all("more than 500000 expressions inside each other" in line for line in lines) and len(lines) == 2
    assert memory < 1000 and seconds < 60
