"""Read and write NNEF tensor files: a 128-byte header and a packed payload (NNEF 1.0.5, section 5.2).

Items of 8, 16, 24 ... 64 bits are little-endian. Items of any other width follow each other without gaps, each
with its most significant bit first, as do 1-bit logical values; the last byte is filled up with zeros.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from nnef_cl.errors import Error, ExtensionError, FileFormatError, InputError, UnsupportedError

Buffer = bytes | bytearray | memoryview | mmap.mmap
Shape = tuple[int, ...]

HEADER_BYTES = 128
MAX_RANK = 8
CHUNK = 1 << 16
"""Items packed or unpacked at a time: a multiple of 8, so that chunks begin on whole bytes."""
LEAST_MAPPED = 1 << 20
"""Bytes of a tensor file in a folder: fewer are read, not mapped."""

_HEADER = struct.Struct("<2sBBII8IIHH32s44x")
_MAGIC = b"\x4e\xef"
_TRACT = 0x5452


class ItemType(IntEnum):
    """Item-type codes of the standard (vendor 0)."""

    FLOAT = 0
    UNSIGNED = 1
    QUANTISED_UNSIGNED = 2
    QUANTISED_SIGNED = 3
    SIGNED = 4
    LOGICAL = 5


# Up to 1.0.2 the quantised types carried their parameters; 1.0.3 printed binary codes as hexadecimal ones.
_OLD_CODES = {
    0x10: ItemType.QUANTISED_UNSIGNED,
    0x11: ItemType.QUANTISED_UNSIGNED,
    0x100: ItemType.SIGNED,
    0x101: ItemType.LOGICAL,
}
_KINDS = {ItemType.UNSIGNED: "integer", ItemType.SIGNED: "integer", ItemType.LOGICAL: "logical"}
_VENDORS_ITEMS = {"scalar": ItemType.FLOAT, "integer": ItemType.SIGNED, "logical": ItemType.LOGICAL}
_STORED = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_}
_SIGNED = (ItemType.SIGNED, ItemType.QUANTISED_SIGNED)
_WIDTHS = {ItemType.FLOAT: (16, 32, 64), ItemType.LOGICAL: (1, 8)}
_ANY_WIDTH = tuple(range(1, 65))
NO_READERS: Mapping[tuple[int, int], ItemReader] = MappingProxyType({})


@dataclass(frozen=True)
class TensorHeader:
    """shape: () for a scalar. item: what the items are, old codes translated. code, vendor: as in the file.
    bits: of an item. data_length: payload bytes. parameters: the 32 deprecated parameter bytes."""

    shape: Shape
    item: ItemType
    bits: int
    data_length: int
    code: int
    vendor: int = 0
    parameters: bytes = field(default=bytes(32), repr=False)

    @property
    def volume(self) -> int:
        return math.prod(self.shape)

    @property
    def is_quantised(self) -> bool:
        """The items are codes whose meaning stands in graph.quant (or in the deprecated parameters)."""
        return self.item in (ItemType.QUANTISED_UNSIGNED, ItemType.QUANTISED_SIGNED)

    @property
    def is_signed(self) -> bool:
        """The items are integers or codes in two's complement."""
        return self.item in _SIGNED

    @property
    def kind(self) -> str:
        """NNEF element type the items stand for: 'scalar', 'integer' or 'logical'."""
        return _KINDS.get(self.item, "scalar")


@dataclass(frozen=True)
class ItemReader:
    """Reads one item type of a vendor. vendor, code: as in the header (a vendor is not 0). kind: NNEF element type,
    'scalar', 'integer' or 'logical'. read(payload, header): the items, `header.volume` of them, in numpy; the header
    has the file's shape, bits and parameters. Whatever it raises is reported as a fault of the file.
    """

    vendor: int
    code: int
    kind: str
    read: Callable[[memoryview, TensorHeader], np.ndarray]

    def __post_init__(self) -> None:
        if self.kind not in _VENDORS_ITEMS or not 0 < self.vendor < 1 << 16 or not 0 <= self.code < 1 << 16:
            kinds = ", ".join(_VENDORS_ITEMS)
            raise ExtensionError(f"an item type has a vendor from 1, a code and a kind ({kinds}), got {self}")


Readers = Mapping[tuple[int, int], ItemReader]
"""By vendor and code."""


