"""Generated OpenCL C: deterministic, readable, version 1.2, spelled as its header says."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.kernels.softmax import softmax
from nnef_cl.codegen.render import RenderError, c_text, render_kernel, render_program
from nnef_cl.codegen.target import Target
from typer.testing import CliRunner

from nnef_cl import passes
from nnef_cl.commands import app
from nnef_cl.conformance.case import FAMILIES, cases_of
from nnef_cl.conformance.harness import family_graph
from nnef_cl.demo import model_folder
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan.build import build_plan

OPS = STANDARD | INTERNAL
NOT_IN_1_2 = re.compile(r"\b(generic|pipe|atomic_\w+_explicit|work_group_\w+|sub_group_\w+|__asm\w*|asm|half|double)\b")

SOFTMAX = """\
// softmax: over (3,), kept (2,), 1 lanes
// made from kernels_cl/softmax.cl.mako by `nnef-cl dump MODEL --kernels DIR`
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void NAME(__global const float *restrict x, __global float *restrict y)
{
    const int work_group = get_group_id(0);
    const int first = work_group * 128 + get_local_id(0);
    const int last = min(2, (work_group + 1) * 128);
    for (int item = first; item < last; item += 64) {
        const int i0 = item;
        float largest = (float)(-INFINITY);
        for (int r0 = 0; r0 < 3; ++r0) {
            const float value = x[i0 * 3 + r0];
            largest = SELECT(largest, value, value > largest || value != value);
        }
        float sum = (float)(0.0f);
        for (int r0 = 0; r0 < 3; ++r0) {
            const float value = exp(x[i0 * 3 + r0] - largest);
            sum += value;
            y[i0 * 3 + r0] = value;
        }
        for (int r0 = 0; r0 < 3; ++r0) {
            y[i0 * 3 + r0] = y[i0 * 3 + r0] / sum;
        }
    }
}
"""


TARGETS = {"4 lanes": Target.generic(4), "16 lanes": Target.generic(16), "gpu": Target.gpu()}


def kernels(family: str, shape: str) -> list[Kernel]:
    target = TARGETS[shape]
    plan = build_plan(passes.run(family_graph(cases_of(family))[0], OPS, target), OPS, target)
    return list(dict.fromkeys(step.kernel for step in plan.steps))


@functools.cache
def sources(family: str, shape: str) -> dict[Kernel, str]:
    return {kernel: render_kernel(kernel) for kernel in kernels(family, shape)}


every = pytest.mark.parametrize(("family", "shape"), [(family, shape) for family in FAMILIES for shape in TARGETS])


def test_golden_kernel() -> None:
    kernel = softmax((2,), (3,), (3,), (1,), Target.generic(4))
    assert render_kernel(kernel).replace(kernel.name, "NAME") == SOFTMAX


@every
def test_rendering_is_deterministic(family: str, shape: str) -> None:
    again = kernels(family, shape)
    assert again == list(sources(family, shape))
    assert render_program(again).endswith("\n".join(sources(family, shape).values()))


@every
def test_text_is_tidy(family: str, shape: str) -> None:
    for kernel, text in sources(family, shape).items():
        lines = text.split("\n")
        assert lines[0] == f"// {kernel.stem}: {kernel.title}" and lines[-2:] == ["}", ""]
        assert not [line for line in lines if "\t" in line or line != line.rstrip()]
        assert "\n\n\n" not in text and "{{" not in text and "None" not in text
        assert text.count("__kernel") == 1 and kernel.name in text


@every
def test_only_opencl_1_2(family: str, shape: str) -> None:
    for text in sources(family, shape).values():
        code = re.sub(r"//.*", "", text)
        assert not NOT_IN_1_2.search(code) and "#pragma" not in code and "cl_khr" not in code


def test_equal_records_are_one_function() -> None:
    kernel = softmax((2,), (3,), (3,), (1,), Target.generic(4))
    program = render_program([kernel, replace(kernel)])
    assert program.count("__kernel") == 1


def test_what_has_no_c_spelling_is_refused() -> None:
    assert (c_text("x"), c_text(-3)) == ("x", "-3")
    for value in (0.1, True, None, (1, 2)):
        with pytest.raises(TypeError, match="C spelling"):
            c_text(value)


def test_a_failing_template_names_its_line() -> None:
    kernel = softmax((2,), (3,), (3,), (1,), Target.generic(4))
    with pytest.raises(RenderError, match=r"softmax.cl.mako:\d+: "):
        render_kernel(replace(kernel, kept_strides="no strides"))


def test_the_header_names_the_command_that_makes_the_kernel(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["dump", str(model_folder()), "--kernels", str(tmp_path)])
    assert result.exit_code == 0, result.output
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made
    for text in made.values():
        [command] = re.findall(r"`nnef-cl (\w+) MODEL --kernels DIR`", text)
        [template] = re.findall(r"made from (\S+)", text)
        assert command == "dump" and (Path(__file__).parents[2] / template).is_file()
