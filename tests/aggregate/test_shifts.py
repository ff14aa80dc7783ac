"""What moved beside the metrics, worked by hand."""

from __future__ import annotations

from evalkit.aggregate.shifts import Shift, ShiftMeter
from evalkit.types import Case, Failure, Output, Row, Usage


def row(name: str, output: Output | None, digest: str = "d", repeat: int = 0) -> Row:
    """A row with or without an output."""
    failure = None if output else Failure("timeout", "late")
    return Row(case=Case(id=name, input="q", digest=digest), repeat=repeat, output=output, failure=failure)


def out(text: str, contexts: tuple[str, ...] | None = None, tokens: int | None = None, **more: float | bool) -> Output:
    """An output with its usage."""
    return Output(text=text, contexts=contexts, usage=Usage(output_tokens=tokens), **more)  # type: ignore[arg-type]


def measured(before: list[Row], now: list[Row]) -> dict[str, Shift]:
    """The shifts by name."""
    meter = ShiftMeter(before)
    for each in now:
        meter.add(each)
    return {shift.name: shift for shift in meter.shifts()}


def test_means_and_differing_texts_over_the_pairs() -> None:
    """(2 + 4) / 2 -> (2 + 2) / 2 characters; contexts of equal number differ in one of two pairs."""
    before = [row("a", out("ab", ("x",), 10, latency_s=1.0)), row("b", out("abcd", ("y",), 20, latency_s=2.0))]
    now = [row("a", out("ab", ("x",), 30, latency_s=2.0)), row("b", out("xy", ("z",), 50, latency_s=4.0))]
    assert measured(before, now) == {
        "contexts": Shift("contexts", "contexts", 1.0, 1.0, 2, 1),
        "answer length": Shift("answer length", "characters", 3.0, 2.0, 2, 1),
        "output tokens": Shift("output tokens", "tokens", 15.0, 40.0, 2, 2),
        "latency": Shift("latency", "s", 1.5, 3.0, 2, 2),
    }


def test_only_pairs_of_the_same_content_that_both_know_are_counted() -> None:
    """Added, removed and changed cases, lost answers, stored latencies and unknown tokens are in no mean."""
    before = [
        row("a", out("ab", latency_s=1.0)),
        row("changed", out("abc"), digest="old"),
        row("gone", out("abc")),
        row("lost", out("abc")),
        row("r", out("abcd"), repeat=1),
    ]
    now = [
        row("a", out("abcd", replayed=True, latency_s=9.0, tokens=3)),
        row("added", out("x" * 99)),
        row("changed", out("x" * 99), digest="new"),
        row("lost", None),
        row("r", out("x" * 99), repeat=0),
        row("r", out("ab"), repeat=1),
    ]
    assert measured(before, now) == {"answer length": Shift("answer length", "characters", 3.0, 3.0, 2, 2)}
    assert measured([], now) == {}
