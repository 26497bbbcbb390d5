"""`nnef-cl run` on many files: each is run by itself, results are written as they come, and it can resume."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nnef_cl.commands import common, ranking
from nnef_cl.errors import Error, UsageError
from nnef_cl.files import stands_for_many
from nnef_cl.pipeline import RECORD_FILES

if TYPE_CHECKING:
    from nnef_cl.images import Image
    from nnef_cl.ir.tensor import TensorSpec
    from nnef_cl.pipeline.record import Record
    from nnef_cl.pipeline.sinks import Sink, Top
    from nnef_cl.pipeline.sources import Arrays, Item
    from nnef_cl.pipeline.stream import Feed, Result
    from nnef_cl.preprocess import ImageOptions
    from nnef_cl.session import Session

REPORT_EVERY = 10.0
"""Seconds between lines of progress where stderr is no terminal."""

Given = Sequence[tuple[str, str]]
"""Name of an input or '', and the file, folder or pattern for it."""


@dataclass(frozen=True)
class Job:
    """What the options say. ops: the file of --ops."""

    given: Given
    output: Path | None
    options: ImageOptions
    top: int | None
    labels: list[str]
    resume: bool
    overwrite: bool
    streams: str
    ops: Path | None = None


def wanted(given: Given, output: Path | None, each: bool) -> bool:
    """Whether files are run one by one: many are meant, or results go into one file."""
    return each or one_file(output) or any(stands_for_many(text) for _, text in given)


def one_file(output: Path | None) -> bool:
    """Whether all results go into one file, by its ending."""
    return output is not None and output.suffix.lower() in RECORD_FILES


def run_each(model: Path, job: Job, loading: dict[str, Any]) -> None:
    """Raises Error; exits with 1 where an input could not be read or run."""
    from nnef_cl.pipeline.sinks import open_sink, refuse_existing
    from nnef_cl.pipeline.sources import find_items

    name, patterns, shared = split(job.given)
    output = checked_output(job)
    items = find_items(patterns, output)
    if not job.resume and not job.overwrite:
        refuse_existing(output, items)
    pixels = Pixels(items, shared, job.options, bool(loading["keep"]))
    with common.open_streams(model, common.stream_count(job.streams), loading | {"inputs": pixels}) as session:
        if job.resume and session.state:
            raise UsageError("--resume: the model updates variables; they cannot be taken up where the run ended")
        feed = make_feed(session, name, items, shared, job)
        top = make_top(session, job)
        sink = open_sink(output, top, make_record(model, job, session, pixels.specs, feed.batch, top, loading))
        finished = sink.finished(items) if job.resume else set()
        sink.begin(items, job.resume)
        try:
            failed = _write_all(feed, [item for item in items if item.name not in finished], sink, len(items))
        finally:
            sink.close()
    for result in failed:
        common.say(f"{result.item.path}: {result.error}" if _unnamed(result) else str(result.error))
    if failed:
        common.say(f"error: {len(failed)} of {len(items)} inputs have no result; --resume tries them again")
        raise typer.Exit(common.FAILED)


def _unnamed(result: Result) -> bool:
    return str(result.item.path) not in str(result.error)


# What is asked for -----------------------------------------------------------------------------------------
def split(given: Given) -> tuple[str, list[str], dict[str, str]]:
    """Name of the input that changes from file to file ('': what the files hold), its patterns, and the files of the
    inputs that stay the same. UsageError."""
    names = dict.fromkeys(name for name, text in given if stands_for_many(text))
    if not names:
        names = dict.fromkeys(name for name, _ in given)
    if not names:
        raise UsageError("-i is missing: files, a folder, or a quoted pattern such as 'images/*.jpg'")
    if len(names) > 1:
        told = ", ".join(name or "(unnamed)" for name in names)
        raise UsageError(f"-i: one input may have many files, got {told}; .npz files can hold several inputs each")
    chosen = next(iter(names))
    others = [(name, text) for name, text in given if name != chosen]
    if len(dict(others)) != len(others):
        raise UsageError("-i: an input that stays the same has one file")
    return chosen, [text for name, text in given if name == chosen], dict(others)


def checked_output(job: Job) -> Path:
    """Where results go. UsageError."""
    if job.output is None:
        raise UsageError("many inputs need -o: a folder (.npz files), or a file that ends in .jsonl or .csv")
    if job.resume and job.overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if job.top is not None and not one_file(job.output):
        raise UsageError("--top of many inputs needs -o with a file that ends in .jsonl or .csv")
    if not one_file(job.output):
        common.make_folder(job.output, "-o")
    return job.output


def make_top(session: Session, job: Job) -> Top | None:
    """None where all values are wanted: of .npz files, and of JSON lines without --top and --labels. UsageError."""
    from nnef_cl.pipeline.sinks import Top

    assert job.output is not None
    if job.top is None and not job.labels and job.output.suffix.lower() != ".csv":
        return None
    for name, spec in session.outputs.items():
        ranking.check_labels(name, math.prod(spec.shape[1:] if spec.rank > 1 else spec.shape), job.labels)
    count = job.top or ranking.LABELLED_TOP
    rank = partial(ranking.ranked, count=count, names=job.labels)
    return Top(rank, count, job.labels, session.outputs)


def make_record(
    model: Path, job: Job, session: Session, inputs: Mapping[str, TensorSpec], batch: int, top: Top | None,
    loading: Mapping[str, Any],
) -> Record:  # fmt: skip
    """Everything that results and their names depend on, but for rounding: a run may go on in batches of another size,
    on another device, on more streams, and pixels may become values here or there. inputs: the model's own. batch: rows
    that are gathered. Raises Error."""
    from nnef_cl.pipeline import record
    from nnef_cl.pipeline.sources import common_folder

    assert job.output is not None
    _, patterns, shared = split(job.given)
    own = {name: spec for name, spec in inputs.items() if name not in shared}
    same = ", ".join(f"{name} {record.file_digest(Path(text))}" for name, text in sorted(shared.items()))
    keep, images = loading["keep"], job.options
    ranked = top if one_file(job.output) else None
    labels = "\n".join(ranked.labels) if ranked else ""
    mean, std, limits = (",".join(map(repr, values)) for values in (images.mean, images.std, images.range))
    return {
        "model": f"{session.source_graph.name}, {record.model_digest(model, session.source_graph)}",
        "--ops": record.file_digest(job.ops) if job.ops else "none",
        "--dialect": loading["dialect"], "--precision": loading["precision"],
        "inputs": record.shapes(own, batch), "inputs that stay the same": same or "none",
        "files below": record.seen_from(job.output, common_folder(patterns)),
        "--mean": mean, "--std": std, "--range": limits, "--layout": images.layout,
        "--dump": ", ".join([keep] if isinstance(keep, str) else sorted(keep)) or "none",
        "--top": str(ranked.count) if ranked else "all values",
        "--labels": record.digest([labels.encode("utf-8", "surrogatepass")]) if labels else "none",
    }  # fmt: skip


@dataclass
class Pixels:
    """For `load`: the device makes values of pixels where every item is an image file and the input allows it. `keep`:
    whether tensors are to be kept, among which there would be others. specs: of the model's inputs, from then on."""

    items: Sequence[Item]
    shared: Mapping[str, str]
    options: ImageOptions
    keep: bool
    specs: Mapping[str, TensorSpec] = field(default_factory=dict)

    def __call__(self, specs: Mapping[str, TensorSpec]) -> dict[str, Image]:
        from nnef_cl.preprocess import ARRAYS, device_image

        self.specs = specs
        own = [name for name in specs if name not in self.shared]
        if len(own) != 1 or self.keep or any(item.path.suffix.lower() in ARRAYS for item in self.items):
            return {}
        image = device_image(specs[own[0]], self.options)
        return {} if image is None else {own[0]: image}


