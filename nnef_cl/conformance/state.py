"""Cases of introducing and updating: what goes in as input, variable, constant or new value comes out again."""

from __future__ import annotations

from collections.abc import Callable

from nnef_cl.conformance.case import Case, Data, case, constant, f32, given, i64, mask


def introduced(op: str, held: Callable[[Data], Data]) -> list[Case]:
    """Every type; ranks 0 to 8; extents that no vector width divides."""
    scalars = [given(-2.5), given([1.0, 0.1, -3.0e-20, 3.0e20]), f32(2, 3, 1, 5, 1, 2, 1, 3)]
    found = [case(op, held(data), generic="scalar") for data in scalars]
    found += [case(op, held(data), generic="integer") for data in (given([2**40, -(2**62), 0], "i"), i64(3, 7))]
    return [*found, case(op, held(mask(3, 17)), generic="logical")]


CASES = [
    *introduced("external", lambda data: data), *introduced("constant", constant), *introduced("variable", constant),
    case("update", constant(f32(2, 3, 5)), f32(2, 3, 5)), case("update", constant(given(1.5)), given(-2.5)),
    case("update", constant(i64(3, 7)), i64(3, 7), generic="integer"), case("update", constant(mask(17)), mask(17)),
]  # fmt: skip
