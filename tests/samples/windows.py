"""Convolutions, pools and up-sampling."""

from __future__ import annotations

from tests.samples import case, f32, given

ROW = (1, 1)
W123 = given(1, 2, 3, shape=(1, 1, 3))
NO_BIAS = given(0.0, shape=(1, 1))


def row(*values: float) -> object:
    return given(*values, shape=(1, 1, len(values)))


def conv(x, f, b, **attrs):
    return case("conv", x, f, b, constants=(1, 2), **attrs)


def deconv(x, f, b, **attrs):
    return case("deconv", x, f, b, constants=(1, 2), **attrs)


VECTORS = [
    conv(row(1, 2, 3, 4), W123, NO_BIAS, padding=[(1, 1)], expected=(8, 14, 20, 11)),
    conv(row(1, 2, 3, 4), W123, NO_BIAS, padding=[(1, 1)], border="replicate", expected=(9, 14, 20, 23)),
    conv(row(1, 2, 3, 4), W123, NO_BIAS, padding=[(1, 1)], border="reflect", expected=(10, 14, 20, 20)),
    conv(row(1, 2, 3, 4), W123, NO_BIAS, padding=[(1, 1)], border="reflect-even", expected=(9, 14, 20, 23)),
    conv(row(1, 2, 3, 4, 5), W123, NO_BIAS, stride=[2], expected=(8, 20, 14)),
    conv(row(1, 2, 3, 4, 5, 6), W123, NO_BIAS, dilation=[2], padding=[(0, 0)], expected=(22, 28)),
    conv(row(1, 2, 3, 4, 5, 6), W123, NO_BIAS, dilation=[2], expected=(11, 16, 22, 28, 13, 16)),
    deconv(row(1, 2, 3), W123, NO_BIAS, stride=[2], padding=[(0, 0)], expected=(1, 2, 5, 4, 9, 6, 9)),
    deconv(row(1, 2, 3), W123, NO_BIAS, stride=[2], expected=(1, 2, 5, 4, 9, 6)),
    deconv(row(1, 2, 3), W123, NO_BIAS, stride=[2], padding=[(1, 1)], expected=(2, 5, 4, 9, 6)),
    deconv(row(1, 2, 3), W123, NO_BIAS, stride=[2], output_shape=[1, 1, 5], expected=(2, 5, 4, 9, 6)),
    deconv(row(1, 2, 3), W123, NO_BIAS, stride=[2], padding=[(1, 1)], output_shape=[1, 1, 6], expected=(2, 5, 4, 9, 6, 9)),
    deconv(row(1, 2, 3), W123, NO_BIAS, stride=[1], padding=[(1, 1)], expected=(4, 10, 12)),
    deconv(row(1, 2, 3), W123, NO_BIAS, stride=[1], padding=[(1, 1)], border="replicate", expected=(7, 10, 15)),
]

