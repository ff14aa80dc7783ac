"""Each rule about items, on histories made by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evalkit.golden.items import ItemHistory, VersionRuns, item_findings, quarantine_plan, suspects
from evalkit.types import Case


def item(
    name: str = "a", *runs: tuple[int, int], answers: dict[str, str] | None = None, **changes: object
) -> ItemHistory:
    """A case with (passed, runs) of each version."""
    given = {"input": f"question {name} of its own", "reference": ("yes",), "place": f"s.jsonl:{len(name)}", **changes}
    versions = {str(at): VersionRuns(n_passed=passed, n=n) for at, (passed, n) in enumerate(runs)}
    return ItemHistory(case=Case(id=name, **given), versions=versions, answers=answers or {})  # type: ignore[arg-type]


def told(*items: ItemHistory) -> list[tuple[str, str, str]]:
    """Rule, id and words of every finding."""
    return [(each.rule, each.case.id, each.what) for each in item_findings(items)]


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([(1, 1)] * 20, [("dead", "a", "has not failed in 20 versions")]),
        ([(1, 1)] * 19, []),
        ([(1, 1)] * 19 + [(4, 5)], []),
        ([(0, 1)] * 5, [("impossible", "a", "failed in all 5 versions")]),
        ([(0, 1)] * 4, []),
        ([(0, 3)] * 4 + [(1, 3)], []),
        ([(2, 10)], [("flaky", "a", "2 of 10 runs of one version passed")]),
        ([(8, 10)], [("flaky", "a", "8 of 10 runs of one version passed")]),
        ([(9, 10)], []),
        ([(1, 10)], []),
        ([(4, 9)], []),
    ],
)
def test_rules_of_one_case(runs: list[tuple[int, int]], found: list[tuple[str, str, str]]) -> None:
    """At the edge of each rule."""
    assert told(item("a", *runs)) == found


def test_a_canary_is_never_dead() -> None:
    """That it never fails is what it is for."""
    assert told(item("a", *[(1, 1)] * 30, kind="canary")) == []


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (["No.", "no", "NO!", ""], "3 of 4 systems agree against the reference"),
        (["no", "no", "no"], "3 of 3 systems agree against the reference"),
        (["no", "no"], ""),
        (["no", "no", "never", ""], ""),
        (["no", "no", "no", "", ""], ""),
        (["", "", "", ""], ""),
    ],
)
def test_systems_that_agree_doubt_the_reference(answers: list[str], found: str) -> None:
    """Three of four, in the same words; letter case and punctuation do not count."""
    given = item("a", answers={f"s{at}": answer for at, answer in enumerate(answers)})
    assert [what for _, _, what in told(given)] == ([found] if found else [])


def test_numbers_are_compared_by_the_last_one() -> None:
    """The way to a number differs from system to system."""
    answers = {"a": "3 + 4 = 7", "b": "It is 7.", "c": "So 1,000 - 993 makes 7"}
    assert told(item("a", answers=answers, reference=("8",)))[0][0] == "reference doubtful"
    assert told(item("a", answers=answers, reference=("eight",))) == []


def test_contradictions() -> None:
    """The same question with two references; another question with the same one."""
    same = [item("a", input="What is due?", reference=("yes",)), item("b", input="what is DUE", reference=("no",))]
    assert told(*same) == [("contradictory", "b", "asks the same as a, with another reference")]
    text = "Does the fee of the account count for amounts over 100 euros in a year?"
    pair = [item("a", input=text), item("b", input=text.replace("100", "900"))]
    expected = "asks something else than a (number), with the same reference"
    assert told(*pair) == [("contradictory", "b", expected)]
    assert told(pair[0], dataclasses.replace(pair[1], case=dataclasses.replace(pair[1].case, reference=("no",)))) == []


def test_redundant_pairs_never_ended_differently() -> None:
    """Alike in words and in all of 20 versions, and not in one cluster yet."""
    text = "Does the fee of the account count for amounts over 100 euros in a year?"
    runs = [(at % 2, 1) for at in range(20)]
    first, second = item("a", *runs, input=text), item("b", *runs, input=f"Please tell me: {text}")
    assert told(first, second) == [("redundant", "b", "nearly the same as a, with the same result in all 20 versions")]
    assert told(item("a", *runs[:19], input=text), item("b", *runs[:19], input=f"Please tell me: {text}")) == []
    assert told(first, item("b", *runs[:19], (0, 1), input=f"Please tell me: {text}")) == []
    grouped = [item(name, *runs, input=text + "!" * at, cluster="k") for at, name in enumerate("ab")]
    assert told(*grouped) == []


def test_suspects_have_too_few_repeats() -> None:
    """Mixed results of 2 to 9 repeats ask for 10, and are no finding."""
    given = [item("a", (1, 3)), item("b", (3, 3)), item("c", (1, 3), (10, 10)), item("d", (0, 1), (1, 1))]
    assert [case.id for case in suspects(given)] == ["a"]
    assert told(*given) == []


def test_quarantine_has_room_for_few() -> None:
    """Flaky first; never a canary, a critical case, or one that is there."""
    given = [
        item("a", *[(0, 1)] * 5),
        item("b", (5, 10)),
        item("c", (5, 10), kind="canary"),
        item("d", (5, 10), severity="critical"),
        item("e", (5, 10), fields={"quarantine": "flaky"}),
        item("f", *[(1, 1)] * 20),
    ]
    put, no_room = quarantine_plan(item_findings(given), 1, {"kind": "canary", "severity": "critical"})
    assert [each.reason for each in put] == ["flaky: 5 of 10 runs of one version passed"]
    assert [each.case.id for each in no_room] == ["a"]


@pytest.mark.parametrize(("n_versions", "dead", "live"), [(20, 0.98, 0.14), (40, 0.96, 0.07)])
def test_dead_cases_are_found_as_the_guide_says(n_versions: int, dead: float, live: float) -> None:
    """Of cases that pass with 0.999, and of live ones with difficulties of N(-1.5, 1.5)."""
    rng = np.random.default_rng(11)
    rates = {"dead": np.full(600, 0.999), "live": 1 / (1 + np.exp(-rng.normal(1.5, 1.5, 600)))}
    for kind, expected in (("dead", dead), ("live", live)):
        given = [
            item(
                f"{kind}{at}",
                *((int(passed), 1) for passed in rng.random(n_versions) < rate),
                input=rng.bytes(20).hex(),
            )
            for at, rate in enumerate(rates[kind])
        ]
        found = sum(each.rule == "dead" for each in item_findings(given)) / len(given)
        assert found == pytest.approx(expected, abs=0.04)
