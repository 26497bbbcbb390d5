"""`nnef-cl bench` of many requests: streams, closed and open loops, a sweep over batch and streams, peers likewise."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnef_cl.commands import common, reports, versus
from nnef_cl.errors import Error, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from nnef_cl.gathering import Batching
    from nnef_cl.peers import Peer
    from nnef_cl.peers.engine import Submit
    from nnef_cl.session import Session
    from nnef_cl.throughput import Served, Shares, Traffic

PERCENTILES = (50, 90, 95, 99)
LEAST = 20
"""Requests that a measurement has at least, where their number is not said."""
PER_STREAM = 2
"""Requests under way per stream for throughput: the next one is there when one is done."""
ROUNDS = 2
"""Requests of a block with gathering, at least, for each under way: the last ones may be too few for a batch."""
ONE_BY_ONE = "one by one"
"""The engine that gets the same requests as nnef-cl without gathering them."""
SWEPT_BATCHES, SWEPT_STREAMS = "1,2,4,8", "1,2,4"


class Arrivals(str, Enum):
    """When the requests of an open loop come."""

    poisson = "poisson"
    uniform = "uniform"


@dataclass(frozen=True)
class Asked:
    """What the options say; None: not given."""

    streams: str | None
    requests: int | None
    rate: float | None
    arrivals: Arrivals
    in_flight: int | None
    batching: Batching | None
    sweep: bool
    batches: str | None
    hint: str | None
    seconds: float
    blocks: int
    seed: int

    @property
    def wanted(self) -> bool:
        """Whether many requests are measured, not single runs."""
        given = (self.streams, self.requests, self.rate, self.in_flight, self.batching)
        return self.sweep or any(one is not None for one in given)

    def check(self, peers: bool) -> None:
        """Raises UsageError for options that do not go together."""
        if self.batches is not None and not self.sweep:
            raise UsageError("--batches is for --sweep")
        if self.rate is not None and self.in_flight is not None:
            raise UsageError("--in-flight is for a closed loop, --rate for an open one")
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError("--rate: expected a number above 0")
        if self.sweep and (self.rate is not None or peers):
            raise UsageError("--sweep goes with neither --rate nor --vs")
        if self.batching is not None:
            self._check_batching(self.batching, peers)
        if not self.sweep:
            common.stream_count(self.streams or "auto")

    def _check_batching(self, batching: Batching, peers: bool) -> None:
        if self.sweep or peers:
            raise UsageError("--batching goes with neither --sweep nor --vs, whose engines gather nothing")
        if self.by_hint == "latency":
            raise UsageError("--batching needs many requests under way: leave out --hint latency")
        if self.in_flight is not None and self.in_flight < batching.least:
            message = f"--in-flight {self.in_flight}: batches of --batching {batching.max_size} need {batching.least}"
            raise UsageError(f"{message} requests under way at least")

    @property
    def by_hint(self) -> str:
        return self.hint or "throughput"

    @property
    def loaded(self) -> int | str:
        """The streams to load with."""
        return common.stream_count(self.streams or ("auto" if self.by_hint == "throughput" else "1"))

    def under_way(self, streams: int) -> int:
        at_once = self.batching.max_size if self.batching is not None else 1
        return self.in_flight or streams * at_once * (PER_STREAM if self.by_hint == "throughput" else 1)


def gathered(text: str | None) -> Batching | None:
    """'SIZE' or 'SIZE,DELAY_MS' -> how requests are gathered. UsageError."""
    from nnef_cl.errors import InputError
    from nnef_cl.gathering import Batching

    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})(?:,([0-9]{1,9}(?:\.[0-9]{1,9})?))?", text)
    if found is None:
        raise UsageError(f"--batching '{text}': expected requests and perhaps milliseconds, such as 8 or 8,2.5")
    try:
        return Batching(int(found[1])) if found[2] is None else Batching(int(found[1]), float(found[2]))
    except InputError as error:
        raise UsageError(f"--batching '{text}': {str(error).removeprefix('batching, ')}") from None


def bench(
    model: Path, asked: Asked, loading: dict[str, Any], shape: list[str] | None, peers: list[Peer], files: reports.Files
) -> None:
    """Measures, prints and writes. shape: what --shape says, for a sweep."""
    asked.check(bool(peers))
    if asked.sweep:
        report, show = _swept(model, asked, loading, shape)
        picture = partial(draw_sweep, points=report["sweep"])
    else:
        report, times = _measured(model, asked, loading, peers)
        show = partial(show_loop, report=report)
        picture = partial(versus.draw, times=times)
    show(common.console(files.stdout_is_json))
    files.write(report, picture)


# One setting -----------------------------------------------------------------------------------------------
def _measured(
    model: Path, asked: Asked, loading: dict[str, Any], peers: list[Peer]
) -> tuple[dict[str, Any], dict[str, list[list[float]]]]:
    """The report, and every engine's latencies by block."""
    from nnef_cl.bench import batch_items
    from nnef_cl.preprocess import random_inputs

    with contextlib.ExitStack() as opened:
        onnx = None
        if peers:
            folder = opened.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            onnx = versus.exported(model, Path(folder), loading)
        session = opened.enter_context(common.open_streams(model, asked.loaded, loading | {"batching": asked.batching}))
        opened.enter_context(session.state_kept())
        inputs = random_inputs(session.inputs, asked.seed)
        report = reports.facts(model, session) | {"load_s": dict(session.timings)}
        report["load_s"]["total"] = sum(session.timings.values())
        shares = measure_shares(model, session, inputs, loading, kernels=asked.batching is None)
        engines: dict[str, Submit] = {versus.OURS: partial(session.submit, inputs)}
        parallel: dict[str, int] = {}
        if onnx is not None:
            found = versus.opened(session, onnx, inputs, peers, asked.by_hint)
            engines = {engine.name: engine.submit for engine in found.engines if engine.submit is not None}
            parallel = {engine.name: engine.parallel for engine in found.engines}
            report["errors"] = dict(found.errors)
        if asked.batching is not None:
            plain = opened.enter_context(common.open_session(model, streams=session.streams, **loading))
            engines[ONE_BY_ONE] = partial(plain.submit, inputs)
        blocks = asked.blocks if len(engines) > 1 else 1
        traffic, blocks = traffic_of(asked, session.streams, engines[versus.OURS], blocks)
        counts: Counter[str] = Counter(dict.fromkeys(session.batches, 0))
        parallel = parallel if asked.in_flight is None else {}
        served = in_turn(engines, traffic, blocks, parallel, partial(counting, session, counts))
        if asked.batching is not None:
            report["batching"] = dataclasses.asdict(asked.batching) | counts
        report |= {"streams": session.streams, "batch": batch_items(session.inputs)}
    report["software"] |= {peer.name: peer.version for peer in peers}
    report |= {"options": options_of(asked, loading), "traffic": dataclasses.asdict(traffic) | {"blocks": blocks}}
    report["engines"] = {name: loop_facts(one, report["batch"]) for name, one in served.items()}
    ours = served[versus.OURS]
    report["shares"] = share_facts(shares, ours, traffic)
    if len(served) > 1:
        report["leads"] = {name: lead_facts(ours, one) for name, one in served.items() if name != versus.OURS}
    return report, {name: [block.latencies for block in one] for name, one in served.items()}


