"""Containers: folders and archives read in place, and hostile ones that must be refused."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnef_cl.errors import FileFormatError, ModelError
from nnef_cl.format import container
from nnef_cl.format.container import open_container, tensor_name
from nnef_cl.format.tensor_file import read_tensor_file, write_tensor

TEXT = b"version 1.0; graph g() -> () {}"
FILES = {"graph.nnef": TEXT, "a.dat": b"root", "conv1/Filter.dat": b"filter", "notes.txt": b"ignored"}


def file_member(name: str, content: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def special_member(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def tar_bytes(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def tar_of(files: dict[str, bytes]) -> bytes:
    return tar_bytes([file_member(name, content) for name, content in files.items()])


def as_folder(path: Path) -> Path:
    for name, content in FILES.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)
    return path


def stored(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "folder": as_folder,
    "graph": lambda path: as_folder(path) / "graph.nnef",
    "tar": lambda path: stored(path / "m.nnef.tar", tar_of(FILES)),
    "tgz": lambda path: stored(path / "m.nnef.tgz", gzip.compress(tar_of(FILES))),
    "tar under another name": lambda path: stored(path / "graph.nnef", tar_of(FILES)),
    "tgz under another name": lambda path: stored(path / "model", gzip.compress(tar_of(FILES))),
    "top folder": lambda path: stored(path / "m.tar", tar_of({f"./m/{k}": v for k, v in FILES.items()})),
    "tgz in two streams": lambda path: stored(
        path / "m.tgz", gzip.compress(tar_of(FILES)[:1000]) + gzip.compress(tar_of(FILES)[1000:])
    ),
}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return KINDS[request.param](tmp_path)


def test_files_are_read(model: Path) -> None:
    with open_container(model) as files:
        assert files.read_text("graph.nnef") == TEXT
        assert files.read_text("graph.quant") is None
        assert (files.has("graph.nnef"), files.has("graph.quant"), files.has("Graph.nnef")) == (True, False, False)
        for label, content in {
            "a": b"root",
            "/a": b"root",
            "A": b"root",
            "conv1/Filter": b"filter",
            "conv1\\Filter": b"filter",
            "CONV1/./filter": b"filter",
        }.items():
            assert files.has_tensor(label)
            assert bytes(files.open_tensor(label)) == content
        assert not files.has_tensor("b")
        assert not files.has_tensor("a/b")
        with pytest.raises(FileFormatError, match=r"no file 'b\.dat' for variable 'b'"):
            files.open_tensor("b")
        with pytest.raises(FileFormatError, match=r"'graph\.nnef' has 31 bytes, expected at most 30"):
            files.read_text("graph.nnef", limit=30)


@pytest.mark.parametrize(("mode", "in_memory"), [("w", None), ("w:gz", 0), ("w:gz", 1 << 20)])
def test_tensors_of_archives(tmp_path: Path, mode: str, in_memory: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if in_memory is not None:
        monkeypatch.setattr(container, "IN_MEMORY", in_memory)
    arrays = {f"w{k}": np.random.default_rng(k).random((k + 1, 300), np.float32) for k in range(20)}
    with tarfile.open(tmp_path / "m.tar", mode) as tar:  # type: ignore[call-overload]
        for label, array in arrays.items():
            write_tensor(tmp_path / "t.dat", array)
            tar.add(tmp_path / "t.dat", f"{label}.dat")
        tar.addfile(file_member("graph.nnef", TEXT)[0], io.BytesIO(TEXT))
    with open_container(tmp_path / "m.tar") as files:
        read = {label: read_tensor_file(files.open_tensor(label), label).array for label in reversed(arrays)}
    for label, array in arrays.items():
        np.testing.assert_array_equal(read[label], array)


def test_exact_case_goes_first(tmp_path: Path) -> None:
    path = stored(tmp_path / "m.tar", tar_of({"graph.nnef": b"", "w.dat": b"1", "W.dat": b"2"}))
    files = open_container(path)
    assert (bytes(files.open_tensor("w")), bytes(files.open_tensor("W"))) == (b"1", b"2")
    path = stored(tmp_path / "n.tar", tar_of({"graph.nnef": b"", "wa.dat": b"1", "WA.dat": b"2"}))
    with pytest.raises(FileFormatError, match=r"'Wa\.dat' may be any of 'WA\.dat', 'wa\.dat'"):
        open_container(path).open_tensor("Wa")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_file_names_in_capitals(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    stream = io.BytesIO()
    write_tensor(stream, np.float32([1, 2]))
    path = stored(tmp_path / "m", pack(tar_of({"graph.nnef": TEXT, "W.DAT": stream.getvalue()})))
    np.testing.assert_array_equal(read_tensor_file(open_container(path).open_tensor("w"), "w").array, [1, 2])
    for headers_only in (False, True):
        assert open_container(path, headers_only=headers_only).tensor_header("w").shape == (2,)


def test_graph_at_the_root_is_preferred(tmp_path: Path) -> None:
    files = {"sub/graph.nnef": b"sub", "graph.nnef": b"root", "sub/w.dat": b"1"}
    opened = open_container(stored(tmp_path / "m.tar", tar_of(files)))
    assert opened.read_text("graph.nnef") == b"root"
    assert opened.has_tensor("sub/w")


def test_folders_of_archives_are_no_files(tmp_path: Path) -> None:
    members = [special_member("sub", tarfile.DIRTYPE), file_member("graph.nnef", TEXT)]
    assert not open_container(stored(tmp_path / "m.tar", tar_bytes(members))).has("sub")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("../a", "label '../a' reaches outside the model"),
        ("a/../../b", "reaches outside the model"),
        ("..\\a", "reaches outside the model"),
        ("", "has characters other than"),
        ("a b", "label 'a b' has characters other than letters, digits"),
        ("C:/a", "has characters other than"),
        ("a\n", "has characters other than"),
        ("é", "has characters other than"),
        ("//.", "names no file"),
    ],
)
def test_labels_that_are_no_file_names(label: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        tensor_name(label)
    assert message in str(caught.value)


# Hostile archives: members, and what the error says ----------------------------------------------------------
GRAPH_MEMBER = file_member("graph.nnef", TEXT)
HOSTILE: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "outside": ([GRAPH_MEMBER, file_member("../evil.dat")], "member '../evil.dat' reaches outside the archive"),
    "inside a folder": ([GRAPH_MEMBER, file_member("a/../../evil")], "reaches outside the archive"),
    "backslashes": ([GRAPH_MEMBER, file_member("..\\evil")], "reaches outside the archive"),
    "absolute": ([GRAPH_MEMBER, file_member("/etc/passwd")], "member '/etc/passwd' reaches outside the archive"),
    "drive": ([GRAPH_MEMBER, file_member("C:\\evil")], "reaches outside the archive"),
    "folder outside": ([GRAPH_MEMBER, special_member("../d", tarfile.DIRTYPE)], "reaches outside the archive"),
    "link": ([GRAPH_MEMBER, special_member("w.dat", tarfile.SYMTYPE, "/etc/passwd")], "member 'w.dat' is a link"),
    "hard link": ([GRAPH_MEMBER, special_member("w.dat", tarfile.LNKTYPE, "graph.nnef")], "member 'w.dat' is a link"),
    "pipe": ([GRAPH_MEMBER, special_member("w.dat", tarfile.FIFOTYPE)], "member 'w.dat' is not a regular file"),
    "device": ([GRAPH_MEMBER, special_member("w.dat", tarfile.CHRTYPE)], "member 'w.dat' is not a regular file"),
    "twice": ([GRAPH_MEMBER, file_member("a.dat"), file_member("./a.dat")], "member 'a.dat' is there twice"),
    "no graph": ([file_member("a.dat")], "there is no graph.nnef in it"),
    "too deep": ([file_member("a/b/graph.nnef")], "there is no graph.nnef in it"),
    "two models": ([file_member("a/graph.nnef"), file_member("b/graph.nnef")], "holds 2 models: 'a', 'b'"),
    "empty": ([], "there is no graph.nnef in it"),
}


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["tar", "tgz"])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archive(case: str, compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    members, message = HOSTILE[case]
    path = stored(tmp_path / "m.archive", compress(tar_bytes(members)))
    with pytest.raises(FileFormatError) as caught:
        open_container(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def patched_size(digits: bytes) -> bytes:
    """A tar whose second member declares another size than it has."""
    data = bytearray(tar_of({"graph.nnef": TEXT, "w.dat": b"1234"}))
    header = data[1024:1536]
    header[124:136] = digits.ljust(12, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data[1024:1536] = header
    return bytes(data)


LARGE = tar_of({"graph.nnef": TEXT, "w.dat": bytes(range(256)) * 1000})
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "the file is empty"),
    "text": (b"hello", "not a model folder, a graph.nnef or a tar archive"),
    "zeros of no tar": (b"\1" * 2000, "not a model folder, a graph.nnef or a tar archive"),
    "zip": (b"PK\3\4" + bytes(2000), "not a model folder, a graph.nnef or a tar archive"),
    "gzip of nothing": (gzip.compress(b""), "m.tgz: "),
    "gzip of text": (gzip.compress(b"hello" * 1000), "not a model folder, a graph.nnef or a tar archive"),
    "gzip magic only": (b"\x1f\x8b", "m.tgz: "),
    "truncated tar": (LARGE[:5000], "m.tgz: "),
    "truncated gzip": (gzip.compress(LARGE)[:-700], "truncated archive"),
    "gzip without its end": (gzip.compress(LARGE)[:-8], "truncated archive"),
    "gzip with a wrong checksum": (gzip.compress(LARGE)[:-8] + bytes(8), "or a damaged one (CRC check failed"),
    "garbage in gzip": (gzip.compress(LARGE)[:60] + b"\xff" * 2000, "m.tgz: "),
    "size beyond the end": (patched_size(b"77777777777"), "m.tgz: "),
    "size beyond the end, compressed": (gzip.compress(patched_size(b"77777777777")), "expands to more than"),
    "some size beyond the end, compressed": (gzip.compress(patched_size(b"00000100000")), "m.tgz: "),
    "negative size": (patched_size(b"\xff" * 11 + b"\x00"), "m.tgz: "),
    "negative size, compressed": (gzip.compress(patched_size(b"\xff" * 11 + b"\x00")), "m.tgz: "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_archive(case: str, tmp_path: Path) -> None:
    content, message = BROKEN[case]
    with pytest.raises(FileFormatError) as caught:
        open_container(stored(tmp_path / "m.tgz", content))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNEF_CL_MAX_EXPANSION", str(1 << 20))
    path = stored(tmp_path / "m.tgz", gzip.compress(tar_of({"graph.nnef": TEXT, "x": bytes(8 << 20)})))
    with pytest.raises(FileFormatError, match=r"expands to more than 1048576 bytes, far .* \(NNEF_CL_MAX_EXPANSION sets another limit\)"):
        open_container(path)
    monkeypatch.setenv("NNEF_CL_MAX_EXPANSION", str(16 << 20))
    assert open_container(path).read_text("graph.nnef")


def test_no_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    content = np.random.default_rng(0).bytes(container.IN_MEMORY + 1)
    path = stored(tmp_path / "m.tgz", gzip.compress(tar_of({**FILES, "large.dat": content}), 1))
    assert bytes(open_container(path).open_tensor("large")) == content


def test_no_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(container, "_copy", full)
    with pytest.raises(FileFormatError, match=r"m\.tgz: no room to unpack the archive in .*; TMPDIR names another place"):
        open_container(stored(tmp_path / "m.tgz", gzip.compress(tar_of(FILES))))


def test_paths_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        open_container(tmp_path / "absent")
    with pytest.raises(FileFormatError, match=r"there is no graph\.nnef in it"):
        open_container(tmp_path)
    with pytest.raises(FileFormatError, match=r"no such file|null byte"):
        open_container("a\0b")
    (tmp_path / "graph.nnef").mkdir()
    with pytest.raises(FileFormatError, match="not a regular file"):
        open_container(tmp_path).read_text("graph.nnef")


def test_links_in_folders(tmp_path: Path) -> None:
    model, elsewhere = tmp_path / "m", tmp_path / "elsewhere"
    model.mkdir()
    elsewhere.mkdir()
    as_folder(elsewhere)
    try:
        (model / "graph.nnef").symlink_to(elsewhere / "graph.nnef")
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    (model / "conv1").symlink_to(elsewhere / "conv1")
    (model / "folder.dat").symlink_to(elsewhere)
    (model / "absent.dat").symlink_to(tmp_path / "absent")
    (model / "loop.dat").symlink_to(model / "loop.dat")
    files = open_container(model)
    assert files.read_text("graph.nnef") == TEXT
    assert bytes(files.open_tensor("conv1/filter")) == b"filter"
    for label in ("folder", "absent", "loop"):
        with pytest.raises(FileFormatError, match=r"not a regular file|no such file|cannot be read"):
            files.open_tensor(label)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    as_folder(tmp_path)
    os.mkfifo(tmp_path / "pipe.dat")
    with pytest.raises(FileFormatError, match="not a regular file"):
        open_container(tmp_path).open_tensor("pipe")
    with pytest.raises(FileFormatError, match="not a regular file"):
        open_container(tmp_path / "pipe.dat")
