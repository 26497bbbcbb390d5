"""Measures small image files through a network: decoding alone, inference alone and the pipeline of both, in turn."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import nnef_cl
from nnef_cl.commands.ranking import LABELLED_TOP, ranked
from nnef_cl.importer import import_model
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.pipeline.sinks import Top, open_sink
from nnef_cl.pipeline.sources import Item, find_items, read_item
from nnef_cl.pipeline.stream import PER_STREAM, Feed, readers, rows_of, stream
from nnef_cl.preprocess import ImageOptions, device_image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ALONE = ("decoding", "inference")

Tasks = dict[str, Callable[[Sequence[Item]], None]]
Rates = dict[str, list[float]]
"""Task -> items per second, of every round."""


def make_images(folder: Path, count: int, low: int, high: int) -> None:
    """JPEG files of random content, `low` to `high` pixels wide and high."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        blocks = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        width, height = (int(extent) for extent in rng.integers(low, high + 1, 2))
        blocks.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{index:05}.jpg", quality=90)


def decode(feed: Feed, items: Sequence[Item]) -> None:
    """Every file read, decoded and made an input, by the pipeline's number of threads."""
    with ThreadPoolExecutor(feed.readers) as pool:
        deque(pool.map(feed.read, items), maxlen=0)


def infer(feed: Feed, inputs: dict[str, np.ndarray], items: Sequence[Item]) -> None:
    """As many batches as the items make, with as many in flight as the pipeline has."""
    flying: deque[Any] = deque()
    for _ in range(-(-len(items) // feed.batch)):
        flying.append(feed.session.submit(inputs))
        if len(flying) > PER_STREAM * feed.streams:
            flying.popleft().result()
    while flying:
        flying.popleft().result()


def through(feed: Feed, output: Path, outputs: dict[str, TensorSpec], items: Sequence[Item]) -> None:
    """What `nnef-cl run` does between loading the model and its summary."""
    rank = partial(ranked, count=LABELLED_TOP, names=[])
    sink = open_sink(output, None if output.suffix == "" else Top(rank, LABELLED_TOP, [], outputs), {})
    sink.begin(items, go_on=False)
    for result in stream(feed, items):
        assert result.outputs is not None, result.error
        sink.write(result.item, result.outputs)
    sink.close()


def measure(tasks: Tasks, items: Sequence[Item], rounds: int) -> Rates:
    """Items per second of each task in every round; a round has its own items, the tasks take turns at going first."""
    rates: Rates = {name: [] for name in tasks}
    for index in range(rounds):
        part = items[index::rounds]
        for name in list(tasks)[index % len(tasks) :] + list(tasks)[: index % len(tasks)]:
            started = time.perf_counter()
            tasks[name](part)
            rates[name].append(len(part) / (time.perf_counter() - started))
    return rates


def report(rates: Rates) -> dict[str, Any]:
    """Medians, and the pipeline's rate over that of the slower part, round by round."""
    slower = [min(pair) for pair in zip(*(rates[name] for name in ALONE), strict=True)]
    shares = [pipeline / alone for pipeline, alone in zip(rates["pipeline"], slower, strict=True)]
    return {
        "per_second": {name: statistics.median(values) for name, values in rates.items()}, "rounds": rates,
        "share_of_the_slower": {"median": statistics.median(shares), "min": min(shares), "max": max(shares)},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a network with one image input, such as models/resnet50/nnef")
    parser.add_argument("-d", "--device")
    parser.add_argument("-b", "--batch", type=int, default=8)
    parser.add_argument("--size", type=int, help="height and width of the input")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--pixels", type=int, nargs=2, default=(32, 64), metavar=("LOW", "HIGH"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", default="auto")
    parser.add_argument("--readers", type=int, default=readers())
    parser.add_argument("--format", default="", choices=("", ".csv", ".jsonl"), help="of the results; else .npz files")
    parser.add_argument("--host", action="store_true", help="pixels become values on the host")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = run(options, Path(scratch))
    print(f"{'images/s':10} {'median':>8} {'min':>8} {'max':>8}")
    for name, values in found["rounds"].items():
        print(f"{name:10} {statistics.median(values):8.1f} {min(values):8.1f} {max(values):8.1f}")
    share = found["share_of_the_slower"]
    print(f"pipeline over the slower of the others: {share['median']:.2f} ({share['min']:.2f} to {share['max']:.2f})")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def run(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    make_images(scratch / "images", options.count, *options.pixels)
    items = find_items([str(scratch / "images")], scratch / "out")
    streams = options.streams if options.streams == "auto" else int(options.streams)
    graph = import_model(options.model)
    (name,) = graph.inputs
    spec = graph.tensors[name]
    size = options.size or spec.shape[-1]
    shapes = {name: (options.batch, spec.shape[1], size, size)}
    normalised = ImageOptions(MEAN, STD)
    image = None if options.host else device_image(spec, normalised)
    with nnef_cl.load(
        options.model, device=options.device, shapes=shapes, streams=streams, inputs={name: image} if image else None
    ) as session:
        batch = rows_of(session.inputs.values(), session.outputs.values())
        read = partial(read_item, inputs=session.inputs, batch=batch, options=normalised)
        feed = Feed(session, read, {}, batch, options.readers, session.streams)
        inputs = {name: np.concatenate([read(item)[name] for item in items[:batch]])}
        tasks: Tasks = {
            "decoding": partial(decode, feed),
            "inference": partial(infer, feed, inputs),
            "pipeline": partial(through, feed, scratch / f"out{options.format}", session.outputs),
        }
        for task in tasks.values():
            task(items[: 4 * batch])
        return report(measure(tasks, items, options.rounds)) | {
            "device": session.device.name, "batch": batch, "streams": session.streams, "readers": options.readers,
        }  # fmt: skip


if __name__ == "__main__":
    main()
