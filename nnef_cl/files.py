"""Files that users name: text of a bounded size, and what stands for many files."""

from __future__ import annotations

import re
from pathlib import Path

from nnef_cl.errors import UsageError

MAGIC = re.compile(r"[*?[]")
"""What makes a name a pattern."""


def stands_for_many(text: str) -> bool:
    """Whether it is a folder or a pattern such as images/*.jpg; a file that has such a name is a file."""
    path = Path(text)
    try:
        return path.is_dir() or (MAGIC.search(text) is not None and not path.exists())
    except (OSError, ValueError) as error:
        raise UsageError(f"{text}: {getattr(error, 'strerror', None) or error}") from error


def read_text(path: Path, most: int) -> str:
    """The UTF-8 text of a regular file with at most `most` bytes; UsageError for anything else."""
    try:
        if not path.is_file():
            raise UsageError(f"{path}: cannot be read: {not_a_file(path)}")
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise UsageError(f"{path}: has more than {most:,} bytes")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot be read: byte {error.start} is not UTF-8 text") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def not_a_file(path: Path) -> str:
    """Why a path is not a regular file, in words."""
    if path.is_dir():
        return "is a folder"
    return "is not a regular file" if path.exists() else "there is no such file"