def measure_shares(
    model: Path, session: Session, inputs: Mapping[str, Any], loading: dict[str, Any], kernels: bool = True
) -> Shares:
    """Of one request, each part by itself. kernels: whether those of single requests are what runs."""
    from nnef_cl.bench import device_seconds
    from nnef_cl.device.manager import open_devices
    from nnef_cl.throughput import Shares, alone_seconds, transfer_seconds

    seconds = None
    if kernels:
        seconds = device_seconds(lambda profile: common.open_session(model, profile=profile, **loading), inputs)
    copies = transfer_seconds(open_devices(loading["device"])[0], session.inputs, session.outputs)
    return Shares(alone_seconds(partial(session.submit, inputs, stream=0)), seconds, copies)


def traffic_of(asked: Asked, streams: int, submit: Submit, blocks: int) -> tuple[Traffic, int]:
    """Of one block, and how many blocks there are: at most so many."""
    from nnef_cl.throughput import Traffic, requests_for

    under_way = asked.under_way(streams)
    least = LEAST if asked.batching is None else max(LEAST, ROUNDS * under_way)
    count = asked.requests
    if count is None and asked.rate is not None:
        count = max(least, round(asked.rate * asked.seconds))
    if count is None:
        count = requests_for(asked.seconds, submit, under_way, least)
    if asked.batching is not None:
        blocks = max(1, min(blocks, count // (ROUNDS * under_way)))
    traffic = Traffic(-(-count // blocks), under_way, asked.rate, asked.arrivals is Arrivals.poisson, asked.seed)
    return traffic, blocks


def in_turn(
    engines: Mapping[str, Submit], traffic: Traffic, blocks: int, parallel: Mapping[str, int],
    around: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> dict[str, list[Served]]:  # fmt: skip
    """Blocks of each engine, in changing order, each after a pause and as many requests as are under way, which do not
    count. parallel: engine -> requests that it runs at a time; a closed loop keeps at least as many under way. around:
    what counts is measured inside it."""
    import time

    from nnef_cl.peers.interleave import PAUSE, turns
    from nnef_cl.throughput import Traffic, drive

    served: dict[str, list[Served]] = {name: [] for name in engines}
    for name in turns(list(engines), blocks):
        time.sleep(PAUSE)
        under_way = max(traffic.in_flight, parallel.get(name, 1))
        drive(engines[name], Traffic(under_way, under_way))
        one = dataclasses.replace(traffic, in_flight=under_way, seed=traffic.seed + len(served[name]))
        with around():
            served[name].append(drive(engines[name], one))
    return served


@contextlib.contextmanager
def counting(session: Session, counts: Counter[str]) -> Iterator[None]:
    """Adds what the session gathers inside the block."""
    before = session.batches
    yield
    counts.update(session.batches)
    counts.subtract(before)


def options_of(asked: Asked, loading: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {name: loading[name] for name in ("precision", "tuning")}
    return {"seed": asked.seed, "hint": asked.by_hint, "time": asked.seconds} | chosen


# Facts -----------------------------------------------------------------------------------------------------
def loop_facts(served: Sequence[Served], items: int) -> dict[str, Any]:
    """For JSON: items per second (of all blocks together, and of each), milliseconds per request."""
    latencies = [latency * 1e3 for one in served for latency in one.latencies]
    late = [(sent - due) * 1e3 for one in served for due, sent in zip(one.due, one.sent, strict=True)]
    means, most = zip(*(one.under_way for one in served), strict=True)
    spread = {f"p{percent}": percentile(latencies, percent) for percent in PERCENTILES}
    return {
        "requests": len(latencies),
        "throughput_per_s": items * len(latencies) / sum(one.wall for one in served),
        "blocks_per_s": [items * one.per_second for one in served],
        "offered_per_s": items * statistics.fmean(one.offered for one in served),
        "latency_ms": {"min": min(latencies)} | spread | {"max": max(latencies), "mean": statistics.fmean(latencies)},
        "sent_late_ms": {"p50": percentile(late, 50), "p99": percentile(late, 99)},
        "under_way": {"mean": statistics.fmean(means), "max": max(most)},
    }


def percentile(values: Sequence[float], percent: float) -> float:
    import numpy as np

    return float(np.percentile(values, percent))


def share_facts(shares: Shares, served: Sequence[Served], traffic: Traffic) -> dict[str, Any]:
    parts = [shares.of(one) for one in served]
    middle = sorted(served, key=lambda one: one.per_second)[len(served) // 2]
    return {
        "alone_ms": shares.alone * 1e3, "transfer_ms": shares.transfer * 1e3,
        "device_ms": None if shares.device is None else shares.device * 1e3,
        "of_wall": {name: statistics.fmean(part[name] for part in parts) for name in parts[0]},
        "verdict": shares.verdict(middle, traffic),
    }  # fmt: skip


def lead_facts(ours: Sequence[Served], peer: Sequence[Served]) -> dict[str, float]:
    """Our throughput over the peer's, of all blocks and from block to block."""
    ratios = [a.per_second / b.per_second for a, b in zip(ours, peer, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


# Printing --------------------------------------------------------------------------------------------------
def show_loop(out: Console, report: Mapping[str, Any]) -> None:
    out.print(common.facts([*reports.rows(report, report["load_s"]), *_rows(report)]), soft_wrap=True)
    if "leads" not in report:
        return
    columns = ("engine", "items/s", *(f"p{percent} ms" for percent in PERCENTILES), "lead", "lowest", "highest")
    table = common.table(*columns, numbers=columns[1:])
    for name, facts in report["engines"].items():
        lead = report["leads"].get(name)
        cells = [f"{facts['latency_ms'][f'p{percent}']:.3f}" for percent in PERCENTILES]
        cells += ["", "", ""] if lead is None else [f"{lead[key]:.2f}" for key in ("median", "low", "high")]
        table.add_row(name, f"{facts['throughput_per_s']:.1f}", *cells)
    out.print()
    out.print(table)
    out.print(f"\n{report['traffic']['blocks']} blocks in turn; lead: items/s of {versus.OURS} over the other's")


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    facts, shares, traffic = report["engines"][versus.OURS], report["shares"], report["traffic"]
    latency, under_way = facts["latency_ms"], facts["under_way"]
    loop = f"closed loop: {traffic['in_flight']} under way"
    if traffic["rate"] is not None:
        gaps = "Poisson" if traffic["poisson"] else "uniform"
        loop = f"open loop: {traffic['rate']:g} per second, {gaps}"
    streams = report["streams"]
    yield "requests", f"{facts['requests']}, {loop}, on {streams} stream{'s' if streams > 1 else ''}"
    yield "throughput", f"{facts['throughput_per_s']:.1f} items/s (batch {report['batch']})"
    if "batching" in report:
        yield "gathered", _gathered(report["batching"])
    yield "latency", ", ".join(f"{name} {value:.3f}" for name, value in latency.items() if name != "mean") + " ms"
    waits = {name: max(0.0, latency[name] - shares["alone_ms"]) for name in ("p50", "p99")}
    yield "queueing", (
        f"{shares['alone_ms']:.3f} ms for a request alone, p50 {waits['p50']:.3f} and p99 {waits['p99']:.3f} ms more; "
        f"{under_way['mean']:.1f} under way on average, at most {under_way['max']}"
    )
    if traffic["rate"] is not None and facts["throughput_per_s"] < 0.95 * facts["offered_per_s"]:
        yield "", f"the rate is too high: {facts['offered_per_s']:.1f} items/s were due; latencies grow with --requests"
    if shares["of_wall"]:
        part = {name: f"{value:.0%}" for name, value in shares["of_wall"].items()}
        yield "occupancy", (
            f"device {part['device']} ({shares['device_ms']:.3f} ms in kernels per request), "
            f"transfers {part['transfer']}, host or idle {part['host_or_idle']}: {shares['verdict']}"
        )


def _gathered(facts: Mapping[str, Any]) -> str:
    mean = f" of {facts['batched'] / facts['batches']:.1f} requests on average" if facts["batches"] else ""
    asked = f"up to {facts['max_size']} within {facts['max_delay_ms']:g} ms"
    return f"{asked}: {facts['batches']} batches{mean}, {facts['alone']} requests alone"


# Sweep -----------------------------------------------------------------------------------------------------
def _swept(model: Path, asked: Asked, loading: dict[str, Any], shape: list[str] | None) -> tuple[dict[str, Any], Any]:
    """The report over all batches and streams, and what shows it."""
    points: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    refused: Error | None = None
    for batch in numbers(asked.batches or SWEPT_BATCHES, "--batches"):
        shapes = common.resolve_shapes(model, shape, batch, loading["dialect"], loading["ops"])
        try:
            for streams in numbers(asked.streams or SWEPT_STREAMS, "--streams"):
                found = _point(model, asked, loading | {"shapes": shapes}, streams)
                points.append({"batch": batch, "streams": streams} | found.pop("point"))
                report = report or found
        except Error as error:
            refused = error
            common.say(f"batch {batch} is left out: {error}")
    if not points:
        assert refused is not None
        raise refused
    report |= {"sweep": points, "options": options_of(asked, loading)}
    return report, partial(show_sweep, report=report)


def numbers(text: str, option: str) -> list[int]:
    """'1,2,4' -> [1, 2, 4]. UsageError."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 4096 for part in parts):
        raise UsageError(f"{option} '{text}': expected numbers with commas between them, such as 1,2,4")
    return sorted({int(part) for part in parts})


def _point(model: Path, asked: Asked, loading: dict[str, Any], streams: int) -> dict[str, Any]:
    from nnef_cl.bench import batch_items
    from nnef_cl.preprocess import random_inputs

    with common.open_streams(model, streams, loading) as session:
        inputs = random_inputs(session.inputs, asked.seed)
        submit = partial(session.submit, inputs)
        shares = measure_shares(model, session, inputs, loading)
        traffic, _ = traffic_of(asked, session.streams, submit, 1)
        served = in_turn({versus.OURS: submit}, traffic, 1, {})[versus.OURS]
        facts = loop_facts(served, batch_items(session.inputs)) | {"shares": share_facts(shares, served, traffic)}
        return reports.facts(model, session) | {"point": facts}


def show_sweep(out: Console, report: Mapping[str, Any]) -> None:
    device = report["device"]
    out.print(f"{report['model']['path']} on {device['name']} ({device['platform']})\n", soft_wrap=True)
    columns = ("batch", "streams", "items/s", *(f"p{percent} ms" for percent in PERCENTILES), "device", "verdict")
    table = common.table(*columns, numbers=columns[:-1])
    best = max(report["sweep"], key=lambda point: point["throughput_per_s"])
    for point in report["sweep"]:
        cells = [f"{point['latency_ms'][f'p{percent}']:.3f}" for percent in PERCENTILES]
        share = point["shares"]["of_wall"].get("device")
        occupied = "" if share is None else f"{share:.0%}"
        verdict = point["shares"]["verdict"] + (", most items/s" if point is best else "")
        rate = f"{point['throughput_per_s']:.1f}"
        table.add_row(str(point["batch"]), str(point["streams"]), rate, *cells, occupied, verdict)
    out.print(table)


def draw_sweep(figure: Any, title: str, points: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG: throughput against latency, a line per number of streams, its points the batches; p99 to their right."""
    axes = figure.subplots()
    for streams in sorted({point["streams"] for point in points}):
        own = [point for point in points if point["streams"] == streams]
        x, y = [point["latency_ms"]["p50"] for point in own], [point["throughput_per_s"] for point in own]
        reach = [point["latency_ms"]["p99"] - point["latency_ms"]["p50"] for point in own]
        axes.errorbar(x, y, xerr=[[0] * len(own), reach], marker="o", capsize=3, label=f"{streams} streams")
        for point, place in zip(own, zip(x, y, strict=True), strict=True):
            axes.annotate(f"batch {point['batch']}", place, textcoords="offset points", xytext=(4, 6), fontsize=8)
    axes.set(xlabel="ms per request, p50 (line to p99)", ylabel="items per second", title=title)
    axes.set_ylim(bottom=0)
    axes.legend()
    axes.grid(alpha=0.3)
    return common.png(figure)
