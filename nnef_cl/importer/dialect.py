"""Which readings of the standard the importer accepts: a record of flags, asked instead of names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """What is accepted, with a warning, beyond the letter of NNEF 1.0.5. Whatever is off is an error.

    integers_as_scalars: `1` where a scalar is expected, and arithmetic of integers with scalars.
    positional_attributes: attributes without their names. redefinitions: fragments of the file that carry the
    name of a standard operation; the file's are used. undeclared_features: fragments and operators without the
    KHR extension statement. unknown_extensions: extensions of vendors. array_identifiers: one identifier for the
    array that split or unstack return, in fragments. tensor_conditions: `a if t else b` on a tensor t is select.
    """

    name: str
    integers_as_scalars: bool = False
    positional_attributes: bool = False
    redefinitions: bool = False
    undeclared_features: bool = False
    unknown_extensions: bool = False
    array_identifiers: bool = False
    tensor_conditions: bool = False


STRICT = Dialect("strict")
"""The letter of the standard."""

LENIENT = Dialect("lenient", True, True, True, True, True, True, True)
"""What exporters write."""
