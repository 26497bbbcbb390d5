"""What the commands share: options, errors and exit codes, loading with a progress bar, files written whole."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import contextlib
import difflib
import functools
import io
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from nnef_cl.errors import Error, UsageError

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from nnef_cl.codegen.target import Target
    from nnef_cl.ir.graph import Graph
    from nnef_cl.ops.base import Table as Operations
    from nnef_cl.plan.build import Choose
    from nnef_cl.session import Session

FAILED, WRONG_USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
DEBUG = "NNEF_CL_DEBUG"
PIPE_WIDTH = 160
"""Columns of tables that do not go to a terminal."""

Shapes = dict[str, tuple[int, ...]]

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder, .tar, .tgz, or graph.nnef in a folder.", show_default=False)
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "-d", "--device", metavar="SELECTOR", show_default=False,
        help="auto, gpu, cpu:1, platform:device such as 0:1, part of a name, or a list with commas to fall back on; "
        "see `nnef-cl devices`.",
    ),
]  # fmt: skip


def _use_devices_file(path: Path | None) -> Path | None:
    """Through the environment, so that every part of nnef-cl and its helper processes see it."""
    if path is not None:
        os.environ["NNEF_CL_DEVICES_FILE"] = str(path.absolute())
    return path


def _use_threads(count: int | None) -> int | None:
    from nnef_cl.device.environment import request_threads

    request_threads(count)
    return count


DevicesFileOption = Annotated[
    Path | None,
    typer.Option(
        "-c", "--devices", metavar="FILE", show_default=False, callback=_use_devices_file,
        help="devices.yaml that adds to the packaged one (default: ./devices.yaml, then the user's configuration).",
    ),
]  # fmt: skip
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, show_default=False, callback=_use_threads, help="Of a CPU device."),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "-s", "--shape", metavar="NAME=1x3x224x224", show_default=False,
        help="Other extents for an input; the name may be left out where there is one input. Repeatable.",
    ),
]  # fmt: skip
BatchOption = Annotated[
    int | None,
    typer.Option("-b", "--batch", metavar="N", min=1, show_default=False, help="First extent of every input."),
]
DIALECT = "auto"
DialectOption = Annotated[
    str,
    typer.Option(
        "--dialect", metavar="NAME",
        help="How the file is read: auto, strict or lenient; see `nnef-cl validate --explain`.",
    ),
]  # fmt: skip
OpsOption = Annotated[
    Path | None,
    typer.Option(
        "--ops", metavar="FILE.py", show_default=False,
        help="Python file with operations of your own (OPS) and readers of item types (ITEMS); it is run.",
    ),
]  # fmt: skip


class Precision(str, Enum):
    """Which algorithms may be chosen."""

    default = "default"
    exact = "exact"


PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="exact: no algorithm that rounds more than the operations' definitions do."),
]
TuningOption = Annotated[
    bool,
    typer.Option("--tuning/--no-tuning", show_default=False, help="Use what `nnef-cl tune` found out (the default)."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of the random inputs.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Function = TypeVar("Function", bound=Callable[..., None])


# Errors ----------------------------------------------------------------------------------------------------
def guarded(command: Function) -> Function:
    """The command with its exceptions turned into one message on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            silence_stdout()
            raise typer.Exit(BROKEN_PIPE) from None
        except Exception as error:
            raise typer.Exit(_report(error)) from None

    return run  # type: ignore[return-value]


def _report(error: Exception) -> int:
    """Prints an exception for people; returns the exit code."""
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, Error):
        say(f"error: {error}")
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED
    if isinstance(error, MemoryError):
        say("error: not enough memory on the host")
        return FAILED
    text = " ".join(str(error).split())[:200]
    say(f"this is a bug in nnef-cl: {type(error).__name__}: {text} ({DEBUG}=1 shows the traceback)")
    return FAILED


def say(message: str) -> None:
    """A message on stderr."""
    print(f"nnef-cl: {printable(message)}", file=sys.stderr)


