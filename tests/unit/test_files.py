"""Files that users name: what is read, what is written over, and standard streams that are closed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nnef_cl.commands import common
from nnef_cl.errors import Error, UsageError
from nnef_cl.files import read_text


def write(path: Path, text: str) -> None:
    common.write_files({path: common.text_writer(text)})


def test_links_stay_and_folders_are_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    write(link, "one")
    write(link, "two")
    assert link.is_symlink() and (tmp_path / "target").read_text() == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]
    with pytest.raises(Error, match="is a folder"):
        write(tmp_path, "one")


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write(pipe, "text")
    reader.join()
    assert got == ["text"] and pipe.is_fifo()


def test_text_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffé".encode())
    assert read_text(path, 5) == "é"
    for most, content, message in ((4, b"12345", "more than 4 bytes"), (9, b"12\xff", "byte 2 is not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            read_text(path, most)


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams(closing: str) -> None:
    command = f"exec {sys.executable} -m nnef_cl info /nowhere {closing}"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert result.returncode == 1
    assert result.stderr == ("" if "2>" in closing else "nnef-cl: error: /nowhere: no such file\n")
