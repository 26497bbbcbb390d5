"""Many files: how they are found and named, how requests are gathered, what results on disk survive."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nnef_cl.commands import app, common, ranking, streaming
from nnef_cl.demo import held_out_digits, model_folder
from nnef_cl.errors import DeviceError, Error, InputError, UsageError
from nnef_cl.files import stands_for_many
from nnef_cl.importer import import_model
from nnef_cl.ir.dtype import BYTE
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.pipeline.record import Record, model_digest, record_path, shapes
from nnef_cl.pipeline.sinks import Csv, JsonLines, NpzFolder, Sink, Top, open_sink, refuse_existing
from nnef_cl.pipeline.sources import Arrays, Item, find_items, read_item
from nnef_cl.pipeline.stream import Feed, rows_of, stream
from nnef_cl.preprocess import ImageOptions

MODEL = str(model_folder())
PIXELS = held_out_digits()[0]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


# Sources ---------------------------------------------------------------------------------------------------
def names(*texts: Path, output: Path = Path("/nowhere")) -> list[str]:
    return [item.name for item in find_items([str(text) for text in texts], output)]


def test_names_are_unique_and_depend_on_the_patterns_alone(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    touch(a / "x.jpg", a / "x.png", a / "deep" / "x.jpg", b / "x.jpg", a / "notes.txt", a / ".hidden.jpg")
    assert names(a / "*.jpg") == ["x.jpg"]
    assert names(a) == ["deep/x.jpg", "x.jpg", "x.png"]
    assert names(a / "**" / "*.jpg") == ["deep/x.jpg", "x.jpg"]
    assert names(a / "*.jpg", b / "*.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert names(a / "x.jpg", a, a / "*") == ["x.jpg", "deep/x.jpg", "x.png", "notes.txt"]
    assert names(tmp_path / "?" / "x.*") == ["a/x.jpg", "a/x.png", "b/x.jpg"]


def test_results_are_no_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "x.npz", tmp_path / "out" / "x.npz.npz", tmp_path / "r.npz")
    touch(tmp_path / "data" / "x.npy", record_path(tmp_path / "data" / "r.csv"))
    assert names(tmp_path / "data" / "*", output=tmp_path / "out" / ".." / "data" / "r.csv") == ["x.npy"]
    shutil.rmtree(tmp_path / "data")
    assert names(tmp_path, output=tmp_path / "out") == ["r.npz", "x.npz"]
    assert names(tmp_path, output=tmp_path / "r.npz") == ["out/x.npz.npz", "x.npz"]


def test_a_file_with_the_name_of_a_pattern_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path / "x[1].jpg", tmp_path / "x1.jpg")
    assert not stands_for_many(str(tmp_path / "x[1].jpg"))
    assert names(tmp_path / "x[1].jpg") == ["x[1].jpg"]
    assert names(tmp_path / "x[0-9].jpg") == ["x1.jpg"]


@pytest.mark.parametrize("pattern", ["*.jpg", "absent.jpg", "empty"])
def test_nothing_found_is_said(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no file that can be read|no such file"):
        names(tmp_path / pattern)


def test_rows_of_arrays(tmp_path: Path) -> None:
    spec = TensorSpec((4, 2))
    for name, shape in (("one", (2,)), ("rows", (3, 2)), ("many", (5, 2)), ("other", (1, 3))):
        np.save(tmp_path / f"{name}.npy", np.ones(shape, np.float32))

    def shape(name: str, batch: int) -> tuple[int, ...]:
        return read_item(Item(tmp_path / f"{name}.npy", name), {"x": spec}, batch, ImageOptions())["x"].shape

    assert shape("one", 4) == (1, 2) and shape("rows", 4) == (3, 2)
    for name in ("many", "other"):
        with pytest.raises(InputError, match=rf"{name}.npy: input 'x': expected shape"):
            shape(name, 4)
    with pytest.raises(InputError, match=r"expected shape \[4, 2\], got \[3, 2\]"):
        shape("rows", 1)


def test_when_rows_can_be_gathered() -> None:
    assert rows_of([TensorSpec((8, 3))], [TensorSpec((8, 10)), TensorSpec((8, 2, 2))]) == 8
    assert rows_of([TensorSpec((8, 3))], [TensorSpec((4, 10))]) == 1
    assert rows_of([TensorSpec((8,))], [TensorSpec((8,))]) == 1
    assert rows_of([TensorSpec((8, 3))], [TensorSpec(())]) == 1


# Requests --------------------------------------------------------------------------------------------------
class FakeSession:
    """Doubles x, in a thread; refuses negative values, breaks at NaN."""

    def __init__(self) -> None:
        self.requests: list[np.ndarray] = []
        self._pool = ThreadPoolExecutor(1)

    def submit(self, inputs: Mapping[str, np.ndarray]) -> Future[Arrays]:
        return self._pool.submit(self._run, inputs["x"] * inputs.get("by", np.float32(2)))

    def _run(self, x: np.ndarray) -> Arrays:
        self.requests.append(x)
        if np.isnan(x).any():
            raise DeviceError("lost")
        if (x < 0).any():
            raise InputError("negative")
        return {"y": x}


def items_of(*values: float) -> list[Item]:
    return [Item(Path(str(value)), str(value)) for value in values]


def read_value(item: Item, rows: int = 1) -> Arrays:
    value = float(item.name)
    if value == 13:
        raise InputError("unreadable")
    return {"x": np.full((rows, 1), value, np.float32)}


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
@pytest.mark.parametrize("readers", [1, 4])
def test_every_item_has_one_result(batch: int, readers: int) -> None:
    session = FakeSession()
    items = items_of(*range(20))
    results = list(stream(Feed(session, read_value, {}, batch, readers), items))
    assert sorted(result.item.name for result in results) == sorted(item.name for item in items)
    done = [result for result in results if result.outputs is not None]
    assert [result.item.name for result in done] == [item.name for item in items if item.name != "13"]
    assert all(result.outputs["y"].tolist() == [[2 * float(result.item.name)]] for result in done if result.outputs)
    assert {request.shape for request in session.requests} == {(batch, 1)}
    assert [str(result.error) for result in results if result.error] == ["unreadable"]


def test_items_of_several_rows_are_not_torn() -> None:
    session = FakeSession()
    results = list(stream(Feed(session, partial(read_value, rows=3), {}, 8), items_of(1, 2, 3)))
    assert [request.shape for request in session.requests] == [(8, 1), (8, 1)]
    assert [result.outputs["y"].ravel().tolist() for result in results if result.outputs] == [[2] * 3, [4] * 3, [6] * 3]


def test_one_bad_item_harms_no_other_of_its_batch() -> None:
    results = list(stream(Feed(FakeSession(), read_value, {}, 4), items_of(1, -2, 3, 4, 5)))
    assert {r.item.name: str(r.error) if r.error else r.outputs["y"].item() for r in results if r.error or r.outputs} == {
        "1": 2, "-2": "negative", "3": 6, "4": 8, "5": 10,
    }  # fmt: skip


def test_inputs_that_stay_the_same_and_a_lost_device() -> None:
    feed = Feed(FakeSession(), read_value, {"by": np.float32(10)}, 1)
    assert [r.outputs["y"].item() for r in stream(feed, items_of(1, 2)) if r.outputs] == [10, 20]
    seen = []
    with pytest.raises(DeviceError, match="lost"):
        seen.extend(result.item.name for result in stream(feed, items_of(1, 2, float("nan"), 4)))


def test_files_are_not_read_far_ahead() -> None:
    read: list[str] = []

    def note(item: Item) -> Arrays:
        read.append(item.name)
        return read_value(item)

    results = stream(Feed(FakeSession(), note, {}, 2, readers=2), items_of(*range(1000)))
    next(results)
    results.close()
    assert len(read) < 40


# Results on disk -------------------------------------------------------------------------------------------
Y = np.array([[0.25, 0.5, 0.125], [1, 2, np.inf]], np.float32)


def top(count: int = 2, labels: list[str] | None = None, **shapes: tuple[int, ...]) -> Top:
    rank = partial(ranking.ranked, count=count, names=labels or [])
    return Top(rank, count, labels or [], {name: TensorSpec(shape) for name, shape in (shapes or {"y": (2, 3)}).items()})


RECORD = {"model": "net, sha256 0123", "--mean": "0.0"}


def fill(sink: Sink, items: list[Item], go_on: bool = False) -> None:
    sink.begin(items, go_on)
    for item in items:
        sink.write(item, {"y": Y})
    sink.close()


def sink(kind: str, folder: Path, record: Record = RECORD) -> Sink:
    return open_sink(folder / f"r{kind}", None if kind == "all.jsonl" else top(), record)


@pytest.mark.parametrize("kind", ["", ".csv", ".jsonl", "all.jsonl"])
def test_a_torn_end_is_cut_and_written_again(tmp_path: Path, kind: str) -> None:
    odd = [Item(Path("p"), name) for name in ('a/x,"1".jpg', "b\n.jpg", os.fsdecode(b"\xff.jpg"))]
    fill(sink(kind, tmp_path), odd)
    path = tmp_path / f"r{kind}"
    if kind == "":
        (path / "b\n.jpg.npz").write_bytes(b"PK torn")
        assert sink(kind, tmp_path).finished(odd) == {odd[0].name, odd[2].name}
        return
    whole = path.read_bytes()
    ends = set()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        again = sink(kind, tmp_path)
        finished = again.finished(odd)
        fill(again, [item for item in odd if item.name not in finished], go_on=True)
        assert path.read_bytes() == whole, cut
        ends.add(len(finished))
    assert ends == {0, 1, 2, 3}


def test_records(tmp_path: Path) -> None:
    labels = ["cat", "dog", "emu"]
    for made in (open_sink(tmp_path / name, top(2, labels), RECORD) for name in ("r.jsonl", "r.csv")):
        fill(made, items_of(1))
    assert json.loads((tmp_path / "r.jsonl").read_text()) == {
        "input": "1", "top": {"y": [
            [{"class": 1, "value": 0.5, "label": "dog"}, {"class": 0, "value": 0.25, "label": "cat"}],
            [{"class": 2, "value": "inf", "label": "emu"}, {"class": 1, "value": 2.0, "label": "dog"}],
        ]},
    }  # fmt: skip
    with (tmp_path / "r.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            "input row rows class_1 value_1 label_1 class_2 value_2 label_2".split(),
            "1 0 2 1 0.5 dog 0 0.25 cat".split(),
            "1 1 2 2 inf emu 1 2 dog".split(),
        ]
    fill(JsonLines(tmp_path / "all.jsonl", None, RECORD), items_of(1))
    expected = {"input": "1", "outputs": {"y": [[0.25, 0.5, 0.125], [1.0, 2.0, "inf"]]}}
    assert json.loads((tmp_path / "all.jsonl").read_text()) == expected


def test_what_was_written_otherwise_is_not_continued(tmp_path: Path) -> None:
    fill(Csv(tmp_path / "r.csv", top(2), RECORD), items_of(1))
    with pytest.raises(UsageError, match="has other columns"):
        Csv(tmp_path / "r.csv", top(3), RECORD).finished([])
    fill(JsonLines(tmp_path / "r.jsonl", top(2), RECORD), items_of(1))
    with pytest.raises(UsageError, match=r'r.jsonl:1: expected a record with "input" and "outputs"'):
        JsonLines(tmp_path / "r.jsonl", None, RECORD).finished([])
    (tmp_path / "r.jsonl").write_text("hello\nworld\n")
    with pytest.raises(UsageError, match="not a line of JSON"):
        JsonLines(tmp_path / "r.jsonl", None, RECORD).finished([])
    with pytest.raises(UsageError, match="unlike numbers of rows"):
        Csv(tmp_path / "r.csv", top(2, y=(1, 3), boxes=(100, 4)), RECORD)


@pytest.mark.parametrize("kind", ["", ".csv", ".jsonl", "all.jsonl"])
def test_what_was_made_with_something_else_is_not_continued(tmp_path: Path, kind: str) -> None:
    items, path = items_of(1, 2), tmp_path / f"r{kind}"
    assert sink(kind, tmp_path).finished(items) == set()
    fill(sink(kind, tmp_path), items)
    assert sink(kind, tmp_path).finished(items) == {"1", "2"}
    other = {"model": RECORD["model"], "--mean": "0.5", "--top": "3"}
    differs = r"--mean: 0\.0 there, 0\.5 now; --top: not said there, 3 now; --overwrite begins anew"
    with pytest.raises(UsageError, match=rf"--resume: .*{path.name}.* was made with something else: {differs}"):
        sink(kind, tmp_path, other).finished(items)
    fill(sink(kind, tmp_path, other), items[:1])
    assert sink(kind, tmp_path, other).finished(items[:1]) == {"1"}
    if kind == "":
        assert sink(kind, tmp_path).finished(items[1:]) == {"2"}  # each has a record of its own
    with pytest.raises(UsageError, match=r"--mean: 0\.5 there, 0\.0 now"):
        sink(kind, tmp_path).finished(items)


@pytest.mark.parametrize("found", [None, b"", b"[1]", b'{"model": 3}', b"\xff", b"[" * 50_000])
@pytest.mark.parametrize("kind", ["", ".csv"])
def test_results_without_a_record_are_not_continued(tmp_path: Path, kind: str, found: bytes | None) -> None:
    items, path = items_of(1), tmp_path / f"r{kind}"
    fill(sink(kind, tmp_path), items)
    if kind == "":
        np.savez(path / "1.npz", y=Y)
        with zipfile.ZipFile(path / "1.npz", "a") as archive:
            archive.comment = found or b""
    elif found is None:
        record_path(path).unlink()
    else:
        record_path(path).write_bytes(found)
    with pytest.raises(UsageError, match=r"nothing tells what made it \(.*\): --overwrite begins anew"):
        sink(kind, tmp_path).finished(items)
    if kind == ".csv":
        path.write_bytes(b"")
        assert sink(kind, tmp_path).finished(items) == set()  # there is nothing to go on with


def test_records_of_any_size_fit_and_tell_values_apart(tmp_path: Path) -> None:
    long = {f"option {k}": "é" * 10_000 + "a" for k in range(20)}
    fill(sink("", tmp_path, long), items_of(1))
    assert sink("", tmp_path, long).finished(items_of(1)) == {"1"}
    with pytest.raises(UsageError, match=r"option 7: éé.*é\.\.\. sha256 .* there, éé.*sha256 .* now; --overwrite"):
        sink("", tmp_path, long | {"option 7": "é" * 10_000 + "b"}).finished(items_of(1))


def test_models_are_told_apart_by_what_is_read_of_them(tmp_path: Path) -> None:
    graph = import_model(MODEL)
    copied = shutil.copytree(MODEL, tmp_path / "elsewhere")
    same = model_digest(Path(MODEL), graph)
    assert model_digest(copied, graph) == same == model_digest(copied / "graph.nnef", graph)
    (copied / "notes.txt").write_text("mine")
    assert model_digest(copied, graph) == same
    weights = next(copied.rglob("*.dat"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    changed = model_digest(copied, graph)
    with tarfile.open(tmp_path / "net.tar", "w") as tar:
        tar.add(copied, arcname=".")
    assert len({same, changed, model_digest(tmp_path / "net.tar", graph)}) == 3


def test_shapes_of_a_record() -> None:
    specs = {"x": TensorSpec((8, 3)), "y": TensorSpec(()), "z": TensorSpec((8,))}
    assert shapes(specs, 8) == "x Nx3, y scalar, z N" and shapes(specs, 1) == "x 8x3, y scalar, z 8"
    assert shapes({"x": TensorSpec((1, 3))}, 1) == "x Nx3"


def test_existing_results_are_refused(tmp_path: Path) -> None:
    items = items_of(1, 2)
    refuse_existing(tmp_path, items)
    refuse_existing(tmp_path / "r.csv", items)
    fill(NpzFolder(tmp_path, RECORD), items)
    (tmp_path / "r.csv").write_text("mine")
    with pytest.raises(UsageError, match="and 1 more of the results exist: --resume goes on"):
        refuse_existing(tmp_path, items)
    with pytest.raises(UsageError, match="exists: --resume goes on"):
        refuse_existing(tmp_path / "r.csv", items)


def test_a_full_disk_is_an_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    (tmp_path / "r.jsonl").symlink_to("/dev/full")
    made = JsonLines(tmp_path / "r.jsonl", None, RECORD)
    with pytest.raises(Error, match="cannot be written: No space left"):
        fill(made, items_of(1))
    folder = tmp_path / "out"
    (folder / "1.npz").mkdir(parents=True)
    for go_on in (False, True):
        with pytest.raises(Error, match=r"1\.npz: cannot be written"):
            fill(NpzFolder(folder, RECORD), items_of(1), go_on)
        assert [path.name for path in folder.iterdir()] == ["1.npz"]


# The command -----------------------------------------------------------------------------------------------
def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def digits(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        np.save(folder / f"{index:03}.npy", PIXELS[index, None].astype(np.float32))
    return folder


def test_what_counts_as_many(tmp_path: Path) -> None:
    touch(tmp_path / "x.npy")
    one = [("", str(tmp_path / "x.npy"))]
    assert not streaming.wanted(one, None, False) and not streaming.wanted([], tmp_path, False)
    assert streaming.wanted(one, tmp_path / "r.csv", False) and streaming.wanted(one, None, True)
    assert streaming.wanted([("", str(tmp_path))], None, False) and streaming.wanted([("", "*.npy")], None, False)


def test_which_input_changes() -> None:
    assert streaming.split([("x", "*.npy"), ("w", "w.npy")]) == ("x", ["*.npy"], {"w": "w.npy"})
    assert streaming.split([("", "a"), ("", "b")]) == ("", ["a", "b"], {})
    with pytest.raises(UsageError, match="one input may have many files, got x, w"):
        streaming.split([("x", "*.npy"), ("w", "*.dat")])
    with pytest.raises(UsageError, match="has one file"):
        streaming.split([("x", "*.npy"), ("w", "w.npy"), ("w", "w.npy")])
    with pytest.raises(UsageError, match="-i is missing"):
        streaming.split([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-i DIR", "many inputs need -o"),
        ("-i DIR -o absent/r.csv", "the folder does not exist"),
        ("-i DIR -o DIR/000.npy", "expected a folder"),
        ("-i DIR -o out --top 3", "--top of many inputs needs -o with a file"),
        ("-i DIR -o r.csv --resume --overwrite", "exclude each other"),
        ("-i DIR -o r.csv --cycles 2", "--cycles does not go with many inputs"),
        ("-i DIR -o out --format dat", "--format does not go with many inputs"),
        ("-i DIR -o out --streams many", "--streams 'many': expected a number"),
        ("-i other=DIR -o out", "the model has no input 'other'"),
        ("-i DIR/000.npy --streams 2", "--streams is for many inputs"),
        ("-o r.csv", "-i is missing"),
        ("-i DIR/*.jpg -o out", "no file that can be read"),
    ],
)
def test_wrong_usage_is_found_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    digits(tmp_path / "DIR", 1)
    result = invoke("run", MODEL, *options.split())
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not list(tmp_path.rglob("*.npz")) and not (tmp_path / "r.csv").exists()


@pytest.fixture(scope="module")
def _device() -> None:
    from nnef_cl.device import discover, select

    try:
        select(discover())
    except Error as error:
        pytest.skip(str(error).splitlines()[0])


needs_device = pytest.mark.usefixtures("_device")


@needs_device
@pytest.mark.parametrize("batch", [1, 4])
def test_files_become_results(tmp_path: Path, batch: int) -> None:
    folder = digits(tmp_path / "in" / "a", 10)
    digits(tmp_path / "in" / "b", 3)
    (folder / "004.npy").write_bytes(b"junk")
    (tmp_path / "labels.txt").write_text("\n".join(f"digit-{k}" for k in range(10)))
    result = invoke("run", MODEL, "-b", batch, "-i", tmp_path / "in" / "*" / "*.npy", "-o", tmp_path / "out")
    assert result.exit_code == 1 and "12 of 13 inputs done" in result.stdout
    assert "a/004.npy: cannot be read" in result.stderr and "1 of 13 inputs have no result" in result.stderr
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.npz")}
    assert found == {f"a/{k:03}.npy.npz" for k in range(10) if k != 4} | {f"b/{k:03}.npy.npz" for k in range(3)}
    table = ("-o", tmp_path / "r.csv", "--top", 1, "--labels", tmp_path / "labels.txt")
    assert invoke("run", MODEL, "-b", batch, "-i", folder, *table).exit_code == 1
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
    for row in rows:
        with np.load(tmp_path / "out" / "a" / f"{row['input']}.npz") as arrays:
            assert arrays["probabilities"].shape == (1, 10)
            assert arrays["probabilities"].argmax() == int(row["class_1"])
        assert row["label_1"] == f"digit-{row['class_1']}"
    assert len(rows) == 9
    assert "exist: --resume goes on" in invoke("run", MODEL, "-i", tmp_path / "in" / "*" / "*", "-o", tmp_path / "out").stderr


@needs_device
@pytest.mark.parametrize("batch", [1, 4])
def test_values_are_made_of_pixels_on_the_device(tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the host makes them where other files are among them; a run may go on that way."""
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "in").mkdir()
    for index, digit in enumerate(PIXELS[:6]):
        pillow.fromarray((digit.reshape(8, 8) * 15).astype(np.uint8)).save(tmp_path / "in" / f"{index}.png")
    loaded = list[Any]()
    monkeypatch.setattr(common, "open_session", noted(common.open_session, loaded))
    options = ("-b", batch, "--range", "0,17", "--mean", "0.5", "--std", "2", "-i", tmp_path / "in")
    assert invoke("run", MODEL, *options, "-o", tmp_path / "a.jsonl").exit_code == 0
    np.save(tmp_path / "in" / "6.npy", PIXELS[6].reshape(1, 1, 8, 8).astype(np.float32))
    assert invoke("run", MODEL, *options, "-o", tmp_path / "b.jsonl").exit_code == 0
    assert invoke("run", MODEL, *options, "-o", tmp_path / "a.jsonl", "--resume").exit_code == 0
    assert invoke("run", MODEL, *options, "--dump", "all", "-o", tmp_path / "c.jsonl").exit_code == 0
    shapes = [session.inputs["image"] for session in loaded]
    pixels, values = TensorSpec((batch, 8, 8, 1), BYTE), TensorSpec((batch, 1, 8, 8))
    assert shapes == [pixels, values, values, values]
    a, b, c = (
        {line["input"]: np.array(line["outputs"]["probabilities"]) for line in map(json.loads, text.splitlines())}
        for text in ((tmp_path / f"{name}.jsonl").read_text() for name in "abc")
    )
    assert set(a) == set(b) == set(c) == {f"{k}.png" for k in range(6)} | {"6.npy"}
    for name, one in a.items():
        np.testing.assert_allclose(one, b[name], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one, c[name], rtol=1e-4, atol=1e-6)


