"""`nnef-cl demo`: classify digits the packaged network has not seen, and draw some of them."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnef_cl.commands import common

if TYPE_CHECKING:
    import numpy as np

RUNS = 10
DRAWN = 8
PER_ROW = 4
INK = 16
UNICODE, ASCII = " ░▒▓█", " .+*@"
"""From paper to ink; every pixel is two characters wide, which makes it about square."""


def demo(
    device: common.DeviceOption = None, devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
) -> None:  # fmt: skip
    """Classify hand-written digits with the packaged network."""
    from nnef_cl.demo import held_out_digits, model_folder

    images, labels = held_out_digits()
    batch = images[:, None].astype("float32")
    model, out = model_folder(), common.console()
    with common.open_session(model, device=device, shapes={"image": batch.shape}) as session:
        out.print(f"device: {session.device.name} ({session.device.platform})")
        out.print(f"why: {session.reason}")
        predicted = session(batch).argmax(axis=1)
        seconds = _median_seconds(session, batch)
    out.print(f"\nsome of {len(images)} hand-written digits the network was not trained on, as it reads them:\n")
    for line in gallery(images, labels, predicted, characters(sys.stdout.encoding)):
        out.print(line)
    out.print(accuracy(predicted, labels))
    rate = f"{len(images) / seconds:,.0f} digits/s"
    out.print(f"throughput {rate} (one batch of {len(images)} in {seconds * 1e3:.2f} ms, median of {RUNS})")
    out.print("\nnext:")
    for command in ("devices", f"info {model}", f"bench {model} --batch 32", f"dump {model} --kernels kernels"):
        out.print(f"  nnef-cl {command}", soft_wrap=True)


def _median_seconds(session: object, batch: np.ndarray) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        session(batch)  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> str:
    """'accuracy 98.4 % (443 of 450)'."""
    right = int((predicted == labels).sum())
    return f"accuracy {100 * right / len(labels):.1f} % ({right} of {len(labels)})"


def characters(encoding: str | None) -> str:
    """Five characters from light to dark that the encoding has."""
    try:
        UNICODE.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def chosen_digits(labels: np.ndarray, predicted: np.ndarray) -> list[int]:
    """The first digits, the last of them being the first that was misread, where one was."""
    misread = [int(k) for k in (predicted != labels).nonzero()[0]]
    first = list(range(min(DRAWN, len(labels))))
    return first if not misread or misread[0] in first else [*first[:-1], misread[0]]


def gallery(images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, shades: str) -> list[str]:
    """Lines with some digits side by side, each with what the network reads under it."""
    chosen = chosen_digits(labels, predicted)
    lines: list[str] = []
    for start in range(0, len(chosen), PER_ROW):
        row = chosen[start : start + PER_ROW]
        lines += _beside([drawing(images[k], shades) for k in row])
        lines += ["  ".join(caption(int(predicted[k]), int(labels[k])).center(16) for k in row).rstrip(), ""]
    return lines


def _beside(drawings: Sequence[list[str]]) -> list[str]:
    return ["  ".join(parts).rstrip() for parts in zip(*drawings, strict=True)]


def drawing(image: np.ndarray, shades: str) -> list[str]:
    """[rows, columns] grey levels 0 to 16 -> one line per row."""
    steps = len(shades) - 1
    return ["".join(shades[(int(pixel) * steps + INK // 2) // INK] * 2 for pixel in row) for row in image]


def caption(predicted: int, label: int) -> str:
    """What the network reads, and the truth where that differs."""
    return str(predicted) if predicted == label else f"{predicted} (is a {label})"
