"""Element-wise operations, activations, reductions, products and rearrangements."""

from __future__ import annotations

from tests.samples import case, f32, given, i64, mask

NAN, INF = float("nan"), float("inf")
SPECIAL = given(NAN, INF, -INF, 0.0, -0.0, 1.5, -2.5, 100.0)
OTHER = given(1.0, NAN, 2.0, NAN, 0.0, -1.5, 3.0, INF)
UNIT = ("asin", "acos", "atanh")
POSITIVE = ("log", "sqrt", "rsqrt", "log2", "acosh", "rsqr", "rcp")
UNARY = ("neg rcp exp log sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh abs sign floor ceil round sqr sqrt "
         "rsqr rsqrt log2").split()  # fmt: skip


def sample(name: str, *shape: int) -> object:
    if name in UNIT:
        return f32(*shape, low=-0.95, high=0.95)
    return f32(*shape, low=1.01, high=4) if name in POSITIVE else f32(*shape, low=-3, high=3)


POINTWISE = [
    *(case(name, sample(name, 2, 5, 7)) for name in UNARY),
    *(case(name, sample(name, 4, 16)) for name in UNARY),
    *(case(name, f32(3, 5), f32(3, 5)) for name in "add sub mul div min max lt gt le ge eq ne".split()),
    *(case(name, f32(2, 3, 4), f32(2)) for name in "add sub mul min max lt".split()),
    *(case(name, f32(1, 3), f32(2, 1, 16)) for name in ("add", "max", "gt")),
    *(case(name, SPECIAL, OTHER) for name in "min max add mul lt ne eq".split()),
    *(case(name, SPECIAL) for name in "relu abs neg sign floor round sigmoid copy softplus".split()),
    case("round", given(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997), expected=(-2, -1, 0, 1, 2, 3, 0)),
    case("clamp", SPECIAL, given(-1.0), given(1.0)),
    case("clamp", f32(3, 4), given(2.0), given(1.0)),
    case("clamp", f32(2, 16), f32(2), f32(1, 16)),
    case("pow", f32(3, 16, low=0.1, high=3), f32(3, 16)),
    case("pow", given(-2.0, -3.0), given(2.0, 3.0)),
    case("select", mask(3, 4), f32(3, 4), f32(3)),
    case("select", mask(3), i64(3, 4, low=-9, high=9), i64(3, 4, low=-9, high=9)),
    case("select", mask(2, 16), mask(2, 16), mask(2)),
    case("select", mask(8), SPECIAL, OTHER),
    case("not", mask(3, 5)), case("not", mask(32)),
    case("and", mask(3, 5), mask(3)), case("or", mask(2, 16), mask(1, 16)),
    case("copy", i64(3, 4, low=-(2**40), high=2**40)), case("copy", mask(5)), case("copy", f32()),
    case("add", f32(), f32(2, 3)), case("add", f32(1, 2, 1, 2, 1, 2, 1, 2), f32(1, 2, 2)),
    *(case(name, f32(3, 20, low=-6, high=6)) for name in "sigmoid relu elu selu gelu silu softplus".split()),
    case("leaky_relu", f32(3, 5), alpha=0.1), case("elu", f32(3, 5), alpha=0.5),
    case("prelu", f32(2, 5, 3), f32(1, 5)), case("prelu", f32(1, 16, 3, 3), f32(1, 16), constants=(1,)),
    case("batch_normalization", f32(2, 5, 3, 3), f32(1, 5), f32(1, 5, low=0.5, high=2), f32(1, 5), f32(1, 5),
         constants=(1, 2, 3, 4), epsilon=0.001),
]  # fmt: skip

REDUCE = [
    *(case(f"{k}_reduce", f32(*shape), axes=axes)
      for k in ("sum", "max", "min", "mean", "argmax", "argmin")
      for shape, axes in (((2, 5, 4, 7), [2, 3]), ((2, 16, 4, 5), [1]), ((3, 5), [0, 1]), ((7,), [0]), ((2, 3, 4), [2]),
                          ((3, 4, 5), [0, 2]), ((2, 3), []), ((), []))),
    case("sum_reduce", f32(3, 200), axes=[1], normalize=True),
    case("max_reduce", SPECIAL, axes=[0]), case("min_reduce", SPECIAL, axes=[0]),
    case("argmax_reduce", given(1, 3, 3, 2), axes=[0], expected=(1,)),
    *(case(f"{k}_reduce", mask(3, 4, 5), axes=axes) for k in ("any", "all") for axes in ([1], [0, 2], [])),
    *(case("softmax", f32(*shape), axes=axes)
      for shape, axes in (((2, 10), [1]), ((2, 5, 4, 4), [1]), ((2, 3, 32), [2]), ((2, 3, 4), [1, 2]), ((5,), [0]))),
    case("moments", f32(2, 5, 4, 4), axes=[2, 3]), case("moments", f32(3, 64), axes=[1]),
    case("l1_normalization", f32(2, 5, 4), axes=[1], bias=0.1, epsilon=0.01),
    case("l2_normalization", f32(2, 5, 4), axes=[1, 2], epsilon=0.01),
]  # fmt: skip

