"""The `exact` scorer compares an answer with the references."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.exact import Exact
from evalkit.types import Case, Output, Unscored

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "exact_gsm8k_dev.jsonl.gz"


def passes(scorer: Exact, answer: str, *references: str) -> bool | None:
    """Grade an answer against references."""
    score = scorer.score(Case(id="c", input="q", reference=references), Output(text=answer))
    assert not isinstance(score, Unscored)
    assert score.value == float(score.passed or 0)
    return score.passed


@pytest.mark.parametrize(
    ("options", "answer", "references", "expected"),
    [
        pytest.param({}, " Paris\n", ["Paris"], True, id="trimmed"),
        pytest.param({}, "paris", ["Paris"], False, id="case counts by default"),
        pytest.param({"ignore_case": True}, "İSTANBUL", ["i\u0307stanbul"], True, id="case folded"),
        pytest.param({"ignore_whitespace": False}, "Paris ", ["Paris"], False, id="space counts where asked"),
        pytest.param({}, "a\u2028b", ["a b"], True, id="line separator is space"),
        pytest.param({"ignore_punctuation": True}, "Paris!", ["Paris"], True, id="punctuation dropped"),
        pytest.param({}, "Ｐａｒｉｓ", ["Paris"], True, id="full width"),
        pytest.param({"nfkc": False}, "Ｐａｒｉｓ", ["Paris"], False, id="full width counts where asked"),
        pytest.param({}, "\u05d0\u200f", ["\u05d0"], True, id="right-to-left mark"),
        pytest.param({}, "Lyon", ["Paris", "Lyon"], True, id="second reference"),
        pytest.param({}, "", ["Paris"], False, id="empty answer"),
        pytest.param({}, "", [""], True, id="empty reference"),
    ],
)
def test_text(options: dict[str, bool], answer: str, references: list[str], expected: bool) -> None:
    """Text is compared after the chosen normalisation."""
    assert passes(Exact(**options), answer, *references) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "answer", "reference", "expected"),
    [
        pytest.param({}, "3 x 4 = 12.", "12", True, id="last number"),
        pytest.param({}, "It is $1,234.00", "1234", True, id="currency and thousands"),
        pytest.param({}, "50 %", "0.5", True, id="per cent as share"),
        pytest.param({}, "50%", "50", True, id="per cent as number"),
        pytest.param({}, "0.5%", "50%", False, id="per cent on both sides"),
        pytest.param({"extract": "first"}, "12 of 30", "12", True, id="first number"),
        pytest.param({"extract": "only"}, "12 of 30", "30", False, id="only refuses two"),
        pytest.param({"extract": "only"}, "12, so 12.0", "12", True, id="only takes equal ones"),
        pytest.param({"after": "A:"}, "A: 1\nA: 7", "7", True, id="after the last marker"),
        pytest.param({"after": "A:"}, "the answer is 7", "7", False, id="marker missing"),
        pytest.param({"after": "A:", "extract": "first"}, "9 A: 7 of 8", "7", True, id="first after the marker"),
        pytest.param({"tolerance": 0.5}, "10.5", "10", True, id="absolute tolerance"),
        pytest.param({"tolerance": 0.4}, "10.5", "10", False, id="beyond absolute tolerance"),
        pytest.param({"relative_tolerance": 0.01}, "-101", "-100", True, id="relative tolerance"),
        pytest.param({"decimal": ","}, "1.234", "1234", True, id="continental"),
        pytest.param({}, "0.1", "0.10", True, id="decimals are exact"),
        pytest.param({}, "", "0", False, id="empty answer"),
        pytest.param({}, "9" * 5_000, "9", False, id="five thousand digits"),
    ],
)
def test_numeric(options: dict[str, object], answer: str, reference: str, expected: bool) -> None:
    """The chosen number is compared within the tolerance."""
    assert passes(Exact(mode="numeric", **options), answer, reference) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("references", "kind"), [pytest.param((), "missing_reference", id="none"), (("five",), "bad_reference")]
)
def test_unscored_without_usable_reference(references: tuple[str, ...], kind: str) -> None:
    """A reference that cannot be compared is not a fail."""
    score = Exact(mode="numeric").score(Case(id="c", input="q", reference=references), Output(text="5"))
    assert isinstance(score, Unscored)
    assert score.kind == kind


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"tolerance": -1.0}, "tolerance"),
        ({"relative_tolerance": math.inf}, "relative_tolerance"),
        ({"after": " "}, "after"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], field: str) -> None:
    """An option that makes no sense names itself."""
    with pytest.raises(ValueError, match=f"^{field}: .+; .+"):
        Exact(**options)  # type: ignore[arg-type]


@given(st.text(), st.lists(st.text(), min_size=1), st.sampled_from(["text", "numeric"]))
def test_never_raises_and_order_of_references_is_free(answer: str, references: list[str], mode: str) -> None:
    """Any text is graded, alike for any order of the references."""
    scorer = Exact(mode=mode)  # type: ignore[arg-type]
    grades = [
        scorer.score(Case(id="c", input="q", reference=tuple(order)), Output(text=answer))
        for order in (references, references[::-1])
    ]
    assert [getattr(grade, "passed", None) for grade in grades[:1]] == [
        getattr(grade, "passed", None) for grade in grades[1:]
    ]


@given(st.text())
def test_a_text_equals_itself(text: str) -> None:
    """An answer that repeats the reference passes under every normalisation."""
    for options in ({}, {"ignore_case": True}, {"ignore_punctuation": True}, {"nfkc": False}):
        assert passes(Exact(**options), text, text)


@pytest.mark.skipif(not GSM8K.exists(), reason="the shared GSM8K rows are not on this machine")
@pytest.mark.parametrize("options", [{"extract": "last"}, {"after": "A:"}], ids=["last number", "after the marker"])
def test_reproduces_the_upstream_verdicts_on_gsm8k(options: dict[str, str]) -> None:
    """Every one of 1,304 upstream exact-match verdicts is reproduced."""
    with gzip.open(GSM8K, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    scorer = Exact(mode="numeric", **options)  # type: ignore[arg-type]
    wrong = [row["id"] for row in rows if passes(scorer, row["output"], row["reference"]) is not row["auto"]["correct"]]
    assert (len(rows), wrong) == (1304, [])
