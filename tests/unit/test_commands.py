"""The command line: options, exit codes, files in and out, what is printed, and the numbers behind bench and info."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from nnef_cl import bench, preprocess
from nnef_cl.commands import COMMANDS, app, common, demo, dump, info, ranking, run
from nnef_cl.demo import held_out_digits, model_folder
from nnef_cl.device.environment import request_threads
from nnef_cl.errors import DeviceError, Error, FileFormatError, InputError, UnsupportedError, UsageError
from nnef_cl.format.tensor_file import ItemType, read_tensor_file, write_tensor
from nnef_cl.images import Image
from nnef_cl.ir.dtype import BOOL, BYTE, I64
from nnef_cl.ir.graph import GraphBuilder, Node
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.preprocess import ImageOptions, device_image, read_input

MODEL = str(model_folder())


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nnef_cl", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )


@pytest.fixture(scope="module")
def _device() -> None:
    from nnef_cl.device import discover, select

    try:
        select(discover())
    except Error as error:
        pytest.skip(str(error).splitlines()[0])


needs_device = pytest.mark.usefixtures("_device")


# The program -----------------------------------------------------------------------------------------------
def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from nnef_cl.__main__ import main; sys.argv = ['nnef-cl', 'run', '--help']\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code, [m for m in ('numpy', 'pyopencl', 'lark', 'yaml', 'mako')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


READ = ("dialect", "ops")
SHAPED = (*READ, "shape", "batch")
PLANNED = (*SHAPED, "precision", "tuning", "device", "devices_file", "threads")
LOADING = {
    "validate": READ, "format": READ, "info": PLANNED, "run": PLANNED, "bench": PLANNED, "profile": PLANNED,
    "dump": PLANNED, "cache": PLANNED, "tune": tuple(name for name in PLANNED if name not in ("precision", "tuning")),
}  # fmt: skip


def test_commands_that_load_a_model_take_the_same_options() -> None:
    given = {command.__name__: inspect.signature(command).parameters for command in COMMANDS}
    assert {name for name, parameters in given.items() if "model" in parameters} == set(LOADING)
    for name, options in LOADING.items():
        assert [option for option in PLANNED if option in given[name]] == list(options), name
        for option in options:
            if (name, option) != ("dump", "device"):  # where nothing is named, it plans for no device at all
                mine, usual = given[name][option], given["run"][option]
                assert (mine.annotation, mine.default) == (usual.annotation, usual.default), (name, option)


def test_version() -> None:
    result = invoke("--version")
    assert result.exit_code == 0 and result.output.startswith("nnef-cl 0.")


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["info"], ["run", MODEL, "--wings"], ["bench", MODEL, "-n", "0"], ["run", MODEL, "--format", "csv"]],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


def test_a_model_error_is_one_line_and_1(tmp_path: Path) -> None:
    done = program("info", str(tmp_path / "absent.nnef.tgz"))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("nnef-cl: error: ") and "absent.nnef.tgz" in done.stderr
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = program("info", str(tmp_path / "absent"), NNEF_CL_DEBUG="1")
    assert done.returncode == 1 and "Traceback" in done.stderr


@pytest.mark.parametrize("arguments", [["dump", MODEL, "--json"], ["info", MODEL]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "nnef_cl", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == "" and process.returncode == common.BROKEN_PIPE


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Error("no device"), 1, "nnef-cl: error: no device\n"),
        (FileFormatError("truncated", where="a.dat"), 1, "nnef-cl: error: a.dat: truncated\n"),
        (UsageError("--shape: what"), 2, "nnef-cl: error: --shape: what\n"),
        (KeyError("x"), 1, "nnef-cl: this is a bug in nnef-cl: KeyError: 'x' (NNEF_CL_DEBUG=1 shows the traceback)\n"),
        (MemoryError(), 1, "nnef-cl: error: not enough memory on the host\n"),
        (Error("label \x1b[2J"), 1, "nnef-cl: error: label ?[2J\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=repr,
)
def test_exit_codes(error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as stop:
        common.guarded(command)()
    assert stop.value.exit_code == code and capsys.readouterr().err == words


# Shapes ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=1x3x224x224", ("x", (1, 3, 224, 224))),
        ("x=1,3", ("x", (1, 3))),
        ("8x3", ("", (8, 3))),
        ("x=7", ("x", (7,))),
    ],
)
def test_shapes(text: str, expected: tuple[str, tuple[int, ...]]) -> None:
    assert common.parse_shape(text) == expected


@pytest.mark.parametrize("text", ["", "x", "x=", "=1x2", "x=1xx2", "x=-1x2", "x=0x2", "x=1x2x", "x=9999999999"])
def test_bad_shapes(text: str) -> None:
    with pytest.raises(UsageError, match="--shape"):
        common.parse_shape(text)


def test_shapes_and_batch_together() -> None:
    declared: common.Shapes = {"image": (1, 3, 8, 8), "scale": (), "mask": (1, 8)}
    merged = common.merge_shapes(declared, [("image", (2, 3, 16, 16))], 4)
    assert merged == {"image": (4, 3, 16, 16), "mask": (4, 8)}
    assert common.merge_shapes({"x": (1, 2)}, [("", (3, 2))], None) == {"x": (3, 2)}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([("imag", (1,))], "no input 'imag'; did you mean 'image'"),
        ([("", (1,))], "2 inputs, name one: image, mask"),
        ([("mask", (1,)), ("mask", (2,))], "given twice"),
    ],
)
def test_shapes_that_fit_no_input(wanted: list[tuple[str, tuple[int, ...]]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        common.merge_shapes({"image": (1, 3), "mask": (1, 8)}, wanted, None)


# Files written ---------------------------------------------------------------------------------------------
def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    def fail(stream: Any) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(Error, match=r"b\.txt: cannot be written: No space left"):
        common.write_files({tmp_path / "a.txt": common.text_writer("a"), tmp_path / "b.txt": fail})
    assert list(tmp_path.iterdir()) == []
    common.write_files({tmp_path / "a.txt": common.text_writer("é")})
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == "é".encode()


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    refused = (
        ("file", True, UsageError, "-o .*file: expected a folder, this is a file"),
        ("folder", False, UsageError, "-o .*folder: expected a file, this is a folder"),
        ("absent/file", False, UsageError, "the folder does not exist"), ("file/below", True, Error, "folder"),
        ("x" * 300, False, Error, "cannot be written: File name too long"),
    )  # fmt: skip
    for name, folder, kind, message in refused:
        with pytest.raises(kind, match=message):
            common.check_output(tmp_path / name, "-o", folder=folder)
    for name, folder in (("file", False), ("new", False), ("folder", True), ("new/deep/folder", True)):
        common.check_output(tmp_path / name, "-o", folder=folder)
    common.check_output(None, "-o")
    common.check_output(Path(os.devnull), "-o")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder in which nobody can make files")
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "-o", "/proc/results"), ("run", "--save", "/proc/model"), ("bench", "--json", "/proc/b.json"),
        ("bench", "--plot", "/proc/b.png"), ("profile", "--trace", "/proc/t.json"), ("dump", "--kernels", "/proc/kernels"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_before_the_run(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreached(*_: Any, **__: Any) -> Any:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(common, "open_session", unreached)
    monkeypatch.setattr(common, "resolve_shapes", unreached)
    command, option, path = arguments
    result = invoke(command, MODEL, option, path)
    assert result.exit_code == 1 and f"{path}: cannot be written" in result.stderr


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="expected a folder"):
        common.make_folder(tmp_path / "file", "-o")
    with pytest.raises(Error, match="cannot be made"):
        common.make_folder(tmp_path / "file" / "below", "-o")


# Inputs ----------------------------------------------------------------------------------------------------
def test_inputs_need_files(tmp_path: Path) -> None:
    path = tmp_path / "a=b.npy"
    np.save(path, np.zeros(1))
    assert run.parse_inputs(run.split_input(one) for one in [f"x={path}", str(path)]) == [("x", path), ("", path)]
    with pytest.raises(UsageError, match="no such file"):
        run.parse_inputs(run.split_input(one) for one in ["x=absent.npy"])
    with pytest.raises(UsageError, match="is a folder"):
        run.parse_inputs(run.split_input(one) for one in [f"x={tmp_path}"])


def test_files_find_their_inputs(tmp_path: Path) -> None:
    both, one = tmp_path / "both.npz", tmp_path / "one.npy"
    np.savez(both, x=np.zeros(1), y=np.zeros(1), other=np.zeros(1))
    assert run.assign_files([("", both)], {"x": 0, "y": 0}) == {"x": [both], "y": [both]}
    assert run.assign_files([("", one), ("x", one)], {"x": 0}) == {"x": [one, one]}
    with pytest.raises(UsageError, match="no input 'imag'; did you mean 'image'"):
        run.assign_files([("imag", one)], {"image": 0})
    with pytest.raises(UsageError, match="name one: x, y"):
        run.assign_files([("", one)], {"x": 0, "y": 0})
    with pytest.raises(UsageError, match="missing for input 'y'"):
        run.assign_files([("x", one)], {"x": 0, "y": 0})


def test_array_files(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    spec = TensorSpec((2, 3))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, z=x + 1)
    np.savez(tmp_path / "one.npz", a=x + 2)
    write_tensor(tmp_path / "x.dat", x)
    for file, offset in (("x.npy", 0), ("x.npz", 0), ("one.npz", 2), ("x.dat", 0)):
        np.testing.assert_array_equal(read_input([tmp_path / file], "x", spec, ImageOptions()), x + offset)
    joined = read_input([tmp_path / "x.npy", tmp_path / "x.dat"], "x", spec, ImageOptions())
    np.testing.assert_array_equal(joined, np.concatenate([x, x]))


def spoil(path: Path) -> Path:
    path.write_bytes(b"\x93NUMPY\x01\x00 nonsense")
    return path


def lying_npy(path: Path) -> Path:
    """A header that promises 10^12 items."""
    np.save(path, np.zeros(2, np.float32))
    path.write_bytes(path.read_bytes().replace(b"(2,), }" + b" " * 12, b"(1000000000000,), }"))
    assert b"(1000000000000,)" in path.read_bytes()
    return path


def objects_npy(path: Path) -> Path:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return path


def big_npz(path: Path) -> Path:
    np.savez_compressed(path, x=np.zeros(1_000_000, np.float32))
    return path


def other_npz(path: Path) -> Path:
    np.savez(path, a=np.zeros(1), b=np.zeros(1))
    return path


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (spoil, "x.npy", r"x\.npy: cannot be read"),
        (spoil, "x.npz", r"x\.npz: cannot be read"),
        (spoil, "x.png", "or an image"),
        (lying_npy, "x.npy", r"x\.npy: cannot be read"),
        (objects_npy, "x.npy", r"x\.npy: cannot be read"),
        (big_npz, "x.npz", r"array 'x' is too large for input 'x' \[1, 1, 2, 2\]"),
        (other_npz, "x.npz", "no array 'x', only a, b"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, make: Callable[[Path], Path], name: str, message: str) -> None:
    pytest.importorskip("PIL")
    with pytest.raises(InputError, match=message):
        read_input([make(tmp_path / name)], "x", TensorSpec((1, 1, 2, 2)), ImageOptions())


def test_quantised_items_are_refused(tmp_path: Path) -> None:
    write_tensor(tmp_path / "q.dat", np.arange(4), bits=8, code=ItemType.QUANTISED_UNSIGNED)
    with pytest.raises(UnsupportedError, match=r"q\.dat: holds quantised items"):
        read_input([tmp_path / "q.dat"], "x", TensorSpec((4,)), ImageOptions())


def test_files_of_unlike_shapes_make_no_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 2)))
    np.save(tmp_path / "b.npy", np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"\[1, 2\], \[1, 3\]"):
        read_input([tmp_path / "a.npy", tmp_path / "b.npy"], "x", TensorSpec((2, 2)), ImageOptions())


def picture(path: Path, pixels: Any) -> Path:
    pytest.importorskip("PIL.Image").fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def test_images_become_values(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 3).reshape(2, 3, 3) * 10
    path = picture(tmp_path / "a.png", pixels)
    options = ImageOptions(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    expected = (pixels / 255 - [0.1, 0.2, 0.3]) / [1, 2, 4]
    y = read_input([path, path], "x", TensorSpec((2, 3, 2, 3)), options)
    assert y.dtype == np.float32 and y.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(y[1], expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)
    nhwc = ImageOptions(range=(0, 255), layout="nhwc")
    np.testing.assert_allclose(read_input([path], "x", TensorSpec((1, 2, 3, 3)), nhwc)[0], pixels, atol=1e-3)


def test_pixels_that_the_device_makes_values_of(tmp_path: Path) -> None:
    options = ImageOptions(mean=(0.1, 0.2, 0.3), std=(2.0,), range=(0, 255))
    image = Image((0.1, 0.2, 0.3), 2.0, range=(0, 255))
    assert device_image(TensorSpec((2, 3, 4, 5)), options) == image
    assert device_image(TensorSpec((2, 4, 5, 3)), replace(options, layout="nhwc")) == replace(image, network="NHWC")
    for spec in (TensorSpec((3, 4, 5)), TensorSpec((1, 3, 4, 5), I64), TensorSpec((1, 2, 4, 5)), TensorSpec((1, 1, 4, 5)),
                 TensorSpec((1, 3, 1 << 15, 1))):  # fmt: skip
        assert device_image(spec, options) is None
    pixels = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    found = read_input([picture(tmp_path / "a.png", pixels)], "x", TensorSpec((1, 2, 3, 3), BYTE), options)
    assert found.dtype == np.uint8 and np.array_equal(found[0], pixels)


def test_hostile_inputs_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.npy").write_bytes(bytes(range(200)))
    with pytest.raises(InputError, match=r"a.npy: cannot be read as .npy: it is not one"):
        read_input([tmp_path / "a.npy"], "x", TensorSpec((2, 2)), ImageOptions())
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with pytest.raises(InputError, match="cannot identify image"):
        read_input([tmp_path / "a.eps"], "x", TensorSpec((1, 1, 8, 8)), ImageOptions())
    monkeypatch.setattr(ranking, "MOST_LABEL_BYTES", 100)
    for path, message in ((Path("/dev/zero"), "cannot be read: is not a regular file"), (tmp_path / "a.npy", "has more than 100 bytes")):
        with pytest.raises(UsageError, match=f"--labels {path}: {message}"):
            ranking.read_labels(path)


def test_threads_are_bounded() -> None:
    with pytest.raises(DeviceError, match="expected 1 to 1024, got 100000"):
        request_threads(100_000)


def test_images_are_cut_to_the_aspect_ratio(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8))
    pixels[:, 2:6] = 255  # the middle square is white
    y = read_input([picture(tmp_path / "wide.png", pixels)], "x", TensorSpec((1, 1, 4, 4)), ImageOptions())
    np.testing.assert_array_equal(y, np.ones((1, 1, 4, 4), np.float32))


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (TensorSpec((1, 2)), ImageOptions(), "4 dimensions only"),
        (TensorSpec((1, 1, 2, 2), I64), ImageOptions(), "scalar inputs"),
        (TensorSpec((1, 5, 2, 2)), ImageOptions(), "5 channels"),
        (TensorSpec((1, 3, 2, 2)), ImageOptions(mean=(1.0, 2.0)), "--mean: expected 1 or 3 values"),
    ],
)
def test_images_that_fit_no_input(tmp_path: Path, spec: TensorSpec, options: ImageOptions, message: str) -> None:
    path = picture(tmp_path / "a.png", np.zeros((2, 2)))
    with pytest.raises(InputError, match=message):
        read_input([path], "x", spec, options)


def test_random_inputs_are_seeded() -> None:
    specs = {"x": TensorSpec((50, 40)), "i": TensorSpec((100,), I64), "b": TensorSpec((100,), BOOL)}
    a, b, c = (preprocess.random_inputs(specs, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[name], b[name]) for name in specs) and not np.array_equal(a["x"], c["x"])
    assert [a[name].dtype.name for name in specs] == ["float32", "int64", "bool"]
    assert abs(a["x"].mean()) < 0.1 and abs(a["x"].std() - 1) < 0.1
    assert set(a["i"].tolist()) == {0} and set(a["b"].tolist()) == {False, True}


@pytest.mark.parametrize(
    ("mean", "std", "limits", "message"),
    [("a", "1", "0,1", "--mean"), ("0", "0", "0,1", "must not be 0"), ("0", "1", "1", "LOW,HIGH"), ("nan", "1", "0,1", "--mean"),
     ("0", "inf", "0,1", "finite numbers")],
)
def test_bad_image_options(mean: str, std: str, limits: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run.image_options(mean, std, limits, "nchw")


# Outputs ---------------------------------------------------------------------------------------------------
def test_ranking() -> None:
    y = np.array([[0.1, 0.7, 0.2], [3.0, 1.0, 2.0]], np.float32)
    ranked = ranking.ranked("y", y, 2, [])
    assert [[index for index, _ in item] for item in ranked] == [[1, 2], [0, 2]]
    with pytest.raises(UsageError, match="expected 3 lines, one per value of 'y', got 2"):
        ranking.ranked("y", y, 2, ["a", "b"])


def test_statistics_leave_out_what_is_not_finite() -> None:
    assert run.statistics(np.array([1.0, 2.0, 6.0, np.nan, np.inf])) == ("1", "3", "6", "2")
    assert run.statistics(np.array([np.nan])) == ("", "", "", "1")
    assert run.statistics(np.array([True, False])) == ("0", "0.5", "1", "0")


# Measuring -------------------------------------------------------------------------------------------------
class Clock:
    """Seconds that pass only where somebody lets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeSession:
    """Runs take 10, 1, 2, 1, 2, ... seconds; profiled ones say 0.9 seconds on the device."""

    def __init__(self, clock: Clock, profile: bool) -> None:
        self.clock, self.profile, self.runs = clock, profile, 0
        self.inputs = {"x": TensorSpec((4, 2))}
        self.timings = {"read": 1.0, "compile": 2.0}
        self.last_device_seconds = 0.9 if profile else None

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def state_kept(self) -> FakeSession:
        return self

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        self.clock.now += 10 if self.runs == 0 else 2 - self.runs % 2
        self.runs += 1
        return {"y": np.array([1.0, np.nan])}


