"""Builds well-known networks with seeded weights straight as NNEF, and the same networks as ONNX for other engines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from zoo_classifiers import CLASSIFIERS
from zoo_dense import denoise, depth, fused_efficient, hrnet, portrait, pspnet, pyramid, regnet, ssd, xception
from zoo_edge import anomaly, autoencoder, heartbeat, keywords, lenet, person, pointnet, resnet20, textcnn, tiny_vit
from zoo_further import (
    convnext_t,
    dcgan,
    deeplab,
    gpt,
    lstm,
    mixer,
    mobilenetv3,
    resnext50,
    shufflenetv2,
    style_transfer,
    swin,
    unet3d,
    wavenet,
)
from zoo_network import Built, Network, Value
from zoo_odd import BATCH, CHANNELS, PER_GROUP, SIZES, conv_stack, depthwise_stack, grouped_stack, matmul_stack
from zoo_others import audio_cnn, bert6, mlp, super_resolution, unet, vit_s16, yolov3_tiny

__all__ = ["BATCH", "GROUPS", "KNOWN", "NETWORKS", "ODD", "SIZES", "Built", "Design", "build", "onnx_session"]


@dataclass(frozen=True)
class Design:
    """layers: from the input to the results; classes: how many it tells apart (or colours it paints).

    kind: 'image' (N, 3, size, size), 'volume' (N, 1, size, size, size), 'audio' (N, 1, size), 'tokens' (N, size, 768),
    'vector' (N, size), 'rows' (N, size, features), 'plane' (N, 1, size, size), 'spectrum' (N, 1, size, features) or
    'series' (N, features, size).
    size: the published one; small: one that reduced versions for tests work at.
    """

    layers: Callable[[Network, Value, int], list[Value]]
    kind: str = "image"
    size: int = 224
    small: int = 64
    classes: int = 1000
    features: int = 0

    def shape(self, batch: int, size: int, network: Network) -> tuple[int, ...]:
        """Of the input."""
        return {
            "image": (batch, 3, size, size), "volume": (batch, 1, size, size, size), "audio": (batch, 1, size),
            "tokens": (batch, size, network.channels(768)), "vector": (batch, size),
            "rows": (batch, size, self.features), "plane": (batch, 1, size, size),
            "spectrum": (batch, 1, size, self.features), "series": (batch, self.features, size),
        }[self.kind]  # fmt: skip


def _with_channels(
    layers: Callable[[Network, Value, int, int], list[Value]], channels: int, n: Network, x: Value, classes: int
) -> list[Value]:
    return layers(n, x, channels, classes)


NETWORKS: dict[str, Design] = {name: Design(layers) for name, layers in CLASSIFIERS.items()} | {
    "alexnet": Design(CLASSIFIERS["alexnet"], small=96),
    "inceptionv3": Design(CLASSIFIERS["inceptionv3"], size=299, small=96),
    "yolov3tiny": Design(yolov3_tiny, size=416, classes=80),
    "unet": Design(unet, size=256, classes=2),
    "superres": Design(super_resolution, size=96, small=20, classes=3),
    "audiocnn": Design(audio_cnn, "audio", size=16000, small=2048, classes=35),
    "vit_s16": Design(vit_s16),
    "bert6": Design(bert6, "tokens", size=128, small=24),
    "mlp": Design(mlp, "vector", size=784, classes=10),
}  # fmt: skip

ODD: dict[str, Design] = {
    f"{name}{channels}": Design(
        partial(_with_channels, layers, channels), kind, size=SIZES[0], small=33, classes=10, features=channels
    )
    for name, layers, kind, numbers in (
        ("conv", conv_stack, "image", CHANNELS), ("depthwise", depthwise_stack, "image", CHANNELS),
        ("matmul", matmul_stack, "rows", CHANNELS), ("grouped", grouped_stack, "image", (PER_GROUP,)),
    )
    for channels in numbers
}  # fmt: skip
"""Of odd shapes; measured at every one of SIZES, in batches of BATCH."""


FURTHER: dict[str, Design] = {
    "resnext50": Design(resnext50),
    "shufflenetv2": Design(shufflenetv2),
    "mobilenetv3": Design(mobilenetv3),
    "convnext_t": Design(convnext_t),
    "deeplab": Design(deeplab, size=320, classes=21),
    "dcgan": Design(dcgan, "vector", size=100, small=20, classes=3),
    "style": Design(style_transfer, size=256, classes=3),
    "unet3d": Design(unet3d, "volume", size=32, small=8, classes=2),
    "wavenet": Design(wavenet, "audio", size=8000, small=1000, classes=256),
    "gpt": Design(gpt, "tokens", size=64, small=12, classes=8000),
    "swin": Design(swin, small=56),
    "mixer": Design(mixer),
    "lstm": Design(lstm, "tokens", size=32, small=6, classes=10),
}
"""Of further kinds than those whose leads are the product's goal."""

