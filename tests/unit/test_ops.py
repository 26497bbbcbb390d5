"""Operation records: declarations, shape rules and references against the standard."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_cl.conformance.case import FAMILIES, KINDS, Case, all_cases, case, cases_of, f32, given, value_of
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.compounds import COMPOUNDS
from nnef_cl.conformance.harness import compare, family_graph, interpret
from nnef_cl.errors import RuleError
from nnef_cl.format.parser import parse_fragments
from nnef_cl.format.syntax import Fragment, Literal
from nnef_cl.ir.layout import Shape
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Op, op, table
from nnef_cl.ops.shapes import broadcast
from nnef_cl.ops.windows import Window, down_window, up_window

TEXT = Path(__file__).with_name("standard_fragments.txt").read_text("utf-8")
FRAGMENTS: dict[str, Fragment] = {f.name: f for f in parse_fragments(TEXT)}
CASES = all_cases()
KNOWN = [c for c in CASES if c.expected is not None]
DECLARED = ("external", "constant", "variable", "update")
"""They introduce tensors: the importer gives them their meaning."""
HUGE = 2**62


def label(one: Case) -> str:
    return one.id


def result_count(one: Case) -> int:
    """Tensors of the results: declared, or as many as the arguments ask for."""
    if one.op == "unstack":
        return one.arrays[0].shape[one.attrs["axis"]]
    counts = {"split": len(one.attrs.get("ratios", ())), "copy_n": one.attrs.get("times", 0)}
    return counts.get(one.op, len(one.record.declaration.results))


def rules() -> list[Op]:
    return [one for one in STANDARD.values() if one.infer is not None]


def callables() -> list[tuple[Op, Any]]:
    return [(one, f) for one in STANDARD.values() for f in (one.infer, one.reference) if f is not None]


def attributes(name: str, given_ones: dict[str, Any]) -> dict[str, Any]:
    """With the defaults of the declaration."""
    parameters = STANDARD[name].attribute_parameters
    return {p.name: given_ones[p.name] if p.name in given_ones else value_of(p.default) for p in parameters}


def inferred(name: str, shapes: list[Shape], **attrs: Any) -> list[Shape]:
    return STANDARD[name].infer_shapes(shapes, attributes(name, attrs))


# The table -------------------------------------------------------------------------------------------------
def test_the_standard_has_118_operations() -> None:
    assert len(FRAGMENTS) == 118


def test_every_operation_of_the_standard_is_there() -> None:
    assert set(STANDARD) == set(FRAGMENTS)


@pytest.mark.parametrize("name", STANDARD)
def test_declaration_is_the_standards(name: str) -> None:
    """Names, types and order of parameters, defaults, results, generic type; bodies are ours."""
    assert replace(STANDARD[name].declaration, body=None) == FRAGMENTS[name]


def test_a_changed_default_is_noticed() -> None:
    declaration = STANDARD["elu"].declaration
    x, alpha = declaration.parameters
    changed = replace(declaration, parameters=(x, replace(alpha, default=Literal(2.0))))
    assert changed != FRAGMENTS["elu"] and declaration == FRAGMENTS["elu"]


@pytest.mark.parametrize("name", [name for name in STANDARD if name not in DECLARED])
def test_an_operation_can_be_computed(name: str) -> None:
    """By a reference and a shape rule, or by a body; `cast` alone needs the type of its result."""
    one = STANDARD[name]
    assert one.is_compound or (one.infer is not None and (one.reference is not None or name == "cast"))
    assert one.is_compound == (name in COMPOUNDS)


@pytest.mark.parametrize(("one", "function"), callables(), ids=lambda value: getattr(value, "name", ""))
def test_python_parameters_carry_the_nnef_names(one: Op, function: Any) -> None:
    """In the order of the declaration; `**` takes what Python cannot name (`lambda`) or does not need."""
    signature = inspect.signature(function).parameters.values()
    mine = [p.name for p in signature if p.kind is not inspect.Parameter.VAR_KEYWORD]
    names = [p.name for p in one.declaration.parameters]
    collects = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature)
    required = [p.name for p in signature if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    assert set(required) <= set(names)
    assert collects or set(names) <= set(mine), (names, mine)
    assert [name for name in mine if name in names] == [name for name in names if name in mine]


def test_a_name_twice_is_refused() -> None:
    twice = op("fragment relu( x: tensor<scalar> ) -> ( y: tensor<scalar> );")
    with pytest.raises(RuleError, match=r"^operation 'relu' is defined twice$"):
        table(tuple(STANDARD.values()), (twice,))
    assert len(STANDARD | INTERNAL) == len(STANDARD) + len(INTERNAL)


# Cases -----------------------------------------------------------------------------------------------------
def test_cases_cover_every_operation() -> None:
    assert {c.op for c in CASES} == set(STANDARD)


def test_case_ids_are_unique() -> None:
    assert len({c.id for c in CASES}) == len(CASES)


def test_equal_ids_make_equal_arrays() -> None:
    first, second = case("add", f32(3, 4), f32(3, 4)), case("add", f32(3, 4), f32(3, 4))
    np.testing.assert_array_equal(first.arrays[0], second.arrays[0])
    assert not np.array_equal(first.arrays[0], first.arrays[1])


@pytest.mark.parametrize("one", KNOWN, ids=label)
def test_reference_gives_the_known_values(one: Case) -> None:
    """Decimals in the specification's tables have four places."""
    assert one.expected is not None
    for got, expected in zip(one.reference(), one.expected, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got.astype(np.float64), expected.astype(np.float64), rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("one", CASES, ids=label)
def test_results_have_the_declared_type_and_inferred_shape(one: Case) -> None:
    results = one.reference()
    assert len(results) == result_count(one)
    if one.record.infer is not None:
        shapes = one.record.infer_shapes([a.shape for a in one.all_arrays], one.all_attrs)
        assert [tuple(shape) for shape in shapes] == [result.shape for result in results]
    for result, declared in zip(results, one.record.declaration.results, strict=False):
        assert result.dtype == KINDS[kind_of_result(one, str(declared.type))]


def kind_of_result(one: Case, declared: str) -> str:
    """'f', 'i' or 'b'; a generic result has the type of the generic inputs."""
    element = declared.removesuffix("[]").removeprefix("tensor<").removesuffix(">")
    if element == "?" and not one.generic:
        generic = (k for k, p in enumerate(one.record.tensor_parameters) if "?" in str(p.type))
        return one.arrays[next(generic)].dtype.kind
    return {"scalar": "f", "integer": "i", "logical": "b"}[one.generic if element == "?" else element]


@pytest.mark.parametrize("family", FAMILIES)
def test_imported_cases_compute_the_same(family: str) -> None:
    """Bodies of compound operations, expanded and evaluated step by step, agree with plain numpy."""
    graph, inputs = family_graph(cases_of(family))  # type: ignore[arg-type]
    with np.errstate(all="ignore"):
        values = interpret(graph, inputs)
    for number, one in enumerate(cases_of(family)):
        if one.op == "cast":  # it has no reference to step through
            continue
        for k, expected in enumerate(one.reference()):
            compare(one.id, values[f"c{number}_y{k}"], expected, tolerance(one.op))


# Details that the vectors do not show ----------------------------------------------------------------------
def reference(one: Case) -> np.ndarray:
    return one.reference()[0]


def test_broadcasting_aligns_the_first_axes() -> None:
    assert broadcast((2, 3, 4), (2,), (1, 3)) == (2, 3, 4)
    assert broadcast((), (1, 1), ()) == (1, 1)
    assert broadcast((HUGE, 1), (1, HUGE)) == (HUGE, HUGE)


def test_down_windows_resolve_automatic_padding() -> None:
    auto = down_window((5, 6), (3, 3), "constant", [], [2, 1], [1, 2])
    assert auto == Window((3, 3), (2, 1), (1, 2), (1, 2), (1, 2), (5, 6), (3, 6))
    odd = down_window((6,), (2,), "constant", [], [], [])
    assert (odd.before, odd.after, odd.output) == ((0,), (1,), (6,))
    sparse = down_window((7,), (1,), "constant", [], [3], [])
    assert (sparse.before, sparse.after, sparse.output) == ((0,), (0,), (3,))
    assert down_window((), (), "constant", [], [], []).output == ()
    assert down_window((9,), (2,), "constant", [(-1, -2)], [3], []).output == (2,)


def test_up_windows_resolve_automatic_padding() -> None:
    auto = up_window((3,), (3,), [], [2], [], [])
    assert (auto.before, auto.after, auto.input, auto.output) == ((0,), (1,), (6,), (3,))
    shaped = up_window((3,), (3,), [], [2], [], [5])
    assert (shaped.before, shaped.after, shaped.input) == ((1,), (1,), (5,))
    explicit = up_window((3,), (3,), [(1, 1)], [2], [], [6])
    assert (explicit.before, explicit.after, explicit.input) == ((1,), (1,), (6,))
    assert up_window((3,), (3,), [(0, 0)], [2], [2], []).input == (9,)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 0])
