"""A slice of the fuzzing campaign: the same inputs every time, and inputs that Hypothesis draws."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnef_cl.errors import ModelSyntaxError
from nnef_cl.format.parser import parse_document
from nnef_cl.format.printer import print_document
from tests.fuzz import corpus
from tests.fuzz.campaign import KINDS, Fuzzer, campaign, report
from tests.fuzz.syntax_mutator import Pool, mutated

POOL = Pool(corpus.documents())


def test_campaign(tmp_path: Path) -> None:
    problems: list[str] = []
    tally = campaign(Fuzzer(Random(7), tmp_path), 1500, 600, lambda kind, data, problem: problems.append(f"{kind}: {problem}"))
    assert problems == []
    summary = report(tally)
    assert summary["inputs"] == 1500 and summary["structural"] > 0.5 and set(summary["kinds"]) == set(KINDS)
    assert tally.grammatical["structure"] > 0.8 * tally.inputs["structure"]
    assert all(tally.valid[kind] for kind in KINDS)


@pytest.mark.parametrize("number", range(len(corpus.LANGUAGE)))
def test_the_models_to_start_from_are_valid(number: int, tmp_path: Path) -> None:
    fuzzer = Fuzzer(Random(0), tmp_path)
    assert fuzzer.judge("structure", print_document(corpus.documents()[number]).encode()) == ""
    assert fuzzer.tally.valid == Counter(structure=1)


def test_a_finding_is_judged_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzzer = Fuzzer(Random(0), tmp_path)
    monkeypatch.setattr(fuzzer, "run", lambda kind, data: {}["gone"])
    assert "KeyError: 'gone'" in fuzzer.judge("tokens", b"") and fuzzer.tally.findings == 1


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.sampled_from(corpus.documents()), st.integers(1, 5))
def test_mutated_syntax_prints_as_text_that_means_the_same(random: Random, document: object, changes: int) -> None:
    """Where the grammar takes the text, printing what it says gives the same text again."""
    text = print_document(mutated(random, document, POOL, changes))  # type: ignore[arg-type]
    try:
        parsed = parse_document(text)
    except ModelSyntaxError:
        return
    assert parse_document(print_document(parsed)) == parsed