@dataclass(frozen=True, eq=False)
class TensorFile:
    """array, of header.shape and read-only: float32, int64 or bool; of quantised items the raw codes as int64."""

    header: TensorHeader
    array: np.ndarray = field(repr=False)


# Reading ---------------------------------------------------------------------------------------------------
def read_tensor_file(source: str | Path | Buffer, name: str = "", readers: Readers = NO_READERS) -> TensorFile:
    """A tensor from a path, which is memory-mapped, or from bytes. name: for errors, the path by default. readers: of
    vendors' item types.

    float32 and 64-bit signed items are views of the source. 64-bit floats beyond float32 become infinite.
    Raises FileFormatError, or UnsupportedError for item types of vendors.
    """
    if isinstance(source, (str, Path)):
        name = name or str(source)
        source = map_file(Path(source), name)
    header = read_header(source, name, readers=readers)
    payload = memoryview(source)[HEADER_BYTES : HEADER_BYTES + header.data_length]
    try:
        if header.vendor:
            array = _vendors(readers[header.vendor, header.code], header, payload, name)
        else:
            array = _decoded(header, payload, name)
    except MemoryError:
        raise FileFormatError(f"not enough memory for {header.volume} items", where=name) from None
    array = array.reshape(header.shape)
    array.flags.writeable = False
    return TensorFile(header, array)


def read_header(
    buffer: Buffer, name: str = "", available: int | None = None, readers: Readers = NO_READERS
) -> TensorHeader:
    """The header, checked against itself and against the bytes there. available: size of the whole file, by
    default the buffer's. Allocates nothing. Raises FileFormatError or UnsupportedError."""
    available = len(buffer) if available is None else available
    if available < HEADER_BYTES:
        message = f"truncated: expected a header of {HEADER_BYTES} bytes, got {available} bytes"
        raise FileFormatError(message, where=name)
    magic, major, minor, length, rank, *extents, bits, code, vendor, parameters = _HEADER.unpack_from(buffer)
    if magic != _MAGIC:
        raise FileFormatError(f"not an NNEF tensor: expected magic 4e ef, got {magic.hex(' ')}", where=name)
    if major != 1:
        raise FileFormatError(f"expected format version 1.x, got {major}.{minor}", where=name)
    if rank > MAX_RANK:
        raise FileFormatError(f"expected rank 0 to {MAX_RANK}, got {rank}", where=name)
    item = _item_type(code, vendor, parameters, name, readers)
    header = TensorHeader(tuple(extents[:rank]), item, bits, length, code, vendor, parameters)
    _check_sizes(header, available - HEADER_BYTES, name)
    return header


def _item_type(code: int, vendor: int, parameters: bytes, name: str, readers: Readers) -> ItemType:
    if (vendor, code) in readers:
        return _VENDORS_ITEMS[readers[vendor, code].kind]
    if vendor != 0:
        owner = "tract" if vendor == _TRACT else f"vendor 0x{vendor:04x}"
        raise UnsupportedError(f"item type 0x{code:04x} of {owner} is not supported", where=name)
    if code in _OLD_CODES:
        return _OLD_CODES[code]
    if code > max(ItemType):
        raise FileFormatError(f"unknown item type 0x{code:04x}", where=name)
    if code == ItemType.UNSIGNED and any(parameters[:4]):  # the sign's place up to 1.0.2
        return ItemType.SIGNED
    return ItemType(code)