def test_deconv_is_the_adjoint_of_conv(stride: int, dilation: int, groups: int) -> None:
    """<conv(x), y> = <x, deconv(y)> with one filter (c, C / groups, ...), for either padding."""
    geometry = {"stride": [stride, 1], "dilation": [1, dilation], "groups": groups}
    filters = f32(4, {1: 4, 2: 2, 0: 1}[groups], 3, 2).make(1)
    for padding in ([], [(1, 2), (0, 1)]):
        x = f32(2, 4, 7, 6).make(2)
        forward = reference(case("conv", given(x), given(filters), padding=padding, **geometry))
        y = f32(*forward.shape).make(3)
        back = reference(
            case("deconv", given(y), given(filters), padding=padding, output_shape=[2, 4, 7, 6], **geometry)
        )
        np.testing.assert_allclose(np.vdot(forward, y), np.vdot(x, back), rtol=1e-5)


def test_nearest_downsample_undoes_nearest_upsample() -> None:
    x = f32(2, 3, 4, 5).make(1)
    large = reference(case("nearest_upsample", given(x), factor=[3, 2]))
    np.testing.assert_array_equal(reference(case("nearest_downsample", given(large), factor=[3, 2])), x)


def test_ignore_counts_only_what_is_there() -> None:
    """A window entirely outside: -inf for the maximum, 0 for the sum, 0 / 0 for the mean."""
    outside: dict[str, Any] = {"size": [1, 1, 1], "padding": [(0, 0), (0, 0), (1, 0)], "border": "ignore"}
    x = given([[[5.0]]])
    assert reference(case("max_pool", x, **outside)).ravel().tolist() == [-np.inf, 5.0]
    assert reference(case("box", x, **outside)).ravel().tolist() == [0.0, 5.0]
    assert np.isnan(reference(case("avg_pool", x, **outside))).ravel().tolist() == [True, False]