# Running ---------------------------------------------------------------------------------------------------
def make_feed(session: Session, name: str, items: Sequence[Item], shared: Mapping[str, str], job: Job) -> Feed:
    """The session with everything that it needs to run items. Raises UsageError, InputError."""
    from nnef_cl.ops.rows import mixing
    from nnef_cl.pipeline.sources import Item, read_item
    from nnef_cl.pipeline.stream import Feed, readers, rows_of

    for one in (*shared, *([name] if name else [])):
        if one and one not in session.inputs:
            raise UsageError(f"-i {one}=...: the model has no input '{one}'{common.near(one, session.inputs)}")
    own = {one: spec for one, spec in session.inputs.items() if one not in shared}
    if name and len(own) > 1:
        raise UsageError(f"-i is missing for input '{next(one for one in own if one != name)}'")
    if not name and any(item.path.suffix.lower() != ".npz" for item in items):
        common.only_input(own, "-i")
    batch = rows_of(own.values(), (spec for _, spec in session.plan.outputs.values()))
    if batch > 1 and (why := mixing(session.source_graph, session.ops, own)):
        common.say(f"every file must hold all {batch} rows of a request, which depend on each other: {why}")
        batch = 1
    same: Arrays = {}
    for one, text in shared.items():
        same |= read_item(Item(Path(text), one), {one: session.inputs[one]}, 1, job.options)
    read = partial(read_item, inputs=own, batch=batch, options=job.options)
    return Feed(session, read, same, batch, readers(), session.streams)


def _write_all(feed: Feed, items: Sequence[Item], sink: Sink, total: int) -> list[Result]:
    """Results of all items, written as they come; returns those without. An interruption says how to go on."""
    from nnef_cl.pipeline.stream import stream

    failed: list[Result] = []
    done = before = total - len(items)
    started = time.perf_counter()
    results = stream(feed, items)
    try:
        with progress(total, before) as show:
            for result in results:
                if result.outputs is None:
                    failed.append(result)
                else:
                    sink.write(result.item, result.outputs)
                    done += 1
                show(done + len(failed))
    except (KeyboardInterrupt, Error):
        common.say(f"stopped: {done} of {total} inputs are done, their results are kept; --resume goes on")
        raise
    finally:
        results.close()
    seconds = time.perf_counter() - started
    rate = f"{(done - before) / seconds:.1f} inputs/s in {seconds:.1f} s" if done > before else "nothing to do"
    common.console().print(f"{done} of {total} inputs done, {before} of them earlier: {rate}")
    return failed


@contextlib.contextmanager
def progress(total: int, before: int) -> Iterator[Callable[[int], None]]:
    """Gives a callable(done) that shows how many of `total` are done, and how many per second: a bar on a terminal, a
    line now and then elsewhere. before: what was done by an earlier run."""
    started = shown = time.perf_counter()

    def rate(done: int) -> str:
        return f"{(done - before) / max(time.perf_counter() - started, 1e-9):.1f} inputs/s"

    def line(done: int) -> None:
        nonlocal shown
        if time.perf_counter() - shown >= REPORT_EVERY:
            shown = time.perf_counter()
            common.say(f"{done} of {total} inputs, {rate(done)}")

    if not sys.stderr.isatty():
        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, completed=before, rate="")
        yield lambda done: bar.update(task, completed=done, rate=rate(done))