def measured(**options: Any) -> tuple[bench.Measurement, list[FakeSession]]:
    clock, sessions = Clock(), []

    def open_session(profile: bool) -> Any:
        sessions.append(FakeSession(clock, profile))
        return sessions[-1]

    return bench.measure(open_session, lambda session: {}, clock=clock, **options), sessions


def test_measuring() -> None:
    result, sessions = measured(iterations=4, seconds=0, warmup=2)
    assert [session.profile for session in sessions] == [False, True]
    assert result.first == 10 and result.latencies == (1, 2, 1, 2) and result.total == 6
    assert result.median == 1.5 and result.percentile(100) == 2 and result.load == 3
    assert result.throughput == 4 * 4 / 6
    assert result.device == 0.9 and result.host == pytest.approx(0.6) and result.verdict == "host bound"
    assert not result.finite


def test_measuring_goes_on_for_the_time_asked() -> None:
    result, _ = measured(iterations=1, seconds=9, warmup=0)
    assert len(result.latencies) == 6 and result.total == 9


def test_verdicts() -> None:
    def verdict(device: float | None) -> str:
        return bench.Measurement({}, 1, 0, (1.0,), 1, 1, device, True).verdict

    assert [verdict(None), verdict(0.79), verdict(0.81)] == ["", "host bound", "device bound"]


