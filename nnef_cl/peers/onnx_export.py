"""Graph -> ONNX model for other engines: weights in a file beside it, one converter per operation in onnx_nodes.py."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nnef_cl.codegen.kernel import Candidate
from nnef_cl.codegen.target import Target
from nnef_cl.errors import UnsupportedError, UsageError
from nnef_cl.importer import AUTO, import_model
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.layout import Shape
from nnef_cl.ops import STANDARD
from nnef_cl.ops.base import Problem, Table
from nnef_cl.ops.matmul import matmul_shape
from nnef_cl.ops.shapes import broadcast, pointwise

OPSET, IR_VERSION = 19, 9
MODEL, WEIGHTS = "model.onnx", "weights.bin"
INLINE = 1024
"""Bytes up to which a constant stands in the model itself: engines want to see small ones, such as shapes."""
ALIGNMENT = 4096
"""Of the weights in their file, so that engines can map them."""
ELEMENTS = {"scalar": 1, "integer": 7, "logical": 9}
"""Kind of element -> onnx.TensorProto.DataType."""


def _linear_shape(input: Shape, filter: Shape, bias: Shape) -> Shape:
    return broadcast(matmul_shape(input, filter, False, True), bias)


def _first_shape(input: Shape, **others: Any) -> Shape:
    return input


WHOLE: Mapping[str, Callable[..., Shape]] = {
    "batch_normalization": pointwise, "linear": _linear_shape, "local_response_normalization": _first_shape,
}  # fmt: skip
"""Compound operations that ONNX has, too, with their shape rules: they are not expanded."""


def export_table(ops: Table) -> Table:
    """The operations with which a model that is to be exported is imported."""

    def lower(problem: Problem, target: Target) -> list[Candidate]:
        raise AssertionError("exported graphs do not run")

    whole = {name: replace(STANDARD[name], infer=infer, lower=lower) for name, infer in WHOLE.items()}
    return Table({**ops.ops, **whole}, ops.readers)


def export_model(
    path: str | Path, folder: Path, *, shapes: Mapping[str, Shape] | None = None, dialect: str = AUTO,
    ops: Table = STANDARD,
) -> Path:  # fmt: skip
    """Reads an NNEF model and writes it as ONNX into `folder`; returns the model's file.

    Raises ModelError, UnsupportedError for an operation that ONNX does not have, UsageError without package onnx.
    """
    return export(import_model(path, shapes=shapes, dialect=dialect, table=export_table(ops)), folder)


def export(graph: Graph, folder: Path) -> Path:
    """Writes `folder`/model.onnx and weights.bin; the names of inputs and outputs stay. Errors as of export_model."""
    if graph.updates:
        name = next(iter(graph.updates))
        raise UnsupportedError("cannot be written as ONNX, which has no state", op="update", tensor=name)
    with (folder / WEIGHTS).open("wb") as weights:
        exporter = Exporter(graph, weights)
        for node in graph.nodes:
            exporter.convert(node)
        model = exporter.model()
    path = folder / MODEL
    path.write_bytes(model.SerializeToString())
    return path


def onnx_package() -> Any:
    """The package onnx. Raises UsageError where it is missing."""
    try:
        import onnx  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError("writing ONNX needs the package onnx: pip install 'nnef-cl[onnxruntime]'") from None
    return onnx


def without_leading_ones(shape: Shape) -> Shape:
    first = next((axis for axis, extent in enumerate(shape) if extent != 1), len(shape))
    return shape[first:]


@dataclass
class Exporter:
    """The ONNX graph while it grows. Names of tensors are those of the graph, others are made unique."""

    graph: Graph
    weights: BinaryIO
    nodes: list[Any] = field(default_factory=list)
    initializers: dict[str, Any] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    roots: dict[str, str] = field(default_factory=dict)
    """Tensors that are inverted square roots -> the roots."""

    def __post_init__(self) -> None:
        self.onnx = onnx_package()
        consumers = self.graph.consumers()
        results = self.graph.results
        self.readers = {name: len(nodes) + (name in results) for name, nodes in consumers.items()}
        self.producers = {name: node for node in self.graph.nodes for name in node.outputs}

    def convert(self, node: Node) -> None:
        from nnef_cl.peers.onnx_nodes import CONVERTERS  # noqa: PLC0415 - converters know Site

        converter = CONVERTERS.get(node.op)
        if converter is None or node.epilogue is not None:
            raise Site(self, node).refused("has no counterpart in ONNX")
        converter(Site(self, node))

    def tensor(self, name: str) -> str:
        """A tensor of the graph as an operand."""
        if name in self.graph.constants and name not in self.initializers:
            self._store(name, self.graph.constants[name].array)
        return name

    def unique(self, hint: str) -> str:
        name, number = hint, 0
        while name in self.graph.tensors or name in self.made or name in self.initializers:
            name, number = f"{hint}_{number}", number + 1
        self.made.add(name)
        return name

    def constant(self, array: np.ndarray) -> str:
        """An array as an operand; equal ones are one."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()
        name = f"constant:{digest[:32]}"
        if name not in self.initializers:
            self._store(name, array)
        return name

    def _store(self, name: str, array: np.ndarray) -> None:
        array = np.ascontiguousarray(array).reshape(array.shape)
        kind = {"f": 1, "i": 7, "b": 9}[array.dtype.kind]
        tensor = self.onnx.TensorProto(name=name, data_type=kind, dims=array.shape)
        if array.nbytes <= INLINE:
            tensor.raw_data = array.tobytes()
        else:
            self.weights.write(bytes(-self.weights.tell() % ALIGNMENT))
            places = {"location": WEIGHTS, "offset": self.weights.tell(), "length": array.nbytes}
            tensor.data_location = self.onnx.TensorProto.EXTERNAL
            for key, value in places.items():
                tensor.external_data.add(key=key, value=str(value))
            self.weights.write(array.data)
        self.initializers[name] = tensor

    def add(self, op: str, inputs: Sequence[str], outputs: Sequence[str], attrs: Mapping[str, Any]) -> None:
        given = {name: value for name, value in attrs.items() if value != []}  # no type can be told of an empty list
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), list(outputs), **given))

    def model(self) -> Any:
        """The ModelProto of everything added so far."""
        graph, helper = self.graph, self.onnx.helper

        def declared(name: str, tensor: str) -> Any:
            spec = graph.tensors[tensor]
            return helper.make_tensor_value_info(name, ELEMENTS[spec.dtype.kind], spec.shape)

        outputs = [declared(self._output(name), graph.output_tensor(name)) for name in graph.outputs]
        inputs = [declared(name, name) for name in graph.inputs]
        made = helper.make_graph(self._alive(outputs), graph.name, inputs, outputs, [*self.initializers.values()])
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nnef-cl")

    def _alive(self, outputs: Sequence[Any]) -> list[Any]:
        """The nodes that somebody reads."""
        wanted, kept = {output.name for output in outputs}, []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        return kept[::-1]

    def _output(self, name: str) -> str:
        """The ONNX name of an output: another one where an input, a constant or a renamed tensor has it."""
        tensor = self.graph.output_tensor(name)
        if tensor == name and tensor in self.producers:
            return name
        copy = self.unique(f"{name}_output")
        self.add("Identity", [self.tensor(tensor)], [copy], {})
        return copy


