"""Tests for choosing a guard's thresholds from labelled answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import InputError
from evalkit.guard.levels import Checked, GuardModels, LevelFailed, RulesLevel
from evalkit.llm.config import ChatConfig
from evalkit.operations.monitor_thresholds import GuardOptions, GuardThresholds, guard_thresholds, report_lines
from evalkit.testing import FakeModel
from evalkit.types import Case, Output

OPTIONS = GuardOptions(false_block=0.05, bad_passed=0.05)


def row(n: int, good: bool, **changes: Any) -> dict[str, Any]:
    """An answer with two figures: both right, or both wrong; every tenth good one has one right."""
    said = f"{n} EUR and {n} km" if good else f"{n + 1000} EUR and {n + 2000} km"
    if good and n % 10 == 0:
        said = f"{n} EUR and {n + 1000} km"
    contexts = [f"It is {n} EUR for {n} km."]
    given = {"id": f"a{n}", "question": "How much?", "answer": said, "contexts": contexts, "good": good}
    return {**given, **changes}


def write(folder: Path, rows: list[Any]) -> Path:
    """The labelled file."""
    file = folder / "labelled.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return file


def chosen(file: Path, options: GuardOptions = OPTIONS, judge: ChatConfig | None = None) -> GuardThresholds:
    """Choose the thresholds."""
    return asyncio.run(guard_thresholds(file, file.name, options, models=GuardModels(judge=judge)))


def test_thresholds_from_rules(tmp_path: Path) -> None:
    """100 good answers, of which ten have half their figures wrong, and 40 bad ones with none right.

    k = 2 good scores lie at or below the threshold, the second lowest is .5; every bad answer scores 0, so .5 passes.
    """
    found = chosen(write(tmp_path, [row(n, n <= 100) for n in range(1, 141)]))
    (level,) = found.levels
    assert (level.thresholds.block_below, level.thresholds.pass_from) == ({"": 0.5}, 0.5)
    assert level.actions == {
        True: {"pass": 100, "warn": 0, "block": 0},
        False: {"pass": 0, "warn": 0, "block": 40},
    }
    text = "\n".join(report_lines(found))
    assert "rules: passes from 0.500\n  blocks below 0.500\n" in text
    assert "at most 5.0% of good answers are blocked, in 95% of calibrations" in text


def test_the_written_guard_acts_by_them(tmp_path: Path) -> None:
    """From the file to an action."""
    found = chosen(write(tmp_path, [row(n, n <= 100) for n in range(1, 141)]))
    found.write(tmp_path / "guard.json")
    guard = evalkit.guard.load(tmp_path / "guard.json")

    async def actions() -> list[str]:
        said = ("It is 7 EUR.", "It is 8 EUR.")
        return [(await guard.check("How much?", each, ["7 EUR"], budget_ms=10_000)).action for each in said]

    assert asyncio.run(actions()) == ["pass", "block"]
    assert guard.settings == found.settings


def test_too_few_labels_block_nothing_and_say_how_many_are_missing(tmp_path: Path) -> None:
    """58 of 59 good answers; 18 labelled of the 19 that passing needs."""
    found = chosen(write(tmp_path, [row(n, True) for n in range(1, 59)]))
    text = "\n".join(report_lines(found))
    assert "blocks nothing: label 1 more good answers" in text
    short = chosen(write(tmp_path, [row(n, True) for n in range(1, 19)]))
    assert "nothing passes\n  to let anything pass, label 1 more answers" in "\n".join(report_lines(short))
    assert short.settings.levels["rules"].pass_from is None


def test_each_cohort_has_a_block_threshold_of_its_own(tmp_path: Path) -> None:
    """The small cohort blocks nothing."""
    rows = [row(n, n <= 100, topic="fees" if n % 4 else "cards") for n in range(1, 141)]
    options = GuardOptions(false_block=0.05, bad_passed=0.05, by="topic")
    found = chosen(write(tmp_path, rows), options)
    at = found.settings.levels["rules"]
    assert at.block_below == {"fees": 0.5}
    assert at.labels_missing == {"cards": 34}
    assert "blocks nothing for topic=cards: label 34 more good answers" in "\n".join(report_lines(found))


def test_bad_answers_with_the_best_scores_cannot_be_told_apart(tmp_path: Path) -> None:
    """Rules see no claim in words."""
    rows = [row(n, n <= 100, answer="Yes.") for n in range(1, 141)]
    text = "\n".join(report_lines(chosen(write(tmp_path, rows))))
    assert "nothing passes\n  bad answers have the best scores" in text


def test_a_judge_has_thresholds_of_its_own(tmp_path: Path) -> None:
    """The judge supports every claim but those about 1,000 and more; a reply that cannot be used is counted."""

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        said = request["messages"][1]["content"]
        if "<<<ANSWER" in said:
            number = said.partition("<<<ANSWER")[2].split("\n")[1].split()[0]
            return {"claims": [f"It is {number} EUR."]} if number != "7" else {"nonsense": 1}
        number = said.partition("<<<CLAIM-1")[2].split("\n")[1].split()[2]
        verdict = "CONTRADICTED" if int(number) > 1000 else "SUPPORTED"
        return {"verdicts": [{"claim": 1, "quote": f"It is {int(number) % 1000} EUR", "verdict": verdict}]}

    with FakeModel(reply) as server:
        judge = ChatConfig(model="m", base_url=server.base_url, max_retries=0)
        found = chosen(write(tmp_path, [row(n, n <= 70) for n in range(1, 81)]), judge=judge)
    rules, judged = found.levels
    assert (rules.name, judged.name) == ("rules", "judge")
    assert (judged.thresholds.n_good, judged.thresholds.n_bad, judged.thresholds.n_unscored) == (69, 10, 1)
    assert judged.thresholds.block_below == {"": 1.0}
    assert judged.actions[False] == {"pass": 0, "warn": 0, "block": 10}
    assert "1 could not be scored: judge_" in "\n".join(report_lines(found))
    assert found.settings.judge == judge


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"good": "yes"}, '`good` is "yes"; write true if every claim is supported, else false'),
        ({"good": None}, "`good` is null; write true"),
        ({"good": "\u202eno" + "x" * 200}, '`good` is "<U+202E>nox'),
        ({"answer": None}, "no answer"),
        ({"answer": {"text": 5}}, "labelled.jsonl:2"),
        ({"contexts": None}, "no contexts"),
        ({"id": "a1"}, "repeats labelled.jsonl:1"),
        ({"question": None}, "input"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    """File, line, fault and fix."""
    with pytest.raises(InputError) as caught:
        chosen(write(tmp_path, [row(1, True), {**row(2, True), **changed}]))
    assert why in str(caught.value)
    assert "labelled.jsonl:2" in str(caught.value)


def test_without_a_bad_label_no_bound_is_shown(tmp_path: Path) -> None:
    """The bound holds, and says nothing about answers that nobody labelled."""
    text = "\n".join(report_lines(chosen(write(tmp_path, [row(n, True) for n in range(1, 101)]))))
    assert "no bad answers are labelled: label some to see whether any pass" in text
    assert "are bad and pass" not in text


@pytest.mark.parametrize(
    ("reply", "judge", "fix"),
    [
        (None, False, "read the reason above, and label answers that have contexts"),
        ("I would say so.", True, "check the judge with `evalkit judge health`"),
    ],
)
def test_a_level_that_scores_nothing_says_what_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str | None, judge: bool, fix: str
) -> None:
    """The judge, or the answers."""
    if not judge:

        async def fails(self: RulesLevel, case: Case, output: Output) -> Checked:
            raise LevelFailed("no_contexts")

        monkeypatch.setattr(RulesLevel, "check", fails)
    with FakeModel(lambda request: reply or "") as server, pytest.raises(InputError) as caught:
        config = ChatConfig(model="m", base_url=server.base_url, max_retries=0) if judge else None
        chosen(write(tmp_path, [row(1, True)]), judge=config)
    assert fix in str(caught.value)
    assert "judge probe" not in str(caught.value)


def test_a_file_without_a_good_answer_is_refused(tmp_path: Path) -> None:
    """An empty one and a missing one too."""
    with pytest.raises(InputError, match="none of them is good"):
        chosen(write(tmp_path, [row(1, False)]))
    with pytest.raises(InputError, match="0 labelled answers"):
        chosen(write(tmp_path, []))
    with pytest.raises(InputError, match="no such file"):
        chosen(tmp_path / "none.jsonl")


def test_a_row_without_the_cohort_is_refused(tmp_path: Path) -> None:
    """A missing value is not a cohort."""
    options = GuardOptions(false_block=0.05, bad_passed=0.05, by="topic")
    with pytest.raises(InputError, match="no cohort `topic`"):
        chosen(write(tmp_path, [row(1, True, topic="a"), row(2, True)]), options)


def test_rates_out_of_range_are_refused() -> None:
    """A share of 0 or 1 promises nothing."""
    with pytest.raises(ValueError, match="false_block"):
        GuardOptions(false_block=0)