def printable(text: str) -> str:
    """The text without control characters: labels and names from files must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def silence_stdout() -> None:
    """Nobody reads stdout any more: what is still buffered goes nowhere instead of raising at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def near(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the closest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean '{close[0]}'?" if close else f"; there are {', '.join(names) or 'none'}"


# Shapes ----------------------------------------------------------------------------------------------------
def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """'x=1x3x224x224' -> ('x', (1, 3, 224, 224)); the name is '' where it is left out. UsageError."""
    name, _, extents = text.rpartition("=")
    if not re.fullmatch(r"[0-9]{1,9}([x,][0-9]{1,9})*", extents) or (name == "" and "=" in text):
        raise UsageError(f"--shape '{text}': expected NAME=1x3x224x224")
    shape = tuple(int(extent) for extent in re.split("[x,]", extents))
    if 0 in shape:
        raise UsageError(f"--shape '{text}': extents are at least 1")
    return name, shape


def operations(file: Path | None) -> Operations:
    """The standard's operations, and those of --ops."""
    from nnef_cl.ops import STANDARD

    if file is None:
        return STANDARD
    from nnef_cl.ops.custom import operations_of

    return STANDARD | operations_of(file)


def resolve_shapes(
    model: Path, texts: list[str] | None, batch: int | None, dialect: str = DIALECT, ops: Operations | None = None
) -> Shapes | None:
    """--shape and --batch together as input name -> shape; None where neither is given."""
    wanted = [parse_shape(text) for text in texts or []]
    if not wanted and batch is None:
        return None
    from nnef_cl.importer import import_model

    graph = import_model(model, dialect=dialect, table=operations(None) if ops is None else ops)
    return merge_shapes({name: graph.tensors[name].shape for name in graph.inputs}, wanted, batch)


def merge_shapes(declared: Shapes, wanted: list[tuple[str, tuple[int, ...]]], batch: int | None) -> Shapes:
    """Shapes for the inputs that change. declared: input -> shape in the model. UsageError."""
    shapes: Shapes = {}
    for name, shape in wanted:
        chosen = name or only_input(declared, "--shape")
        if chosen not in declared:
            raise UsageError(f"--shape: the model has no input '{chosen}'{near(chosen, declared)}")
        if chosen in shapes:
            raise UsageError(f"--shape: input '{chosen}' is given twice")
        shapes[chosen] = shape
    if batch is not None:
        for name, shape in declared.items():
            current = shapes.get(name, shape)
            if current:
                shapes[name] = (batch, *current[1:])
    return shapes


def only_input(inputs: Mapping[str, Any], option: str) -> str:
    """The name of the single input; UsageError where there are several or none."""
    if len(inputs) != 1:
        raise UsageError(f"{option}: the model has {len(inputs)} inputs, name one: {', '.join(inputs)}")
    return next(iter(inputs))


def stream_count(text: str) -> int | str:
    """'auto' or a number. UsageError."""
    if text != "auto" and not (text.isascii() and text.isdigit() and 0 < int(text) <= 64):
        raise UsageError(f"--streams '{text}': expected a number from 1 to 64, or auto")
    return text if text == "auto" else int(text)


# Loading ---------------------------------------------------------------------------------------------------
def open_session(model: Path, **options: Any) -> Session:
    """nnef_cl.load with a progress bar on stderr where that is a terminal."""
    from nnef_cl.session import LOGGER, load

    LOGGER.disabled = True  # `warn` shows them
    with progress_bar() as progress:
        return load(model, progress=progress, **options)


def open_streams(model: Path, streams: int | str, loading: Mapping[str, Any]) -> Session:
    """A session for many requests, the model's warnings shown. Raises UsageError where they would mix variables up."""
    session = open_session(model, streams=streams, **loading)
    if session.streams > 1 and session.state:
        session.close()
        raise UsageError("--streams: the model updates variables, and every stream has its own: there can be one only")
    warn(session.source_graph)
    return session


def planning(selector: str | None, precision: str, tuning: bool) -> tuple[Target, Choose]:
    """What generated code may know about the device chosen, and how its kernels are chosen; it is not opened."""
    from nnef_cl.device import choose_device
    from nnef_cl.device.config import active_rules
    from nnef_cl.device.manager import target_of
    from nnef_cl.session import choice

    chosen = choose_device(selector)
    target = target_of(chosen, active_rules())
    return target, choice(chosen.device.info, target, precision, tuning)


def warn(graph: Graph) -> None:
    """The model's warnings on stderr."""
    for warning in graph.warnings:
        say(f"warning: {warning}")


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Gives a callable(stage, done, total) that draws one bar; it disappears at the end."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("read", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)


# Printing --------------------------------------------------------------------------------------------------
def console(stderr: bool = False) -> Console:
    """A rich console that takes names literally and does not cut tables that go into a pipe."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with 1; here `guarded` decides

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Plain(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def table(*columns: str, numbers: Iterable[str] = ()) -> Table:
    """An empty table without lines. numbers: the columns that are aligned right."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    right = set(numbers)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name:{width}}  {value}" for name, value in pairs)


