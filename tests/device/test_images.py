"""Images as inputs: bytes resized, reordered and scaled on devices, against numpy, Pillow and the session without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_cl
from nnef_cl import Image
from nnef_cl.demo import held_out_digits, model_folder
from nnef_cl.errors import InputError
from nnef_cl.images import with_images
from nnef_cl.importer import import_model
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.image import LARGEST_SIDE, weights
from nnef_cl.session import Session
from tests.conftest import OCLGRIND
from tests.device.shapes import SHAPES, open_shaped

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def model(folder: Path, *shape: int, body: str = "y = copy(x);", results: str = "y") -> Path:
    text = f"x = external<scalar>(shape = {list(shape)}); {body}"
    folder.mkdir(exist_ok=True)
    (folder / "graph.nnef").write_text(f"version 1.0; graph g(x) -> ({results}) {{ {text} }}")
    return folder


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, 256, shape, np.uint8)


def run(selector: str, shape: str, path: Path, image: Image, given: np.ndarray, network: tuple[int, ...]) -> np.ndarray:
    graph = with_images(import_model(path, shapes={"x": network}), {"x": image})
    with Session(graph, open_shaped(selector, shape), STANDARD | INTERNAL) as session:
        assert session.inputs["x"].shape == given.shape
        return session.run({"x": given})["y"]


def expected(given: np.ndarray, image: Image, network: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    """In float64, side by side with the definition: resize, take channels, scale to the range, mean, std."""
    batch = given.reshape(-1, *given.shape[-3:])
    planes = batch.transpose(0, 3, 1, 2) if image.layout == "NHWC" else batch
    size = network[-2:] if image.network == "NCHW" else network[-3:-1]
    rows, columns = weights(planes.shape[2], size[0]), weights(planes.shape[3], size[1])
    low, high = image.range
    values = np.einsum("ih,jw,nchw->ncij", rows, columns, planes[:, order].astype(np.float64)) / 255 * (high - low) + low
    mean, std = (np.broadcast_to(one, len(order)).reshape(-1, 1, 1) for one in (image.mean, image.std))
    result = (values - mean) / std
    return (result.transpose(0, 2, 3, 1) if image.network == "NHWC" else result).reshape(network)


CASES: list[tuple[Image, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    (Image(MEAN, STD), (2, 5, 7, 3), (2, 3, 5, 7), (0, 1, 2)),
    (Image(MEAN, STD, channels="BGR"), (1, 4, 4, 3), (1, 3, 4, 4), (2, 1, 0)),
    (Image(MEAN, STD, "NCHW", "BGR"), (2, 3, 4, 6), (2, 3, 4, 6), (2, 1, 0)),
    (Image(127.5, 0.5, channels="RGBA", range=(0, 255)), (1, 3, 5, 4), (1, 3, 3, 5), (0, 1, 2)),
    (Image(channels="BGRA"), (1, 3, 5, 4), (1, 4, 3, 5), (2, 1, 0, 3)),
    (Image(channels="BGRA"), (1, 3, 5, 4), (1, 3, 3, 5), (2, 1, 0)),
    (Image(channels="GRAY", range=(-1, 1)), (3, 6, 5, 1), (3, 1, 6, 5), (0,)),
    (Image(MEAN, STD, channels="GRAY"), (1, 6, 5, 1), (1, 3, 6, 5), (0, 0, 0)),
    (Image(MEAN, STD, size=(13, 9)), (2, 13, 9, 3), (2, 3, 5, 7), (0, 1, 2)),
    (Image(MEAN, STD, size=(3, 4)), (1, 3, 4, 3), (1, 3, 7, 10), (0, 1, 2)),
    (Image(MEAN, STD, "NCHW", "BGR", size=(20, 3)), (1, 3, 20, 3), (1, 3, 6, 8), (2, 1, 0)),
    (Image(size=(1, 1)), (1, 1, 1, 3), (1, 3, 3, 2), (0, 1, 2)),
    (Image(size=(50, 40)), (1, 50, 40, 3), (1, 3, 1, 1), (0, 1, 2)),
    (Image(channels="GRAY", size=(1, 1001)), (1, 1, 1001, 1), (1, 1, 1, 999), (0,)),
    (Image(MEAN, STD), (5, 7, 3), (3, 5, 7), (0, 1, 2)),
    (Image(MEAN, STD, "NCHW", "BGR", network="NHWC"), (3, 4, 6), (4, 6, 3), (2, 1, 0)),
    (Image(MEAN, STD, channels="BGRA", size=(9, 5), network="NHWC"), (2, 9, 5, 4), (2, 4, 6, 3), (2, 1, 0)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_bytes_become_values(selector: str, shape: str, number: int, tmp_path: Path) -> None:
    image, given_shape, network, order = CASES[number]
    given = pixels(*given_shape)
    got = run(selector, shape, model(tmp_path, *network), image, given, network)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected(given, image, network, order), rtol=2e-5, atol=2e-5 * np.abs(got).max())


@pytest.mark.parametrize(("source", "result"), [(1, 1), (7, 7), (7, 3), (3, 7), (1000, 224), (LARGEST_SIDE, 3), (1, 5)])
def test_weights_are_an_average_of_near_pixels(source: int, result: int) -> None:
    found = weights(source, result)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    places = found @ (np.arange(source) + 0.5)
    inner = slice(1, -1) if result > 2 else slice(0, 0)
    np.testing.assert_allclose(places[inner], ((np.arange(result) + 0.5) * source / result)[inner], atol=0.51)
    assert source != result or np.array_equal(found, np.eye(source))


@pytest.mark.parametrize("size", [(64, 48), (20, 31), (224, 10)])
def test_resizing_is_pillows(selector: str, size: tuple[int, int], tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    given = pixels(1, *size, 3)
    wanted = pillow.fromarray(given[0]).resize((30, 24), pillow.Resampling.BILINEAR)
    image = Image(size=size, range=(0, 255))
    got = run(selector, "own", model(tmp_path, 1, 3, 24, 30), image, given, (1, 3, 24, 30))
    assert np.abs(got[0].transpose(1, 2, 0) - np.asarray(wanted)).max() <= 1.01  # Pillow rounds twice


@pytest.mark.skipif(OCLGRIND, reason="several kernels, in several threads: the simulator can do neither")
def test_the_digits_as_images(selector: str) -> None:
    digits, labels = held_out_digits()
    some = digits[:16]  # 0 to 16, as the network wants them
    image = Image(channels="GRAY", range=(0, 255))
    with nnef_cl.load(model_folder(), device=selector, shapes={"image": (16, 1, 8, 8)}) as session:
        plain = session.run({"image": some[:, None].astype(np.float32)})["probabilities"]
    with nnef_cl.load(
        model_folder(), device=selector, shapes={"image": (16, 1, 8, 8)}, inputs={"image": image}, streams=2
    ) as session:
        assert session.inputs["image"].dtype.api == "uint8"
        futures = [session.submit({"image": some[..., None]}) for _ in range(3)]
        found = [future.result()["probabilities"] for future in futures]
        with pytest.raises(InputError, match="expected uint8"):
            session.run({"image": some[..., None].astype(np.int16)})
        with pytest.raises(InputError, match=r"expected shape \[16, 8, 8, 1\]"):
            session.run({"image": some})
    assert all(np.allclose(one, plain, atol=1e-6) for one in found)
    assert found[0].argmax(1).tolist() == labels[:16].tolist()


def test_an_input_that_is_an_output_and_a_name_that_is_taken(selector: str, tmp_path: Path) -> None:
    path = model(tmp_path, 1, 1, 2, 2, body="x_values = add(x, 1.0); y = mul(x_values, x);", results="y, x, x_values")
    given = pixels(1, 2, 2, 1)
    image = Image(channels="GRAY", range=(0, 255))
    with nnef_cl.load(path, device=selector, inputs={"x": image}, keep="all") as session:
        results = session.run({"x": given})
    x = given[:, None, ..., 0].astype(np.float32)
    assert np.allclose(results["x"], x) and np.allclose(results["x_values"], x + 1)
    assert np.allclose(results["y"], (x + 1) * x)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"xx": Image()}, "the model has no input 'xx'; did you mean 'x'"),
        ({"x": 3}, "'x': expected an Image, got int"),
        (["x"], "expected images by input name, got list"),
        ({"x": Image(layout="HWC")}, "layout: expected NHWC, NCHW, got 'HWC'"),
        ({"x": Image(network="HWC")}, "network: expected NHWC, NCHW, got 'HWC'"),
        ({"x": Image(network="NHWC")}, "the network's input has 4 channels; expected RGBA, BGRA"),
        ({"x": Image(channels="CMYK")}, "channels: expected RGB"),
        ({"x": Image(channels="RGB")}, "channels RGB: the network's input has 1 channels; expected GRAY"),
        ({"x": Image(channels="GRAY", mean=(1, 2))}, r"mean: expected 1 finite numbers or one, got \(1, 2\)"),
        ({"x": Image(channels="GRAY", mean=float("nan"))}, "mean: expected 1 finite numbers or one, got nan"),
        ({"x": Image(channels="GRAY", std=0)}, "std: must not be 0"),
        ({"x": Image(channels="GRAY", range=(0, 1, 2))}, "range: expected 2 finite numbers"),  # type: ignore[arg-type]
        ({"x": Image(channels="GRAY", size=(0, 4))}, r"size: expected \(height, width\), 1 to 16384"),
        ({"x": Image(channels="GRAY", size=(4, 1 << 20))}, "size: expected"),
        ({"x": Image(channels="GRAY", size=7)}, "size: expected"),  # type: ignore[arg-type]
    ],
)
def test_wrong_images_are_named(tmp_path: Path, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_images(import_model(model(tmp_path, 1, 1, 4, 4)), inputs)


@pytest.mark.parametrize("shape", [(1, 4), (1, 1, 3, 4, 4)])
def test_only_inputs_of_images(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="an image fits scalar inputs of 4 axes, or of 3 without N, only"):
        with_images(import_model(model(tmp_path, *shape)), {"x": Image()})


def test_a_network_with_channels_last_wants_to_be_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 5 channels; images have 1, 3 or 4, network='NCHW'"):
        with_images(import_model(model(tmp_path, 1, 5, 5, 3)), {"x": Image()})


def test_one_image_is_no_batch(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"batching: input 'x' u8\[4,5,3\] is one image, it has no rows"):
        nnef_cl.load(model(tmp_path, 3, 4, 5), inputs={"x": Image()}, batching=nnef_cl.Batching())
