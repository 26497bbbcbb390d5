"""Networks that do not classify images: segmentation, detection, super-resolution, audio, transformers, an MLP."""

from __future__ import annotations

import numpy as np
from zoo_network import Network, Value

HEAD = 64
"""Features of one attention head."""


def unet(n: Network, x: Value, classes: int) -> list[Value]:
    skips = []
    for level in range(4):
        for _ in range(2):
            x = n.relu(n.conv(x, n.channels(32 << level), 3, 1, 1))
        skips.append(x)
        x = n.max_pool(x, 2, 2)
    for _ in range(2):
        x = n.relu(n.conv(x, n.channels(512), 3, 1, 1))
    for level in reversed(range(4)):
        x = n.concat([skips[level], n.deconv(x, n.channels(32 << level))])
        for _ in range(2):
            x = n.relu(n.conv(x, n.channels(32 << level), 3, 1, 1))
    return [n.conv(x, classes, 1, gain=1.0)]


def yolov3_tiny(n: Network, x: Value, classes: int) -> list[Value]:
    """Two maps of three boxes with four coordinates, one score and the classes each."""
    boxes = 3 * (5 + classes)

    def unit(x: Value, channels: int, size: int) -> Value:
        return n.leaky_relu(n.batch_norm(n.conv(x, n.channels(channels), size, 1, size // 2, bias=False)))

    for channels in (16, 32, 64, 128):
        x = n.max_pool(unit(x, channels, 3), 2, 2)
    fine = unit(x, 256, 3)
    x = n.max_pool(unit(n.max_pool(fine, 2, 2), 512, 3), 2, 1, ((0, 1), (0, 1)))
    x = unit(unit(x, 1024, 3), 256, 1)
    coarse_boxes = n.conv(unit(x, 512, 3), boxes, 1, gain=1.0)
    x = n.concat([n.upsample(unit(x, 128, 1)), fine])
    return [coarse_boxes, n.conv(unit(x, 256, 3), boxes, 1, gain=1.0)]


def super_resolution(n: Network, x: Value, classes: int) -> list[Value]:
    """Eight residual blocks of 64 channels, then twice the size; `classes` is the number of colours."""
    channels = n.channels(64)
    x = first = n.conv(x, channels, 3, 1, 1)
    for _ in range(8):
        x = n.add(x, n.conv(n.relu(n.conv(x, channels, 3, 1, 1)), channels, 3, 1, 1, gain=0.2))
    x = n.add(first, n.conv(x, channels, 3, 1, 1, gain=0.5))
    return [n.conv(n.relu(n.conv(n.upsample(x), channels, 3, 1, 1)), classes, 3, 1, 1, gain=1.0)]


def audio_cnn(n: Network, x: Value, classes: int) -> list[Value]:
    """One-dimensional convolutions over raw samples, eleven layers deep."""

    def unit(x: Value, channels: int, size: int, stride: int = 1) -> Value:
        return n.relu(n.batch_norm(n.conv(x, n.channels(channels), size, stride, size // 2, bias=False)))

    x = n.max_pool(unit(x, 64, 79, 4), 4, 4)
    for channels, repeats in ((64, 2), (128, 2), (256, 3), (512, 2)):
        for _ in range(repeats):
            x = unit(x, channels, 3)
        if channels < 512:
            x = n.max_pool(x, 4, 4)
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def attention(n: Network, x: Value, added: Value | None = None) -> Value:
    """Multi-head self-attention over (N, tokens, features), the four projections included. added: to the scores."""
    batch, tokens, features = x.shape
    heads = max(1, features // HEAD)
    split = (batch, tokens, heads, features // heads)
    query, key, value = (n.reshape(n.project(x, features), split) for _ in range(3))
    query, value = n.transpose(query, (0, 2, 1, 3)), n.transpose(value, (0, 2, 1, 3))
    scores = n.matmul(query, n.transpose(key, (0, 2, 3, 1)))
    scores = n.times(scores, float(np.float32((features // heads) ** -0.5)))
    weights = n.softmax(scores if added is None else n.masked(scores, added))
    mixed = n.transpose(n.matmul(weights, value), (0, 2, 1, 3))
    return n.project(n.reshape(mixed, (batch, tokens, features)), features, gain=4.0)


def feed_forward(n: Network, x: Value) -> Value:
    return n.project(n.gelu(n.project(x, 4 * x.shape[-1])), x.shape[-1], gain=2.5)


def vit_s16(n: Network, x: Value, classes: int) -> list[Value]:
    batch, features = x.shape[0], n.channels(384)
    x = n.conv(x, features, 16, 16, gain=1.0)
    x = n.reshape(x, (batch, features, x.shape[2] * x.shape[3]))
    x = n.transpose(x, (0, 2, 1))
    token = Value(n.weight("class_token", n.noise((1, 1, features), 0.5)), (1, 1, features))
    x = n.concat([n.repeat(token, (batch, 1, 1)), x])
    positions = (1, *x.shape[1:])
    x = n.add(x, Value(n.weight("positions", n.noise(positions, 0.3)), positions))
    for _ in range(12):
        x = n.add(x, attention(n, n.layer_norm(x)))
        x = n.add(x, feed_forward(n, n.layer_norm(x)))
    return [n.linear(n.flatten(n.first_token(n.layer_norm(x))), classes, gain=1.0)]


def bert6(n: Network, x: Value, classes: int) -> list[Value]:
    """Six encoder layers with the norms behind the sums; the input holds embedded tokens."""
    x = n.layer_norm(x)
    for _ in range(6):
        x = n.layer_norm(n.add(x, attention(n, x)))
        x = n.layer_norm(n.add(x, feed_forward(n, x)))
    return [x]


def mlp(n: Network, x: Value, classes: int) -> list[Value]:
    for _ in range(3):
        x = n.relu(n.linear(x, n.channels(1024)))
    return [n.linear(x, classes, gain=1.0)]
