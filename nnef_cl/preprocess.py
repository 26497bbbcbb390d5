"""Files -> input arrays: .npy, .npz, .dat and images; and seeded random inputs."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnef_cl.errors import InputError, UnsupportedError
from nnef_cl.format.tensor_file import read_tensor_file
from nnef_cl.images import Image
from nnef_cl.ir.dtype import BYTE, F32
from nnef_cl.ir.tensor import TensorSpec
from nnef_cl.ops.image import LARGEST_SIDE

ARRAYS = (".npy", ".npz", ".dat")
IMAGES = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What pillow may be asked to read: it starts other programs for some formats."""
LAYOUTS = ("nchw", "nhwc")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Channels of an input -> pillow's mode."""
CHANNELS = {1: "GRAY", 3: "RGB", 4: "RGBA"}
"""The same -> an Image's channels."""
WIDEST_ITEM = 16
MEMBER_SLACK = 1 << 16


@dataclass(frozen=True)
class ImageOptions:
    """How pixels become values: the range 0 to 255 is mapped to `range`, then (value - mean) / std per channel.

    mean, std: one number, or one per channel. layout: 'nchw' or 'nhwc'.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    range: tuple[float, float] = (0.0, 1.0)
    layout: str = "nchw"


def device_image(spec: TensorSpec, options: ImageOptions) -> Image | None:
    """What has the device make of pixels what `read_input` makes of an image file; None where it cannot, or where the
    options do not fit."""
    if spec.rank != 4 or spec.dtype != F32 or spec.quant is not None:
        return None
    _, *rest = spec.shape
    channels, *size = rest if options.layout == "nchw" else (rest[2], *rest[:2])
    lengths = {len(options.mean), len(options.std)}
    if channels not in CHANNELS or not lengths <= {1, channels} or max(size) > LARGEST_SIDE:
        return None
    mean, std = (values if len(values) > 1 else values[0] for values in (options.mean, options.std))
    return Image(mean, std, channels=CHANNELS[channels], range=options.range, network=options.layout.upper())


def read_input(files: list[Path], name: str, spec: TensorSpec, options: ImageOptions) -> np.ndarray:
    """One input's array from its files; several are joined along the batch (axis 0). Raises Error."""
    arrays = [_read_file(file, name, spec, options) for file in files]
    if len(arrays) == 1:
        return arrays[0]
    if any(array.shape[1:] != arrays[0].shape[1:] or array.ndim == 0 for array in arrays):
        shapes = ", ".join(str(list(array.shape)) for array in arrays)
        raise InputError(f"input '{name}': files of unlike shapes cannot be joined to a batch: {shapes}")
    return np.concatenate(arrays)


