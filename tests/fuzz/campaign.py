"""Feeds mutated models to everything that reads files and judges the outcomes; `python -m tests.fuzz.campaign --help`.

An input may end in a valid model or in an nnef_cl.Error, within SECONDS of processor time and MEGABYTES of memory, and without
a warning of numpy's. Anything else is a finding: it is written into a folder with its traceback, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.errors import Error, ModelSyntaxError
from nnef_cl.format.layout import format_document
from nnef_cl.format.parser import parse_document
from nnef_cl.format.printer import print_document
from nnef_cl.format.quant_file import parse_quant
from nnef_cl.format.tensor_file import read_tensor_file
from nnef_cl.importer import LENIENT, STRICT, import_document, import_model
from nnef_cl.importer.flatten import flatten
from nnef_cl.importer.validate import validate_model
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.base import Table
from nnef_cl.plan.build import build_plan
from tests.fuzz import byte_mutator, corpus, quantised, syntax_mutator

SECONDS, MEGABYTES = 10, 256
"""Of processor time per input; that the process may grow by at one input."""
PLANNED = 0.05
"""Share of valid models that are planned too."""
FLATTENED = 0.1
"""Share of texts that are put into canonical form, and of valid models that are written as flat texts and read again."""
VALIDATED = 0.2
"""Share of models, broken or not, that the validator sees."""
KINDS = {
    "structure": 0.35, "tokens": 0.1, "tensor": 0.15, "tensor bytes": 0.05, "quant": 0.07, "quantised": 0.15, "archive": 0.1,
    "folder": 0.03,
}  # fmt: skip
"""Share of each kind of input."""
STRUCTURAL = ("structure", "tensor", "quantised", "archive", "folder")


class TooSlow(BaseException):
    """Raised where an input takes longer than it may; no `except Exception` may hide it."""


@dataclass
class Tally:
    """Outcomes counted. grammatical: texts that the grammar accepts; valid: inputs that gave a model, tensor, entries.

    planned: models that went through passes and planning; flattened: through a flat text; validated: through the validator; quantised: valid models with
    tensors that an entry or codes of a file quantise."""

    inputs: Counter[str] = field(default_factory=Counter)
    grammatical: Counter[str] = field(default_factory=Counter)
    valid: Counter[str] = field(default_factory=Counter)
    planned: int = 0
    flattened: int = 0
    validated: int = 0
    quantised: int = 0
    findings: int = 0
    slowest: float = 0.0
    seconds: float = 0.0


class Fuzzer:
    """Makes inputs and runs them. folder: for archives on disk."""

    def __init__(self, random: Random, folder: Path) -> None:
        self.random, self.folder, self.tally = random, folder, Tally()
        for name in ("folder", "quantised", "text"):
            (folder / name).mkdir()
        self.pool = syntax_mutator.Pool(corpus.documents())
        self.target = Target.generic()
        self.ops = STANDARD | INTERNAL

    def input(self, kind: str) -> bytes:
        """One mutated input of the kind."""
        random = self.random
        if kind == "structure":
            document = random.choice(corpus.documents())
            changes = random.choice((1, 1, 1, 2, 2, 3, 5))
            return print_document(syntax_mutator.mutated(random, document, self.pool, changes)).encode()
        if kind == "tokens":
            text = byte_mutator.tokens_changed(random, print_document(random.choice(corpus.documents()))).encode()
            return byte_mutator.bytes_changed(random, text) if random.random() < 0.2 else text
        if kind == "tensor":
            return byte_mutator.tensor_changed(random, random.choice(corpus.tensor_files()))
        if kind == "tensor bytes":
            return byte_mutator.bytes_changed(random, random.choice(corpus.tensor_files()))
        if kind == "quant":
            return random_quant(random)
        if kind == "quantised" or (kind == "archive" and random.random() < 0.5):
            files = quantised.model(random)
            changes = random.choice((0, 1, 1, 1, 2, 3))
        else:
            files = dict(corpus.model_files())
            changes = kind == "folder" or random.random() < 0.3
        for _ in range(changes):
            name = random.choice(list(files))
            files[name] = self.file_changed(name, files[name])
        return byte_mutator.archive_changed(random, files) if kind == "archive" else corpus.packed(files.items())

    def file_changed(self, name: str, content: bytes) -> bytes:
        """A file of a model, changed as its kind asks for."""
        with contextlib.suppress(Error):  # it may have been changed before
            if name.endswith(".dat"):
                return quantised.tensor_file_changed(self.random, content)
            if name.endswith(".quant"):
                return quantised.quant_changed(self.random, content)
            document = syntax_mutator.mutated(self.random, parse_document(content), self.pool, self.random.choice((1, 2)))
            return print_document(document).encode()
        return content

    def run(self, kind: str, data: bytes) -> None:
        """Reads the input as what it is meant to be. Raises what the reader raises."""
        if kind in ("structure", "tokens"):
            self._text(kind, data)
        elif kind.startswith("tensor"):
            read_tensor_file(data, "x.dat")
        elif kind == "quant":
            parse_quant(data)
            self.tally.grammatical[kind] += 1
        elif kind == "archive":
            path = self.folder / "model"
            path.write_bytes(data)
            self._model(path)
        else:
            self._model(unpacked(data, self.folder / kind))

    def _model(self, path: Path) -> None:
        if self.random.random() < VALIDATED:
            self._validate(path)
        graph = import_model(path, table=quantised.TABLE)
        self.tally.quantised += any(spec.quant is not None for spec in graph.tensors.values())
        self._use(graph, quantised.TABLE)

    def _validate(self, path: Path) -> None:
        validate_model(path, table=quantised.TABLE)
        self.tally.validated += 1

    def _use(self, graph: Graph, ops: Table) -> None:
        """Plans some of the small models, and makes flat texts of some."""
        if sum(spec.volume for spec in graph.tensors.values()) > 10**6:
            return
        if self.random.random() < PLANNED:
            build_plan(passes.run(graph, self.ops, self.target), self.ops, self.target)
            self.tally.planned += 1
        if self.random.random() < FLATTENED:
            data = {c.label: c.array for c in (*graph.constants.values(), *graph.variables.values())}
            flat = print_document(flatten(graph, ops))
            again = import_document(parse_document(flat), ops, lambda label, position: data[label])
            assert print_document(flatten(again, ops)) == flat
            self.tally.flattened += 1

    def _text(self, kind: str, data: bytes) -> None:
        if self.random.random() < VALIDATED:
            (self.folder / "text" / "graph.nnef").write_bytes(data)
            self._validate(self.folder / "text")
        document = parse_document(data)
        self.tally.grammatical[kind] += 1
        dialect = STRICT if self.random.random() < 0.3 else LENIENT
        if self.random.random() < FLATTENED:
            assert parse_document(format_document(data)) == document
        self._use(import_document(document, STANDARD, self._variable, dialect=dialect), STANDARD)

    def _variable(self, label: str, position: Any) -> np.ndarray:
        """Any label is there, with one of a few shapes."""
        return np.zeros(self.random.choice(((1, 4, 6, 6), (4, 4, 3, 3), (1, 4), (3,))), np.float32)

    def judge(self, kind: str, data: bytes) -> str:
        """'' or, for a finding, what happened."""
        self.tally.inputs[kind] += 1
        started, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        problem = ""
        try:
            with time_limit():
                self.run(kind, data)
            self.tally.valid[kind] += 1
        except Error as error:
            if isinstance(error, ModelSyntaxError) and "\n" in str(error).strip():
                problem = f"message of several lines: {error}"
        except (Exception, TooSlow) as error:
            problem = "".join(traceback.format_exception(error))
        self.tally.slowest = max(self.tally.slowest, time.process_time() - started)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) // 1024
        if grown > MEGABYTES:
            problem += f"\nmemory grew by {grown} MB"
        self.tally.findings += bool(problem)
        return problem


def random_quant(random: Random) -> bytes:
    return byte_mutator.tokens_changed(random, random.choice(corpus.QUANT)).encode()


def unpacked(data: bytes, folder: Path) -> Path:
    """The folder with the members of that tar and nothing else."""
    for path in folder.iterdir():
        path.unlink()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for name in tar.getnames():
            member = tar.extractfile(name)
            assert member is not None
            (folder / name).write_bytes(member.read())
    return folder


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise TooSlow

    old = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


def campaign(fuzzer: Fuzzer, count: int, seconds: float, found: Callable[[str, bytes, str], None]) -> Tally:
    """That many inputs, or as many as fit into the time; findings go to `found` (kind, input, what happened)."""
    started = time.perf_counter()
    kinds, weights = list(KINDS), list(KINDS.values())
    warnings.simplefilter("error", RuntimeWarning)  # numpy's would reach whoever loads the model
    for _ in range(count):
        kind = fuzzer.random.choices(kinds, weights)[0]
        data = fuzzer.input(kind)
        if problem := fuzzer.judge(kind, data):
            found(kind, data, problem)
        fuzzer.tally.seconds = time.perf_counter() - started
        if fuzzer.tally.seconds > seconds:
            break
    return fuzzer.tally


def report(tally: Tally) -> dict[str, Any]:
    """The tally for JSON."""
    rows = {
        kind: {"inputs": n, "grammatical": tally.grammatical[kind], "valid": tally.valid[kind]}
        for kind, n in sorted(tally.inputs.items())
    }
    total = sum(tally.inputs.values())
    return {
        "inputs": total, "structural": sum(tally.inputs[kind] for kind in STRUCTURAL) / max(1, total), "kinds": rows,
        "planned": tally.planned, "flattened": tally.flattened, "validated": tally.validated, "quantised": tally.quantised,
        "findings": tally.findings, "slowest_s": tally.slowest, "seconds": tally.seconds,
    }  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=10_000, help="inputs at most")
    options.add_argument("--seconds", type=float, default=3600, help="time at most")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder for findings")
    chosen = options.parse_args()
    limit = 6 << 30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def found(kind: str, data: bytes, problem: str) -> None:
        last = [line for line in problem.splitlines() if "nnef_cl" in line or "codegen" in line][-1:]
        key = hashlib.sha256("".join(last).encode() + problem.splitlines()[-1][:40].encode()).hexdigest()[:12]
        if not (chosen.out / f"{key}.txt").exists():
            chosen.out.mkdir(parents=True, exist_ok=True)
            (chosen.out / f"{key}.txt").write_text(f"{kind}\n{problem}")
            (chosen.out / f"{key}.input").write_bytes(data)

    with tempfile.TemporaryDirectory() as folder:
        tally = campaign(Fuzzer(Random(chosen.seed), Path(folder)), chosen.count, chosen.seconds, found)
    print(json.dumps(report(tally) | {"seed": chosen.seed, "process": os.getpid()}))
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
