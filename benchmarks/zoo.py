"""Builds well-known networks with seeded weights straight as NNEF, and the same networks as ONNX for other engines."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from nnef_cl.format.tensor_file import write_tensor

Pads = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Value:
    """A tensor of the network: its name (the same in both forms) and shape (N, C, H, W)."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Built:
    """nnef: folder; onnx: file; input_shape: of `input`; parameters: learned ones, without the norms' statistics."""

    nnef: Path
    onnx: Path
    input_shape: tuple[int, ...]
    parameters: int


def outputs(extent: int, size: int, stride: int, pads: tuple[int, int]) -> int:
    """Positions of a window along one axis."""
    count = (extent + sum(pads) - size) // stride + 1
    if count < 1:
        raise ValueError(f"the input is too small: a window of {size} does not fit into {extent} with padding {pads}")
    return count


@dataclass
class Network:
    """Emits each layer twice: as NNEF text with .dat files, and as ONNX nodes with external data."""

    name: str
    folder: Path
    rng: np.random.Generator
    width: float
    lines: list[str] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    data: Any = None
    offset: int = 0
    parameters: int = 0
    count: int = 0

    def channels(self, number: int) -> int:
        """A layer's width at this scale, a multiple of 8."""
        return max(8, round(number * self.width / 8) * 8)

    def noise(self, shape: Sequence[int], deviation: float) -> np.ndarray:
        """Normal values, made as float32 at once: VGG-16's largest matrix has 103 million."""
        values = self.rng.standard_normal(tuple(shape), np.float32)
        values *= np.float32(deviation)
        return values

    def fresh(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def input(self, shape: tuple[int, ...]) -> Value:
        self.lines.append(f"input = external<scalar>(shape = {list(shape)});")
        return Value("input", shape)

    def weight(self, name: str, array: np.ndarray, counted: bool = True) -> str:
        """Writes a .dat file and the same bytes for ONNX."""
        array = np.ascontiguousarray(array, np.float32)
        write_tensor(self.folder / "nnef" / f"{name}.dat", array)
        self.lines.append(f"{name} = variable<scalar>(shape = {list(array.shape)}, label = '{name}');")
        self.parameters += array.size * counted
        flat = array.reshape(-1) if name.endswith(("_bias", "_mean", "_variance", "_offset", "_scale")) else array
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=flat.shape)
        tensor.data_location = TensorProto.EXTERNAL
        places = {"location": "weights.bin", "offset": self.offset, "length": array.nbytes}
        for key, value in places.items():
            tensor.external_data.add(key=key, value=str(value))
        self.data.write(array.data)
        self.offset += array.nbytes
        self.weights.append(tensor)
        return name

    def emit(
        self, kind: str, nnef: str, onnx_op: str, inputs: Sequence[str], shape: tuple[int, ...], **attrs: Any
    ) -> Value:
        name = self.fresh(kind)
        self.lines.append(f"{name} = {nnef};")
        self.nodes.append(helper.make_node(onnx_op, list(inputs), [name], **attrs))
        return Value(name, shape)

    def conv(
        self, x: Value, channels: int, size: int, stride: int = 1, pad: int = 0, groups: int = 1, bias: bool = True,
        gain: float = 2.0,
    ) -> Value:  # fmt: skip
        """gain: variance the filter keeps (2 before a relu)."""
        fan_in = x.shape[1] // groups * size * size
        label = self.fresh("w")
        filter = self.noise((channels, x.shape[1] // groups, size, size), np.sqrt(gain / fan_in))
        inputs = [x.name, self.weight(f"{label}_filter", filter)]
        if bias:
            inputs.append(self.weight(f"{label}_bias", self.noise((1, channels), 0.1)))
        extent = [outputs(n, size, stride, (pad, pad)) for n in x.shape[2:]]
        text = (f"conv({', '.join(inputs)}, padding = [({pad},{pad}),({pad},{pad})], stride = [{stride},{stride}], "
                f"groups = {groups})")  # fmt: skip
        return self.emit(
            "conv", text, "Conv", inputs, (x.shape[0], channels, *extent), pads=[pad] * 4,
            strides=[stride, stride], group=groups,
        )  # fmt: skip

    def batch_norm(self, x: Value, scale: float = 1.0) -> Value:
        label, shape = self.fresh("n"), (1, x.shape[1])
        mean = self.weight(f"{label}_mean", self.noise(shape, 0.1), counted=False)
        variance = self.weight(f"{label}_variance", self.rng.uniform(0.8, 1.25, shape), counted=False)
        offset = self.weight(f"{label}_offset", self.noise(shape, 0.1))
        factor = self.weight(f"{label}_scale", self.rng.uniform(0.8, 1.2, shape) * scale)
        text = f"batch_normalization({x.name}, {mean}, {variance}, {offset}, {factor}, epsilon = 0.00001)"
        inputs = [x.name, factor, offset, mean, variance]
        return self.emit("norm", text, "BatchNormalization", inputs, x.shape, epsilon=1e-5)

    def relu(self, x: Value) -> Value:
        return self.emit("relu", f"relu({x.name})", "Relu", [x.name], x.shape)

    def relu6(self, x: Value) -> Value:
        low, high = self.scalar(0.0), self.scalar(6.0)
        return self.emit("relu6", f"clamp({x.name}, 0.0, 6.0)", "Clip", [x.name, low, high], x.shape)

    def scalar(self, value: float) -> str:
        name = f"scalar_{value:g}"
        if all(w.name != name for w in self.weights):
            self.weights.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
        return name

    def max_pool(self, x: Value, size: int, stride: int, pads: Pads = ((0, 0), (0, 0))) -> Value:
        extent = [outputs(n, size, stride, pair) for n, pair in zip(x.shape[2:], pads, strict=True)]
        text = (f"max_pool({x.name}, size = [1,1,{size},{size}], border = 'ignore', stride = [1,1,{stride},{stride}], "
                f"padding = [(0,0),(0,0),{pads[0]},{pads[1]}])")  # fmt: skip
        return self.emit(
            "pool", text, "MaxPool", [x.name], (*x.shape[:2], *extent), kernel_shape=[size, size],
            strides=[stride, stride], pads=[pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
        )  # fmt: skip

    def global_pool(self, x: Value) -> Value:
        text = f"mean_reduce({x.name}, axes = [2,3])"
        return self.emit("mean", text, "GlobalAveragePool", [x.name], (*x.shape[:2], 1, 1))

    def lrn(self, x: Value, size: int = 5) -> Value:
        text = f"local_response_normalization({x.name}, size = [1,{size},1,1], alpha = 0.1, beta = 0.75, bias = 1.0)"
        return self.emit("lrn", text, "LRN", [x.name], x.shape, size=size, alpha=0.1, beta=0.75, bias=1.0)

    def flatten(self, x: Value) -> Value:
        volume = int(np.prod(x.shape[1:]))
        return self.emit("flat", f"reshape({x.name}, shape = [0,-1])", "Flatten", [x.name], (x.shape[0], volume))

    def linear(self, x: Value, channels: int, gain: float = 2.0) -> Value:
        label = self.fresh("l")
        filter = self.noise((channels, x.shape[1]), np.sqrt(gain / x.shape[1]))
        names = [self.weight(f"{label}_filter", filter)]
        names.append(self.weight(f"{label}_bias", self.noise((1, channels), 0.1)))
        text = f"linear({x.name}, {names[0]}, {names[1]})"
        return self.emit("linear", text, "Gemm", [x.name, *names], (x.shape[0], channels), transB=1)

    def add(self, x: Value, y: Value) -> Value:
        return self.emit("sum", f"add({x.name}, {y.name})", "Add", [x.name, y.name], x.shape)

    def concat(self, values: Sequence[Value]) -> Value:
        names = [v.name for v in values]
        if len({v.shape[2:] for v in values}) > 1:
            raise ValueError(f"cannot concatenate {[v.shape for v in values]}: the U-Net wants a multiple of 16")
        shape = (values[0].shape[0], sum(v.shape[1] for v in values), *values[0].shape[2:])
        return self.emit("cat", f"concat([{', '.join(names)}], axis = 1)", "Concat", names, shape, axis=1)

    def deconv(self, x: Value, channels: int) -> Value:
        """2 x 2, stride 2."""
        label = self.fresh("d")
        filter = self.noise((x.shape[1], channels, 2, 2), np.sqrt(1.0 / x.shape[1]))
        inputs = [x.name, self.weight(f"{label}_filter", filter)]
        inputs.append(self.weight(f"{label}_bias", self.noise((1, channels), 0.1)))
        text = f"deconv({', '.join(inputs)}, stride = [2,2], padding = [(0,0),(0,0)])"
        shape = (x.shape[0], channels, *(2 * n for n in x.shape[2:]))
        return self.emit("deconv", text, "ConvTranspose", inputs, shape, strides=[2, 2])

    def finish(self, x: Value, input_shape: tuple[int, ...]) -> Built:
        body = "\n    ".join(self.lines)
        text = f"version 1.0;\n\ngraph {self.name}( input ) -> ( {x.name} )\n{{\n    {body}\n}}\n"
        (self.folder / "nnef" / "graph.nnef").write_text(text, encoding="utf-8")
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, self.name, [value("input", TensorProto.FLOAT, input_shape)],
            [value(x.name, TensorProto.FLOAT, x.shape)], self.weights,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, self.folder / "model.onnx")
        return Built(self.folder / "nnef", self.folder / "model.onnx", input_shape, self.parameters)


def resnet50(n: Network, x: Value, classes: int) -> Value:
    x = n.relu(n.batch_norm(n.conv(x, n.channels(64), 7, 2, 3, bias=False)))
    x = n.max_pool(x, 3, 2, ((1, 1), (1, 1)))
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
    return n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)


BOTTLENECKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, channels, repeats, stride of the first."""


def mobilenetv2(n: Network, x: Value, classes: int) -> Value:
    x = n.relu6(n.batch_norm(n.conv(x, n.channels(32), 3, 2, 1, bias=False)))
    for expand, channels, repeats, first in BOTTLENECKS:
        for block in range(repeats):
            stride, hidden = first if not block else 1, x.shape[1] * expand
            y = x if expand == 1 else n.relu6(n.batch_norm(n.conv(x, hidden, 1, bias=False)))
            y = n.relu6(n.batch_norm(n.conv(y, hidden, 3, stride, 1, groups=hidden, bias=False)))
            y = n.batch_norm(n.conv(y, n.channels(channels), 1, bias=False, gain=1.5))
            x = n.add(x, y) if stride == 1 and x.shape[1] == y.shape[1] else y
    x = n.relu6(n.batch_norm(n.conv(x, n.channels(1280), 1, bias=False)))
    return n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)


def vgg16(n: Network, x: Value, classes: int) -> Value:
    for channels, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            x = n.relu(n.conv(x, n.channels(channels), 3, 1, 1))
        x = n.max_pool(x, 2, 2)
    x = n.flatten(x)
    for _ in range(2):
        x = n.relu(n.linear(x, n.channels(4096)))
    return n.linear(x, classes, gain=1.0)


def alexnet(n: Network, x: Value, classes: int) -> Value:
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
    return n.linear(x, classes, gain=1.0)


INCEPTION = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip


def googlenet(n: Network, x: Value, classes: int) -> Value:
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
            n.relu(n.conv(n.max_pool(x, 3, 1, ((1, 1), (1, 1))), d, 1)),
        ]
        x = n.concat(branches)
        if block in (1, 6):
            x = n.max_pool(x, 3, 2, ceil)
    return n.linear(n.flatten(n.global_pool(x)), classes, gain=1.0)


def unet(n: Network, x: Value, classes: int) -> Value:
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
    return n.conv(x, 2, 1, gain=1.0)


NETWORKS: dict[str, Callable[[Network, Value, int], Value]] = {
    "resnet50": resnet50, "mobilenetv2": mobilenetv2, "vgg16": vgg16, "alexnet": alexnet, "googlenet": googlenet,
    "unet": unet,
}  # fmt: skip


def build(
    name: str, folder: str | Path, *, batch: int = 1, size: int = 224, width: float = 1.0, seed: int = 0,
    classes: int = 1000,
) -> Built:  # fmt: skip
    """Writes `folder`/nnef and `folder`/model.onnx; size: height and width of the input; width: scales channels.

    ValueError for an unknown name or an input that is too small.
    """
    if name not in NETWORKS:
        raise ValueError(f"no network '{name}': it is one of {', '.join(NETWORKS)}")
    folder = Path(folder)
    (folder / "nnef").mkdir(parents=True, exist_ok=True)
    network = Network(name, folder, np.random.default_rng(seed), width)
    shape = (batch, 3, size, size)
    with (folder / "weights.bin").open("wb") as network.data:
        return network.finish(NETWORKS[name](network, network.input(shape), classes), shape)


def onnx_session(path: Path, threads: int) -> Any:
    """ONNX Runtime on the CPU with that many threads."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder; one sub-folder per network")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=224)
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
