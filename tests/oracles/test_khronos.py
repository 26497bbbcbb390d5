"""References against the interpreter of the Khronos package, case by case; tensor files and flat models through it.

What the interpreter refuses, or crashes on, proves nothing. Where its results differ, DISAGREEMENTS says who is right.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnef_cl.conformance.case import Case, all_cases
from nnef_cl.conformance.comparison import difference, tolerance
from nnef_cl.demo import model_folder
from nnef_cl.format.parser import parse_document
from nnef_cl.format.tensor_file import read_tensor_file, write_tensor
from nnef_cl.importer.text import flat_text
from tests.oracles.khronos import compute, load, python, worker, write_model

SLACK = 5
"""The interpreter adds in float32, one after another."""
CHOOSING = ("min", "max", "clamp", "sign", "max_pool", "min_reduce", "max_reduce", "argmax_reduce")


def special(case: Case) -> bool:
    return any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in case.arrays)


def wide(case: Case) -> bool:
    return any(array.dtype.kind == "i" and (np.abs(array) >= 2**31).any() for array in case.arrays)


def batched(case: Case) -> bool:
    first, second = (array.shape for array in case.arrays)
    return first[:-2] != second[:-2]


DISAGREEMENTS: dict[str, tuple[tuple[str, ...], Callable[[Case], bool]]] = {
    "NaN": (CHOOSING, special),
    "softplus": (("softplus",), lambda case: bool((case.arrays[0] > 80).any())),
    "groups of deconv": (("deconv",), lambda case: case.attrs.get("groups") == 0),
    "batches of matmul": (("matmul",), batched),
    "normalize of debox": (("debox",), lambda case: bool(case.attrs.get("normalize"))),
    "wide integers": (("cast", "external", "zero_point_linear_quantize"), wide),
    "scale of zero_point_linear_quantize": (("zero_point_linear_quantize",), lambda case: not 0 < case.arrays[2].min() < np.inf),
    "lower bound of zero_point_linear_quantize": (
        ("zero_point_linear_quantize",), lambda case: case.all_attrs["signed"] and not case.all_attrs["symmetric"]),
    "logarithmic_quantize": (("logarithmic_quantize",), lambda case: True),
    "cast of what no integer is": (("cast",), special),
    "rank of add_n": (("add_n",), lambda case: case.arrays[0].ndim == 0),
    "multilinear_upsample without factors": (("multilinear_upsample",), lambda case: case.attrs["factor"] == []),
}  # fmt: skip
"""Names in docs/oracles.md -> operations, and which of their cases differ."""


def disagreement(case: Case) -> str:
    """The name of the known one; '' where there is none."""
    return next((name for name, (ops, applies) in DISAGREEMENTS.items() if case.op in ops and applies(case)), "")


def failure(case: Case, results: list[np.ndarray]) -> str:
    """Why the interpreter's results are not the reference's; '' where they are."""
    found = [
        difference(got.astype(expected.dtype), expected).failure(SLACK * tolerance(case.op))
        for got, expected in zip(results, case.reference(), strict=True)
    ]
    return "; ".join(filter(None, found))


def test_references(tmp_path: Path) -> None:
    python()
    cases = all_cases()
    outcomes: Counter[str] = Counter()
    unknown, known = [], set()
    for case, results in zip(cases, compute(cases, tmp_path / "models"), strict=True):
        if isinstance(results, str):
            outcomes["crash" if results == "crash" else "refused"] += 1
        elif not (problem := failure(case, results)):
            outcomes["agrees"] += 1
        elif name := disagreement(case):
            known.add(name)
        else:
            unknown.append(f"{case.id}: {problem}")
    print(dict(outcomes), "of", len(cases))
    assert unknown == []
    assert known == set(DISAGREEMENTS), "no longer differs"
    assert outcomes["agrees"] > 0.6 * len(cases), outcomes


def test_the_guide_names_every_disagreement() -> None:
    text = (Path(__file__).parents[2] / "docs" / "oracles.md").read_text(encoding="utf-8")
    section = text.partition("\n## The Khronos interpreter\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| \*\*(.*?)\*\*", section, re.MULTILINE) == list(DISAGREEMENTS)


def flat(folder: Path) -> list[str]:
    """Puts the flat text in the place of the model's own; the names of its operations."""
    text, _ = flat_text(folder)
    (folder / "graph.nnef").write_text(text)
    return [str(statement.value.name) for statement in parse_document(text).graph.body]  # type: ignore[union-attr]


def test_flat_models(tmp_path: Path) -> None:
    """What `nnef-cl format --flat` writes is read by the Khronos parser, operation by operation."""
    python()
    cases = [case for case in all_cases() if len(case.constants) < len(case.arrays)]  # the others are graphs without inputs
    for number, case in enumerate(cases):
        write_model(case, tmp_path / str(number))
    shutil.copytree(model_folder(), tmp_path / str(len(cases)))
    names = [*(case.id for case in cases), "the digits"]
    written = [flat(tmp_path / str(number)) for number in range(len(names))]
    wrong = [
        f"{name}: {found}" for name, found, wanted in zip(names, load(tmp_path, len(names)), written, strict=True) if found != wanted
    ]
    assert wrong == []


ARRAYS = [
    np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4), np.float32(1.5), np.arange(6, dtype=np.float64).reshape(1, 6),
    np.array([1.5, -2.0, 65504.0], np.float16), np.arange(-4, 4, dtype=np.int8), np.arange(9, dtype=np.uint16).reshape(3, 3),
    np.array([2**31 - 1, -(2**31)], np.int32), np.array([[-(2**62), 2**62]], np.int64), np.array([True, False, True] * 5),
    np.arange(8, dtype=np.float32).reshape(1, 2, 1, 1, 2, 1, 2, 1),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{list(array.shape)}")
def test_tensor_files(array: np.ndarray, tmp_path: Path) -> None:
    """Ours is read as what it is, and written again as the same bytes."""
    write_tensor(tmp_path / "ours.dat", array, bits=None if array.dtype == bool else array.itemsize * 8)
    done = worker("tensor", tmp_path / "ours.dat", tmp_path / "theirs.dat")
    assert done.stdout.strip() == f"{array.dtype.name} {list(array.shape)}", done.stderr
    assert (tmp_path / "theirs.dat").read_bytes() == (tmp_path / "ours.dat").read_bytes()
    back = read_tensor_file(tmp_path / "theirs.dat").array
    np.testing.assert_array_equal(back, np.asarray(array, back.dtype))
