"""Cases of the normalisations and of moments, all defined by NNEF bodies."""

from __future__ import annotations

from nnef_cl.conformance.case import Case, case, f32, given, weights

LOCAL = ("local_response_normalization", "local_mean_normalization", "local_variance_normalization",
         "local_contrast_normalization")  # fmt: skip


def batch(*shape: int, statistics: tuple[int, ...], epsilon: float = 1e-3) -> Case:
    positive = weights(*statistics, low=0.5, high=2.0)
    others = weights(*statistics), positive, weights(*statistics, low=-0.9, high=0.9), weights(*statistics)
    return case("batch_normalization", f32(*shape), *others, epsilon=epsilon)


def local() -> list[Case]:
    found = [case(op, f32(1, c, 4, 5, low=0.5, high=3.0), size=[1, n, 1, 1]) for op in LOCAL for c, n in ((16, 5), (7, 4))]
    found += [case(op, f32(2, 3, 5, 6, low=0.5, high=3.0), size=[1, 1, 3, 3]) for op in LOCAL]
    found += [
        case("local_response_normalization", f32(1, 20, 3, 3), size=[1, 5, 1, 1], alpha=1e-4, beta=0.75, bias=2.0),
        case("local_response_normalization", f32(2, 16), size=[1, 3], alpha=0.5),
        case("local_response_normalization", given([[1.0, 2.0, 3.0]]), size=[1, 3], beta=1.0,
             expected=[[0.375, 0.352941, 0.5625]]),
        case("local_variance_normalization", f32(1, 3, 5, 5), size=[1, 1, 3, 3], bias=0.5, epsilon=1.0),
        case("local_contrast_normalization", f32(1, 3, 5, 5), size=[1, 3, 3, 3], bias=0.1, epsilon=0.5),
    ]  # fmt: skip
    return found


def norms() -> list[Case]:
    found = [
        case(op, f32(*shape), axes=axes)
        for op in ("l1_normalization", "l2_normalization")
        for shape, axes in (((2, 5, 3, 4), [1]), ((2, 16, 3, 3), [1, 2, 3]), ((3, 33), [1]), ((7,), [0]))
    ]
    found += [
        case("l1_normalization", given([[1.0, -3.0]]), axes=[1], expected=[[0.25, -0.75]]),
        case("l2_normalization", given([[3.0, -4.0]]), axes=[1], expected=[[0.6, -0.8]]),
        case("l1_normalization", given([[1.0, -3.0]]), axes=[1], bias=4.0, expected=[[0.125, -0.375]]),
        case("l2_normalization", given([[3.0, 4.0]]), axes=[1], epsilon=10.0, expected=[[0.3, 0.4]]),
        case("l2_normalization", given([[0.0, 0.0]]), axes=[1], epsilon=1e-6, expected=[[0.0, 0.0]]),
    ]
    return found


def statistics() -> list[Case]:
    found = [
        case("moments", f32(*shape), axes=axes)
        for shape, axes in (((2, 5, 3, 4), [0, 2, 3]), ((2, 16, 3, 3), [2, 3]), ((3, 33), [1]), ((6,), [0]), ((), []))
    ]
    found.append(case("moments", given([[1.0, 2.0, 3.0, 6.0]]), axes=[1], expected=([[3.0]], [[3.5]])))
    found += [
        batch(2, 16, 4, 5, statistics=(1, 16)),
        batch(1, 33, 3, 3, statistics=(1, 33), epsilon=1e-5),
        batch(3, 5, statistics=(1, 5)),
        batch(2, 3, 4, statistics=()),
        batch(2, 3, 4, statistics=(2, 3, 4)),
        case("batch_normalization", f32(2, 5, 3), f32(1, 5), f32(1, 5, low=0.5, high=2.0), f32(1, 5), f32(1, 5),
             epsilon=0.01),
        case("batch_normalization", given([[1.0, 5.0]]), given([[0.0, 1.0]]), given([[3.0, 0.0]]),
             given([[10.0, 20.0]]), given([[2.0, 3.0]]), epsilon=1.0, expected=[[11.0, 32.0]]),
    ]  # fmt: skip
    return found


CASES = [*local(), *norms(), *statistics()]
