"""Times zoo networks on nnef-cl against other engines: outputs compared first, then interleaved blocks of runs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import zoo

import nnef_cl
from nnef_cl.peers import PEERS, Peer, find_peers
from nnef_cl.peers.engine import Hint
from nnef_cl.peers.interleave import RUNS
from nnef_cl.peers.versus import PINNING, compare, streams_for

SCHEMA = 4
FLOOR = 0.95
"""Leads below are listed at the end."""


def measure(built: zoo.Built, peers: list[Peer], options: argparse.Namespace) -> dict[str, Any]:
    """One network on every device and every peer. Raises nnef_cl.Error, also where outputs differ."""
    x = {"input": np.random.default_rng(1).standard_normal(built.input_shape, np.float32)}
    hint = Hint(options.hint)
    with contextlib.ExitStack() as stack:
        sessions = {
            f"nnef-cl {device}": stack.enter_context(
                nnef_cl.load(
                    built.nnef, device=device, precision=options.precision, streams=options.streams or streams_for(hint)
                )
            )
            for device in options.device or ["cpu"]
        }
        infos = {name: session.device for name, session in sessions.items()}
        found = compare(
            sessions, built.onnx, x, peers, blocks=options.blocks, hint=hint, threads=options.threads
        )
    facts = {name: value for name, value in found.facts().items() if name != "runs_ms"}
    return {
        "schema": SCHEMA, "input": list(built.input_shape), "blocks": options.blocks, "precision": options.precision,
        "devices": {name: describe(info) for name, info in infos.items()}, "software": software() | found.versions,
    } | facts  # fmt: skip


def describe(info: Any) -> dict[str, str]:
    """A device, for the record."""
    return {"platform": info.platform, "name": info.name, "driver": info.driver_version}


def software() -> dict[str, str]:
    """Versions that a time means nothing without."""
    return {name: metadata.version(name) for name in ("nnef-cl", "pyopencl", "numpy")} | {
        "python": platform.python_version(), "system": platform.platform(),
    }  # fmt: skip


def positive(text: str) -> int:
    """An argparse type."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(zoo.NETWORKS), metavar="NETWORK",
                        help="default: those of the zoo; odd: those of odd shapes, at every size, in batches of 3; "
                             "further: of further kinds; edge: small ones; dense: results for every place")
    parser.add_argument("--vs", default="onnxruntime", metavar="PEERS", help=f"of {', '.join(PEERS)}; with commas")
    parser.add_argument("--hint", choices=[hint.value for hint in Hint], default="latency", help="for all engines")
    parser.add_argument("--device", action="append", help="as for nnef-cl bench; repeatable; default: cpu")
    parser.add_argument("--blocks", type=positive, default=10, help=f"of {RUNS} runs of each engine")
    parser.add_argument("--threads", type=positive, help="of the peers; default: as many as the OpenCL CPU has")
    parser.add_argument("--streams", type=positive, help="of nnef-cl; default: 1, for throughput as many as it chooses")
    parser.add_argument("--precision", choices=["default", "exact"], default="default", help="as for nnef-cl bench")
    parser.add_argument("--batch", type=positive, help="default: 1, for odd shapes 3")
    parser.add_argument("--size", type=positive, action="append", help="of the input; repeatable; default: published")
    parser.add_argument("--width", type=float, default=1.0, help="scales the channels")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results are added to those that it has")
    options = parser.parse_args()
    options.names = [one for name in options.names for one in zoo.GROUPS.get(name, [name])]
    if unknown := sorted(set(options.names) - set(zoo.KNOWN)):
        parser.error(f"invalid choice: {', '.join(unknown)}; there are {', '.join([*zoo.GROUPS, *zoo.KNOWN])}")
    if PINNING in os.environ:
        parser.error(f"unset {PINNING}: it pins the peers to one core")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: the folder does not exist")
    return options


def main() -> None:
    options = parse_arguments()
    results: list[dict[str, Any]] = []
    name = "--vs"
    before = json.loads(options.json.read_text("utf-8")) if options.json and options.json.exists() else []
    try:
        peers = find_peers(name.strip() for name in options.vs.split(","))
        for name in options.names:
            odd = name in zoo.ODD
            batch = options.batch or (zoo.BATCH if odd else 1)
            for size in options.size or (zoo.SIZES if odd else [None]):
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                    built = zoo.build(name, folder, batch=batch, size=size, width=options.width)
                    results.append({"network": name} | measure(built, peers, options))
                print(line(results[-1]), flush=True)
                if options.json:
                    options.json.write_text(json.dumps([*before, *results], indent=1) + "\n", encoding="utf-8")
    except (nnef_cl.Error, ValueError) as error:
        raise SystemExit(f"{name}: {error}") from None
    print("\n".join(summary(results)))


def line(result: dict[str, Any]) -> str:
    """One network for people."""
    times = ", ".join(f"{name} {ms['median']:.2f} ms" for name, ms in result["ms"].items())
    leads = ", ".join(
        f"{name} {one['median']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for name, one in result["lead"].items()
    )
    return f"{title(result)}: {times}; lead over {result['faster_peer']}: {leads}"


def title(result: dict[str, Any]) -> str:
    return f"{result['network']} {'x'.join(map(str, result['input']))}"


def summary(results: list[dict[str, Any]]) -> list[str]:
    """Geometric means of the leads, of each device and of the better one of each network; and where that is behind."""
    leads = [{name: lead["median"] for name, lead in result["lead"].items()} for result in results]
    if len(results) < 2:
        return []
    columns = {name: [one[name] for one in leads] for name in leads[0]}
    if len(columns) > 1:
        columns["the better one"] = [max(one.values()) for one in leads]
    means = [
        f"geometric mean of {len(results)} leads, {name}: {statistics.geometric_mean(column):.3f}"
        for name, column in columns.items()
    ]
    best = [(max(one.values()), title(result)) for one, result in zip(leads, results, strict=True)]
    behind = [f"{name} {lead:.2f}" for lead, name in sorted(best) if lead < FLOOR]
    return [*means, f"below {FLOOR}: {', '.join(behind) or 'none'}"]


if __name__ == "__main__":
    main()
