"""Operations of users: what is checked when they are made, and whose fault is named when their functions fail."""

from __future__ import annotations

import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from nnef_cl.codegen.kernel import Candidate, Input, Kernel, Launch, Output, Packed
from nnef_cl.codegen.target import Target

import nnef_cl
from nnef_cl import passes
from nnef_cl.errors import ExtensionError, FileFormatError, ModelError, ModelSyntaxError
from nnef_cl.format.parser import parse_document
from nnef_cl.format.tensor_file import read_tensor_file
from nnef_cl.importer import STRICT, import_document
from nnef_cl.ops import INTERNAL
from nnef_cl.ops.base import Op
from nnef_cl.ops.custom import operations_of
from nnef_cl.plan.build import build_plan
from nnef_cl.plan.records import Plan

ONE = "fragment mine( x: tensor<scalar>, a: scalar = 2.0 ) -> ( y: tensor<scalar> );"
BODY = "fragment mine( x: tensor<scalar>, a: scalar = 2.0 ) -> ( y: tensor<scalar> ) { y = x * a; }"


def same(x: Any, a: float) -> Any:
    return x


@dataclass(frozen=True)
class Line(Kernel):
    """A kernel whose template is in the test's folder."""

    stem: ClassVar[str] = "line"
    folder: ClassVar[Path]
    size: int

    @property
    def title(self) -> str:
        return f"{self.size} elements"

    @property
    def global_size(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def local_size(self) -> tuple[int, ...]:
        return (1,)


def lower(problem: Any, target: Target) -> list[Candidate]:
    return [Candidate("line", (Launch(Line(problem.inputs[0].volume), (Input(0), Output())),))]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"declaration": ONE}, "needs a body, an expression or lower, got none of them"),
    "two ways": ({"declaration": BODY, "expression": "{x}"}, "got a body and an expression"),
    "placeholder": ({"declaration": ONE, "expression": "{z}"}, r"the expression has '{z}', expected {x}, {a}, {T}"),
    "position": ({"declaration": ONE, "expression": "{0}"}, "the expression has '{0}'"),
    "braces": ({"declaration": ONE, "expression": "{x"}, "not a format string"),
    "string": (
        {"declaration": "fragment mine( x: tensor<scalar>, s: string ) -> ( y: tensor<scalar> );", "expression": "{x}"},
        "parameter 's: string' has no place in an expression",
    ),
    "array": (
        {"declaration": "fragment mine( x: tensor<scalar>[] ) -> ( y: tensor<scalar> );", "expression": "{x}"},
        "has no place in an expression",
    ),
    "integers": (
        {"declaration": "fragment mine( x: tensor<integer> ) -> ( y: tensor<scalar> );", "expression": "{x}"},
        "takes integers only where all tensors are integers",
    ),
    "results": (
        {"declaration": "fragment mine( x: tensor<scalar> ) -> ( y: tensor<scalar>, z: tensor<scalar> );",
         "expression": "{x}"}, "an expression makes one tensor",
    ),
    "no shape rule": ({"declaration": ONE, "lower": lower}, "lower needs a shape rule"),
    "arguments": (
        {"declaration": ONE, "lower": lower, "infer": lambda x: x}, "its shape rule must take the arguments x, a",
    ),
    "reference": (
        {"declaration": ONE, "expression": "{x}", "reference": lambda x, b: x}, "its reference must take the arguments",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_when_made(name: str) -> None:
    arguments, message = WRONG[name]
    with pytest.raises(ExtensionError, match=f"operation 'mine': .*{message}"):
        nnef_cl.op(**arguments)


def test_text_that_is_no_declaration() -> None:
    with pytest.raises(ModelSyntaxError, match=r"<declaration>:1:"):
        nnef_cl.op("fragment mine( x tensor<scalar> ) -> ( y: tensor<scalar> );")


def test_tables() -> None:
    mine = nnef_cl.op(BODY)
    both = nnef_cl.STANDARD | nnef_cl.table((mine,))
    assert len(both) == len(nnef_cl.STANDARD) + 1 and both["mine"] is mine
    relu = nnef_cl.op("fragment relu( x: tensor<scalar> ) -> ( y: tensor<scalar> );", expression="{x}")
    reader = nnef_cl.ItemReader(7, 1, "scalar", lambda payload, header: np.zeros(header.volume))
    for make, message in (
        (lambda: nnef_cl.STANDARD | nnef_cl.table((relu,)), "operation 'relu' is defined twice"),
        (lambda: nnef_cl.table((mine, mine)), "operation 'mine' is defined twice"),
        (lambda: nnef_cl.table(mine), "expected a tuple of what nnef_cl.op makes"),  # type: ignore[arg-type]
        (lambda: nnef_cl.table(("mine",)), "expected a tuple of what nnef_cl.op makes"),  # type: ignore[arg-type]
        (lambda: nnef_cl.table(items=(reader, reader)), "item type 0x0001 of vendor 0x0007 is defined twice"),
        (lambda: nnef_cl.ItemReader(0, 1, "scalar", reader.read), "an item type has a vendor"),
        (lambda: nnef_cl.ItemReader(1, 1, "float", reader.read), "an item type has a vendor"),
        (lambda: nnef_cl.load("model", ops=(mine,)), "ops: expected a table"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ExtensionError, match=message):
            make()


def planned(op: Op, call: str = "mine(x)", declared: str = "", constants: str = "") -> Plan:
    names = "KHR_enable_fragment_definitions KHR_enable_operator_expressions"
    extension = f"extension {names};\n" if declared else ""
    text = (
        f"version 1.0;\n{extension}{declared}\ngraph g( x ) -> ( y )\n{{\n    x = external(shape = [2, 3]);\n"
        f"    {constants}\n    y = {call};\n}}\n"
    )
    ops = nnef_cl.STANDARD | nnef_cl.table((op,))
    graph = import_document(parse_document(text), ops, lambda label, _: np.zeros(()), dialect=STRICT)
    ops, target = ops | INTERNAL, Target.generic(4)
    return build_plan(passes.run(graph, ops, target), ops, target)


def test_three_ways(tmp_path: Path) -> None:
    assert [step.op for step in planned(nnef_cl.op(BODY)).steps] == ["map"]
    assert [step.op for step in planned(nnef_cl.op(ONE, expression="{x} * {a}")).steps] == ["map"]
    assert [step.op for step in planned(nnef_cl.op(ONE, infer=same, lower=lower)).steps] == ["mine"]
    generic = nnef_cl.op("fragment mine<?>( x: tensor<?> ) -> ( y: tensor<?> );", expression="{x}")
    assert planned(generic).outputs["y"][1].dtype.name == "f32"


def test_constants_are_folded_with_the_reference() -> None:
    op = nnef_cl.op(ONE, expression="{x} * {a}", reference=lambda x, a: x * np.float32(a))
    plan = planned(op, "mine(c, a = 3.0)", constants="c = constant(shape = [2], value = [1.0, 2.0]);")
    assert not plan.steps and plan.weights[0].constant.array.tolist() == [3.0, 6.0]


def test_the_models_declaration_must_agree() -> None:
    op = nnef_cl.op(ONE, expression="{x}")
    assert planned(op, declared=ONE).steps
    assert planned(op, declared=BODY).steps[0].op == "map"
    with pytest.raises(ModelError, match=r"fragment 'mine' is declared otherwise .*: expected fragment mine\( x: tens"):
        planned(op, declared=ONE.replace("2.0", "3.0"))
    with pytest.raises(ModelError, match="is defined twice"):
        planned(op, declared=f"{ONE}\n{ONE}")


def test_a_declaration_that_breaks_the_rules() -> None:
    text = "fragment mine( x: tensor<scalar>, x: scalar = 1.0 ) -> ( y: tensor<scalar> );"
    with pytest.raises(ModelError, match=r"<built-in>:1:\d+: mine: the name 'x' is declared twice"):
        planned(nnef_cl.op(text, expression="1.0f", infer=lambda **_: (1,)))


def fails(*_: Any, **__: Any) -> Any:
    return {}["key"]


def leaves(*_: Any, **__: Any) -> Any:
    sys.exit(0)


def launch(*operands: Any, **sizes: Any) -> Any:
    class Odd(Line):
        """With other sizes."""

        @property
        def global_size(self) -> Any:
            return sizes.get("global_size", (4,))

        @property
        def local_size(self) -> Any:
            return sizes.get("local_size", (2,))

    return lambda problem, target: [Candidate("odd", (Launch(Odd(1), operands),))]


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "shape rule": ({"infer": fails}, r"the shape rule of operation 'mine' failed at \S+test_custom.py:\d+: KeyError: 'ke"),
    "leaves": ({"infer": leaves}, r"'mine' failed at \S+test_custom.py:\d+: tries to end the program"),
    "no shape": ({"infer": lambda x, a: 3}, "returned 3, expected a tuple"),
    "floats": ({"infer": lambda x, a: (x[0] / 2,)}, r"returned \(1.0,\), expected a tuple"),
    "negative": ({"infer": lambda x, a: (-1,)}, "expected extents above 0"),
    "too many": ({"infer": lambda x, a: [x, x]}, "returned 2 shapes"),
    "lower": ({"lower": fails}, r"the lower of operation 'mine' failed at \S+test_custom.py:\d+"),
    "no candidates": ({"lower": lambda problem, target: []}, "expected a list of candidates, got"),
    "operand": ({"lower": launch(Input(1), Output())}, r"there is no Input\(index=1\)"),
    "output": ({"lower": launch(Input(0), Output(1))}, r"there is no Output\(index=1\)"),
    "packed": ({"lower": launch(Packed(0, lambda x: x), Output())}, "packs what is not constant"),  # type: ignore[arg-type]
    "sizes": ({"lower": launch(Input(0), Output(), global_size=(3,))}, "is not a multiple of local size"),
    "no sizes": ({"lower": launch(Input(0), Output(), global_size=())}, "is not a multiple of local size"),
    "size": ({"lower": launch(Input(0), Output(), global_size=None)}, "the kernel of operation 'mine' failed"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_functions_that_fail(name: str) -> None:
    arguments, message = FAULTS[name]
    op = nnef_cl.op(ONE, **({"infer": same, "lower": lower} | arguments))
    with pytest.raises(ModelError, match=f"^graph.nnef:7:9: mine 'y': .*{message}"):
        planned(op)


def test_a_reference_that_fails() -> None:
    op = nnef_cl.op(ONE, expression="{x}", reference=fails)
    with pytest.raises(ModelError, match="the reference of operation 'mine' failed"):
        planned(op, "mine(c)", constants="c = constant(shape = [2], value = [1.0, 2.0]);")


def test_templates_that_fail(tmp_path: Path) -> None:
    from nnef_cl.codegen.render import render_kernel

    Line.folder = tmp_path
    template = tmp_path / "line.cl.mako"
    for text, message in (
        (None, f"^{re.escape(str(template))}: there is no such template"),
        ("## A.\n${p.lenght}\n", r"line.cl.mako:2: the template failed: AttributeError: .*lenght"),
        ("## A.\n\n% if p.size:\n", r"line.cl.mako:\d+: the template failed: SyntaxException"),
        ("## A.\n${0.5}\n", "the template failed: TypeError: 0.5 has no fixed C spelling"),
        ("## A.\n<% raise KeyError('k') %>\n", "line.cl.mako:2: the template failed: KeyError"),
        ('## A.\n<%include file="/nowhere.mako"/>\n', "nowhere.mako"),
    ):
        if text is not None:
            template.write_text(text)
        with pytest.raises(ExtensionError, match=message):
            render_kernel(Line(len(text or "")))
    template.write_text("## A.\n__kernel void ${p.name}() {}\n")
    assert f"made from {template}" in render_kernel(Line(3))


def item_file(path: Path, payload: bytes, shape: tuple[int, ...], code: int = 1) -> Path:
    header = struct.pack(
        "<2sBBII8IIHH32s44x", b"\x4e\xef", 1, 0, len(payload), len(shape), *shape, *[0] * (8 - len(shape)), 4, code,
        0x4D59, bytes(32),
    )  # fmt: skip
    path.write_bytes(header + payload)
    return path


def test_item_types(tmp_path: Path) -> None:
    def nibbles(payload: memoryview, header: Any) -> np.ndarray:
        codes = np.frombuffer(payload, np.uint8)
        return np.stack([codes >> 4, codes & 15], axis=1).reshape(-1)[: header.volume]

    path = item_file(tmp_path / "a.dat", b"\x12\x3f", (3,))
    for kind, expected in (("integer", [1, 2, 3]), ("scalar", [1.0, 2.0, 3.0])):
        table = nnef_cl.table(items=(nnef_cl.ItemReader(0x4D59, 1, kind, nibbles),))
        found = read_tensor_file(path, readers=table.readers)
        assert found.array.tolist() == expected and found.header.kind == kind
    for read, message in (
        (fails, "item type 0x0001 of vendor 0x4d59: KeyError: 'key'"),
        (lambda payload, header: np.zeros(4, int), "expected 3 items, its reader gives 4"),
        (lambda payload, header: ["a"] * 3, "item type 0x0001 of vendor 0x4d59: "),
    ):
        table = nnef_cl.table(items=(nnef_cl.ItemReader(0x4D59, 1, "integer", read),))  # type: ignore[arg-type]
        with pytest.raises(FileFormatError, match=message):
            read_tensor_file(path, readers=table.readers)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(FileFormatError, match="trailing bytes"):
        read_tensor_file(path, readers=table.readers)


def test_files_of_operations(tmp_path: Path) -> None:
    path = tmp_path / "my ops.py"
    for text, message in (
        (None, "expected a Python file"),
        ("x = 1\n", "defines neither OPS"),
        ("x = 1\nx / 0\n", r"my ops.py:2: ZeroDivisionError"),
        ("x = = 1\n", r"my ops.py:1: SyntaxError"),
        ("x = 1\0\n", r"my ops.py: (SyntaxError|ValueError): source code string cannot contain null bytes"),
        ("\nimport sys\nsys.exit()\n", r"my ops.py:3: tries to end the program"),
        ("import absent_module_of_mine\n", r"my ops.py:1: ModuleNotFoundError"),
        ("OPS = 3\n", "expected a tuple of what nnef_cl.op makes"),
        ("import nnef_cl\nOPS = (nnef_cl.op('fragment f( x: tensor<> ) -> ( y: tensor<> );'),)\n", "operation 'f': needs"),
    ):
        if text is not None:
            path.write_text(text)
        with pytest.raises(ExtensionError, match=message):
            operations_of(path)
    path.write_text(f"import nnef_cl\nOPS = (nnef_cl.op({BODY!r}),)\n")
    assert list(operations_of(path)) == ["mine"]
