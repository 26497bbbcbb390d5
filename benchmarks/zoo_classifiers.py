"""Networks that classify images: AlexNet to EfficientNet."""

from __future__ import annotations

from collections.abc import Callable

from zoo_network import Network, Value

PAIR = ((1, 1), (1, 1))
"""One row or column of padding all around."""


def residual_stem(n: Network, x: Value) -> Value:
    x = n.relu(n.batch_norm(n.conv(x, n.channels(64), 7, 2, 3, bias=False)))
    return n.max_pool(x, 3, 2, PAIR)


def head(n: Network, x: Value, classes: int) -> list[Value]:
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def resnet18(n: Network, x: Value, classes: int) -> list[Value]:
    x = residual_stem(n, x)
    for stage in range(4):
        channels = n.channels(64 << stage)
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = n.relu(n.batch_norm(n.conv(x, channels, 3, stride, 1, bias=False)))
            y = n.batch_norm(n.conv(y, channels, 3, 1, 1, bias=False, gain=1.0), scale=0.5)
            if stride > 1:
                x = n.batch_norm(n.conv(x, channels, 1, stride, bias=False, gain=1.0))
            x = n.relu(n.add(x, y))
    return head(n, x, classes)


def resnet50(n: Network, x: Value, classes: int) -> list[Value]:
    x = residual_stem(n, x)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner = n.channels(64 << stage)
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = n.relu(n.batch_norm(n.conv(x, inner, 1, bias=False)))
            y = n.relu(n.batch_norm(n.conv(y, inner, 3, stride, 1, bias=False)))
            y = n.batch_norm(n.conv(y, 4 * inner, 1, bias=False, gain=1.0), scale=0.5)
            if not block:
                x = n.batch_norm(n.conv(x, 4 * inner, 1, stride, bias=False, gain=1.0))
            x = n.relu(n.add(x, y))
    return head(n, x, classes)


MOBILE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels and stride of MobileNetV1's pairs of a depthwise and a 1x1 convolution."""