CONV = [
    *VECTORS,
    conv(f32(1, 16, 9, 9), f32(32, 16, 3, 3), f32(1, 32), padding=[(1, 1), (1, 1)]),
    conv(f32(2, 3, 11, 13), f32(16, 3, 7, 7), f32(1, 16), stride=[2, 2], padding=[(3, 3), (3, 3)]),
    conv(f32(1, 32, 5, 7), f32(48, 32, 1, 1), f32(1, 48)),
    conv(f32(1, 20, 6, 7), f32(33, 20, 3, 3), f32(1, 33)),
    conv(f32(1, 5, 6, 7), f32(3, 5, 3, 3), f32(1, 3)),
    conv(f32(1, 1, 5, 5), f32(1, 1, 3, 3), f32(1, 1)),
    conv(f32(2, 16, 8, 8), f32(16, 16, 3, 3), f32(1, 16), stride=[2, 2], padding=[(0, 1), (1, 0)]),
    conv(f32(1, 16, 8, 8), f32(16, 16, 3, 3), f32(1, 16), dilation=[2, 3], padding=[(2, 2), (3, 3)]),
    conv(f32(1, 16, 9, 8), f32(16, 16, 3, 3), f32(1, 16), padding=[(-1, 1), (2, -1)]),
    conv(f32(1, 16, 8, 8), f32(16, 16, 1, 1), f32(1, 16), stride=[2, 2]),
    *(conv(f32(1, 16, 6, 7), f32(16, 16, 3, 3), f32(1, 16), padding=[(2, 1), (1, 2)], border=b)
      for b in ("replicate", "reflect", "reflect-even", "ignore")),
    *(conv(f32(1, 3, 6, 7), f32(5, 3, 3, 3), f32(1, 5), padding=[(2, 1), (1, 2)], border=b)
      for b in ("constant", "replicate", "reflect", "reflect-even")),
    conv(f32(1, 32, 7, 7), f32(32, 1, 3, 3), f32(1, 32), groups=0, padding=[(1, 1), (1, 1)]),
    conv(f32(1, 24, 7, 30), f32(24, 1, 3, 3), f32(1, 24), groups=24, stride=[2, 2]),
    conv(f32(1, 24, 7, 7), f32(24, 1, 5, 5), f32(1, 24), groups=24, border="replicate"),
    conv(f32(1, 8, 7, 7), f32(16, 1, 3, 3), f32(1, 16), groups=0),
    conv(f32(1, 32, 6, 6), f32(64, 16, 3, 3), f32(1, 64), groups=2),
    conv(f32(1, 32, 6, 6), f32(32, 4, 3, 3), f32(1, 32), groups=8),
    conv(f32(1, 12, 6, 6), f32(18, 4, 3, 3), f32(1, 18), groups=3),
    conv(f32(1, 16, 12), f32(32, 16, 5), f32(1, 32), stride=[2]),
    conv(f32(1, 4, 4, 5, 6), f32(16, 4, 3, 3, 3), f32(1, 16), padding=[(1, 1), (1, 1), (1, 1)]),
    conv(f32(1, 16, 3, 5, 6), f32(16, 16, 2, 3, 3), f32(1, 16), stride=[1, 2, 2]),
    case("conv", f32(1, 16, 5, 5), f32(16, 16, 3, 3), f32(1, 16)),
    case("conv", f32(1, 4, 5, 5), f32(6, 2, 3, 3), f32(1, 6), groups=2),
    conv(f32(1, 16, 5, 5), f32(16, 16, 3, 3), f32(16)),
    deconv(f32(1, 16, 5, 6), f32(16, 32, 2, 2), f32(1, 32), stride=[2, 2], padding=[(0, 0), (0, 0)]),
    deconv(f32(1, 20, 4, 5), f32(20, 6, 3, 3), f32(1, 6), stride=[2, 2]),
    deconv(f32(2, 16, 4, 4), f32(16, 16, 4, 4), f32(1, 16), stride=[2, 2], padding=[(1, 1), (1, 1)]),
    deconv(f32(1, 16, 4, 4), f32(16, 16, 3, 3), f32(1, 16), stride=[3, 2], dilation=[2, 3]),
    deconv(f32(1, 16, 4, 4), f32(16, 1, 3, 3), f32(1, 16), stride=[2, 2], groups=0),
    deconv(f32(1, 32, 4, 4), f32(32, 16, 3, 3), f32(1, 32), stride=[2, 2], groups=2),
    deconv(f32(1, 6, 4, 4), f32(6, 2, 3, 3), f32(1, 6), stride=[2, 2], groups=3),
    deconv(f32(1, 4, 3, 3), f32(4, 4, 8, 8), f32(1, 4), stride=[8, 8]),
    deconv(f32(1, 16, 5), f32(16, 16, 3), f32(1, 16), stride=[2], border="reflect"),
    deconv(f32(1, 4, 2, 3, 4), f32(4, 16, 2, 2, 2), f32(1, 16), stride=[2, 2, 2]),
    deconv(f32(1, 4, 4, 4), f32(4, 4, 1, 1), f32(1, 4), stride=[2, 2], output_shape=[1, 4, 8, 8]),
    case("deconv", f32(1, 4, 4, 4), f32(4, 4, 3, 3), f32(1, 4), stride=[2, 2]),
    case("separable_conv", f32(1, 8, 6, 6), f32(8, 1, 3, 3), f32(16, 8, 1, 1), f32(1, 16), constants=(1, 2, 3)),
    case("separable_deconv", f32(1, 8, 4, 4), f32(16, 1, 3, 3), f32(8, 16, 1, 1), f32(1, 16), constants=(1, 2, 3),
         stride=[2, 2]),
]  # fmt: skip

