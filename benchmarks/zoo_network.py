"""The layers that zoo networks are made of, each emitted twice: as NNEF text with .dat files and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from nnef_cl.format.tensor_file import write_tensor

Sizes = int | Sequence[int]
"""One number for every spatial axis, or one per axis."""
Pads = Sequence[tuple[int, int]]
FLAT = ("_bias", "_mean", "_variance", "_offset", "_scale")
"""Endings of weights that ONNX wants as vectors."""


@dataclass(frozen=True)
class Value:
    """A tensor of the network: its name (the same in both forms) and shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.shape[2:]


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


def per_axis(sizes: Sizes, axes: int) -> tuple[int, ...]:
    return (sizes,) * axes if isinstance(sizes, int) else tuple(sizes)


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
        matrix = name.endswith("_matrix")
        flat = array.reshape(array.shape[-2:] if matrix else -1) if matrix or name.endswith(FLAT) else array
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=flat.shape)
        tensor.data_location = TensorProto.EXTERNAL
        places = {"location": "weights.bin", "offset": self.offset, "length": array.nbytes}
        for key, value in places.items():
            tensor.external_data.add(key=key, value=str(value))
        self.data.write(array.data)
        self.offset += array.nbytes
        self.weights.append(tensor)
        return name

    def scalar(self, value: float) -> str:
        """A number as an ONNX tensor."""
        return self.onnx_constant(f"scalar_{value:g}", TensorProto.FLOAT, [], [value])

    def integers(self, values: Sequence[int]) -> str:
        """A list of integers as an ONNX tensor."""
        return self.onnx_constant(f"integers_{'_'.join(map(str, values))}", TensorProto.INT64, [len(values)], values)

    def onnx_constant(self, name: str, kind: int, dims: Sequence[int], values: Sequence[float]) -> str:
        if all(w.name != name for w in self.weights):
            self.weights.append(helper.make_tensor(name, kind, dims, values))
        return name

    def emit(
        self, kind: str, nnef: str, onnx_op: str, inputs: Sequence[str], shape: tuple[int, ...], **attrs: Any
    ) -> Value:
        name = self.fresh(kind)
        self.lines.append(f"{name} = {nnef};")
        self.nodes.append(helper.make_node(onnx_op, list(inputs), [name], **attrs))
        return Value(name, shape)

    # Convolutions, matrices and normalisation -------------------------------------------------------------
    def conv(
        self, x: Value, channels: int, size: Sizes, stride: int = 1, pad: Sizes = 0, groups: int = 1, bias: bool = True,
        gain: float = 2.0, centred: bool = False, dilation: int = 1,
    ) -> Value:  # fmt: skip
        """gain: variance the filter keeps (2 before a relu); centred: what all inputs share has no effect."""
        axes = len(x.spatial)
        sizes, pads, strides, dilations = per_axis(size, axes), per_axis(pad, axes), [stride] * axes, [dilation] * axes
        filter_shape = (channels, x.shape[1] // groups, *sizes)
        label = self.fresh("w")
        filter = self.noise(filter_shape, np.sqrt(gain / np.prod(filter_shape[1:])))
        if centred:
            filter -= filter.mean(1, keepdims=True)
        inputs = [x.name, self.weight(f"{label}_filter", filter)]
        if bias:
            inputs.append(self.weight(f"{label}_bias", self.noise((1, channels), 0.1)))
        reach = [dilation * (f - 1) + 1 for f in sizes]
        extent = [outputs(n, f, stride, (p, p)) for n, f, p in zip(x.spatial, reach, pads, strict=True)]
        padding = ", ".join(f"({p},{p})" for p in pads)
        further = f", dilation = {dilations}" if dilation > 1 else ""
        text = f"conv({', '.join(inputs)}, padding = [{padding}], stride = {strides}, groups = {groups}{further})"
        return self.emit(
            "conv", text, "Conv", inputs, (x.shape[0], channels, *extent), pads=[*pads, *pads], strides=strides,
            group=groups, dilations=dilations,
        )  # fmt: skip

    def deconv(self, x: Value, channels: int, size: int = 2, pad: int = 0, gain: float = 1.0) -> Value:
        """Of stride 2."""
        label, axes = self.fresh("d"), len(x.spatial)
        filter_shape = (x.shape[1], channels, *[size] * axes)
        filter = self.noise(filter_shape, np.sqrt(gain * (2 / size) ** axes / x.shape[1]))
        inputs = [x.name, self.weight(f"{label}_filter", filter)]
        inputs.append(self.weight(f"{label}_bias", self.noise((1, channels), 0.1)))
        padding = ", ".join([f"({pad},{pad})"] * axes)
        text = f"deconv({', '.join(inputs)}, stride = {[2] * axes}, padding = [{padding}])"
        shape = (x.shape[0], channels, *(2 * (n - 1) + size - 2 * pad for n in x.spatial))
        return self.emit(
            "deconv", text, "ConvTranspose", inputs, shape, strides=[2] * axes, pads=[pad] * (2 * axes)
        )  # fmt: skip

    def linear(self, x: Value, channels: int, gain: float = 2.0) -> Value:
        """What all inputs share, such as the mean behind a relu, has no effect."""
        label = self.fresh("l")
        filter = self.noise((channels, x.shape[1]), np.sqrt(gain / x.shape[1]))
        filter -= filter.mean(1, keepdims=True)
        names = [self.weight(f"{label}_filter", filter)]
        names.append(self.weight(f"{label}_bias", self.noise((1, channels), 0.1)))
        text = f"linear({x.name}, {names[0]}, {names[1]})"
        return self.emit("linear", text, "Gemm", [x.name, *names], (x.shape[0], channels), transB=1)

    def project(self, x: Value, channels: int, gain: float = 1.0) -> Value:
        """A linear layer over the last axis of (N, tokens, features)."""
        label = self.fresh("p")
        matrix = self.noise((1, x.shape[-1], channels), np.sqrt(gain / x.shape[-1]))
        names = [self.weight(f"{label}_matrix", matrix)]
        names.append(self.weight(f"{label}_bias", self.noise((1, 1, channels), 0.1)))
        product = self.matmul(x, Value(names[0], (1, x.shape[-1], channels)))
        return self.add(product, Value(names[1], (1, 1, channels)))

    def matmul(self, a: Value, b: Value) -> Value:
        shape = (*a.shape[:-1], b.shape[-1])
        return self.emit("product", f"matmul({a.name}, {b.name})", "MatMul", [a.name, b.name], shape)

    def batch_norm(self, x: Value, scale: float = 1.0) -> Value:
        label, shape = self.fresh("n"), (1, x.shape[1])
        mean = self.weight(f"{label}_mean", self.noise(shape, 0.1), counted=False)
        variance = self.weight(f"{label}_variance", self.rng.uniform(0.8, 1.25, shape), counted=False)
        offset = self.weight(f"{label}_offset", self.noise(shape, 0.1))
        factor = self.weight(f"{label}_scale", self.rng.uniform(0.8, 1.2, shape) * scale)
        text = f"batch_normalization({x.name}, {mean}, {variance}, {offset}, {factor}, epsilon = 0.00001)"
        inputs = [x.name, factor, offset, mean, variance]
        return self.emit("norm", text, "BatchNormalization", inputs, x.shape, epsilon=1e-5)

    def layer_norm(self, x: Value) -> Value:
        """Over the last axis of (N, tokens, features), written out in NNEF, which has no operation for it."""
        label, shape = self.fresh("m"), (1, 1, x.shape[-1])
        offset = self.weight(f"{label}_offset", self.noise(shape, 0.1))
        factor = self.weight(f"{label}_scale", self.rng.uniform(0.8, 1.2, shape))
        self.lines += [
            f"{label}_center, {label}_spread = moments({x.name}, axes = [2]);",
            f"{label}_difference = sub({x.name}, {label}_center);",
            f"{label}_above = add({label}_spread, 0.000001);",
            f"{label}_rate = rsqrt({label}_above);",
            f"{label}_normal = mul({label}_difference, {label}_rate);",
            f"{label}_scaled = mul({label}_normal, {factor});",
        ]
        text = f"add({label}_scaled, {offset})"
        inputs = [x.name, factor, offset]
        return self.emit("layernorm", text, "LayerNormalization", inputs, x.shape, axis=-1, epsilon=1e-6)

    def instance_norm(self, x: Value) -> Value:
        """Over each channel's own extent."""
        label, shape = self.fresh("i"), (1, x.shape[1], *(1 for _ in x.spatial))
        offset = self.weight(f"{label}_offset", self.noise(shape, 0.1))
        factor = self.weight(f"{label}_scale", self.rng.uniform(0.8, 1.2, shape))
        axes = list(range(2, len(x.shape)))
        self.lines += [
            f"{label}_center, {label}_spread = moments({x.name}, axes = {axes});",
            f"{label}_difference = sub({x.name}, {label}_center);",
            f"{label}_above = add({label}_spread, 0.00001);",
            f"{label}_rate = rsqrt({label}_above);",
            f"{label}_normal = mul({label}_difference, {label}_rate);",
            f"{label}_scaled = mul({label}_normal, {factor});",
        ]
        inputs = [x.name, factor, offset]
        text = f"add({label}_scaled, {offset})"
        return self.emit("instancenorm", text, "InstanceNormalization", inputs, x.shape, epsilon=1e-5)

    def lrn(self, x: Value, size: int = 5) -> Value:
        text = f"local_response_normalization({x.name}, size = [1,{size},1,1], alpha = 0.1, beta = 0.75, bias = 1.0)"
        return self.emit("lrn", text, "LRN", [x.name], x.shape, size=size, alpha=0.1, beta=0.75, bias=1.0)

    # Element by element -----------------------------------------------------------------------------------
    def relu(self, x: Value) -> Value:
        return self.emit("relu", f"relu({x.name})", "Relu", [x.name], x.shape)

    def relu6(self, x: Value) -> Value:
        low, high = self.scalar(0.0), self.scalar(6.0)
        return self.emit("relu6", f"clamp({x.name}, 0.0, 6.0)", "Clip", [x.name, low, high], x.shape)

    def leaky_relu(self, x: Value) -> Value:
        return self.emit("leaky", f"leaky_relu({x.name}, alpha = 0.1)", "LeakyRelu", [x.name], x.shape, alpha=0.1)

    def sigmoid(self, x: Value) -> Value:
        return self.emit("sigmoid", f"sigmoid({x.name})", "Sigmoid", [x.name], x.shape)

    def tanh(self, x: Value) -> Value:
        return self.emit("tanh", f"tanh({x.name})", "Tanh", [x.name], x.shape)

    def hard_swish(self, x: Value) -> Value:
        """x * clamp(x + 3, 0, 6) / 6, which NNEF has no operation for."""
        label = self.fresh("h")
        self.lines += [
            f"{label}_above = add({x.name}, 3.0);",
            f"{label}_gate = clamp({label}_above, 0.0, 6.0);",
            f"{label}_product = mul({x.name}, {label}_gate);",
        ]
        return self.emit("hardswish", f"div({label}_product, 6.0)", "HardSwish", [x.name], x.shape)

    def hard_sigmoid(self, x: Value) -> Value:
        """clamp(x + 3, 0, 6) / 6"""
        label = self.fresh("h")
        self.lines += [f"{label}_above = add({x.name}, 3.0);", f"{label}_gate = clamp({label}_above, 0.0, 6.0);"]
        attrs = {"alpha": 1 / 6, "beta": 0.5}
        return self.emit("hardsigmoid", f"div({label}_gate, 6.0)", "HardSigmoid", [x.name], x.shape, **attrs)

    def silu(self, x: Value) -> Value:
        """x * sigmoid(x); other engines know the pair."""
        gate = self.fresh("gate")
        self.nodes.append(helper.make_node("Sigmoid", [x.name], [gate]))
        return self.emit("silu", f"silu({x.name})", "Mul", [x.name, gate], x.shape)

    def gelu(self, x: Value) -> Value:
        """NNEF's: x * sigmoid(1.702 x); other engines know the chain."""
        inner, gate = self.fresh("inner"), self.fresh("gate")
        self.nodes.append(helper.make_node("Mul", [x.name, self.scalar(1.702)], [inner]))
        self.nodes.append(helper.make_node("Sigmoid", [inner], [gate]))
        return self.emit("gelu", f"gelu({x.name})", "Mul", [x.name, gate], x.shape)

    def add(self, x: Value, y: Value) -> Value:
        return self.emit("sum", f"add({x.name}, {y.name})", "Add", [x.name, y.name], x.shape)

    def masked(self, x: Value, mask: Value) -> Value:
        """As `add`; what is to be hidden gets very small."""
        return self.emit("masked", f"add({x.name}, {mask.name})", "Add", [x.name, mask.name], x.shape)

    def mul(self, x: Value, y: Value) -> Value:
        return self.emit("scaled", f"mul({x.name}, {y.name})", "Mul", [x.name, y.name], x.shape)

    def times(self, x: Value, factor: float) -> Value:
        return self.emit("times", f"mul({x.name}, {factor})", "Mul", [x.name, self.scalar(factor)], x.shape)

    def softmax(self, x: Value) -> Value:
        """Over the last axis."""
        text = f"softmax({x.name}, axes = [{len(x.shape) - 1}])"
        return self.emit("softmax", text, "Softmax", [x.name], x.shape, axis=-1)

    # Pooling and shapes -----------------------------------------------------------------------------------
    def max_pool(self, x: Value, size: int, stride: int, pads: Pads | None = None) -> Value:
        return self._pool("max_pool", "'ignore'", "MaxPool", x, size, stride, pads)

    def avg_pool(self, x: Value, size: int, stride: int, pads: Pads | None = None) -> Value:
        """Padding counts as zeros."""
        return self._pool("avg_pool", "'constant'", "AveragePool", x, size, stride, pads, count_include_pad=1)

    def _pool(
        self, nnef: str, border: str, onnx_op: str, x: Value, size: int, stride: int, pads: Pads | None, **attrs: Any
    ) -> Value:
        axes = len(x.spatial)
        pads = pads or [(0, 0)] * axes
        extent = [outputs(n, size, stride, pair) for n, pair in zip(x.spatial, pads, strict=True)]
        padding = ", ".join(f"({a},{b})" for a, b in [(0, 0), (0, 0), *pads])
        text = (f"{nnef}({x.name}, size = {[1, 1] + [size] * axes}, border = {border}, "
                f"stride = {[1, 1] + [stride] * axes}, padding = [{padding}])")  # fmt: skip
        return self.emit(
            "pool", text, onnx_op, [x.name], (*x.shape[:2], *extent), kernel_shape=[size] * axes,
            strides=[stride] * axes, pads=[a for a, _ in pads] + [b for _, b in pads], **attrs,
        )  # fmt: skip

    def global_pool(self, x: Value) -> Value:
        text = f"mean_reduce({x.name}, axes = {list(range(2, len(x.shape)))})"
        return self.emit("mean", text, "GlobalAveragePool", [x.name], (*x.shape[:2], *(1 for _ in x.spatial)))

    def flatten(self, x: Value) -> Value:
        volume = int(np.prod(x.shape[1:]))
        return self.emit("flat", f"reshape({x.name}, shape = [0,-1])", "Flatten", [x.name], (x.shape[0], volume))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        text = f"reshape({x.name}, shape = {list(shape)})"
        return self.emit("shaped", text, "Reshape", [x.name, self.integers(shape)], tuple(shape))

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        shape = tuple(x.shape[a] for a in axes)
        return self.emit("turned", f"transpose({x.name}, axes = {list(axes)})", "Transpose", [x.name], shape, perm=axes)

    def repeat(self, x: Value, repeats: Sequence[int]) -> Value:
        shape = tuple(n * r for n, r in zip(x.shape, repeats, strict=True))
        text = f"tile({x.name}, repeats = {list(repeats)})"
        return self.emit("repeated", text, "Tile", [x.name, self.integers(repeats)], shape)

    def first_token(self, x: Value) -> Value:
        """(N, tokens, features) -> (N, 1, features)."""
        return self.slice(x, 1, 0, 1)

    def slice(self, x: Value, axis: int, begin: int, end: int) -> Value:
        """Of one axis."""
        inputs = [x.name, self.integers([begin]), self.integers([end]), self.integers([axis])]
        text = f"slice({x.name}, axes = [{axis}], begin = [{begin}], end = [{end}])"
        shape = (*x.shape[:axis], end - begin, *x.shape[axis + 1 :])
        return self.emit("sliced", text, "Slice", inputs, shape)

    def split(self, x: Value, axis: int, parts: int) -> list[Value]:
        """Into equal ones."""
        extent = x.shape[axis] // parts
        names = [self.fresh("part") for _ in range(parts)]
        self.lines.append(f"[{', '.join(names)}] = split({x.name}, axis = {axis}, ratios = {[1] * parts});")
        self.nodes.append(helper.make_node("Split", [x.name, self.integers([extent] * parts)], names, axis=axis))
        return [Value(name, (*x.shape[:axis], extent, *x.shape[axis + 1 :])) for name in names]

    def pad_reflected(self, x: Value, width: int) -> Value:
        """Height and width."""
        pads = [(0, 0), (0, 0), (width, width), (width, width)]
        text = f"pad({x.name}, padding = [{', '.join(f'({a},{b})' for a, b in pads)}], border = 'reflect')"
        inputs = [x.name, self.integers([a for a, _ in pads] + [b for _, b in pads])]
        shape = (*x.shape[:2], *(n + 2 * width for n in x.spatial))
        return self.emit("padded", text, "Pad", inputs, shape, mode="reflect")

    def upsample(self, x: Value) -> Value:
        """Twice the height and width, every pixel repeated."""
        factors = self.onnx_constant("factors", TensorProto.FLOAT, [4], [1, 1, 2, 2])
        text = f"nearest_upsample({x.name}, factor = [2,2])"
        return self.emit(
            "larger", text, "Resize", [x.name, "", factors], (*x.shape[:2], *(2 * n for n in x.spatial)),
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def enlarge(self, x: Value, factor: int) -> Value:
        """Height and width, linearly interpolated between pixel centres."""
        scales = self.onnx_constant(f"scales_{factor}", TensorProto.FLOAT, [4], [1, 1, factor, factor])
        text = (f"multilinear_upsample({x.name}, factor = [{factor},{factor}], method = 'symmetric', "
                "border = 'replicate')")  # fmt: skip
        shape = (*x.shape[:2], *(factor * n for n in x.spatial))
        attrs = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self.emit("enlarged", text, "Resize", [x.name, "", scales], shape, **attrs)

    def concat(self, values: Sequence[Value], axis: int = 1) -> Value:
        names = [v.name for v in values]
        if len({(*v.shape[:axis], *v.shape[axis + 1 :]) for v in values}) > 1:
            raise ValueError(f"cannot concatenate {[v.shape for v in values]}: the size must be a multiple of 16 or 32")
        shape = (*values[0].shape[:axis], sum(v.shape[axis] for v in values), *values[0].shape[axis + 1 :])
        return self.emit("cat", f"concat([{', '.join(names)}], axis = {axis})", "Concat", names, shape, axis=axis)

    def finish(self, results: Sequence[Value], input_shape: tuple[int, ...]) -> Built:
        """Writes the graph and the model."""
        body = "\n    ".join(self.lines)
        names = ", ".join(x.name for x in results)
        text = f"version 1.0;\n\ngraph {self.name}( input ) -> ( {names} )\n{{\n    {body}\n}}\n"
        (self.folder / "nnef" / "graph.nnef").write_text(text, encoding="utf-8")
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, self.name, [value("input", TensorProto.FLOAT, input_shape)],
            [value(x.name, TensorProto.FLOAT, x.shape) for x in results], self.weights,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, self.folder / "model.onnx")
        return Built(self.folder / "nnef", self.folder / "model.onnx", input_shape, self.parameters)