def noted(function: Any, results: list[Any]) -> Any:
    """The function, whose results go into the list, too."""

    def note(*arguments: Any, **options: Any) -> Any:
        results.append(function(*arguments, **options))
        return results[-1]

    return note


SLOWLY = """
import sys, time
import nnef_cl.pipeline.sources as sources
from nnef_cl.__main__ import main
read = sources.read_input
sources.read_input = lambda *arguments: (time.sleep(0.02), read(*arguments))[1]
main()
"""


def results(output: Path) -> dict[str, str]:
    """Input -> its record, or when its file was written; a torn record has another name."""
    if output.suffix == ".csv":
        lines = output.read_text().splitlines()[1:] if output.exists() else []
        return {line.partition(",")[0]: line for line in lines}
    if output.suffix == ".jsonl":
        return {line[:21]: line for line in output.read_text().splitlines()} if output.exists() else {}
    return {path.name: str(path.stat().st_mtime_ns) for path in output.glob("*.npz")}


@needs_device
@pytest.mark.parametrize("output", ["out", "r.jsonl", "r.csv"])
def test_a_run_is_resumed_with_the_same_options_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    digits(tmp_path / "in", 3)
    shutil.copytree(MODEL, tmp_path / "net")
    arguments = ("run", "net", "-i", "in", "-o", output)
    assert invoke(*arguments, "--resume").exit_code == 0  # there is nothing to go on with yet
    before = results(Path(output))
    differences = {"--mean 0.5": "--mean: 0.0 there, 0.5 now"}
    if output == "r.csv":
        differences |= {
            "--layout nhwc": "--layout: nchw there, nhwc now", "--dialect strict": "--dialect: auto there, strict now",
            "--dump probabilities": "--dump: none there, probabilities now", "--top 3": "--top: 5 there, 3 now",
        }  # fmt: skip
    for options, differs in differences.items():
        refused = invoke(*arguments, *options.split(), "--resume")
        assert refused.exit_code == 2 and differs in refused.stderr, refused.output
        assert "; --overwrite begins anew" in refused.stderr and results(Path(output)) == before
    digits(tmp_path / "other", 3)
    refused = invoke("run", "net", "-i", "other", "-o", output, "--resume")
    assert refused.exit_code == 2 and "files below: in there, other now" in refused.stderr, refused.output
    if output == "r.jsonl":
        assert "--top: all values there, 5 now" in invoke(*arguments, "--top", 5, "--resume").stderr
    np.save("in/new.npy", PIXELS[3, None].astype(np.float32))
    assert "4 of 4 inputs done, 3 of them earlier" in invoke(*arguments, "--resume", "-b", 2, "--streams", 1).stdout
    with Path("net/graph.nnef").open("a") as text:
        text.write("\n# of another version\n")
    refused = invoke(*arguments, "--resume")
    assert refused.exit_code == 2 and "model: digits, sha256" in refused.stderr, refused.output
    assert invoke(*arguments, "--overwrite").exit_code == 0
    assert "4 of 4 inputs done, 4 of them earlier" in invoke(*arguments, "--resume").stdout


