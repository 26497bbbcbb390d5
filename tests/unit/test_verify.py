"""The invariants of a graph: one broken in each case."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nnef_cl.ir.dtype import BOOL, F32, DType
from nnef_cl.ir.graph import Graph, GraphBuilder, Node
from nnef_cl.ir.program import Program, Step
from nnef_cl.ir.tensor import Constant, TensorSpec
from nnef_cl.ir.verify import InvariantError, verify

SPEC = TensorSpec((2, 3))


def builder() -> GraphBuilder:
    """y = relu(x + w), x an input and w a constant; the sum is called t."""
    b = GraphBuilder("g")
    b.add_input("x", SPEC)
    b.add_constant("w", SPEC, Constant(np.zeros((2, 3), np.float32), "w"))
    b.add_node(Node("add", ("x", "w"), ("t",)), [SPEC])
    b.add_node(Node("relu", ("t",), ("y",)), [SPEC])
    b.outputs.append("y")
    return b


def fused(*steps: Step, arity: int = 2, inputs: tuple[str, ...] = ("x", "w")) -> Callable[[GraphBuilder], None]:
    def change(b: GraphBuilder) -> None:
        b.add_node(Node("tanh", inputs, ("z",), epilogue=Program(arity, steps)), [SPEC])

    return change


def constant(array: np.ndarray) -> Callable[[GraphBuilder], None]:
    return lambda b: b.constants.update(w=Constant(array))


def node(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Callable[[GraphBuilder], None]:
    return lambda b: b.nodes.append(Node("relu", inputs, outputs))


def tensor(spec: TensorSpec) -> Callable[[GraphBuilder], None]:
    return lambda b: b.tensors.update(t=spec)


BROKEN: dict[str, tuple[Callable[[GraphBuilder], object], str]] = {
    "order": (lambda b: b.nodes.reverse(), "node 'y' whose input 't' has no producer"),
    "cycle": (node(("z",), ("z",)), "node 'z' whose input 'z' has no producer"),
    "missing input": (node(("q",), ("z",)), "node 'z' whose input 'q' has no producer"),
    "no outputs": (node(("x",), ()), "node 'relu' without outputs"),
    "output without a spec": (node(("x",), ("z",)), "node 'z' with output 'z' without a spec"),
    "two producers": (node(("x",), ("t",)), "node 't' with output 't', but 't' has another producer"),
    "produces an input": (node(("t",), ("x",)), "node 'x' with output 'x', but 'x' has another producer"),
    "produces a constant": (node(("t",), ("w",)), "node 'w' with output 'w', but 'w' has another producer"),
    "input twice": (lambda b: b.inputs.append("x"), "input 'x', but 'x' has another producer"),
    "input and constant": (lambda b: b.inputs.append("w"), "constant 'w', but 'w' has another producer"),
    "input without a spec": (lambda b: b.inputs.append("q"), "input 'q' without a spec"),
    "output of nothing": (lambda b: b.outputs.append("q"), "output 'q' that nothing produces"),
    "tensor of nothing": (lambda b: b.add_tensor("q", SPEC), "tensor 'q' that nothing produces"),
    "constant's shape": (constant(np.zeros((3, 2), np.float32)), "constant 'w' with an array float32[3, 2] for f32[2,3]"),
    "constant's type": (constant(np.zeros((2, 3))), "constant 'w' with an array float64[2, 3] for f32[2,3]"),
    "zero extent": (tensor(TensorSpec((2, 0))), "tensor 't' with shape (2, 0)"),
    "extent not an integer": (tensor(TensorSpec((2, 3.0))), "tensor 't' with shape (2, 3.0)"),  # type: ignore[arg-type]
    "unknown type": (tensor(TensorSpec((2, 3), DType("f8", "scalar", "float16", "uint8"))), "tensor 't' of unknown type f8"),
    "operands of an epilogue": (fused(arity=3), "node 'z' with 2 inputs and an epilogue of 3 operands"),
    "epilogue of no operand": (fused(arity=0), "node 'z' with 2 inputs and an epilogue of 0 operands"),
    "order of an epilogue": (fused(Step("add", (0, 2), F32)), "node 'z' whose epilogue uses a value before v2 is there: (0, 2)"),
    "negative operand": (fused(Step("neg", (-1,), F32)), "node 'z' whose epilogue uses a value before v2 is there: (-1,)"),
    "type of an epilogue": (fused(Step("lt", (0, 1), BOOL)), "node 'z' whose epilogue makes bool for f32[2,3]"),
    "epilogue of several results": (
        lambda b: b.add_node(Node("split", ("x",), ("p", "q"), epilogue=Program(1, ())), [SPEC, SPEC]),
        "node 'p' with an epilogue and 2 outputs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken(case: str) -> None:
    change, finding = BROKEN[case]
    b = builder()
    change(b)
    with pytest.raises(InvariantError) as caught:
        verify(b.build(), "fuse")
    assert str(caught.value) == f"pass 'fuse' produced {finding}"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: None,
        fused(Step("add", (0, 1), F32), Step("neg", (2,), F32)),
        fused(arity=1, inputs=("x",)),
        fused(Step("lt", (0, 1), BOOL), Step("select", (2, 0, 1), F32)),
        lambda b: b.outputs.extend(["x", "w", "t"]),
    ],
)
def test_sound(change: Callable[[GraphBuilder], object]) -> None:
    b = builder()
    change(b)
    verify(b.build(), "fuse")


def test_import_is_named() -> None:
    graph = Graph("g", (), ("y",), {}, {}, ())
    with pytest.raises(InvariantError, match=r"^import produced output 'y' that nothing produces$"):
        verify(graph, "import")
