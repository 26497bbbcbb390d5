"""Mutation of text, tensor files, quantisation files and archives: of their fields, their tokens and their bytes."""

from __future__ import annotations

import gzip
import re
import struct
import tarfile
from collections.abc import Mapping
from random import Random

from tests.fuzz.corpus import packed

TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[A-Za-z_]\w*|[0-9.]+(?:e[-+]?[0-9]+)?|->|[<>=!&|]+|\s+|.", re.DOTALL)
WORDS = (
    "(", ")", "[", "]", "{", "}", ",", ";", ":", "=", "->", "<", ">", "<?>", "?", "graph", "fragment", "version", "extension",
    "tensor", "if", "else", "for", "in", "yield", "true", "-1", "1e999", "99999999999999999999", "0.5", "'s'", "#", "'", '"',
    "x", "\0", "é", "\n", "external", "variable", "relu", "min", "max", "bits", "scale", "zero_point", "[[1, 2], [3]]",
)  # fmt: skip
HEADER = struct.Struct("<2sBBII8IIHH32s44x")
INTERESTING = (0, 1, 2, 3, 4, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 257, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
USTAR = {
    "name": (0, 100), "mode": (100, 8), "size": (124, 12), "mtime": (136, 12), "checksum": (148, 8), "type": (156, 1),
    "link": (157, 100), "magic": (257, 8), "prefix": (345, 155),
}  # fmt: skip
FIELD_VALUES = (
    b"", b"\0", b"/etc/passwd\0", b"../x\0", b"graph.nnef\0", b"a/graph.nnef\0", b"C:\\x\0", b"7777777777\0", b"00000000017\0",
    b"-1\0", b"\x80\0\0\0\0\0\0\0\0\0\1\0", b"\xff" * 12, b"ustar\x0000", b"ustar  \0", b"99999999999", b"\x00" * 8, b"x" * 100,
)  # fmt: skip
TYPES = b"01234567LKSxgVDMNX\0"


def bytes_changed(random: Random, data: bytes) -> bytes:
    """Flipped, overwritten, cut, doubled or inserted bytes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at, other = random.randrange(len(changed) + 1), random.randrange(len(changed) + 1)
        match random.randrange(6):
            case 0:
                del changed[at:]
            case 1:
                changed[at:at] = random.randbytes(random.choice((1, 2, 8, 100)))
            case 2:
                del changed[at : at + random.choice((1, 2, 8, 100))]
            case 3:
                changed[at:at] = changed[other : other + random.choice((4, 32, 512))]
            case _ if at < len(changed):
                changed[at] = random.choice((changed[at] ^ 1 << random.randrange(8), random.randrange(256)))
    return bytes(changed)


def tokens_changed(random: Random, text: str) -> str:
    """Tokens removed, doubled, swapped, replaced, repeated many times."""
    tokens = TOKEN.findall(text)
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        at, other = random.randrange(len(tokens) + 1), random.randrange(len(tokens) + 1)
        match random.randrange(6):
            case 0:
                del tokens[at : at + 1]
            case 1:
                tokens[at:at] = tokens[other : other + random.choice((1, 3, 10))]
            case 2:
                tokens.insert(at, random.choice(WORDS))
            case 3:
                tokens[at : at + 1] = [random.choice(WORDS)]
            case 4:
                tokens[at:at] = [random.choice(WORDS)] * random.choice((2, 50, 250))
            case _ if max(at, other) < len(tokens):
                tokens[at], tokens[other] = tokens[other], tokens[at]
    return "".join(tokens)


def tensor_changed(random: Random, data: bytes) -> bytes:
    """Header fields set to other values; the lengths put right again now and then."""
    fields = list(HEADER.unpack_from(data))
    payload = data[HEADER.size :]
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(fields))
        if at == 0:
            fields[0] = random.choice((b"\x4e\xef", b"NN", b"\xef\x4e"))
        elif at == len(fields) - 1:
            fields[at] = random.choice((bytes(32), random.randbytes(32), b"\1" + bytes(31)))
        else:
            limit = 256 if at < 3 else 65536 if at >= 14 else 2**32
            fields[at] = random.choice((random.choice(INTERESTING), random.randrange(70), fields[at] ^ 1, fields[at] + 1)) % limit
    if random.random() < 0.5:
        payload = payload[: random.choice((0, 1, len(payload) // 2, len(payload)))] + bytes(random.choice((0, 0, 1, 4, 64)))
    if random.random() < 0.4:
        fields[3] = len(payload)
    return HEADER.pack(*fields) + payload


def archive_changed(random: Random, files: Mapping[str, bytes]) -> bytes:
    """Members renamed, doubled, left out, put into folders; header fields changed with a right or a wrong checksum."""
    members = list(files.items())
    for _ in range(random.choice((0, 1, 2))):
        at = random.randrange(len(members) + 1)
        name, content = random.choice(members) if members else ("x", b"")
        renamed = random.choice((f"m/{name}", f"./{name}", f"../{name}", name.upper(), "", "x" * 300, f"m/{name}/..", f"/{name}", "é"))
        members[at : at + 1] = random.choice(([], [(name, content)], [(renamed, content)], [(name, content[: len(content) // 2])]))
    data = bytearray(packed(members, random.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))))
    for _ in range(random.choice((0, 1, 1, 2))):
        _header_changed(random, data)
    cut = bytes(data[: random.choice((len(data), len(data), random.randrange(len(data) + 1)))])
    if random.random() < 0.3:
        zipped = gzip.compress(cut, random.choice((1, 9)), mtime=0)
        return random.choice((zipped, zipped, zipped[: random.randrange(len(zipped))], bytes_changed(random, zipped), zipped + cut[:600]))
    return cut


def _header_changed(random: Random, data: bytearray) -> None:
    """One field of one member's header."""
    headers = [at for at in range(0, len(data) - 511, 512) if data[at + 257 : at + 262] == b"ustar"]
    if not headers:
        return
    at = random.choice(headers)
    name = random.choice(list(USTAR))
    start, length = USTAR[name]
    value = bytes([random.choice(TYPES)]) if name == "type" else random.choice(FIELD_VALUES)[:length]
    data[at + start : at + start + len(value)] = value
    if random.random() < 0.8 and name != "checksum":
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