def test_gather_refuses_indices_outside() -> None:
    text = r"^'indices' holds an index outside 0..2: \[-1\]$"
    with pytest.raises(RuleError, match=text):
        case("gather", given([1.0, 2.0, 3.0]), given([-1, 3], "i")).reference()


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "expected"),
    [
        ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {}, 2 * 4 * 8 * 8 * 27),
        ("conv", [(1, 4, 8, 8), (4, 1, 3, 3), ()], {"groups": 0}, 2 * 4 * 8 * 8 * 9),
        ("deconv", [(1, 3, 8, 8), (3, 4, 2, 2), ()], {"stride": [2, 2]}, 2 * 3 * 8 * 8 * 16),
        ("matmul", [(5, 7), (7, 3)], {}, 2 * 5 * 7 * 3),
        ("matmul", [(7, 5), (3, 7)], {"transposeA": True, "transposeB": True}, 2 * 5 * 7 * 3),
        ("max_pool", [(1, 3, 8, 8)], {"size": [1, 1, 2, 2], "stride": [1, 1, 2, 2]}, 3 * 8 * 8),
        ("sum_reduce", [(2, 3, 4)], {"axes": [1]}, 24),
        ("add", [(2, 3, 4), (2,)], {}, 24),
        ("relu", [(2, 3)], {}, 6),
    ],
)
def test_flops(name: str, shapes: list[Shape], attrs: dict[str, Any], expected: int) -> None:
    one, full = STANDARD[name], attributes(name, attrs)
    assert one.flops is not None
    assert one.flops(shapes, one.infer_shapes(shapes, full), full) == expected