def size(count: float) -> str:
    """Bytes for people: '25.6 MB'."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def tensor_facts(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> type and shape, for JSON."""
    return {name: {"type": spec.dtype.api, "shape": list(spec.shape)} for name, spec in tensors.items()}


def new_figure(size: tuple[float, float]) -> Any:
    """An empty matplotlib figure of that many inches. Raises UsageError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'nnef-cl[plot]'") from None
    return Figure(figsize=size, layout="constrained")


def png(figure: Any) -> bytes:
    """The figure as a file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


# Files -----------------------------------------------------------------------------------------------------
def make_folder(path: Path, option: str) -> None:
    """The folder with its parents; UsageError where something else has the name, Error where it cannot be made."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{option} {path}: expected a folder, this is a file")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Error(f"{path}: cannot be made: {error.strerror}") from error


def check_output(path: Path | None, option: str, *, folder: bool = False) -> None:
    """Before the work whose results it takes: a file can be made there, or for `folder` files in that folder, which may
    have to be made, too. Leaves no trace. Raises UsageError, Error."""
    try:
        if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
            return
        if folder and path.is_file():
            raise UsageError(f"{option} {path}: expected a folder, this is a file")
        if not folder and path.is_dir():
            raise UsageError(f"{option} {path}: expected a file, this is a folder")
        place = path.absolute() if folder else Path(os.path.realpath(path)).parent
        while folder and not place.exists():
            place = place.parent
        if not place.is_dir():
            raise UsageError(f"{option} {path}: {'not in a folder' if folder else 'the folder does not exist'}")
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise Error(f"{path}: cannot be written: {error.strerror or error}") from error


def write_files(files: Mapping[Path, Callable[[Any], None]]) -> None:
    """Writes every file through its function, which gets an open binary stream: all of them, or on an error none.

    A link stays, what it points to is written; so is a device or a pipe, which no file replaces.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for path, write in files.items():
            if path.is_dir():
                raise Error(f"{path}: cannot be written: is a folder")
            try:
                if path.exists() and not path.is_file():
                    with path.open("wb") as stream:
                        write(stream)
                    continue
                target = Path(os.path.realpath(path))
                handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
                ready.append((Path(name), target))
                with os.fdopen(handle, "wb") as stream:
                    write(stream)
            except OSError as error:
                raise Error(f"{path}: cannot be written: {error.strerror or error}") from error
        for temporary, path in ready:
            _publish(temporary, path)
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path) -> None:
    """Renames the finished file to its name, with the permissions a new file has."""
    mask = os.umask(0)
    os.umask(mask)
    try:
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise Error(f"{path}: cannot be written: {error.strerror or error}") from error


def text_writer(text: str) -> Callable[[Any], None]:
    """For write_files: UTF-8 text."""
    return lambda stream: stream.write(text.encode("utf-8"))


def array_writer(array: np.ndarray, kind: str) -> Callable[[Any], None]:
    """For write_files: an array as 'npy' or as an NNEF tensor 'dat'."""
    if kind == "npy":
        import numpy as np

        return lambda stream: np.save(stream, array, allow_pickle=False)
    from nnef_cl.format.tensor_file import write_tensor

    return lambda stream: write_tensor(stream, array)