@needs_device
@pytest.mark.parametrize("output", ["out", "r.jsonl", "r.csv"])
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_stopped_in_the_middle_and_resumed(tmp_path: Path, output: str, how: str) -> None:
    folder, target, count = digits(tmp_path / "in", 100), tmp_path / output, 100
    arguments = ("run", MODEL, "-i", str(folder), "-o", str(target))
    command = [sys.executable, "-c", SLOWLY, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 100
        while len(results(target)) < 5 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(getattr(signal, how))
        _, said = process.communicate(timeout=60)
    before = results(target)
    assert 5 <= len(before) < count
    if how == "SIGINT":
        assert process.returncode == 130
        found = re.search(r"stopped: (\d+) of 100 inputs are done, their results are kept; --resume goes on", said)
        assert found is not None, said
        assert len(before) - int(found[1]) in (0, 1)  # the signal may come between a result and its count
    again = invoke(*arguments, "--resume")
    assert again.exit_code == 0, again.output
    after = results(target)
    assert len(after) == count
    lines = target.read_text().splitlines() if target.is_file() else [path.name for path in target.iterdir()]
    assert len(lines) == count + (output == "r.csv")  # each once, nothing else
    kept = list(before)[:-1]  # of the killed program's last record a part may have been cut
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert "100 of 100 inputs done, 100 of them earlier: nothing to do" in invoke(*arguments, "--resume").stdout


@needs_device
def test_rows_that_depend_on_each_other_stay_together(tmp_path: Path) -> None:
    model = tmp_path / "net"
    model.mkdir()
    (model / "graph.nnef").write_text(
        "version 1.0; graph g( x ) -> ( y ) { x = external(shape = [2, 3]); y = softmax(x, axes = [0]); }"
    )
    rows = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    for k, x in enumerate(rows):
        np.save(tmp_path / f"{k}.npy", x)
    result = invoke("run", model, "-i", tmp_path / "*.npy", "-o", tmp_path / "out")
    assert result.exit_code == 0 and "softmax 'y' mixes rows" in result.stderr
    for k in range(2):
        with np.load(tmp_path / "out" / f"{k}.npy.npz") as found:
            assert found["y"].shape == (2, 3)
