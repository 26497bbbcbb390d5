"""The cache of files: hits, misses, damage, other users, the size limit, several processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnef_cl.device import cache as module
from nnef_cl.device.cache import FOLDER, LIMIT, Cache, default_cache, default_folder, key_of

PARTS = {"source": "abc", "options": "-O"}
PAYLOAD = bytes(range(256)) * 40


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(module, "_warned", set())
    monkeypatch.setattr(module._logger, "warning", lambda text, *values: said.append(text % values))
    return said


def files(cache: Cache) -> list[Path]:
    assert cache.folder is not None
    return [path for path in cache.folder.rglob("*") if path.is_file()]


def test_what_is_put_is_got(cache: Cache) -> None:
    assert cache.get("binary", PARTS) is None
    cache.put("binary", PARTS, PAYLOAD, "a note")
    assert cache.get("binary", PARTS) == PAYLOAD
    assert cache.get("binary", PARTS | {"source": "abd"}) is None
    assert cache.get("other", PARTS) is None
    [entry] = cache.entries()
    assert (entry.kind, entry.parts, entry.note, entry.intact) == ("binary", PARTS, "a note", True)
    assert entry.bytes == entry.path.stat().st_size > len(PAYLOAD)


def test_every_part_counts() -> None:
    keys = {key_of(parts) for parts in ({"a": "b"}, {"a": "c"}, {"b": "b"}, {"a": "b", "c": ""}, {"ab": ""})}
    assert len(keys) == 5 and key_of({"a": "1", "b": "2"}) == key_of({"b": "2", "a": "1"})


@pytest.mark.parametrize("position", [0, 5, 20, 60, 90, 120, 500, -1])
def test_a_flipped_bit_is_a_miss_and_the_file_goes(cache: Cache, position: int) -> None:
    cache.put("binary", PARTS, PAYLOAD)
    [path] = files(cache)
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)
    assert not cache.entries()[0].intact
    assert cache.get("binary", PARTS) is None and files(cache) == []


@pytest.mark.parametrize("length", [0, 1, 15, 16, 80, 81, 100, 5000])
def test_a_truncated_file_is_a_miss(cache: Cache, length: int) -> None:
    cache.put("binary", PARTS, PAYLOAD)
    [path] = files(cache)
    os.truncate(path, length)
    assert cache.get("binary", PARTS) is None and files(cache) == []


def test_a_file_under_a_foreign_key_is_a_miss(cache: Cache) -> None:
    cache.put("binary", PARTS, PAYLOAD)
    [path] = files(cache)
    other = PARTS | {"options": ""}
    path.rename(path.with_name(key_of(other)))
    assert cache.get("binary", other) is None


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=5 * 11_000)
    for number in range(5):
        cache.put("binary", {"n": str(number)}, PAYLOAD)
        os.utime(cache._path("binary", {"n": str(number)}), (1000 + number, 1000 + number))
    assert cache.get("binary", {"n": "0"}) == PAYLOAD  # used now
    cache.put("binary", {"n": "5"}, PAYLOAD)
    kept = {entry.parts["n"] for entry in cache.entries()}
    assert {"0", "5"} <= kept and "1" not in kept and len(kept) == 4
    assert sum(path.stat().st_size for path in files(cache)) <= cache.limit


def test_prune_and_clear(cache: Cache) -> None:
    for number in range(4):
        cache.put("binary", {"n": str(number)}, PAYLOAD)
    size = files(cache)[0].stat().st_size
    assert cache.prune(2 * size) == (2, 2 * size)
    assert cache.clear() == (2, 2 * size)
    assert cache.clear() == (0, 0) and cache.entries() == []


def test_what_killed_processes_left_is_removed(cache: Cache) -> None:
    cache.put("binary", PARTS, PAYLOAD)
    old, new = files(cache)[0].with_name(".old"), files(cache)[0].with_name(".new")
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (time.time() - 9999,) * 2)
    cache.prune(cache.limit)
    assert not old.exists() and new.exists() and cache.get("binary", PARTS) == PAYLOAD
    assert len(cache.entries()) == 1


def test_a_payload_beyond_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=100)
    cache.put("binary", PARTS, PAYLOAD)
    assert files(cache) == []


def test_the_folder_is_private(cache: Cache) -> None:
    assert cache.folder is not None
    cache.put("binary", PARTS, PAYLOAD)
    for path in (cache.folder, cache.folder / "binary", *files(cache)):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no POSIX permissions on this system")
def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path, warnings: list[str]) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    cache = Cache(folder)
    cache.put("binary", PARTS, PAYLOAD)
    assert cache.folder is None and cache.get("binary", PARTS) is None and list(folder.iterdir()) == []
    assert len(warnings) == 1 and "may be written by other users" in warnings[0]


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path: Path, warnings: list[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    for _ in range(3):
        cache = Cache(tmp_path / "file" / "cache")
        cache.put("binary", PARTS, PAYLOAD)
        assert cache.get("binary", PARTS) is None and cache.entries() == [] and cache.clear() == (0, 0)
    assert len(warnings) == 1 and "cannot be made" in warnings[0]


def test_a_full_disk_is_one_warning(cache: Cache, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_whole", full)
    for number in range(3):
        cache.put("binary", {"n": str(number)}, PAYLOAD)
    assert len(warnings) == 1 and "No space left on device" in warnings[0] and cache.entries() == []


def test_an_interrupted_write_leaves_nothing(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.put("binary", PARTS, PAYLOAD)
    assert files(cache) == []


def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]) -> None:
    for word in ("off", "OFF", "0"):
        monkeypatch.setenv(FOLDER, word)
        assert default_folder() is None and default_cache().folder is None
    monkeypatch.setenv(FOLDER, str(tmp_path / "c"))
    monkeypatch.setenv(LIMIT, "3")
    assert (default_cache().folder, default_cache().limit) == (tmp_path / "c", 3_000_000)
    monkeypatch.setenv(LIMIT, "much")
    assert default_cache().limit == module.DEFAULT_LIMIT * 1_000_000
    assert len(warnings) == 1 and "expected a number of megabytes" in warnings[0]


def test_processes_that_write_and_read_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nnef_cl.device.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]), limit=60_000)\n"
        "for turn in range(60):\n"
        "    parts = {'n': str(turn % 7)}; got = cache.get('binary', parts)\n"
        "    assert got is None or got == bytes([turn % 7]) * 10_000\n"
        "    cache.put('binary', parts, bytes([turn % 7]) * 10_000)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    running[0].kill()
    assert [process.communicate()[1] for process in running[1:]] == [b""] * 3
    assert all(entry.intact for entry in Cache(tmp_path / "cache").entries())
