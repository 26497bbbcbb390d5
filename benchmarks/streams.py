"""Times networks with several requests in flight against one at a time: results compared first, blocks in turn."""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zoo
from compare import describe, positive, software

import nnef_cl
from nnef_cl.peers.interleave import PAUSE

SCHEMA = 1
BLOCK_SECONDS = 0.25
NETWORKS = ("mobilenetv2", "squeezenet", "mlp", "resnet50")
Rate = Callable[[int], float]
"""Does that many requests and gives the requests per second."""


def measure(model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One network with every number of streams. Raises nnef_cl.Error, also where results differ."""
    with contextlib.ExitStack() as stack:
        sessions = {
            streams: stack.enter_context(nnef_cl.load(model, device=options.device, streams=streams))
            for streams in options.streams
        }
        alone = stack.enter_context(nnef_cl.load(model, device=options.device))
        random = np.random.default_rng(1)
        x = {name: random.standard_normal(spec.shape, np.float32) for name, spec in alone.inputs.items()}
        expected = alone.run(x)
        for streams, session in sessions.items():
            for outputs in session.map([x] * 8):
                compare(expected, outputs, f"{model}: {streams} streams")
        rates = {"one": one_at_a_time(alone, x)} | {name: in_flight(session, x) for name, session in sessions.items()}
        info = alone.device
        found = interleave(rates, options.blocks)
    one = found.pop("one")
    return {
        "schema": SCHEMA, "device": describe(info), "software": software(), "blocks": options.blocks,
        "one_per_second": statistics.median(one),
        "streams": {str(name): {"per_second": statistics.median(blocks)} | gain(blocks, one)
                    for name, blocks in found.items()},
    }  # fmt: skip


def compare(expected: dict[str, np.ndarray], got: dict[str, np.ndarray], what: str) -> None:
    """Raises nnef_cl.Error where results differ by more than rounding."""
    for name, array in expected.items():
        difference = float(np.abs(array - got[name]).max() / max(np.abs(array).max(), 1e-30))
        if not difference < 1e-4:
            raise nnef_cl.Error(f"{what}: '{name}' differs by {difference:.1e}")


def one_at_a_time(session: nnef_cl.Session, x: dict[str, np.ndarray]) -> Rate:
    def rate(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            session.run(x)
        return count / (time.perf_counter() - started)

    return rate


def in_flight(session: nnef_cl.Session, x: dict[str, np.ndarray]) -> Rate:
    def rate(count: int) -> float:
        started = time.perf_counter()
        for _ in session.map([x] * count):
            pass
        return count / (time.perf_counter() - started)

    return rate


def interleave(rates: dict[Any, Rate], blocks: int) -> dict[Any, list[float]]:
    """That many blocks of each, forwards and backwards in turn."""
    count = max(8, round(rates["one"](8) * BLOCK_SECONDS))
    found: dict[Any, list[float]] = {name: [] for name in rates}
    for index in range(blocks):
        for name in list(rates)[:: -1 if index % 2 else 1]:
            time.sleep(PAUSE)
            rates[name](8)
            found[name].append(rates[name](count))
    return found


def gain(blocks: list[float], one: list[float]) -> dict[str, float]:
    """Throughput over one request at a time: median, lowest and highest of the blocks that follow each other."""
    ratios = [a / b for a, b in zip(blocks, one, strict=True)]
    return {"gain": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def streams(text: str) -> int | str:
    """An argparse type."""
    return text if text == "auto" else positive(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NETWORKS, metavar="NETWORK",
                        help=f"of the zoo, or folders of models; default: {', '.join(NETWORKS)}")
    parser.add_argument("--device", default="cpu", help="as for nnef-cl bench")
    parser.add_argument("--streams", type=streams, nargs="+", default=["auto"], help="numbers or auto")
    parser.add_argument("--blocks", type=positive, default=10, help=f"of about {BLOCK_SECONDS} s each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where results go")
    options = parser.parse_args()
    results = []
    for name in options.names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(name) if name not in zoo.KNOWN else zoo.build(name, folder).nnef
            try:
                results.append({"network": name} | measure(path, options))
            except nnef_cl.Error as error:
                raise SystemExit(f"{name}: {error}") from None
        print(line(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def line(result: dict[str, Any]) -> str:
    """One network for people."""
    gains = ", ".join(
        f"{name} streams {one['gain']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
        for name, one in result["streams"].items()
    )
    return f"{result['network']}: one at a time {result['one_per_second']:.1f}/s; with {gains}"


if __name__ == "__main__":
    main()
