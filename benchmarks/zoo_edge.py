"""Small networks, as boards and sensors run them: digits, key words, heartbeats, points, text, anomalies."""

from __future__ import annotations

from zoo_classifiers import mobilenetv1
from zoo_further import unit
from zoo_network import Network, Value
from zoo_others import attention, feed_forward


def lenet(n: Network, x: Value, classes: int) -> list[Value]:
    """Two convolutions and three matrices, with tanh."""
    x = n.avg_pool(n.tanh(n.conv(x, 6, 5, 1, 2, gain=1.0)), 2, 2)
    x = n.flatten(n.avg_pool(n.tanh(n.conv(x, 16, 5, gain=1.0)), 2, 2))
    return [n.linear(n.tanh(n.linear(n.tanh(n.linear(x, 120)), 84)), classes, gain=1.0)]


def resnet20(n: Network, x: Value, classes: int) -> list[Value]:
    """Three stages of three blocks of 16, 32 and 64 channels."""
    x = unit(n, x, 16, 3)
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            y = n.conv(unit(n, x, channels, 3, stride), n.channels(channels), 3, 1, 1, bias=False)
            y = n.batch_norm(y, scale=0.5)
            x = n.relu(n.add(y, x if x.shape == y.shape else n.batch_norm(n.conv(x, y.shape[1], 1, 2, bias=False))))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def keywords(n: Network, x: Value, classes: int) -> list[Value]:
    """Depthwise and 1 x 1 convolutions over a spectrum of 49 by 10."""
    x = n.relu(n.batch_norm(n.conv(x, n.channels(64), (10, 4), 2, (4, 1), bias=False)))
    for _ in range(4):
        x = n.relu(n.batch_norm(n.conv(x, x.shape[1], 3, 1, 1, groups=x.shape[1], bias=False)))
        x = n.relu(n.batch_norm(n.conv(x, x.shape[1], 1, bias=False)))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def person(n: Network, x: Value, classes: int) -> list[Value]:
    """MobileNetV1 with a quarter of the channels."""
    n.width /= 4
    return mobilenetv1(n, x, classes)


def anomaly(n: Network, x: Value, classes: int) -> list[Value]:
    """Through a bottle-neck of 8 and back."""
    given = x.shape[1]
    for wide in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = n.relu(n.batch_norm(n.linear(x, wide)))
    return [n.linear(x, given, gain=1.0)]


def heartbeat(n: Network, x: Value, classes: int) -> list[Value]:
    """One-dimensional residual blocks of windows of 15 over twelve leads."""
    x = unit(n, x, 64, 15, 2)
    for channels in (64, 128, 192, 256):
        y = unit(n, unit(n, x, channels, 15), channels, 15, 2)
        x = n.add(y, n.conv(n.max_pool(x, 2, 2), y.shape[1], 1, bias=False))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def pointnet(n: Network, x: Value, classes: int) -> list[Value]:
    """The same matrix for every point, then the largest of all."""
    for channels in (64, 64, 64, 128, 1024):
        x = n.relu(n.batch_norm(n.conv(x, n.channels(channels), 1, bias=False)))
    x = n.flatten(n.max_pool(x, x.shape[2], 1))
    return [n.linear(n.relu(n.linear(n.relu(n.linear(x, 512)), 256)), classes, gain=1.0)]


def textcnn(n: Network, x: Value, classes: int) -> list[Value]:
    """Windows of 3, 4 and 5 words over the whole embedding, the largest of each."""
    found = []
    for words in (3, 4, 5):
        y = n.relu(n.conv(x, n.channels(100), words))
        found.append(n.max_pool(y, y.shape[2], 1))
    return [n.linear(n.flatten(n.concat(found)), classes, gain=1.0)]


def tiny_vit(n: Network, x: Value, classes: int) -> list[Value]:
    """Six layers over 64 patches of 4 by 4, 192 features."""
    batch, features = x.shape[0], 192
    x = n.conv(x, features, 4, 4, gain=1.0)
    x = n.transpose(n.reshape(x, (batch, features, x.shape[2] * x.shape[3])), (0, 2, 1))
    for _ in range(6):
        x = n.add(x, attention(n, n.layer_norm(x)))
        x = n.add(x, feed_forward(n, n.layer_norm(x)))
    x = n.transpose(n.layer_norm(x), (0, 2, 1))
    return [n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)]


def autoencoder(n: Network, x: Value, classes: int) -> list[Value]:
    """Strided convolutions down to a quarter, deconvolutions back, for a picture of few channels."""
    x = n.relu(n.conv(x, 16, 3, 2, 1))
    x = n.relu(n.conv(x, 32, 3, 2, 1))
    x = n.relu(n.conv(x, 64, 3, 1, 1))
    x = n.relu(n.deconv(x, 32, 4, 1))
    return [n.sigmoid(n.deconv(x, classes, 4, 1))]
