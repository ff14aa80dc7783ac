"""Which rows a refused key holds back, and when it ends the run."""

from evalkit.runner.refusals import Refusals
from evalkit.types import Case, Failure, Output, Row, Score, Unscored

DENIED = Failure("http_401", "bad key")


def row(number: int, failure: Failure | None = None, **scores: Score | Unscored) -> Row:
    """One row that failed, or that was graded."""
    case = Case(id=str(number), input="q", digest=str(number))
    return Row(case=case, repeat=0, output=None if failure else Output(text="x"), failure=failure, scores=scores)


def test_refusals_before_anything_is_accepted_are_the_key() -> None:
    """Two are held, the third ends the run and says why."""
    refusals = Refusals()
    assert [refusals.take(row(n, DENIED)) for n in range(2)] == [[], []]
    assert refusals.reason == ""
    refusals.take(row(2, DENIED))
    assert "the system under test refused the first calls: http_401: bad key" in refusals.reason


def test_an_accepted_call_frees_what_was_held() -> None:
    """Held rows are journalled, oldest first, and later refusals at once."""
    refusals = Refusals()
    first, good, later = row(0, DENIED), row(1), row(2, DENIED)
    assert refusals.take(first) == []
    assert refusals.take(good) == [first, good]
    assert refusals.take(later) == [later]
    assert refusals.reason == ""


def test_each_judge_earns_its_own_trust() -> None:
    """A system that answers does not vouch for a judge whose key is refused; another judge does not either."""
    refusals = Refusals()
    ok, denied = Score("tone", 1.0), Unscored("legal", "judge_http_403", "no such plan")
    for n in range(3):
        assert refusals.take(row(n, tone=ok, legal=denied)) == []
    assert "the judge of legal refused the first calls: http_403: no such plan" in refusals.reason


def test_other_failures_pass() -> None:
    """An outage is a row."""
    refusals = Refusals()
    broken = row(0, Failure("http_503", "busy"), tone=Unscored("tone", "judge_timeout"))
    assert refusals.take(broken) == [broken]