def _check_sizes(header: TensorHeader, payload: int, name: str) -> None:
    """Extents, bits and data length agree with each other and with the bytes there."""
    shape = list(header.shape)
    if 0 in shape:
        raise FileFormatError(f"expected extents above 0, got shape {shape}", where=name)
    if header.vendor:
        _check_payload(header.data_length, payload, "", name)
        return
    widths = _WIDTHS.get(header.item, _ANY_WIDTH)
    if header.bits not in widths:
        allowed = "1 to 64" if widths is _ANY_WIDTH else " or ".join(map(str, widths))
        raise FileFormatError(f"expected items of {allowed} bits, got {header.bits}", where=name)
    needed = -(-header.volume * header.bits // 8)
    old = " (exports from before October 2018 carry 4 stray bytes: export the model again)"
    if header.data_length != needed:
        hint = old if abs(header.data_length - needed) == 4 else ""
        message = f"shape {shape} of {header.bits}-bit items needs {needed} bytes, header says {header.data_length}"
        raise FileFormatError(message + hint, where=name)
    _check_payload(needed, payload, old if payload - needed == 4 else "", name)


def _check_payload(needed: int, payload: int, hint: str, name: str) -> None:
    if payload != needed:
        what = "truncated" if payload < needed else "trailing bytes"
        raise FileFormatError(f"{what}: expected {needed} bytes of data, got {payload}{hint}", where=name)


def map_file(path: Path, name: str = "", least: int = 0) -> Buffer:
    """A file's bytes, memory-mapped. Follows links, but to regular files only; raises FileFormatError.

    name: for errors, the path by default. least: files of fewer bytes are read, as every map keeps one open.
    """
    name = name or str(path)
    try:
        if not path.is_file():
            raise FileFormatError("not a regular file" if path.exists() else "no such file", where=name)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size == 0:
                return b""
            if size < least:
                file.seek(0)
                return file.read(size)
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"cannot be read: {reason(error)}", where=name) from None


def give_pages_back(array: np.ndarray) -> None:
    """Of an array that lies in a mapped file: its memory is free until somebody reads it again, from the file. Nothing
    happens to other arrays."""
    owner: Any = array
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def reason(error: Exception) -> str:
    """The operating system's words, without number and path."""
    return getattr(error, "strerror", None) or str(error)


def _vendors(reader: ItemReader, header: TensorHeader, payload: memoryview, name: str) -> np.ndarray:
    """What the reader makes of the payload, in the type the kind has in a graph. Raises FileFormatError."""
    try:
        array = np.asarray(reader.read(payload, header)).reshape(-1)
        stored: np.ndarray = array.astype(_STORED[reader.kind], casting="same_kind")
    except (Exception, SystemExit) as error:  # whatever the user's code does
        what = f"item type 0x{header.code:04x} of vendor 0x{header.vendor:04x}"
        raise FileFormatError(f"{what}: {type(error).__name__}: {error}", where=name) from error
    if array.size != header.volume:
        raise FileFormatError(f"expected {header.volume} items, its reader gives {array.size}", where=name)
    return stored


