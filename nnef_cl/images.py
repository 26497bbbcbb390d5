"""Image: an input that is passed as bytes; the graph gets an operation behind it that makes values of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from nnef_cl.errors import InputError
from nnef_cl.ir.dtype import BYTE, F32
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.image import LARGEST_SIDE

LAYOUTS = ("NHWC", "NCHW")
CHANNELS: Mapping[str, Mapping[int, tuple[int, ...]]] = {
    "RGB": {3: (0, 1, 2)}, "BGR": {3: (2, 1, 0)}, "RGBA": {3: (0, 1, 2), 4: (0, 1, 2, 3)},
    "BGRA": {3: (2, 1, 0), 4: (2, 1, 0, 3)}, "GRAY": {1: (0,), 3: (0, 0, 0)},
}  # fmt: skip
"""What a byte image holds per pixel -> channels of the network -> which of the image's each of them is."""


@dataclass(frozen=True)
class Image:
    """An input passed as uint8 images, of which the device makes what the network reads, an input of four axes, or of
    three without N; the images have as many.

    Bytes are mapped to `range`, then (value - mean) / std. mean, std: a number, or one per channel of the network.
    layout: of the arrays passed, 'NHWC' or 'NCHW'. channels: what they hold: 'RGB' is passed on as it is, 'BGR'
    reversed, 'RGBA' and 'BGRA' the same without alpha where the network has three channels, 'GRAY' repeated. size:
    (height, width) of the arrays, resized to the network's by triangle filters; None: they have the network's.
    network: layout of the network's input, 'NCHW' or 'NHWC'.
    """

    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0
    layout: str = "NHWC"
    channels: str = "RGB"
    size: tuple[int, int] | None = None
    range: tuple[float, float] = (0.0, 1.0)
    network: str = "NCHW"


def with_images(graph: Graph, images: Mapping[str, Image] | None) -> Graph:
    """The graph with an operation `image` behind each of these inputs, which hold bytes then. Raises InputError."""
    if not isinstance(images or {}, Mapping):
        raise InputError(f"inputs: expected images by input name, got {type(images).__name__}")
    for name, image in (images or {}).items():
        if name not in graph.inputs:
            close = difflib.get_close_matches(str(name), graph.inputs, 1)
            hint = f"; did you mean '{close[0]}'?" if close else f"; the inputs are {', '.join(graph.inputs)}"
            raise InputError(f"inputs: the model has no input '{name}'{hint}")
        if not isinstance(image, Image):
            raise InputError(f"inputs: '{name}': expected an Image, got {type(image).__name__}")
        graph = _with_image(graph, name, image)
    return graph


def check_rows(graph: Graph, images: Mapping[str, Image] | None) -> None:
    """Raises InputError where requests are images that have no N, of which none can be several. graph: with images."""
    for name in images or {}:
        if graph.tensors[name].rank == 3:
            raise InputError(f"batching: input '{name}' {graph.tensors[name]} is one image, it has no rows")


def _with_image(graph: Graph, name: str, image: Image) -> Graph:
    spec, attrs, given = _node_of(f"inputs: '{name}'", graph.tensors[name], image)
    values = _unused(f"{name}_values", graph)

    def moved(tensor: str) -> str:
        return values if tensor == name else tensor

    # What reads the input, results of the graph among it, reads the values now.
    nodes = tuple(replace(node, inputs=tuple(map(moved, node.inputs))) for node in graph.nodes)
    updates = {variable: moved(tensor) for variable, tensor in graph.updates.items()}
    outputs = {output: moved(graph.output_tensor(output)) for output in graph.outputs}
    renamed = {output: tensor for output, tensor in outputs.items() if output != tensor}
    return replace(
        graph, nodes=(Node("image", (name,), (values,), attrs), *nodes), updates=MappingProxyType(updates),
        tensors=MappingProxyType({**graph.tensors, name: given, values: spec}), renamed=MappingProxyType(renamed),
    )  # fmt: skip


def _unused(name: str, graph: Graph) -> str:
    while name in graph.tensors:
        name += "_"
    return name


def _node_of(what: str, spec: TensorSpec, image: Image) -> tuple[TensorSpec, dict[str, Any], TensorSpec]:
    """Spec of the values, attributes of the operation, spec of the bytes."""
    if spec.rank not in (3, 4) or spec.dtype != F32:
        raise InputError(f"{what} {spec}: an image fits scalar inputs of 4 axes, or of 3 without N, only")
    _check_names(what, image)
    *batch, first, second, third = spec.shape
    channels, *size = (first, second, third) if image.network == "NCHW" else (third, first, second)
    order = _order(what, image, channels)
    low, high = _numbers(f"{what}, range", image.range, 2)
    mean = _numbers(f"{what}, mean", image.mean, channels)
    std = _numbers(f"{what}, std", image.std, channels)
    if 0 in std:
        raise InputError(f"{what}, std: must not be 0")
    given = _size(what, image, size)
    held = len(image.channels) if image.channels != "GRAY" else 1
    shape = (*batch, *given, held) if image.layout == "NHWC" else (*batch, held, *given)
    attrs = {
        "layout": image.layout, "order": order, "scale": tuple((high - low) / 255 / s for s in std),
        "bias": tuple((low - m) / s for m, s in zip(mean, std, strict=True)), "size": tuple(size),
        "result": image.network,
    }  # fmt: skip
    return spec, attrs, TensorSpec(shape, BYTE)


def _check_names(what: str, image: Image) -> None:
    for field, known in (("layout", LAYOUTS), ("network", LAYOUTS), ("channels", tuple(CHANNELS))):
        if getattr(image, field) not in known:
            raise InputError(f"{what}, {field}: expected {', '.join(known)}, got {getattr(image, field)!r}")


def _order(what: str, image: Image, channels: int) -> tuple[int, ...]:
    orders = CHANNELS[image.channels]
    if channels not in orders:
        fitting = [name for name, one in CHANNELS.items() if channels in one]
        hint = f"expected {', '.join(fitting)}" if fitting else f"images have 1, 3 or 4, network={image.network!r}"
        raise InputError(f"{what}, channels {image.channels}: the network's input has {channels} channels; {hint}")
    return orders[channels]


def _size(what: str, image: Image, own: list[int]) -> tuple[int, int]:
    """Height and width of the arrays that are passed."""
    size = image.size if image.size is not None else tuple(own)
    whole = isinstance(size, Sequence) and all(isinstance(n, int) and not isinstance(n, bool) for n in size)
    if not whole or len(size) != 2 or not all(1 <= n <= LARGEST_SIDE for n in (*size, *own)):
        raise InputError(f"{what}, size: expected (height, width), 1 to {LARGEST_SIDE} pixels each, got {size!r}")
    return size[0], size[1]


def _numbers(what: str, value: float | Sequence[float], count: int) -> tuple[float, ...]:
    """That many finite numbers; one stands for all."""
    try:
        single = isinstance(value, (int, float))
        numbers = (float(value),) * count if single else tuple(map(float, value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InputError(f"{what}: expected {count} finite numbers or one, got {value!r}")
    return numbers