@dataclass(frozen=True)
class Site:
    """One node being converted: what a converter needs to know and to do."""

    exporter: Exporter
    node: Node

    @property
    def attrs(self) -> Mapping[str, Any]:
        return self.node.attrs

    @property
    def inputs(self) -> list[str]:
        """The node's tensors as operands."""
        return [self.exporter.tensor(name) for name in self.node.inputs]

    @property
    def input(self) -> str:
        return self.exporter.tensor(self.node.inputs[0])

    @property
    def shapes(self) -> list[Shape]:
        return [self.exporter.graph.tensors[name].shape for name in self.node.inputs]

    @property
    def result(self) -> Shape:
        """Shape of the first result."""
        return self.exporter.graph.tensors[self.node.outputs[0]].shape

    @property
    def kind(self) -> str:
        """Of the first result's elements."""
        return self.exporter.graph.tensors[self.node.outputs[0]].dtype.kind

    def array(self, index: int) -> np.ndarray | None:
        """The values of an input that is constant."""
        constant = self.exporter.graph.constants.get(self.node.inputs[index])
        return None if constant is None else constant.array

    def put(self, op: str, *inputs: str, **attrs: Any) -> None:
        """The node's results are those of this ONNX node."""
        self.exporter.add(op, inputs, self.node.outputs, attrs)

    def step(self, op: str, *inputs: str, **attrs: Any) -> str:
        """An ONNX node on the way; its result."""
        return self.steps(1, op, *inputs, **attrs)[0]

    def steps(self, count: int, op: str, *inputs: str, **attrs: Any) -> list[str]:
        """One with that many results."""
        names = [self.exporter.unique(f"{self.node.name}_{op.lower()}") for _ in range(count)]
        self.exporter.add(op, inputs, names, attrs)
        return names

    def floats(self, value: Any) -> str:
        """Numbers as an operand."""
        return self.exporter.constant(np.asarray(value, np.float32))

    def ints(self, values: Sequence[int]) -> str:
        return self.exporter.constant(np.asarray(values, np.int64).reshape(-1))

    def reshaped(self, index: int, shape: Shape) -> str:
        """An input in another shape of as many elements."""
        name = self.node.inputs[index]
        if self.shapes[index] == tuple(shape):
            return self.exporter.tensor(name)
        array = self.array(index)
        if array is not None:
            return self.exporter.constant(array.reshape(shape))
        return self.step("Reshape", name, self.ints(shape))

    def aligned(self) -> list[str]:
        """The inputs with trailing axes of extent 1, so that ONNX, which aligns the last axes, broadcasts as NNEF.
        Constants lose leading ones: engines recognise a factor or a bias by its rank."""
        rank = max(map(len, self.shapes))
        return [self.reshaped(k, self._aligned(k, rank)) for k in range(len(self.shapes))]

    def _aligned(self, index: int, rank: int) -> Shape:
        shape = self.shapes[index]
        full = (*shape, *(1,) * (rank - len(shape))) if shape else ()
        others = [k for k, other in enumerate(self.shapes) if k != index and len(other) == rank]
        if self.array(index) is None or all(self.array(k) is not None for k in others):
            return full
        return without_leading_ones(full)

    def refused(self, why: str) -> UnsupportedError:
        return UnsupportedError(why, where=self.node.position or None, op=self.node.op, tensor=self.node.name)
