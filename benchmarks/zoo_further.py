"""Networks of further kinds, each with layers that the others lack: groups, dilation, deconvolution, windows, gates."""

from __future__ import annotations

import numpy as np
from zoo_network import Network, Value
from zoo_others import HEAD, attention, feed_forward


def resnext50(n: Network, x: Value, classes: int) -> list[Value]:
    """Bottlenecks whose 3 x 3 convolutions have 32 groups of 4 to 32 channels."""
    x = n.max_pool(unit(n, x, 64, 7, 2), 3, 2, ((1, 1), (1, 1)))
    for stage, (channels, repeats) in enumerate(((128, 3), (256, 4), (512, 6), (1024, 3))):
        for block in range(repeats):
            stride = 2 if stage and not block else 1
            y = unit(n, x, channels, 1)
            y = n.relu(n.batch_norm(n.conv(y, y.shape[1], 3, stride, 1, groups=min(32, y.shape[1] // 4), bias=False)))
            y = n.batch_norm(n.conv(y, n.channels(2 * channels), 1, bias=False, gain=1.0), scale=0.5)
            short = x if block else n.batch_norm(n.conv(x, y.shape[1], 1, stride, bias=False, gain=1.0))
            x = n.relu(n.add(y, short))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def unit(n: Network, x: Value, channels: int, size: int, stride: int = 1, dilation: int = 1) -> Value:
    y = n.conv(x, n.channels(channels), size, stride, dilation * (size // 2), bias=False, dilation=dilation)
    return n.relu(n.batch_norm(y))


def shufflenetv2(n: Network, x: Value, classes: int) -> list[Value]:
    """Halves of the channels that are computed on, and shuffled with the others."""

    def branch(x: Value, channels: int, stride: int) -> Value:
        x = n.relu(n.batch_norm(n.conv(x, channels, 1, bias=False)))
        x = n.batch_norm(n.conv(x, channels, 3, stride, 1, groups=channels, bias=False, gain=1.0))
        return n.relu(n.batch_norm(n.conv(x, channels, 1, bias=False)))

    def shuffled(x: Value) -> Value:
        batch, channels, *spatial = x.shape
        pairs = n.transpose(n.reshape(x, (batch, 2, channels // 2, *spatial)), (0, 2, 1, 3, 4))
        return n.reshape(pairs, x.shape)

    x = n.max_pool(unit(n, x, 24, 3, 2), 3, 2, ((1, 1), (1, 1)))
    for channels, repeats in ((116, 4), (232, 8), (464, 4)):
        half = n.channels(channels / 2 + 2)
        short = n.batch_norm(n.conv(x, x.shape[1], 3, 2, 1, groups=x.shape[1], bias=False, gain=1.0))
        short = n.relu(n.batch_norm(n.conv(short, half, 1, bias=False)))
        x = shuffled(n.concat([short, branch(x, half, 2)]))
        for _ in range(repeats - 1):
            kept, given = n.split(x, 1, 2)
            x = shuffled(n.concat([kept, branch(given, half, 1)]))
    return [n.linear(n.flatten(n.global_pool(unit(n, x, 1024, 1))), classes, gain=1.0)]


def mobilenetv3(n: Network, x: Value, classes: int) -> list[Value]:
    """Large: windows of 3 and 5, gates of whole channels, hard swish."""

    def block(x: Value, wide: int, channels: int, size: int, stride: int, gated: bool, swish: bool) -> Value:
        activation = n.hard_swish if swish else n.relu
        wide, channels = n.channels(wide), n.channels(channels)
        y = activation(n.batch_norm(n.conv(x, wide, 1, bias=False)))
        y = activation(n.batch_norm(n.conv(y, wide, size, stride, size // 2, groups=wide, bias=False)))
        if gated:
            gate = n.relu(n.conv(n.global_pool(y), n.channels(wide // 4), 1))
            y = n.mul(y, n.hard_sigmoid(n.conv(gate, wide, 1)))
        y = n.batch_norm(n.conv(y, channels, 1, bias=False, gain=1.2))
        return n.add(x, y) if x.shape == y.shape else y

    x = n.hard_swish(n.batch_norm(n.conv(x, n.channels(16), 3, 2, 1, bias=False)))
    for row in (
        (16, 16, 3, 1, False, False), (64, 24, 3, 2, False, False), (72, 24, 3, 1, False, False),
        (72, 40, 5, 2, True, False), (120, 40, 5, 1, True, False), (120, 40, 5, 1, True, False),
        (240, 80, 3, 2, False, True), (200, 80, 3, 1, False, True), (184, 80, 3, 1, False, True),
        (184, 80, 3, 1, False, True), (480, 112, 3, 1, True, True), (672, 112, 3, 1, True, True),
        (672, 160, 5, 2, True, True), (960, 160, 5, 1, True, True), (960, 160, 5, 1, True, True),
    ):  # fmt: skip
        x = block(x, *row)
    x = n.global_pool(n.hard_swish(n.batch_norm(n.conv(x, n.channels(960), 1, bias=False))))
    return [n.linear(n.hard_swish(n.linear(n.flatten(x), n.channels(1280))), classes, gain=1.0)]


def convnext_t(n: Network, x: Value, classes: int) -> list[Value]:
    """Depthwise windows of 7; norms and products over the channels, which come last for them."""

    def channels_last(x: Value) -> Value:
        return n.transpose(n.reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3])), (0, 2, 1))

    def channels_first(x: Value, spatial: tuple[int, ...]) -> Value:
        return n.reshape(n.transpose(x, (0, 2, 1)), (x.shape[0], x.shape[2], *spatial))

    def normal(x: Value) -> Value:
        return channels_first(n.layer_norm(channels_last(x)), x.spatial)

    x = normal(n.conv(x, n.channels(96), 4, 4, gain=1.0))
    for stage, (channels, repeats) in enumerate(((96, 3), (192, 3), (384, 9), (768, 3))):
        wide = n.channels(channels)
        if stage:
            x = n.conv(normal(x), wide, 2, 2, gain=1.0)
        for _ in range(repeats):
            y = channels_last(n.conv(x, wide, 7, 1, 3, groups=wide, gain=1.0))
            x = n.add(x, channels_first(feed_forward(n, n.layer_norm(y)), x.spatial))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def deeplab(n: Network, x: Value, classes: int) -> list[Value]:
    """Dilated windows at an eighth of the size, a pyramid of them, and the result enlarged by interpolation."""
    x = n.max_pool(unit(n, x, 64, 3, 2), 3, 2, ((1, 1), (1, 1)))
    x = unit(n, unit(n, x, 128, 3), 128, 3, 2)
    for dilation in (1, 2, 4, 8):
        x = n.add(x, n.conv(unit(n, x, 128, 3, dilation=dilation), x.shape[1], 3, 1, dilation, gain=0.5,
                            dilation=dilation))  # fmt: skip
    pyramid = [unit(n, x, 64, 1), *(unit(n, x, 64, 3, dilation=rate) for rate in (6, 12, 18))]
    x = unit(n, n.concat(pyramid), 128, 1)
    return [n.enlarge(n.conv(x, classes, 1, gain=1.0), 8)]


def dcgan(n: Network, x: Value, classes: int) -> list[Value]:
    """From a vector to a picture of 64 by 64 by deconvolutions of 4 by 4."""
    x = n.relu(n.linear(x, n.channels(512) * 16))
    x = n.reshape(x, (x.shape[0], x.shape[1] // 16, 4, 4))
    for channels in (256, 128, 64):
        x = n.relu(n.batch_norm(n.deconv(x, n.channels(channels), 4, 1, gain=2.0)))
    return [n.tanh(n.deconv(x, classes, 4, 1))]


def style_transfer(n: Network, x: Value, classes: int) -> list[Value]:
    """Windows of 9 and reflected borders, norms of each picture alone, five residual blocks."""

    def padded(x: Value, channels: int, size: int, stride: int = 1, gain: float = 2.0) -> Value:
        return n.conv(n.pad_reflected(x, size // 2), channels, size, stride, gain=gain)

    for channels, size, stride in ((32, 9, 1), (64, 3, 2), (128, 3, 2)):
        x = n.relu(n.instance_norm(padded(x, n.channels(channels), size, stride)))
    for _ in range(5):
        y = n.relu(n.instance_norm(padded(x, x.shape[1], 3)))
        x = n.add(x, n.instance_norm(padded(y, x.shape[1], 3)))
    for channels in (64, 32):
        x = n.relu(n.instance_norm(padded(n.upsample(x), n.channels(channels), 3)))
    return [padded(x, classes, 9, gain=1.0)]


def unet3d(n: Network, x: Value, classes: int) -> list[Value]:
    """Three-dimensional windows of 3 at three scales."""
    skips = []
    for level in range(2):
        x = n.relu(n.conv(n.relu(n.conv(x, n.channels(16 << level), 3, 1, 1)), n.channels(32 << level), 3, 1, 1))
        skips.append(x)
        x = n.max_pool(x, 2, 2)
    x = n.relu(n.conv(n.relu(n.conv(x, n.channels(64), 3, 1, 1)), n.channels(128), 3, 1, 1))
    for level in reversed(range(2)):
        x = n.concat([skips[level], n.deconv(x, n.channels(32 << level))])
        x = n.relu(n.conv(n.relu(n.conv(x, n.channels(32 << level), 3, 1, 1)), n.channels(32 << level), 3, 1, 1))
    return [n.conv(x, classes, 1, gain=1.0)]


def wavenet(n: Network, x: Value, classes: int) -> list[Value]:
    """Gated one-dimensional windows of 2 with dilations to 128, twice; the sums of all layers decide."""
    channels = n.channels(64)
    x, skips = n.conv(x, channels, 1, gain=1.0), []
    for dilation in [1 << k for k in range(8)] * 2:
        given = n.slice(x, 2, dilation, x.shape[2])  # what the window of the last sample sees
        wave = n.tanh(n.conv(x, channels, 2, gain=1.0, dilation=dilation))
        gated = n.mul(wave, n.sigmoid(n.conv(x, channels, 2, gain=1.0, dilation=dilation)))
        skips.append(n.conv(gated, channels, 1))
        x = n.add(given, n.conv(gated, channels, 1))
    shortest = x.shape[2]
    total = n.slice(skips[0], 2, skips[0].shape[2] - shortest, skips[0].shape[2])
    for skip in skips[1:]:
        total = n.add(total, n.slice(skip, 2, skip.shape[2] - shortest, skip.shape[2]))
    return [n.conv(n.relu(n.conv(n.relu(total), channels, 1)), classes, 1, gain=1.0)]


def gpt(n: Network, x: Value, classes: int) -> list[Value]:
    """Four decoder layers: what comes later is masked; then a score for each of `classes` words."""
    tokens = x.shape[1]
    mask = np.triu(np.full((1, 1, tokens, tokens), -1e9, np.float32), 1)
    hidden = Value(n.weight("mask", mask, counted=False), mask.shape)
    for _ in range(4):
        x = n.add(x, attention(n, n.layer_norm(x), hidden))
        x = n.add(x, feed_forward(n, n.layer_norm(x)))
    return [n.project(n.layer_norm(x), classes)]


def swin(n: Network, x: Value, classes: int) -> list[Value]:
    """Attention inside windows of 7 by 7, with a bias for each pair of places, at two scales."""
    batch, channels = x.shape[0], n.channels(96)
    x = n.conv(x, channels, 4, 4, gain=1.0)
    height, width = x.spatial
    x = n.transpose(n.reshape(x, (batch, channels, height * width)), (0, 2, 1))
    for stage, repeats in enumerate((2, 2)):
        if stage:
            x, height, width = merged(n, x, height, width), height // 2, width // 2
        for _ in range(repeats):
            x = n.add(x, windowed(n, n.layer_norm(x), height, width))
            x = n.add(x, feed_forward(n, n.layer_norm(x)))
    x = n.transpose(n.layer_norm(x), (0, 2, 1))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def windowed(n: Network, x: Value, height: int, width: int, size: int = 7) -> Value:
    """(N, height * width, features): attention inside windows."""
    batch, _, features = x.shape
    grid = (batch, height // size, size, width // size, size, features)
    windows = n.transpose(n.reshape(x, grid), (0, 1, 3, 2, 4, 5))
    windows = n.reshape(windows, (batch * (height // size) * (width // size), size * size, features))
    places = (1, max(1, features // HEAD), size * size, size * size)
    bias = Value(n.weight(n.fresh("places"), n.noise(places, 0.3)), places)
    mixed = n.reshape(attention(n, windows, bias), (*grid[:2], grid[3], size, size, features))
    return n.reshape(n.transpose(mixed, (0, 1, 3, 2, 4, 5)), x.shape)


def merged(n: Network, x: Value, height: int, width: int) -> Value:
    """Neighbours of two by two become one with twice the features."""
    batch, _, features = x.shape
    x = n.transpose(n.reshape(x, (batch, height // 2, 2, width // 2, 2, features)), (0, 1, 3, 2, 4, 5))
    x = n.layer_norm(n.reshape(x, (batch, height * width // 4, 4 * features)))
    return n.project(x, 2 * features)


def mixer(n: Network, x: Value, classes: int) -> list[Value]:
    """Products over the patches and over the features in turn."""
    batch, features = x.shape[0], n.channels(512)
    x = n.conv(x, features, 16, 16, gain=1.0)
    x = n.transpose(n.reshape(x, (batch, features, x.shape[2] * x.shape[3])), (0, 2, 1))
    for _ in range(8):
        across = n.transpose(n.layer_norm(x), (0, 2, 1))
        x = n.add(x, n.transpose(feed_forward(n, across), (0, 2, 1)))
        x = n.add(x, feed_forward(n, n.layer_norm(x)))
    x = n.transpose(n.layer_norm(x), (0, 2, 1))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def lstm(n: Network, x: Value, classes: int) -> list[Value]:
    """One layer over the tokens of (N, tokens, features), written out step by step."""
    batch, tokens = x.shape[:2]
    hidden = n.channels(256)
    given = n.project(x, 4 * hidden, gain=2.0)
    state = cell = Value(n.weight("start", n.noise((1, hidden), 0.5), counted=False), (1, hidden))
    matrix = n.weight("recurrent_matrix", n.noise((hidden, 4 * hidden), 2 * hidden**-0.5))
    for step in range(tokens):
        now = n.reshape(n.slice(given, 1, step, step + 1), (batch, 4 * hidden))
        gates = n.add(now, n.matmul(state, Value(matrix, (hidden, 4 * hidden))))
        take, keep, fresh, show = n.split(gates, 1, 4)
        cell = n.add(n.mul(n.sigmoid(keep), cell), n.mul(n.sigmoid(take), n.tanh(fresh)))
        state = n.mul(n.sigmoid(show), n.tanh(cell))
    return [n.linear(state, classes, gain=1.0)]
