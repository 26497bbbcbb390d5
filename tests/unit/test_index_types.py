"""Indices of tensors with more than 2^31 - 1 elements: 64 bits where they are needed, 32 elsewhere, refusals that say why."""

from __future__ import annotations

import re

import pytest
from nnef_cl.codegen.access import offset
from nnef_cl.codegen.render import render_kernel
from nnef_cl.codegen.target import Target

from nnef_cl import UnsupportedError, passes
from nnef_cl.conformance.case import FAMILIES, cases_of
from nnef_cl.conformance.harness import family_graph
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan.build import build_plan

OPS = STANDARD | INTERNAL
TARGETS = (Target.generic(8), Target.gpu())
targets = pytest.mark.parametrize("target", TARGETS, ids=("cpu", "gpu"))


def texts(body: str, target: Target, x: str = "[40000, 2, 40000]") -> list[str]:
    source = f"version 1.0;\ngraph g( x ) -> ( y )\n{{\nx = external(shape = {x});\n{body}\n}}\n"
    graph = import_document(parse_document(source), STANDARD, lambda label, position: None)
    plan = build_plan(passes.run(graph, OPS, target), OPS, target)
    return [render_kernel(step.kernel) for step in plan.steps]


@targets
def test_items_and_offsets_have_64_bits(target: Target) -> None:
    [text] = texts("y = relu(x);", target)
    assert "long item" in text if target.vector_width == 1 else "const long i0 = (long)step * 8" in text
    [text] = texts("y = pad(x, padding = [(0, 0), (0, 0), (1, 1)]);", target)
    assert "(long)i0 * 80000" in text and "const int i0" in text
    [text] = texts("y = transpose(x, axes = [2, 1, 0]);", target)
    assert "(long)i" in text
    [text] = texts("y = max_pool(x, size = [2, 1, 1], border = 'ignore', padding = [(0, 0), (0, 0), (0, 0)]);", target)
    assert "(long)i0 * 80000 + (long)o1 * 40000" in text and ("(long)o2]" in text or "long starts[2]" in text)


@targets
@pytest.mark.parametrize("axes", ["[0]", "[2]", "[0, 1, 2]"])
@pytest.mark.parametrize("op", ["sum_reduce", "argmax_reduce"])
def test_reductions(op: str, axes: str, target: Target) -> None:
    assert "(long)" in texts(f"y = {op}(x, axes = {axes});", target)[0]
    flat = texts(f"y = {op}(x, axes = [0]);", target, "[3000000000]")[0]
    assert re.search(r"for \(long (r0|r|run) = ", flat) and "int r0" not in flat


@targets
def test_softmax(target: Target) -> None:
    assert all("(long)" in text for text in texts("y = softmax(x, axes = [2]);", target))


@targets
@pytest.mark.parametrize("op", ["max_roi_pool", "avg_roi_align"])
def test_regions(op: str, target: Target) -> None:
    more = ", sampling_rate = [1, 1], resize_method = 'aligned'" if op == "avg_roi_align" else ""
    body = f"r = external(shape = [1, 4]); b = external<integer>(shape = [1]); y = {op}(x, r, b, output_size = [2, 2]{more});"
    source = f"version 1.0; graph g( x, r, b ) -> ( y ) {{ x = external(shape = [90000, 2, 200, 200]); {body} }}"
    graph = import_document(parse_document(source), STANDARD, lambda label, position: None)
    plan = build_plan(passes.run(graph, OPS, target), OPS, target)
    text = next(render_kernel(step.kernel) for step in plan.steps if "region" in step.kernel.stem)
    assert "x[(long)b * 80000" in text


@targets
def test_gather(target: Target) -> None:
    body = "i = external<integer>(shape = [3]); y = gather(x, i, axis = 1);"
    source = f"version 1.0; graph g( x, i ) -> ( y ) {{ x = external(shape = [40000, 2, 40000]); {body} }}"
    graph = import_document(parse_document(source), STANDARD, lambda label, position: None)
    plan = build_plan(passes.run(graph, OPS, target), OPS, target)
    text = next(render_kernel(step.kernel) for step in plan.steps if step.kernel.stem == "gather")
    assert "(long)outer * 80000 + (long)index * 40000 + (long)inner" in text and "const int index" in text


@targets
@pytest.mark.parametrize("family", FAMILIES)
def test_ordinary_sizes_keep_32_bits(family: str, target: Target) -> None:
    plan = build_plan(passes.run(family_graph(cases_of(family))[0], OPS, target), OPS, target)
    for kernel in dict.fromkeys(step.kernel for step in plan.steps):
        assert not re.search(r"[\[+] ?\(long\)\w+ \*|long (item|first|rest) =", render_kernel(kernel)), kernel.title


def test_offsets() -> None:
    assert offset(("a", "b", "c"), (6, 0, 1), 5) == "a * 6 + c + 5"
    assert offset(("a", "b", "c"), (6, 0, 1), 5, wide=True) == "(long)a * 6 + (long)c + 5"


def test_kernels_that_cannot_say_so() -> None:
    with pytest.raises(UnsupportedError, match=r"more than 2147483647 elements, which kernel '\w+' cannot index"):
        texts("y = matmul(x, x, transposeA = true);", Target.generic(), "[3000000000, 1]")


@targets
def test_matmul(target: Target) -> None:
    text = texts("y = matmul(x, x, transposeB = true);", target, "[50000, 4]")[-1]
    assert "y + (long)" in text or "y[(long)" in text
    assert "a + (long)" in texts("y = matmul(x, x, transposeB = true);", Target.generic(8), "[40000, 2, 40000]")[-1]
