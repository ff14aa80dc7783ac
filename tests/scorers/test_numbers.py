"""The `numbers` scorer finds invented numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.rules.numbers import Numbers
from evalkit.types import Case, Output, Score, Unscored


def grade(
    scorer: Numbers, answer: str, *, contexts: tuple[str, ...] = (), reference: tuple[str, ...] = ()
) -> list[Score]:
    """Grade an answer to a question that names 3 years."""
    case = Case(id="c", input="And for 3 years?", contexts=contexts, reference=reference)
    scores = scorer.score(case, Output(text=answer))
    assert [score.metric for score in scores] == [metric.name for metric in scorer.metrics]
    assert all(isinstance(score, Score) for score in scores)
    return list(scores)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "answer", "value", "passed"),
    [
        pytest.param({}, "It costs 1000 EUR, or 50%.", 1.0, True, id="supported in another form"),
        pytest.param({}, "It costs 1000 EUR, or 60%.", 0.5, False, id="one invented"),
        pytest.param({"min": 0.5}, "It costs 1000 EUR, or 60%.", 0.5, True, id="pass mark"),
        pytest.param({}, "For 3 years: 1,000", 1.0, True, id="number of the question"),
        pytest.param({"allow_input": False}, "For 3 years: 1,000", 0.5, False, id="question not allowed"),
        pytest.param({}, "1. Pay 1000\n2. Done [7]", 1.0, True, id="list items and citations"),
        pytest.param({}, "Half, 0.5", 1.0, True, id="per cent as share"),
        pytest.param({"tolerance": 0.01}, "about 1,009", 1.0, True, id="tolerance"),
        pytest.param({}, "about 1,009", 0.0, False, id="no tolerance"),
        pytest.param({}, "-1000", 0.0, False, id="sign counts"),
        pytest.param({}, "No figures here.", 1.0, True, id="no number"),
        pytest.param({}, "", 1.0, True, id="empty answer"),
        pytest.param({}, "١٠٠٠", 1.0, True, id="arabic digits"),
    ],
)
def test_against_contexts(options: dict[str, object], answer: str, value: float, passed: bool) -> None:
    """Every number must stand in a context or the question."""
    (score,) = grade(Numbers(**options), answer, contexts=("The fee is 1 000 EUR.", "Half is 50 %"))  # type: ignore[arg-type]
    assert (score.value, score.passed) == (pytest.approx(value), passed)


def test_reason_names_the_invented() -> None:
    """The reason has the numbers that nothing supports."""
    (score,) = grade(Numbers(), "7 of 9 and 3", contexts=("3",))
    assert score.reason == "1 of 3 numbers supported; not '7', '9'"


@pytest.mark.parametrize(
    ("answer", "reference", "precision", "recall"),
    [
        pytest.param("10 and 20", ("10, 20, 30, 40",), 1.0, 0.5, id="half named"),
        pytest.param("10 and 21", ("10, 20",), 0.5, 0.5, id="one invented"),
        pytest.param("10", ("11", "10"), 1.0, 1.0, id="best reference"),
        pytest.param("", ("10",), 1.0, 0.0, id="empty answer"),
        pytest.param("none", ("nothing",), 1.0, 1.0, id="no numbers at all"),
    ],
)
def test_against_reference(answer: str, reference: tuple[str, ...], precision: float, recall: float) -> None:
    """Against a reference there is a recall beside."""
    scorer = Numbers(against="reference")
    assert scorer.needs == {"reference"}
    assert [score.value for score in grade(scorer, answer, reference=reference)] == [precision, recall]


@pytest.mark.parametrize(
    ("against", "kind", "n"), [("contexts", "missing_contexts", 1), ("reference", "missing_reference", 2)]
)
def test_unscored_without_support(against: str, kind: str, n: int) -> None:
    """With nothing to compare with, every metric is unscored."""
    scores = Numbers(against=against).score(Case(id="c", input="q"), Output(text="5"))  # type: ignore[arg-type]
    assert [score.kind for score in scores if isinstance(score, Unscored)] == [kind] * n


@pytest.mark.parametrize("field", ["min", "tolerance"])
def test_bad_options_are_refused(field: str) -> None:
    """Shares are within 0 and 1."""
    with pytest.raises(ValueError, match=f"^{field}: .+; .+"):
        Numbers(**{field: 1.5})


numeric_text = st.text() | st.text(alphabet="0123456789., %-\n")


@given(numeric_text, st.lists(numeric_text, min_size=1))
def test_value_is_a_share_and_order_is_free(answer: str, contexts: list[str]) -> None:
    """Any text scores within 0 and 1, alike for any order of the contexts."""
    values = {grade(Numbers(), answer, contexts=tuple(order))[0].value for order in (contexts, contexts[::-1])}
    assert len(values) == 1
    assert 0 <= values.pop() <= 1


@given(numeric_text)
def test_a_context_supports_itself(text: str) -> None:
    """An answer that repeats the context invents nothing."""
    assert grade(Numbers(), text, contexts=(text,))[0].value == 1.0
