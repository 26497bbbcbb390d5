"""`nnef-cl run`: one inference on files or random input; prints, ranks and writes the outputs."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common, ranking, streaming
from nnef_cl.errors import UsageError
from nnef_cl.files import not_a_file

if TYPE_CHECKING:
    import numpy as np

    from nnef_cl.preprocess import ImageOptions
    from nnef_cl.session import Session

class Format(str, Enum):
    """How outputs are written."""

    npy = "npy"
    npz = "npz"
    dat = "dat"


class ImageLayout(str, Enum):
    """Order of an image input's axes."""

    nchw = "nchw"
    nhwc = "nhwc"


def run(
    model: common.Model,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--input", metavar="NAME=FILE", show_default=False,
            help=".npy, .npz, .dat or an image; the name may be left out where there is one input. Repeatable: "
            "several files of one input make a batch. A folder or a quoted pattern ('images/*.jpg'): every file is run "
            "by itself. Without this: random input.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PATH", show_default=False,
            help="Write the outputs into this folder. Of many inputs: a .npz file each, or one .jsonl or .csv file.",
        ),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option("--format", show_default=False, help="Of the written files: npy (default), npz, dat."),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Run every file of -i by itself, as those of a folder or pattern.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Of many inputs: run those that have no result in -o yet.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Of many inputs: replace results that exist; refused otherwise.")
    ] = False,
    streams: Annotated[
        str | None,
        typer.Option("--streams", metavar="N", show_default=False, help="Of many inputs: run at once; default: auto."),
    ] = None,
    dump: Annotated[
        list[str] | None,
        typer.Option("--dump", metavar="TENSOR", help="Also return this intermediate tensor, or all. Repeatable."),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, help="List the K largest values per item.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Names of the classes, one per line.")
    ] = None,
    mean: Annotated[str, typer.Option("--mean", metavar="M[,M,M]", help="Taken from image values, per channel.")] = "0",
    std: Annotated[str, typer.Option("--std", metavar="S[,S,S]", help="Image values are divided by it.")] = "1",
    value_range: Annotated[
        str, typer.Option("--range", metavar="LOW,HIGH", help="Black and white before --mean and --std.")
    ] = "0,1",
    layout: Annotated[ImageLayout, typer.Option("--layout", help="Axes of an image input.")] = ImageLayout.nchw,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    precision: common.PrecisionOption = common.Precision.default,
    tuning: common.TuningOption = True,
    ops: common.OpsOption = None,
    device: common.DeviceOption = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
    seed: common.SeedOption = 0,
    cycles: Annotated[
        int,
        typer.Option("--cycles", metavar="N", min=1, help="Runs in a row; what is printed and written is the last."),
    ] = 1,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="PATH", show_default=False,
            help="Write the model with the variables as they are in the end: a folder, or an archive (.tgz, .tar).",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Run a model; one that updates variables is worth several runs."""
    from nnef_cl.format.model_writer import check_target

    texts = [split_input(text) for text in inputs or []]
    many = streaming.wanted(texts, output, each or resume or overwrite)
    options = image_options(mean, std, value_range, layout.value)
    names = ranking.read_labels(labels)
    if many:
        other = output_format not in (None, Format.npz)
        for option, given in (("--cycles", cycles > 1), ("--save", save is not None), ("--format", other)):
            if given:
                raise UsageError(f"{option} does not go with many inputs")
    elif streams is not None:
        raise UsageError("--streams is for many inputs: a folder, a pattern, or --each")
    files = [] if many else parse_inputs(texts)
    common.check_output(output, "-o", folder=not (many and streaming.one_file(output)))
    if save is not None:
        check_target(save)
    keep: Any = "all" if dump and "all" in dump else tuple(dump or ())
    table = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, table)
    loading: dict[str, Any] = {
        "device": device, "shapes": shapes, "keep": keep, "dialect": dialect, "ops": table,
        "precision": precision.value, "tuning": tuning,
    }  # fmt: skip
    if many:
        job = streaming.Job(texts, output, options, top, names, resume, overwrite, streams or "auto", ops)
        streaming.run_each(model, job, loading)
        return
    with common.open_session(model, **loading) as session:
        common.warn(session.source_graph)
        arrays = _arrays(session, files, options, seed)
        for _ in range(cycles):
            results = session.run(arrays)
        _print_results(session, results)
        if top or names:
            ranking.print_top({n: results[n] for n in session.outputs}, top or ranking.LABELLED_TOP, names)
        if save is not None:
            session.save(save)
            common.console().print(f"model written to {save}")
    if output is not None:
        common.make_folder(output, "-o")
        common.write_files(output_files(output, results, output_format or Format.npy))
        common.console().print(f"written to {output}")


# Inputs ----------------------------------------------------------------------------------------------------
def split_input(text: str) -> tuple[str, str]:
    """'NAME=FILE' or 'FILE' -> (name or '', file)."""
    match = re.fullmatch(r"([A-Za-z_]\w*)=(.+)", text, re.DOTALL)
    return (match[1], match[2]) if match else ("", text)


def parse_inputs(texts: Iterable[tuple[str, str]]) -> list[tuple[str, Path]]:
    """(name or '', file) -> with a path; UsageError where a file is missing."""
    found = []
    for name, text in texts:
        path = Path(text)
        if not path.is_file():
            raise UsageError(f"-i {f'{name}=' if name else ''}{text}: {not_a_file(path)}")
        found.append((name, path))
    return found


def _arrays(
    session: Session, given: list[tuple[str, Path]], options: ImageOptions, seed: int
) -> Mapping[str, np.ndarray]:
    from nnef_cl.preprocess import random_inputs, read_input

    if not given:
        names = ", ".join(session.inputs)
        if names:
            common.say(f"no -i: random values for {names} (--seed {seed})")
        return random_inputs(session.inputs, seed)
    files = assign_files(given, session.inputs)
    return {name: read_input(paths, name, session.inputs[name], options) for name, paths in files.items()}


def assign_files(given: list[tuple[str, Path]], inputs: Mapping[str, Any]) -> dict[str, list[Path]]:
    """Input name -> its files, in the order given; an .npz without a name serves every input it has. UsageError."""
    from nnef_cl.preprocess import npz_names

    files: dict[str, list[Path]] = {}
    for name, path in given:
        if name and name not in inputs:
            raise UsageError(f"-i {name}={path}: the model has no input '{name}'{common.near(name, inputs)}")
        names = [name]
        if not name:
            held = set(npz_names(path)) if path.suffix.lower() == ".npz" else set()
            names = [n for n in inputs if n in held] or [common.only_input(inputs, f"-i {path}")]
        for one in names:
            files.setdefault(one, []).append(path)
    missing = [name for name in inputs if name not in files]
    if missing:
        raise UsageError(f"-i is missing for input '{missing[0]}'")
    return files


def image_options(mean: str, std: str, value_range: str, layout: str) -> ImageOptions:
    """Options as text -> ImageOptions; UsageError."""
    from nnef_cl.preprocess import ImageOptions

    means, stds, limits = (
        _numbers(text, option) for text, option in ((mean, "--mean"), (std, "--std"), (value_range, "--range"))
    )
    if 0 in stds:
        raise UsageError(f"--std '{std}': must not be 0")
    if len(limits) != 2:
        raise UsageError(f"--range '{value_range}': expected LOW,HIGH")
    return ImageOptions(means, stds, (limits[0], limits[1]), layout)


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} '{text}': expected numbers with commas between them") from None
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"{option} '{text}': expected finite numbers")
    return numbers


# Outputs ---------------------------------------------------------------------------------------------------
def _print_results(session: Session, results: Mapping[str, np.ndarray]) -> None:
    out = common.console()
    out.print(f"device {session.device.name} ({session.device.platform}): {session.reason}")
    table = common.table(
        "tensor", "type", "shape", "min", "mean", "max", "not finite", numbers=("min", "mean", "max", "not finite")
    )
    for name, array in results.items():
        shape = "x".join(map(str, array.shape)) or "scalar"
        table.add_row(name, array.dtype.name, shape, *statistics(array))
    out.print(table)


def statistics(array: np.ndarray) -> tuple[str, str, str, str]:
    """Smallest, mean and largest finite value, and how many are NaN or infinite."""
    import numpy as np

    finite = array[np.isfinite(array)].astype(np.float64)
    if not finite.size:
        return "", "", "", str(array.size)
    low, mean, high = (f"{value:.6g}" for value in (finite.min(), finite.mean(), finite.max()))
    return low, mean, high, str(array.size - finite.size)


def output_files(
    folder: Path, results: Mapping[str, np.ndarray], output_format: Format
) -> dict[Path, Callable[[Any], None]]:
    """What to write: one file per tensor, or one .npz with all."""
    if output_format is Format.npz:
        return {folder / "outputs.npz": lambda stream: _write_npz(stream, results)}
    kind = output_format.value
    return {folder / f"{name}.{kind}": common.array_writer(array, kind) for name, array in results.items()}


def _write_npz(stream: Any, results: Mapping[str, np.ndarray]) -> None:
    import numpy as np

    np.savez(stream, **results)  # type: ignore[arg-type]
