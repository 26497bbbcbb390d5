"""Limits on what reading a model may take: each has a default and an environment variable that changes it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from nnef_cl.errors import UsageError


@dataclass(frozen=True)
class Limit:
    """variable: the environment variable that sets another one. most: the highest there may be."""

    variable: str
    default: int
    most: int = 10**18 - 1

    @property
    def value(self) -> int:
        """What holds now. Raises UsageError."""
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
        if not 1 <= number <= self.most:
            raise UsageError(f"{self.variable}: expected a whole number from 1 to {self.most}, got '{text[:40]}'")
        return number

    @property
    def hint(self) -> str:
        """The end of a message."""
        return f"({self.variable} sets another limit)"


TEXT_BYTES = Limit("NNEF_CL_MAX_TEXT_BYTES", 256 << 20)
"""Of graph.nnef and of graph.quant."""
TOKENS = Limit("NNEF_CL_MAX_TOKENS", 5_000_000)
"""Words, numbers, strings and signs of a text: a network of 100,000 operations has about 3 million; one takes half a
kilobyte and some microseconds."""
NESTING = Limit("NNEF_CL_MAX_NESTING", 200, most=100_000)
"""Levels that an expression may be nested: brackets, and operators applied to the results of operators. A sum of n
terms is n levels deep."""
STEPS = Limit("NNEF_CL_MAX_STEPS", 2_000_000)
"""Expressions that are evaluated for one model, each array counted by a quarter of its length."""
ITEMS = Limit("NNEF_CL_MAX_ITEMS", 1_000_000)
"""Length of an array or string that an expression makes."""
OPERATIONS = Limit("NNEF_CL_MAX_OPERATIONS", 100_000)
"""Of one graph, fragments expanded; networks have some thousands."""
FRAGMENT_DEPTH = Limit("NNEF_CL_MAX_FRAGMENT_DEPTH", 1000)
"""Fragments that may be expanded inside each other."""
EXPANSION = Limit("NNEF_CL_MAX_EXPANSION", 256 << 20)
"""Bytes that a compressed archive may expand to, where that is more than some multiple of its size."""
FINDINGS = Limit("NNEF_CL_MAX_FINDINGS", 1000)
"""Errors after which validation ends."""

LIMITS = (TEXT_BYTES, TOKENS, NESTING, STEPS, ITEMS, OPERATIONS, FRAGMENT_DEPTH, EXPANSION, FINDINGS)