def test_activations_count_what_lives_at_one_time() -> None:
    builder = GraphBuilder("g")
    builder.add_input("x", TensorSpec((10,)))
    builder.add_node(Node("relu", ("x",), ("a",)), [TensorSpec((30,))])
    builder.add_node(Node("relu", ("a",), ("b",)), [TensorSpec((5,))])
    builder.add_node(Node("relu", ("b",), ("y",)), [TensorSpec((20,))])
    builder.outputs.append("y")
    assert info.activation_bytes(builder.build()) == 4 * 40


# Commands without a device ---------------------------------------------------------------------------------
def test_info_of_the_digits() -> None:
    result = invoke("info", MODEL, "--json", "--batch", 2)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["schema"] == 1 and report["operations"]["conv"] == 2
    filters = 32 * 9 + 64 * 32 * 9 + 10 * 1024
    assert report["parameters"] == filters + 32 + 64 + 10
    assert report["inputs"] == {"image": {"type": "float32", "shape": [2, 1, 8, 8]}}
    assert report["outputs"] == {"probabilities": {"type": "float32", "shape": [2, 10]}}
    products = 2 * 2 * (64 * 32 * 9 + 64 * 64 * 32 * 9 + 10 * 1024)
    assert products <= report["flops"] < 1.1 * products
    text = invoke("info", MODEL).stdout
    assert "memory on" not in text and "memory" not in report
    assert "29,066" in text and "image float32 1x1x8x8" in text


