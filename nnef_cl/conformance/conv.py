"""Cases of convolution and deconvolution: geometry, borders, groups, channel counts, 0 to 6 spatial axes."""

from __future__ import annotations

from typing import Any

from nnef_cl.conformance.case import Case, case, constant, f32, given, weights

BORDERS = ("constant", "replicate", "reflect", "reflect-even", "ignore")


def line(op: str, length: int, expected: list[float], **attrs: Any) -> Case:
    """[1 .. length] under the filter [1, 2, 3], as the specification's formulas give it."""
    x = given([[[float(n + 1) for n in range(length)]]])
    return case(op, x, constant(given([[[1.0, 2.0, 3.0]]])), expected=[[expected]], **attrs)


def vectors() -> list[Case]:
    one = {"padding": [(1, 1)]}
    return [
        line("conv", 4, [8, 14, 20, 11], **one),
        line("conv", 4, [9, 14, 20, 23], border="replicate", **one),
        line("conv", 4, [10, 14, 20, 20], border="reflect", **one),
        line("conv", 4, [9, 14, 20, 23], border="reflect-even", **one),
        line("conv", 5, [8, 20, 14], stride=[2]),
        line("conv", 6, [22, 28], dilation=[2], padding=[(0, 0)]),
        line("conv", 6, [11, 16, 22, 28, 13, 16], dilation=[2]),
        line("deconv", 3, [1, 2, 5, 4, 9, 6, 9], stride=[2], padding=[(0, 0)]),
        line("deconv", 3, [1, 2, 5, 4, 9, 6], stride=[2]),
        line("deconv", 3, [2, 5, 4, 9, 6], stride=[2], **one),
        line("deconv", 3, [2, 5, 4, 9, 6], stride=[2], output_shape=[1, 1, 5]),
        line("deconv", 3, [2, 5, 4, 9, 6, 9], stride=[2], output_shape=[1, 1, 6], **one),
        line("deconv", 3, [4, 10, 12], **one),
        line("deconv", 3, [7, 10, 15], border="replicate", **one),
    ]


def conv(x: tuple[int, ...], w: tuple[int, ...], bias: bool = True, **attrs: Any) -> Case:
    """Constant filter and bias (1, K)."""
    biases = (weights(1, w[0]),) if bias else ()
    return case("conv", f32(*x), weights(*w), *biases, **attrs)


def channels() -> list[Case]:
    """Filters 1x1 and 3x3 over channel counts that fill vectors, and that do not."""
    counts = ((3, 16), (16, 16), (32, 8), (8, 32), (16, 33), (33, 5), (5, 3), (1, 16), (20, 20), (16, 1), (1, 1))
    found = [conv((1, c, 7, 7), (k, c, 3, 3), padding=[(1, 1), (1, 1)]) for c, k in counts]
    found += [conv((2, c, 5, 6), (k, c, 1, 1)) for c, k in counts]
    found += [
        conv((1, 64, 4, 4), (64, 64, 1, 1)),
        conv((1, 16, 14, 14), (48, 16, 1, 1)),
        conv((3, 16, 1, 1), (40, 16, 1, 1)),
        conv((1, 3, 15, 15), (16, 3, 7, 7), stride=[2, 2]),
        conv((2, 3, 6, 90), (80, 3, 3, 3), stride=[2, 2]),
        conv((1, 2, 5, 70), (70, 2, 3, 5), border="replicate"),
    ]
    return found