def npz_names(path: Path) -> list[str]:
    """Names of the arrays in an .npz file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def random_inputs(specs: Mapping[str, TensorSpec], seed: int) -> dict[str, np.ndarray]:
    """Seeded values for every input: normal floats; integers 0, which every axis has as an index; booleans; images."""
    return {name: _random(spec, np.random.default_rng([seed, k])) for k, (name, spec) in enumerate(specs.items())}


def _random(spec: TensorSpec, generator: np.random.Generator) -> np.ndarray:
    if spec.dtype.kind == "scalar":
        return generator.standard_normal(spec.shape, np.float32).astype(spec.dtype.api, copy=False)
    if spec.dtype == BYTE:
        return generator.integers(0, 256, spec.shape, np.uint8)
    return generator.integers(0, 2 if spec.dtype.kind == "logical" else 1, spec.shape).astype(spec.dtype.api)


def _read_file(path: Path, name: str, spec: TensorSpec, options: ImageOptions) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path)
    if suffix == ".npz":
        return _read_npz(path, name, spec)
    if suffix == ".dat":
        return _read_dat(path)
    return _read_image(path, name, spec, options)


def _read_npy(path: Path) -> np.ndarray:
    try:
        # Mapped, so that a header that lies about the shape allocates nothing.
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as .npy: {_words(error)}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: not an .npy file")
    return array


def _words(error: Exception) -> str:
    """numpy takes what is not .npy for a pickle, and recommends to load it."""
    text = str(error)
    return "it is not one, or holds Python objects" if "pickle" in text else text.partition("\n")[0]


def _read_npz(path: Path, name: str, spec: TensorSpec) -> np.ndarray:
    names = npz_names(path)
    key = name if name in names or len(names) != 1 else names[0]
    if key not in names:
        raise InputError(f"{path}: has no array '{name}', only {', '.join(names) or 'none'}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.removesuffix(".npy"): member for member in archive.namelist()}
            bound = spec.volume * WIDEST_ITEM + MEMBER_SLACK
            if archive.getinfo(members[key]).file_size > bound:
                raise InputError(f"{path}: array '{key}' is too large for input '{name}' {list(spec.shape)}")
            with archive.open(members[key]) as stream:
                array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError, MemoryError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: array '{key}' cannot be read: {_words(error)}") from error
    return array


def _read_dat(path: Path) -> np.ndarray:
    tensor = read_tensor_file(path)
    if tensor.header.is_quantised:
        raise UnsupportedError("holds quantised items, which are not supported yet", where=path)
    return tensor.array


def _read_image(path: Path, name: str, spec: TensorSpec, options: ImageOptions) -> np.ndarray:
    """[1, C, H, W] or [1, H, W, C]: cut to the input's aspect ratio around the centre and scaled to its size. An input
    of bytes gets the pixels."""
    if spec.dtype == BYTE:
        _, height, width, channels = spec.shape
        return _pixels(path, channels, (width, height)).reshape(1, height, width, channels)
    channels, height, width = _image_extents(name, spec, options)
    scale, bias = _line(channels, options)
    pixels = _pixels(path, channels, (width, height)).reshape(height, width, channels)
    nchw = options.layout == "nchw"
    values = np.empty((1, channels, height, width) if nchw else (1, height, width, channels), np.float32)
    for channel in range(channels):
        plane = values[0, channel] if nchw else values[0, ..., channel]
        np.multiply(pixels[..., channel], scale[channel], out=plane, dtype=np.float32)
        plane += bias[channel]
    return values


def _line(channels: int, options: ImageOptions) -> tuple[np.ndarray, np.ndarray]:
    """Per channel what a pixel is multiplied by and what is added then: one pass over an image instead of four."""
    low, high = options.range
    mean, std = (_per_channel(getattr(options, name), channels, name) for name in ("mean", "std"))
    return ((high - low) / 255 / std).astype(np.float32), ((low - mean) / std).astype(np.float32)


def _image_extents(name: str, spec: TensorSpec, options: ImageOptions) -> tuple[int, int, int]:
    """Channels, height and width an image must have for the input."""
    if spec.rank != 4 or spec.dtype.kind != "scalar":
        raise InputError(f"input '{name}' {spec}: an image fits scalar inputs of 4 dimensions only")
    _, *rest = spec.shape
    channels, height, width = rest if options.layout == "nchw" else (rest[2], rest[0], rest[1])
    if channels not in MODES:
        raise InputError(
            f"input '{name}' {list(spec.shape)}, layout {options.layout}: {channels} channels, "
            f"an image has {', '.join(map(str, MODES))}"
        )
    return channels, height, width


def _pixels(path: Path, channels: int, extents: tuple[int, int]) -> np.ndarray:
    """Pixels 0 to 255 of an image file in the size (width, height)."""
    try:
        from PIL import Image as Pillow  # noqa: PLC0415 - an extra
        from PIL import ImageOps  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"{path}: inputs are {', '.join(ARRAYS)}, or images: those need pillow (pip install 'nnef-cl[images]')"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # twice as many pixels are an error
            with Pillow.open(path, formats=IMAGES) as image:
                upright = ImageOps.exif_transpose(image) or image
                fitted = ImageOps.fit(upright.convert(MODES[channels]), extents, Pillow.Resampling.BILINEAR)
                return np.asarray(fitted, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError, Pillow.DecompressionBombError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read as {', '.join(ARRAYS)} or an image: {error}") from error


def _per_channel(values: tuple[float, ...], channels: int, option: str) -> np.ndarray:
    if len(values) not in (1, channels):
        count = "one value" if channels == 1 else f"1 or {channels} values"
        raise InputError(f"--{option}: expected {count}, one per channel, got {len(values)}")
    return np.broadcast_to(np.asarray(values, np.float64), channels)
