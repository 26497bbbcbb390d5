"""Codes of tensor files -> values: by graph.quant, or by the parameters that files once held (section 5.2)."""

from __future__ import annotations

import struct

import numpy as np

from nnef_cl.errors import RuleError
from nnef_cl.format.tensor_file import TensorFile, TensorHeader
from nnef_cl.importer.dialect import QUANTISATION
from nnef_cl.ir.quant import Quant, exponents
from nnef_cl.ir.tensor import unrepeated

OLD_LOGARITHMIC = 0x11
"""Item type of files from before NNEF 1.0.3."""


def has_parameters(header: TensorHeader) -> bool:
    """Whether the file itself says what its codes stand for, as was usual before NNEF 1.0.3."""
    return header.is_quantised and any(header.parameters[:8])


@np.errstate(all="ignore")
def old_values(file: TensorFile) -> np.ndarray:
    """float32 values by the deprecated parameters: the least code is `min`, the greatest `max`. Raises RuleError."""
    return np.broadcast_to(_old_values(file), file.array.shape)


def _old_values(file: TensorFile) -> np.ndarray:
    header, codes = file.header, unrepeated(file.array)
    least, greatest = (np.asarray(value, np.float32) for value in struct.unpack_from("<2f", header.parameters))
    if not (np.isfinite(least) and np.isfinite(greatest) and least < greatest):
        raise RuleError(f"the codes' range in the header is from {least} to {greatest}, which is none")
    if header.code != OLD_LOGARITHMIC:
        attrs = {"bits": header.bits, "signed": header.is_signed, "symmetric": False}
        quant = Quant("min_max_linear_quantize", {"min": least, "max": greatest}, attrs)
        return quant.dequantise(codes, header.bits, header.is_signed)
    if greatest <= 0:
        raise RuleError(f"the codes' maximum in the header is {greatest}, expected one above 0")
    if least >= 0:
        return exponents(codes, greatest, header.bits, signed=False)
    unused = 64 - header.bits
    return exponents(codes << unused >> unused, greatest, header.bits, signed=True)  # the highest bit is the sign


@np.errstate(all="ignore")
def values(file: TensorFile, quant: Quant | None) -> np.ndarray:
    """float32 values by the tensor's entry in graph.quant. Raises RuleError, also for codes that cannot be."""
    if quant is None:
        message = "the data are quantised: they are codes, and graph.quant does not say what they stand for"
        raise RuleError(message, QUANTISATION.name)
    codes = unrepeated(file.array)
    low, high = quant.code_range(file.header.is_signed)
    for code in (int(codes.min()), int(codes.max())):
        if not low <= code <= high:
            bits = f"{quant.attrs['bits']} bits"
            message = f"code {code} of the data is outside of {low}..{high}, what {bits} in graph.quant allow"
            raise RuleError(message, QUANTISATION.name)
    return np.broadcast_to(quant.dequantise(codes, file.header.bits, file.header.is_signed), file.array.shape)
