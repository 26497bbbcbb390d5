"""Runs the README's Python blocks and checks its commands and paths against the program."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nnef_cl.commands import COMMANDS
from nnef_cl.errors import DeviceError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "tests/README.md")
NAMES = {command.__name__ for command in COMMANDS}


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Line number of the first line and text of every fenced block in a language."""
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start(1)) + 1, match[1]


def command_lines(text: str) -> list[list[str]]:
    """Arguments of every `nnef-cl ...` in bash blocks, also behind `&&` and `uv run`."""
    found = []
    for _, block in blocks(text, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||;|\|", line):
                words = shlex.split(part, comments=True)
                if "nnef-cl" in words:
                    found.append(words[words.index("nnef-cl") + 1 :])
    return found


def check_command(arguments: list[str]) -> None:
    """Raises where the command line names no sub-command or an unknown option; files need not exist."""
    import typer

    from nnef_cl.commands import app

    group: Any = typer.main.get_command(app)
    name, *rest = arguments
    command = group.commands[name]
    with command.context_class(command, info_name=name) as context:
        _, surplus, _ = command.make_parser(context).parse_args(args=rest)
    assert surplus == [], f"nnef-cl {name} does not take {surplus}"


README = (ROOT / "README.md").read_text("utf-8")
LINES = [arguments for name in DOCUMENTS for arguments in command_lines((ROOT / name).read_text("utf-8"))]


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    found = list(blocks(README, "python"))
    for line, block in found:
        code = compile("\n" * (line - 1) + block, str(ROOT / "README.md"), "exec")
        try:
            exec(code, names)
        except DeviceError as error:
            if "no OpenCL device found" in str(error):
                pytest.skip(str(error).splitlines()[0])
            raise
    assert found
    assert names["y"].shape == (32, 10)
    assert (names["y"].argmax(axis=1) == names["labels"][:32]).mean() > 0.9


@pytest.mark.parametrize("arguments", LINES, ids=" ".join)
def test_command_lines_are_accepted(arguments: list[str]) -> None:
    check_command(arguments)


def test_unknown_options_and_commands_are_found() -> None:
    with pytest.raises(KeyError):
        check_command(["fly"])
    with pytest.raises(Exception, match="--wings"):
        check_command(["demo", "--wings", "2"])


def test_every_command_is_described() -> None:
    assert {row[1] for row in re.finditer(r"^\| `nnef-cl (\w+)", README, re.MULTILINE)} == NAMES
    assert {arguments[0] for arguments in LINES} >= NAMES


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"\bmake ([a-z][a-z-]*)", _code(document))}
    assert {"demo", "test"} <= named <= targets


def _code(document: str) -> str:
    """What a document sets in code: fenced blocks and `...`."""
    text = (ROOT / document).read_text("utf-8")
    fenced = [block for _, block in blocks(text, r"\w*")]
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", rest)])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_folders_in_the_map_exist() -> None:
    folders = re.findall(r"^\| `([\w/]+/)` \|", README, re.MULTILINE)
    assert len(folders) >= 6
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
