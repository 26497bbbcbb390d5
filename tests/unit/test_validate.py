"""Validation: every independent problem once, with place, rule and hint, and nothing that only follows from another."""

from __future__ import annotations

import io
import json
import tarfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nnef_cl.commands import app
from nnef_cl.demo import model_folder
from nnef_cl.format.syntax import SourcePosition
from nnef_cl.format.tensor_file import write_tensor
from nnef_cl.importer.dialect import RULES
from nnef_cl.importer.report import Finding
from nnef_cl.importer.sections import SECTIONS
from nnef_cl.importer.validate import Validation, hint, section, validate_model
from nnef_cl.ops import STANDARD

EXTENSIONS = "extension KHR_enable_fragment_definitions KHR_enable_operator_expressions;"
INPUT = "x = external(shape = [1, 4]);"


def text(body: str, fragments: str = "", head: str = "g( x ) -> ( y )", inputs: str = INPUT) -> str:
    """Fragments are line 3, inputs line 5, the body line 6."""
    return f"version 1.0;\n{EXTENSIONS}\n{fragments}\ngraph {head} {{\n{inputs}\n{body}\n}}\n"


def validated(folder: Path, graph: str, **options: Any) -> Validation:
    (folder / "graph.nnef").write_text(graph)
    return validate_model(folder, **options)


def shown(finding: Finding) -> str:
    """`6:5 rule`, and `!` before warnings."""
    where = finding.where
    place = f"{where.line}:{where.column}" if isinstance(where, SourcePosition) else str(where)
    return f"{'!' if finding.severity == 'warning' else ''}{place} {finding.rule}"


