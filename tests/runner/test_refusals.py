"""Which rows a refused key holds back, and when it ends the run."""

import pytest

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


GONE = Failure("connection", "ClientConnectorError: connection refused; the next attempt is due in 2 s")


def test_a_system_that_is_never_reached_ends_the_run() -> None:
    """Each of its cases has waited for its whole time, so the third ends the run; none of them is a result."""
    refusals = Refusals(in_flight=16)
    assert [refusals.take(row(n, GONE)) for n in range(2)] == [[], []]
    assert refusals.reason == ""
    assert refusals.take(row(2, GONE)) == []
    assert refusals.reason.startswith("the system under test cannot be reached; start it or fix its address")
    assert refusals.reason.endswith("--resume (connection: ClientConnectorError: connection refused)")


def test_a_system_that_is_gone_for_good_ends_the_run() -> None:
    """After answers, only once calls that began during the outage have failed too."""
    refusals = Refusals(in_flight=4)
    good = row(0)
    assert refusals.take(good) == [good]
    assert [refusals.take(row(n, GONE)) for n in range(1, 7)] == [[]] * 6
    assert refusals.reason == ""
    refusals.take(row(7, GONE))
    assert "cannot be reached" in refusals.reason


def test_an_answer_after_an_outage_makes_its_rows_results() -> None:
    """They are journalled before it, in their order, and the count begins anew."""
    refusals = Refusals(in_flight=1)
    rows = [row(0), row(1, GONE), row(2, GONE), row(3), row(4, GONE), row(5, GONE)]
    assert [refusals.take(each) for each in rows] == [rows[:1], [], [], rows[1:4], [], []]
    assert refusals.reason == ""
    assert refusals.release() == rows[4:]


def test_a_refused_key_after_an_outage_is_held_for_its_own_reason() -> None:
    """What is said fits the first row that is held."""
    refusals = Refusals(in_flight=1)
    for n, failure in enumerate((DENIED, GONE, GONE)):
        assert refusals.take(row(n, failure)) == []
    assert "refused the first calls: http_401" in refusals.reason


def test_a_reply_of_any_status_shows_that_the_address_is_right() -> None:
    """An endpoint that is overloaded is reached."""
    refusals = Refusals(in_flight=1)
    gone, busy = row(0, GONE), row(1, Failure("http_503", "busy"))
    assert [refusals.take(gone), refusals.take(busy)] == [[], [gone, busy]]


@pytest.mark.parametrize(
    "failure",
    [
        Failure("http_402", "Insufficient Balance"),
        Failure("http_429", 'answered 429: {"error": {"code": "insufficient_quota", "message": "You exceeded"}}'),
    ],
)
def test_an_account_without_money_ends_the_run_as_a_dead_address_does(failure: Failure) -> None:
    """At once before the first answer; after answers, once more calls than run at once were refused."""
    first = Refusals(in_flight=4)
    assert [first.take(row(n, failure)) for n in range(3)] == [[]] * 3
    assert first.reason.startswith("the system under test refuses calls that nobody pays for; top up the account")
    later = Refusals(in_flight=4)
    later.take(row(0))
    assert [later.take(row(n, failure)) for n in range(1, 7)] == [[]] * 6
    assert later.reason == ""
    later.take(row(7, failure))
    assert failure.kind in later.reason


def test_a_rate_limit_is_no_empty_account() -> None:
    """It passes."""
    limited = row(0, Failure("http_429", "Rate limit reached"))
    assert Refusals().take(limited) == [limited]