@needs_device
def test_info_of_memory() -> None:
    result = invoke("info", MODEL, "--memory", "--json")
    memory = json.loads(result.stdout)["memory"]
    taken = sum(memory["arenas"])
    assert memory["needed"] <= taken == pytest.approx(memory["ratio"] * memory["needed"])
    assert memory["total"] == taken + memory["weights"] + memory["state"] + memory["control"] and memory["weights"] >= 4 * 29066
    places = memory["places"]
    assert max(place["offset"] + place["bytes"] for place in places) <= max(memory["arenas"])
    assert "image" in [name for place in places for name in place["tensors"]]
    text = invoke("info", MODEL, "--memory").stdout
    assert "times what lives at one time" in text and "from byte" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", MODEL, "--shape", "imag=1x1x8x8"], "did you mean 'image'"),
        (["info", MODEL, "--shape", "1xx"], "expected NAME="),
        (["dump", MODEL, "--after", "magic"], "there is no such pass; there are import, fold"),
        (["run", MODEL, "-i", "absent.png"], "there is no such file"),
        (["run", MODEL, "--labels", "absent.txt"], "--labels absent.txt: cannot be read"),
        (["bench", MODEL, "--json", "absent/b.json"], "the folder does not exist"),
        (["bench", MODEL, "--max-regression", "5%"], "--max-regression needs --baseline"),
        (["bench", MODEL, "--baseline", "b.json", "--max-regression", "five"], "expected a percentage such as 5%"),
        (["bench", MODEL, "--vs", "onnxrt"], "no peer 'onnxrt': there are onnxruntime, openvino, tract"),
    ],
)
def test_wrong_values_are_usage_errors(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_dump_of_every_stage() -> None:
    from nnef_cl.passes import PIPELINE

    assert "conv1" in invoke("dump", MODEL).stdout
    for name in ("import", *(one for one, _ in PIPELINE)):
        result = invoke("dump", MODEL, "--after", name, "--json")
        graph = json.loads(result.stdout)["graph"]
        assert graph["after"] == name and graph["outputs"] == ["probabilities"]
        assert "conv" in {node["op"] for node in graph["nodes"]}


def test_dump_of_plan_and_kernels(tmp_path: Path) -> None:
    result = invoke("dump", MODEL, "--plan", "--kernels", tmp_path / "k", "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.stdout)["plan"]
    names = {step["kernel"] for step in plan["steps"]}
    assert {path.stem for path in (tmp_path / "k").iterdir()} == names and names
    assert all(f"void {path.stem}(" in path.read_text() for path in (tmp_path / "k").iterdir())
    assert invoke("dump", MODEL, "--plan").stdout.startswith("plan digits for generic: ")
    with pytest.raises(UsageError, match="import"):
        dump.check_pass("layouts")


# Commands on a device --------------------------------------------------------------------------------------
@needs_device
def test_run_on_files(tmp_path: Path) -> None:
    images, labels = held_out_digits()
    np.save(tmp_path / "x.npy", images[:3, None].astype(np.float32))
    (tmp_path / "labels.txt").write_text("\n".join(f"digit-{k}" for k in range(10)))
    result = invoke(
        "run", MODEL, "-i", tmp_path / "x.npy", "--batch", 3, "-o", tmp_path / "out", "--dump", "scores",
        "--top", 2, "--labels", tmp_path / "labels.txt",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"probabilities.npy", "scores.npy"}
    y, scores = (np.load(tmp_path / "out" / f"{name}.npy") for name in ("probabilities", "scores"))
    assert y.argmax(1).tolist() == labels[:3].tolist() == scores.argmax(1).tolist()
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)
    assert all(f"digit-{label}" in result.stdout for label in labels[:3])
    assert "random" not in result.stderr


@needs_device
def test_run_without_input_says_so(tmp_path: Path) -> None:
    outputs = []
    for seed, kind in ((1, "npz"), (1, "dat"), (2, "npy")):
        result = invoke("run", MODEL, "--seed", seed, "-o", tmp_path, "--format", kind)
        assert result.exit_code == 0, result.output
        assert f"random values for image (--seed {seed})" in result.stderr
    with np.load(tmp_path / "outputs.npz") as data:
        outputs.append(data["probabilities"])
    outputs.append(read_tensor_file(tmp_path / "probabilities.dat").array)
    outputs.append(np.load(tmp_path / "probabilities.npy"))
    assert np.array_equal(outputs[0], outputs[1]) and not np.array_equal(outputs[0], outputs[2])


@needs_device
def test_run_with_a_wrong_shape_is_1_and_writes_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 9, 8), np.float32))
    result = invoke("run", MODEL, "-i", f"image={tmp_path / 'x.npy'}", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "input 'image': expected shape [1, 1, 8, 8], got [1, 1, 9, 8]" in result.stderr
    assert not (tmp_path / "out").exists()


@needs_device
def test_bench_reports(tmp_path: Path) -> None:
    result = invoke("bench", MODEL, "-n", 5, "-t", 0, "-w", 1, "-b", 4, "--json", tmp_path / "b.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "b.json").read_text())
    assert report["schema"] == 2 and report["iterations"] == 5 and report["batch"] == 4
    latency = report["latency_ms"]
    assert 0 < latency["min"] <= latency["median"] <= latency["p90"] <= latency["p99"] <= latency["max"]
    assert report["throughput_per_s"] == pytest.approx(4 * 5 / report["measured_s"])
    assert report["device_ms"] > 0 and report["verdict"] in ("device bound", "host bound") and report["finite"]
    assert {"read", "compile", "upload", "total"} <= set(report["load_s"])
    assert report["device"]["driver_version"] and report["model"]["parameters"] == 29066
    assert "throughput" in result.stdout and "median" in result.stdout


@needs_device
@pytest.mark.parametrize("peer", ["onnxruntime", "openvino", "tract"])
def test_bench_against_a_peer(peer: str, tmp_path: Path) -> None:
    for package in ("onnx", peer):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    arguments = ("-n", 1, "-t", 0, "-w", 0, "--vs", peer, "--blocks", 2)
    result = invoke("bench", MODEL, *arguments, "--json", tmp_path / "b.json", "--plot", tmp_path / "b.png")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "b.json").read_text())
    comparison = found["comparison"]
    assert comparison["ours"] == ["nnef-cl"] and comparison["peers"] == [peer] and comparison["errors"]["nnef-cl"] < 1e-5
    assert [len(block) for block in comparison["runs_ms"][peer]] == [6, 6] and found["software"][peer]
    assert f"\n{peer} " in result.stdout and (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"
    again = ("--baseline", tmp_path / "b.json", "--max-regression", "9999%")
    judged = invoke("bench", MODEL, *arguments, "--hint", "throughput", *again)
    assert judged.exit_code == 0 and "median latency in ms" in judged.stdout
    assert "throughput, nnef-cl on 1 stream, peers on" in " ".join(judged.stdout.split())


@needs_device
def test_bench_fails_where_it_is_slower(tmp_path: Path) -> None:
    arguments = ("bench", MODEL, "-n", 1, "-t", 0, "-w", 0)
    assert invoke(*arguments, "--json", tmp_path / "b.json", "--plot", tmp_path / "b.png").exit_code == 0
    report = json.loads((tmp_path / "b.json").read_text())
    report["latency_ms"]["median"] = 1e-9
    (tmp_path / "b.json").write_text(json.dumps(report))
    result = invoke(*arguments, "--baseline", tmp_path / "b.json", "--json", tmp_path / "new.json")
    assert result.exit_code == 1 and "error: regression: " in result.stderr and "5 % slower is allowed" in result.stderr
    assert json.loads((tmp_path / "new.json").read_text())["baseline"]["slower"] > 1


def test_bench_names_what_a_peer_cannot_run(tmp_path: Path) -> None:
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None:
        pytest.skip("onnxruntime is not installed")
    text = "version 1.0; graph g( x ) -> ( y ) { x = external(shape = [1,1,4]); y = debox(x, size = [1,1,2]); }"
    (tmp_path / "graph.nnef").write_text(text)
    result = invoke("bench", tmp_path, "--vs", "onnxruntime")
    assert result.exit_code == 1 and "debox 'y': has no counterpart in ONNX" in result.stderr


@needs_device
def test_bench_json_on_stdout_is_json_only() -> None:
    result = invoke("bench", MODEL, "-n", 1, "-t", 0, "-w", 0, "--json", "-")
    assert json.loads(result.stdout)["iterations"] == 1 and "throughput" in result.stderr


@needs_device
def test_devices() -> None:
    result = invoke("devices", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0 and report["schema"] == 2
    assert report["chosen"]["index"] in [one["index"] for one in report["devices"]]
    text = invoke("devices").stdout
    assert all(one["name"] in text for one in report["devices"]) and text.count("  chosen: ") == 1


@needs_device
def test_an_unknown_device_is_1() -> None:
    result = invoke("run", MODEL, "-d", "no-such-device")
    assert result.exit_code == 1 and "no-such-device" in result.stderr


# Demo ------------------------------------------------------------------------------------------------------
@needs_device
def test_demo() -> None:
    result = invoke("demo")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.startswith("accuracy "))
    right = int(line.split("(")[1].split()[0])
    assert right >= 0.98 * 450 and line == f"accuracy {100 * right / 450:.1f} % ({right} of 450)"
    assert "why: " in result.stdout and "digits/s" in result.stdout and "nnef-cl bench" in result.stdout


@needs_device
def test_demo_on_an_ascii_terminal() -> None:
    done = program("demo", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() and "@@" in done.stdout


def test_drawing() -> None:
    image = np.array([[0, 4], [8, 16]])
    assert demo.drawing(image, demo.ASCII) == ["  ..", "++@@"]
    assert demo.characters("utf-8") == demo.UNICODE and demo.characters("latin-1") == demo.ASCII
    assert demo.characters(None) == demo.ASCII


def test_a_misread_digit_is_shown() -> None:
    labels = np.arange(20) % 10
    predicted = labels.copy()
    assert demo.chosen_digits(labels, predicted) == list(range(8))
    predicted[15] = 6
    assert demo.chosen_digits(labels, predicted) == [0, 1, 2, 3, 4, 5, 6, 15]
    lines = demo.gallery(np.zeros((20, 8, 8)), labels, predicted, demo.ASCII)
    assert len(lines) == 2 * 10 and "6 (is a 5)" in lines[18]
    assert demo.accuracy(predicted, labels) == "accuracy 95.0 % (19 of 20)"