# Shape rules -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "expected"),
    [
        ("conv", [(1, 3, HUGE, HUGE), (4, 3, 3, 3), ()], {"stride": [2, 1]}, (1, 4, HUGE // 2, HUGE)),
        ("deconv", [(1, 3, HUGE), (3, 4, 3), ()], {"stride": [2]}, (1, 4, 2 * HUGE)),
        ("max_pool", [(1, HUGE)], {"size": [1, HUGE], "stride": [1, HUGE]}, (1, 1)),
        ("sum_reduce", [(HUGE, HUGE)], {"axes": [0]}, (1, HUGE)),
        ("matmul", [(HUGE, 3), (3, HUGE)], {}, (HUGE, HUGE)),
        ("reshape", [(HUGE, 2)], {"shape": [-1]}, (2 * HUGE,)),
        ("reshape", [(2, 3, 4)], {"shape": [2, -1]}, (2, 12)),
        ("reshape", [(5, 3, 4)], {"shape": [0, -1]}, (5, 12)),
        ("reshape", [(2, 3, 4)], {"shape": [0, 0, 2, 2]}, (2, 3, 2, 2)),
        ("reshape", [(4, 2, 3, 5)], {"shape": [6], "axis_start": 1, "axis_count": 2}, (4, 6, 5)),
        ("reshape", [(4, 2, 3, 5)], {"shape": [0, -1, 1], "axis_start": 2}, (4, 2, 3, 5, 1)),
        ("reshape", [(2, 3)], {"shape": [1], "axis_start": 1, "axis_count": 0}, (2, 1, 3)),
        ("reshape", [(2, 1, 1, 3)], {"shape": [], "axis_start": 1, "axis_count": 2}, (2, 3)),
        ("slice", [(HUGE,)], {"axes": [0], "begin": [1], "end": [0]}, (HUGE - 1,)),
        ("pad", [(HUGE,)], {"padding": [(HUGE, HUGE)]}, (3 * HUGE,)),
        ("tile", [(HUGE,)], {"repeats": [HUGE]}, (HUGE * HUGE,)),
        ("nearest_upsample", [(1, 1, HUGE)], {"factor": [HUGE]}, (1, 1, HUGE * HUGE)),
        ("concat", [(HUGE,), (HUGE,)], {"axis": 0}, (2 * HUGE,)),
        ("gather", [(HUGE, 2), (HUGE,)], {}, (HUGE, 2)),
    ],
)
def test_huge_extents_are_only_numbers(name: str, shapes: list[Shape], attrs: dict[str, Any], expected: Shape) -> None:
    assert inferred(name, shapes, **attrs) == [expected]


WRONG: list[tuple[str, list[Shape], dict[str, Any], str]] = [
    # Broadcasting
    ("add", [(2, 3), (3,)], {},
     "shapes [2,3] and [3] do not broadcast: axis 0 has extents [2, 3] (NNEF aligns the first axes)"),
    ("mul", [(3, 3), (1, 4)], {},
     "shapes [3,3] and [1,4] do not broadcast: axis 1 has extents [3, 4] (NNEF aligns the first axes)"),
    ("max", [(HUGE, 2), (HUGE - 1,)], {},
     "shapes [4611686018427387904,2] and [4611686018427387903] do not broadcast: axis 0 has extents "
     "[4611686018427387903, 4611686018427387904] (NNEF aligns the first axes)"),
    ("select", [(2,), (3,), (1, 5)], {},
     "shapes [2] and [3] and [1,5] do not broadcast: axis 0 has extents [2, 3] (NNEF aligns the first axes)"),
    ("clamp", [(2, 3), (2,), (2, 4)], {},
     "shapes [2,3] and [2] and [2,4] do not broadcast: axis 1 has extents [3, 4] (NNEF aligns the first axes)"),
    ("prelu", [(2, 20), (20,)], {},
     "shapes [2,20] and [20] do not broadcast: axis 0 has extents [2, 20] (NNEF aligns the first axes)"),
    ("lt", [(1, 2, 3), (1, 2, 4)], {},
     "shapes [1,2,3] and [1,2,4] do not broadcast: axis 2 has extents [3, 4] (NNEF aligns the first axes)"),
    # Convolutions
    ("conv", [(3,), (3,), ()], {}, "input needs at least 2 axes, got shape [3]"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3), ()], {}, "filter [4,3,3] and input [1,3,8,8] must have the same rank"),
    ("conv", [(1, 3, 8, 8), (4, 64, 3, 3), ()], {}, "filter expects 64 input channels, input has 3 (groups = 1)"),
    ("conv", [(1, 4, 8, 8), (6, 4, 3, 3), ()], {"groups": 2},
     "filter expects 8 input channels, input has 4 (groups = 2)"),
    ("conv", [(1, 3, 8, 8), (4, 1, 3, 3), ()], {"groups": 2},
     "groups = 2 must divide the 3 input and 4 output channels"),
    ("conv", [(1, 4, 8, 8), (6, 1, 3, 3), ()], {"groups": 4},
     "groups = 4 must divide the 4 input and 6 output channels"),
    ("conv", [(1, 4, 8, 8), (6, 1, 3, 3), ()], {"groups": -1}, "'groups' must not be negative, got -1"),
    ("conv", [(1, 4, 8, 8), (6, 1, 3, 3), ()], {"groups": 0},
     "groups = 4 must divide the 4 input and 6 output channels"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), (1, 5)], {}, "bias must be [1,4] or one value, got [1,5]"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), (4, 1)], {}, "bias must be [1,4] or one value, got [4,1]"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), (3,)], {}, "bias must be [1,4] or one value, got [3]"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), (2, 2)], {}, "bias must be [1,4] or one value, got [2,2]"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"border": "zero"},
     "border 'zero' is not one of constant, replicate, reflect, reflect-even, ignore"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"padding": [(0, 0), (0, 0), (0, 0), (0, 0)]},
     "'padding' needs 2 entries, got 4"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"stride": [2]}, "'stride' needs 2 entries, got 1"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"stride": [0, 1]}, "'stride' entries must be positive, got [0, 1]"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"dilation": [1, -1]},
     "'dilation' entries must be positive, got [1, -1]"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"dilation": [1, 1, 1]}, "'dilation' needs 2 entries, got 3"),
    ("conv", [(1, 3, 2, 8), (4, 3, 3, 3), ()], {"padding": [(0, 0), (0, 0)]},
     "axis 2: a window of 3 does not fit into 2 elements with padding (0,0)"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"padding": [(-4, -3), (0, 0)]},
     "axis 2: a window of 3 does not fit into 8 elements with padding (-4,-3)"),
    ("conv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {"padding": [(0, 0), (0, 0)], "dilation": [HUGE, 1]},
     "axis 2: a window of 9223372036854775809 does not fit into 8 elements with padding (0,0)"),
    ("conv", [(1, 3, 2, 8), (4, 3, 5, 5), ()], {"border": "reflect"},
     "axis 2: border 'reflect' allows padding up to 1, got (2,2)"),
    ("conv", [(1, 3, 2, 8), (4, 3, 3, 3), ()], {"border": "reflect-even", "padding": [(3, 0), (0, 0)]},
     "axis 2: border 'reflect-even' allows padding up to 2, got (3,0)"),
    ("deconv", [(1, 3, 8, 8), (4, 3, 3, 3), ()], {}, "filter expects 4 input channels, input has 3"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"groups": 3}, "groups = 3 must divide the 4 input channels"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), (1, 4)], {}, "bias must be [1,3] or one value, got [1,4]"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"output_shape": [8, 8]}, "'output_shape' needs 4 entries, got 2"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"output_shape": [1, 4, 8, 8]},
     "'output_shape' begins [1, 4], expected [1, 3]"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"output_shape": [1, 3, 8, 0]},
     "'output_shape' entries must be positive, got [8, 0]"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"output_shape": [1, 3, 16, 99], "stride": [2, 2]},
     "axis 3: a result of 99 does not come from 8 elements with stride 2"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"output_shape": [1, 3, 10, 9], "padding": [(1, 1), (1, 1)]},
     "axis 2: a result of 10 does not come from 8 elements with stride 1"),
    ("deconv", [(1, 4, 2, 2), (4, 3, 3, 3), ()], {"padding": [(2, 2), (0, 0)]},
     "axis 2: padding (2,2) leaves nothing of the result"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"stride": [-2, 1]},
     "'stride' entries must be positive, got [-2, 1]"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3, 3), ()], {"border": "mirror"},
     "border 'mirror' is not one of constant, replicate, reflect, reflect-even, ignore"),
    ("deconv", [(1, 4, 2, 8), (4, 3, 7, 1), ()], {"border": "reflect", "padding": [(3, 3), (0, 0)]},
     "axis 2: border 'reflect' allows padding up to 1, got (3,3)"),
    ("deconv", [(1, 4, 8, 8), (4, 3, 3), ()], {}, "filter [4,3,3] and input [1,4,8,8] must have the same rank"),
    # Windows of full rank
    ("box", [(1, 3, 8, 8)], {"size": [2, 2]}, "'size' needs 4 entries, got 2"),
    ("box", [(1, 3, 8, 8)], {"size": [1, 1, 0, 2]}, "'size' entries must be positive, got [1, 1, 0, 2]"),
    ("box", [(1, 3, 8, 8)], {"size": [1, 1, 2, 2], "border": "same"},
     "border 'same' is not one of constant, replicate, reflect, reflect-even, ignore"),
    ("max_pool", [(1, 3, 8, 8)], {"size": [1, 1, 2, 2], "stride": [2, 2]}, "'stride' needs 4 entries, got 2"),
    ("max_pool", [(1, 3, 8, 8)], {"size": [1, 1, 2, 2], "padding": [(0, 0), (0, 0)]},
     "'padding' needs 4 entries, got 2"),
    ("max_pool", [(1, 3, 8, 8)], {"size": [1, 4, 2, 2], "padding": [(0, 0), (0, 0), (0, 0), (0, 0)]},
     "axis 1: a window of 4 does not fit into 3 elements with padding (0,0)"),
    ("max_pool", [(1, 3, 8, 8)], {"size": [1, 1, 2, 2], "dilation": [1, 1, 0, 1]},
     "'dilation' entries must be positive, got [1, 1, 0, 1]"),
    ("max_pool", [(1, 3, 8, 2)], {"size": [1, 1, 1, 5], "border": "reflect"},
     "axis 3: border 'reflect' allows padding up to 1, got (2,2)"),
    ("argmax_pool", [(1, 3, 8, 8)], {"size": [2, 2]}, "'size' needs 4 entries, got 2"),
    ("max_pool_with_index", [(1, 3, 8, 8)], {"size": [1, 1, 2, 2], "border": "zero"},
     "border 'zero' is not one of constant, replicate, reflect, reflect-even, ignore"),
    ("sample", [(1, 8), (1, 4)], {"size": [1, 2]}, "'index' must have a place for each of the windows [1,8], got [1,4]"),
    ("sample", [(1, 8), (1, 8)], {"size": [1, 2], "border": "ignore"},
     "border 'ignore' is not one of constant, replicate, reflect, reflect-even"),
    ("desample", [(1, 8), (1, 4)], {"size": [1, 2]}, "'index' must have the shape of the input [1,8], got [1,4]"),
    ("desample", [(1, 8), (1, 8)], {"size": [1, 2], "border": "replicate"}, "border 'replicate' is not one of constant"),
    ("desample", [(4,), (4,)], {"size": [2], "stride": [2], "output_shape": [11]},
     "axis 0: a result of 11 does not come from 4 elements with stride 2"),
    ("debox", [(1, 8)], {"size": [1, 2], "output_shape": [16]}, "'output_shape' needs 2 entries, got 1"),
    ("debox", [(1, 8)], {"size": [1, 2], "padding": [(0, 0), (5, 5)]},
     "axis 1: padding (5,5) leaves nothing of the result"),
    ("debox", [(1, 2)], {"size": [1, 7], "padding": [(0, 0), (3, 3)], "border": "reflect"},
     "axis 1: border 'reflect' allows padding up to 1, got (3,3)"),
    # Axes
    ("sum_reduce", [(2, 3)], {"axes": [2]}, "axis 2 is outside 0..1"),
    ("mean_reduce", [(2, 3)], {"axes": [-1]}, "axis -1 is outside 0..1"),
    ("argmax_reduce", [(2, 3)], {"axes": [1, 1]}, "axes [1, 1] are not unique"),
    ("any_reduce", [()], {"axes": [0]}, "axis 0 is given, a tensor of rank 0 has none"),
    ("softmax", [(4,)], {}, "axis 1 is outside 0..0"),
    ("softmax", [(4, 2)], {"axes": [0, 0]}, "axes [0, 0] are not unique"),
    # Products
    ("matmul", [(2, 3), (2, 3)], {}, "A [2,3] has 3 columns, B [2,3] has 2 rows"),
    ("matmul", [(2, 3), (3,)], {}, "A [2,3] and B [3] must have the same rank"),
    ("matmul", [(3,), (3,)], {}, "A needs at least 2 axes, got shape [3]"),
    ("matmul", [(2, 4, 5), (3, 5, 6)], {}, "the leading axes of A [2,4,5] and B [3,5,6] do not broadcast"),
    ("matmul", [(2, 3), (3, 4)], {"transposeB": True}, "A [2,3] has 3 columns, B [3,4] has 4 rows"),
    # Factors
    ("nearest_upsample", [(1, 3, 4, 4)], {"factor": [1, 1, 2, 2]}, "'factor' needs 2 entries, got 4"),
    ("nearest_upsample", [(3,)], {"factor": [2]}, "input needs at least 2 axes, got shape [3]"),
    ("nearest_downsample", [(1, 3, 5, 4)], {"factor": [2, 2]}, "axis 2: factor 2 does not divide extent 5"),
    ("multilinear_upsample", [(1, 3, 4, 4)], {"factor": [2, 0]}, "'factor' entries must be positive, got [2, 0]"),
    ("multilinear_upsample", [(1, 3, 4, 4)], {"factor": [2, 2], "method": "cubic"},
     "method 'cubic' is not one of symmetric, asymmetric, aligned"),
    ("multilinear_upsample", [(1, 3, 4, 4)], {"factor": [2, 2], "border": "ignore"},
     "border 'ignore' is not one of constant, replicate, reflect, reflect-even"),
    # Views
    ("reshape", [(2, 3, 4)], {"shape": [5, -1]}, "[2,3,4] (24 elements) does not divide into 'shape' [5, -1]"),
    ("reshape", [(2, 3, 4)], {"shape": [], "axis_start": 1, "axis_count": 1}, "[3] has 3 elements, 'shape' [] has 1"),
    ("reshape", [(2, 3, 4)], {"shape": [-1, -1]}, "'shape' [-1, -1] has more than one -1"),
    ("reshape", [(2, 3, 4)], {"shape": [2, -3]}, "'shape' [2, -3] has a negative extent"),
    ("reshape", [(2, 3, 4)], {"shape": [5, 5]}, "[2,3,4] has 24 elements, 'shape' [5, 5] has 25"),
    ("reshape", [(2, 3)], {"shape": [2, 3, 0]}, "'shape' entry 2 copies axis 2, the input has rank 2"),
    ("reshape", [(2, 3)], {"shape": [6], "axis_start": 3}, "axis_start 3 is outside 0..2"),
    ("reshape", [(2, 3)], {"shape": [6], "axis_start": 1, "axis_count": 2}, "axis_count 2 reaches beyond rank 2"),
    ("reshape", [(2, 3)], {"shape": [6], "axis_start": 1}, "[3] has 3 elements, 'shape' [6] has 6"),
    ("reshape", [(2, 3)], {"shape": [6], "axis_count": -2}, "axis_count -2 reaches beyond rank 2"),
    ("reshape", [(2, 3)], {"shape": [1, 1, 1, 1, 1, 1, 1, 6, 1]}, "result [1,1,1,1,1,1,1,6,1] has more than 8 axes"),
    ("reshape", [(HUGE, 3)], {"shape": [HUGE, 4]},
     "[4611686018427387904,3] has 13835058055282163712 elements, 'shape' [4611686018427387904, 4] has "
     "18446744073709551616"),
    ("squeeze", [(2, 1, 3)], {"axes": [0]}, "axis 0 has extent 2, only 1 can be squeezed"),
    ("squeeze", [(2, 1, 3)], {"axes": [3]}, "axis 3 is outside 0..2"),
    ("unsqueeze", [(2, 3)], {"axes": [4]}, "axis 4 is outside 0..2"),
    ("unsqueeze", [(2, 3)], {"axes": [1, 1]}, "axes [1, 1] are not unique"),
    ("unsqueeze", [(1, 1, 1, 1, 1, 1, 1, 1)], {"axes": [0]}, "result [1,1,1,1,1,1,1,1,1] has more than 8 axes"),
    ("transpose", [(2, 3, 4)], {"axes": [0, 2]}, "'axes' [0, 2] is not a permutation of the first axes of [2,3,4]"),
    ("transpose", [(2, 3)], {"axes": [0, 0]}, "'axes' [0, 0] is not a permutation of the first axes of [2,3]"),
    ("transpose", [(2, 3)], {"axes": [0, 1, 2]}, "'axes' [0, 1, 2] is not a permutation of the first axes of [2,3]"),
    # Parts
    ("split", [(2, 6)], {"axis": 1, "ratios": [1, 4]}, "ratios [1, 4] (sum 5) do not divide extent 6"),
    ("split", [(2, 6)], {"axis": 2, "ratios": [1, 1]}, "axis 2 is outside 0..1"),
    ("split", [(2, 6)], {"axis": 1, "ratios": []}, "'ratios' must not be empty"),
    ("split", [(2, 6)], {"axis": 1, "ratios": [2, 0]}, "'ratios' entries must be positive, got [2, 0]"),
    ("concat", [(2, 3), (2, 4), (3, 3)], {"axis": 1}, "shapes [2,3] and [3,3] differ outside axis 1"),
    ("concat", [(2, 3), (2, 3, 1)], {"axis": 1}, "shapes [2,3] and [2,3,1] differ outside axis 1"),
    ("concat", [(2, 3)], {"axis": 2}, "axis 2 is outside 0..1"),
    ("concat", [], {"axis": 0}, "'values' must not be empty"),
    ("stack", [(2, 3), (2, 1)], {"axis": 0}, "shapes [2,3] and [2,1] differ"),
    ("stack", [(2, 3), (2, 3)], {"axis": 3}, "axis 3 is outside 0..2"),
    ("stack", [], {"axis": 0}, "'values' must not be empty"),
    ("stack", [(1, 1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1, 1, 1)], {"axis": 0},
     "result [2,1,1,1,1,1,1,1,1] has more than 8 axes"),
    ("unstack", [(2, 3)], {"axis": 2}, "axis 2 is outside 0..1"),
    ("unstack", [(2, HUGE)], {"axis": 1}, "axis 1 of extent 4611686018427387904 is too long to be unstacked"),
    # Slices
    ("slice", [(5,)], {"axes": [1], "begin": [0], "end": [1]}, "axis 1 is outside 0..0"),
    ("slice", [(5, 5)], {"axes": [0, 1], "begin": [0], "end": [1, 1]}, "'begin' needs 2 entries, got 1"),
    ("slice", [(5, 5)], {"axes": [0, 1], "begin": [0, 0], "end": [1]}, "'end' needs 2 entries, got 1"),
    ("slice", [(5, 5)], {"axes": [0, 1], "begin": [0, 0], "end": [1, 1], "stride": [1]},
     "'stride' needs 2 entries, got 1"),
    ("slice", [(5, 5)], {"axes": [0, 0], "begin": [0, 0], "end": [1, 1]}, "axes [0, 0] are not unique"),
    ("slice", [(5,)], {"axes": [0], "begin": [0], "end": [1], "stride": [0]}, "'stride' entries must not be zero"),
    ("slice", [(5,)], {"axes": [0], "begin": [3], "end": [3]},
     "axis 0: begin 3, end 3, stride 1 select nothing of 5 elements"),
    ("slice", [(5,)], {"axes": [0], "begin": [3], "end": [1]},
     "axis 0: begin 3, end 1, stride 1 select nothing of 5 elements"),
    ("slice", [(5,)], {"axes": [0], "begin": [-9], "end": [2]},
     "'begin' -9 is before the first element of axis 0 (5 elements)"),
    ("slice", [(5,)], {"axes": [0], "begin": [7], "end": [9]},
     "axis 0: begin 7, end 9, stride 1 select nothing of 5 elements"),
    ("slice", [(5,)], {"axes": [0], "begin": [1], "end": [3], "stride": [-1]},
     "axis 0: begin 1, end 3, stride -1 select nothing of 5 elements"),
    ("slice", [(5,)], {"axes": [0], "begin": [4], "end": [-1], "stride": [-1]},
     "axis 0: begin 4, end -1, stride -1 select nothing of 5 elements"),
    ("slice", [(5,)], {"axes": [0], "begin": [1], "end": [0], "stride": [2]},
     "axis 0: begin 1, end 0, stride 2 select nothing of 5 elements"),
    # Padding and repetition
    ("pad", [(2, 3)], {"padding": [(1, 1)]}, "'padding' needs 2 entries, got 1"),
    ("pad", [(2, 3)], {"padding": [(0, 0), (0, 0)], "border": "ignore"},
     "border 'ignore' is not one of constant, replicate, reflect, reflect-even"),
    ("pad", [(2, 3)], {"padding": [(-1, -1), (0, 0)]}, "axis 0: padding (-1,-1) leaves nothing of 2 elements"),
    ("pad", [(2, 3)], {"padding": [(0, 0), (3, 0)], "border": "reflect"},
     "axis 1: border 'reflect' allows padding up to 2, got (3,0)"),
    ("pad", [(2, 3)], {"padding": [(0, 3), (0, 0)], "border": "reflect-even"},
     "axis 0: border 'reflect-even' allows padding up to 2, got (0,3)"),
    ("tile", [(2, 3)], {"repeats": [2]}, "'repeats' needs 2 entries, got 1"),
    ("tile", [(2, 3)], {"repeats": [2, 0]}, "'repeats' entries must be positive, got [2, 0]"),
    ("gather", [(2, 3), (4,)], {"axis": 2}, "axis 2 is outside 0..1"),
    ("gather", [(), (4,)], {}, "axis 0 is given, a tensor of rank 0 has none"),
    ("gather", [(2, 2, 2, 2, 2), (2, 2, 2, 2, 2)], {}, "result [2,2,2,2,2,2,2,2,2] has more than 8 axes"),
    ("copy_n", [(2,)], {"times": 0}, "'times' must be from 1 to 65536, got 0"),
    ("copy_n", [(2,)], {"times": 1000000000}, "'times' must be from 1 to 65536, got 1000000000"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shapes", "attrs", "text"), WRONG, ids=[f"{w[0]}: {w[3]}"[:90] for w in WRONG])
def test_wrong_arguments_are_named(name: str, shapes: list[Shape], attrs: dict[str, Any], text: str) -> None:
    with pytest.raises(RuleError) as error:
        inferred(name, shapes, **attrs)
    assert str(error.value) == text
