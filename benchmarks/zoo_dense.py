"""Networks with results for every place: detection heads, pyramids, depth, noise removal, several resolutions."""

from __future__ import annotations

from zoo_further import unit
from zoo_network import Network, Value


def separable(n: Network, x: Value, channels: int, stride: int = 1, size: int = 3) -> Value:
    y = n.relu6(n.batch_norm(n.conv(x, x.shape[1], size, stride, size // 2, groups=x.shape[1], bias=False)))
    return n.relu6(n.batch_norm(n.conv(y, n.channels(channels), 1, bias=False)))


def ssd(n: Network, x: Value, classes: int) -> list[Value]:
    """MobileNet's body and boxes at six sizes; results are lists of boxes and of their classes."""
    x = n.relu6(n.batch_norm(n.conv(x, n.channels(32), 3, 2, 1, bias=False)))
    for channels, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5):
        x = separable(n, x, channels, stride)
    maps = [x, separable(n, separable(n, x, 1024, 2), 1024)]
    for channels in (512, 256, 256, 128):
        maps.append(separable(n, n.relu6(n.conv(maps[-1], n.channels(channels // 2), 1)), channels, 2))

    def lists(values: int, boxes: int = 6) -> Value:
        parts = []
        for given in maps:
            y = n.conv(given, boxes * values, 3, 1, 1, gain=1.0)
            height, width = y.spatial
            parts.append(n.reshape(n.transpose(y, (0, 2, 3, 1)), (y.shape[0], height * width * boxes, values)))
        return n.concat(parts, axis=1)

    return [lists(4), n.softmax(lists(classes))]


def pyramid(n: Network, x: Value, classes: int) -> list[Value]:
    """Features of four sizes, added from the small to the large; a result for each."""
    x = n.max_pool(unit(n, x, 64, 7, 2), 3, 2, ((1, 1), (1, 1)))
    levels = []
    for stage, channels in enumerate((64, 128, 256, 512)):
        y = unit(n, x, channels, 3, 2 if stage else 1)
        x = n.relu(n.add(y, n.batch_norm(n.conv(unit(n, y, channels, 3), y.shape[1], 3, 1, 1, bias=False), scale=0.5)))
        levels.append(x)
    top, results = None, []
    for level in reversed(levels):
        side = n.conv(level, n.channels(128), 1, gain=1.0)
        top = side if top is None else n.add(side, n.upsample(top))
        results.append(n.conv(n.relu(n.conv(top, n.channels(128), 3, 1, 1)), classes, 3, 1, 1, gain=1.0))
    return results


def hrnet(n: Network, x: Value, classes: int) -> list[Value]:
    """Three resolutions side by side that exchange what they found."""

    def basic(x: Value) -> Value:
        y = n.batch_norm(n.conv(unit(n, x, x.shape[1], 3), x.shape[1], 3, 1, 1, bias=False), scale=0.5)
        return n.relu(n.add(x, y))

    def normal(x: Value, channels: int, size: int, stride: int = 1) -> Value:
        return n.batch_norm(n.conv(x, channels, size, stride, size // 2, bias=False, gain=1.0), scale=0.5)

    branches = [unit(n, unit(n, x, 64, 3, 2), 32, 3, 2)]
    for stage in range(3):
        if stage:
            branches.append(unit(n, branches[-1], branches[-1].shape[1] * 2, 3, 2))
        branches = [basic(basic(branch)) for branch in branches]
        mixed = []
        for to, target in enumerate(branches):
            total = target
            for source, branch in enumerate(branches):
                if source > to:
                    y = normal(branch, target.shape[1], 1)
                    for _ in range(source - to):
                        y = n.upsample(y)
                elif source < to:
                    y = branch
                    for step in range(to - source):
                        y = normal(y, branches[source + step + 1].shape[1], 3, 2)
                else:
                    continue
                total = n.add(total, y)
            mixed.append(n.relu(total))
        branches = mixed
    return [n.conv(branches[0], classes, 1, gain=1.0)]


def denoise(n: Network, x: Value, classes: int) -> list[Value]:
    """Seventeen layers of 64 channels over a picture of one."""
    y = n.relu(n.conv(x, n.channels(64), 3, 1, 1))
    for _ in range(15):
        y = n.relu(n.batch_norm(n.conv(y, y.shape[1], 3, 1, 1, bias=False)))
    return [n.add(x, n.conv(y, x.shape[1], 3, 1, 1, gain=0.1))]


def depth(n: Network, x: Value, classes: int) -> list[Value]:
    """Down by strides, up by interpolation, the larger maps joined in."""
    skips = []
    for channels in (32, 64, 128, 256):
        x = n.leaky_relu(n.conv(x, n.channels(channels), 3, 2, 1))
        x = n.leaky_relu(n.conv(x, x.shape[1], 3, 1, 1))
        skips.append(x)
    for skip in reversed(skips[:-1]):
        x = n.leaky_relu(n.conv(n.concat([n.enlarge(x, 2), skip]), skip.shape[1], 3, 1, 1))
    return [n.sigmoid(n.conv(n.enlarge(x, 2), 1, 3, 1, 1, gain=1.0))]


def portrait(n: Network, x: Value, classes: int) -> list[Value]:
    """Segmentation by separable layers, enlarged by interpolation at the end."""
    x = first = unit(n, x, 16, 3, 2)
    for channels, stride in ((24, 2), (24, 1), (40, 2), (40, 1), (80, 1), (80, 1)):
        y = separable(n, x, channels, stride, 5)
        x = n.add(x, y) if x.shape == y.shape else y
    whole = n.sigmoid(n.conv(n.global_pool(x), n.channels(40), 1))
    x = n.mul(n.conv(x, n.channels(40), 1), whole)
    x = n.concat([n.enlarge(x, 4), first])
    return [n.enlarge(n.conv(separable(n, x, 24), classes, 1, gain=1.0), 2)]


def xception(n: Network, x: Value, classes: int) -> list[Value]:
    """Separable convolutions behind relus, with 728 channels in the middle."""

    def sep(x: Value, channels: int) -> Value:
        y = n.conv(n.relu(x), x.shape[1], 3, 1, 1, groups=x.shape[1], bias=False, gain=1.5)
        return n.batch_norm(n.conv(y, n.channels(channels), 1, bias=False, gain=1.5))

    x = unit(n, unit(n, x, 32, 3, 2), 64, 3)
    for channels in (128, 256, 728):
        y = n.max_pool(sep(sep(x, channels), channels), 3, 2, ((1, 1), (1, 1)))
        x = n.add(y, n.batch_norm(n.conv(x, y.shape[1], 1, 2, bias=False, gain=1.0)))
    for _ in range(4):
        x = n.add(x, sep(sep(sep(x, 728), 728), 728))
    return [n.linear(n.flatten(n.global_pool(n.relu(sep(x, 1536)))), classes, gain=1.0)]


def fused_efficient(n: Network, x: Value, classes: int) -> list[Value]:
    """As EfficientNetV2: full windows where maps are large, depthwise ones and gates where they are small."""
    x = n.silu(n.batch_norm(n.conv(x, n.channels(24), 3, 2, 1, bias=False)))
    for channels, expand, stride, repeats in ((24, 1, 1, 2), (48, 4, 2, 4), (64, 4, 2, 4)):
        for block in range(repeats):
            y = n.silu(n.batch_norm(n.conv(x, expand * x.shape[1], 3, 1 if block else stride, 1, bias=False)))
            y = n.batch_norm(n.conv(y, n.channels(channels), 1, bias=False, gain=1.0), scale=0.7)
            x = n.add(x, y) if x.shape == y.shape else y
    for channels, stride, repeats in ((128, 2, 4), (160, 1, 4), (256, 2, 6)):
        for block in range(repeats):
            wide = 4 * x.shape[1]
            y = n.silu(n.batch_norm(n.conv(x, wide, 1, bias=False)))
            y = n.silu(n.batch_norm(n.conv(y, wide, 3, 1 if block else stride, 1, groups=wide, bias=False)))
            gate = n.silu(n.conv(n.global_pool(y), x.shape[1] // 4, 1))
            y = n.mul(y, n.sigmoid(n.conv(gate, wide, 1)))
            y = n.batch_norm(n.conv(y, n.channels(channels), 1, bias=False, gain=4.0), scale=0.7)
            x = n.add(x, y) if x.shape == y.shape else y
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def regnet(n: Network, x: Value, classes: int) -> list[Value]:
    """Groups of 16 channels, widths that are no powers of two."""
    x = unit(n, x, 32, 3, 2)
    for channels, repeats in ((32, 1), (64, 2), (160, 7), (400, 12)):
        for block in range(repeats):
            stride, wide = 1 if block else 2, n.channels(channels)
            y = unit(n, x, channels, 1)
            y = n.relu(n.batch_norm(n.conv(y, wide, 3, stride, 1, groups=max(1, wide // 16), bias=False)))
            y = n.batch_norm(n.conv(y, wide, 1, bias=False, gain=1.0), scale=0.5)
            x = n.relu(n.add(y, x if block else n.batch_norm(n.conv(x, wide, 1, 2, bias=False, gain=1.0))))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def pspnet(n: Network, x: Value, classes: int) -> list[Value]:
    """Means over parts of the map of four sizes, enlarged again and joined."""
    x = n.max_pool(unit(n, unit(n, x, 32, 3, 2), 64, 3), 2, 2)
    x = unit(n, unit(n, x, 128, 3, 2), 256, 3)
    parts = [x]
    for size in (4, 8, 12, 24):
        y = unit(n, n.avg_pool(x, size, size), 64, 1)
        parts.append(n.enlarge(y, size))
    return [n.enlarge(n.conv(unit(n, n.concat(parts), 128, 3), classes, 1, gain=1.0), 8)]