def geometry() -> list[Case]:
    found = [conv((1, 5, 8, 9), (16, 5, 3, 3), border=border) for border in BORDERS]
    found += [
        conv((1, 8, 7, 9), (20, 8, 3, 2), border=border, padding=[(1, 2), (2, 0)], stride=[2, 1], dilation=[1, 2])
        for border in BORDERS
    ]
    found += [conv((2, 16, 9, 8), (16, 16, 3, 3), stride=[s, s]) for s in (1, 2, 3)]
    found += [
        conv((1, 16, 8, 8), (16, 16, 5, 5), padding=[(2, 2), (2, 2)]),
        conv((1, 16, 8, 8), (16, 16, 2, 2)),
        conv((1, 16, 9, 9), (16, 16, 1, 1), stride=[2, 2]),
        conv((1, 16, 9, 9), (16, 16, 1, 1), stride=[3, 2], padding=[(0, 0), (0, 0)]),
        conv((1, 16, 7, 7), (16, 16, 1, 1), padding=[(1, 1), (1, 1)]),
        conv((1, 5, 9, 9), (8, 5, 3, 3), padding=[(-1, -2), (-3, 1)]),
        conv((1, 5, 9, 9), (8, 5, 3, 3), padding=[(-1, 2), (0, -1)], border="replicate"),
        conv((1, 3, 2, 2), (4, 3, 3, 3), padding=[(4, 5), (6, 3)]),
        conv((1, 3, 2, 3), (4, 3, 3, 3), padding=[(4, 5), (6, 3)], border="replicate"),
        conv((1, 16, 1, 12), (16, 16, 1, 7)),
        conv((1, 16, 10, 10), (16, 16, 3, 3), dilation=[2, 2], padding=[(2, 2), (2, 2)], stride=[2, 2]),
        conv((1, 3, 9, 9), (16, 3, 2, 2), stride=[3, 3]),
        conv((1, 3, 4, 4), (16, 3, 4, 4), padding=[(0, 0), (0, 0)]),
        conv((1, 3, 1, 1), (16, 3, 3, 3)),
        conv((1, 3, 10, 10), (16, 3, 3, 3), dilation=[2, 3]),
        conv((1, 16, 12, 1), (16, 16, 7, 1)),
    ]
    return found


def spatial_ranks() -> list[Case]:
    found = [conv((2, 5, 11), (16, 5, 3), border=border, padding=[(2, 1)], stride=[2]) for border in BORDERS]
    found += [
        conv((2, 16, 10), (33, 16, 1)),
        conv((1, 16, 10), (16, 16, 3), dilation=[3]),
        conv((1, 3, 5, 6, 4), (16, 3, 3, 3, 3)),
        conv((1, 16, 3, 4, 5), (8, 16, 1, 1, 1)),
        conv((2, 4, 5, 4, 6), (6, 2, 2, 3, 1), stride=[2, 1, 2], padding=[(1, 0), (0, 1), (0, 0)], groups=2),
        conv((1, 16, 4, 4, 4), (16, 1, 3, 3, 3), groups=16),
        conv((1, 2, 3, 4, 3), (3, 2, 2, 2, 2), border="replicate", dilation=[1, 2, 1]),
        conv((3, 5), (4, 5)),
        conv((2, 16), (34, 8), groups=2),
        conv((1, 3, 2, 3, 4, 3), (4, 3, 1, 2, 3, 2), stride=[1, 2, 1, 2]),
        conv((2, 16, 2, 3, 2, 3), (16, 8, 1, 1, 1, 1), groups=2),
        conv((1, 2, 2, 1, 3, 2, 2, 3), (2, 1, 1, 1, 2, 2, 1, 2), groups=0, border="reflect-even"),
        conv((1, 16, 1, 1, 2, 1, 2, 1), (8, 16, 1, 1, 1, 1, 1, 1)),
        case("conv", f32(1, 2, 2, 3, 2, 2, 3), f32(3, 2, 2, 1, 2, 1, 3), f32(1, 3), dilation=[1, 2, 1, 1, 1]),
        case("deconv", f32(3, 5), weights(5, 4), weights(1, 4)),
        case("deconv", f32(1, 3, 2, 2, 1, 2), weights(3, 2, 2, 1, 2, 3), stride=[2, 1, 2, 1]),
        case("deconv", f32(1, 2, 1, 2, 2, 1, 1, 2), weights(2, 1, 1, 2, 1, 1, 2, 2), weights(1, 2), groups=2,
             stride=[1, 1, 2, 1, 1, 2], border="replicate"),
    ]  # fmt: skip
    return found