F = "fragment f( x: tensor<scalar>, n: integer = 1 ) -> ( y: tensor<scalar> )"
CASES: dict[str, tuple[dict[str, str], list[str]]] = {
    "five independent errors": (
        {"body": "a = rellu(x);\nb = concat([x, x], axis = 7);\nc = leaky_relu(x, alpha = 'x');\n"
                 "d = relu(nowhere);\ne = relu(x;\ny = relu(x);"},
        ["6:5 invocations", "7:5 arguments", "8:19 types", "9:10 identifiers", "10:11 syntax"]),
    "what depends on an error is none": (
        {"body": "a = rellu(x);\nb = concat([a, x], axis = 7);\n[c, d] = split(b, axis = 9, ratios = [1, 1]);\n"
                 "e = a if length_of(shape_of(a)) > 2 else b;\nf = f(e) + a * 2.0;\ny = relu(f);",
         "fragments": F + " { y = relu(x); }"}, ["6:5 invocations"]),
    "what depends on lost text is none": (
        {"body": "a relu(x);\nb = concat([a, x], axis = 7);\ny, z = ;\nc = z;", "fragments": "fragment f( -> ();",
         "head": "g( x ) -> ( y, z )"}, ["3:13 syntax", "6:3 syntax", "8:8 syntax"]),
    "independent errors in what depends on one": (
        {"body": "a = rellu(x);\ny = leaky_relu(a, alfa = 1.0) + conv(a, b, padding = 3);"},
        ["6:5 invocations", "7:19 invocations", "7:41 identifiers", "7:44 types"]),
    "several in one list of arguments": (
        {"body": "y = conv(x, strid = [1], paddin = [], groups = 'a', groups = 2);"},
        ["6:13 invocations", "6:26 invocations", "6:39 types", "6:53 invocations"]),
    "missing arguments": ({"body": "y = clamp(x);"}, ["6:5 invocations"]),
    "left sides": (
        {"body": "[a, b] = relu(x);\nc, d = [x, x];\n[e, e] = [x, x];\nx = relu(x);\ny = [x, x];"},
        ["6:1 assignments", "7:1 assignments", "8:5 identifiers", "9:1 identifiers", "10:1 identifiers"]),
    "interface": (
        {"body": "q = external(shape = [1]);", "head": "g( x, k, k ) -> ( y, x )"},
        ["4:13 identifiers", "4:16 identifiers", "4:25 identifiers", "6:5 identifiers"]),
    "order of statements": ({"body": "y = relu(z);\nz = relu(x);"}, ["6:10 identifiers"]),
    "shapes of inputs": (
        {"body": "y = relu(x);", "inputs": "x = external(shape = [0, -1]);"}, ["5:5 arguments"]),
    "declarations": (
        {"body": "y = relu(x);",
         "fragments": "fragment f( a: integer = 'a', x: tensor<scalar>, a: scalar, t: (tensor<scalar>, integer) ) -> "
                      "( y: integer ) { y = 1; }"},
        ["3:13 declarations", "3:31 declarations", "3:50 declarations", "3:61 declarations", "3:97 declarations"]),
    "fragments that nothing calls": (
        {"body": "y = relu(x);",
         "fragments": F + " {\na = rellu(x);\nx = relu(x);\nb = relu(q) if n > 0 else relu(x, 'a', bogus = 1);\n"
                          "v = variable(shape = [1], label = 'v');\n}"},
        ["3:54 identifiers", "4:5 invocations", "5:1 identifiers", "6:10 identifiers", "6:35 invocations",
         "6:40 invocations", "7:5 identifiers"]),
    "a fragment that is called twice": (
        {"body": "a = f(x);\ny = f(a) + bogus(x);", "fragments": F + " { y = tanhh(x); }"},
        ["3:80 invocations", "7:12 invocations"]),
    "values that a fragment gets": (
        {"body": "a = f(x, n = 7);\nb = f(x, n = 8);\ny = f(x, n = 1);",
         "fragments": F + " { y = concat([x, x], axis = n); }"}, ["3:80 arguments"]),
    "a branch that is not taken": (
        {"body": "y = x if length_of([1]) > 0 else [x][3];", "fragments": F + " { y = x if n > 0 else [x][3]; }"}, []),
    "endless recursion": ({"body": "y = f(x);", "fragments": F + " { y = f(x); }"}, ["3:80 limits"]),
    "compile time": (
        {"body": "a = x * (1 / 0);\nb = x * [1.0][2];\nc = [for i in 3 yield i][0];\ny = x + ('a' + 1.0);"},
        ["6:10 expressions", "7:9 expressions", "8:5 expressions", "9:10 expressions"]),
    "custom operations": (
        {"body": "a = h(x);\nb = concat([a, x], axis = 9);\ny = relu(a, b = 1);",
         "fragments": "fragment h( x: tensor<scalar> ) -> ( y: tensor<scalar> );"},
        ["!6:5 unsupported", "8:13 invocations"]),
    "warnings": (
        {"body": "a = leaky_relu(x, 1);\nb = leaky_relu(x, 0.5);\ny = conv(x, x, padding = 3);"},
        ["!6:19 positional-attributes", "!6:19 integers-as-scalars", "8:16 types"]),
    "extensions": ({"body": "y = relu(x);", "fragments": "extension KHR_new; extension ACME_a;"},
                   ["3:1 extensions", "!3:20 vendor-extensions"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_problems(tmp_path: Path, case: str) -> None:
    arguments, expected = CASES[case]
    validation = validated(tmp_path, text(**arguments))
    assert [shown(finding) for finding in validation.findings] == expected, [str(f) for f in validation.findings]


def test_warnings_are_errors_for_the_strict(tmp_path: Path) -> None:
    arguments, expected = CASES["warnings"]
    strict = validated(tmp_path, text(**arguments), dialect="strict")
    assert [finding.severity for finding in strict.findings] == ["error"] * 3
    assert [shown(finding) for finding in strict.findings] == ["6:19 positional-attributes", "7:19 positional-attributes",
                                                               "8:16 types"]  # fmt: skip
    assert expected[0] == "!6:19 positional-attributes"


def test_every_finding_has_rule_section_and_hint(tmp_path: Path) -> None:
    for arguments, _ in CASES.values():
        for finding in validated(tmp_path, text(**arguments)).findings:
            assert finding.rule in RULES and hint(finding)
            assert section(finding) or finding.rule in ("limits", "unsupported")


def test_every_operation_has_a_section() -> None:
    assert set(SECTIONS) == set(STANDARD)


# Files -----------------------------------------------------------------------------------------------------
def data(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    write_tensor(file, array)
    return file.getvalue()


GOOD_DATA = data(np.ones((1, 4), np.float32))
FILES: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "container"),
    "shape": (data(np.ones((2, 2), np.float32)), "tensor-files"),
    "type": (data(np.ones((1, 4), np.int32)), "tensor-files"),
    "truncated": (GOOD_DATA[:-4], "tensor-files"),
    "header": (b"\0" * 200, "tensor-files"),
    "empty": (b"", "tensor-files"),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("packed", ["folder", "tar", "tgz"])
def test_tensor_files(tmp_path: Path, case: str, packed: str) -> None:
    content, rule = FILES[case]
    graph = text("w = variable(shape = [1, 4], label = 'w');\nv = variable(shape = [1, 4], label = 'v');\n"
                 "u = concat([w, v], axis = 1);\ny = add(u, x);").encode()  # fmt: skip
    files = {"graph.nnef": graph, "v.dat": GOOD_DATA} | ({} if content is None else {"w.dat": content})
    validation = validate_model(packed_model(tmp_path, files, packed))
    # The declared shape stays known, so that the sum in line 9 is found wrong, too.
    assert [shown(finding) for finding in validation.findings] == [f"6:5 {rule}", "9:5 arguments"]
    assert "w.dat" in validation.findings[0].message or "'w'" in validation.findings[0].message


def packed_model(folder: Path, files: dict[str, bytes], packed: str) -> Path:
    if packed == "folder":
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder
    path = folder / f"model.{packed}"
    with tarfile.open(path, "w:gz" if packed == "tgz" else "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("packed", ["folder", "tar", "tgz"])
def test_no_weights_are_allocated(tmp_path: Path, packed: str) -> None:
    content = data(np.zeros((1, 4_000_000), np.float32))
    graph = text("w = variable(shape = [1, 4000000], label = 'w');\nu = mul(w, 2.0);\ny = relu(x);")
    path = packed_model(tmp_path, {"graph.nnef": graph.encode(), "w.dat": content}, packed)
    validate_model(path)
    del content
    tracemalloc.start()
    try:
        assert validate_model(path).findings == ()
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_quantisation_file(tmp_path: Path) -> None:
    entry = "linear_quantize(min = 0.0, max = 1.0, bits = 8);"
    lines = (f'"x": {entry}', f'"x": {entry}', '"y": linear_quantize(min = 0.0, min = 1.0, max = 2.0, bits = 8);',
             f'"z": {entry}', '"y" bogus;')  # fmt: skip
    (tmp_path / "graph.quant").write_text("\n".join(lines))
    validation = validated(tmp_path, text("y = relu(x);"))
    assert [shown(finding) for finding in validation.findings] == ["2:1 quantisation", "3:33 quantisation",
                                                                   "4:1 quantisation", "5:5 syntax"]  # fmt: skip


def test_models_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "model.tgz").write_bytes(b"\x1f\x8b nothing")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "model.tgz"):
        (finding,) = validate_model(path).findings
        assert finding.severity == "error" and finding.rule == "container"
    (finding,) = validated(tmp_path, "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")).findings
    assert finding.rule == "syntax"


# Time ------------------------------------------------------------------------------------------------------
def layers(count: int) -> str:
    lines = [f"t{n + 1} = relu(add(mul(t{n}, 0.5), 1.0));" for n in range(count)]
    return text("\n".join(["t0 = copy(x);", *lines, f"y = copy(t{count});"]))


def test_a_hundred_layers_take_less_than_a_second(tmp_path: Path) -> None:
    validated(tmp_path, layers(1))
    started = time.perf_counter()
    assert validated(tmp_path, layers(100)).findings == ()
    assert time.perf_counter() - started < 1


def test_time_is_linear(tmp_path: Path) -> None:
    started = time.perf_counter()
    assert validated(tmp_path, layers(3000)).findings == ()  # 9000 operations
    assert time.perf_counter() - started < 20


def test_so_many_errors_end_it(tmp_path: Path) -> None:
    validation = validated(tmp_path, text("y = relu(x);\n" + "".join(f"a{n} = b{n}(x);\n" for n in range(3000))))
    assert 1000 <= validation.errors < 1010 and not validation.complete


# Command ---------------------------------------------------------------------------------------------------
def test_the_packaged_model_is_strictly_valid() -> None:
    done = CliRunner().invoke(app, ["validate", str(model_folder()), "--dialect", "strict"])
    assert (done.exit_code, done.stdout) == (0, f"{model_folder()}: valid (strict)\n")


def test_output(tmp_path: Path) -> None:
    validated(tmp_path, text("\ty = relu(x, bogus = 1) ; # " + "long " * 100))
    done = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert done.exit_code == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "graph.nnef:6:14: error: relu 'y': has no parameter 'bogus'"
    assert lines[1].startswith("    y = relu(x, bogus = 1) ; # long") and len(lines[1]) < 120
    assert lines[2] == " " * lines[1].index("bogus") + "^"
    assert lines[3] == "    rule: invocations (NNEF 1.0.5, section 3.3.2)"
    assert lines[4].startswith("    hint: ") and lines[5] == ""
    assert lines[6] == f"{tmp_path}: not valid (lenient, 1 error)"


def test_json(tmp_path: Path) -> None:
    validated(tmp_path, text("y = leaky_relu(x, 0.5);\nz = concat([x], axis = 9);"))
    done = CliRunner().invoke(app, ["validate", str(tmp_path), "--json"])
    report = json.loads(done.stdout)
    assert done.exit_code == 1 and (report["schema"], report["valid"], report["complete"]) == (1, False, True)
    assert (report["errors"], report["warnings"], report["dialect"]) == (1, 1, "lenient")
    warning, error = report["problems"]
    assert warning["severity"] == "warning" and warning["rule"] == "positional-attributes"
    expected = {
        "severity": "error", "rule": "arguments", "section": "4.5.3", "file": "graph.nnef", "line": 7, "column": 5,
        "operation": "concat", "tensor": "z", "message": "axis 9 is outside 0..1", "text": "z = concat([x], axis = 9);",
        "caret": 4, "hint": "section 4.5.3 says what concat accepts",
    }  # fmt: skip
    assert error == expected


def test_explain() -> None:
    done = CliRunner().invoke(app, ["validate", "--explain"])
    assert done.exit_code == 0 and all(f"{rule.name} (" in done.stdout for rule in RULES.values())
    rules = json.loads(CliRunner().invoke(app, ["validate", "--explain", "--json"]).stdout)["rules"]
    assert [rule["name"] for rule in rules] == list(RULES)


@pytest.mark.parametrize("arguments", [["validate"], ["validate", ".", "--explain"], ["validate", ".", "--dialect", "x"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