FIVE = given(-1, -2, -3, -4, -5)
ONE_TO_FIVE = given(1, 2, 3, 4, 5)
POOL = [
    case("max_pool", FIVE, size=[3], padding=[(1, 1)], expected=(0, -1, -2, -3, 0)),
    case("max_pool", FIVE, size=[3], padding=[(1, 1)], border="ignore", expected=(-1, -1, -2, -3, -4)),
    case("avg_pool", ONE_TO_FIVE, size=[3], padding=[(1, 1)], expected=(1, 2, 3, 4, 3)),
    case("avg_pool", ONE_TO_FIVE, size=[3], padding=[(1, 1)], border="ignore", expected=(1.5, 2, 3, 4, 4.5)),
    case("avg_pool", ONE_TO_FIVE, size=[3], padding=[(1, 1)], border="replicate", expected=(4 / 3, 2, 3, 4, 14 / 3)),
    case("avg_pool", ONE_TO_FIVE, size=[3], padding=[(1, 1)], border="reflect", expected=(5 / 3, 2, 3, 4, 13 / 3)),
    *(case(name, f32(2, 20, 7, 9), size=[1, 1, 3, 2], stride=[1, 1, 2, 1], border=b, padding=p)
      for name in ("max_pool", "avg_pool", "rms_pool", "box") for b in ("constant", "ignore", "replicate", "reflect",
      "reflect-even") for p in ([], [(0, 0), (0, 0), (1, 0), (1, 1)])),
    case("box", f32(1, 9, 5, 5), size=[1, 5, 1, 1]),
    case("box", f32(3, 6, 5), size=[2, 3, 2], normalize=True, dilation=[1, 2, 1]),
    case("max_pool", f32(1, 3, 4, 5, 6), size=[1, 1, 2, 2, 2], stride=[1, 1, 2, 2, 2]),
    case("max_pool", f32(1, 16, 9, 9), size=[1, 1, 3, 3], stride=[1, 1, 2, 2], padding=[(0, 0), (0, 0), (-1, 1), (0, 0)]),
    case("max_pool", given(1, float("nan"), 2, 3, float("-inf"), 5), size=[2], padding=[(0, 0)], border="ignore"),
    case("max_pool", f32(), size=[]),
    case("local_response_normalization", f32(1, 20, 4, 5), size=[1, 5, 1, 1], alpha=0.5, beta=0.75, bias=2.0),
    case("local_mean_normalization", f32(1, 4, 6, 6), size=[1, 1, 3, 3]),
    case("local_variance_normalization", f32(1, 4, 6, 6), size=[1, 1, 3, 3], bias=0.1, epsilon=0.01),
    case("local_contrast_normalization", f32(1, 4, 6, 6), size=[1, 1, 3, 3], bias=0.1, epsilon=0.01),
]  # fmt: skip

UP = given(1, 2, 4, shape=(1, 1, 3))
RESIZE = [
    case("multilinear_upsample", UP, factor=[2], expected=(1, 1.25, 1.75, 2.5, 3.5, 4)),
    case("multilinear_upsample", UP, factor=[2], border="constant", expected=(0.75, 1.25, 1.75, 2.5, 3.5, 3)),
    case("multilinear_upsample", UP, factor=[2], method="asymmetric", expected=(1, 1.5, 2, 3, 4, 4)),
    case("multilinear_upsample", UP, factor=[2], method="asymmetric", border="constant", expected=(1, 1.5, 2, 3, 4, 2)),
    case("multilinear_upsample", UP, factor=[2], method="aligned", expected=(1, 1.4, 1.8, 2.4, 3.2, 4)),
    case("multilinear_upsample", UP, factor=[3], method="aligned", expected=(1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4)),
    case("multilinear_upsample", UP, factor=[2], border="reflect", expected=(1.25, 1.25, 1.75, 2.5, 3.5, 3.5)),
    *(case("multilinear_upsample", f32(1, 16, 3, 4), factor=[2, 3], method=m, border=b)
      for m in ("symmetric", "asymmetric", "aligned") for b in ("constant", "replicate", "reflect", "reflect-even")),
    case("multilinear_upsample", f32(1, 3, 1, 4, 2), factor=[2, 1, 2]),
    case("nearest_upsample", f32(2, 5, 3, 4), factor=[2, 3]),
    case("nearest_upsample", f32(1, 16, 3), factor=[2]),
    case("nearest_downsample", f32(2, 5, 4, 6), factor=[2, 3]),
    case("area_downsample", f32(2, 5, 4, 6), factor=[2, 3]),
]  # fmt: skip
