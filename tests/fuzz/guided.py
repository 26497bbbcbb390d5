"""Coverage-guided fuzzing with atheris, if it is installed; `python -m tests.fuzz.guided CORPUS [options of libFuzzer]`.

The first byte of an input says what reads it. Texts are mutated as syntax where they parse, everything else as bytes.
The folder CORPUS is filled with valid inputs where it is empty, and libFuzzer adds to it.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from random import Random

import atheris  # type: ignore[import-not-found,unused-ignore]

with atheris.instrument_imports(include=["nnef_cl.format", "nnef_cl.importer"]):
    from nnef_cl.errors import Error
    from nnef_cl.format.parser import parse_document
    from nnef_cl.format.printer import print_document
    from tests.fuzz import corpus
    from tests.fuzz.campaign import Fuzzer
    from tests.fuzz.syntax_mutator import mutated

READERS = ("tokens", "tensor", "quant", "archive")
SCRATCH = tempfile.TemporaryDirectory()
FUZZER = Fuzzer(Random(0), Path(SCRATCH.name))


def read(data: bytes) -> None:
    """Ends quietly for valid inputs and our own errors; anything else is a crash to libFuzzer."""
    if len(data) > 1:
        FUZZER.random.seed(0)
        with contextlib.suppress(Error):
            FUZZER.run(READERS[data[0] % len(READERS)], data[1:])


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    random = Random(seed)
    if data and READERS[data[0] % len(READERS)] == "tokens" and random.random() < 0.7:
        try:
            document = mutated(random, parse_document(data[1:]), FUZZER.pool, random.choice((1, 1, 2)))
            return (data[:1] + print_document(document).encode())[:max_size]
        except Error:
            pass
    return bytes(atheris.Mutate(data, max_size))


def fill(folder: Path) -> None:
    """One file for every valid input."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        return
    texts = [print_document(document).encode() for document in corpus.documents()]
    archives = [corpus.packed(corpus.model_files().items())]
    for kind, inputs in enumerate((texts, corpus.tensor_files(), [text.encode() for text in corpus.QUANT], archives)):
        for number, content in enumerate(inputs):
            (folder / f"{READERS[kind].replace(' ', '-')}-{number}").write_bytes(bytes([kind]) + content)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
    atheris.Setup(sys.argv, read, custom_mutator=mutate)
    atheris.Fuzz()