def groups() -> list[Case]:
    """Grouped, depthwise (groups = 0 and groups = channels) and with a channel multiplier."""
    found = [conv((1, c, 6, 7), (c * m, 1, 3, 3), groups=0) for c in (3, 16, 20, 33) for m in (1, 2)]
    found += [conv((2, c, 6, 7), (c, 1, 3, 3), groups=c, stride=[2, 2]) for c in (5, 8, 16, 32)]
    found += [
        conv((1, c, 5, 5), (k, c // g, 3, 3), groups=g)
        for c, k, g in ((4, 6, 2), (32, 32, 2), (32, 64, 4), (16, 16, 4), (32, 32, 16), (24, 24, 3), (20, 10, 5))
    ]
    found += [conv((1, 16, 7, 7), (16, 1, 3, 3), groups=0, border=border) for border in BORDERS]
    found += [
        conv((2, 36, 6, 5), (36, 12, 3, 3), groups=3),
        conv((1, 48, 4, 17), (72, 24, 1, 3), groups=2, stride=[1, 2]),
        conv((1, 35, 5, 4), (15, 7, 2, 2), groups=5, padding=[(0, 0), (0, 0)], border="replicate"),
        conv((1, 16, 8, 8), (16, 1, 3, 3), groups=16, dilation=[2, 2]),
        conv((1, 20, 8, 8), (20, 1, 5, 5), groups=0, padding=[(2, 1), (0, 3)]),
        conv((1, 16, 8, 8), (16, 1, 1, 1), groups=0),
        conv((2, 24, 20, 21), (24, 1, 3, 3), groups=0),
        conv((1, 16, 46, 23), (32, 1, 3, 2), groups=16, stride=[2, 1], border="replicate"),
        conv((1, 16, 9), (16, 1, 3), groups=0),
        conv((1, 1, 5, 5), (4, 1, 3, 3), groups=0),
    ]
    return found


def operands() -> list[Case]:
    """Filters and biases that are inputs, and every accepted form of bias."""
    x, w = f32(1, 16, 5, 5), weights(16, 16, 3, 3)
    found = [case("conv", x, w, bias) for bias in (weights(16), weights(), weights(1), weights(1, 1), weights(1, 1, 1))]
    found += [
        case("conv", x, w),
        case("conv", x, w, f32(1, 16)),
        case("conv", x, f32(16, 16, 3, 3), weights(1, 16)),
        case("conv", f32(2, 5, 4, 4), f32(6, 5, 2, 2), f32(6)),
        case("conv", f32(2, 6, 4, 4), f32(6, 1, 2, 2), f32(), groups=0),
        case("conv", weights(1, 16, 4, 4), f32(8, 16, 1, 1)),
    ]
    return found


def deconv(x: tuple[int, ...], w: tuple[int, ...], **attrs: Any) -> Case:
    """Constant filter (C, K / groups, ...) and bias (1, K)."""
    count = attrs.get("groups", 1) or attrs.get("output_shape", x)[1]
    return case("deconv", f32(*x), weights(*w), weights(1, w[1] * count), **attrs)


def deconvolutions() -> list[Case]:
    found = [
        deconv((1, c, 4, 5), (c, k, 2, 2), stride=[2, 2], padding=[(0, 0), (0, 0)])
        for c, k in ((16, 16), (32, 8), (16, 33), (5, 3), (3, 16), (20, 20), (1, 1))
    ]
    found += [
        deconv((1, 16, 5, 4), (16, 16, 3, 3), stride=[s, s], padding=[(1, 1), (1, 1)], border=border)
        for s, border in ((1, "constant"), (1, "replicate"), (2, "constant"), (2, "replicate"), (1, "reflect"),
                          (2, "reflect"), (2, "reflect-even"), (3, "ignore"))
    ]  # fmt: skip
    found += [deconv((2, 16, 4, 4), (16, 16, 4, 4), stride=[s, 2]) for s in (1, 2, 3, 4)]
    found += [
        deconv((1, 16, 3, 4), (16, 16, 2, 2), stride=[3, 3], padding=[(0, 0), (0, 0)]),
        deconv((1, 5, 3, 4), (5, 8, 3, 2), stride=[2, 3], dilation=[2, 1]),
        deconv((1, 16, 4, 4), (16, 16, 3, 3), stride=[2, 2], dilation=[2, 2], padding=[(1, 2), (2, 0)]),
        deconv((1, 16, 4, 4), (16, 16, 3, 3), dilation=[3, 2], padding=[(0, 0), (0, 0)]),
        deconv((1, 16, 4, 4), (16, 16, 3, 3), stride=[2, 2], output_shape=[1, 16, 7, 8]),
        deconv((1, 3, 4, 4), (3, 5, 3, 3), stride=[2, 2], output_shape=[1, 5, 8, 7], padding=[(1, 1), (1, 1)]),
        deconv((1, 3, 4, 4), (3, 5, 3, 3), stride=[2, 2], padding=[(-1, 0), (2, -2)]),
        deconv((1, 3, 3, 3), (3, 4, 5, 5), stride=[5, 5], padding=[(0, 0), (0, 0)]),
        deconv((1, 2, 3, 3), (2, 4, 1, 1), stride=[2, 2]),
        deconv((1, 3, 1, 1), (3, 16, 4, 4), padding=[(0, 0), (0, 0)]),
        deconv((2, 70, 1, 1), (70, 17, 4, 4), padding=[(0, 0), (0, 0)]),
        deconv((2, 5, 6), (5, 16, 3), stride=[2]),
        deconv((1, 4, 2, 3, 2), (4, 16, 2, 2, 3), stride=[2, 1, 2]),
        deconv((1, 16, 4, 4), (16, 1, 3, 3), stride=[2, 2], groups=0),
        deconv((1, 16, 4, 4), (16, 1, 3, 3), groups=16, padding=[(1, 1), (1, 1)]),
        deconv((1, 20, 4, 4), (20, 1, 2, 2), stride=[2, 2], groups=20),
        deconv((1, 5, 4, 4), (5, 2, 3, 3), stride=[2, 2], groups=0),
        deconv((1, 8, 4, 4), (8, 3, 3, 3), stride=[2, 2], groups=2),
        deconv((1, 32, 3, 3), (32, 16, 2, 2), stride=[2, 2], groups=2),
        deconv((1, 36, 3, 4), (36, 12, 3, 3), stride=[2, 2], groups=3),
        deconv((2, 3, 3, 2), (3, 1, 8, 7), stride=[6, 5], groups=0, padding=[(1, 2), (1, 1)], border="replicate"),
        deconv((1, 3, 3, 3), (3, 2, 2, 2), stride=[6, 6], output_shape=[1, 2, 16, 15]),
        deconv((1, 4, 2, 3), (4, 2, 3, 2), stride=[5, 4], dilation=[3, 2], groups=2),
        deconv((1, 2, 4), (2, 3, 40), stride=[20], padding=[(10, 10)]),
        deconv((1, 5, 3, 4), (5, 3, 16, 16), stride=[8, 8], padding=[(4, 4), (4, 4)]),
        deconv((1, 2, 2, 2, 2), (2, 2, 4, 3, 5), stride=[3, 2, 3]),
        deconv((1, 8, 3, 3), (8, 1, 2, 2), stride=[2, 2], groups=0, output_shape=[1, 4, 6, 6]),
        case("deconv", f32(1, 16, 4, 4), weights(16, 16, 2, 2), weights(16), stride=[2, 2]),
        case("deconv", f32(1, 16, 4, 4), weights(16, 16, 2, 2), stride=[2, 2]),
        case("deconv", f32(1, 6, 4, 4), f32(6, 5, 3, 3), f32(1, 5), stride=[2, 2]),
        case("deconv", f32(1, 6, 4, 4), f32(6, 1, 3, 3), f32(1, 6), groups=0),
    ]
    return found


def separable() -> list[Case]:
    def filters(c: int, m: int, k: int, g: int, size: tuple[int, ...]) -> tuple[Any, Any]:
        return weights(c * m, 1, *size), weights(k, c * m // g, *(1,) * len(size))

    return [
        case("separable_conv", f32(1, 16, 6, 6), *filters(16, 1, 33, 1, (3, 3)), weights(1, 33)),
        case("separable_conv", f32(1, 5, 6, 6), *filters(5, 2, 8, 2, (3, 2)), weights(1, 8), groups=2, stride=[2, 2],
             padding=[(1, 0), (0, 1)], dilation=[1, 2], border="replicate"),
        case("separable_conv", f32(2, 8, 7), *filters(8, 1, 16, 1, (3,))),
        case("separable_deconv", f32(1, 16, 4, 4), weights(8, 1, 3, 3), weights(16, 8, 1, 1), weights(1, 8),
             stride=[2, 2]),
        case("separable_deconv", f32(1, 6, 3, 4), weights(4, 1, 2, 2), weights(6, 2, 1, 1), weights(1, 4), groups=2,
             stride=[2, 2], padding=[(0, 0), (1, 0)], output_shape=[1, 4, 6, 7]),
        case("separable_deconv", f32(1, 5, 4), weights(5, 1, 3), weights(5, 5, 1)),
    ]  # fmt: skip


CASES = [
    *vectors(), *channels(), *geometry(), *spatial_ranks(), *groups(), *operands(), *deconvolutions(), *separable(),
]  # fmt: skip
