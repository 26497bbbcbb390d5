"""Small models whose tensors are quantised: entries that fit them, tensor files of codes and of a vendor's items."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterable, Mapping
from random import Random

import numpy as np

from nnef_cl.conformance.case import all_cases
from nnef_cl.conformance.harness import family_text
from nnef_cl.format.parser import parse_quant_entries
from nnef_cl.format.printer import print_expression
from nnef_cl.format.syntax import Argument, ArrayExpression, Expression, Literal, QuantEntry
from nnef_cl.format.tensor_file import ItemReader, TensorHeader, write_tensor
from nnef_cl.ops import STANDARD, table
from tests.fuzz import syntax_mutator
from tests.fuzz.byte_mutator import HEADER, bytes_changed, tensor_changed, tokens_changed

Shape = tuple[int, ...]
Files = dict[str, bytes]
VENDOR = 0x7777


def _masks(payload: memoryview, header: TensorHeader) -> np.ndarray:
    return np.unpackbits(np.frombuffer(payload, np.uint8))[: header.volume].view(bool)


TABLE = STANDARD | table(items=(
    ItemReader(VENDOR, 1, "scalar", lambda payload, header: np.frombuffer(payload, "<i2") / np.float32(8)),
    ItemReader(VENDOR, 2, "integer", lambda payload, header: np.frombuffer(payload, np.int8)),
    ItemReader(VENDOR, 3, "logical", _masks),
))  # fmt: skip
"""The standard's operations, and readers of three item types of a vendor."""

GRAPH = """version 1.0;
graph g( x ) -> ( y, z, u )
{
    x = external(shape = [1, 4, 6, 6]);
    w = variable(shape = [3, 4, 3, 3], label = 'w');
    b = variable(shape = [1, 3], label = 'b');
    k = constant(shape = [1, 3], value = [0.5, -1.0, 2.0]);
    v = variable(shape = [1, 3, 6, 6], label = 'v');
    i = variable<integer>(shape = [3], label = 'i');
    l = variable<logical>(shape = [1, 3, 6, 1], label = 'l');
    c = conv(x, w, b);
    r = relu(c);
    m = mul(r, k);
    u = update(v, m);
    y = add(m, v);
    z = select(l, gather(y, i, axis = 1), r);
}
"""
SHAPES: Mapping[str, Shape] = {
    "x": (1, 4, 6, 6), "w": (3, 4, 3, 3), "b": (1, 3), "k": (1, 3), "v": (1, 3, 6, 6),
    **dict.fromkeys("crmyz", (1, 3, 6, 6)), "i": (3,), "l": (1, 3, 6, 1),
}  # fmt: skip
"""Of the tensors of GRAPH."""
DATA = {"w": "scalar", "b": "scalar", "v": "scalar", "i": "integer", "l": "logical"}
"""Element types of its variables."""


def model(random: Random) -> Files:
    """The files of a valid model."""
    return _written(random) if random.random() < 0.6 else _case(random)


def _written(random: Random) -> Files:
    names = [name for name in SHAPES if name not in "il" and random.random() < 0.5]
    entries = {name: entry(random, name, SHAPES[name]) for name in names}
    files = {"graph.nnef": GRAPH.encode(), "graph.quant": text(entries.values()).encode()}
    return files | {f"{n}.dat": data(random, SHAPES[n], kind, entries.get(n)) for n, kind in DATA.items()}


@functools.cache
def _cases() -> list[tuple[bytes, Mapping[str, np.ndarray], Mapping[str, np.ndarray]]]:
    """Text, inputs and variables of each small conformance case."""
    found = [family_text([case]) for case in all_cases() if sum(a.size for a in case.arrays) < 1000]
    return [(text.encode(), inputs, variables) for text, inputs, variables in found]


def _case(random: Random) -> Files:
    """A conformance case, some of whose tensors have an entry."""
    graph, inputs, variables = random.choice(_cases())
    shapes = {n: array.shape for n, array in {**inputs, **variables}.items() if array.dtype.kind == "f"}
    shapes |= {"c0_y0": (1,), "c0_y1": (1,)}
    entries = {n: entry(random, n, shape) for n, shape in shapes.items() if f"{n} = ".encode() in graph and random.random() < 0.7}
    files = {"graph.nnef": graph, "graph.quant": text(entries.values()).encode()}
    kinds = {"f": "scalar", "i": "integer", "b": "logical"}
    return files | {f"{n}.dat": data(random, a.shape, kinds[a.dtype.kind], entries.get(n)) for n, a in variables.items()}


# Entries ----------------------------------------------------------------------------------------------------
def entry(random: Random, tensor: str, shape: Shape) -> QuantEntry:
    """An entry that fits a tensor of the shape."""
    low, high = random.choice((-2.0, -1.5, -1.0, 0.0)), random.choice((0.5, 1.0, 2.5))
    bits = {"bits": Literal(random.choice((1, 2, 3, 4, 7, 8, 8, 8, 12, 16, 32, 64)))}
    flags = {"signed": Literal(random.random() < 0.5), "symmetric": Literal(random.random() < 0.5)}
    if bits["bits"] == Literal(1):
        flags["symmetric"] = Literal(False)
    ranges = {"min": spread(random, low, shape), "max": spread(random, high, shape)}
    codes = {"zero_point": spread(random, random.choice((0, 3, -5, 128)), shape), "scale": spread(random, high / 64, shape)}
    operation, parameters = random.choice((
        ("min_max_linear_quantize", ranges | bits | flags), ("zero_point_linear_quantize", codes | bits | flags),
        ("logarithmic_quantize", {"max": ranges["max"]} | bits), ("linear_quantize", ranges | bits),
    ))  # fmt: skip
    return QuantEntry(tensor, operation, tuple(Argument(name, value) for name, value in parameters.items()))