MATMUL = [
    *(case("matmul", f32(*((k, m) if ta else (m, k))), f32(*((n, k) if tb else (k, n))), transposeA=ta, transposeB=tb,
           constants=c)
      for m, k, n in ((1, 7, 5), (17, 20, 33), (30, 16, 64)) for ta in (False, True) for tb in (False, True)
      for c in ((), (1,))),
    case("matmul", f32(2, 3, 5, 7), f32(2, 3, 7, 4)), case("matmul", f32(2, 1, 5, 7), f32(1, 3, 7, 4)),
    case("matmul", f32(1, 3, 16, 16), f32(2, 3, 20, 16), transposeB=True),
    case("linear", f32(3, 20), f32(10, 20), f32(1, 10), constants=(1, 2)),
    case("linear", f32(1, 100), f32(64, 100), f32(1, 64), constants=(1, 2)),
]  # fmt: skip

REARRANGE = [
    case("reshape", f32(2, 3, 4), shape=[2, -1]), case("reshape", f32(2, 3, 4), shape=[0, -1]),
    case("reshape", f32(4, 2, 3, 5), shape=[6], axis_start=1, axis_count=2),
    case("reshape", i64(2, 3, low=0, high=9), shape=[1], axis_start=1, axis_count=0),
    case("reshape", f32(1, 1), shape=[]), case("squeeze", f32(1, 3, 1), axes=[2, 0]), case("squeeze", f32(1, 3), axes=[0]),
    case("unsqueeze", f32(3, 4), axes=[3, 0]), case("unsqueeze", mask(3), axes=[0]),
    case("transpose", f32(2, 3, 4, 5), axes=[0, 2, 3, 1]), case("transpose", f32(3, 4, 5), axes=[1, 0]),
    case("transpose", i64(3, 4, low=0, high=99), axes=[1, 0]),
    case("transpose", f32(2, 1, 2, 3, 1, 2, 2, 3), axes=[7, 6, 5, 4, 3, 2, 1, 0]),
    case("concat", f32(1, 16, 3, 3), f32(1, 32, 3, 3), axis=1), case("concat", f32(1, 3, 4), f32(1, 5, 4), f32(1, 1, 4), axis=1),
    case("concat", f32(2, 3), f32(2, 3), axis=0), case("concat", mask(3), mask(2), axis=0),
    case("split", f32(2, 6, 3), axis=1, ratios=[1, 2]), case("split", i64(4, low=0, high=9), axis=0, ratios=[1, 1]),
    case("stack", f32(2, 3), f32(2, 3), axis=0), case("stack", f32(2, 3), f32(2, 3), axis=2),
    case("unstack", f32(2, 3, 4), axis=1),
    case("slice", f32(4, 6), axes=[0, 1], begin=[1, 2], end=[3, 0]),
    case("slice", f32(5), axes=[0], begin=[0], end=[5], stride=[2]),
    case("slice", f32(5), axes=[0], begin=[-1], end=[-6], stride=[-1]),
    case("slice", f32(3, 7, 5), axes=[2, 1], begin=[-3, 6], end=[-1, 1], stride=[1, -2]),
    *(case("pad", given(1, 2, 3, 4), padding=[(2, 2)], border=b, expected=e) for b, e in (
        ("replicate", (1, 1, 1, 2, 3, 4, 4, 4)), ("reflect", (3, 2, 1, 2, 3, 4, 3, 2)),
        ("reflect-even", (2, 1, 1, 2, 3, 4, 4, 3)))),
    case("pad", f32(2, 3, 4), padding=[(1, 0), (0, 2), (-1, 3)], value=1.5),
    case("pad", f32(1, 16, 4, 4), padding=[(0, 0), (0, 0), (1, 1), (2, 2)]),
    case("tile", f32(2, 3), repeats=[2, 3]), case("tile", i64(3, low=0, high=9), repeats=[2]),
    case("gather", f32(5, 4), i64(3, low=0, high=5)), case("gather", f32(2, 5, 3), i64(2, 2, low=0, high=5), axis=1),
    case("gather", f32(5, 4), i64(low=0, high=5), axis=0),
    case("cast", f32(3, 4, low=-5, high=5), generic="integer"), case("cast", f32(6), generic="logical"),
    case("cast", i64(3, low=-9, high=9), generic="scalar"), case("cast", mask(4), generic="scalar"),
    case("cast", mask(4), generic="integer"), case("cast", i64(5, low=-1, high=2), generic="logical"),
    case("copy_n", f32(2, 3), times=3), case("add_n", f32(2, 3), f32(2, 3), f32(2)),
]  # fmt: skip