def mobilenetv1(n: Network, x: Value, classes: int) -> list[Value]:
    def unit(x: Value, channels: int, size: int, stride: int, groups: int = 1) -> Value:
        return n.relu(n.batch_norm(n.conv(x, channels, size, stride, size // 2, groups=groups, bias=False)))

    x = unit(x, n.channels(32), 3, 2)
    for channels, stride in MOBILE:
        x = unit(x, x.shape[1], 3, stride, x.shape[1])
        x = unit(x, n.channels(channels), 1, 1)
    return head(n, x, classes)


BOTTLENECKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, channels, repeats, stride of the first."""


def mobilenetv2(n: Network, x: Value, classes: int) -> list[Value]:
    x = n.relu6(n.batch_norm(n.conv(x, n.channels(32), 3, 2, 1, bias=False)))
    for expand, channels, repeats, first in BOTTLENECKS:
        for block in range(repeats):
            stride, hidden = first if not block else 1, x.shape[1] * expand
            y = x if expand == 1 else n.relu6(n.batch_norm(n.conv(x, hidden, 1, bias=False)))
            y = n.relu6(n.batch_norm(n.conv(y, hidden, 3, stride, 1, groups=hidden, bias=False)))
            y = n.batch_norm(n.conv(y, n.channels(channels), 1, bias=False, gain=1.5))
            x = n.add(x, y) if stride == 1 and x.shape[1] == y.shape[1] else y
    x = n.relu6(n.batch_norm(n.conv(x, n.channels(1280), 1, bias=False)))
    return head(n, x, classes)


def vgg16(n: Network, x: Value, classes: int) -> list[Value]:
    for channels, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            x = n.relu(n.conv(x, n.channels(channels), 3, 1, 1))
        x = n.max_pool(x, 2, 2)
    x = n.flatten(x)
    for _ in range(2):
        x = n.relu(n.linear(x, n.channels(4096)))
    return [n.linear(x, classes, gain=1.0)]


def alexnet(n: Network, x: Value, classes: int) -> list[Value]:
    x = n.lrn(n.relu(n.conv(x, n.channels(96), 11, 4, 2)))
    x = n.max_pool(x, 3, 2)
    x = n.lrn(n.relu(n.conv(x, n.channels(256), 5, 1, 2, groups=2)))
    x = n.max_pool(x, 3, 2)
    x = n.relu(n.conv(x, n.channels(384), 3, 1, 1))
    x = n.relu(n.conv(x, n.channels(384), 3, 1, 1, groups=2))
    x = n.relu(n.conv(x, n.channels(256), 3, 1, 1, groups=2))
    x = n.flatten(n.max_pool(x, 3, 2))
    for _ in range(2):
        x = n.relu(n.linear(x, n.channels(4096)))
    return [n.linear(x, classes, gain=1.0)]


INCEPTION = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip


def googlenet(n: Network, x: Value, classes: int) -> list[Value]:
    ceil = ((0, 1), (0, 1))
    x = n.max_pool(n.relu(n.conv(x, n.channels(64), 7, 2, 3)), 3, 2, ceil)
    x = n.relu(n.conv(n.lrn(x), n.channels(64), 1))
    x = n.lrn(n.relu(n.conv(x, n.channels(192), 3, 1, 1)))
    x = n.max_pool(x, 3, 2, ceil)
    for block, widths in enumerate(INCEPTION):
        a, b1, b3, c1, c5, d = (n.channels(w) for w in widths)
        branches = [
            n.relu(n.conv(x, a, 1)),
            n.relu(n.conv(n.relu(n.conv(x, b1, 1)), b3, 3, 1, 1)),
            n.relu(n.conv(n.relu(n.conv(x, c1, 1)), c5, 5, 1, 2)),
            n.relu(n.conv(n.max_pool(x, 3, 1, PAIR), d, 1)),
        ]
        x = n.concat(branches)
        if block in (1, 6):
            x = n.max_pool(x, 3, 2, ceil)
    return head(n, x, classes)


def squeezenet(n: Network, x: Value, classes: int) -> list[Value]:
    """Version 1.1."""
    ceil = ((0, 1), (0, 1))

    def fire(x: Value, squeezed: int, expanded: int) -> Value:
        x = n.relu(n.conv(x, n.channels(squeezed), 1))
        wide = n.channels(expanded)
        return n.concat([n.relu(n.conv(x, wide, 1, gain=1.8)), n.relu(n.conv(x, wide, 3, 1, 1, gain=1.8))])

    x = n.max_pool(n.relu(n.conv(x, n.channels(64), 3, 2)), 3, 2, ceil)
    x = n.max_pool(fire(fire(x, 16, 64), 16, 64), 3, 2, ceil)
    x = n.max_pool(fire(fire(x, 32, 128), 32, 128), 3, 2, ceil)
    for squeezed, expanded in ((48, 192), (48, 192), (64, 256), (64, 256)):
        x = fire(x, squeezed, expanded)
    return [n.flatten(n.global_pool(n.relu(n.conv(x, classes, 1, centred=True))))]


def densenet121(n: Network, x: Value, classes: int) -> list[Value]:
    x = residual_stem(n, x)
    growth = n.channels(32)
    for stage, layers in enumerate((6, 12, 24, 16)):
        if stage:
            x = n.avg_pool(n.conv(n.relu(n.batch_norm(x)), x.shape[1] // 2, 1, bias=False), 2, 2)
        for _ in range(layers):
            y = n.conv(n.relu(n.batch_norm(x)), 4 * growth, 1, bias=False)
            y = n.conv(n.relu(n.batch_norm(y)), growth, 3, 1, 1, bias=False)
            x = n.concat([x, y])
    return head(n, n.relu(n.batch_norm(x)), classes)


MOBILE_BLOCKS = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
"""Expansion, channels, repeats, stride of the first, size of the depthwise filter."""
SILU = 2.2
"""Gain of a filter before a SiLU: between 2.8, right for small values, and a relu's 2."""


def efficientnet_b0(n: Network, x: Value, classes: int) -> list[Value]:
    def unit(x: Value, channels: int, size: int, stride: int = 1, groups: int = 1) -> Value:
        y = n.conv(x, channels, size, stride, size // 2, groups=groups, bias=False, gain=SILU)
        return n.silu(n.batch_norm(y))

    def gated(x: Value, squeezed: int) -> Value:
        gate = n.silu(n.conv(n.global_pool(x), squeezed, 1, gain=6.0))
        return n.mul(x, n.sigmoid(n.conv(gate, x.shape[1], 1)))

    x = unit(x, n.channels(32), 3, 2)
    for expand, channels, repeats, first, size in MOBILE_BLOCKS:
        for block in range(repeats):
            stride, hidden = first if not block else 1, x.shape[1] * expand
            y = x if expand == 1 else unit(x, hidden, 1)
            y = gated(unit(y, hidden, size, stride, hidden), max(1, x.shape[1] // 4))
            y = n.batch_norm(n.conv(y, n.channels(channels), 1, bias=False, gain=3.0))
            x = n.add(x, y) if stride == 1 and x.shape[1] == y.shape[1] else y
    return head(n, unit(x, n.channels(1280), 1), classes)


class Inception:
    """The blocks of Inception-v3, by their letters in the reference implementations."""

    def __init__(self, n: Network) -> None:
        self.n = n

    def unit(self, x: Value, channels: int, size: int | tuple[int, int], stride: int = 1, padded: bool = True) -> Value:
        sizes = (size, size) if isinstance(size, int) else size
        pads = [s // 2 if padded else 0 for s in sizes]
        n = self.n
        return n.relu(n.batch_norm(n.conv(x, n.channels(channels), sizes, stride, pads, bias=False)))

    def chain(self, x: Value, channels: int, *sizes: tuple[int, int], last: int | None = None) -> Value:
        """Filters of these sizes, one after the other; last: channels of the last one."""
        for place, size in enumerate(sizes):
            x = self.unit(x, last if last and place == len(sizes) - 1 else channels, size)
        return x

    def pooled(self, x: Value, channels: int) -> Value:
        return self.unit(self.n.avg_pool(x, 3, 1, PAIR), channels, 1)

    def a(self, x: Value, pool: int) -> Value:
        double = self.unit(self.unit(self.unit(x, 64, 1), 96, 3), 96, 3)
        return self.n.concat([self.unit(x, 64, 1), self.unit(self.unit(x, 48, 1), 64, 5), double, self.pooled(x, pool)])

    def b(self, x: Value) -> Value:
        double = self.unit(self.unit(self.unit(x, 64, 1), 96, 3), 96, 3, 2, padded=False)
        return self.n.concat([self.unit(x, 384, 3, 2, padded=False), double, self.n.max_pool(x, 3, 2)])

    def c(self, x: Value, inner: int) -> Value:
        row, column = (1, 7), (7, 1)
        single = self.chain(self.unit(x, inner, 1), inner, row, column, last=192)
        double = self.chain(self.unit(x, inner, 1), inner, column, row, column, row, last=192)
        return self.n.concat([self.unit(x, 192, 1), single, double, self.pooled(x, 192)])

    def d(self, x: Value) -> Value:
        single = self.unit(self.unit(x, 192, 1), 320, 3, 2, padded=False)
        double = self.unit(self.chain(self.unit(x, 192, 1), 192, (1, 7), (7, 1)), 192, 3, 2, padded=False)
        return self.n.concat([single, double, self.n.max_pool(x, 3, 2)])

    def e(self, x: Value) -> Value:
        single = self.unit(x, 384, 1)
        double = self.unit(self.unit(x, 448, 1), 384, 3)
        parts = [self.unit(y, 384, size) for y in (single, double) for size in ((1, 3), (3, 1))]
        return self.n.concat([self.unit(x, 320, 1), *parts, self.pooled(x, 192)])


def inception_v3(n: Network, x: Value, classes: int) -> list[Value]:
    """Without the auxiliary classifier."""
    make = Inception(n)
    x = make.unit(make.unit(x, 32, 3, 2, padded=False), 32, 3, padded=False)
    x = n.max_pool(make.unit(x, 64, 3), 3, 2)
    x = n.max_pool(make.unit(make.unit(x, 80, 1), 192, 3, padded=False), 3, 2)
    for pool in (32, 64, 64):
        x = make.a(x, pool)
    x = make.b(x)
    for inner in (128, 160, 160, 192):
        x = make.c(x, inner)
    x = make.e(make.e(make.d(x)))
    return head(n, x, classes)


CLASSIFIERS: dict[str, Callable[[Network, Value, int], list[Value]]] = {
    "alexnet": alexnet, "vgg16": vgg16, "resnet18": resnet18, "resnet50": resnet50, "mobilenetv1": mobilenetv1,
    "mobilenetv2": mobilenetv2, "squeezenet": squeezenet, "googlenet": googlenet, "inceptionv3": inception_v3,
    "densenet121": densenet121, "efficientnetb0": efficientnet_b0,
}  # fmt: skip
