"""Networks of shapes that fit no vector and no tile: odd numbers of channels, whatever the size of the input."""

from __future__ import annotations

from zoo_network import Network, Value
from zoo_others import attention, feed_forward

CHANNELS = 17, 70, 130
GROUPS, PER_GROUP = 6, 10
SIZES = 97, 225, 300
BATCH = 3


def conv_stack(n: Network, x: Value, channels: int, classes: int) -> list[Value]:
    """Dense windows of 1, 3 and 5, with and without strides, a sum and pooling."""
    x = n.relu(n.conv(x, channels, 3, 2, 1))
    y = n.relu(n.conv(x, channels, 3, 1, 1))
    x = n.relu(n.add(x, n.conv(y, channels, 1)))
    x = n.max_pool(x, 3, 2, ((1, 1), (1, 1)))
    x = n.relu(n.conv(x, channels, 5, 1, 2))
    x = n.relu(n.conv(x, channels + 1, 3, 2, 1))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def depthwise_stack(n: Network, x: Value, channels: int, classes: int) -> list[Value]:
    """Depthwise windows of 3 and 5, each with a product over the channels behind it."""
    x = n.relu6(n.conv(x, channels, 3, 2, 1))
    for size, stride in ((3, 1), (5, 2), (3, 1), (3, 2)):
        x = n.relu6(n.conv(x, channels, size, stride, size // 2, groups=channels))
        x = n.relu6(n.conv(x, channels, 1))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def grouped_stack(n: Network, x: Value, channels: int, classes: int) -> list[Value]:
    """Windows over groups of so many channels, between products over all channels, and sums."""
    every = GROUPS * channels
    x = n.relu(n.conv(x, every, 3, 2, 1))
    for stride in (1, 2, 1):
        y = n.relu(n.conv(n.relu(n.conv(x, every, 1)), every, 3, stride, 1, groups=GROUPS))
        y = n.conv(y, every, 1)
        x = n.relu(y if stride > 1 else n.add(x, y))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def matmul_stack(n: Network, x: Value, channels: int, classes: int) -> list[Value]:
    """Two transformer layers over (N, size, channels)."""
    for _ in range(2):
        x = n.add(x, attention(n, n.layer_norm(x)))
        x = n.add(x, feed_forward(n, n.layer_norm(x)))
    return [x]