def spread(random: Random, value: float, shape: Shape) -> Expression:
    """The number, or one for each channel, or for each element of some axes."""
    kept = random.randrange(len(shape) + 1) if random.random() < 0.5 else 0
    extents = [n if n <= 8 and random.random() < 0.7 else 1 for n in shape[:kept]]
    node: Expression = Literal(value)
    for extent in reversed(extents):
        node = ArrayExpression((node,) * extent)
    return node


def text(entries: Iterable[QuantEntry]) -> str:
    """A graph.quant."""
    lines = []
    for one in entries:
        arguments = ", ".join(f"{a.name} = {print_expression(a.value)}" for a in one.arguments)
        lines.append(f'"{one.tensor}": {one.operation}({arguments});\n')
    return "".join(lines)


# Tensor files -----------------------------------------------------------------------------------------------
def data(random: Random, shape: Shape, kind: str, described: QuantEntry | None) -> bytes:
    """A tensor file of the kind: numbers or a vendor's items, codes where an entry or the file says what they are."""
    drawn = np.random.default_rng(random.randrange(2**32))
    volume = int(np.prod(shape))
    if random.random() < 0.15:
        vendors = {"scalar": (1, 16, 2 * volume), "integer": (2, 8, volume), "logical": (3, 1, -(-volume // 8))}
        code, bits, length = vendors[kind]
        payload = bytes(length) if kind == "integer" else drawn.bytes(length)
        return _file(shape, bits, code, payload, vendor=VENDOR)
    if kind == "integer":
        return _stored(drawn.integers(0, 3, shape), random.choice((8, 16, 32, 64)), random.choice((1, 4)))
    if kind == "logical":
        return _stored(drawn.integers(0, 2, shape) > 0, random.choice((1, 8)), 5)
    way = random.choice(("numbers", "range", "entry", "entry"))
    if way == "entry" and described is not None:
        return _codes(random, drawn, shape, described)
    if way == "range":
        bits = random.choice((3, 4, 8, 16))
        codes = _stored(drawn.integers(0, 1 << bits - 1, shape), bits, 2)
        return changed_head(codes, random.choice((2, 3, 0x10, 0x11)), struct.pack("<2f", random.choice((-1.0, 0.0)), 2.0) + bytes(24))
    return _stored(drawn.standard_normal(shape), random.choice((16, 32, 64)), 0)


def _codes(random: Random, drawn: np.random.Generator, shape: Shape, described: QuantEntry) -> bytes:
    """Codes that the entry allows, in items of its width or wider ones."""
    values = {a.name: a.value.value for a in described.arguments if isinstance(a.value, Literal)}
    bits = int(values["bits"])
    signed = bool(values.get("signed", False))
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << min(bits, 63))
    codes = drawn.integers(low, min(high, 2**62), shape)
    widths = [n for n in (bits, 8, 16, 32, 64) if n >= bits]
    return _stored(codes, random.choice(widths), random.choice((4, 3) if signed else (1, 2)))


def _stored(array: np.ndarray, bits: int, code: int) -> bytes:
    stream = io.BytesIO()
    write_tensor(stream, array, bits, code)
    return stream.getvalue()


def _file(shape: Shape, bits: int, code: int, payload: bytes, vendor: int) -> bytes:
    extents = (*shape, *[0] * (8 - len(shape)))
    return HEADER.pack(b"\x4e\xef", 1, 0, len(payload), len(shape), *extents, bits, code, vendor, bytes(32)) + payload


def changed_head(content: bytes, code: int, parameters: bytes) -> bytes:
    """The same file with another item type and parameters."""
    fields = list(HEADER.unpack_from(content))
    fields[14], fields[16] = code, parameters
    return HEADER.pack(*fields) + content[HEADER.size :]


# Mutation ---------------------------------------------------------------------------------------------------
@functools.cache
def _pool() -> syntax_mutator.Pool:
    """Constants and arguments of many entries."""
    random = Random(0)
    return syntax_mutator.Pool([tuple(entry(random, n, shape) for n, shape in SHAPES.items()) for _ in range(20)])


def entries_changed(random: Random, content: bytes, changes: int) -> bytes:
    """The entries of a valid quantisation file after some structural changes."""
    entries = parse_quant_entries(content)
    return text(syntax_mutator.mutated(random, entries, _pool(), changes, syntax_mutator.ENTRY_CHANGES)).encode()


def quant_changed(random: Random, content: bytes) -> bytes:
    """A valid quantisation file, its entries or its tokens changed."""
    if random.random() < 0.7:
        return entries_changed(random, content, random.choice((1, 1, 2, 3)))
    return tokens_changed(random, content.decode()).encode()


def tensor_file_changed(random: Random, content: bytes) -> bytes:
    """Header, item type with its parameters, or bytes of the data."""
    match random.randrange(4):
        case 0 | 1:
            return tensor_changed(random, content)
        case 2:
            limits = random.choice(((-1.0, 1.0), (0.0, 3.0), (2.0, 1.0), (float("nan"), 1.0), (-1e38, 3e38), (0.0, 0.0), (1e-45, 1e-40)))
            code = random.choice((0, 1, 2, 3, 4, 5, 0x10, 0x11, 0x100, 0x101))
            return changed_head(content, code, struct.pack("<2f", *limits) + bytes(24))
        case _:
            return content[: HEADER.size] + bytes_changed(random, content[HEADER.size :])
