"""Cases of the matrix product and of linear layers."""

from __future__ import annotations

from nnef_cl.conformance.case import Case, case, f32, given, weights

SIZES = ((1, 7, 5), (5, 1, 3), (3, 4, 1), (1, 1, 1), (16, 16, 16), (17, 20, 33), (4, 33, 48), (1, 64, 40), (8, 8, 100),
         (29, 3, 70), (2, 9, 130), (31, 2, 17))
"""Rows, depth, columns."""


def products() -> list[Case]:
    found = [case("matmul", f32(m, k), f32(k, n)) for m, k, n in SIZES]
    found += [case("matmul", f32(m, k), weights(k, n)) for m, k, n in SIZES]
    for left in (False, True):
        for right in (False, True):
            a, b = (6, 5) if left else (5, 6), (7, 6) if right else (6, 7)
            found += [case("matmul", f32(*a), f32(*b), transposeA=left, transposeB=right)]
            found += [case("matmul", f32(2, *a), weights(2, *b), transposeA=left, transposeB=right)]
    found += [
        case("matmul", f32(3, 4, 5), f32(3, 5, 6)),
        case("matmul", f32(1, 4, 5), f32(3, 5, 6)),
        case("matmul", f32(3, 4, 5), weights(1, 5, 20)),
        case("matmul", f32(2, 1, 4, 5), f32(1, 3, 5, 6)),
        case("matmul", f32(3, 2, 7, 5), weights(1, 1, 5, 37)),
        case("matmul", f32(3, 2, 1, 5), weights(3, 1, 5, 21)),
        case("matmul", f32(3, 2, 7, 5), weights(1, 2, 5, 9)),
        case("matmul", f32(4, 5, 6), f32(1, 5, 23), transposeA=True),
        case("matmul", f32(4, 1, 6), f32(1, 70, 6), transposeB=True),
        case("matmul", f32(2, 3, 6), f32(2, 6, 74)),
        case("matmul", f32(2, 3, 4, 5), f32(2, 3, 17, 5), transposeB=True),
        case("matmul", weights(4, 5), f32(5, 6)),
        case("matmul", f32(1, 2, 1, 2, 1, 2, 3, 4), f32(2, 2, 1, 1, 1, 2, 4, 3)),
        case("matmul", given([[1.0, 2.0], [3.0, 4.0]]), given([[5.0, 6.0], [7.0, 8.0]]),
             expected=[[19.0, 22.0], [43.0, 50.0]]),
        case("matmul", given([[1.0, 2.0], [3.0, 4.0]]), given([[5.0, 6.0], [7.0, 8.0]]), transposeA=True,
             expected=[[26.0, 30.0], [38.0, 44.0]]),
        case("matmul", given([[1.0, 2.0], [3.0, 4.0]]), given([[5.0, 6.0], [7.0, 8.0]]), transposeB=True,
             expected=[[17.0, 23.0], [39.0, 53.0]]),
    ]  # fmt: skip
    return found


def layers() -> list[Case]:
    return [
        case("linear", f32(1, 20), weights(33, 20), weights(1, 33)),
        case("linear", f32(4, 64), weights(10, 64), weights(1, 10)),
        case("linear", f32(5, 16), weights(16, 16)),
        case("linear", f32(3, 7), weights(5, 7), weights()),
        case("linear", f32(3, 7), f32(5, 7), f32(1, 5)),
        case("linear", f32(3, 7), weights(5, 7), weights(3)),
        case("linear", f32(2, 3, 7), weights(2, 5, 7), weights(1, 1, 5)),
        case("linear", given([[1.0, 2.0]]), given([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), given([[10.0, 20.0, 30.0]]),
             expected=[[11.0, 22.0, 33.0]]),
    ]  # fmt: skip


CASES = [*products(), *layers()]
