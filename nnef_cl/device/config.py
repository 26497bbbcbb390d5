"""Read devices.yaml: the packaged one, and one of the user's that adds to it."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import platformdirs
import yaml

from nnef_cl.device.rules import Rules
from nnef_cl.errors import UsageError
from nnef_cl.files import read_text

FILE = "devices.yaml"
VARIABLE = "NNEF_CL_DEVICES_FILE"
MOST_BYTES = 1 << 20
MOST_VALUES = 100_000
"""Keys, values, lists and mappings, aliases written out."""
LONGEST_VALUE = 1000
EXPECTED = {
    "tuple_type": "expected a list", "dataclass_type": "expected keys with values, such as 'order: [gpu, cpu]'",
    "unexpected_keyword_argument": "unknown key",
}  # fmt: skip
"""pydantic's type of an error -> how it is said here."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache(maxsize=1)
def packaged_rules() -> Rules:
    """The devices.yaml that comes with nnef-cl."""
    rules: Rules = _made(Rules, yaml.load(_packaged_text(), Loader=_LOADER))
    return rules


def _made(kind: Any, value: Any) -> Any:
    """A value of the packaged file as a rule's field, unchecked: tests check that file, and loading pydantic takes
    longer than all the rest that is done with it."""
    if dataclasses.is_dataclass(kind):
        names = {one.metadata.get("alias", one.name): one.name for one in dataclasses.fields(kind)}
        kinds = get_type_hints(kind)
        return kind(**{names[key]: _made(kinds[names[key]], one) for key, one in value.items()})  # type: ignore[operator]
    if isinstance(value, list):
        items = next(one for one in (kind, *get_args(kind)) if get_origin(one) is tuple)
        return tuple(_made(get_args(items)[0], one) for one in value)
    return value


def active_rules() -> Rules:
    """The packaged rules, extended by the user's file where there is one (see `user_file`). Raises UsageError."""
    path = user_file()
    if path is None:
        return packaged_rules()
    try:
        return _extended(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=4)
def _extended(path: Path, changed: int) -> Rules:
    return packaged_rules().extended(load_rules(path))


def user_file() -> Path | None:
    """The first of: the one NNEF_CL_DEVICES_FILE names; ./devices.yaml; devices.yaml in the user's configuration
    folder. A copy of the packaged file counts as none."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    for path in (Path(FILE), config_folder() / FILE):
        if path.is_file() and not _is_packaged(path):
            return path
    return None


def config_folder() -> Path:
    return Path(platformdirs.user_config_dir("nnef-cl", appauthor=False))


def _packaged_text() -> str:
    return resources.files("nnef_cl").joinpath(FILE).read_text(encoding="utf-8")


def _is_packaged(path: Path) -> bool:
    try:
        return read_text(path, MOST_BYTES) == _packaged_text()
    except UsageError:
        return False


def load_rules(path: Path | str) -> Rules:
    """Rules of a file; UsageError with file and line where it cannot be read or says something unknown."""
    return parse_rules(read_text(Path(path), MOST_BYTES), str(path))


def parse_rules(text: str, file: str) -> Rules:
    """YAML text -> Rules. file: how errors name the text."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
        _check_size(root, file)
        values = yaml.load(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{file}:{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not valid YAML: {error}") from error
    _refuse_duplicates(root, file)
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only files of users need it

    try:
        return TypeAdapter(Rules).validate_python({} if values is None else values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = EXPECTED.get(first["type"], first["msg"])
        place = f"{file}:{_line_of(root, first['loc'])}"
        raise UsageError(": ".join(part for part in (place, where, message) if part)) from error


def _check_size(root: yaml.Node | None, file: str) -> None:
    """Bounds what is made of the text: aliases multiply it, or put a list into itself. Raises UsageError."""
    nodes = [] if root is None else [root]
    for count in itertools.count(1):
        if not nodes:
            return
        node = nodes.pop()
        line = f"{file}:{node.start_mark.line + 1}"
        if count > MOST_VALUES:
            raise UsageError(f"{line}: more than {MOST_VALUES:,} values, aliases written out")
        if isinstance(node, yaml.MappingNode):
            nodes += itertools.chain.from_iterable(node.value)
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif len(node.value) > LONGEST_VALUE:
            raise UsageError(f"{line}: a value of more than {LONGEST_VALUE} characters")


def _refuse_duplicates(node: yaml.Node | None, file: str) -> None:
    """YAML readers keep the last of two equal keys silently; here they are an error."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise UsageError(f"{file}:{key.start_mark.line + 1}: {key.value}: key given twice")
            seen.add(str(key.value))
            _refuse_duplicates(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, file)


def _line_of(node: yaml.Node | None, location: Iterable[str | int]) -> int:
    """1-based line of the deepest part of a pydantic location that the text has."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            entry = next(((k, v) for k, v in node.value if k.value == step), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def json_schema() -> dict[str, Any]:
    """Of devices.yaml, for editors."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - see parse_rules

    return TypeAdapter(Rules).json_schema()