def _decoded(header: TensorHeader, payload: memoryview, name: str) -> np.ndarray:
    """Payload -> flat array of the type the header's kind has in a graph."""
    if header.item is ItemType.FLOAT:
        with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN becomes a quiet one
            return np.frombuffer(payload, f"<f{header.bits // 8}").astype(np.float32, copy=False)
    if header.item is ItemType.LOGICAL:
        raw = np.frombuffer(payload, np.uint8)
        return np.unpackbits(raw, count=header.volume).view(bool) if header.bits == 1 else raw != 0
    if header.is_signed and header.bits == 64:
        return np.frombuffer(payload, "<i8").astype(np.int64, copy=False)
    values = np.empty(header.volume, np.int64)
    raw = np.frombuffer(payload, np.uint8)
    for start in range(0, header.volume, CHUNK):
        stop = min(start + CHUNK, header.volume)
        bits = _unpacked(raw[start * header.bits // 8 : -(-stop * header.bits // 8)], header.bits, stop - start)
        values[start:stop] = _as_signed(header, bits, name)
    return values


def _unpacked(raw: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Bytes -> uint64[count], the items' bits at the low end."""
    if bits % 8 == 0:
        wide = np.zeros((count, 8), np.uint8)
        wide[:, : bits // 8] = raw.reshape(count, bits // 8)
        return wide.view("<u8")[:, 0]
    wide = np.zeros((count, 64), np.uint8)
    wide[:, 64 - bits :] = np.unpackbits(raw, count=count * bits).reshape(count, bits)
    return np.packbits(wide, axis=1).view(">u8")[:, 0]


def _as_signed(header: TensorHeader, values: np.ndarray, name: str) -> np.ndarray:
    """Items' bits -> int64."""
    values = values.astype(np.uint64)
    if header.is_signed:
        sign = np.uint64(1 << (header.bits - 1))
        return ((values ^ sign) - sign).view(np.int64)
    if header.bits == 64 and values.max() > np.iinfo(np.int64).max:
        raise FileFormatError(f"unsigned integer {values.max()} does not fit 63 bits", where=name)
    return values.view(np.int64)


# Writing ---------------------------------------------------------------------------------------------------
def write_tensor(
    target: str | Path | BinaryIO, array: Any, bits: int | None = None, code: ItemType | int | None = None
) -> None:
    """Write an array of floats, integers or bools, rank 0 to 8, to a path or an open binary file.

    code: by default what the array holds: FLOAT (bits 32), SIGNED or UNSIGNED (bits as in the array) or
    LOGICAL (bits 1). Raises InputError where a value, the shape or the combination cannot be stored.
    """
    array = np.asarray(array)
    item = _default_item(array) if code is None else _known_item(code)
    header = _new_header(array, item, bits)
    chunks = _encoded(array.reshape(-1), header)
    head = _HEADER.pack(
        _MAGIC, 1, 0, header.data_length, len(header.shape), *header.shape, *[0] * (MAX_RANK - len(header.shape)),
        header.bits, header.code, header.vendor, header.parameters,
    )  # fmt: skip
    if isinstance(target, (str, Path)):
        payload = b"".join(chunks)  # so that a value out of range leaves no half file
        try:
            Path(target).write_bytes(head + payload)
        except OSError as error:
            raise Error(f"{target}: cannot be written: {reason(error)}") from None
        return
    target.write(head)
    for chunk in chunks:
        target.write(chunk)


def _default_item(array: np.ndarray) -> ItemType:
    items = {"f": ItemType.FLOAT, "i": ItemType.SIGNED, "u": ItemType.UNSIGNED, "b": ItemType.LOGICAL}
    if array.dtype.kind not in items:
        raise InputError(f"a tensor file cannot hold items of type {array.dtype}")
    return items[array.dtype.kind]


def _known_item(code: int) -> ItemType:
    try:
        return ItemType(code)
    except ValueError:
        raise InputError(f"unknown item type {code}, expected 0 to {max(ItemType):d}") from None


def _new_header(array: np.ndarray, item: ItemType, bits: int | None) -> TensorHeader:
    """The header to write, or InputError."""
    kinds = {ItemType.FLOAT: "f", ItemType.LOGICAL: "b"}.get(item, "iu")
    if array.dtype.kind not in kinds:
        raise InputError(f"item type {item.name} cannot hold values of type {array.dtype}")
    if bits is None:
        bits = {ItemType.FLOAT: 32, ItemType.LOGICAL: 1}.get(item, array.dtype.itemsize * 8)
    if bits not in _WIDTHS.get(item, _ANY_WIDTH):
        raise InputError(f"item type {item.name} cannot have {bits} bits")
    if array.ndim > MAX_RANK or 0 in array.shape:
        raise InputError(f"expected rank 0 to {MAX_RANK} and extents above 0, got shape {list(array.shape)}")
    length = -(-array.size * bits // 8)
    if length >= 2**32:
        raise InputError(f"a tensor file holds less than 4 GiB, shape {list(array.shape)} needs {length} bytes")
    return TensorHeader(array.shape, item, bits, length, int(item))


def _encoded(values: np.ndarray, header: TensorHeader) -> Iterator[bytes]:
    """Flat array -> pieces of payload."""
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK]
        if header.item is ItemType.FLOAT:
            yield _packed_floats(part, header.bits)
        elif header.item is ItemType.LOGICAL:
            yield (np.packbits(part) if header.bits == 1 else part.astype(np.uint8)).tobytes()
        else:
            yield _packed_integers(part, header)


def _packed_floats(values: np.ndarray, bits: int) -> bytes:
    with np.errstate(over="ignore"):
        stored = values.astype(f"<f{bits // 8}")
    if np.any(np.isinf(stored) & np.isfinite(values)):
        raise InputError(f"a value does not fit a float of {bits} bits")
    return stored.tobytes()


def _packed_integers(values: np.ndarray, header: TensorHeader) -> bytes:
    bits = header.bits
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if header.is_signed else (0, (1 << bits) - 1)
    for value in (int(values.min()), int(values.max())):
        if not low <= value <= high:
            raise InputError(f"{value} does not fit {header.item.name.lower()} items of {bits} bits")
    wide = values.astype(np.int64).view(np.uint64) if values.dtype.kind == "i" else values.astype(np.uint64)
    if bits % 8 == 0:
        return wide.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : bits // 8].tobytes()
    stream = np.unpackbits(wide.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    return np.packbits(stream[:, 64 - bits :]).tobytes()