EDGE: dict[str, Design] = {
    "lenet": Design(lenet, "plane", size=28, small=28, classes=10),
    "resnet20": Design(resnet20, size=32, small=32, classes=10),
    "keywords": Design(keywords, "spectrum", size=49, small=49, classes=12, features=10),
    "person": Design(person, size=96, small=96, classes=2),
    "anomaly": Design(anomaly, "vector", size=640, small=64),
    "heartbeat": Design(heartbeat, "series", size=4096, small=512, classes=6, features=12),
    "pointnet": Design(pointnet, "series", size=1024, small=64, classes=40, features=3),
    "textcnn": Design(textcnn, "series", size=64, small=16, classes=5, features=300),
    "tiny_vit": Design(tiny_vit, size=32, small=32, classes=10),
    "autoencoder": Design(autoencoder, "plane", size=128, small=32, classes=1),
}
"""Small ones, for boards and sensors."""

DENSE: dict[str, Design] = {
    "ssd": Design(ssd, size=300, small=300, classes=91),
    "pyramid": Design(pyramid, size=256, classes=36),
    "hrnet": Design(hrnet, size=192, classes=17),
    "denoise": Design(denoise, "plane", size=128, small=24),
    "depth": Design(depth, size=256),
    "portrait": Design(portrait, size=224, classes=2),
    "pspnet": Design(pspnet, size=384, small=192, classes=19),
    "xception": Design(xception, size=299, small=75),
    "fused_efficient": Design(fused_efficient),
    "regnet": Design(regnet),
}
"""Results for every place, and classifiers with other widths and windows."""

GROUPS = {"odd": ODD, "further": FURTHER, "edge": EDGE, "dense": DENSE}
KNOWN: dict[str, Design] = NETWORKS | ODD | FURTHER | EDGE | DENSE


def build(
    name: str, folder: str | Path, *, batch: int = 1, size: int | None = None, width: float = 1.0, seed: int = 0,
    classes: int | None = None,
) -> Built:  # fmt: skip
    """Writes `folder`/nnef and `folder`/model.onnx.

    size, classes: None for the published ones; width: scales the channels.
    ValueError for an unknown name or an input that is too small.
    """
    if name not in KNOWN:
        raise ValueError(f"no network '{name}': it is one of {', '.join(KNOWN)}")
    design, folder = KNOWN[name], Path(folder)
    (folder / "nnef").mkdir(parents=True, exist_ok=True)
    network = Network(name, folder, np.random.default_rng(seed), width)
    shape = design.shape(batch, size or design.size, network)
    with (folder / "weights.bin").open("wb") as network.data:
        results = design.layers(network, network.input(shape), classes or design.classes)
        return network.finish(results, shape)


def onnx_session(path: Path, threads: int) -> Any:
    """ONNX Runtime on the CPU with that many threads."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), help=f"of {', '.join(KNOWN)}")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder; one sub-folder per network")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, help="of the input; default: the published one")
    parser.add_argument("--width", type=float, default=1.0, help="scales the channels")
    options = parser.parse_args()
    for name in options.names:
        try:
            built = build(name, options.output / name, batch=options.batch, size=options.size, width=options.width)
        except ValueError as error:
            parser.error(f"{name}: {error}")
        print(f"{name}: {built.parameters:,} parameters in {built.nnef}")


if __name__ == "__main__":
    main()
