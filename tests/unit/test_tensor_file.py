"""Tensor files: hand-made bytes, round trips of every item type and width, and files that must be refused."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_cl.errors import Error, FileFormatError, InputError, UnsupportedError
from nnef_cl.format.tensor_file import (
    CHUNK,
    ItemType,
    give_pages_back,
    map_file,
    read_header,
    read_tensor_file,
    write_tensor,
)


def tensor(
    payload: bytes,
    shape: tuple[int, ...],
    bits: int,
    code: int,
    *,
    vendor: int = 0,
    length: int | None = None,
    magic: bytes = b"\x4e\xef",
    version: tuple[int, int] = (1, 0),
    rank: int | None = None,
    parameters: bytes = b"",
) -> bytes:
    """A tensor file put together by the table of the standard, offset by offset."""
    header = bytearray(128)
    header[0:2] = magic
    header[2:4] = bytes(version)
    struct.pack_into("<II", header, 4, len(payload) if length is None else length, len(shape) if rank is None else rank)
    struct.pack_into(f"<{len(shape)}I", header, 12, *shape)
    struct.pack_into("<IHH", header, 44, bits, code, vendor)
    header[52 : 52 + len(parameters)] = parameters
    return bytes(header) + payload


def written(array: Any, bits: int | None = None, code: int | None = None) -> bytes:
    file = io.BytesIO()
    write_tensor(file, array, bits, code)
    return file.getvalue()


VECTORS: dict[str, tuple[bytes, Any, str]] = {
    "float16": (tensor(b"\x00\x3c\x00\xc0\x00\x7c", (3,), 16, 0), np.float32([1, -2, np.inf]), "scalar"),
    "float32": (tensor(struct.pack("<2f", 0.5, -3), (1, 2), 32, 0), np.float32([[0.5, -3]]), "scalar"),
    "float64": (tensor(struct.pack("<2d", 0.1, 1e300), (2,), 64, 0), np.float32([0.1, np.inf]), "scalar"),
    "signalling NaN": (tensor(struct.pack("<2Q", 0x7FF0000000000001, 1 << 62), (2,), 64, 0), np.float32([np.nan, 2]), "scalar"),
    "scalar": (tensor(struct.pack("<f", 7), (), 32, 0), np.float32(7), "scalar"),
    "uint8": (tensor(b"\x00\xff", (2,), 8, 1), np.int64([0, 255]), "integer"),
    "uint16": (tensor(b"\x01\x02", (1,), 16, 1), np.int64([513]), "integer"),
    "uint24": (tensor(b"\x01\x00\x80", (1,), 24, 1), np.int64([0x800001]), "integer"),
    "old signed": (tensor(b"\xff", (1,), 8, 1, parameters=b"\1\0\0\0"), np.int64([-1]), "integer"),
    "int8": (tensor(b"\x7f\x80", (2,), 8, 4), np.int64([127, -128]), "integer"),
    "int32": (tensor(struct.pack("<i", -5), (1,), 32, 4), np.int64([-5]), "integer"),
    "int64": (tensor(struct.pack("<q", -(2**63)), (1,), 64, 4), np.int64([-(2**63)]), "integer"),
    "uint4": (tensor(b"\x12\x30", (3,), 4, 1), np.int64([1, 2, 3]), "integer"),
    "int4": (tensor(b"\x1f\x80", (3,), 4, 4), np.int64([1, -1, -8]), "integer"),
    "uint3": (tensor(b"\x29\x80", (3,), 3, 1), np.int64([1, 2, 3]), "integer"),
    "uint12": (tensor(b"\xab\xcd\xef", (2,), 12, 1), np.int64([0xABC, 0xDEF]), "integer"),
    "bool1": (tensor(b"\xa0\x80", (9,), 1, 5), np.array([1, 0, 1, 0, 0, 0, 0, 0, 1], bool), "logical"),
    "bool8": (tensor(b"\x00\x01\x02", (3,), 8, 5), np.array([False, True, True]), "logical"),
    "minor version": (tensor(struct.pack("<f", 1), (1,), 32, 0, version=(1, 3)), np.float32([1]), "scalar"),
    "old code of signed": (tensor(b"\xff", (1,), 8, 0x100), np.int64([-1]), "integer"),
    "old code of bool": (tensor(b"\x80", (1,), 1, 0x101), np.array([True]), "logical"),
}  # fmt: skip


@pytest.mark.parametrize("case", VECTORS)
def test_vector(case: str) -> None:
    data, expected, kind = VECTORS[case]
    file = read_tensor_file(data)
    assert file.array.dtype == expected.dtype
    np.testing.assert_array_equal(file.array, expected)
    assert file.array.shape == expected.shape
    assert not file.array.flags.writeable
    assert (file.header.kind, file.header.is_quantised) == (kind, False)


@pytest.mark.parametrize(("code", "value"), [(2, 200), (3, -56), (0x10, 200), (0x11, 200)])
def test_quantised_items_are_raw_codes_and_say_so(code: int, value: int) -> None:
    file = read_tensor_file(tensor(b"\xc8", (1,), 8, code, parameters=struct.pack("<2f", -1, 1)))
    assert file.array.tolist() == [value]
    assert file.header.is_quantised
    assert file.header.kind == "scalar"
    assert struct.unpack("<2f", file.header.parameters[:8]) == (-1, 1)


@pytest.mark.parametrize("bits", range(1, 65))
@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_round_trip_of_integers(code: int, bits: int) -> None:
    signed = code in (3, 4)
    low = -(1 << bits - 1) if signed else 0
    high = (1 << bits - 1) - 1 if signed else (1 << min(bits, 63)) - 1
    random = np.random.default_rng(bits).integers(low, high, 19, np.int64, endpoint=True)
    values = np.concatenate([np.array([low, high, 0], np.int64), random]).reshape(2, 11)
    data = written(values, bits, code)
    assert len(data) == 128 + (22 * bits + 7) // 8
    file = read_tensor_file(data)
    np.testing.assert_array_equal(file.array, values)
    assert (file.header.code, file.header.bits) == (code, bits)


def test_round_trip_longer_than_one_chunk() -> None:
    values = np.random.default_rng(0).integers(-4, 4, 2 * CHUNK + 5)
    np.testing.assert_array_equal(read_tensor_file(written(values, 3)).array, values)
    flags = values > 0
    np.testing.assert_array_equal(read_tensor_file(written(flags)).array, flags)


@pytest.mark.parametrize(
    ("array", "bits", "code"),
    [
        (np.float32([1]), 32, ItemType.FLOAT),
        (np.float64([1]), 32, ItemType.FLOAT),
        (np.int16([1]), 16, ItemType.SIGNED),
        (np.uint8([1]), 8, ItemType.UNSIGNED),
        (np.array([True]), 1, ItemType.LOGICAL),
    ],
)
def test_defaults_of_the_writer(array: np.ndarray, bits: int, code: ItemType) -> None:
    header = read_header(written(array))
    assert (header.bits, header.item) == (bits, code)


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_round_trip_of_floats(bits: int) -> None:
    values = np.array([[0.5, -0.0], [np.inf, np.nan]])
    np.testing.assert_array_equal(read_tensor_file(written(values, bits)).array, values.astype(np.float32))


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (1,) * 8])
def test_round_trip_of_bools_of_any_rank(bits: int, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).random(shape) > 0.5
    file = read_tensor_file(written(values, bits))
    np.testing.assert_array_equal(file.array, values)
    assert file.array.shape == shape


def test_exact_bytes() -> None:
    assert written(np.array([[1, -1, 2]]), 4) == tensor(b"\x1f\x20", (1, 3), 4, 4)
    assert written(np.float32([1.5])) == tensor(b"\x00\x00\xc0\x3f", (1,), 32, 0)
    assert written(np.array([True, False, True])) == tensor(b"\xa0", (3,), 1, 5)


def test_float32_of_a_path_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "w.dat"
    write_tensor(path, np.arange(6, dtype=">f4").reshape(2, 3)[:, ::-1])
    array = read_tensor_file(path).array
    np.testing.assert_array_equal(array, np.float32([[2, 1, 0], [5, 4, 3]]))
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_bytes_are_not_copied() -> None:
    data = bytearray(written(np.float32([1, 2])))
    array = read_tensor_file(data).array
    data[128:132] = struct.pack("<f", 9)
    assert array.tolist() == [9, 2]


FLOAT = struct.pack("<f", 1)
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated: expected a header of 128 bytes, got 0 bytes"),
    "half a header": (tensor(b"", (1,), 32, 0)[:100], "expected a header of 128 bytes, got 100 bytes"),
    "magic": (tensor(FLOAT, (1,), 32, 0, magic=b"PK"), "not an NNEF tensor: expected magic 4e ef, got 50 4b"),
    "version": (tensor(FLOAT, (1,), 32, 0, version=(2, 0)), "expected format version 1.x, got 2.0"),
    "rank": (tensor(FLOAT, (1,), 32, 0, rank=9), "expected rank 0 to 8, got 9"),
    "huge rank": (tensor(FLOAT, (1,), 32, 0, rank=2**32 - 1), "expected rank 0 to 8, got 4294967295"),
    "extent 0": (tensor(b"", (2, 0), 32, 0), "expected extents above 0, got shape [2, 0]"),
    "huge shape": (
        tensor(FLOAT, (2**32 - 1,) * 8, 32, 0),
        "bytes, header says 4",
    ),
    "10 GB in a kilobyte": (
        tensor(bytes(1000), (2_500_000_000,), 32, 0, length=4_000_000_000),
        "shape [2500000000] of 32-bit items needs 10000000000 bytes, header says 4000000000",
    ),
    "1 GB in a kilobyte": (
        tensor(bytes(1000), (250_000_000,), 32, 0, length=1_000_000_000),
        "truncated: expected 1000000000 bytes of data, got 1000",
    ),
    "one byte short": (tensor(FLOAT, (1,), 32, 0)[:-1], "truncated: expected 4 bytes of data, got 3"),
    "one byte more": (tensor(FLOAT, (1,), 32, 0) + b"x", "trailing bytes: expected 4 bytes of data, got 5"),
    "old export, data": (tensor(FLOAT, (1,), 32, 0) + bytes(4), "got 8 (exports from before October 2018 carry 4"),
    "old export, length": (tensor(FLOAT, (1,), 32, 0, length=8), "header says 8 (exports from before October 2018"),
    "bits of a float": (tensor(FLOAT, (1,), 8, 0), "expected items of 16 or 32 or 64 bits, got 8"),
    "bits of a bool": (tensor(FLOAT, (1,), 2, 5), "expected items of 1 or 8 bits, got 2"),
    "no bits": (tensor(b"", (1,), 0, 1), "expected items of 1 to 64 bits, got 0"),
    "65 bits": (tensor(bytes(9), (1,), 65, 4), "expected items of 1 to 64 bits, got 65"),
    "item type": (tensor(FLOAT, (1,), 32, 6), "unknown item type 0x0006"),
    "uint64": (tensor(b"\xff" * 8, (1,), 64, 1), "unsigned integer 18446744073709551615 does not fit 63 bits"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(FileFormatError) as caught:
        read_tensor_file(data, "w.dat")
    assert message in str(caught.value)
    assert str(caught.value).startswith("w.dat: ")


@pytest.mark.parametrize(
    ("code", "vendor", "message"),
    [(0x3040, 0x5452, "item type 0x3040 of tract is not supported"), (0, 7, "item type 0x0000 of vendor 0x0007")],
)
def test_item_types_of_vendors(code: int, vendor: int, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        read_tensor_file(tensor(FLOAT, (1,), 32, code, vendor=vendor))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"absent\.dat: no such file"):
        read_tensor_file(tmp_path / "absent.dat")
    with pytest.raises(FileFormatError, match="not a regular file"):
        read_tensor_file(tmp_path)
    with pytest.raises(FileFormatError, match=r"no such file|null byte"):
        read_tensor_file("a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.dat")
    with pytest.raises(FileFormatError, match="not a regular file"):
        read_tensor_file(tmp_path / "w.dat")


@pytest.mark.parametrize(
    ("array", "bits", "code", "message"),
    [
        (np.array([8]), 4, None, "8 does not fit signed items of 4 bits"),
        (np.array([-1]), 8, 1, "-1 does not fit unsigned items of 8 bits"),
        (np.array([2**64 - 1], np.uint64), 64, 4, "18446744073709551615 does not fit signed items of 64 bits"),
        (np.float32([70000]), 16, None, "a value does not fit a float of 16 bits"),
        (np.float32([1]), 24, None, "item type FLOAT cannot have 24 bits"),
        (np.array([1]), 65, None, "item type SIGNED cannot have 65 bits"),
        (np.float32([1]), 8, 4, "item type SIGNED cannot hold values of type float32"),
        (np.array(["a"]), None, None, "cannot hold items of type <U1"),
        (np.zeros((1,) * 9), None, None, "expected rank 0 to 8"),
        (np.zeros((0,)), None, None, "extents above 0, got shape \\[0\\]"),
        (np.array([1]), None, 9, "unknown item type 9, expected 0 to 5"),
    ],
)
def test_refused_by_the_writer(array: np.ndarray, bits: int | None, code: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        written(array, bits, code)


def test_nothing_is_written_where_a_value_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_tensor(tmp_path / "w.dat", np.array([9]), 4)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Error, match="cannot be written"):
        write_tensor(tmp_path / "absent" / "w.dat", np.array([1]))


def test_pages_that_were_given_back_are_read_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((64, 1024), np.float32)
    with (tmp_path / "x.dat").open("wb") as file:
        write_tensor(file, values)
    mapped = read_tensor_file(map_file(tmp_path / "x.dat")).array
    for array in (mapped, mapped[3:].T, values, values[1:], np.float32(1.0).reshape(1)):
        before = array.copy()
        give_pages_back(array)
        np.testing.assert_array_equal(array, before)
